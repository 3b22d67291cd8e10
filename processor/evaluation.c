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

enum { LEDGER_ROWS_MAX = 100000, LEDGER_BYTES_MAX = 16 << 20, TURNS_MAX = 4096 };
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
    evaluation->budget = budget_new(&evaluation->config->budget, now_ns);
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
    evaluation->baseline =
        baseline_new(evaluation->plan.sampling.baseline_auto, evaluation->plan.sampling.baseline);
    evaluation->ledger = ledger_new(&evaluation->plan.sampling, LEDGER_ROWS_MAX, LEDGER_BYTES_MAX);
    evaluation->services = learned_services_new(LEARNED_AGE_NS);
    judges_open(evaluation, now_ns);
    *processor = (struct processor *)evaluation;
    return RESULT_OK;
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
    learned_services_free(evaluation->services);
    ledger_free(evaluation->ledger);
    baseline_free(evaluation->baseline);
    budget_free(evaluation->budget);
    evaluation_plan_fini(&evaluation->plan);
    evaluation->magic = 0;
    free(evaluation);
}

static void evaluation_tick(struct processor *processor, uint64_t now_ns)
{
    struct evaluation *evaluation = evaluation_of(processor);
    atomic_store_explicit(&evaluation->now_ns, now_ns, memory_order_relaxed);
    double half = evaluation->budget ? budget_half_per_second(evaluation->budget) : 0;
    if (evaluation->budget) {
        struct budget_status status;
        budget_status(evaluation->budget, &status, now_ns);
        metric_set(evaluation->metrics.judge_cost, status.spent_usd);
        baseline_adjust(evaluation->baseline, half, evaluation->config->budget.calls_per_second,
                        now_ns);
    }
    metric_set(evaluation->metrics.open_traces, (double)atomic_load(&evaluation->open_traces));
    metric_set(evaluation->metrics.evidence_bytes,
               (double)atomic_load(&evaluation->evidence_bytes));
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
    state->now_ns = now_ns;
    grading_message(state, message);
    evaluation_settle(state, now_ns);
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
    .close = state_close,
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

const struct sampling *evaluation_sampling(const struct processor *processor)
{
    return &evaluation_of(processor)->plan.sampling;
}

const struct evaluator_set *evaluation_evaluators(const struct processor *processor)
{
    return &evaluation_of(processor)->plan.evaluators;
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

uint64_t evaluation_hold_ns(const struct processor *processor)
{
    return (uint64_t)evaluation_of(processor)->config->hold_ns;
}

void evaluation_counts(const struct processor *processor, struct evaluation_counts *counts)
{
    struct evaluation *evaluation = evaluation_of(processor);
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
