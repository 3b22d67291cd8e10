// SPDX-License-Identifier: Apache-2.0
//
// Answers to exports, in both forms and both directions. protobuf-c does the messages here: they
// are small, rare and nothing of them is passed on, so a decoder that allocates is no loss; it
// allocates from an arena of 256 KiB, whatever the sender counts out. The three export responses
// have the same numbers and types, so one serves all in protobuf; only JSON knows different names
// (a table). Refused: texts of unlimited length, in either direction, and trusting that they are
// text. Bounds: 1 MiB read, texts cut at 511 bytes read and 1 KiB written. Pure; any thread.
#include "proto/otlp_status.h"

#include <stdio.h>
#include <string.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"

#define WRITTEN_TEXT_MAX 1024
#define BODY_BYTES_MAX JSON_BYTES_MAX
#define DECODED_BYTES_MAX ((size_t)256 * 1024)
#define RETRY_DELAY_MAX_MS UINT64_C(86400000)
#define RETRY_INFO_TYPE "type.googleapis.com/google.rpc.RetryInfo"
#define BAD_REQUEST_TYPE "type.googleapis.com/google.rpc.BadRequest"

enum { CODE_UNKNOWN = 2 };

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse export_response;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess export_partial;

static const char *const rejected_names[SIGNAL_OTLP_COUNT] = {
    [SIGNAL_TRACES] = "rejectedSpans",
    [SIGNAL_METRICS] = "rejectedDataPoints",
    [SIGNAL_LOGS] = "rejectedLogRecords",
};

const char *otlp_form_content_type(enum otlp_form form)
{
    return form == OTLP_JSON ? "application/json" : "application/x-protobuf";
}

// A C string of at most room_len - 1 bytes: cut at a character, control characters to spaces, and
// where it is not UTF-8, what is not ASCII to question marks.
static void text_clean(struct bytes text, char *room, size_t room_len)
{
    struct bytes cut = utf8_prefix(text, room_len - 1);
    bool is_text = utf8_is_valid(cut);
    for (size_t i = 0; i < cut.len; i++) {
        uint8_t byte = cut.ptr[i];
        if (byte < 0x20 || byte == 0x7f) {
            byte = ' ';
        } else if (byte >= 0x80 && !is_text) {
            byte = '?';
        }
        room[i] = (char)byte;
    }
    room[cut.len] = '\0';
}

static void message_pack(const ProtobufCMessage *message, struct buffer *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room = buffer_reserve(out, size);
    if (room != NULL) {
        buffer_commit(out, protobuf_c_message_pack(message, room));
    }
}

static void response_write_json(enum signal signal, uint64_t rejected_count, const char *message,
                                struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_key(&writer, "partialSuccess");
    json_begin_object(&writer);
    if (rejected_count > 0) {
        char digits[24];  // 64-bit integers are strings in proto3 JSON
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)rejected_count);
        json_key(&writer, rejected_names[signal]);
        json_put_literal(&writer, digits);
    }
    if (message[0] != '\0') {
        json_key(&writer, "errorMessage");
        json_put_literal(&writer, message);
    }
    json_end_object(&writer);
    json_end_object(&writer);
}

void otlp_response_write(enum otlp_form form, enum signal signal, uint64_t rejected_count,
                         struct bytes message, struct buffer *out)
{
    CHECK((unsigned)signal < SIGNAL_OTLP_COUNT);
    char text[WRITTEN_TEXT_MAX + 1];
    text_clean(message, text, sizeof text);
    if (rejected_count > INT64_MAX) {
        rejected_count = INT64_MAX;
    }
    if (form == OTLP_JSON) {
        response_write_json(signal, rejected_count, text, out);
        return;
    }
    if (rejected_count == 0 && text[0] == '\0') {
        return;
    }
    export_response response =
        OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
    export_partial partial =
        OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
    partial.rejected_spans = (int64_t)rejected_count;
    partial.error_message = text;
    response.partial_success = &partial;
    message_pack(&response.base, out);
}

struct error_texts {             // an otlp_error's texts, fit to be sent
    char message[WRITTEN_TEXT_MAX + 1];
    char field[WRITTEN_TEXT_MAX + 1];
    char reason[WRITTEN_TEXT_MAX + 1];
};

static void detail_pack(const ProtobufCMessage *detail, const char *type, struct buffer *room,
                        Google__Protobuf__Any *any)
{
    google__protobuf__any__init(any);
    message_pack(detail, room);
    any->type_url = (char *)(uintptr_t)type;
    any->value.data = room->ptr;
    any->value.len = room->len;
}

