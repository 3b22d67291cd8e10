// SPDX-License-Identifier: Apache-2.0
// `evaluation` from the door to the exporter on a manual clock: completion, targets, hold,
// carriers, loop guard, late spans.
#include "processor/evaluation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "tests/evaluation_rig.h"

#define SECONDS(n) ((uint64_t)(n)*NS_PER_S)
#define JUDGED_YAML                                                                                \
    "{judges: {default: {api: openai, endpoint: 'http://127.0.0.1:1/v1', model: m, api_key: k, "   \
    "price: {input_per_mtok: 0, output_per_mtok: 0}}}, sampling: {baseline: 1}}"
#define PLAIN_YAML "{sampling: {baseline: 1}}"

#define AGENT "gen_ai.operation.name", "invoke_agent", "gen_ai.agent.name", "helper"
#define CHAT "gen_ai.operation.name", "chat", "gen_ai.request.model", "m"
#define ASKED(text)                                                                                \
    "gen_ai.input.messages",                                                                       \
        "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"" text "\"}]}]"
#define SAID(text)                                                                                 \
    "gen_ai.output.messages", "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\","            \
                              "\"content\":\"" text "\"}],\"finish_reason\":\"stop\"}]"

#define AGENT_SPAN(t, s, p, from, to)                                                              \
    {                                                                                              \
        .trace = (t), .span = (s), .parent = (p), .name = "invoke_agent helper",                   \
        .start_s = (from), .end_s = (to), .attributes = {                                          \
            AGENT,                                                                                 \
            ASKED("how late is it in Vienna"),                                                     \
            SAID("it is noon in Vienna now")                                                       \
        }                                                                                          \
    }
#define CHAT_SPAN(t, s, p, from, to)                                                               \
    {                                                                                              \
        .trace = (t), .span = (s), .parent = (p), .name = "chat m", .kind = SPAN_KIND_CLIENT,      \
        .start_s = (from), .end_s = (to), .attributes = {                                          \
            CHAT,                                                                                  \
            ASKED("how late is it in Vienna"),                                                     \
            SAID("it is noon in Vienna now")                                                       \
        }                                                                                          \
    }

static void who_is_hurried_decides_and_lets_go_at_once(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}, hold: 60s, completion: {linger: 30s, idle: 40s}}");
    const struct rig_spec first[] = {AGENT_SPAN(1, 1, 0, 0, 3)};
    const struct rig_spec second[] = {AGENT_SPAN(2, 1, 0, 0, 3)};
    rig_send(&rig, "shop", first, 1);
    rig_advance(&rig, SECONDS(5));
    assert_int_equal(rig_count(&rig, 1, 1), 0);
    shard_hurry(rig.shard);
    rig_advance(&rig, SECONDS(1));
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    rig_send(&rig, "shop", second, 1);  // and so does what comes later
    rig_advance(&rig, SECONDS(1));
    assert_int_equal(rig_count(&rig, 2, 1), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 2);
    rig_close(&rig);
}

static void agent_with_child_is_graded_on_its_span(void **arg)
{
    struct rig rig = {0};
    double score;
    char text[64];
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {AGENT_SPAN(1, 1, 0, 0, 3), CHAT_SPAN(1, 2, 1, 1, 2)};
    rig_send(&rig, "shop", spans, 2);
    assert_int_equal(rig_count(&rig, 1, 2), 1);  // the model span went on at once
    assert_int_equal(rig_count(&rig, 1, 1), 0);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_true(rig_number(rig_find(&rig, 1, 1, 0), "sidejudge.score.degenerate", &score));
    assert_true(rig_text(rig_find(&rig, 1, 1, 0), "sidejudge.decision", text, sizeof(text)));
    assert_string_equal(text, "judged");
    assert_false(rig_has(rig_find(&rig, 1, 2, 0), "sidejudge.decision"));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_int_equal(rig_own_count(&rig), 0);
    rig_close(&rig);
}

static void not_picked_leaves_untouched(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 0}}");
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_false(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    assert_int_equal(rig_decisions(&rig, DECISION_NOT_SAMPLED), 1);
    rig_close(&rig);
}

