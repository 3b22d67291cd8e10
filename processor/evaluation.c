// SPDX-License-Identifier: Apache-2.0
// The component `evaluation`: one instance for all pipelines that name its id, one state per shard.
// This file makes and ends them; what they do is in evaluation_trace.c (arrivals, completion),
// grading.c (decisions) and grading_delivery.c (what leaves).
//
// A judge pool that cannot be made degrades: the deterministic evaluators go on, what needs a judge
// is decided judge_error. Thread: create and free on the main thread, the rest as component.h says.
#include "processor/evaluation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "processor/evaluation_state.h"
#include "processor/evaluation_trace.h"
#include "processor/grading.h"

enum { TURNS_MAX = 4096 };
#define TURNS_AGE_NS (UINT64_C(3600) * NS_PER_S)

static enum result port_job_new(void *arg, int judge, const struct rubric *rubric,
                                const struct interaction *interaction, struct redactor *redactor,
                                struct judge_job **job)
{
    enum result room = judge_pool_room(arg, judge);
    return room == RESULT_OK ? judge_job_new(arg, judge, rubric, interaction, redactor, job) : room;
}

static enum result port_submit(void *arg, struct judge_job **job)
{
    return judge_pool_submit(arg, job);
}

static void port_job_free(void *arg, struct judge_job **job)
{
    judge_job_free(arg, job);
}

static double port_estimate(void *arg, int judge, size_t prompt_bytes)
{
    return judge_estimate_usd(arg, judge, prompt_bytes);
}

void evaluation_use_judges(struct processor *processor, const struct judge_port *port)
{
    evaluation_of(processor)->port = *port;
}

static void judges_say(const struct evaluation *evaluation)
{
    const struct evaluation_plan *plan = &evaluation->plan;
    for (size_t i = 0; i < plan->judge_count; i++) {
        char host[128];
        judge_host(&plan->judges[i], host);
        if (host[0] == '\0') {
            continue;
        }
        log_line(LOG_INFO, evaluation->id, "content of graded interactions is sent to a judge",
                 LOG_TEXT("host", host), LOG_BYTES("judge", plan->judges[i].name),
                 LOG_BYTES("model", plan->judges[i].model),
                 LOG_TEXT("redaction",
                          evaluation->config->redaction.mode == REDACTION_MASK ? "mask" : "off"));
    }
}

static void judges_open(struct evaluation *evaluation, uint64_t now_ns)
{
    struct evaluation_plan *plan = &evaluation->plan;
    char why[256] = "";
    if (plan->judge_count == 0) {
        return;
    }
    if (evaluation->legacy->budget == NULL) {
        evaluation->legacy->budget = budget_new(&evaluation->config->budget, now_ns);
    } else {
        budget_configure(evaluation->legacy->budget, &evaluation->config->budget, now_ns);
    }
    evaluation->budget = evaluation->legacy->budget;
    enum result result = judge_pool_new(plan->judges, plan->judge_count, evaluation->account,
                                        &evaluation->judges, why, sizeof(why));
    if (result == RESULT_OK) {
        result = judge_pool_start(evaluation->judges);
    }
    if (result != RESULT_OK) {
        log_line(LOG_ERROR, evaluation->id, "judges are not available: nothing is judged",
                 LOG_TEXT("why", why[0] ? why : result_text(result)));
        if (evaluation->judges) {
            judge_pool_free(&evaluation->judges);
        }
        return;
    }
    evaluation->port = (struct judge_port){port_job_new, port_submit, port_job_free, port_estimate,
                                           evaluation->judges};
    judges_say(evaluation);
}

static void flags_clear(struct evaluation *evaluation)
{
    atomic_flag_clear(&evaluation->said_score);
    for (size_t i = 0; i < DIALECT_COUNT; i++) {
        atomic_flag_clear(&evaluation->said_no_content[i]);
    }
    atomic_store(&evaluation->logs_wanted, true);
    atomic_store(&evaluation->carriers_wanted, true);
}

