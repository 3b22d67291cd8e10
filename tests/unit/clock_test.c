// SPDX-License-Identifier: Apache-2.0
//
// The clocks, and times of day in text.
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_format(uint64_t wall_ns, const char *expected)
{
    char out[25];
    memset(out, 'x', sizeof out);
    clock_format(wall_ns, out);
    assert_string_equal(out, expected);
}

static void times_are_written_in_utc_with_milliseconds(void **state)
{
    (void)state;
    expect_format(0, "1970-01-01T00:00:00.000Z");
    expect_format(UINT64_C(1767323045678999999), "2026-01-02T03:04:05.678Z");
    expect_format(UINT64_C(951782399999999999), "2000-02-28T23:59:59.999Z");
    expect_format(UINT64_C(951782400000000000), "2000-02-29T00:00:00.000Z");
    expect_format(999999, "1970-01-01T00:00:00.000Z");
}

static void the_largest_time_still_fits(void **state)
{
    (void)state;
    expect_format(UINT64_MAX, "2554-07-21T23:34:33.709Z");
}

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    uint64_t last_ns = clock_mono_ns();
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now_ns = clock_mono_ns();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

static void wall_time_is_of_this_century(void **state)
{
    (void)state;
    assert_true(clock_wall_ns() > UINT64_C(1700000000) * NS_PER_S);
    assert_true(clock_wall_ns() < UINT64_C(4102444800) * NS_PER_S);
}

static void cpu_time_grows_with_work(void **state)
{
    (void)state;
    uint64_t before_ns = clock_process_cpu_ns();
    volatile unsigned work = 0;
    while (clock_process_cpu_ns() == before_ns) {
        work = work + 1;
    }
    assert_true(clock_process_cpu_ns() > before_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_in_utc_with_milliseconds),
        cmocka_unit_test(the_largest_time_still_fits),
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(wall_time_is_of_this_century),
        cmocka_unit_test(cpu_time_grows_with_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
