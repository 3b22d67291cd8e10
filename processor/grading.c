// SPDX-License-Identifier: Apache-2.0
// The life of one target as a [state][event] table. Handlers return the next state; the driver
// assigns it and does the bookkeeping that belongs to the change. Everything up to the judge
// happens in one turn: signals, deterministic evaluators, the choice, the budget; then the evidence
// is no longer needed, because a judge job carries its own redacted copy.
//
// Bounds: EVALUATORS_MAX jobs per target; the judge's queue. Thread: the shard's, but for job_done,
// which runs on the judge's and only posts.
#include "processor/grading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "processor/assembly.h"
#include "processor/evaluation_trace.h"
#include "processor/grading_delivery.h"

// The frame is rubric, form of the answer and what an API adds for it by itself.
enum { PROMPT_BYTES_MAX = 64 << 10, PROMPT_BYTES_FRAME = 3500 };

struct target *target_new(struct evaluation_state *state, struct trace *trace,
                          struct trace_span *span, const struct target_choice *choice)
{
    struct target *target = calloc(1, sizeof(*target));
    CHECK(target);
    target->trace = trace;
    target->span = span;
    target->serial = ++state->serial;
    target->whole = choice->whole;
    target->own_evaluation = choice->own_evaluation;
    target->next = trace->targets;
    trace->targets = target;
    trace->target_count++;
    span->target = target;
    return target;
}

// Non-response of the plain sample: its average is as good as this share is small.
static void plain_count(const struct evaluation_metrics *metrics, const struct grade *grade)
{
    if (!grade->choice.plain) {
        return;
    }
    switch (grade->decision) {
    case DECISION_JUDGED:
        metric_add(metrics->plain_graded, 1);
        break;
    case DECISION_OVER_BUDGET:
    case DECISION_THROTTLED:
    case DECISION_OVERLOAD:
    case DECISION_JUDGE_ERROR:
        metric_add(metrics->plain_refused, 1);
        break;
    default:
        break;
    }
}

// Records the decision: metrics, ledger. The grade is free to go afterwards.
static void decision_record(struct evaluation_state *state, struct grade *grade)
{
    struct evaluation *evaluation = state->evaluation;
    const struct evaluator_set *set = &evaluation->plan.evaluators;
    struct ledger_score scores[EVALUATORS_MAX];
    size_t count = 0;
    struct ledger_row row = {.trace_id = grade->trace_id,
                             .target = grade->target,
                             .decision = grade->decision,
                             .choice = grade->choice,
                             .truncated = grade->truncated,
                             .incomplete = grade->incomplete,
                             .decided_wall_ns = clock_wall_ns(),
                             .held_ns = grade->held_ns,
                             .on_span = grade->on_span,
                             .cost_usd = grade->cost_usd,
                             .scores = scores,
                             .rules = evaluation->rules};
    memcpy(row.target_name, grade->target_name, sizeof(row.target_name));
    memcpy(row.service_name, grade->service_name, sizeof(row.service_name));
    memcpy(row.agent_name, grade->agent_name, sizeof(row.agent_name));
    memcpy(row.dialect, grade->dialect, sizeof(row.dialect));
    memcpy(row.why, grade->why, sizeof(row.why));
    for (size_t i = 0; i < set->count; i++) {
        if (grade->decision != DECISION_JUDGED && grade->decision != DECISION_JUDGE_ERROR) {
            break;
        }
        memcpy(scores[count].name, set->items[i].name, sizeof(scores[count].name));
        scores[count].score = grade->scores[i];
        scores[count++].asked_judge = grade->asked[i];
        if (grade->scores[i].outcome != OUTCOME_NOT_APPLICABLE) {
            const char *label = grade->scores[i].label;
            evaluation_metrics_score(set->items[i].name, label[0] ? label : "none");
        }
    }
    row.score_count = count;
    ledger_add(evaluation->ledger, &row);
    metric_add(evaluation->metrics.targets, 1);
    metric_add(evaluation->metrics.decisions[grade->decision], 1);
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        if (grade->choice.quality_signals >> i & 1) {
            metric_add(evaluation->metrics.quality_signals[i], 1);
        }
    }
    plain_count(&evaluation->metrics, grade);
    atomic_fetch_add(&evaluation->targets, 1);
    if (grade->decision == DECISION_JUDGED) {
        atomic_fetch_add(&evaluation->graded, 1);
        baseline_graded(evaluation->baseline, grade->cost_usd, state->now_ns);
    }
}

