// SPDX-License-Identifier: Apache-2.0
//
// Views: comparing, cutting, finding, and which texts are numbers; most rows say what is none.
#include "base/bytes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct bytes text(const char *literal)
{
    return bytes_from_text(literal);
}

static void empty_views_are_equal_however_they_are_written(void **state)
{
    (void)state;
    assert_true(bytes_equal(BYTES_NONE, BYTES_LITERAL("")));
    assert_true(bytes_equal(BYTES_NONE, text(NULL)));
    assert_true(bytes_equal_text(BYTES_NONE, ""));
    assert_true(bytes_equal_nocase(BYTES_NONE, ""));
    assert_int_equal(bytes_compare(BYTES_NONE, BYTES_LITERAL("")), 0);
    assert_false(bytes_equal(BYTES_NONE, text("a")));
}

static void equality_is_of_all_bytes_including_nul(void **state)
{
    (void)state;
    assert_true(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0b")));
    assert_false(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0c")));
    assert_false(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a")));
    assert_false(bytes_equal_text(BYTES_LITERAL("a\0"), "a"));
}

static void only_ascii_letters_are_folded(void **state)
{
    (void)state;
    assert_true(bytes_equal_nocase(text("Content-TYPE"), "content-type"));
    assert_false(bytes_equal_nocase(text("a@"), "a`"));  // differ in the case bit only
    assert_false(bytes_equal_nocase(text("a["), "a{"));
    assert_false(bytes_equal_nocase(text("\xc4"), "\xe4"));
    assert_false(bytes_equal_nocase(text("abc"), "ab"));
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(bytes_start_with(text("gen_ai.usage"), text("gen_ai.")));
    assert_true(bytes_end_with(text("gen_ai.usage"), text("usage")));
    assert_true(bytes_start_with(text("a"), BYTES_NONE));
    assert_true(bytes_end_with(BYTES_NONE, BYTES_NONE));
    assert_false(bytes_start_with(text("gen"), text("gen_ai")));
    assert_false(bytes_end_with(text("age"), text("usage")));
    assert_false(bytes_start_with(text("xgen"), text("gen")));
    assert_false(bytes_end_with(text("genx"), text("gen")));
}

static void order_is_by_byte_then_by_length(void **state)
{
    (void)state;
    assert_true(bytes_compare(text("a"), text("b")) < 0);
    assert_true(bytes_compare(text("b"), text("abc")) > 0);
    assert_true(bytes_compare(text("ab"), text("abc")) < 0);
    assert_true(bytes_compare(text("\xff"), text("a")) > 0);
    assert_true(bytes_compare(BYTES_NONE, text("a")) < 0);
}

static void slices_are_clamped_to_the_view(void **state)
{
    (void)state;
    struct bytes a = text("hello");
    assert_true(bytes_equal_text(bytes_slice(a, 1, 3), "ell"));
    assert_true(bytes_equal_text(bytes_slice(a, 3, SIZE_MAX), "lo"));
    assert_int_equal(bytes_slice(a, 5, 1).len, 0);
    assert_int_equal(bytes_slice(a, SIZE_MAX, SIZE_MAX).len, 0);
    assert_null(bytes_slice(BYTES_NONE, 3, 3).ptr);
}

static void finding_starts_at_the_given_place(void **state)
{
    (void)state;
    struct bytes a = text("abcabc");
    assert_int_equal(bytes_find(a, text("bc"), 0), 1);
    assert_int_equal(bytes_find(a, text("bc"), 2), 4);
    assert_int_equal(bytes_find(a, BYTES_NONE, 6), 6);
    assert_int_equal(bytes_find(BYTES_NONE, BYTES_NONE, 0), 0);
    assert_true(bytes_find(a, text("bc"), 5) == SIZE_MAX);
    assert_true(bytes_find(a, text("bc"), 6) == SIZE_MAX);
    assert_true(bytes_find(a, BYTES_NONE, 7) == SIZE_MAX);
    assert_true(bytes_find(a, text("abcabcd"), 0) == SIZE_MAX);
    assert_true(bytes_find(BYTES_NONE, text("a"), 0) == SIZE_MAX);
}

static void white_space_goes_from_both_ends_only(void **state)
{
    (void)state;
    assert_true(bytes_equal_text(bytes_trim(text(" \t\r\n a b \v\f")), "a b"));
    assert_int_equal(bytes_trim(text("   ")).len, 0);
    assert_int_equal(bytes_trim(BYTES_NONE).len, 0);
    assert_true(bytes_equal(bytes_trim(BYTES_LITERAL("\0 ")), BYTES_LITERAL("\0")));
}

static void whole_numbers_up_to_their_limits(void **state)
{
    (void)state;
    uint64_t u = 0;
    int64_t i = 0;
    assert_true(bytes_to_u64(text("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_true(bytes_to_u64(text("000000000000000000000000007"), &u));
    assert_true(u == 7);
    assert_true(bytes_to_i64(text("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(bytes_to_i64(text("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
}

static void what_is_not_wholly_a_number_is_none(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               " 1",
                               "1 ",
                               "+1",
                               "1.0",
                               "0x10",
                               "1e3",
                               "12a",
                               "--1",
                               "1-2",
                               "\xd9\xa1",
                               "18446744073709551616",
                               "99999999999999999999999999"};
    for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) {
        uint64_t u = 42;
        int64_t i = 42;
        assert_false(bytes_to_u64(text(bad[n]), &u));
        assert_false(bytes_to_i64(text(bad[n]), &i));
        assert_true(u == 42 && i == 42);
    }
    uint64_t u;
    int64_t i;
    assert_false(bytes_to_u64(text("-1"), &u));
    assert_false(bytes_to_i64(text("-"), &i));
    assert_false(bytes_to_i64(text("9223372036854775808"), &i));
    assert_false(bytes_to_i64(text("-9223372036854775809"), &i));
    assert_false(bytes_to_u64(BYTES_LITERAL("1\0"), &u));
}

static void decimals_are_read_exactly(void **state)
{
    (void)state;
    double value = 0;
    assert_true(bytes_to_double(text("0.1"), &value) && value == 0.1);
    assert_true(bytes_to_double(text("-1.5e3"), &value) && value == -1500);
    assert_true(bytes_to_double(text("+.5"), &value) && value == 0.5);
    assert_true(bytes_to_double(text("5."), &value) && value == 5);
    assert_true(bytes_to_double(text("1e-400"), &value) && value == 0);
    assert_true(bytes_to_double(bytes_slice(text("12345"), 0, 2), &value) && value == 12);
}

static void what_is_not_a_finite_decimal_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",      " 1",    "1 ",     "nan", "inf",   "-inf", "Infinity",
                               "0x1p3", "1e999", "-1e999", "1,5", "1.2.3", "e5",   ".",
                               "-",     "1e",    "1e+",    "--1", "1_000"};
    for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) {
        double value = 42;
        assert_false(bytes_to_double(text(bad[n]), &value));
        assert_true(value == 42);
    }
    char zeros[200];
    memset(zeros, '0', sizeof zeros);
    double value;
    assert_true(bytes_to_double(bytes_from(zeros, 128), &value));
    assert_false(bytes_to_double(bytes_from(zeros, 129), &value));
    assert_false(bytes_to_double(BYTES_LITERAL("1\0"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_views_are_equal_however_they_are_written),
        cmocka_unit_test(equality_is_of_all_bytes_including_nul),
        cmocka_unit_test(only_ascii_letters_are_folded),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(order_is_by_byte_then_by_length),
        cmocka_unit_test(slices_are_clamped_to_the_view),
        cmocka_unit_test(finding_starts_at_the_given_place),
        cmocka_unit_test(white_space_goes_from_both_ends_only),
        cmocka_unit_test(whole_numbers_up_to_their_limits),
        cmocka_unit_test(what_is_not_wholly_a_number_is_none),
        cmocka_unit_test(decimals_are_read_exactly),
        cmocka_unit_test(what_is_not_a_finite_decimal_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