static void legacy_open(struct evaluation *evaluation, const struct processor *previous)
{
    const struct sampling *sampling = &evaluation->plan.sampling;
    struct legacy *earlier =
        processor_is_evaluation(previous) ? evaluation_of(previous)->legacy : NULL;
    struct legacy *legacy = legacy_join(earlier, (struct processor *)evaluation, sampling);
    evaluation->legacy = legacy;
    evaluation->ledger = legacy->ledger;
    evaluation->services = legacy->services;
    evaluation->rules = ledger_rules_add(legacy->ledger, sampling);
    // Without a judge nothing costs anything, so that there is nothing to adapt to.
    if (sampling->baseline_auto && evaluation->plan.judge_count > 0) {
        legacy->ladder = legacy->ladder != NULL ? legacy->ladder : baseline_new(true, 0);
        evaluation->baseline = legacy->ladder;
    } else {
        evaluation->own_baseline =
            baseline_new(false, sampling->baseline_auto ? 1 : sampling->baseline);
        evaluation->baseline = evaluation->own_baseline;
    }
}

static enum result evaluation_create(const struct component_env *env, const void *config,
                                     struct processor **processor, char *why, size_t why_len)
{
    struct evaluation *evaluation = calloc(1, sizeof(*evaluation));
    struct buffer text;
    CHECK(evaluation);
    evaluation->magic = EVALUATION_MAGIC;
    snprintf(evaluation->id, sizeof(evaluation->id), "processor/%s", env->id);
    evaluation->config = config;
    evaluation->account = env->account;
    flags_clear(evaluation);
    buffer_init(&text, 4096);
    struct option_errors errors = {.out = &text};
    evaluation_plan_init(&evaluation->plan, config, env->id, NULL, &errors);
    if (errors.count > 0) {
        snprintf(why, why_len, "%s", buffer_text(&text));
        buffer_fini(&text);
        evaluation_plan_fini(&evaluation->plan);
        free(evaluation);
        return RESULT_FAIL;
    }
    buffer_fini(&text);
    uint64_t now_ns = clock_mono_ns();
    atomic_store(&evaluation->now_ns, now_ns);
    evaluation_metrics_init(&evaluation->metrics);
    legacy_open(evaluation, env->previous);
    judges_open(evaluation, now_ns);
    *processor = (struct processor *)evaluation;
    return RESULT_OK;
}

static void own_counts(struct evaluation *evaluation, struct evaluation_counts *counts)
{
    *counts = (struct evaluation_counts){
        .targets = atomic_load(&evaluation->targets),
        .graded = atomic_load(&evaluation->graded),
        .open_traces = (uint64_t)atomic_load(&evaluation->open_traces),
        .evidence_bytes = (uint64_t)atomic_load(&evaluation->evidence_bytes),
        .late_spans = atomic_load(&evaluation->late_spans),
        .carriers = atomic_load(&evaluation->carriers),
        .without_content = atomic_load(&evaluation->without_content),
        .judge_in_flight = evaluation->judges ? judge_pool_in_flight(evaluation->judges) : 0,
    };
}

static void judges_close(struct evaluation *evaluation)
{
    atomic_store(&evaluation->ending, true);
    if (evaluation->judges) {
        judge_pool_free(&evaluation->judges);
    }
}

static void evaluation_free(struct processor **processor)
{
    if (!*processor) {
        return;
    }
    struct evaluation *evaluation = evaluation_of(*processor);
    *processor = NULL;
    judges_close(evaluation);
    struct evaluation_counts last;
    own_counts(evaluation, &last);
    ledger_rules_release(evaluation->ledger, evaluation->rules);
    baseline_free(evaluation->own_baseline);
    legacy_leave(&evaluation->legacy, (struct processor *)evaluation, &last);
    evaluation_plan_fini(&evaluation->plan);
    evaluation->magic = 0;
    free(evaluation);
}

static void evaluation_tick(struct processor *processor, uint64_t now_ns)
{
    struct evaluation *evaluation = evaluation_of(processor);
    atomic_store_explicit(&evaluation->now_ns, now_ns, memory_order_relaxed);
    if (evaluation->account) {
        account_tick(evaluation->account, now_ns);
    }
    double half = evaluation->budget ? budget_half_per_second(evaluation->budget) : 0;
    if (evaluation->budget && legacy_is_newest(evaluation->legacy, processor)) {
        struct budget_status status;
        budget_status(evaluation->budget, &status, now_ns);
        metric_set(evaluation->metrics.judge_cost, status.spent_usd);
        baseline_adjust(evaluation->baseline, half, evaluation->config->budget.calls_per_second,
                        now_ns);
    }
    struct evaluation_counts counts;
    evaluation_counts(processor, &counts);
    metric_set(evaluation->metrics.open_traces, (double)counts.open_traces);
    metric_set(evaluation->metrics.evidence_bytes, (double)counts.evidence_bytes);
}

static void evaluation_score_sinks(struct processor *processor, unsigned sends)
{
    atomic_store(&evaluation_of(processor)->score_sends, sends);
}