static enum target_state decided(struct evaluation_state *state, struct target *target,
                                 enum decision decision)
{
    struct grade *grade = target->grade;
    grade->decision = decision;
    target->decided_at_ns = state->now_ns;
    if (target->span->held) {
        grade->held_ns = state->now_ns - target->span->arrived_ns;
    }
    grade_deliver(state, target);
    if (state->env->decided) {
        state->env->decided(state->env, &grade->trace_id, &grade->target);
    }
    decision_record(state, grade);
    grade_free(&target->grade);
    return TARGET_STATE_DECIDED;
}

void grading_abandon(struct evaluation_state *state, struct target *target)
{
    struct grade *grade = target->grade;
    if (!grade) {
        return;
    }
    if (grade->budgeted) {  // the calls were made
        budget_settle(state->evaluation->budget, grade->choice.baseline_picked, grade->estimate_usd,
                      grade->estimate_usd, state->now_ns);
    }
    grade->decision = DECISION_JUDGE_ERROR;
    snprintf(grade->why, sizeof(grade->why), "the process ended before its judge answered");
    decision_record(state, grade);
    grade_free(&target->grade);
    target->state = TARGET_STATE_DECIDED;
}

static void score_note(struct score *score, enum outcome outcome, const char *why)
{
    memset(score, 0, sizeof(*score));
    score->outcome = outcome;
    snprintf(score->explanation, sizeof(score->explanation), "%s", why);
}

static void deterministic_grade(struct evaluation_state *state, struct grade *grade,
                                const struct interaction *interaction)
{
    const struct evaluator_set *set = &state->evaluation->plan.evaluators;
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].ops) {
            set->items[i].ops->grade(set->items[i].prepared, interaction, &grade->scores[i]);
            score_settle(&set->items[i], &grade->scores[i]);
        }
    }
}

// Why a judge need not be asked; NULL: it must be.
static const char *settled_before(const struct evaluator *evaluator,
                                  const struct interaction *interaction, unsigned signals)
{
    if (interaction->response.len == 0 ||
        signals & (1u << QUALITY_SIGNAL_EMPTY_ANSWER | 1u << QUALITY_SIGNAL_DEGENERATE)) {
        return "the answer is empty or degenerate: settled without a judge";
    }
    if (evaluator->rubric->needs_contexts && interaction->context_count == 0) {
        return "nothing was retrieved and no tool answered";
    }
    if (evaluator->rubric->needs_question && interaction->question.len == 0) {
        return "the user's turn was not captured";
    }
    return NULL;
}

static size_t prompt_bytes(const struct interaction *interaction)
{
    size_t bytes = interaction->question.len + interaction->response.len + interaction->system.len;
    for (size_t i = 0; i < interaction->context_count; i++) {
        bytes += interaction->contexts[i].len;
    }
    for (size_t i = 0; i < interaction->tool_call_count; i++) {
        bytes += interaction->tool_calls[i].arguments.len + interaction->tool_calls[i].result.len;
    }
    bytes = bytes < PROMPT_BYTES_MAX ? bytes : PROMPT_BYTES_MAX;
    return bytes + PROMPT_BYTES_FRAME;
}

static void job_done(struct judge_job *job)
{
    struct verdict_message *verdict = job->arg;
    struct evaluation *evaluation = verdict->evaluation;
    CHECK(evaluation->magic == EVALUATION_MAGIC);
    verdict->result = job->result;
    evaluation->port.job_free(evaluation->port.arg, &job);
    if (atomic_load(&evaluation->ending)) {
        free(verdict);
        return;
    }
    verdict->env->post(verdict->env, &verdict->head);
}

static enum result job_send(struct evaluation_state *state, struct target *target, size_t index,
                            const struct interaction *interaction)
{
    struct evaluation *evaluation = state->evaluation;
    const struct evaluator *evaluator = &evaluation->plan.evaluators.items[index];
    struct judge_job *job = NULL;
    struct verdict_message *verdict = calloc(1, sizeof(*verdict));
    CHECK(verdict);
    enum result result =
        evaluation->port.job_new(evaluation->port.arg, evaluator->judge, evaluator->rubric,
                                 interaction, state->redactor, &job);
    if (result != RESULT_OK) {
        free(verdict);
        return result;
    }
    verdict->head.processor = (struct processor *)evaluation;
    verdict->evaluation = evaluation;
    verdict->env = state->env;
    verdict->trace = (struct trace_name){target->trace->slot, target->trace->generation};
    verdict->serial = target->serial;
    verdict->evaluator = (uint32_t)index;
    job->done = job_done;
    job->arg = verdict;
    result = evaluation->port.submit(evaluation->port.arg, &job);
    if (result != RESULT_OK) {
        evaluation->port.job_free(evaluation->port.arg, &job);
        free(verdict);
    }
    return result;
}

