// SPDX-License-Identifier: Apache-2.0
// One table of keys serves writer and reader: each row is a key, its kind and the place of its
// field in the struct, so that neither can know a key that the other does not. What is absent is
// not written. Refused: a message of our own on the wire, which no logs backend could show.
//
// A reader takes nothing on trust that a sink would pass on: ids have their length, the score's id
// is hex, numbers are finite and in range, texts are UTF-8; else it is no score record. Bounds:
// one pass over the attributes, no memory. Pure; any thread.
#include "proto/score.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "proto/attribute.h"

#define EVENT_NAME "gen_ai.evaluation.result"
#define SEVERITY_INFO 9

struct row {
    const char *key;
    size_t at;  // of the field
};

static const struct row texts[] = {
    {"gen_ai.evaluation.name", offsetof(struct score_record, name)},
    {"gen_ai.evaluation.score.label", offsetof(struct score_record, label)},
    {"gen_ai.evaluation.explanation", offsetof(struct score_record, explanation)},
    {"gen_ai.evaluation.target", offsetof(struct score_record, span_name)},
    {"gen_ai.response.id", offsetof(struct score_record, response_id)},
    {"sidejudge.score.identifier", offsetof(struct score_record, identifier)},
    {"deployment.environment.name", offsetof(struct score_record, environment)},
    {"session.id", offsetof(struct score_record, session_id)},
    {"user.id", offsetof(struct score_record, user_id)},
    {"service.name", offsetof(struct score_record, service_name)},
};

static const struct row flags[] = {
    {"sidejudge.score.judge", offsetof(struct score_record, by_judge)},
    {"sidejudge.score.picked", offsetof(struct score_record, picked)},
    {"sidejudge.score.plain", offsetof(struct score_record, plain)},
    {"sidejudge.score.failed", offsetof(struct score_record, failed)},
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define KEY_VALUE "gen_ai.evaluation.score.value"
#define KEY_ERROR "error.type"
#define KEY_ID "sidejudge.score.id"
#define KEY_TYPE "sidejudge.score.type"
#define KEY_PROBABILITY "sidejudge.score.probability"

static const char *const type_names[] = {"numeric", "boolean", "categorical"};

// --- writing --------------------------------------------------------------------------------

void score_record_write(struct buffer *out, uint32_t number, const struct score_record *record)
{
    const uint8_t *base = (const uint8_t *)record;
    size_t log = wire_open(out, number);
    wire_write_fixed64(out, LOG_TIME, record->end_ns);
    wire_write_varint(out, LOG_SEVERITY_NUMBER, SEVERITY_INFO);
    for (size_t i = 0; i < ROWS(texts); i++) {
        struct bytes text;
        memcpy(&text, base + texts[i].at, sizeof(text));
        if (text.len > 0) {
            attribute_write_text(out, LOG_ATTRIBUTES, texts[i].key, text);
        }
    }
    if (record->is_error) {
        attribute_write_text(out, LOG_ATTRIBUTES, KEY_ERROR, BYTES_LITERAL("evaluator_error"));
    } else if (record->has_value) {
        attribute_write_double(out, LOG_ATTRIBUTES, KEY_VALUE, record->value);
    }
    attribute_write_text(out, LOG_ATTRIBUTES, KEY_ID, bytes_from_text(record->id));
    attribute_write_text(out, LOG_ATTRIBUTES, KEY_TYPE, bytes_from_text(type_names[record->type]));
    for (size_t i = 0; i < ROWS(flags); i++) {
        attribute_write_bool(out, LOG_ATTRIBUTES, flags[i].key, base[flags[i].at] != 0);
    }
    attribute_write_double(out, LOG_ATTRIBUTES, KEY_PROBABILITY, record->probability);
    wire_write_bytes(out, LOG_TRACE_ID, bytes_from(record->trace_id.bytes, 16));
    wire_write_bytes(out, LOG_SPAN_ID, bytes_from(record->span_id.bytes, 8));
    wire_write_fixed64(out, LOG_OBSERVED_TIME, record->end_ns);
    wire_write_text(out, LOG_EVENT_NAME, EVENT_NAME);
    wire_close(out, log);
}

// --- reading --------------------------------------------------------------------------------

static bool id_read(struct bytes text, char id[65])
{
    uint8_t digest[32];
    if (!hex_decode(text, digest, sizeof(digest))) {
        return false;
    }
    hex_encode(digest, sizeof(digest), id);
    return true;
}

static bool type_read(struct bytes text, enum score_type *type)
{
    for (size_t i = 0; i < ROWS(type_names); i++) {
        if (bytes_equal_text(text, type_names[i])) {
            *type = (enum score_type)i;
            return true;
        }
    }
    return false;
}

// A key that is not in a table; false: the value is not what a writer writes.
static bool special_read(const struct attribute_view *attribute, struct score_record *record)
{
    const struct any_view *value = &attribute->value;
    if (bytes_equal_text(attribute->key, KEY_VALUE)) {
        record->has_value = true;
        record->value = value->real;
        return value->kind == ANY_KIND_DOUBLE && value->real >= 0 && value->real <= 1;
    }
    if (bytes_equal_text(attribute->key, KEY_PROBABILITY)) {
        record->probability = value->real;
        return value->kind == ANY_KIND_DOUBLE && value->real >= 0 && value->real <= 1;
    }
    if (bytes_equal_text(attribute->key, KEY_ERROR)) {
        record->is_error = true;
        return value->kind == ANY_KIND_STRING;
    }
    if (bytes_equal_text(attribute->key, KEY_ID)) {
        return value->kind == ANY_KIND_STRING && id_read(value->bytes, record->id);
    }
    if (bytes_equal_text(attribute->key, KEY_TYPE)) {
        return value->kind == ANY_KIND_STRING && type_read(value->bytes, &record->type);
    }
    return true;  // unknown keys are no business of ours
}

static bool attribute_read(const struct attribute_view *attribute, struct score_record *record)
{
    uint8_t *base = (uint8_t *)record;
    for (size_t i = 0; i < ROWS(texts); i++) {
        if (bytes_equal_text(attribute->key, texts[i].key)) {
            memcpy(base + texts[i].at, &attribute->value.bytes, sizeof(struct bytes));
            return attribute->value.kind == ANY_KIND_STRING &&
                   utf8_is_valid(attribute->value.bytes);
        }
    }
    for (size_t i = 0; i < ROWS(flags); i++) {
        if (bytes_equal_text(attribute->key, flags[i].key)) {
            bool flag = attribute->value.number != 0;
            memcpy(base + flags[i].at, &flag, sizeof(flag));
            return attribute->value.kind == ANY_KIND_BOOL;
        }
    }
    return special_read(attribute, record);
}

static bool fields_read(struct bytes item, struct score_record *record)
{
    struct wire wire = wire_of(item);
    struct wire_field field;
    bool is_ours = false;
    while (wire_next(&wire, &field)) {
        if (field.number == LOG_TIME && field.type == WIRE_FIXED64) {
            record->end_ns = field.value;
        } else if (field.type != WIRE_LEN) {
            continue;
        } else if (field.number == LOG_TRACE_ID && field.bytes.len == 16) {
            memcpy(record->trace_id.bytes, field.bytes.ptr, 16);
        } else if (field.number == LOG_SPAN_ID && field.bytes.len == 8) {
            memcpy(record->span_id.bytes, field.bytes.ptr, 8);
        } else if (field.number == LOG_EVENT_NAME) {
            is_ours = bytes_equal_text(field.bytes, EVENT_NAME);
        }
    }
    return wire_is_done(&wire) && is_ours && !trace_id_is_zero(&record->trace_id) &&
           !span_id_is_zero(&record->span_id);
}

bool score_record_read(struct bytes item, struct score_record *record)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    memset(record, 0, sizeof(*record));
    if (!fields_read(item, record)) {
        return false;
    }
    attribute_walk_begin(&walk, item, LOG_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if (!attribute_read(&attribute, record)) {
            return false;
        }
    }
    bool is_bit = record->value == 0 || record->value == 1;
    return record->name.len > 0 && record->id[0] != '\0' &&
           (record->type != SCORE_BOOLEAN || is_bit) && !(record->is_error && record->has_value);
}

