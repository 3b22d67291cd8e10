// SPDX-License-Identifier: Apache-2.0
/*
 * Reading JSON into a tree, whole and as a prefix, and the accessors on values of the wrong kind.
 */
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/allocation.h"

static struct json_document *parse(const char *text)
{
    struct json_document *document = NULL;
    const char *why = NULL;
    if (json_parse(bytes_from_text(text), &document, &why) != RESULT_OK) {
        fail_msg("%s: %s", text, why);
    }
    return document;
}

static void assert_written(const struct json_value *value, const char *text)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    json_write_value(value, &out);
    assert_string_equal(buffer_text(&out), text);
    buffer_fini(&out);
}

static void assert_prefix(const char *text, const char *written, bool is_truncated)
{
    struct json_document *document = NULL;
    bool truncated = !is_truncated;
    assert_int_equal(json_parse_prefix(bytes_from_text(text), &document, &truncated), RESULT_OK);
    assert_int_equal(truncated, is_truncated);
    assert_written(json_root(document), written);
    json_free(&document);
}

static void values_of_all_kinds_are_read(void **state)
{
    (void)state;
    struct json_document *document =
        parse("{\"t\":\"x\\u00e9\\u0000y\",\"i\":-7,\"d\":1.5,\"b\":true,\"n\":null,"
              "\"a\":[1,\"2\"],\"o\":{\"k\":0}}");
    const struct json_value *root = json_root(document);
    assert_int_equal(json_kind(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 7);
    assert_true(bytes_equal(json_get_text(root, "t"), bytes_from("x\xc3\xa9\0y", 5)));
    assert_int_equal(json_int(json_get(root, "i"), 0), -7);
    assert_true(json_double(json_get(root, "i"), 0) < -6.5);
    assert_true(json_double(json_get(root, "d"), 0) > 1.4);
    assert_true(json_bool(json_get(root, "b")));
    assert_int_equal(json_kind(json_get(root, "n")), JSON_NULL);
    assert_true(json_has(root, "n"));
    assert_false(json_has(root, "z"));
    assert_int_equal(json_count(json_get(root, "a")), 2);
    assert_int_equal(json_kind(json_at(json_get(root, "a"), 1)), JSON_TEXT);
    assert_int_equal(json_int(json_get(json_get(root, "o"), "k"), 9), 0);
    json_free(&document);
    assert_null(document);
    json_free(&document);
}

static void wrong_kinds_read_as_nothing(void **state)
{
    (void)state;
    struct json_document *document = parse("[1.5,\"true\",{}]");
    const struct json_value *root = json_root(document);
    assert_int_equal(json_int(json_at(root, 0), 42), 42);
    assert_false(json_bool(json_at(root, 1)));
    assert_int_equal(json_text(json_at(root, 2)).len, 0);
    assert_null(json_at(root, 3));
    assert_null(json_get(root, "a"));
    assert_null(json_at(json_at(root, 2), 0));
    assert_int_equal(json_kind(NULL), JSON_NULL);
    assert_int_equal(json_count(NULL), 0);
    assert_false(json_has(NULL, "a"));
    assert_true(json_double(NULL, 2.5) > 2.4);
    assert_null(json_root(NULL));
    json_free(&document);
}

static void scalars_stand_alone(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "true", "12", "-0.5", "\"x\"", "[]", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_document *document = parse(texts[i]);
        assert_written(json_root(document), texts[i]);
        json_free(&document);
    }
}

static void integers_are_exact_and_larger_ones_are_doubles(void **state)
{
    (void)state;
    struct json_document *document =
        parse("[9223372036854775807,-9223372036854775808,9223372036854775808,"
              "123456789012345678901234567890,\"9223372036854775808\"]");
    const struct json_value *root = json_root(document);
    assert_true(json_int(json_at(root, 0), 0) == INT64_MAX);
    assert_true(json_int(json_at(root, 1), 0) == INT64_MIN);
    assert_int_equal(json_kind(json_at(root, 2)), JSON_DOUBLE);
    assert_true(json_double(json_at(root, 2), 0) > 9.22e18);
    assert_true(json_double(json_at(root, 3), 0) > 1.2e29);
    assert_true(bytes_equal_text(json_text(json_at(root, 4)), "9223372036854775808"));
    json_free(&document);
}

