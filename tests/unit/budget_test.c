// SPDX-License-Identifier: Apache-2.0
// What the budget grants: by the clock that it is given, so that a day takes no time. Halves, what
// may be saved up, the first grant, refunds, and a thousand starts in a day.
#include "processor/budget.h"

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
#include "base/random.h"

#define DAY_S 86400
#define START_NS (5000 * NS_PER_S)

static const struct budget_config one_dollar = {.usd_per_day = 1, .replicas = 1};

static bool take(struct budget *budget, bool baseline, double usd, uint64_t now_ns)
{
    return budget_take(budget, baseline, usd, 1, now_ns) == BUDGET_GRANTED;
}

// Asks until nothing is granted; returns what was.
static double take_all(struct budget *budget, bool baseline, double usd, uint64_t now_ns)
{
    double sum = 0;
    while (sum < 10 && take(budget, baseline, usd, now_ns)) {
        budget_settle(budget, baseline, usd, usd, now_ns);
        sum += usd;
    }
    return sum;
}

static struct budget *budget_saved_up(void)
{
    struct budget *budget = budget_new(&one_dollar, START_NS);
    struct budget_status status;
    budget_status(budget, &status, START_NS + 2 * DAY_S * NS_PER_S);
    return budget;
}
#define SAVED_NS (START_NS + 2 * DAY_S * NS_PER_S)

static void a_new_process_has_a_minute(void **state)
{
    (void)state;
    struct budget *budget = budget_new(&one_dollar, START_NS);
    struct budget_status status;
    budget_status(budget, &status, START_NS);
    assert_true(fabs(status.available_usd - 60.0 / DAY_S) < 1e-9);
    assert_true(status.usd_per_day == 1 && status.spent_usd == 0);
    budget_free(budget);
}

static void the_first_grant_may_overdraw_and_is_owed(void **state)
{
    (void)state;
    struct budget *budget = budget_new(&one_dollar, START_NS);
    assert_true(budget_first_limit(budget, true, START_NS) == 1 / 500.0);
    assert_false(take(budget, true, 0.0021, START_NS));
    assert_true(take(budget, true, 0.002, START_NS));
    assert_true(isinf(budget_first_limit(budget, true, START_NS)));
    assert_false(take(budget, true, 0.00001, START_NS));
    assert_false(take(budget, false, 0.00001, START_NS));
    assert_false(take(budget, true, 0.00001, START_NS + 100 * NS_PER_S));
    assert_true(take(budget, true, 0.00001, START_NS + 120 * NS_PER_S));
    budget_free(budget);
}

static void a_first_grant_that_cost_nothing_may_be_repeated(void **state)
{
    (void)state;
    struct budget *budget = budget_new(&one_dollar, START_NS);
    assert_true(take(budget, true, 0.002, START_NS));
    budget_settle(budget, true, 0.002, 0, START_NS);
    assert_true(take(budget, true, 0.002, START_NS));
    budget_settle(budget, true, 0.002, 0.001, START_NS);
    assert_false(take(budget, true, 0.002, START_NS));
    budget_free(budget);
}

static void a_failed_call_beside_others_does_not_make_the_next_one_the_first(void **state)
{
    (void)state;
    struct budget *budget = budget_new(&one_dollar, START_NS);
    assert_true(take(budget, true, 0.0001, START_NS));
    assert_true(take(budget, true, 0.0001, START_NS));
    budget_settle(budget, true, 0.0001, 0, START_NS);
    assert_false(take(budget, true, 0.002, START_NS));
    budget_free(budget);
}

static void a_tenth_of_a_day_may_be_saved_up(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    struct budget_status status;
    budget_status(budget, &status, SAVED_NS);
    assert_true(fabs(status.available_usd - 0.1) < 1e-9);
    budget_free(budget);
}

static void it_refills_continuously(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    (void)take_all(budget, true, 0.001, SAVED_NS);
    (void)take_all(budget, false, 0.001, SAVED_NS);
    double sum = 0;
    for (unsigned s = 1; s <= DAY_S; s += 10) {
        uint64_t now_ns = SAVED_NS + s * NS_PER_S;
        sum += take_all(budget, true, 0.0001, now_ns) + take_all(budget, false, 0.0001, now_ns);
    }
    assert_true(sum > 0.98 && sum < 1.01);
    budget_free(budget);
}

