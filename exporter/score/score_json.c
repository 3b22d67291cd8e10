// SPDX-License-Identifier: Apache-2.0
// Every field of a record becomes a member, in a fixed order: the same score is the same bytes.
// Empty texts are left out rather than written as "" or null, which backends' schemas tell apart.
// Refused: the attributes' names of the record as members; they are OTLP's, not a reader's.
//
// Bounds: those of the record. Pure; any thread.
#include "exporter/score/score_json.h"

#include "base/clock.h"

void score_json_text(struct json_writer *json, const char *key, struct bytes text)
{
    if (text.len > 0) {
        json_key(json, key);
        json_put_text(json, text);
    }
}

void score_json_hex(struct json_writer *json, const char *key, const uint8_t *id, size_t len)
{
    char hex[33];
    hex_encode(id, len < 16 ? len : 16, hex);
    json_key(json, key);
    json_put_literal(json, hex);
}

static void put_flag(struct json_writer *json, const char *key, bool flag)
{
    json_key(json, key);
    json_put_bool(json, flag);
}

static void put_target(struct json_writer *json, const struct score_record *record)
{
    score_json_text(json, "span_name", record->span_name);
    score_json_text(json, "service_name", record->service_name);
    score_json_text(json, "environment", record->environment);
    score_json_text(json, "session_id", record->session_id);
    score_json_text(json, "user_id", record->user_id);
    score_json_text(json, "response_id", record->response_id);
}

void score_json_record(struct json_writer *json, const struct score_entry *entry)
{
    static const char *const types[] = {"numeric", "boolean", "categorical"};
    const struct score_record *record = &entry->record;
    char time[25];
    clock_format(record->end_ns, time);
    json_begin_object(json);
    json_key(json, "id");
    json_put_literal(json, record->id);
    score_json_hex(json, "trace_id", record->trace_id.bytes, 16);
    score_json_hex(json, "span_id", record->span_id.bytes, 8);
    json_key(json, "time");
    json_put_literal(json, time);
    json_key(json, "name");
    json_put_literal(json, entry->name);
    score_json_text(json, "evaluator", record->name);
    json_key(json, "type");
    json_put_literal(json, types[record->type]);
    if (record->has_value) {
        json_key(json, "value");
        json_put_double(json, record->value);
    }
    score_json_text(json, "label", record->label);
    score_json_text(json, "explanation", record->explanation);
    json_key(json, "annotator");
    json_put_literal(json, record->by_judge ? "llm" : "code");
    score_json_text(json, "identifier", record->identifier);
    put_flag(json, "picked", record->picked);
    put_flag(json, "baseline", record->plain);
    put_flag(json, "failed", record->failed);
    json_key(json, "probability");
    json_put_double(json, record->probability);
    put_target(json, record);
    json_end_object(json);
}
