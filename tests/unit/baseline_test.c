// SPDX-License-Identifier: Apache-2.0
// The baseline ladder: 1 at first, then a power of two that half of the budget pays for; down at
// once, up with hysteresis; and the lowest step of the last 24 hours.
#include "processor/baseline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define HOUR_NS (3600 * NS_PER_S)

struct traffic {
    struct baseline *baseline;
    uint64_t now_ns;
};

// Runs `seconds` seconds of `per_second` interactions, all seen, none graded.
static void run(struct traffic *traffic, unsigned seconds, unsigned per_second, double usd_per_s,
                double calls_per_second)
{
    for (unsigned s = 0; s < seconds; s++) {
        for (unsigned i = 0; i < per_second; i++) {
            baseline_saw(traffic->baseline, traffic->now_ns);
        }
        traffic->now_ns += NS_PER_S;
        baseline_adjust(traffic->baseline, usd_per_s, calls_per_second, traffic->now_ns);
    }
}

static void grade(struct traffic *traffic, unsigned count, double cost_usd)
{
    for (unsigned i = 0; i < count; i++) {
        baseline_graded(traffic->baseline, cost_usd, traffic->now_ns);
    }
}

static struct traffic traffic_new(void)
{
    struct traffic traffic = {baseline_new(true, 0), 1000 * HOUR_NS};
    baseline_adjust(traffic.baseline, 0.001, 0, traffic.now_ns);
    return traffic;
}

static void a_fixed_probability_never_moves(void **state)
{
    (void)state;
    struct traffic traffic = {baseline_new(false, 0.3), HOUR_NS};
    grade(&traffic, 100, 1);
    run(&traffic, 60, 100, 0.00001, 1);
    assert_true(baseline_probability(traffic.baseline) == 0.3);
    assert_true(baseline_plain(traffic.baseline) == 0.3);
    baseline_free(traffic.baseline);
}

static void it_is_one_until_twenty_were_graded(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 19, 1);
    run(&traffic, 60, 100, 0.00001, 0);
    assert_true(baseline_probability(traffic.baseline) == 1);
    grade(&traffic, 1, 1);
    run(&traffic, 1, 100, 0.00001, 0);
    assert_true(baseline_probability(traffic.baseline) < 0.001);
    baseline_free(traffic.baseline);
}

static void the_step_is_what_half_of_the_budget_pays_for(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    run(&traffic, 600, 10, 0.001, 0);  // 10/s at 0.001 USD: a tenth can be paid for
    assert_true(baseline_probability(traffic.baseline) == 0.0625);
    baseline_free(traffic.baseline);
}

static void it_is_right_from_the_first_seconds_on(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    run(&traffic, 2, 10, 0.001, 0);
    assert_true(baseline_probability(traffic.baseline) == 0.0625);
    baseline_free(traffic.baseline);
}

static void it_stays_one_where_all_can_be_paid_for(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 200, 0.001);
    run(&traffic, 600, 1, 0.01, 0);
    assert_true(baseline_probability(traffic.baseline) == 1);
    baseline_free(traffic.baseline);
}

static void calls_per_second_bound_it_too(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0);  // costs nothing
    run(&traffic, 600, 100, 0, 10);
    assert_true(baseline_probability(traffic.baseline) == 0.03125);  // 5 of 100 calls
    baseline_free(traffic.baseline);
}

static void it_comes_back_when_traffic_falls(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    run(&traffic, 600, 100, 0.001, 0);
    double low = baseline_probability(traffic.baseline);
    assert_true(low <= 0.01);
    run(&traffic, 7200, 0, 0.001, 0);
    assert_true(baseline_probability(traffic.baseline) == 1);
    assert_true(baseline_plain(traffic.baseline) <= low);
    baseline_free(traffic.baseline);
}

static void a_step_up_needs_twice_the_room(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    run(&traffic, 3600, 10, 0.0045, 0);  // 0.45 can be paid for
    assert_true(baseline_probability(traffic.baseline) == 0.25);
    run(&traffic, 3600, 10, 0.0055, 0);  // 0.55: half would fit, barely
    assert_true(baseline_probability(traffic.baseline) == 0.25);
    run(&traffic, 3600, 10, 0.0105, 0);
    assert_true(baseline_probability(traffic.baseline) == 0.5);
    baseline_free(traffic.baseline);
}

static void it_never_falls_below_the_last_step(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 100);
    run(&traffic, 10, 1000, 1e-9, 0);
    assert_true(baseline_probability(traffic.baseline) == ldexp(1, -20));
    baseline_free(traffic.baseline);
}

// A day of this traffic, minute by minute.
static void day(struct traffic *traffic, unsigned per_minute)
{
    for (unsigned minute = 0; minute < 24 * 60 + 2; minute++) {
        for (unsigned i = 0; i < per_minute; i++) {
            baseline_saw(traffic->baseline, traffic->now_ns);
        }
        traffic->now_ns += 60 * NS_PER_S;
        baseline_adjust(traffic->baseline, 0.001, 0, traffic->now_ns);
    }
}

