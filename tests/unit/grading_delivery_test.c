// SPDX-License-Identifier: Apache-2.0
// Onto the span, on a carrier, or nowhere.
#include "processor/grading_delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/evaluation_rig.h"

static const struct rig_spec span = {
    .trace = 1,
    .span = 1,
    .name = "agent",
    .end_s = 1,
    .attributes = {"openinference.span.kind", "AGENT", "input.value", "when does it arrive",
                   "output.value", "it will arrive there on Friday"}};

static void carriers(const char *mode, const char *hold, size_t expected, bool on_span)
{
    struct rig rig = {0};
    char yaml[128];
    snprintf(yaml, sizeof(yaml), "{hold: %s, carriers: %s, sampling: {baseline: 1}}", hold, mode);
    rig_open(&rig, yaml);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(rig_own_count(&rig), expected);
    assert_int_equal(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"), on_span);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    rig_close(&rig);
}

static void carriers_by_mode(void **arg)
{
    (void)arg;
    carriers("auto", "4s", 0, true);
    carriers("auto", "0s", 1, false);
    carriers("always", "4s", 1, true);
    carriers("always", "0s", 1, false);
    carriers("never", "4s", 0, true);
    carriers("never", "0s", 0, false);
}

static void a_carrier_without_room_is_lost_and_counted(void **arg)
{
    struct rig rig = {0};
    struct evaluation_counts counts;
    (void)arg;
    rig_open(&rig, "{hold: 0s, sampling: {baseline: 1}}");
    rig.own_refused = true;
    double lost = metrics_sum("sidejudge_carriers_lost_total");
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    evaluation_counts(rig.processor, &counts);
    assert_int_equal(counts.carriers, 0);
    assert_true(metrics_sum("sidejudge_carriers_lost_total") == lost + 1);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    rig_close(&rig);
}

static void without_a_logs_pipeline_no_record_is_made_twice(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{ledger: {export: true}, sampling: {baseline: 1}}");
    rig.no_logs = true;
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_false(atomic_load(&evaluation_of(rig.processor)->logs_wanted));
    assert_int_equal(rig.log_count, 0);
    rig_close(&rig);
}

static void an_unpicked_interaction_has_a_record_too(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{ledger: {export: true}, sampling: {baseline: 0}}");
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(rig.log_count, 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carriers_by_mode),
        cmocka_unit_test(a_carrier_without_room_is_lost_and_counted),
        cmocka_unit_test(without_a_logs_pipeline_no_record_is_made_twice),
        cmocka_unit_test(an_unpicked_interaction_has_a_record_too),
    };
    return cmocka_run_group_tests_name("grading_delivery", tests, NULL, NULL);
}
