// SPDX-License-Identifier: Apache-2.0
// Writes the log records. Both kinds name the span that they speak of, so that a backend can join
// them without parentage, and carry the target's Resource, so that they are filed beside its spans.
// An error has error.type and no score: nobody can average it by accident. Refused: span events,
// which OpenTelemetry is giving up.
//
// Bounds: one record per evaluator (16) and one per interaction. Pure; any thread.
#include "processor/interaction_record.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "proto/attribute.h"

enum { SEVERITY_INFO = 9, RECORD_SCHEMA = 1 };

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

static void request_close(struct buffer *out, struct frames frames)
{
    wire_close(out, frames.scopes);
    wire_close(out, frames.resource);
}

static size_t record_open(struct buffer *out, const struct grade *grade, const char *event,
                          uint64_t wall_ns)
{
    size_t record = wire_open(out, SCOPE_ITEMS);
    wire_write_fixed64(out, LOG_TIME, grade->end_ns);
    wire_write_fixed64(out, LOG_OBSERVED_TIME, wall_ns);
    wire_write_varint(out, LOG_SEVERITY_NUMBER, SEVERITY_INFO);
    wire_write_bytes(out, LOG_TRACE_ID,
                     bytes_from(grade->trace_id.bytes, sizeof(grade->trace_id.bytes)));
    wire_write_bytes(out, LOG_SPAN_ID,
                     bytes_from(grade->target.bytes, sizeof(grade->target.bytes)));
    wire_write_text(out, LOG_EVENT_NAME, event);
    return record;
}

static void put_text(struct buffer *out, const char *key, const char *text)
{
    if (text[0] != '\0') {
        attribute_write_text(out, LOG_ATTRIBUTES, key, bytes_from_text(text));
    }
}

uint32_t record_write_scores(struct buffer *out, const struct grade *grade,
                             const struct evaluation_plan *plan, uint64_t wall_ns)
{
    uint32_t count = 0;
    char id[160];
    struct frames frames = request_open(out, grade);
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        const struct score *score = &grade->scores[i];
        if (score->outcome == OUTCOME_NOT_APPLICABLE) {
            continue;
        }
        size_t record = record_open(out, grade, "gen_ai.evaluation.result", wall_ns);
        put_text(out, "gen_ai.evaluation.name", plan->evaluators.items[i].name);
        if (score->outcome == OUTCOME_SCORE) {
            attribute_write_double(out, LOG_ATTRIBUTES, "gen_ai.evaluation.score.value",
                                   score->value);
            put_text(out, "gen_ai.evaluation.score.label", score->label);
        } else {
            put_text(out, "error.type", "_OTHER");
        }
        put_text(out, "gen_ai.evaluation.explanation", score->explanation);
        put_text(out, "gen_ai.response.id", grade->response_id);
        grade_evaluator_id(plan, i, id);
        put_text(out, "sidejudge.judge.id", id);
        attribute_write_bool(out, LOG_ATTRIBUTES, "sidejudge.sampling.baseline",
                             grade->choice.plain);
        attribute_write_double(out, LOG_ATTRIBUTES, "sidejudge.sampling.probability",
                               grade->choice.probability);
        wire_close(out, record);
        count++;
    }
    request_close(out, frames);
    return count;
}

static void put_rules(struct buffer *out, const struct grade *grade,
                      const struct evaluation_plan *plan)
{
    char key[128];
    for (size_t i = 0; i < plan->sampling.rule_count; i++) {
        if (grade->choice.rules_fired >> i & 1) {
            snprintf(key, sizeof(key), "sidejudge.sampling.p.%s", plan->sampling.rules[i].name);
            attribute_write_double(out, LOG_ATTRIBUTES, key, plan->sampling.rules[i].probability);
        }
    }
}