// --- identity and name ----------------------------------------------------------------------

void score_record_id(const struct trace_id *trace_id, const struct span_id *target,
                     struct bytes evaluator, struct bytes epoch, unsigned row_version, char id[65])
{
    uint8_t digest[32];
    char version[16];
    int version_len = snprintf(version, sizeof(version), "%u", row_version);
    struct hash_sha256_stream *stream = hash_sha256_begin();
    hash_sha256_add(stream, bytes_from(trace_id->bytes, sizeof(trace_id->bytes)));
    hash_sha256_add(stream, bytes_from(target->bytes, sizeof(target->bytes)));
    hash_sha256_add(stream, evaluator);
    hash_sha256_add(stream, bytes_from("", 1));  // names and epochs hold no NUL
    hash_sha256_add(stream, epoch);
    hash_sha256_add(stream, bytes_from("", 1));
    hash_sha256_add(stream, bytes_from(version, (size_t)version_len));
    hash_sha256_end(stream, digest);
    hex_encode(digest, sizeof(digest), id);
}

static bool is_told(const struct score_record *record, enum score_send send, bool *plain)
{
    *plain = record->picked && record->plain;
    if (record->is_error) {
        return false;
    }
    if (!record->has_value && (record->type != SCORE_CATEGORICAL || record->label.len == 0)) {
        return false;
    }
    if (send == SCORE_SEND_FAILED) {
        *plain = false;
        return record->failed;
    }
    if (send == SCORE_SEND_ALL && !record->by_judge) {
        *plain = true;
        return true;
    }
    return record->picked || (record->failed && !record->by_judge);
}

bool score_record_name(const struct score_record *record, enum score_send send, struct bytes suffix,
                       char name[SCORE_NAME_BYTES_MAX])
{
    bool plain;
    if ((unsigned)send >= SCORE_SEND_COUNT || !is_told(record, send, &plain)) {
        return false;
    }
    struct bytes ending = plain ? BYTES_NONE : suffix;
    int len = snprintf(name, SCORE_NAME_BYTES_MAX, "%.*s%.*s", BYTES_PRINTF(record->name),
                       BYTES_PRINTF(ending));
    return len > 0 && len < SCORE_NAME_BYTES_MAX;
}