static void error_write_protobuf(const struct otlp_error *error, struct error_texts *texts,
                                 struct buffer *out)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any anys[2];
    Google__Protobuf__Any *details[2] = {&anys[0], &anys[1]};
    struct buffer retry_bytes, bad_bytes;
    buffer_init(&retry_bytes, 64);
    buffer_init(&bad_bytes, 2 * sizeof texts->field + 64);
    status.code = error->code;
    status.message = texts->message;
    status.details = details;
    if (error->retry_after_s > 0) {
        Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
        Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
        delay.seconds = error->retry_after_s;
        retry.retry_delay = &delay;
        detail_pack(&retry.base, RETRY_INFO_TYPE, &retry_bytes, &anys[status.n_details++]);
    }
    if (texts->reason[0] != '\0') {
        Google__Rpc__BadRequest__FieldViolation violation =
            GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
        Google__Rpc__BadRequest__FieldViolation *violations[1] = {&violation};
        Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
        violation.field = texts->field;
        violation.description = texts->reason;
        bad.n_field_violations = 1;
        bad.field_violations = violations;
        detail_pack(&bad.base, BAD_REQUEST_TYPE, &bad_bytes, &anys[status.n_details++]);
    }
    message_pack(&status.base, out);
    buffer_fini(&retry_bytes);
    buffer_fini(&bad_bytes);
}

static void details_write_json(const struct otlp_error *error, const struct error_texts *texts,
                               struct json_writer *writer)
{
    json_key(writer, "details");
    json_begin_array(writer);
    if (error->retry_after_s > 0) {
        char delay[24];
        snprintf(delay, sizeof delay, "%us", (unsigned)error->retry_after_s);
        json_begin_object(writer);
        json_key(writer, "@type");
        json_put_literal(writer, RETRY_INFO_TYPE);
        json_key(writer, "retryDelay");
        json_put_literal(writer, delay);
        json_end_object(writer);
    }
    if (texts->reason[0] != '\0') {
        json_begin_object(writer);
        json_key(writer, "@type");
        json_put_literal(writer, BAD_REQUEST_TYPE);
        json_key(writer, "fieldViolations");
        json_begin_array(writer);
        json_begin_object(writer);
        json_key(writer, "field");
        json_put_literal(writer, texts->field);
        json_key(writer, "description");
        json_put_literal(writer, texts->reason);
        json_end_object(writer);
        json_end_array(writer);
        json_end_object(writer);
    }
    json_end_array(writer);
}

void otlp_error_write(enum otlp_form form, const struct otlp_error *error, struct buffer *out)
{
    struct error_texts texts;
    text_clean(error->message, texts.message, sizeof texts.message);
    text_clean(error->bad_field, texts.field, sizeof texts.field);
    text_clean(error->bad_reason, texts.reason, sizeof texts.reason);
    if (form == OTLP_PROTOBUF) {
        error_write_protobuf(error, &texts, out);
        return;
    }
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_key(&writer, "code");
    json_put_int(&writer, error->code);
    json_key(&writer, "message");
    json_put_literal(&writer, texts.message);
    if (error->retry_after_s > 0 || texts.reason[0] != '\0') {
        details_write_json(error, &texts, &writer);
    }
    json_end_object(&writer);
}

static void *decode_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void decode_free(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

// Decodes into the arena, which the caller ends; NULL when malformed or larger than the arena.
static ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *type, struct bytes body,
                                        struct arena *arena)
{
    ProtobufCAllocator allocator = {decode_alloc, decode_free, arena};
    return protobuf_c_message_unpack(type, &allocator, body.len, body.ptr);
}

// A number, or a string of digits; 0 when it is neither or negative.
static uint64_t count_of(const struct json_value *value)
{
    int64_t count = 0;
    if (json_kind(value) == JSON_TEXT) {
        if (!bytes_to_i64(json_text(value), &count)) {
            count = 0;
        }
    } else {
        count = json_int(value, 0);
    }
    return count > 0 ? (uint64_t)count : 0;
}

static const struct json_value *either(const struct json_value *object, const char *name,
                                       const char *original_name)
{
    const struct json_value *value = json_get(object, name);
    return value != NULL ? value : json_get(object, original_name);
}

static enum result response_read_json(enum signal signal, struct bytes body,
                                      struct otlp_partial *partial)
{
    static const char *const original_names[SIGNAL_OTLP_COUNT] = {
        [SIGNAL_TRACES] = "rejected_spans",
        [SIGNAL_METRICS] = "rejected_data_points",
        [SIGNAL_LOGS] = "rejected_log_records",
    };
    struct json_document *document = NULL;
    enum result result = json_parse(body, &document, NULL);
    if (result != RESULT_OK) {
        return result;
    }
    const struct json_value *root = json_root(document);
    if (json_kind(root) == JSON_OBJECT) {
        const struct json_value *success = either(root, "partialSuccess", "partial_success");
        partial->rejected_count =
            count_of(either(success, rejected_names[signal], original_names[signal]));
        text_clean(json_text(either(success, "errorMessage", "error_message")), partial->message,
                   sizeof partial->message);
    } else {
        result = RESULT_REJECT;
    }
    json_free(&document);
    return result;
}

