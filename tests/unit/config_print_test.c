// SPDX-License-Identifier: Apache-2.0
/*
 * Printing configurations: what is printed loads to the same, and secrets do not show.
 */
#include "base/config_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void print(const char *yaml, struct buffer *out)
{
    setenv("SJ_PRINT", yaml, 1);
    const char *source = "env:SJ_PRINT";
    struct config *config = NULL;
    struct buffer errors;
    buffer_init(&errors, 1 << 16);
    assert_int_equal(config_load(&source, 1, NULL, 0, &config, &errors, NULL), RESULT_OK);
    config_print(config, out);
    config_free(&config);
    buffer_fini(&errors);
}

static void assert_prints(const char *yaml, const char *text)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    print(yaml, &out);
    assert_string_equal(buffer_text(&out), text);
    buffer_fini(&out);
}

static void maps_lists_and_scalars_print_in_blocks(void **state)
{
    (void)state;
    assert_prints("{a: {b: 5, c: [x, \"5\", {d: e}], f: , g: {}, h: []}}", "a:\n"
                                                                           "  b: 5\n"
                                                                           "  c:\n"
                                                                           "    - x\n"
                                                                           "    - \"5\"\n"
                                                                           "    -\n"
                                                                           "      d: e\n"
                                                                           "  f: null\n"
                                                                           "  g: {}\n"
                                                                           "  h: []\n");
    assert_prints("", "{}\n");
}

static void printed_text_loads_and_prints_the_same(void **state)
{
    (void)state;
    const char *yaml = "a: \"line\\n\\ttab \\\"q\\\" \\\\ $$x # no\"\n"
                       "'b c': ['- x', 'y: z', '', '~', \"\\e\"]\n"
                       "url: http://localhost:4317/v1?a=b\n"
                       "otlp/2: {x: 1.5e3, y: true}\n";
    struct buffer once;
    struct buffer twice;
    buffer_init(&once, 1 << 16);
    buffer_init(&twice, 1 << 16);
    print(yaml, &once);
    print(buffer_text(&once), &twice);
    assert_string_equal(buffer_text(&once), buffer_text(&twice));
    assert_non_null(strstr(buffer_text(&once), "$$x"));
    buffer_fini(&once);
    buffer_fini(&twice);
}

static void secrets_are_masked_by_key(void **state)
{
    (void)state;
    assert_prints("{api_key: a, PASSWORD: 5, bearer_token: [b], headers: {x-a: c, x: {y: d}}}",
                  "api_key: \"[REDACTED]\"\n"
                  "PASSWORD: \"[REDACTED]\"\n"
                  "bearer_token:\n"
                  "  - \"[REDACTED]\"\n"
                  "headers:\n"
                  "  x-a: \"[REDACTED]\"\n"
                  "  x:\n"
                  "    y: \"[REDACTED]\"\n");
}

static void users_in_urls_are_masked(void **state)
{
    (void)state;
    assert_prints("proxy: http://me:pw@host:3128/x", "proxy: \"http://[REDACTED]@host:3128/x\"\n");
}

static void ordinary_keys_are_not_secrets(void **state)
{
    (void)state;
    static const char *const plain[] = {"max_tokens", "input_per_mtok", "key_file", "tokens",
                                        "endpoint",   "secrets",        ""};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        assert_false(config_key_is_secret(bytes_from_text(plain[i])));
    }
    assert_false(config_key_hides_all_below(BYTES_LITERAL("header")));
    assert_true(config_key_hides_all_below(BYTES_LITERAL("additional_headers")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_lists_and_scalars_print_in_blocks),
        cmocka_unit_test(printed_text_loads_and_prints_the_same),
        cmocka_unit_test(secrets_are_masked_by_key),
        cmocka_unit_test(users_in_urls_are_masked),
        cmocka_unit_test(ordinary_keys_are_not_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
