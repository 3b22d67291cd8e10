// SPDX-License-Identifier: Apache-2.0
//
// What instances of one id hand on: the budget's grants, the ledger and its rules, the totals.

#include "processor/legacy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"

static struct sampling sampling_of(const char *rule)
{
    struct sampling sampling = {.rule_count = 1};
    sampling.rules[0].probability = 1;
    memcpy(sampling.rules[0].name, rule, strlen(rule));
    return sampling;
}

static const struct processor *instance_of(unsigned number)
{
    static char instances[4];
    return (const struct processor *)(const void *)&instances[number];
}

static void parts_live_as_long_as_the_last_instance(void **state)
{
    (void)state;
    struct sampling sampling = sampling_of("first");
    const struct evaluation_counts counted = {.targets = 5, .open_traces = 3};
    struct legacy *first = legacy_join(NULL, instance_of(0), &sampling);
    struct legacy *second = legacy_join(first, instance_of(1), &sampling);
    assert_ptr_equal(first, second);
    assert_true(legacy_is_newest(first, instance_of(1)));
    assert_false(legacy_is_newest(first, instance_of(0)));
    legacy_leave(&first, instance_of(0), &counted);
    assert_null(first);
    assert_int_equal(second->gone.targets, 5);
    assert_int_equal(second->gone.open_traces, 0);  // what has ended has none open
    assert_int_equal(second->count, 1);
    legacy_leave(&second, instance_of(1), &counted);
    legacy_leave(&second, instance_of(1), &counted);  // NULL is accepted
}

static void thousand_reloads_give_one_first_grant(void **state)
{
    (void)state;
    const struct budget_config config = {.usd_per_day = 1, .replicas = 1};
    struct budget *budget = budget_new(&config, NS_PER_S);
    double spent = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now_ns = NS_PER_S + i;
        budget_configure(budget, &config, now_ns);
        if (budget_take(budget, true, 0.002, 1, now_ns) == BUDGET_GRANTED) {
            budget_settle(budget, true, 0.002, 0.002, now_ns);
            spent += 0.002;
        }
    }
    assert_true(spent <= 0.004);
    budget_free(budget);
}

static void smaller_budget_caps_what_was_saved_up(void **state)
{
    (void)state;
    const struct budget_config rich = {.usd_per_day = 100, .replicas = 1};
    const struct budget_config poor = {.usd_per_day = 0.1, .replicas = 1};
    uint64_t day_ns = 86400 * NS_PER_S;
    struct budget *budget = budget_new(&rich, NS_PER_S);
    struct budget_status status;
    budget_configure(budget, &poor, NS_PER_S + day_ns);
    budget_status(budget, &status, NS_PER_S + day_ns);
    assert_true(status.available_usd <= 0.0100001);
    assert_true(status.usd_per_day == 0.1);
    budget_configure(budget, &rich, NS_PER_S + day_ns);
    budget_status(budget, &status, NS_PER_S + day_ns);
    assert_true(status.available_usd <= 0.0100001);  // configured is not refilled
    budget_free(budget);
}

static void row_is_explained_by_the_rules_that_it_was_decided_under(void **state)
{
    (void)state;
    struct sampling old = sampling_of("old_rule"), new = sampling_of("new_rule");
    struct ledger *ledger = ledger_new(&old, 10, 100000);
    struct ledger_rules *first = ledger_rules_add(ledger, &old);
    struct ledger_rules *second = ledger_rules_add(ledger, &new);
    struct ledger_row row = {.trace_id = {{1}}, .choice = {.rules_fired = 1}, .rules = first};
    ledger_add(ledger, &row);
    ledger_rules_release(ledger, first);  // its instance has ended, its row has not
    row.trace_id.bytes[0] = 2;
    row.rules = second;
    ledger_add(ledger, &row);
    struct buffer out;
    buffer_init(&out, 65536);
    struct trace_id id = {{1}};
    assert_true(ledger_explain(ledger, &id, &out));
    assert_non_null(strstr(buffer_text(&out), "old_rule"));
    buffer_reset(&out);
    id.bytes[0] = 2;
    assert_true(ledger_explain(ledger, &id, &out));
    assert_non_null(strstr(buffer_text(&out), "new_rule"));
    assert_null(strstr(buffer_text(&out), "old_rule"));
    buffer_fini(&out);
    ledger_rules_release(ledger, second);
    ledger_rules_release(ledger, NULL);
    ledger_free(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_live_as_long_as_the_last_instance),
        cmocka_unit_test(thousand_reloads_give_one_first_grant),
        cmocka_unit_test(smaller_budget_caps_what_was_saved_up),
        cmocka_unit_test(row_is_explained_by_the_rules_that_it_was_decided_under),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