static void a_half_keeps_half_of_its_own_from_the_other(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    double rules = take_all(budget, false, 0.0005, SAVED_NS);
    assert_true(rules > 0.074 && rules < 0.0761);  // its 0.05 and half of the other's
    double baseline = take_all(budget, true, 0.0005, SAVED_NS);
    assert_true(baseline > 0.024 && baseline < 0.0256);
    budget_free(budget);
}

static void an_unused_half_is_used_by_the_other(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    double sum = 0;
    for (unsigned s = 0; s <= DAY_S; s += 10) {
        sum += take_all(budget, false, 0.0001, SAVED_NS + s * NS_PER_S);
    }
    assert_true(sum > 1.05 && sum < 1.1);  // the whole day, and what was saved up
    budget_free(budget);
}

static void settling_returns_what_was_not_spent(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    struct budget_status before, after;
    budget_status(budget, &before, SAVED_NS);
    assert_true(take(budget, true, 0.03, SAVED_NS));
    budget_settle(budget, true, 0.03, 0.01, SAVED_NS);
    budget_status(budget, &after, SAVED_NS);
    assert_true(fabs(before.available_usd - after.available_usd - 0.01) < 1e-9);
    assert_true(fabs(after.spent_usd - 0.01) < 1e-9);
    assert_true(fabs(after.spent_today_usd - 0.01) < 1e-9);
    budget_free(budget);
}

static void a_call_that_cost_more_is_owed(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    assert_true(take(budget, true, 0.01, SAVED_NS));
    budget_settle(budget, true, 0.01, 0.2, SAVED_NS);
    assert_false(take(budget, true, 0.03, SAVED_NS));
    budget_free(budget);
}

static void what_was_spent_a_day_ago_is_not_todays(void **state)
{
    (void)state;
    struct budget *budget = budget_saved_up();
    struct budget_status status;
    assert_true(take(budget, true, 0.01, SAVED_NS));
    budget_settle(budget, true, 0.01, 0.01, SAVED_NS);
    budget_status(budget, &status, SAVED_NS + (DAY_S - 3600) * NS_PER_S);
    assert_true(status.spent_today_usd > 0);
    budget_status(budget, &status, SAVED_NS + DAY_S * NS_PER_S);
    assert_true(status.spent_today_usd == 0 && status.spent_usd > 0);
    budget_free(budget);
}

static void calls_per_second_throttle(void **state)
{
    (void)state;
    const struct budget_config config = {.usd_per_day = 100, .calls_per_second = 4, .replicas = 1};
    struct budget *budget = budget_new(&config, START_NS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(budget_take(budget, true, 0, 2, START_NS), BUDGET_GRANTED);
    }
    assert_int_equal(budget_take(budget, true, 0, 1, START_NS), BUDGET_THROTTLED);
    assert_int_equal(budget_take(budget, true, 0, 2, START_NS + NS_PER_S / 2), BUDGET_GRANTED);
    // More calls than a second holds are granted to a full bucket only.
    uint64_t later_ns = START_NS + 10 * NS_PER_S;
    assert_int_equal(budget_take(budget, true, 0, 6, later_ns), BUDGET_GRANTED);
    assert_int_equal(budget_take(budget, true, 0, 1, later_ns), BUDGET_THROTTLED);
    struct budget_status status;
    budget_status(budget, &status, later_ns);
    assert_int_equal(status.refused_throttled, 2);
    assert_int_equal(status.refused_over, 0);
    budget_free(budget);
}

static void no_budget_grants_what_costs_nothing(void **state)
{
    (void)state;
    const struct budget_config config = {.usd_per_day = 0, .replicas = 1};
    struct budget *budget = budget_new(&config, START_NS);
    for (int i = 0; i < 100; i++) {
        assert_true(take(budget, true, 0, START_NS));
        budget_settle(budget, true, 0, 0, START_NS);
    }
    assert_false(take(budget, true, 1e-9, START_NS));
    assert_false(take(budget, false, 1e-9, START_NS + DAY_S * NS_PER_S));
    budget_free(budget);
}