static void assert_refused(struct bytes text, enum result result)
{
    struct json_document *document = NULL;
    const char *why = NULL;
    assert_int_equal(json_parse(text, &document, &why), result);
    assert_non_null(why);
    assert_null(document);
}

static void unsound_texts_are_refused(void **state)
{
    (void)state;
    assert_refused(BYTES_LITERAL(""), RESULT_REJECT);
    assert_refused(BYTES_NONE, RESULT_REJECT);
    assert_refused(BYTES_LITERAL("{} x"), RESULT_REJECT);
    assert_refused(BYTES_LITERAL("{\"a\":1"), RESULT_REJECT);
    assert_refused(BYTES_LITERAL("\"\xff\""), RESULT_REJECT);
    assert_refused(BYTES_LITERAL("\"\xed\xa0\x80\""), RESULT_REJECT);
    assert_refused(BYTES_LITERAL("[1]\0"), RESULT_REJECT);
    assert_refused(BYTES_LITERAL("NaN"), RESULT_REJECT);
}

static void oversize_texts_are_refused(void **state)
{
    (void)state;
    size_t len = JSON_BYTES_MAX + 1;
    char *text = malloc(len);
    memset(text, ' ', len);
    text[0] = '1';
    assert_refused(bytes_from(text, len), RESULT_TOO_LARGE);
    for (size_t i = 0; i + 3 <= JSON_BYTES_MAX; i += 3) {
        memcpy(text + i, "{},", 3);
    }
    text[0] = '[';
    text[1] = '0';
    assert_refused(bytes_from(text, JSON_BYTES_MAX), RESULT_TOO_LARGE);
    free(text);
}

static void validity_needs_no_tree(void **state)
{
    (void)state;
    assert_true(json_is_valid(BYTES_LITERAL(" {\"a\":[1]} ")));
    assert_false(json_is_valid(BYTES_LITERAL("{\"a\":[1]}}")));
    assert_false(json_is_valid(BYTES_LITERAL("\"\xff\"")));
    assert_false(json_is_valid(BYTES_LITERAL("")));
}

static void whole_texts_are_their_own_prefix(void **state)
{
    (void)state;
    assert_prefix("{\"a\":[1,{\"b\":null}]}", "{\"a\":[1,{\"b\":null}]}", false);
    assert_prefix("17", "17", false);
}

static void truncated_texts_keep_what_was_complete(void **state)
{
    (void)state;
    assert_prefix("[{\"role\":\"user\",\"content\":\"hello wor",
                  "[{\"role\":\"user\",\"content\":\"hello wor\"}]", true);
    assert_prefix("[{\"role\":\"user\"},{\"ro", "[{\"role\":\"user\"},{}]", true);
    assert_prefix("[1,2,3", "[1,2]", true);
    assert_prefix("[1,2,", "[1,2]", true);
    assert_prefix("{\"a\":1,\"b\":", "{\"a\":1}", true);
    assert_prefix("{\"a\":[[{\"b\":tr", "{\"a\":[[{}]]}", true);
    assert_prefix("[\"tab\\t and \\u00", "[\"tab\\t and \"]", true);
    assert_prefix("[\"caf\xc3", "[\"caf\"]", true);
    assert_prefix("\"only text", "\"only text\"", true);
    assert_prefix("[9223372036854775808,\"", "[9.223372036854776e+18,\"\"]", true);
    assert_prefix("[", "[]", true);
}