static void held_over(void *arg, struct held_span *held, uint64_t now_ns)
{
    struct evaluation_state *state = arg;
    state->now_ns = now_ns;
    if (trace_table_at(state->traces, held->name) && held->span->target) {
        target_event(state, held->span->target, TARGET_EVENT_HOLD_OVER, NULL);
    }
}

static void held_left(void *arg, const struct held_span *held, uint64_t held_ns, uint64_t now_ns)
{
    struct evaluation_state *state = arg;
    struct trace *trace = trace_table_at(state->traces, held->name);
    CHECK(trace && trace->held_count > 0);
    (void)now_ns;
    if (held->span->held == held) {
        held->span->held = NULL;
    }
    trace->held_count--;
    metric_observe(held->graded ? state->evaluation->metrics.hold_graded
                                : state->evaluation->metrics.hold_ungraded,
                   (double)held_ns / 1e9);
    evaluation_trace_check(state, held->name);
}

static void *state_open(struct processor *processor, struct shard_env *env)
{
    struct evaluation *evaluation = evaluation_of(processor);
    const struct evaluation_config *config = evaluation->config;
    struct evaluation_state *state = calloc(1, sizeof(*state));
    CHECK(state);
    state->magic = EVALUATION_MAGIC;
    state->evaluation = evaluation;
    state->env = env;
    state->traces = trace_table_new(TRACES_MAX);
    state->decided = decided_traces_new(DECIDED_TRACES_MAX);
    state->turns = recent_turns_new(TURNS_MAX, TURNS_AGE_NS);
    state->times = (struct fragment_times){.linger_ns = (uint64_t)config->completion.linger_ns,
                                           .idle_ns = (uint64_t)config->completion.idle_ns,
                                           .max_age_ns = (uint64_t)config->completion.max_age_ns};
    if (config->redaction.mode == REDACTION_MASK) {
        state->redactor = redactor_new();
    }
    state->holdings =
        (struct holdings){.env = env,
                          .hold_ns = (uint64_t)config->hold_ns,
                          .whole_ns = (uint64_t)config->completion.linger_ns + WHOLE_EXTRA_NS,
                          .over = held_over,
                          .left = held_left,
                          .arg = state};
    return state;
}

static struct evaluation_state *state_of(void *arg)
{
    struct evaluation_state *state = arg;
    CHECK(state->magic == EVALUATION_MAGIC);
    return state;
}

static void state_look(void *arg, const struct parcel *parcel, uint64_t now_ns)
{
    evaluation_look(state_of(arg), parcel, now_ns);
}

static void state_look_noted(void *arg, const struct parcel *parcel, uint64_t now_ns)
{
    evaluation_look_noted(state_of(arg), parcel, now_ns);
}

static void state_take(void *arg, struct parcel **parcel, uint64_t now_ns)
{
    evaluation_take(state_of(arg), parcel, now_ns);
}

static void state_message(void *arg, struct shard_message *message, uint64_t now_ns)
{
    struct evaluation_state *state = state_of(arg);
    evaluation_turn(state, now_ns);
    grading_message(state, message);
    evaluation_let_go(state);
    evaluation_settle(state, now_ns);
}

// What is decided stays decided.
static void state_feedback(void *arg, const struct feedback *feedback, uint64_t now_ns)
{
    struct evaluation_state *state = state_of(arg);
    const struct evaluation_metrics *metrics = &state->evaluation->metrics;
    struct trace *trace = trace_table_find(state->traces, &feedback->trace_id);
    (void)now_ns;
    if (trace && trace->undecided_count > 0) {
        trace->bad_feedback |= feedback->is_bad;
        metric_add(metrics->feedback_taken, 1);
    } else if (trace || decided_traces_find(state->decided, &feedback->trace_id)) {
        metric_add(metrics->feedback_decided, 1);
    } else if (feedback->is_bad) {
        state->early[state->early_next] = feedback->trace_id;
        state->early_next = (state->early_next + 1) % EARLY_FEEDBACK_MAX;
        state->early_count += state->early_count < EARLY_FEEDBACK_MAX;
        metric_add(metrics->feedback_early, 1);
    }
}

static void state_restore(void *arg, const struct trace_id *trace_id, const struct span_id *target)
{
    const struct span_id none = {{0}};
    struct decided_trace *decided = decided_traces_add(state_of(arg)->decided, trace_id);
    if (decided) {
        decided_trace_add_target(decided, target, &none);
    }
}

