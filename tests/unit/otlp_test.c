// SPDX-License-Identifier: Apache-2.0
//
// The signals' words, as the Collector's metrics have them.
#include "proto/otlp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/crash.h"

static void signals_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(signal_name(SIGNAL_TRACES), "traces");
    assert_string_equal(signal_name(SIGNAL_METRICS), "metrics");
    assert_string_equal(signal_name(SIGNAL_LOGS), "logs");
    assert_string_equal(signal_items(SIGNAL_TRACES), "spans");
    assert_string_equal(signal_items(SIGNAL_METRICS), "metric_points");
    assert_string_equal(signal_items(SIGNAL_LOGS), "log_records");
}

static void name_unknown(void *arg)
{
    (void)arg;
    (void)signal_name(SIGNAL_COUNT);
}

static void a_signal_that_does_not_exist_crashes(void **state)
{
    (void)state;
    assert_true(crashes(name_unknown, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_have_their_names),
        cmocka_unit_test(a_signal_that_does_not_exist_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
