// SPDX-License-Identifier: Apache-2.0
/*
 * The scanner: a table of what is JSON and what is not, and where cut texts may be cut.
 */
#include "base/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json_scan scan_text(const char *text)
{
    struct json_scan scan;
    json_scan(bytes_from_text(text), &scan);
    return scan;
}

// Strings are stepped over eight bytes at a time: no byte may hide among plain ones.
static void every_byte_is_seen_at_every_place_of_a_string(void **state)
{
    (void)state;
    for (size_t at = 0; at < 20; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[32] = "\"abcdefghijklmnopqrst\"";
            struct json_scan scan;
            text[1 + at] = (char)byte;
            json_scan(bytes_from(text, 22), &scan);
            bool plain = byte >= 0x20 && byte != '"' && byte != '\\';
            // "\n" and the like are escapes of two bytes where the letter behind makes one.
            bool escape = byte == '\\' && strchr("bfnrt\"", text[2 + at]) != NULL && at < 19;
            assert_int_equal(scan.result == RESULT_OK, plain || escape);
        }
    }
}

static void sound_texts_pass(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "1",
        "-1.5e+3",
        "1E9",
        "0.0",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ 1 , 2 ] ",
        "{\"a\":{\"b\":[{},[],\"\",null]}}",
        "\"\\u00e9\\n\\\"\\\\\\/\"",
        "\"\xc3\xa9\x7f\"",
        "\t\r\n1\n",
        "{\"a\":1,\"a\":2}",
        "123456789012345678901234567890",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_scan scan = scan_text(texts[i]);
        if (scan.result != RESULT_OK) {
            fail_msg("%s: %s", texts[i], scan.why);
        }
        assert_false(scan.cut_off);
    }
}

static void malformed_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "01",
        "+1",
        ".5",
        "1.x",
        "1e+x",
        "--1",
        "NaN",
        "Infinity",
        "True",
        "nul1",
        "'a'",
        "{a:1}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "]",
        "}",
        "1 2",
        "[] []",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\t\"",
        "{1:2}",
        "[1]x",
        "//c\n1",
        "\xef\xbb\xbf"
        "1",
        "{\"a\":1 \"b\":2}",
        "\v1",
        "0x10",
        "1.e5x",
        "tru e",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_scan scan = scan_text(texts[i]);
        if (scan.result != RESULT_REJECT || scan.cut_off) {
            fail_msg("%s was taken", texts[i]);
        }
        assert_non_null(scan.why);
    }
}

static void every_prefix_of_a_sound_text_is_cut_off(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,-2.5e3,true,null,\"x\\u00e9y\\\"\"],\"b\":{\"c\":{}}}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *exact = malloc(len + 1);
        memcpy(exact, text, len);
        struct json_scan scan;
        json_scan(bytes_from(exact, len), &scan);
        assert_int_equal(scan.result, RESULT_REJECT);
        assert_true(scan.cut_off);
        assert_true(scan.keep <= len);
        free(exact);
    }
}

static void cut_texts_say_where_to_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t keep;
        unsigned depth;
        uint64_t is_object;
        bool close_string;
    } rows[] = {
        {"{\"a\":1,\"b\":[2,3", 13, 2, 1, false},  // 3 may go on
        {"{\"a\":1,\"b", 6, 1, 1, false},
        {"{\"a\":\"xyz", 9, 1, 1, true},
        {"[\"x\\u00", 3, 1, 0, true},
        {"[[[", 3, 3, 0, false},
        {"[1,2],", 5, 0, 0, false},
        {"{\"a\":tru", 1, 1, 1, false},
        {"\"abc", 4, 0, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_scan scan = scan_text(rows[i].text);
        if (strchr(rows[i].text, '[') == rows[i].text && rows[i].depth == 0) {
            assert_false(scan.cut_off);  // "[1,2],": something behind the value
            continue;
        }
        assert_true(scan.cut_off);
        assert_int_equal(scan.keep, rows[i].keep);
        assert_int_equal(scan.depth, rows[i].depth);
        uint64_t levels = (UINT64_C(1) << scan.depth) - 1;
        assert_int_equal(scan.is_object & levels, rows[i].is_object);
        assert_int_equal(scan.close_string, rows[i].close_string);
    }
}

static void depth_and_values_are_bounded(void **state)
{
    (void)state;
    char nested[2 * JSON_DEPTH_MAX + 4] = "";
    memset(nested, '[', JSON_DEPTH_MAX);
    memset(nested + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(scan_text(nested).result, RESULT_OK);
    memset(nested, '[', JSON_DEPTH_MAX + 1);
    struct json_scan scan = scan_text(nested);
    assert_int_equal(scan.result, RESULT_REJECT);
    assert_false(scan.cut_off);
    char *many = malloc(2 * JSON_VALUES_MAX + 3);
    many[0] = '[';
    for (size_t i = 0; i < JSON_VALUES_MAX; i++) {
        many[1 + 2 * i] = '0';
        many[2 + 2 * i] = ',';
    }
    many[2 * JSON_VALUES_MAX] = ']';
    many[2 * JSON_VALUES_MAX + 1] = '\0';
    assert_int_equal(scan_text(many).result, RESULT_TOO_LARGE);
    free(many);
}

static void large_integers_are_noticed(void **state)
{
    (void)state;
    assert_false(scan_text("[9223372036854775807,-9223372036854775808]").has_large_integer);
    assert_true(scan_text("9223372036854775808").has_large_integer);
    assert_true(scan_text("-9223372036854775809").has_large_integer);
    assert_false(scan_text("9223372036854775808.0").has_large_integer);
    assert_false(scan_text("\"9223372036854775808\"").has_large_integer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_seen_at_every_place_of_a_string),
        cmocka_unit_test(sound_texts_pass),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(every_prefix_of_a_sound_text_is_cut_off),
        cmocka_unit_test(cut_texts_say_where_to_cut),
        cmocka_unit_test(depth_and_values_are_bounded),
        cmocka_unit_test(large_integers_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
