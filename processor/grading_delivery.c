// SPDX-License-Identifier: Apache-2.0
// How a decision leaves: on the held span, which then goes at once; as score records to the
// exporters that take scores; on a carrier, when the span is gone, to those that do not; as log
// records where a logs pipeline names this processor. Never two versions of one span: what was
// released untouched stays untouched. Whether anybody takes a kind of product is learned from the
// first answer, since pipelines do not change under a processor.
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
#include "processor/score_batch.h"

enum { PRODUCT_BYTES_MAX = 256 << 10 };

static enum result product_emit(struct evaluation_state *state, const struct grade *grade,
                                enum signal signal, enum emit_to to, struct buffer *body,
                                uint32_t count)
{
    if (count == 0 || buffer_status(body) != RESULT_OK) {
        return RESULT_TOO_LARGE;
    }
    struct batch *batch = batch_make(signal, buffer_view(body), state->now_ns);
    batch->metadata = metadata_hold(grade->metadata);
    return state->env->emit(state->env, (struct processor *)state->evaluation, signal, to, &batch,
                            count);
}

// `always` is for people who look at carriers in every backend; `auto` brings a score once: to whom
// it did not come inline and who does not take it by itself.
static bool carrier_is_due(const struct evaluation *evaluation, const struct grade *grade)
{
    int mode = evaluation->config->carriers;
    return grade->decision == DECISION_JUDGED && atomic_load(&evaluation->carriers_wanted) &&
           (mode == CARRIERS_ALWAYS || (mode == CARRIERS_AUTO && !grade->on_span));
}

static void carrier_send(struct evaluation_state *state, const struct grade *grade)
{
    struct evaluation *evaluation = state->evaluation;
    struct buffer body;
    buffer_init(&body, PRODUCT_BYTES_MAX);
    carrier_write(&body, grade, &evaluation->plan);
    enum emit_to to =
        evaluation->config->carriers == CARRIERS_ALWAYS ? EMIT_TO_ALL : EMIT_TO_SCORELESS;
    enum result result = product_emit(state, grade, SIGNAL_TRACES, to, &body, 1);
    if (result == RESULT_MISSING) {
        atomic_store(&evaluation->carriers_wanted, false);
    } else if (result == RESULT_OK) {
        metric_add(evaluation->metrics.carriers, 1);
        atomic_fetch_add(&evaluation->carriers, 1);
    } else {
        metric_add(evaluation->metrics.carriers_lost, 1);
    }
    buffer_fini(&body);
}

static void scores_send(struct evaluation_state *state, const struct grade *grade)
{
    struct evaluation *evaluation = state->evaluation;
    unsigned sends = atomic_load_explicit(&evaluation->score_sends, memory_order_relaxed);
    struct buffer body;
    if (sends == 0) {
        return;
    }
    buffer_init(&body, PRODUCT_BYTES_MAX);
    uint32_t count = score_batch_write(&body, grade, &evaluation->plan, sends);
    enum result result = count > 0
                             ? product_emit(state, grade, SIGNAL_SCORES, EMIT_TO_ALL, &body, count)
                             : RESULT_OK;
    if (result == RESULT_MISSING) {
        atomic_store(&evaluation->score_sends, 0);
    } else if (count > 0) {
        metric_add(result == RESULT_OK ? evaluation->metrics.evaluation_scores
                                       : evaluation->metrics.evaluation_scores_lost,
                   count);
    }
    buffer_fini(&body);
}

static void records_emit(struct evaluation_state *state, const struct grade *grade,
                         struct buffer *body, uint32_t count)
{
    if (count == 0) {
        return;
    }
    enum result result = product_emit(state, grade, SIGNAL_LOGS, EMIT_TO_ALL, body, count);
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
        records_emit(state, grade, &body,
                     record_write_scores(&body, grade, &evaluation->plan, clock_wall_ns()));
    }
    buffer_reset(&body);
    if (evaluation->config->ledger.export_records && atomic_load(&evaluation->logs_wanted)) {
        records_emit(state, grade, &body,
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
    if (carrier_is_due(evaluation, grade)) {
        carrier_send(state, grade);
    }
    scores_send(state, grade);
    if (is_graded) {
        say_first_score(state, grade);
    }
    records_send(state, grade);
}