static enum target_state judged(struct evaluation_state *state, struct target *target)
{
    struct grade *grade = target->grade;
    const struct evaluator_set *set = &state->evaluation->plan.evaluators;
    if (grade->asked_count > 0 && grade->failed_count == grade->asked_count) {
        return decided(state, target, DECISION_JUDGE_ERROR);
    }
    return decided(state, target,
                   grade_has_score(grade, set) ? DECISION_JUDGED : DECISION_NOT_APPLICABLE);
}

// Marks who is asked; returns how many, with the estimated cost.
static unsigned judges_mark(struct evaluation_state *state, struct grade *grade,
                            const struct interaction *interaction)
{
    struct evaluation *evaluation = state->evaluation;
    const struct evaluator_set *set = &evaluation->plan.evaluators;
    size_t bytes = prompt_bytes(interaction);
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].judge < 0) {
            continue;
        }
        const char *why =
            settled_before(&set->items[i], interaction, grade->choice.quality_signals);
        if (why) {
            score_note(&grade->scores[i], OUTCOME_NOT_APPLICABLE, why);
            score_settle(&set->items[i], &grade->scores[i]);
            continue;
        }
        grade->asked[i] = true;
        grade->asked_count++;
        if (evaluation->port.estimate_usd) {
            grade->estimate_usd +=
                evaluation->port.estimate_usd(evaluation->port.arg, set->items[i].judge, bytes);
        }
    }
    return grade->asked_count;
}

// A new process has next to nothing to spend, and its operator waits for a first score: what does
// not fit into the first grant as a whole is graded by the evaluators that fit, in their order.
static void judges_fit_first_grant(struct evaluation_state *state, struct grade *grade,
                                   const struct interaction *interaction)
{
    struct evaluation *evaluation = state->evaluation;
    const struct evaluator_set *set = &evaluation->plan.evaluators;
    double limit =
        budget_first_limit(evaluation->budget, grade->choice.baseline_picked, state->now_ns);
    if (grade->estimate_usd <= limit || !evaluation->port.estimate_usd) {
        return;
    }
    double sum = 0;
    bool fits[EVALUATORS_MAX] = {false};
    for (size_t i = 0; i < set->count; i++) {
        double one = grade->asked[i]
                         ? evaluation->port.estimate_usd(evaluation->port.arg, set->items[i].judge,
                                                         prompt_bytes(interaction))
                         : 0;
        fits[i] = grade->asked[i] && sum + one <= limit;
        sum += fits[i] ? one : 0;
    }
    if (sum == 0) {
        snprintf(grade->why, sizeof(grade->why),
                 "estimated at %.4f USD; a process starts with %.4f USD and saves up",
                 grade->estimate_usd, limit);
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        if (grade->asked[i] && !fits[i]) {
            grade->asked[i] = false;
            grade->asked_count--;
            score_note(&grade->scores[i], OUTCOME_ERROR,
                       "the first grading of a process is paid for one evaluator at a time");
            score_settle(&set->items[i], &grade->scores[i]);
        }
    }
    grade->estimate_usd = sum;
}

static enum target_state judges_ask(struct evaluation_state *state, struct target *target,
                                    const struct interaction *interaction)
{
    struct grade *grade = target->grade;
    const struct evaluator_set *set = &state->evaluation->plan.evaluators;
    enum result last = RESULT_OK;
    for (size_t i = 0; i < set->count; i++) {
        if (!grade->asked[i]) {
            continue;
        }
        enum result result =
            state->evaluation->port.submit ? job_send(state, target, i, interaction) : RESULT_RETRY;
        if (result == RESULT_OK) {
            grade->pending++;
            continue;
        }
        last = result;
        grade->failed_count++;
        score_note(&grade->scores[i], OUTCOME_ERROR,
                   result == RESULT_SHED ? "the judge's queue is full" : "no judge is available");
        score_settle(&set->items[i], &grade->scores[i]);
    }
    if (grade->pending > 0) {
        target->trace->judging_count++;
        if (target->span->held && target->span->held->state == HELD_WAITING) {
            held_judge(target->span->held);
        }
        return TARGET_STATE_JUDGING;
    }
    if (grade->budgeted) {
        budget_settle(state->evaluation->budget, grade->choice.baseline_picked, grade->estimate_usd,
                      0, state->now_ns);
    }
    if (last == RESULT_SHED) {
        metric_add(state->evaluation->metrics.shed_judge_queue, 1);
    }
    snprintf(grade->why, sizeof(grade->why), "%s",
             last == RESULT_SHED ? "the judge's queue or memory is full"
                                 : "the judge's circuit breaker is open");
    return decided(state, target, last == RESULT_SHED ? DECISION_OVERLOAD : DECISION_JUDGE_ERROR);
}

