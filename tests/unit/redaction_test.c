// SPDX-License-Identifier: Apache-2.0
// The pass over a text: several kinds beside one another, escapes of JSON, counts, and that hostile
// text costs no more than other text, within a bound on the clock of the process that is far above
// what it takes. What each kind masks is in the tests of secret, keyword and personal_data.
#include "processor/redaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/mask_rows.h"

static struct redactor *redactor;

static void kinds_stand_beside_one_another(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"jane@example.com,+14155552671;10.0.0.1", "[EMAIL],[PHONE];[IP]"},
        {"{\"note\":\"call\\n+1 415 555 2671\\tmail\\njane@example.com\"}",
         "{\"note\":\"call\\n[PHONE]\\tmail\\n[EMAIL]\"}"},
        {"token=" MADE_UP " password=hunter2 4111111111111111",
         "token=[SECRET] password=[SECRET] [CARD]"},
        {"_jane@example.com_ --password=hunter2", "_[EMAIL]_ --password=[SECRET]"},
        {"Nothing to see here, order 10024 of 2024-01-15.", NULL},
    };
    CHECK_ROWS(rows);
}

static void an_empty_text_stays_empty(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 16);
    assert_int_equal(redact(redactor, BYTES_NONE, &out), 0);
    assert_int_equal(out.len, 0);
    buffer_fini(&out);
}

static void without_a_redactor_text_is_copied(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 64);
    assert_int_equal(redact(NULL, BYTES_LITERAL("alice@example.com"), &out), 0);
    assert_string_equal(buffer_text(&out), "alice@example.com");
    buffer_fini(&out);
}

static void masks_are_counted(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 256);
    assert_int_equal(redact(redactor, BYTES_LITERAL("a@b.io, 10.0.0.1, +14155552671"), &out), 3);
    buffer_fini(&out);
}

static void hostile_repeats_take_linear_time(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "a",
        "a.",
        "a@",
        "a/",
        "1 ",
        "1-",
        "1.",
        "1.1.1.",
        "+1",
        "(",
        "sk-.",
        "SG.",
        "eyJ.",
        "eyJaaaaaaa=",
        "token=",
        "password:[",
        "secret ",
        "-----BEGIN ",
        "DE89 ",
        "DE89    ",
        "4111 ",
        "f:",
        "::",
        "a.b+c%",
        "\\n",
        "bearer ",
        "tel ",
        "\xff",
        "A1b/",
        "password is ",
        "aB3/",
        "version 1",
        "api_key=a.a.",
        "SG.aB3dE5g.",
        "eyJaaaaaaaaaa.",
        "-----BEGIN PRIVATE KEY",
    };
    const size_t len = (size_t)1 << 20;
    char *text = malloc(len);
    assert_non_null(text);
    struct buffer out;
    buffer_init(&out, 8 * len);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        size_t pattern_len = strlen(patterns[i]);
        for (size_t k = 0; k < len; k++) {
            text[k] = patterns[i][k % pattern_len];
        }
        uint64_t before = clock_process_cpu_ns();
        buffer_reset(&out);
        (void)redact(redactor, bytes_from(text, len), &out);
        assert_int_equal(buffer_status(&out), RESULT_OK);
        assert_true(clock_process_cpu_ns() - before < 20 * NS_PER_S);  // quadratic: an hour
    }
    buffer_fini(&out);
    free(text);
}

static int redactor_setup(void **state)
{
    (void)state;
    redactor = redactor_new();
    return 0;
}

static int redactor_teardown(void **state)
{
    (void)state;
    redactor_free(redactor);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_stand_beside_one_another),
        cmocka_unit_test(an_empty_text_stays_empty),
        cmocka_unit_test(without_a_redactor_text_is_copied),
        cmocka_unit_test(masks_are_counted),
        cmocka_unit_test(hostile_repeats_take_linear_time),
    };
    return cmocka_run_group_tests(tests, redactor_setup, redactor_teardown);
}