static void the_lowest_step_is_remembered_for_a_day(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    day(&traffic, 600);
    run(&traffic, 60, 10, 0.001, 0);
    double low = baseline_plain(traffic.baseline);
    assert_true(low == 0.0625);
    assert_true(baseline_probability(traffic.baseline) == low);
    uint64_t end_ns = traffic.now_ns;
    run(&traffic, 7200, 0, 0.001, 0);
    assert_true(baseline_probability(traffic.baseline) == 1);
    for (unsigned hour = 3; hour <= 24; hour++) {
        traffic.now_ns = end_ns + hour * HOUR_NS - NS_PER_S;
        baseline_adjust(traffic.baseline, 0.001, 0, traffic.now_ns);
        assert_true(baseline_plain(traffic.baseline) == low);
    }
    traffic.now_ns = end_ns + 28 * HOUR_NS;  // the climb took two hours
    baseline_adjust(traffic.baseline, 0.001, 0, traffic.now_ns);
    assert_true(baseline_plain(traffic.baseline) == 1);
    baseline_free(traffic.baseline);
}

static void the_first_minute_belongs_to_no_plain_sample(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    assert_true(baseline_plain(traffic.baseline) == 0);
    grade(&traffic, 20, 0.001);
    for (unsigned s = 0; s < 59; s++) {
        run(&traffic, 1, 10, 0.001, 0);
        assert_true(baseline_plain(traffic.baseline) == 0);
    }
    run(&traffic, 1, 10, 0.001, 0);
    assert_true(baseline_plain(traffic.baseline) > 0);
    baseline_free(traffic.baseline);
}

static void without_a_graded_interaction_there_is_no_plain_sample(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    day(&traffic, 600);
    assert_true(baseline_plain(traffic.baseline) == 0);
    baseline_free(traffic.baseline);
}

static void the_first_day_stays_with_an_eighth_of_what_could_be_paid_for(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    run(&traffic, 120, 1, 0.001, 0);  // at night: all can be paid for
    assert_true(baseline_probability(traffic.baseline) == 1);
    assert_true(baseline_plain(traffic.baseline) == 0.125);
    run(&traffic, 8 * 3600, 8, 0.001, 0);  // by day an eighth
    assert_true(baseline_probability(traffic.baseline) == 0.125);
    assert_true(baseline_plain(traffic.baseline) == 0.125);
    run(&traffic, 600, 1, 0.001, 0);
    assert_true(baseline_plain(traffic.baseline) == 0.125);
    baseline_free(traffic.baseline);
}

static void traffic_beyond_the_reserve_lowers_the_first_days_step_for_good(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    run(&traffic, 120, 1, 0.001, 0);
    run(&traffic, 3600, 64, 0.001, 0);
    assert_true(baseline_plain(traffic.baseline) == 0.015625);
    run(&traffic, 10 * 3600, 1, 0.001, 0);
    assert_true(baseline_plain(traffic.baseline) == 0.015625);
    baseline_free(traffic.baseline);
}

static void where_the_budget_pays_for_all_many_times_over_all_are_plain(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 1, 0.001);
    run(&traffic, 120, 1, 1, 0);
    assert_true(baseline_plain(traffic.baseline) == 1);
    baseline_free(traffic.baseline);
}

static void the_plain_sample_lies_within_the_baselines(void **state)
{
    (void)state;
    struct traffic traffic = traffic_new();
    grade(&traffic, 20, 0.001);
    for (unsigned i = 0; i < 200; i++) {
        run(&traffic, 30, i % 7 * 20, 0.001, 0);
        assert_true(baseline_plain(traffic.baseline) <= baseline_probability(traffic.baseline));
    }
    baseline_free(traffic.baseline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_probability_never_moves),
        cmocka_unit_test(it_is_one_until_twenty_were_graded),
        cmocka_unit_test(the_step_is_what_half_of_the_budget_pays_for),
        cmocka_unit_test(it_is_right_from_the_first_seconds_on),
        cmocka_unit_test(it_stays_one_where_all_can_be_paid_for),
        cmocka_unit_test(calls_per_second_bound_it_too),
        cmocka_unit_test(it_comes_back_when_traffic_falls),
        cmocka_unit_test(a_step_up_needs_twice_the_room),
        cmocka_unit_test(it_never_falls_below_the_last_step),
        cmocka_unit_test(the_lowest_step_is_remembered_for_a_day),
        cmocka_unit_test(the_first_minute_belongs_to_no_plain_sample),
        cmocka_unit_test(without_a_graded_interaction_there_is_no_plain_sample),
        cmocka_unit_test(the_first_day_stays_with_an_eighth_of_what_could_be_paid_for),
        cmocka_unit_test(traffic_beyond_the_reserve_lowers_the_first_days_step_for_good),
        cmocka_unit_test(where_the_budget_pays_for_all_many_times_over_all_are_plain),
        cmocka_unit_test(the_plain_sample_lies_within_the_baselines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
