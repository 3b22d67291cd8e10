// SPDX-License-Identifier: Apache-2.0
//
// A day in which a sidecar starts again and again, on a manual clock: each start must grade its
// first interaction, and all of them together must not spend more than twice what one process may.
// Traffic is heavier than the budget can ever pay for, so every start spends all that it is given.
// Refused: real time. Bounds: 1,000 starts. One thread.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "processor/budget.h"

#define DAY_NS (86400 * NS_PER_S)

struct day {
    unsigned starts;
    double one_usd;         // one evaluator's call
    unsigned evaluators;    // of each interaction
    unsigned baseline_of;   // every so many interactions one is picked by the baseline
    double spent_usd;       // out
    unsigned first_graded;  // out: starts whose first interaction was graded
};

static bool grade_one(struct budget *budget, const struct day *day, bool baseline, uint64_t now_ns,
                      double *spent_usd)
{
    double limit = budget_first_limit(budget, baseline, now_ns);
    unsigned calls = day->evaluators;
    while (calls > 1 && day->one_usd * calls > limit) {
        calls--;
    }
    double usd = day->one_usd * calls;
    if (budget_take(budget, baseline, usd, calls, now_ns) != BUDGET_GRANTED) {
        return false;
    }
    budget_settle(budget, baseline, usd, usd, now_ns);
    *spent_usd += usd;
    return true;
}

static void day_run(struct day *day)
{
    const struct budget_config config = {.usd_per_day = 1, .calls_per_second = 10, .replicas = 1};
    uint64_t life_ns = DAY_NS / day->starts;
    for (unsigned start = 0; start < day->starts; start++) {
        uint64_t from_ns = NS_PER_S + start * life_ns;
        struct budget *budget = budget_new(&config, from_ns);
        unsigned number = 0;
        for (uint64_t at_ns = from_ns; at_ns < from_ns + life_ns; at_ns += NS_PER_S / 2) {
            bool baseline = number % day->baseline_of == 0;
            bool graded = grade_one(budget, day, baseline, at_ns, &day->spent_usd);
            day->first_graded += number == 0 && graded;
            number++;
        }
        budget_free(budget);
    }
}

static void a_thousand_starts_spend_at_most_twice_the_budget_and_grade_their_first(void **state)
{
    (void)state;
    static const double prices[] = {0.00001, 0.0003, 0.0009, 0.0013, 0.0017, 0.002};
    for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
        for (unsigned baseline_of = 1; baseline_of < 4; baseline_of++) {
            struct day day = {1000, prices[i], 2, baseline_of, 0, 0};
            day_run(&day);
            assert_int_equal(day.first_graded, 1000);
            assert_true(day.spent_usd <= 2.0 + 1e-9);
        }
    }
}

static void one_start_spends_at_most_the_budget_and_what_was_saved_up(void **state)
{
    (void)state;
    struct day day = {1, 0.0017, 2, 2, 0, 0};
    day_run(&day);
    assert_true(day.spent_usd <= 1.1 && day.spent_usd > 0.9);
}

static void a_grading_beyond_the_first_grant_is_refused_by_every_start(void **state)
{
    (void)state;
    struct day day = {1000, 0.0021, 1, 1, 0, 0};
    day_run(&day);
    assert_int_equal(day.first_graded, 0);
    assert_true(day.spent_usd == 0);
}

static void a_failed_first_call_is_not_the_first_grant(void **state)
{
    (void)state;
    const struct budget_config config = {.usd_per_day = 1, .calls_per_second = 10, .replicas = 1};
    struct budget *budget = budget_new(&config, NS_PER_S);
    assert_int_equal(budget_take(budget, true, 0.002, 1, NS_PER_S), BUDGET_GRANTED);
    assert_int_equal(budget_take(budget, true, 0.002, 1, NS_PER_S), BUDGET_OVER);
    budget_settle(budget, true, 0.002, 0, NS_PER_S);
    assert_int_equal(budget_take(budget, false, 0.002, 1, NS_PER_S), BUDGET_GRANTED);
    budget_settle(budget, false, 0.002, 0.001, NS_PER_S);
    assert_int_equal(budget_take(budget, false, 0.002, 1, NS_PER_S), BUDGET_OVER);
    budget_free(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_starts_spend_at_most_twice_the_budget_and_grade_their_first),
        cmocka_unit_test(one_start_spends_at_most_the_budget_and_what_was_saved_up),
        cmocka_unit_test(a_grading_beyond_the_first_grant_is_refused_by_every_start),
        cmocka_unit_test(a_failed_first_call_is_not_the_first_grant),
    };
    return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
