// SPDX-License-Identifier: Apache-2.0
/*
 * Durations and sizes: tables of what is understood and what is not, and the way back to text.
 */
#include "base/option_units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void durations_of_go_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"5s", INT64_C(5000000000)},
        {"1h2m3.5s", INT64_C(3723500000000)},
        {"200ms", 200000000},
        {".5s", 500000000},
        {"1.s", 1000000000},
        {"0.1s", 100000000},
        {"1.000000001s", 1000000001},
        {"2us", 2000},
        {"2\xc2\xb5s", 2000},
        {"2\xce\xbcs", 2000},
        {"7ns", 7},
        {"-1m", INT64_C(-60000000000)},
        {"+1m", INT64_C(60000000000)},
        {" 1s ", 1000000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = -42;
        assert_true(duration_parse(bytes_from_text(rows[i].text), &ns));
        assert_int_equal(ns, rows[i].ns);
    }
}

static void other_durations_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " ",
        "5",
        "s",
        "abc",
        "1d",
        "1 s",
        "1s 2m",
        "--1s",
        "1..2s",
        "1e3s",
        ".s",
        "1sx",
        "1S",
        "300000000h",
        "1h-2m",
        "99999999999999999999s",
        "-",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = 42;
        assert_false(duration_parse(bytes_from_text(rows[i]), &ns));
        assert_int_equal(ns, 42);
    }
}

static void sizes_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } rows[] = {
        {"0", 0},         {"123", 123},     {"64MiB", 64 << 20},
        {"4MB", 4000000}, {"1.5KiB", 1536}, {"2 GiB", INT64_C(2) << 30},
        {"10kb", 10000},  {"1Mi", 1 << 20}, {"5B", 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t bytes = -42;
        assert_true(size_parse(bytes_from_text(rows[i].text), &bytes));
        assert_int_equal(bytes, rows[i].bytes);
    }
}

static void other_sizes_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "MiB", "-1", "1XB", "1 2", "0x10", "9223372036854775808", "9000000TiB", "."};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t bytes = 42;
        assert_false(size_parse(bytes_from_text(rows[i]), &bytes));
        assert_int_equal(bytes, 42);
    }
}

static void durations_print_as_go_prints_them(void **state)
{
    (void)state;
    static const char *const rows[] = {"0s", "5s", "200ms", "1m30s", "1h", "2h0.5s", "7ns", "1.5s"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns;
        char text[OPTION_UNITS_TEXT_MAX];
        assert_true(duration_parse(bytes_from_text(rows[i]), &ns));
        duration_format(ns, text);
        assert_string_equal(text, rows[i]);
    }
}

static void sizes_print_in_the_largest_exact_unit(void **state)
{
    (void)state;
    char text[OPTION_UNITS_TEXT_MAX];
    size_format(64 << 20, text);
    assert_string_equal(text, "64MiB");
    size_format(1000, text);
    assert_string_equal(text, "1000");
    size_format(0, text);
    assert_string_equal(text, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_of_go_are_understood),
        cmocka_unit_test(other_durations_are_refused),
        cmocka_unit_test(sizes_are_understood),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(durations_print_as_go_prints_them),
        cmocka_unit_test(sizes_print_in_the_largest_exact_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