static void post_feedback(struct rig *rig, uint8_t trace)
{
    struct feedback feedback = {.trace_id = {{0xa0}}, .is_bad = true};
    feedback.trace_id.bytes[15] = trace;
    shard_post_feedback(rig->shard, rig->processor, &feedback);
    rig_advance(rig, 1);
}

static void bad_feedback_picks_what_is_not_decided_yet(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 0}}");
    const double taken = metrics_sum("sidejudge_feedback_total");
    const struct rig_spec first = AGENT_SPAN(1, 1, 0, 0, 3);
    const struct rig_spec second = AGENT_SPAN(2, 1, 0, 0, 3);
    rig_send(&rig, "shop", &first, 1);
    rig_send(&rig, "shop", &second, 1);
    post_feedback(&rig, 1);
    post_feedback(&rig, 1);
    rig_advance(&rig, SECONDS(2));
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    assert_false(rig_has(rig_find(&rig, 2, 1, 0), "sidejudge.decision"));
    post_feedback(&rig, 2);  // too late: it stays as it was decided
    rig_advance(&rig, SECONDS(200));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_NOT_SAMPLED), 1);
    assert_true(metrics_sum("sidejudge_feedback_total") == taken + 3);
    rig_close(&rig);
}

static void bad_feedback_waits_for_its_trace(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 0}}");
    const struct rig_spec gone = AGENT_SPAN(200, 1, 0, 0, 3);
    const struct rig_spec kept = AGENT_SPAN(199, 1, 0, 0, 3);
    const struct rig_spec other = AGENT_SPAN(201, 1, 0, 0, 3);
    post_feedback(&rig, 200);
    post_feedback(&rig, 199);
    for (unsigned i = 0; i < EARLY_FEEDBACK_MAX - 1; i++) {  // the oldest goes
        post_feedback(&rig, (uint8_t)(i + 1));
    }
    rig_send(&rig, "shop", &gone, 1);
    rig_send(&rig, "shop", &kept, 1);
    rig_send(&rig, "shop", &other, 1);
    rig_advance(&rig, SECONDS(2));
    assert_true(rig_has(rig_find(&rig, 199, 1, 0), "sidejudge.decision"));
    assert_false(rig_has(rig_find(&rig, 200, 1, 0), "sidejudge.decision"));
    assert_false(rig_has(rig_find(&rig, 201, 1, 0), "sidejudge.decision"));
    rig_close(&rig);
}

static void hold_zero_holds_nothing_and_carries(void **arg)
{
    struct rig rig = {0};
    char text[64];
    (void)arg;
    rig_open(&rig, "{hold: 0s, sampling: {baseline: 1}}");
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_own_count(&rig), 1);
    assert_true(rig_text(rig_own(&rig, 0), "openinference.span.kind", text, sizeof(text)));
    assert_string_equal(text, "EVALUATOR");
    assert_true(rig_has(rig_own(&rig, 0), "evaluations.0.evaluation.name"));
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    rig_close(&rig);
}

static void judge_scores_within_hold_go_onto_the_span(void **arg)
{
    struct rig rig = {0};
    char text[64];
    (void)arg;
    rig_open(&rig, JUDGED_YAML);
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig.job_count, 1);  // no contexts: faithfulness does not apply
    assert_int_equal(rig_count(&rig, 1, 1), 0);
    rig_judge_answer(&rig, OUTCOME_SCORE, 0.2);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_true(rig_text(rig_find(&rig, 1, 1, 0), "sidejudge.verdict", text, sizeof(text)));
    assert_string_equal(text, "fail");
    assert_true(
        rig_text(rig_find(&rig, 1, 1, 0), "sidejudge.label.faithfulness", text, sizeof(text)));
    assert_string_equal(text, "not_applicable");
    assert_int_equal(rig_own_count(&rig), 0);
    rig_close(&rig);
}

static void late_score_comes_on_a_carrier_and_the_span_stays_bare(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, JUDGED_YAML);
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(5));
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_true(rig_find(&rig, 1, 1, 0)->at_ns <= UINT64_C(1000000000000) + SECONDS(4) + 2000000);
    assert_false(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    rig_judge_answer(&rig, OUTCOME_SCORE, 1);
    assert_int_equal(rig_own_count(&rig), 1);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    rig_close(&rig);
}

