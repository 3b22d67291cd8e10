// SPDX-License-Identifier: Apache-2.0
// Reasons: exactly one per interaction.
#include "processor/grading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/evaluation_rig.h"

#define JUDGES                                                                                     \
    "judges: {default: {api: openai, endpoint: 'http://127.0.0.1:1/v1', model: m, api_key: k, "    \
    "price: {input_per_mtok: 1, output_per_mtok: 1}}}"

static struct rig_spec agent(uint8_t trace, const char *question, const char *answer)
{
    struct rig_spec spec = {.trace = trace,
                            .span = 1,
                            .name = "agent",
                            .end_s = 1,
                            .attributes = {"openinference.span.kind", "AGENT"}};
    size_t at = 2;
    if (question) {
        spec.attributes[at++] = "input.value";
        spec.attributes[at++] = question;
    }
    if (answer) {
        spec.attributes[at++] = "output.value";
        spec.attributes[at++] = answer;
    }
    return spec;
}

static void one(const char *yaml, struct rig_spec spec, enum decision expected, size_t jobs)
{
    struct rig rig = {0};
    rig_open(&rig, yaml);
    rig_send(&rig, "shop", &spec, 1);
    rig_advance(&rig, 20 * NS_PER_S);
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        if (rig_decisions(&rig, (enum decision)i) != (i == expected)) {
            fail_msg("%s: %s is %d", yaml, decision_label((enum decision)i),
                     (int)rig_decisions(&rig, (enum decision)i));
        }
    }
    assert_int_equal(rig.jobs_asked, jobs);
    assert_int_equal(rig_count(&rig, spec.trace, 1), 1);
    rig_close(&rig);
}

static void each_reason_has_its_cause(void **arg)
{
    const char *q = "when does the parcel arrive in Vienna", *a = "it will arrive there on Friday";
    (void)arg;
    one("{sampling: {baseline: 1}}", agent(1, q, a), DECISION_JUDGED, 0);
    one("{sampling: {baseline: 0}}", agent(1, q, a), DECISION_NOT_SAMPLED, 0);
    one("{sampling: {baseline: 1}}", agent(1, NULL, NULL), DECISION_NO_CONTENT, 0);
    one("{sampling: {baseline: 1}}", agent(1, "__REDACTED__", NULL), DECISION_NO_CONTENT, 0);
    one("{sampling: {baseline: 1}, " JUDGES "}", agent(1, q, a), DECISION_JUDGED, 1);
    one("{sampling: {baseline: 1}, budget: {usd_per_day: 0}, " JUDGES "}", agent(1, q, a),
        DECISION_JUDGED, 1);  // the rig's judge costs nothing
    one("{sampling: {baseline: 1}, evaluators: {valid_json: }}", agent(1, q, a),
        DECISION_NOT_APPLICABLE, 0);
}

static void degenerate_answers_are_settled_without_a_judge(void **arg)
{
    struct rig rig = {0};
    char text[32];
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}, " JUDGES "}");
    const struct rig_spec spec =
        agent(1, "when does it arrive", "no no no no no no no no no no no no no no no no no no");
    rig_send(&rig, "shop", &spec, 1);
    rig_advance(&rig, 3 * NS_PER_S);
    assert_int_equal(rig.jobs_asked, 0);
    assert_true(rig_text(rig_find(&rig, 1, 1, 0), "sidejudge.verdict", text, sizeof(text)));
    assert_string_equal(text, "fail");
    assert_true(
        rig_text(rig_find(&rig, 1, 1, 0), "sidejudge.label.answer_relevance", text, sizeof(text)));
    assert_string_equal(text, "not_applicable");
    rig_close(&rig);
}

static void quality_signals_pick_what_the_baseline_leaves(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 0, rules: {failures: {quality_signals: [error], "
                   "probability: 1}}}}");
    struct rig_spec failed = agent(1, "when does it arrive", "it will arrive there on Friday");
    failed.error = true;
    const struct rig_spec fine = agent(2, "when does it arrive", "it will arrive there on Friday");
    rig_send(&rig, "shop", &failed, 1);
    rig_send(&rig, "shop", &fine, 1);
    rig_advance(&rig, 3 * NS_PER_S);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_NOT_SAMPLED), 1);
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.quality_signals"));
    rig_close(&rig);
}

static void strata_match_attributes_of_target_and_resource(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{dimensions: [tenant.tier], sampling: {baseline: 0, rules: {gold: {match: "
                   "{tenant.tier: gold, service.name: shop}, probability: 1}}}}");
    struct rig_spec gold = agent(1, "when does it arrive", "it will arrive there on Friday");
    gold.attributes[6] = "tenant.tier";
    gold.attributes[7] = "gold";
    struct rig_spec other = agent(2, "when does it arrive", "it will arrive there on Friday");
    rig_send(&rig, "shop", &gold, 1);
    rig_send(&rig, "shop", &other, 1);
    gold.trace = 3;
    rig_send(&rig, "elsewhere", &gold, 1);
    rig_advance(&rig, 3 * NS_PER_S);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_NOT_SAMPLED), 2);
    rig_close(&rig);
}

static void some_errors_beside_a_score_are_judged(void **arg)
{
    struct rig rig = {0};
    char text[32];
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}, " JUDGES ", evaluators: {one: {rubric: "
                   "answer_relevance, threshold: 0.5}, two: {rubric: answer_relevance}}}");
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec spec = agent(1, "when does it arrive", "it will arrive there on Friday");
    rig_send(&rig, "shop", &spec, 1);
    rig_advance(&rig, 2 * NS_PER_S);
    assert_int_equal(rig.job_count, 2);
    struct rig_job *second = rig.jobs->next;
    rig.jobs->next = NULL;
    rig_judge_answer(&rig, OUTCOME_ERROR, 0);
    assert_int_equal(rig_count(&rig, 1, 1), 0);  // one is still out
    rig.jobs = second;
    rig_judge_answer(&rig, OUTCOME_SCORE, 0.75);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_true(rig_text(rig_find(&rig, 1, 1, 0), "sidejudge.label.one", text, sizeof(text)));
    assert_string_equal(text, "error");
    assert_false(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.score.one"));
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.score.two"));
    rig_close(&rig);
}

static void results_after_the_end_are_thrown_away(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}, " JUDGES "}");
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec spec = agent(1, "when does it arrive", "it will arrive there on Friday");
    rig_send(&rig, "shop", &spec, 1);
    rig_advance(&rig, 2 * NS_PER_S);
    assert_int_equal(rig.job_count, 1);
    rig_close(&rig);  // answers the job after the shard is gone
}

