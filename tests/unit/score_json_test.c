// SPDX-License-Identifier: Apache-2.0
// Members that JSON forms of scores share.
#include "exporter/score/score_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "tests/unit/score_sample.h"

static struct buffer out;
static struct json_writer json;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&out, 65536);
    json_writer_init(&json, &out);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

static void empty_texts_are_left_out(void **state)
{
    (void)state;
    json_begin_object(&json);
    score_json_text(&json, "a", BYTES_NONE);
    score_json_text(&json, "b", BYTES_LITERAL("x"));
    json_end_object(&json);
    assert_string_equal(buffer_text(&out), "{\"b\":\"x\"}");
}

static void ids_are_lower_case_hex(void **state)
{
    (void)state;
    static const uint8_t id[16] = {0xAB, 0xCD};
    json_begin_object(&json);
    score_json_hex(&json, "a", id, 8);
    score_json_hex(&json, "b", id, 16);
    json_end_object(&json);
    assert_string_equal(buffer_text(&out),
                        "{\"a\":\"abcd000000000000\",\"b\":\"abcd0000000000000000000000000000\"}");
}

static void hostile_texts_stay_inside_their_strings(void **state)
{
    (void)state;
    struct score_entry entry = {.record = score_sample(SAMPLE_NUMERIC, 1), .name = "n"};
    struct json_document *document = NULL;
    entry.record.explanation = BYTES_LITERAL("\",\"value\":1,\"x\":\"\\\n\xff");
    score_json_record(&json, &entry);
    assert_int_equal(json_parse(buffer_view(&out), &document, NULL), RESULT_OK);
    assert_true(json_double(json_get(json_root(document), "value"), -1) == 0.75);
    assert_false(json_has(json_root(document), "x"));
    json_free(&document);
}

static void a_score_without_value_has_none(void **state)
{
    (void)state;
    struct score_entry entry = {.record = score_sample(SAMPLE_CATEGORICAL, 1), .name = "tone"};
    struct json_document *document = NULL;
    score_json_record(&json, &entry);
    assert_int_equal(json_parse(buffer_view(&out), &document, NULL), RESULT_OK);
    assert_false(json_has(json_root(document), "value"));
    assert_true(bytes_equal_text(json_get_text(json_root(document), "label"), "friendly"));
    json_free(&document);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(empty_texts_are_left_out),
        TEST(ids_are_lower_case_hex),
        TEST(hostile_texts_stay_inside_their_strings),
        TEST(a_score_without_value_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