static void judge_error_is_no_score(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, JUDGED_YAML);
    rig.judge_delay_ns = SECONDS(1);
    rig.judge_outcome = OUTCOME_ERROR;
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(3));
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_false(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.score.answer_relevance"));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGE_ERROR), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 0);
    rig_close(&rig);
}

static void full_judge_queue_is_overload_and_open_breaker_judge_error(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, JUDGED_YAML);
    rig.judge_submit = RESULT_SHED;
    const struct rig_spec first = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &first, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_OVERLOAD), 1);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    rig.judge_submit = RESULT_RETRY;
    const struct rig_spec second = AGENT_SPAN(2, 1, 0, 0, 3);
    rig_send(&rig, "shop", &second, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGE_ERROR), 1);
    rig_close(&rig);
}

static void child_batch_a_minute_before_its_root_is_one_interaction(void **arg)
{
    struct rig rig = {0};
    double score;
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec child = CHAT_SPAN(1, 2, 1, 1, 2);
    rig_send(&rig, "shop", &child, 1);
    rig_advance(&rig, SECONDS(60));
    assert_int_equal(rig_count(&rig, 1, 2), 1);
    assert_int_equal(rig_decisions_all(&rig), 0);
    const struct rig_spec root = {.trace = 1,
                                  .span = 1,
                                  .name = "invoke_agent helper",
                                  .end_s = 62,
                                  .attributes = {AGENT}};  // content only in the child
    rig_send(&rig, "shop", &root, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_int_equal(rig_decisions_all(&rig), 1);
    assert_true(rig_number(rig_find(&rig, 1, 1, 0), "sidejudge.score.degenerate", &score));
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.content.source"));
    rig_close(&rig);
}

static void three_remote_roots_in_one_trace_are_three_interactions(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    for (uint8_t i = 1; i <= 3; i++) {
        struct rig_spec span = AGENT_SPAN(1, i, 99, i * 10, i * 10 + 3);
        span.flags = SPAN_FLAG_HAS_IS_REMOTE | SPAN_FLAG_IS_REMOTE;
        rig_send(&rig, "shop", &span, 1);
        rig_advance(&rig, SECONDS(i == 2 ? 5 : 0));
    }
    rig_advance(&rig, SECONDS(3));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 3);
    assert_int_equal(rig_rows(&rig, 1), 3);
    for (uint8_t i = 1; i <= 3; i++) {
        assert_true(rig_has(rig_find(&rig, 1, i, 0), "sidejudge.decision"));
    }
    rig_close(&rig);
}

static void inner_ignore_leaves_remote_roots_alone(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{inner: ignore, sampling: {baseline: 1}}");
    struct rig_spec span = AGENT_SPAN(1, 1, 99, 0, 3);
    span.flags = SPAN_FLAG_HAS_IS_REMOTE | SPAN_FLAG_IS_REMOTE;
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(3));
    assert_int_equal(rig_decisions_all(&rig), 0);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    rig_close(&rig);
}

static void server_span_without_flags_is_a_root(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {AGENT_SPAN(1, 2, 1, 1, 2),
                                     {.trace = 1,
                                      .span = 1,
                                      .parent = 77,
                                      .name = "POST /ask",
                                      .kind = SPAN_KIND_SERVER,
                                      .end_s = 3}};
    rig_send(&rig, "shop", spans, 2);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_true(rig_has(rig_find(&rig, 1, 2, 0), "sidejudge.decision"));
    rig_close(&rig);
}

static void client_span_with_unknown_flags_waits_for_its_root(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    struct rig_spec span = AGENT_SPAN(1, 1, 77, 0, 3);
    span.kind = SPAN_KIND_CLIENT;
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(60));
    assert_int_equal(rig_decisions_all(&rig), 0);
    assert_int_equal(rig_count(&rig, 1, 1), 1);  // its hold is long over
    rig_close(&rig);
}