static enum target_state picked(struct evaluation_state *state, struct target *target,
                                const struct interaction *interaction)
{
    struct grade *grade = target->grade;
    struct evaluation *evaluation = state->evaluation;
    if (judges_mark(state, grade, interaction) == 0) {
        return judged(state, target);
    }
    if (evaluation->budget) {
        judges_fit_first_grant(state, grade, interaction);
        switch (budget_take(evaluation->budget, grade->choice.baseline_picked, grade->estimate_usd,
                            grade->asked_count, state->now_ns)) {
        case BUDGET_GRANTED:
            grade->budgeted = true;
            break;
        case BUDGET_OVER:
            return decided(state, target, DECISION_OVER_BUDGET);
        case BUDGET_THROTTLED:
            return decided(state, target, DECISION_THROTTLED);
        }
    }
    return judges_ask(state, target, interaction);
}

static struct grade *grade_begin(struct evaluation_state *state, struct target *target,
                                 struct interaction *interaction)
{
    const struct trace_span *span = target->span;
    assembly_build(target->trace, span, target->whole, interaction);
    struct grade *grade =
        grade_new(interaction, span->evidence ? span->evidence->resource : BYTES_NONE);
    grade->trace = (struct trace_name){target->trace->slot, target->trace->generation};
    grade->serial = target->serial;
    grade->metadata = metadata_hold(target->trace->metadata);
    target->grade = grade;
    (void)state;
    return grade;
}

static void choose(struct evaluation_state *state, struct target *target,
                   const struct interaction *interaction, unsigned signals)
{
    struct evaluation *evaluation = state->evaluation;
    struct trace_random random;
    if (target->span->evidence) {
        random = target->span->evidence->random;
    } else {
        trace_random_of(&target->trace->id, BYTES_NONE, &random);
    }
    sampling_choose(&evaluation->plan.sampling, evaluation->baseline, &random,
                    interaction->rule_matches, signals, target->grade->scores,
                    &target->grade->choice);
}

static enum target_state on_complete(struct evaluation_state *state, struct target *target,
                                     const struct verdict_message *verdict)
{
    struct interaction interaction;
    struct grade *grade = grade_begin(state, target, &interaction);
    (void)verdict;
    if (target->own_evaluation) {
        return decided(state, target, DECISION_OWN_EVALUATION);
    }
    unsigned signals = quality_signals_find(&interaction, state->turns, state->now_ns);
    deterministic_grade(state, grade, &interaction);
    baseline_saw(state->evaluation->baseline, state->now_ns);
    choose(state, target, &interaction, signals);
    if (!interaction.has_content) {
        return decided(state, target,
                       interaction.incomplete ? DECISION_INCOMPLETE : DECISION_NO_CONTENT);
    }
    if (interaction.incomplete && interaction.response.len == 0 && !interaction.has_error) {
        snprintf(grade->why, sizeof(grade->why), "its answer never arrived");
        return decided(state, target, DECISION_INCOMPLETE);
    }
    if (!grade->choice.picked) {
        return decided(state, target, DECISION_NOT_SAMPLED);
    }
    if (state->overload >= OVERLOAD_JUDGING) {
        metric_add(state->evaluation->metrics.shed_judging, 1);
        snprintf(grade->why, sizeof(grade->why), "memory is short: nothing is graded for now");
        return decided(state, target, DECISION_OVERLOAD);
    }
    return picked(state, target, &interaction);
}

static enum target_state on_give_up(struct evaluation_state *state, struct target *target,
                                    const struct verdict_message *verdict)
{
    struct interaction interaction;
    struct grade *grade = grade_begin(state, target, &interaction);
    (void)verdict;
    choose(state, target, &interaction, 0);
    snprintf(grade->why, sizeof(grade->why), "its evidence was given up for memory");
    return decided(state, target,
                   target->own_evaluation ? DECISION_OWN_EVALUATION : DECISION_OVERLOAD);
}