static void a_judge_still_out_at_the_end_leaves_a_row(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}, " JUDGES "}");
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec spec = agent(1, "when does it arrive", "it will arrive there on Friday");
    rig_send(&rig, "shop", &spec, 1);
    rig_advance(&rig, 2 * NS_PER_S);
    double targets = metrics_sum("sidejudge_targets_total");
    double reasons = metrics_sum("sidejudge_decisions_total");
    rig_close(&rig);
    assert_true(metrics_sum("sidejudge_targets_total") == targets + 1);
    assert_true(metrics_sum("sidejudge_decisions_total") == reasons + 1);
}

static const size_t percent = (size_t)1 << 20;  // of the rig's cap

static void overload_open(struct rig *rig, unsigned requests, unsigned queues)
{
    rig->account_bytes = 100 * percent;
    rig_open(rig, "{sampling: {baseline: 1}, " JUDGES "}");
    assert_true(account_charge(rig->account, POOL_REQUESTS, requests * percent));
    assert_true(account_charge(rig->account, POOL_QUEUES, queues * percent));
}

static void overload_close(struct rig *rig, unsigned requests, unsigned queues)
{
    account_release(rig->account, POOL_REQUESTS, requests * percent);
    account_release(rig->account, POOL_QUEUES, queues * percent);
    rig_close(rig);
}

static void when_memory_is_short_nothing_is_judged_and_spans_go_on(void **arg)
{
    struct rig rig = {0};
    const struct rig_spec spec = agent(1, "when does it arrive", "it will arrive there on Friday");
    const struct rig_spec next = agent(2, "when does it arrive", "it will arrive there on Friday");
    (void)arg;
    overload_open(&rig, 34, 24);
    assert_true(account_charge(rig.account, POOL_EVIDENCE, 13 * percent));
    double shed = metrics_sum("sidejudge_shed_total");
    rig_send(&rig, "shop", &spec, 1);
    rig_advance(&rig, 2 * NS_PER_S);
    assert_int_equal(rig.jobs_asked, 0);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_OVERLOAD), 1);
    assert_true(metrics_sum("sidejudge_shed_total") == shed + 1);
    account_release(rig.account, POOL_EVIDENCE, 13 * percent);
    for (unsigned i = 0; i < 12; i++) {
        evaluation_processor.tick(rig.processor, rig.now_ns);
        rig_advance(&rig, NS_PER_S);
    }
    assert_int_equal(account_overload_level(rig.account), OVERLOAD_JUDGING);  // 58 and 15 points
    account_release(rig.account, POOL_REQUESTS, 34 * percent);
    for (unsigned i = 0; i < 12; i++) {
        evaluation_processor.tick(rig.processor, rig.now_ns);
        rig_advance(&rig, NS_PER_S);
    }
    rig_send(&rig, "shop", &next, 1);
    rig_advance(&rig, 2 * NS_PER_S);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    overload_close(&rig, 0, 24);
}

static void on_the_holding_rung_what_is_held_leaves_and_nothing_is_held(void **arg)
{
    struct rig rig = {0};
    const struct rig_spec held = agent(1, "when does it arrive", "it will arrive there on Friday");
    const struct rig_spec next = agent(2, "when does it arrive", "it will arrive there on Friday");
    (void)arg;
    overload_open(&rig, 34, 24);
    rig_send(&rig, "shop", &held, 1);
    assert_int_equal(rig_count(&rig, 1, 1), 0);
    assert_true(account_charge(rig.account, POOL_EVIDENCE, 24 * percent));
    rig_advance(&rig, NS_PER_MS);  // the next turn
    rig_send(&rig, "shop", &next, 1);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_int_equal(rig_count(&rig, 2, 1), 1);
    assert_false(account_is_refusing(rig.account));
    rig_advance(&rig, 2 * NS_PER_S);
    assert_int_equal(rig_decisions(&rig, DECISION_OVERLOAD), 2);
    assert_int_equal(rig_count(&rig, 1, 1) + rig_count(&rig, 2, 1), 2);
    account_release(rig.account, POOL_EVIDENCE, 24 * percent);
    overload_close(&rig, 34, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_has_its_cause),
        cmocka_unit_test(degenerate_answers_are_settled_without_a_judge),
        cmocka_unit_test(quality_signals_pick_what_the_baseline_leaves),
        cmocka_unit_test(strata_match_attributes_of_target_and_resource),
        cmocka_unit_test(some_errors_beside_a_score_are_judged),
        cmocka_unit_test(results_after_the_end_are_thrown_away),
        cmocka_unit_test(a_judge_still_out_at_the_end_leaves_a_row),
        cmocka_unit_test(when_memory_is_short_nothing_is_judged_and_spans_go_on),
        cmocka_unit_test(on_the_holding_rung_what_is_held_leaves_and_nothing_is_held),
    };
    return cmocka_run_group_tests_name("grading", tests, NULL, NULL);
}