static void two_parallel_agents_under_one_root_are_two_interactions(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {AGENT_SPAN(1, 2, 1, 1, 2),
                                     AGENT_SPAN(1, 3, 1, 1, 3),
                                     CHAT_SPAN(1, 4, 2, 1, 2),
                                     AGENT_SPAN(1, 5, 3, 1, 2),
                                     {.trace = 1, .span = 1, .name = "job", .end_s = 4}};
    rig_send(&rig, "shop", spans, 5);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 2);
    assert_true(rig_has(rig_find(&rig, 1, 2, 0), "sidejudge.decision"));
    assert_true(rig_has(rig_find(&rig, 1, 3, 0), "sidejudge.decision"));
    assert_false(rig_has(rig_find(&rig, 1, 5, 0), "sidejudge.decision"));  // an agent is above it
    rig_close(&rig);
}

static void without_an_agent_the_last_model_span_is_graded(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {
        {.trace = 1,
         .span = 2,
         .parent = 1,
         .name = "chat m",
         .start_s = 1,
         .end_s = 2,
         .attributes =
             {CHAT, ASKED("what is the weather like"), "gen_ai.output.messages",
              "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"tool_call\",\"id\":\"c1\","
              "\"name\":\"weather\",\"arguments\":{}}],\"finish_reason\":\"tool_call\"}]"}},
        CHAT_SPAN(1, 3, 1, 2, 3),
        {.trace = 1, .span = 1, .name = "POST /ask", .kind = SPAN_KIND_SERVER, .end_s = 4}};
    rig_send(&rig, "api", spans, 3);
    assert_int_equal(rig_count(&rig, 1, 3), 0);  // no agent seen of this service: model spans wait
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_true(rig_has(rig_find(&rig, 1, 3, 0), "sidejudge.decision"));
    assert_false(rig_has(rig_find(&rig, 1, 2, 0), "sidejudge.decision"));
    rig_close(&rig);
}

static void model_spans_of_services_with_agents_do_not_wait(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec agent = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &agent, 1);
    const struct rig_spec chat = CHAT_SPAN(2, 2, 1, 1, 2);
    rig_send(&rig, "shop", &chat, 1);
    assert_int_equal(rig_count(&rig, 2, 2), 1);
    rig_send(&rig, "other", &chat, 1);
    assert_int_equal(rig_count(&rig, 2, 2), 1);
    rig_close(&rig);
}

static void root_that_never_comes_is_decided_after_idle(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {CHAT_SPAN(1, 2, 1, 1, 2), CHAT_SPAN(1, 3, 1, 3, 4)};
    rig_send(&rig, "shop", spans, 2);
    rig_advance(&rig, SECONDS(119));
    assert_int_equal(rig_decisions_all(&rig), 0);
    rig_advance(&rig, SECONDS(3));
    assert_int_equal(rig_decisions_all(&rig), 1);
    assert_int_equal(rig_own_count(&rig), 1);  // the spans left long ago
    rig_close(&rig);
}

static void silence_of_45_seconds_is_no_end(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec first = CHAT_SPAN(1, 2, 1, 1, 2);
    rig_send(&rig, "shop", &first, 1);
    rig_advance(&rig, SECONDS(45));
    const struct rig_spec second = CHAT_SPAN(1, 3, 1, 47, 48);
    rig_send(&rig, "shop", &second, 1);
    rig_advance(&rig, SECONDS(45));
    const struct rig_spec root = AGENT_SPAN(1, 1, 0, 0, 95);
    rig_send(&rig, "shop", &root, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions_all(&rig), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    rig_close(&rig);
}

static void late_child_does_not_decide_again(void **arg)
{
    struct rig rig = {0};
    struct evaluation_counts counts;
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec root = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &root, 1);
    rig_advance(&rig, SECONDS(3));
    const struct rig_spec late = CHAT_SPAN(1, 2, 1, 1, 2);
    rig_send(&rig, "shop", &late, 1);
    rig_advance(&rig, SECONDS(300));
    assert_int_equal(rig_decisions_all(&rig), 1);
    assert_int_equal(rig_count(&rig, 1, 2), 1);
    evaluation_counts(rig.processor, &counts);
    assert_int_equal(counts.late_spans, 1);
    assert_int_equal(counts.open_traces, 0);
    rig_close(&rig);
}