static void every_prefix_of_a_text_is_usable_or_refused(void **state)
{
    (void)state;
    static const char text[] = "{\"messages\":[{\"role\":\"user\",\"n\":[1.5e3,-2,true,null],"
                               "\"content\":\"x\\u00e9\\ud83d\\ude00 \xf0\x9f\x98\x80 y\"}]}";
    for (size_t len = 0; len <= sizeof text - 1; len++) {
        char *exact = malloc(len + 1);
        memcpy(exact, text, len);
        struct json_document *document = NULL;
        bool truncated = false;
        enum result result = json_parse_prefix(bytes_from(exact, len), &document, &truncated);
        assert_int_equal(result, len == 0 ? RESULT_REJECT : RESULT_OK);
        if (result == RESULT_OK) {
            assert_int_equal(truncated, len < sizeof text - 1);
            assert_int_equal(json_kind(json_root(document)), JSON_OBJECT);
        }
        json_free(&document);
        free(exact);
    }
}

static void malformed_texts_have_no_prefix(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "  ",    "{\"a\":1,}",        "tru",   "-",
                                        "[1}", "hello", "{\"a\": \"b\" \"c", "\"\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_document *document = NULL;
        bool truncated = false;
        assert_int_equal(json_parse_prefix(bytes_from_text(texts[i]), &document, &truncated),
                         RESULT_REJECT);
        assert_null(document);
    }
}

static bool collect(void *arg, struct bytes key, const struct json_value *value)
{
    struct buffer *out = arg;
    buffer_append_bytes(out, key);
    json_write_value(value, out);
    return out->len < 6;
}

static void members_are_visited_in_order_until_told_to_stop(void **state)
{
    (void)state;
    struct json_document *document = parse("{\"b\":1,\"a\":2,\"c\":3,\"d\":4}");
    struct buffer out;
    buffer_init(&out, 100);
    json_each(json_root(document), collect, &out);
    json_each(NULL, collect, &out);
    assert_string_equal(buffer_text(&out), "b1a2c3");
    buffer_fini(&out);
    json_free(&document);
}

static void equality_is_by_value(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
        {"1", "1.0", true},
        {"1", "\"1\"", false},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"{\"a\":null}", "{\"b\":null}", false},
        {"null", "false", false},
        {"null", "null", true},
        {"0.1", "0.2", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_document *a = parse(rows[i].a);
        struct json_document *b = parse(rows[i].b);
        assert_int_equal(json_equal(json_root(a), json_root(b)), rows[i].equal);
        assert_int_equal(json_equal(json_root(b), json_root(a)), rows[i].equal);
        json_free(&a);
        json_free(&b);
    }
}

static void out_of_memory_sheds(void **state)
{
    (void)state;
    size_t refused = 1;
    for (size_t nth = 1; refused > 0; nth++) {
        struct json_document *document = NULL;
        bool truncated = false;
        allocation_fail(nth, 1);
        enum result result = json_parse_prefix(BYTES_LITERAL("{\"a\":[9223372036854775808,\"x"),
                                               &document, &truncated);
        refused = allocation_pass();
        assert_int_equal(result, refused > 0 ? RESULT_SHED : RESULT_OK);
        json_free(&document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_all_kinds_are_read),
        cmocka_unit_test(wrong_kinds_read_as_nothing),
        cmocka_unit_test(scalars_stand_alone),
        cmocka_unit_test(integers_are_exact_and_larger_ones_are_doubles),
        cmocka_unit_test(unsound_texts_are_refused),
        cmocka_unit_test(oversize_texts_are_refused),
        cmocka_unit_test(validity_needs_no_tree),
        cmocka_unit_test(whole_texts_are_their_own_prefix),
        cmocka_unit_test(truncated_texts_keep_what_was_complete),
        cmocka_unit_test(every_prefix_of_a_text_is_usable_or_refused),
        cmocka_unit_test(malformed_texts_have_no_prefix),
        cmocka_unit_test(members_are_visited_in_order_until_told_to_stop),
        cmocka_unit_test(equality_is_by_value),
        cmocka_unit_test(out_of_memory_sheds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
