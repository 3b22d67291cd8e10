// SPDX-License-Identifier: Apache-2.0
//
// What may be passed on, and what stays behind.
#include "receiver/relay_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void paths_that_everybody_reads_alike_are_sound(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/api/public/scores",
        "/api/public/v2/prompts/my-prompt",
        "/api/public/v2/prompts/a%20b",
        "/api/public/v2/prompts/%C3%A9",
        "/api/public/traces/0123456789abcdef",
        "/api/public/media/",
        "/api/public/a.b/c.json",
        "/api/public/a%2eb",
        "/api/public/.hidden",
        "/api/public/v1./x",
        "/api/public/a:b@c;d=e,f!$&'()*+~_",
        "/api/public/%25",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_true(relay_path_is_sound(bytes_from_text(paths[i])));
    }
}

static void paths_that_can_be_read_in_two_ways_are_not_sound(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "/",
        "/api/public",
        "/API/public/x",
        "/api/publicx",
        "api/public/x",
        "//api/public/x",
        "/api//public/x",
        "/api/public//x",
        "/api/public/x//",
        "/api/public/%2fx",
        "/api/public/x%2Fy",
        "/api/public/..",
        "/api/public/../x",
        "/api/public/x/../../../admin",
        "/api/public/x..y",
        "/api/public/%2e%2e/x",
        "/api/public/%2E%2e",
        "/api/public/.%2e/x",
        "/api/public/%2e./x",
        "/api/public/./x",
        "/api/public/x/.",
        "/api/public/%2e/x",
        "/api/public/x/%2E",
        "/api/public/x\\y",
        "/api/public/x%5cy",
        "/api/public/x%5Cy",
        "/api/public/\xC3\xA9",
        "/api/public/\xFF",
        "/api/public/x y",
        "/api/public/x\ty",
        "/api/public/x\ry",
        "/api/public/x\ny",
        "/api/public/x%0d%0aHost:evil",
        "/api/public/x%00",
        "/api/public/x%7f",
        "/api/public/x%",
        "/api/public/x%2",
        "/api/public/x%zz",
        "/api/public/x%u002f",
        "/api/public/x#y",
        "/api/public/x?y",
        "/api/public/x\"y",
        "/api/public/x<y>",
        "/api/public/x{y}",
        "/api/public/x|y",
        "/api/public/x^y",
        "/api/public/x`y",
        "/api/public/[x]",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (relay_path_is_sound(bytes_from_text(paths[i]))) {
            fail_msg("passed on: %s", paths[i]);
        }
    }
    assert_false(relay_path_is_sound(BYTES_LITERAL("/api/public/x\0y")));
}

static void queries_are_printable(void **state)
{
    (void)state;
    static const char *const bad[] = {"a=b#c", "a=\\", "a b", "a\r\nb", "\xC3\xA9", "a\x7f"};
    assert_true(relay_query_is_sound(BYTES_NONE));
    assert_true(relay_query_is_sound(BYTES_LITERAL("name=a%2Fb&x=..//&filter={\"a\":[1|2]}")));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(relay_query_is_sound(bytes_from_text(bad[i])));
    }
    assert_false(relay_query_is_sound(BYTES_LITERAL("a\0b")));
}

static void only_the_methods_of_the_api_are_passed_on(void **state)
{
    (void)state;
    static const char *const bad[] = {"CONNECT", "TRACE", "OPTIONS", "PROPFIND", "get",
                                      "POSTS",   "",      "GE",      "PURGE",    "PRI"};
    static const char *const good[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(relay_method(bytes_from_text(bad[i])));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_string_equal(relay_method(bytes_from_text(good[i])), good[i]);
    }
}

static void fields_of_a_connection_are_known_and_named(void **state)
{
    (void)state;
    assert_true(relay_field_is_of_hop(BYTES_LITERAL("connection")));
    assert_true(relay_field_is_of_hop(BYTES_LITERAL("Transfer-Encoding")));
    assert_true(relay_field_is_of_hop(BYTES_LITERAL("proxy-authorization")));
    assert_false(relay_field_is_of_hop(BYTES_LITERAL("authorization")));
    assert_false(relay_field_is_of_hop(BYTES_NONE));
    assert_true(relay_list_names(BYTES_LITERAL("close, X-A ,x-b"), BYTES_LITERAL("x-a")));
    assert_true(relay_list_names(BYTES_LITERAL("X-B"), BYTES_LITERAL("x-b")));
    assert_false(relay_list_names(BYTES_LITERAL("x-ab, x"), BYTES_LITERAL("x-a")));
    assert_false(relay_list_names(BYTES_NONE, BYTES_LITERAL("x-a")));
}

static void names_are_tokens_and_values_are_lines(void **state)
{
    (void)state;
    assert_true(relay_name_is_sound(BYTES_LITERAL("x-a_b.c~1")));
    assert_false(relay_name_is_sound(BYTES_NONE));
    assert_false(relay_name_is_sound(BYTES_LITERAL("x a")));
    assert_false(relay_name_is_sound(BYTES_LITERAL("x:a")));
    assert_false(relay_name_is_sound(BYTES_LITERAL("x\0a")));
    assert_true(relay_value_is_sound(BYTES_LITERAL("a\tb \xC3\xA9")));
    assert_false(relay_value_is_sound(BYTES_LITERAL("a\r\nb: c")));
    assert_false(relay_value_is_sound(BYTES_LITERAL("a\nb")));
    assert_false(relay_value_is_sound(BYTES_LITERAL("a\0b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_that_everybody_reads_alike_are_sound),
        cmocka_unit_test(paths_that_can_be_read_in_two_ways_are_not_sound),
        cmocka_unit_test(queries_are_printable),
        cmocka_unit_test(only_the_methods_of_the_api_are_passed_on),
        cmocka_unit_test(fields_of_a_connection_are_known_and_named),
        cmocka_unit_test(names_are_tokens_and_values_are_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
