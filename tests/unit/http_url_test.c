// SPDX-License-Identifier: Apache-2.0
/*
 * URLs of endpoints: one list of sound ones, one of those to be refused with a sentence.
 */
#include "base/http_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void urls_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {
        "http://localhost",     "https://a.example.test:8443/v1/traces?x=1",
        "http://[::1]:4318/v1", "http://127.0.0.1:1/",
        "https://a?b",          "http://[::1]",
    };
    static const char *const bad[] = {
        "",           "localhost:4318", "http://",        "http:///x",    "http://a:0",
        "http://a:b", "http://a:65536", "http://a:",      "http://u@a/",  "http://a/b c",
        "http://a/#", "http://a\n/",    "http://[::1",    "http://[]:80", "http://[::1]x",
        "file:///x",  "HTTP//a",        "http://a\\b.c/", "http://:80",   "unix:///x",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(http_url_is_valid(bytes_from_text(good[i]), NULL));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *why = NULL;
        assert_false(http_url_is_valid(bytes_from_text(bad[i]), &why));
        assert_non_null(why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