static void put_facts(struct buffer *out, const struct grade *grade)
{
    put_text(out, "service.name", grade->service_name);
    put_text(out, "gen_ai.agent.name", grade->agent_name);
    put_text(out, "gen_ai.response.model", grade->model);
    put_text(out, "sidejudge.dialect", grade->dialect);
    put_text(out, "sidejudge.finish_reason", grade->finish_reason);
    attribute_write_bool(out, LOG_ATTRIBUTES, "sidejudge.truncated", grade->truncated);
    attribute_write_bool(out, LOG_ATTRIBUTES, "sidejudge.incomplete", grade->incomplete);
    attribute_write_int(out, LOG_ATTRIBUTES, "sidejudge.duration_ns",
                        (int64_t)(grade->end_ns - grade->start_ns));
    attribute_write_int(out, LOG_ATTRIBUTES, "gen_ai.usage.input_tokens",
                        (int64_t)grade->input_tokens);
    attribute_write_int(out, LOG_ATTRIBUTES, "gen_ai.usage.output_tokens",
                        (int64_t)grade->output_tokens);
    attribute_write_double(out, LOG_ATTRIBUTES, "sidejudge.interaction.cost_usd",
                           grade->interaction_cost_usd);
}

static void put_choice(struct buffer *out, const struct grade *grade,
                       const struct evaluation_plan *plan)
{
    struct bytes names[QUALITY_SIGNAL_COUNT];
    size_t count = 0;
    char number[32];
    attribute_write_double(out, LOG_ATTRIBUTES, "sidejudge.sampling.probability",
                           grade->choice.probability);
    attribute_write_double(out, LOG_ATTRIBUTES, "sidejudge.sampling.p.baseline",
                           grade->choice.baseline_probability);
    put_rules(out, grade, plan);
    snprintf(number, sizeof(number), "%014llx", (unsigned long long)grade->choice.random.r);
    put_text(out, "sidejudge.sampling.r", number);
    if (grade->choice.random.has_th) {
        snprintf(number, sizeof(number), "%014llx",
                 (unsigned long long)grade->choice.random.threshold_in);
        put_text(out, "sidejudge.sampling.th", number);
    }
    attribute_write_bool(out, LOG_ATTRIBUTES, "sidejudge.sampling.baseline", grade->choice.plain);
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        if (grade->choice.quality_signals >> i & 1) {
            names[count++] = bytes_from_text(quality_signal_label((enum quality_signal)i));
        }
    }
    if (count > 0) {
        attribute_write_texts(out, LOG_ATTRIBUTES, "sidejudge.quality_signals", names, count);
    }
}

// SHA-256 of trace id, target and row version: repeats are dropped by whoever collects the records.
static void put_id(struct buffer *out, const struct grade *grade)
{
    uint8_t input[25], digest[32];
    char text[65];
    memcpy(input, grade->trace_id.bytes, 16);
    memcpy(input + 16, grade->target.bytes, 8);
    input[24] = 1;
    hash_sha256(bytes_from(input, sizeof(input)), digest);
    hex_encode(digest, sizeof(digest), text);
    put_text(out, "sidejudge.record.id", text);
    attribute_write_int(out, LOG_ATTRIBUTES, "sidejudge.record.schema", RECORD_SCHEMA);
}

uint32_t record_write_interaction(struct buffer *out, const struct grade *grade,
                                  const struct evaluation_plan *plan,
                                  const struct option_texts *dimensions, uint64_t wall_ns)
{
    char key[128];
    struct frames frames = request_open(out, grade);
    size_t record = record_open(out, grade, "sidejudge.interaction", wall_ns);
    put_id(out, grade);
    put_text(out, "sidejudge.decision", decision_label(grade->decision));
    const char *verdict = grade_verdict(grade, &plan->evaluators);
    put_text(out, "sidejudge.verdict", verdict ? verdict : "");
    put_choice(out, grade, plan);
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        if (grade->scores[i].outcome == OUTCOME_SCORE) {
            snprintf(key, sizeof(key), "sidejudge.score.%s", plan->evaluators.items[i].name);
            attribute_write_double(out, LOG_ATTRIBUTES, key, grade->scores[i].value);
        }
    }
    attribute_write_double(out, LOG_ATTRIBUTES, "sidejudge.judge.cost_usd", grade->cost_usd);
    put_facts(out, grade);
    for (size_t i = 0; i < dimensions->count && i < DIMENSIONS_MAX; i++) {
        snprintf(key, sizeof(key), "sidejudge.dimension.%.*s",
                 BYTES_PRINTF(bytes_slice(dimensions->items[i], 0, 80)));
        put_text(out, key, grade->dimensions[i]);
    }
    wire_close(out, record);
    request_close(out, frames);
    return 1;
}