static void replicas_divide_it(void **state)
{
    (void)state;
    const struct budget_config config = {.usd_per_day = 10, .replicas = 5};
    struct budget *budget = budget_new(&config, START_NS);
    struct budget_status status;
    budget_status(budget, &status, START_NS);
    assert_true(status.usd_per_day == 2);
    assert_true(fabs(budget_half_per_second(budget) - 1.0 / DAY_S) < 1e-12);
    budget_free(budget);
}

static void a_clock_that_steps_back_gives_nothing(void **state)
{
    (void)state;
    struct budget *budget = budget_new(&one_dollar, START_NS);
    struct budget_status before, after;
    budget_status(budget, &before, START_NS + NS_PER_S);
    budget_status(budget, &after, START_NS);
    assert_true(after.available_usd == before.available_usd);
    budget_free(budget);
}

// What one process is granted between two starts when it asks `usd` again and again, `failing` of
// a hundred calls ending without cost.
static double one_start(uint64_t from_ns, uint64_t to_ns, double usd, unsigned failing,
                        struct random *random)
{
    struct budget *budget = budget_new(&one_dollar, from_ns);
    double spent = 0;
    for (uint64_t now_ns = from_ns; now_ns < to_ns; now_ns += NS_PER_S / 2) {
        bool baseline = random_below(random, 2) == 0;
        if (take(budget, baseline, usd, now_ns)) {
            double cost = random_below(random, 100) < failing ? 0 : usd;
            budget_settle(budget, baseline, usd, cost, now_ns);
            spent += cost;
        }
    }
    budget_free(budget);
    return spent;
}

static double many_starts(unsigned starts, double usd, unsigned failing)
{
    struct random random;
    double spent = 0;
    random_seed(&random, 7);
    for (unsigned i = 0; i < starts; i++) {
        uint64_t step_ns = DAY_S * NS_PER_S / starts;
        spent +=
            one_start(START_NS + i * step_ns, START_NS + (i + 1) * step_ns, usd, failing, &random);
    }
    return spent;
}

static void a_thousand_starts_in_a_day_spend_at_most_twice(void **state)
{
    (void)state;
    static const double prices[] = {0.00003, 0.0001, 0.0003, 0.0007, 0.001, 0.0015, 0.002, 0.004};
    for (size_t i = 0; i < sizeof prices / sizeof prices[0]; i++) {
        for (unsigned failing = 0; failing <= 60; failing += 30) {
            double spent = many_starts(1000, prices[i], failing);
            if (spent > 2.000001) {
                fail_msg("at %.5f USD a call, %u %% failing: %.3f", prices[i], failing, spent);
            }
        }
    }
    assert_true(many_starts(1000, 0.002, 0) > 1.9);  // each of them sees its first score
}

static void one_process_spends_at_most_its_day(void **state)
{
    (void)state;
    assert_true(many_starts(1, 0.0007, 0) <= 1.001);
    assert_true(many_starts(10, 0.0007, 0) <= 1.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_process_has_a_minute),
        cmocka_unit_test(the_first_grant_may_overdraw_and_is_owed),
        cmocka_unit_test(a_first_grant_that_cost_nothing_may_be_repeated),
        cmocka_unit_test(a_failed_call_beside_others_does_not_make_the_next_one_the_first),
        cmocka_unit_test(a_tenth_of_a_day_may_be_saved_up),
        cmocka_unit_test(it_refills_continuously),
        cmocka_unit_test(a_half_keeps_half_of_its_own_from_the_other),
        cmocka_unit_test(an_unused_half_is_used_by_the_other),
        cmocka_unit_test(settling_returns_what_was_not_spent),
        cmocka_unit_test(a_call_that_cost_more_is_owed),
        cmocka_unit_test(what_was_spent_a_day_ago_is_not_todays),
        cmocka_unit_test(calls_per_second_throttle),
        cmocka_unit_test(no_budget_grants_what_costs_nothing),
        cmocka_unit_test(replicas_divide_it),
        cmocka_unit_test(a_clock_that_steps_back_gives_nothing),
        cmocka_unit_test(a_thousand_starts_in_a_day_spend_at_most_twice),
        cmocka_unit_test(one_process_spends_at_most_its_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
