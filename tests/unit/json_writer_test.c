// SPDX-License-Identifier: Apache-2.0
/*
 * Writing JSON: punctuation, escapes, repaired text, numbers that read back.
 */
#include "base/json_writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static void assert_text_written(struct bytes text, const char *written)
{
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 1 << 16);
    json_writer_init(&writer, &out);
    json_put_text(&writer, text);
    assert_string_equal(buffer_text(&out), written);
    assert_true(json_is_valid(buffer_view(&out)));
    buffer_fini(&out);
}

static void punctuation_follows_the_calls(void **state)
{
    (void)state;
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 1 << 16);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "a");
    json_begin_array(&writer);
    json_put_int(&writer, INT64_MIN);
    json_put_bool(&writer, true);
    json_put_null(&writer);
    json_begin_object(&writer);
    json_end_object(&writer);
    json_begin_array(&writer);
    json_end_array(&writer);
    json_put_raw(&writer, BYTES_LITERAL("{\"raw\":1}"));
    json_end_array(&writer);
    json_key_bytes(&writer, BYTES_LITERAL("b\""));
    json_put_literal(&writer, "x");
    json_key(&writer, "c");
    json_put_bool(&writer, false);
    json_end_object(&writer);
    assert_string_equal(buffer_text(&out), "{\"a\":[-9223372036854775808,true,null,{},[],"
                                           "{\"raw\":1}],\"b\\\"\":\"x\",\"c\":false}");
    buffer_fini(&out);
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    assert_text_written(BYTES_LITERAL("a\"b\\c\nd\re\tf\x01g\x1fh/\x7f"),
                        "\"a\\\"b\\\\c\\nd\\re\\tf\\u0001g\\u001fh/\x7f\"");
    assert_text_written(bytes_from("a\0b", 3), "\"a\\u0000b\"");
    assert_text_written(BYTES_NONE, "\"\"");
    assert_text_written(BYTES_LITERAL("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    assert_text_written(BYTES_LITERAL("a\xff\"b"), "\"a\xef\xbf\xbd\\\"b\"");
    assert_text_written(BYTES_LITERAL("\xc3"), "\"\xef\xbf\xbd\"");
    assert_text_written(BYTES_LITERAL("\xc3\xa9\x80z"), "\"\xc3\xa9\xef\xbf\xbdz\"");
    assert_text_written(BYTES_LITERAL("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_text_written(BYTES_LITERAL("\xf0\x9f\x98"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_text_written(BYTES_LITERAL("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void doubles_read_back(void **state)
{
    (void)state;
    static const double values[] = {0.1, 1.0 / 3, 1e300,         -2.5,
                                    0,   5e-324,  123456789.125, 1e21,
                                    0.3, 1e-7,    100,           1.7976931348623157e308};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct buffer out;
        struct json_writer writer;
        buffer_init(&out, 1 << 10);
        json_writer_init(&writer, &out);
        json_put_double(&writer, values[i]);
        assert_true(json_is_valid(buffer_view(&out)));
        double back = strtod(buffer_text(&out), NULL);
        assert_memory_equal(&back, &values[i], sizeof back);
        buffer_fini(&out);
    }
}

static void doubles_are_short_and_never_infinite(void **state)
{
    (void)state;
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 1 << 10);
    json_writer_init(&writer, &out);
    json_begin_array(&writer);
    json_put_double(&writer, 0.1);
    json_put_double(&writer, (double)INFINITY);
    json_put_double(&writer, (double)NAN);
    json_put_double(&writer, 0.85);
    json_end_array(&writer);
    assert_string_equal(buffer_text(&out), "[0.1,null,null,0.85]");
    buffer_fini(&out);
}

static void a_full_buffer_is_told_once_at_the_end(void **state)
{
    (void)state;
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 5);
    json_writer_init(&writer, &out);
    json_begin_array(&writer);
    json_put_literal(&writer, "longer than five");
    json_end_array(&writer);
    assert_int_equal(buffer_status(&out), RESULT_TOO_LARGE);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(punctuation_follows_the_calls),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(doubles_read_back),
        cmocka_unit_test(doubles_are_short_and_never_infinite),
        cmocka_unit_test(a_full_buffer_is_told_once_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