static void outer_agent_minutes_later_supersedes_the_inner_one(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    struct rig_spec inner = AGENT_SPAN(1, 2, 1, 10, 20);
    inner.flags = SPAN_FLAG_HAS_IS_REMOTE | SPAN_FLAG_IS_REMOTE;
    rig_send(&rig, "shop", &inner, 1);
    rig_advance(&rig, SECONDS(200));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    const struct rig_spec outer = AGENT_SPAN(1, 1, 0, 0, 200);
    rig_send(&rig, "shop", &outer, 1);
    rig_advance(&rig, SECONDS(3));
    assert_int_equal(rig_decisions_all(&rig), 2);
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    assert_int_equal(rig_decisions(&rig, DECISION_SUPERSEDED), 1);
    rig_close(&rig);
}

static void evaluators_are_never_graded(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec foreign[] = {
        {.trace = 1,
         .span = 1,
         .name = "eval",
         .end_s = 3,
         .attributes = {"openinference.span.kind", "EVALUATOR", "input.value", "q q q q",
                        "output.value", "a a a a"}},
        CHAT_SPAN(1, 2, 1, 1, 2)};
    rig_send(&rig, "grader", foreign, 2);
    rig_advance(&rig, SECONDS(5));
    assert_int_equal(rig_decisions(&rig, DECISION_OWN_EVALUATION), 1);
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 0);
    assert_int_equal(rig_own_count(&rig), 0);
    assert_int_equal(rig_count(&rig, 1, 2), 1);
    rig_close(&rig);
}

static void own_carriers_that_come_back_are_not_graded(void **arg)
{
    struct rig rig = {0};
    struct buffer request;
    (void)arg;
    rig_open(&rig, "{hold: 0s, sampling: {baseline: 1}}");
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_own_count(&rig), 1);
    buffer_init(&request, 1 << 20);
    size_t resource = wire_open(&request, REQUEST_RESOURCES);
    size_t scopes = wire_open(&request, RESOURCE_SCOPES);
    wire_write_bytes(&request, SCOPE_ITEMS,
                     bytes_from(rig_own(&rig, 0)->item, rig_own(&rig, 0)->len));
    wire_close(&request, scopes);
    wire_close(&request, resource);
    rig_offer(&rig, buffer_view(&request), false);
    buffer_fini(&request);
    rig_advance(&rig, SECONDS(600));
    assert_int_equal(rig_decisions(&rig, DECISION_JUDGED), 1);
    assert_int_equal(rig_own_count(&rig), 1);
    rig_close(&rig);
}

static void incoming_verdicts_are_taken_out_of_graded_spans(void **arg)
{
    struct rig rig = {0};
    char text[64];
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    struct rig_spec span = {.trace = 1,
                            .span = 1,
                            .name = "agent",
                            .end_s = 3,
                            .attributes = {AGENT, ASKED("how late is it"),
                                           SAID("it is noon in Vienna"), "sidejudge.verdict",
                                           "pass", "sidejudge.forged", "x",
                                           "evaluations.3.evaluation.name", "theirs"}};
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(2));
    const struct rig_span *out = rig_find(&rig, 1, 1, 0);
    assert_false(rig_has(out, "sidejudge.forged"));
    assert_false(rig_text(out, "sidejudge.verdict", text, sizeof(text)));  // none has a threshold
    assert_true(rig_has(out, "evaluations.3.evaluation.name"));
    assert_true(rig_has(out, "evaluations.4.evaluation.name"));
    assert_false(rig_has(out, "evaluations.0.evaluation.name"));
    rig_close(&rig);
}

static void trust_upstream_leaves_graded_spans_alone(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{trust_upstream: true, sampling: {baseline: 1}}");
    struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    span.attributes[8] = "sidejudge.verdict";
    span.attributes[9] = "pass";
    rig_send(&rig, "shop", &span, 1);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    rig_advance(&rig, SECONDS(3));
    assert_int_equal(rig_decisions(&rig, DECISION_OWN_EVALUATION), 1);
    assert_int_equal(rig_own_count(&rig), 0);
    rig_close(&rig);
}