static void state_hurry(void *arg, uint64_t now_ns)
{
    evaluation_hurry(state_of(arg), now_ns);
}

static size_t state_open_traces(void *arg, void (*each)(void *arg, const struct trace_id *id),
                                void *each_arg)
{
    struct evaluation_state *state = state_of(arg);
    const struct trace *trace = each != NULL ? trace_table_oldest(state->traces) : NULL;
    for (; trace != NULL; trace = trace->newer) {
        each(each_arg, &trace->id);
    }
    return trace_table_count(state->traces) + state->holdings.span_count;
}

static void state_flush(void *arg, uint64_t now_ns)
{
    struct evaluation_state *state = state_of(arg);
    state->now_ns = now_ns;
    holdings_flush(&state->holdings, now_ns);
}

// The first state that closes stops the judges: every shard's memory is still there then, so a
// result on its way finds its mailbox (shard.h: shards are freed only after all have stopped).
static void state_close(void *arg)
{
    struct evaluation_state *state = state_of(arg);
    judges_close(state->evaluation);
    timers_cancel(state->env->timers, &state->settle);
    timers_cancel(state->env->timers, &state->hurry);
    holdings_flush(&state->holdings, state->now_ns);
    struct trace *trace;
    while ((trace = trace_table_oldest(state->traces)) != NULL) {
        trace->undecided_count = trace->judging_count = 0;
        evaluation_trace_check(state, (struct trace_name){trace->slot, trace->generation});
    }
    if (state->evaluation->account && state->evidence_charged > 0) {
        account_release(state->evaluation->account, POOL_EVIDENCE, state->evidence_charged);
    }
    trace_table_free(state->traces);
    decided_traces_free(state->decided);
    recent_turns_free(state->turns);
    redactor_free(state->redactor);
    state->magic = 0;
    free(state);
}

static const struct shard_ops evaluation_shard = {
    .open = state_open,
    .look = state_look,
    .take = state_take,
    .message = state_message,
    .flush = state_flush,
    .hurry = state_hurry,
    .open_traces = state_open_traces,
    .close = state_close,
    .restore = state_restore,
    .feedback = state_feedback,
    .note_bytes = sizeof(struct span_note),
    .wants_noted = evaluation_wants_noted,
    .look_noted = state_look_noted,
};

const struct processor_ops evaluation_processor = {
    .kind = {.type = "evaluation",
             .doc = "Picks interactions, grades them, and writes the scores onto their spans.",
             .signals = 1u << SIGNAL_TRACES | 1u << SIGNAL_METRICS | 1u << SIGNAL_LOGS,
             .options = evaluation_options,
             .config_size = sizeof(struct evaluation_config),
             .validate = evaluation_validate},
    .create = evaluation_create,
    .wants = evaluation_wants,
    .shard = &evaluation_shard,
    .score_sinks = evaluation_score_sinks,
    .tick = evaluation_tick,
    .free = evaluation_free,
};

bool processor_is_evaluation(const struct processor *processor)
{
    return processor && *(const uint32_t *)(const void *)processor == EVALUATION_MAGIC;
}

struct ledger *evaluation_ledger(const struct processor *processor)
{
    return evaluation_of(processor)->ledger;
}

struct budget *evaluation_budget(const struct processor *processor)
{
    return evaluation_of(processor)->budget;
}

const struct baseline *evaluation_baseline(const struct processor *processor)
{
    return evaluation_of(processor)->baseline;
}

const struct judge_config *evaluation_judges(const struct processor *processor, size_t *count)
{
    const struct evaluation *evaluation = evaluation_of(processor);
    *count = evaluation->plan.judge_count;
    return evaluation->plan.judges;
}

unsigned evaluation_shards(const struct processor *processor)
{
    return (unsigned)evaluation_of(processor)->config->shards;
}

void evaluation_counts(const struct processor *processor, struct evaluation_counts *counts)
{
    const struct legacy *legacy = evaluation_of(processor)->legacy;
    *counts = legacy->gone;
    for (size_t i = 0; i < legacy->count; i++) {
        struct evaluation_counts own;
        own_counts(evaluation_of(legacy->instances[i]), &own);
        legacy_add_counts(counts, &own);
    }
    // Series outlive instances.
    const struct evaluation_metrics *metrics = &evaluation_of(processor)->metrics;
    counts->plain_graded = (uint64_t)metric_value(metrics->plain_graded);
    counts->plain_refused = (uint64_t)metric_value(metrics->plain_refused);
}
