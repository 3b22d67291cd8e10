// SPDX-License-Identifier: Apache-2.0
//
// Failed checks, watched from outside in a child process.
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/crash.h"

static void check_false(void *arg)
{
    int two = *(int *)arg;
    CHECK(two + two == 5);
}

static void check_true(void *arg)
{
    CHECK(arg != NULL);
}

static void check_long(void *arg)
{
    check_failed("file.c", 7, arg);
}

static void a_true_check_passes(void **state)
{
    (void)state;
    int one = 1;
    check_true(&one);
    assert_false(crashes(check_true, &one));
}

static void a_false_check_says_where_and_what_and_aborts(void **state)
{
    (void)state;
    int two = 2;
    assert_true(crashes_with("check_test.c:", check_false, &two));
    assert_true(crashes_with(": check failed: two + two == 5\n", check_false, &two));
}

static void a_long_expression_is_cut_and_still_ends_its_line(void **state)
{
    (void)state;
    static char expression[2000];
    memset(expression, 'q', sizeof expression - 1);
    assert_true(crashes_with("qqq\n", check_long, expression));
}

static void an_expression_is_evaluated_once(void **state)
{
    (void)state;
    int count = 0;
    CHECK(++count == 1);
    assert_int_equal(count, 1);
}

static void a_tag_reads_from_left_to_right(void **state)
{
    (void)state;
    assert_int_equal(MAGIC('B', 'T', 'C', 'H'), 0x42544348);
    assert_int_equal(MAGIC(0xff, 0, 0, 1), 0xff000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_check_passes),
        cmocka_unit_test(a_false_check_says_where_and_what_and_aborts),
        cmocka_unit_test(a_long_expression_is_cut_and_still_ends_its_line),
        cmocka_unit_test(an_expression_is_evaluated_once),
        cmocka_unit_test(a_tag_reads_from_left_to_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
