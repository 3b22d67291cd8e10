// SPDX-License-Identifier: Apache-2.0
// Which scores leave is asked of proto/score.h, which also names them at the exporters, so that
// nothing travels that nobody would send, and nobody waits for what never left. "Picked" is said of
// interactions that were picked *and* graded: one whose judges failed is non-response, and what its
// deterministic evaluators say must not stand in the plain average for some hours and not for
// others. Refused: all records always, since most interactions are never picked.
//
// Bounds: one record per evaluator (16). Pure; any thread.
#include "processor/score_batch.h"

#include <string.h>

#include "proto/score.h"

// Reasons under which an interaction was looked at, so that its deterministic scores mean
// something.
static bool was_looked_at(enum decision decision)
{
    switch (decision) {
    case DECISION_JUDGED:
    case DECISION_NOT_SAMPLED:
    case DECISION_OVER_BUDGET:
    case DECISION_THROTTLED:
    case DECISION_OVERLOAD:
    case DECISION_JUDGE_ERROR:
    case DECISION_NOT_APPLICABLE:
        return true;
    default:
        return false;
    }
}

static void record_fill(const struct grade *grade, const struct evaluation_plan *plan, size_t index,
                        struct score_record *record)
{
    const struct evaluator *evaluator = &plan->evaluators.items[index];
    const struct score *score = &grade->scores[index];
    *record = (struct score_record){
        .trace_id = grade->trace_id,
        .span_id = grade->target,
        .name = bytes_from_text(evaluator->name),
        .type = evaluator->ops && evaluator->ops->is_boolean ? SCORE_BOOLEAN : SCORE_NUMERIC,
        .is_error = score->outcome == OUTCOME_ERROR,
        .has_value = score->outcome == OUTCOME_SCORE,
        .value = score->outcome == OUTCOME_SCORE ? score->value : 0,
        .label = bytes_from_text(score->label),
        .explanation = bytes_from_text(score->explanation),
        .by_judge = evaluator->ops == NULL,
        .identifier = bytes_from_text(evaluator->epoch),
        .picked = grade->choice.picked && grade->decision == DECISION_JUDGED,
        .failed = grade_failed(grade, &plan->evaluators, index),
        .probability = grade->choice.probability,
        .end_ns = grade->end_ns,
        .environment = bytes_from_text(grade->environment),
        .session_id = bytes_from_text(grade->session_id),
        .user_id = bytes_from_text(grade->user_id),
        .service_name = bytes_from_text(grade->service_name),
        .response_id = bytes_from_text(grade->response_id),
        .span_name = bytes_from_text(grade->target_name),
    };
    record->plain = record->picked && grade->choice.plain;
}

static bool anybody_sends(const struct score_record *record, unsigned sends)
{
    char name[SCORE_NAME_BYTES_MAX];
    for (unsigned i = 0; i < SCORE_SEND_COUNT; i++) {
        if (sends >> i & 1 &&
            score_record_name(record, (enum score_send)i, BYTES_LITERAL("_targeted"), name)) {
            return true;
        }
    }
    return false;
}

struct frames {
    size_t resource, scopes;
};

static struct frames request_open(struct buffer *out, const struct grade *grade)
{
    struct frames frames = {.resource = wire_open(out, REQUEST_RESOURCES)};
    if (grade->resource.len > 0) {
        wire_write_bytes(out, RESOURCE_RESOURCE, grade->resource);
    }
    frames.scopes = wire_open(out, RESOURCE_SCOPES);
    size_t scope = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, "sidejudge");
    wire_close(out, scope);
    return frames;
}

uint32_t score_batch_write(struct buffer *out, const struct grade *grade,
                           const struct evaluation_plan *plan, unsigned sends)
{
    uint32_t count = 0;
    struct frames frames = {0};
    struct score_record record;
    if (sends == 0 || !was_looked_at(grade->decision)) {
        return 0;
    }
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        if (grade->scores[i].outcome != OUTCOME_SCORE) {
            continue;
        }
        record_fill(grade, plan, i, &record);
        if (!anybody_sends(&record, sends)) {
            continue;
        }
        if (count++ == 0) {
            frames = request_open(out, grade);
        }
        score_record_id(&record.trace_id, &record.span_id, record.name, record.identifier,
                        SCORE_ROW_VERSION, record.id);
        score_record_write(out, SCOPE_ITEMS, &record);
    }
    if (count > 0) {
        wire_close(out, frames.scopes);
        wire_close(out, frames.resource);
    }
    return count;
}
