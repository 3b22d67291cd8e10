// SPDX-License-Identifier: Apache-2.0
// How a decision leaves: on the held span, which then goes at once; on a carrier when the span is
// gone; as log records where a logs pipeline names this processor. Never two versions of one span:
// what was released untouched stays untouched.
//
// Bounds: own products draw on the reserved tenth of the queues; what finds no room is counted
// lost. Thread: the shard's.
#include "processor/grading_delivery.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "processor/carrier.h"
#include "processor/enrichment.h"
#include "processor/interaction_record.h"

enum { PRODUCT_BYTES_MAX = 256 << 10 };

static enum result product_emit(struct evaluation_state *state, enum signal signal,
                                struct buffer *body, uint32_t count)
{
    if (count == 0 || buffer_status(body) != RESULT_OK) {
        return RESULT_TOO_LARGE;
    }
    struct batch *batch = batch_make(signal, buffer_view(body), state->now_ns);
    return state->env->emit(state->env, (struct processor *)state->evaluation, signal, &batch,
                            count);
}

static void carrier_send(struct evaluation_state *state, const struct grade *grade)
{
    struct buffer body;
    buffer_init(&body, PRODUCT_BYTES_MAX);
    carrier_write(&body, grade, &state->evaluation->plan);
    if (product_emit(state, SIGNAL_TRACES, &body, 1) == RESULT_OK) {
        metric_add(state->evaluation->metrics.carriers, 1);
        atomic_fetch_add(&state->evaluation->carriers, 1);
    } else {
        metric_add(state->evaluation->metrics.carriers_lost, 1);
    }
    buffer_fini(&body);
}

static void records_emit(struct evaluation_state *state, struct buffer *body, uint32_t count)
{
    if (count == 0) {
        return;
    }
    enum result result = product_emit(state, SIGNAL_LOGS, body, count);
    if (result == RESULT_MISSING) {
        atomic_store(&state->evaluation->logs_wanted, false);
    } else {
        metric_add(result == RESULT_OK ? state->evaluation->metrics.records
                                       : state->evaluation->metrics.records_lost,
                   count);
    }
}

static void records_send(struct evaluation_state *state, const struct grade *grade)
{
    struct evaluation *evaluation = state->evaluation;
    struct buffer body;
    buffer_init(&body, PRODUCT_BYTES_MAX);
    if (grade->decision == DECISION_JUDGED && atomic_load(&evaluation->logs_wanted)) {
        records_emit(state, &body,
                     record_write_scores(&body, grade, &evaluation->plan, clock_wall_ns()));
    }
    buffer_reset(&body);
    if (evaluation->config->ledger.export_records && atomic_load(&evaluation->logs_wanted)) {
        records_emit(state, &body,
                     record_write_interaction(&body, grade, &evaluation->plan,
                                              &evaluation->config->dimensions, clock_wall_ns()));
    }
    buffer_fini(&body);
}

static void say_first_score(struct evaluation_state *state, const struct grade *grade)
{
    struct evaluation *evaluation = state->evaluation;
    char trace_id[33];
    if (atomic_flag_test_and_set(&evaluation->said_score)) {
        return;
    }
    hex_encode(grade->trace_id.bytes, sizeof(grade->trace_id.bytes), trace_id);
    const char *verdict = grade_verdict(grade, &evaluation->plan.evaluators);
    log_line(LOG_INFO, evaluation->id, "first interaction graded", LOG_TEXT("trace_id", trace_id),
             LOG_TEXT("target", grade->target_name),
             LOG_TEXT("verdict", verdict ? verdict : "none"),
             LOG_TEXT("scores_on", grade->on_span ? "span" : "carrier"));
}

void grade_deliver(struct evaluation_state *state, struct target *target)
{
    struct evaluation *evaluation = state->evaluation;
    struct grade *grade = target->grade;
    struct held_span *held = target->span->held;
    if (held && held->state == HELD_MAY_GO) {
        held = NULL;  // its hold is over: it leaves as it came
    }
    bool is_graded = grade->decision == DECISION_JUDGED;
    if (is_graded && held && evaluation->config->hold_ns > 0) {
        grade->on_span = enrich_span(held_parcel(held), &held->place, grade, &evaluation->plan,
                                     evaluation->config->trust_upstream) == RESULT_OK;
    }
    if (held) {
        held_release(&state->holdings, held, grade->on_span);
    }
    int carriers = evaluation->config->carriers;
    if (is_graded &&
        (carriers == CARRIERS_ALWAYS || (carriers == CARRIERS_AUTO && !grade->on_span))) {
        carrier_send(state, grade);
    }
    if (is_graded) {
        say_first_score(state, grade);
    }
    records_send(state, grade);
}
