// SPDX-License-Identifier: Apache-2.0
//
// Every row of the table of outcomes, and what the wire is told for each.
#include "base/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/crash.h"

static void every_outcome_has_label_text_and_statuses(void **state)
{
    (void)state;
    for (int i = 0; i < RESULT_COUNT; i++) {
        enum result result = (enum result)i;
        assert_true(strlen(result_label(result)) > 1);
        assert_true(strlen(result_text(result)) > 1);
        assert_in_range(result_grpc_status(result), 0, 16);
        assert_in_range(result_http_status(result), 200, 599);
        assert_int_equal(strspn(result_label(result), "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(result_label(result)));
    }
}

static void labels_are_distinct(void **state)
{
    (void)state;
    for (int a = 0; a < RESULT_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(result_label((enum result)a), result_label((enum result)b));
        }
    }
}

static void only_ok_is_a_success_on_the_wire(void **state)
{
    (void)state;
    assert_int_equal(result_grpc_status(RESULT_OK), 0);
    assert_int_equal(result_http_status(RESULT_OK), 200);
    for (int i = 1; i < RESULT_COUNT; i++) {
        assert_int_not_equal(result_grpc_status((enum result)i), 0);
        assert_in_range(result_http_status((enum result)i), 400, 599);
    }
}

// Some official SDKs do not retry RESOURCE_EXHAUSTED or 429: overload is UNAVAILABLE and 503.
static void overload_is_retryable_by_every_sdk(void **state)
{
    (void)state;
    const enum result overloads[] = {RESULT_RETRY, RESULT_SHED, RESULT_STOP};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(result_grpc_status(overloads[i]), 14);
        assert_int_equal(result_http_status(overloads[i]), 503);
    }
}

static void ask_beyond(void *arg)
{
    result_label(*(enum result *)arg);
}

static void a_number_that_is_no_outcome_crashes(void **state)
{
    (void)state;
    int values[] = {RESULT_COUNT, -1, 1 << 30};
    for (size_t i = 0; i < 3; i++) {
        assert_true(crashes(ask_beyond, &values[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_label_text_and_statuses),
        cmocka_unit_test(labels_are_distinct),
        cmocka_unit_test(only_ok_is_a_success_on_the_wire),
        cmocka_unit_test(overload_is_retryable_by_every_sdk),
        cmocka_unit_test(a_number_that_is_no_outcome_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
