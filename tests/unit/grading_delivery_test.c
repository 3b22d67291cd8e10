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

#define JUDGED_BY_ONE                                                                              \
    "judges: {default: {api: openai, endpoint: 'http://127.0.0.1:1/v1', model: m, api_key: k, "    \
    "price: {input_per_mtok: 0, output_per_mtok: 0}}}, "                                           \
    "evaluators: {degenerate: {threshold: 0.5}, answer_relevance: {judge: default}}"

static void sinks_open(struct rig *rig, const char *yaml, unsigned sends)
{
    rig_open(rig, yaml);
    evaluation_processor.score_sinks(rig->processor, sends);
}

static void one_interaction_is_one_batch_of_its_scores(void **arg)
{
    struct rig rig = {0};
    struct score_record record;
    const struct rig_spec told = {
        .trace = 1,
        .span = 1,
        .name = "agent",
        .end_s = 1,
        .attributes = {"openinference.span.kind", "AGENT", "input.value", "when does it arrive",
                       "output.value", "it will arrive there on Friday", "session.id", "s-1",
                       "user.id", "u-1", "deployment.environment.name", "prod"}};
    (void)arg;
    sinks_open(&rig, "{" JUDGED_BY_ONE ", sampling: {baseline: 1}}", 1u << SCORE_SEND_JUDGED);
    double sent = metrics_sum("sidejudge_evaluation_scores_total");
    rig_send(&rig, "shop", &told, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(rig.score_batches, 1);
    assert_int_equal(rig.score_count, 2);
    assert_true(metrics_sum("sidejudge_evaluation_scores_total") == sent + 2);
    assert_true(rig_score(&rig, 1, &record));
    assert_true(bytes_equal_text(record.name, "answer_relevance"));
    assert_true(record.by_judge && record.picked && record.plain && record.value == 1);
    assert_true(bytes_equal_text(record.session_id, "s-1"));
    assert_true(bytes_equal_text(record.user_id, "u-1"));
    assert_true(bytes_equal_text(record.environment, "prod"));
    assert_true(bytes_equal_text(record.service_name, "shop"));
    rig_close(&rig);
}

static void without_takers_of_scores_none_are_made(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{" JUDGED_BY_ONE ", sampling: {baseline: 1}}");
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(rig.score_batches, 0);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    rig_close(&rig);
}

static const struct rig_spec repeating = {
    .trace = 2,
    .span = 1,
    .name = "agent",
    .end_s = 1,
    .attributes = {"openinference.span.kind", "AGENT", "input.value", "when does it arrive",
                   "output.value", "no no no no no no no no no no no no no no no no no no no no"}};

static void of_unpicked_ones_only_failures_of_code_leave(void **arg)
{
    static const struct {
        unsigned sends;
        unsigned sound, failed;  // scores of the sound answer, of the repeating one
    } rows[] = {{1u << SCORE_SEND_JUDGED, 0, 1},
                {1u << SCORE_SEND_FAILED, 0, 1},
                {1u << SCORE_SEND_ALL, 1, 1}};
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig = {0};
        sinks_open(&rig,
                   "{" JUDGED_BY_ONE ", sampling: {baseline: 0, rules: {none: {match: {a: b}}}}}",
                   rows[i].sends);
        rig_send(&rig, "shop", &span, 1);
        rig_advance(&rig, 5 * NS_PER_S);
        assert_int_equal(rig.score_count, rows[i].sound);
        rig_send(&rig, "shop", &repeating, 1);
        rig_advance(&rig, 5 * NS_PER_S);
        assert_int_equal(rig.score_count, rows[i].sound + rows[i].failed);
        assert_int_equal(rig_decisions(&rig, DECISION_NOT_SAMPLED), 2);
        rig_close(&rig);
    }
}

static void scores_without_room_are_lost_and_counted(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    sinks_open(&rig, "{" JUDGED_BY_ONE ", sampling: {baseline: 1}}", 1u << SCORE_SEND_JUDGED);
    rig.own_refused = true;
    double lost = metrics_sum("sidejudge_evaluation_scores_lost_total");
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(rig.score_count, 0);
    assert_true(metrics_sum("sidejudge_evaluation_scores_lost_total") == lost + 2);
    rig_close(&rig);
}

static void scores_that_nobody_takes_after_all_are_made_once(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    sinks_open(&rig, "{" JUDGED_BY_ONE ", sampling: {baseline: 1}}", 1u << SCORE_SEND_JUDGED);
    rig.no_scores = true;
    double lost = metrics_sum("sidejudge_evaluation_scores_lost_total");
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(atomic_load(&evaluation_of(rig.processor)->score_sends), 0);
    assert_true(metrics_sum("sidejudge_evaluation_scores_lost_total") == lost);
    rig_close(&rig);
}

static void carriers_go_to_whom_scores_do_not(void **arg)
{
    static const struct {
        const char *carriers;
        bool all_native;
        size_t carriers_out;
        enum emit_to to;
    } rows[] = {{"auto", false, 1, EMIT_TO_SCORELESS},
                {"auto", true, 0, EMIT_TO_ALL},
                {"always", true, 1, EMIT_TO_ALL},
                {"never", false, 0, EMIT_TO_ALL}};
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig = {0};
        char yaml[512];
        snprintf(yaml, sizeof(yaml), "{hold: 0s, carriers: %s, sampling: {baseline: 1}}",
                 rows[i].carriers);
        sinks_open(&rig, yaml, 1u << SCORE_SEND_ALL);
        rig.all_native = rows[i].all_native;
        double lost = metrics_sum("sidejudge_carriers_lost_total");
        rig_send(&rig, "shop", &span, 1);
        rig_advance(&rig, 5 * NS_PER_S);
        assert_int_equal(rig_own_count(&rig), rows[i].carriers_out);
        assert_int_equal(rig.carrier_to, rows[i].to);
        assert_true(metrics_sum("sidejudge_carriers_lost_total") == lost);
        assert_int_equal(rig.score_batches, 1);  // natively, whatever carriers do
        rig_close(&rig);
    }
}

static void carriers_that_nobody_wants_are_not_made_again(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{hold: 0s, sampling: {baseline: 1}}");
    rig.all_native = true;
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_false(atomic_load(&evaluation_of(rig.processor)->carriers_wanted));
    rig.all_native = false;
    rig_send(&rig, "shop", &repeating, 1);
    rig_advance(&rig, 5 * NS_PER_S);
    assert_int_equal(rig_own_count(&rig), 0);
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
        cmocka_unit_test(one_interaction_is_one_batch_of_its_scores),
        cmocka_unit_test(without_takers_of_scores_none_are_made),
        cmocka_unit_test(of_unpicked_ones_only_failures_of_code_leave),
        cmocka_unit_test(scores_without_room_are_lost_and_counted),
        cmocka_unit_test(scores_that_nobody_takes_after_all_are_made_once),
        cmocka_unit_test(carriers_go_to_whom_scores_do_not),
        cmocka_unit_test(carriers_that_nobody_wants_are_not_made_again),
    };
    return cmocka_run_group_tests_name("grading_delivery", tests, NULL, NULL);
}