static enum target_state on_score(struct evaluation_state *state, struct target *target,
                                  const struct verdict_message *verdict)
{
    struct evaluation *evaluation = state->evaluation;
    struct grade *grade = target->grade;
    CHECK(verdict->evaluator < evaluation->plan.evaluators.count && grade->pending > 0);
    struct score *score = &grade->scores[verdict->evaluator];
    *score = verdict->result.score;
    score_settle(&evaluation->plan.evaluators.items[verdict->evaluator], score);
    bool failed = score->outcome == OUTCOME_ERROR;
    metric_add(evaluation->metrics.judge_calls[failed], 1);
    grade->failed_count += failed;
    grade->cost_usd += verdict->result.cost_usd;
    if (failed && grade->why[0] == '\0') {
        snprintf(grade->why, sizeof(grade->why), "%.180s", score->explanation);
    }
    if (--grade->pending > 0) {
        return TARGET_STATE_JUDGING;
    }
    target->trace->judging_count--;
    if (grade->budgeted) {
        budget_settle(evaluation->budget, grade->choice.baseline_picked, grade->estimate_usd,
                      grade->cost_usd, state->now_ns);
    }
    return judged(state, target);
}

static enum target_state on_nothing(struct evaluation_state *state, struct target *target,
                                    const struct verdict_message *verdict)
{
    (void)state, (void)verdict;
    return (enum target_state)target->state;
}

typedef enum target_state (*target_handler)(struct evaluation_state *state, struct target *target,
                                            const struct verdict_message *verdict);
// A hold that is over changes nothing here: the span leaves, its scores follow on a carrier.
static const target_handler handlers[TARGET_STATE_COUNT][TARGET_EVENT_COUNT] = {
    [TARGET_STATE_ASSEMBLING] = {on_complete, on_give_up, on_nothing, on_nothing},
    [TARGET_STATE_JUDGING] = {on_nothing, on_nothing, on_score, on_nothing},
    [TARGET_STATE_DECIDED] = {on_nothing, on_nothing, on_nothing, on_nothing},
};

void target_event(struct evaluation_state *state, struct target *target, enum target_event event,
                  const struct verdict_message *verdict)
{
    CHECK(target->state < TARGET_STATE_COUNT && event < TARGET_EVENT_COUNT);
    target->state = (uint8_t)handlers[target->state][event](state, target, verdict);
    CHECK(target->state != TARGET_STATE_DECIDED || !target->grade);
}

void grading_message(struct evaluation_state *state, struct shard_message *message)
{
    struct verdict_message *verdict = (struct verdict_message *)message;
    struct trace *trace = trace_table_at(state->traces, verdict->trace);
    struct target *target = trace ? trace->targets : NULL;
    while (target && target->serial != verdict->serial) {
        target = target->next;
    }
    if (target && target->state == TARGET_STATE_JUDGING) {
        target_event(state, target, TARGET_EVENT_SCORE, verdict);
        evaluation_trace_check(state, verdict->trace);
    } else {
        metric_add(state->evaluation->metrics.stale_names, 1);
    }
    free(verdict);
}

static void supersede(struct evaluation_state *state, const struct trace_id *trace_id,
                      const struct span_id *target)
{
    ledger_supersede(state->evaluation->ledger, trace_id, target);
    metric_add(state->evaluation->metrics.superseded, 1);
}

// The span with this id, or one that stands for it, lies under the target.
static bool stands_under(const struct target *target, const struct span_id *id)
{
    for (const struct trace_span *span = target->trace->spans; span; span = span->next) {
        if (span_id_equal(&span->id, id)) {
            return span == target->span || trace_is_above(target->span, span);
        }
    }
    return false;
}

void grading_supersede(struct evaluation_state *state, struct target *target)
{
    struct trace *trace = target->trace;
    for (struct target *other = trace->targets; other; other = other->next) {
        if (other != target && !other->superseded && other->state == TARGET_STATE_DECIDED &&
            other->decided_at_ns < state->now_ns && trace_is_above(target->span, other->span)) {
            other->superseded = true;
            supersede(state, &trace->id, &other->span->id);
        }
    }
    struct decided_trace *before =
        trace->late ? decided_traces_find(state->decided, &trace->id) : NULL;
    for (uint32_t i = 0; before && i < before->target_count; i++) {
        struct decided_target *old = &before->targets[i];
        if (!old->superseded && !span_id_is_zero(&old->above) &&
            stands_under(target, &old->above)) {
            old->superseded = true;
            supersede(state, &trace->id, &old->id);
        }
    }
}