static void no_content_is_said_not_graded(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {
        {.trace = 1, .span = 2, .parent = 1, .name = "chat", .end_s = 2, .attributes = {CHAT}},
        {.trace = 1, .span = 1, .name = "agent", .end_s = 3, .attributes = {AGENT}}};
    rig_send(&rig, "shop", spans, 2);
    rig_advance(&rig, SECONDS(2));
    assert_int_equal(rig_decisions(&rig, DECISION_NO_CONTENT), 1);
    assert_false(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    rig_close(&rig);
}

static void plain_traces_are_forgotten_without_a_decision(void **arg)
{
    struct rig rig = {0};
    struct evaluation_counts counts;
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    const struct rig_spec spans[] = {
        {.trace = 1, .span = 2, .parent = 1, .name = "SELECT", .end_s = 2},
        {.trace = 1, .span = 1, .name = "GET /", .kind = SPAN_KIND_SERVER, .end_s = 3}};
    rig_send(&rig, "web", spans, 2);
    assert_int_equal(rig.span_count, 2);
    rig_advance(&rig, SECONDS(2));
    evaluation_counts(rig.processor, &counts);
    assert_int_equal(counts.open_traces, 0);
    assert_int_equal(counts.evidence_bytes, 0);
    assert_int_equal(counts.targets, 0);
    rig_close(&rig);
}

static void packed_request_waits_whole_and_is_split_only_when_picked(void **arg)
{
    struct rig rig = {0};
    struct buffer request;
    (void)arg;
    rig_open(&rig, JUDGED_YAML);
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec spans[] = {CHAT_SPAN(1, 2, 1, 1, 2), AGENT_SPAN(1, 1, 0, 0, 3)};
    buffer_init(&request, 1 << 20);
    rig_request(&request, "shop", "test", spans, 2);
    rig_offer(&rig, buffer_view(&request), true);
    assert_int_equal(rig.span_count, 0);  // it waits as a whole
    rig_advance(&rig, SECONDS(1) + 100 * NS_PER_MS);
    assert_int_equal(rig.span_count, 1);  // picked: the rest went
    assert_int_equal(rig_count(&rig, 1, 2), 1);
    rig_judge_answer(&rig, OUTCOME_SCORE, 1);
    assert_int_equal(rig_count(&rig, 1, 1), 1);
    assert_true(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    buffer_fini(&request);
    rig_close(&rig);
}

static void packed_request_without_a_decision_leaves_after_its_window(void **arg)
{
    struct rig rig = {0};
    struct buffer request;
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    struct rig_spec spans[] = {CHAT_SPAN(1, 2, 1, 1, 2), AGENT_SPAN(1, 1, 77, 0, 3)};
    buffer_init(&request, 1 << 20);
    rig_request(&request, "shop", "test", spans, 2);
    rig_offer(&rig, buffer_view(&request), true);
    rig_advance(&rig, SECONDS(1) + 240 * NS_PER_MS);
    assert_int_equal(rig.span_count, 0);
    rig_advance(&rig, 20 * NS_PER_MS);
    assert_int_equal(rig.span_count, 2);
    assert_false(rig_has(rig_find(&rig, 1, 1, 0), "sidejudge.decision"));
    buffer_fini(&request);
    rig_close(&rig);
}

static void flush_releases_every_hold(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, JUDGED_YAML);
    rig.judge_delay_ns = UINT64_MAX;
    const struct rig_spec picked = AGENT_SPAN(1, 1, 0, 0, 3), open = AGENT_SPAN(2, 1, 77, 0, 3);
    rig_send(&rig, "shop", &picked, 1);
    rig_advance(&rig, SECONDS(2));
    rig_send(&rig, "shop", &open, 1);
    assert_int_equal(rig.span_count, 0);
    shard_flush(rig.shard);
    rig_advance(&rig, 0);
    assert_int_equal(rig.span_count, 2);
    rig_close(&rig);
}

static void evidence_limit_gives_up_the_most_silent_trace(void **arg)
{
    struct rig rig = {.account_bytes = 4 << 20};  // a quarter of it is evidence's
    (void)arg;
    rig_open(&rig, "{hold: 0s, sampling: {baseline: 1}}");
    char *long_text = malloc(40001);
    assert_non_null(long_text);
    for (uint8_t i = 1; i < 100; i++) {
        memset(long_text, 'a' + i % 26, 40000);
        memcpy(long_text, &i, 1);
        long_text[0] = 'x';
        long_text[40000] = '\0';
        struct rig_spec span = {.trace = i,
                                .span = 1,
                                .parent = 77,
                                .name = "agent",
                                .end_s = 3,
                                .attributes = {AGENT, "input.value", long_text}};
        rig_send(&rig, "shop", &span, 1);
    }
    free(long_text);
    assert_true(rig_decisions(&rig, DECISION_OVERLOAD) > 50);
    assert_true(account_used(rig.account, POOL_EVIDENCE) <=
                account_share(rig.account, POOL_EVIDENCE));
    assert_int_equal(rig.span_count, 99);
    rig_close(&rig);
}

static bool see_record(void *arg, const struct item_view *view)
{
    (void)arg;
    assert_int_equal(view->fault, SCAN_OK);
    assert_non_null(view->trace_id);
    return true;
}

static void score_records_go_to_logs(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{ledger: {export: true}, sampling: {baseline: 1}}");
    const struct rig_spec span = AGENT_SPAN(1, 1, 0, 0, 3);
    rig_send(&rig, "shop", &span, 1);
    rig_advance(&rig, SECONDS(2));
    assert_true(rig.log_count >= 2);
    struct scan_report report;
    assert_int_equal(scan_request(SIGNAL_LOGS, buffer_view(&rig.logs), SCAN_CHECK_UTF8, see_record,
                                  NULL, &report),
                     RESULT_OK);
    assert_int_equal(report.item_count, rig.log_count);
    assert_int_equal(report.rejected_count, 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agent_with_child_is_graded_on_its_span),
        cmocka_unit_test(who_is_hurried_decides_and_lets_go_at_once),
        cmocka_unit_test(not_picked_leaves_untouched),
        cmocka_unit_test(bad_feedback_picks_what_is_not_decided_yet),
        cmocka_unit_test(bad_feedback_waits_for_its_trace),
        cmocka_unit_test(hold_zero_holds_nothing_and_carries),
        cmocka_unit_test(judge_scores_within_hold_go_onto_the_span),
        cmocka_unit_test(late_score_comes_on_a_carrier_and_the_span_stays_bare),
        cmocka_unit_test(judge_error_is_no_score),
        cmocka_unit_test(full_judge_queue_is_overload_and_open_breaker_judge_error),
        cmocka_unit_test(child_batch_a_minute_before_its_root_is_one_interaction),
        cmocka_unit_test(three_remote_roots_in_one_trace_are_three_interactions),
        cmocka_unit_test(inner_ignore_leaves_remote_roots_alone),
        cmocka_unit_test(server_span_without_flags_is_a_root),
        cmocka_unit_test(client_span_with_unknown_flags_waits_for_its_root),
        cmocka_unit_test(two_parallel_agents_under_one_root_are_two_interactions),
        cmocka_unit_test(without_an_agent_the_last_model_span_is_graded),
        cmocka_unit_test(model_spans_of_services_with_agents_do_not_wait),
        cmocka_unit_test(root_that_never_comes_is_decided_after_idle),
        cmocka_unit_test(silence_of_45_seconds_is_no_end),
        cmocka_unit_test(late_child_does_not_decide_again),
        cmocka_unit_test(outer_agent_minutes_later_supersedes_the_inner_one),
        cmocka_unit_test(evaluators_are_never_graded),
        cmocka_unit_test(own_carriers_that_come_back_are_not_graded),
        cmocka_unit_test(incoming_verdicts_are_taken_out_of_graded_spans),
        cmocka_unit_test(trust_upstream_leaves_graded_spans_alone),
        cmocka_unit_test(no_content_is_said_not_graded),
        cmocka_unit_test(plain_traces_are_forgotten_without_a_decision),
        cmocka_unit_test(packed_request_waits_whole_and_is_split_only_when_picked),
        cmocka_unit_test(packed_request_without_a_decision_leaves_after_its_window),
        cmocka_unit_test(flush_releases_every_hold),
        cmocka_unit_test(evidence_limit_gives_up_the_most_silent_trace),
        cmocka_unit_test(score_records_go_to_logs),
    };
    return cmocka_run_group_tests_name("evaluation", tests, NULL, NULL);
}