static enum result response_read_protobuf(struct bytes body, struct otlp_partial *partial)
{
    struct arena arena;
    arena_init(&arena, DECODED_BYTES_MAX);
    export_response *response = (export_response *)message_unpack(
        &opentelemetry__proto__collector__trace__v1__export_trace_service_response__descriptor,
        body, &arena);
    if (response != NULL && response->partial_success != NULL) {
        const export_partial *success = response->partial_success;
        partial->rejected_count =
            success->rejected_spans > 0 ? (uint64_t)success->rejected_spans : 0;
        text_clean(bytes_from_text(success->error_message), partial->message,
                   sizeof partial->message);
    }
    arena_fini(&arena);
    return response != NULL ? RESULT_OK : RESULT_REJECT;
}

enum result otlp_response_read(enum otlp_form form, enum signal signal, struct bytes body,
                               struct otlp_partial *partial)
{
    CHECK((unsigned)signal < SIGNAL_OTLP_COUNT);
    *partial = (struct otlp_partial){0};
    if (body.len > BODY_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    if (body.len == 0) {
        return RESULT_OK;
    }
    return form == OTLP_JSON ? response_read_json(signal, body, partial)
                             : response_read_protobuf(body, partial);
}

static void delay_set(struct otlp_refusal *refusal, double seconds)
{
    refusal->has_retry_delay = true;
    refusal->retry_delay_ms = 0;
    if (seconds > 0) {  // not of NaN either
        double limit = (double)RETRY_DELAY_MAX_MS / 1e3;
        refusal->retry_delay_ms =
            seconds < limit ? (uint64_t)(seconds * 1e3) : RETRY_DELAY_MAX_MS;
    }
}

static bool is_retry_info(struct bytes type_url)
{
    return bytes_end_with(type_url, BYTES_LITERAL("/google.rpc.RetryInfo"));
}

static void details_read_protobuf(const Google__Rpc__Status *status, struct arena *arena,
                                  struct otlp_refusal *refusal)
{
    for (size_t i = 0; i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (!is_retry_info(bytes_from_text(any->type_url))) {
            continue;
        }
        Google__Rpc__RetryInfo *info = (Google__Rpc__RetryInfo *)message_unpack(
            &google__rpc__retry_info__descriptor, bytes_from(any->value.data, any->value.len),
            arena);
        if (info != NULL) {
            const Google__Protobuf__Duration *delay = info->retry_delay;
            delay_set(refusal, delay == NULL
                                   ? 0
                                   : (double)delay->seconds + (double)delay->nanos / 1e9);
        }
    }
}

static enum result refusal_read_protobuf(struct bytes body, struct otlp_refusal *refusal)
{
    struct arena arena;
    arena_init(&arena, DECODED_BYTES_MAX);
    Google__Rpc__Status *status = (Google__Rpc__Status *)message_unpack(
        &google__rpc__status__descriptor, body, &arena);
    if (status != NULL) {
        refusal->code = status->code;
        text_clean(bytes_from_text(status->message), refusal->message, sizeof refusal->message);
        details_read_protobuf(status, &arena, refusal);
    }
    arena_fini(&arena);
    return status != NULL ? RESULT_OK : RESULT_REJECT;
}

static void details_read_json(const struct json_value *details, struct otlp_refusal *refusal)
{
    for (size_t i = 0; i < json_count(details); i++) {
        const struct json_value *detail = json_at(details, i);
        struct bytes delay = json_text(either(detail, "retryDelay", "retry_delay"));
        double seconds = 0;
        if (!is_retry_info(json_get_text(detail, "@type"))) {
            continue;
        }
        if (bytes_end_with(delay, BYTES_LITERAL("s"))) {
            delay.len--;
        }
        delay_set(refusal, bytes_to_double(delay, &seconds) ? seconds : 0);
    }
}

static enum result refusal_read_json(struct bytes body, struct otlp_refusal *refusal)
{
    struct json_document *document = NULL;
    enum result result = json_parse(body, &document, NULL);
    if (result != RESULT_OK) {
        return result;
    }
    const struct json_value *root = json_root(document);
    const struct json_value *code = json_get(root, "code");
    const struct json_value *message = json_get(root, "message");
    if (json_kind(root) == JSON_OBJECT && (code != NULL || message != NULL)) {
        int64_t number = json_int(code, CODE_UNKNOWN);
        refusal->code = number >= 0 && number <= INT32_MAX ? (int)number : CODE_UNKNOWN;
        text_clean(json_text(message), refusal->message, sizeof refusal->message);
        if (json_kind(json_get(root, "details")) == JSON_ARRAY) {
            details_read_json(json_get(root, "details"), refusal);
        }
    } else {
        result = RESULT_REJECT;
    }
    json_free(&document);
    return result;
}

enum result otlp_refusal_read(enum otlp_form form, struct bytes body, struct otlp_refusal *refusal)
{
    *refusal = (struct otlp_refusal){0};
    if (body.len > BODY_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    refusal->code = CODE_UNKNOWN;
    enum result result = form == OTLP_JSON ? refusal_read_json(body, refusal)
                                           : refusal_read_protobuf(body, refusal);
    if (result != RESULT_OK) {
        *refusal = (struct otlp_refusal){0};
    }
    return result;
}
