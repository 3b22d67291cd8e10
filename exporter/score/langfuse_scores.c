// SPDX-License-Identifier: Apache-2.0
// The exporter `langfuse_scores`, and the form and the replies that `langfuse` shares with it.
// traceId and observationId are the OTel ids as they are. The session goes into the metadata: a
// score has one subject there, trace or session. Langfuse drops what does not fit a score
// configuration only later, without a word, which no reply tells.
//
// Refused: POST /scores, which takes one score and no timestamp, so that a repetition after
// midnight UTC is a second score. Bounds: see the header. Exporter's thread; start excepted.
#include "exporter/score/langfuse_scores.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "exporter/langfuse_account.h"
#include "exporter/score/score_json.h"

#define ENVIRONMENT_BYTES_MAX 40

static void begin(struct score_body *body)
{
    json_begin_object(&body->json);
    json_key(&body->json, "batch");
    json_begin_array(&body->json);
}

static void end(struct score_body *body)
{
    json_end_array(&body->json);
    json_end_object(&body->json);
}

// Lower case, at most 40 of [a-z0-9_-], without the reserved prefix; empty: Langfuse's default.
static struct bytes environment_of(struct bytes text, char out[ENVIRONMENT_BYTES_MAX + 1])
{
    size_t len = 0;
    while (text.len >= 8 && bytes_equal_nocase(bytes_slice(text, 0, 8), "langfuse")) {
        text = bytes_slice(text, 8, SIZE_MAX);
    }
    for (size_t i = 0; i < text.len && len < ENVIRONMENT_BYTES_MAX; i++) {
        uint8_t byte = text.ptr[i];
        bool is_upper = byte >= 'A' && byte <= 'Z';
        bool is_kept = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                       byte == '-' || byte == '_';
        if (!is_upper && !is_kept) {
            return BYTES_NONE;
        }
        out[len++] = (char)(is_upper ? byte + 'a' - 'A' : byte);
    }
    return bytes_from(out, len);
}

static void put_value(struct json_writer *json, const struct score_record *record)
{
    static const char *const types[] = {"NUMERIC", "BOOLEAN", "CATEGORICAL"};
    bool is_text = record->type == SCORE_CATEGORICAL && record->label.len > 0;
    json_key(json, "value");
    if (is_text) {
        json_put_text(json, record->label);
    } else {
        json_put_double(json, record->value);
    }
    json_key(json, "dataType");
    json_put_literal(json, record->type == SCORE_CATEGORICAL && !is_text ? types[SCORE_NUMERIC]
                                                                         : types[record->type]);
}

static void put_metadata(struct json_writer *json, const struct score_record *record)
{
    json_key(json, "metadata");
    json_begin_object(json);
    json_key(json, "annotator");
    json_put_literal(json, record->by_judge ? "llm" : "code");
    score_json_text(json, "label", record->label);
    score_json_text(json, "identifier", record->identifier);
    score_json_text(json, "session_id", record->session_id);
    json_key(json, "baseline");
    json_put_bool(json, record->plain);
    json_key(json, "probability");
    json_put_double(json, record->probability);
    json_end_object(json);
}

static void put_body(struct json_writer *json, const struct score_entry *entry)
{
    const struct score_record *record = &entry->record;
    char environment[ENVIRONMENT_BYTES_MAX + 1];
    json_key(json, "body");
    json_begin_object(json);
    json_key(json, "id");
    json_put_literal(json, record->id);
    score_json_hex(json, "traceId", record->trace_id.bytes, 16);
    score_json_hex(json, "observationId", record->span_id.bytes, 8);
    json_key(json, "name");
    json_put_literal(json, entry->name);
    put_value(json, record);
    score_json_text(json, "comment", record->explanation);
    score_json_text(json, "environment", environment_of(record->environment, environment));
    put_metadata(json, record);
    json_end_object(json);
}

static void put_record(struct score_body *body, const struct score_entry *entry)
{
    struct json_writer *json = &body->json;
    char time[25];
    clock_format(entry->record.end_ns, time);
    json_begin_object(json);
    json_key(json, "id");
    json_put_literal(json, entry->record.id);
    json_key(json, "timestamp");
    json_put_literal(json, time);
    json_key(json, "type");
    json_put_literal(json, "score-create");
    put_body(json, entry);
    json_end_object(json);
}

const struct score_form langfuse_scores_form = {.begin = begin, .end = end, .record = put_record};

// --- replies --------------------------------------------------------------------------------

static bool is_for_now(int64_t status)
{
    return status == 429 || status >= 500;
}

static void errors_read(const struct json_value *errors, struct delivery_reply *reply,
                        char text[HTTP_SCORE_REPLY_BYTES])
{
    size_t count = json_count(errors);
    size_t told = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_for_now(json_int(json_get(json_at(errors, i), "status"), 0))) {
            reply->code = 503;
            told = i;
            break;
        }
    }
    if (count == 0) {
        return;
    }
    const struct json_value *first = json_at(errors, told);
    struct bytes message = json_get_text(first, "message");
    struct bytes detail = json_get_text(first, "error");
    snprintf(text, HTTP_SCORE_REPLY_BYTES, "%.*s%s%.*s", BYTES_PRINTF(message),
             message.len > 0 && detail.len > 0 ? ": " : "", BYTES_PRINTF(detail));
    reply->text = text[0] != '\0' ? bytes_from_text(text) : BYTES_LITERAL("refused");
    reply->rejected_count = reply->code == 503 ? 0 : (uint32_t)count;
}

void langfuse_scores_reply(const struct http_response *response, struct delivery_reply *reply,
                           char text[HTTP_SCORE_REPLY_BYTES])
{
    struct json_document *document = NULL;
    if (response->status == 500) {
        reply->code = 503;  // its store or queue failed for now; a repeat replaces
    }
    if (response->status / 100 != 2 || json_parse(response->body, &document, NULL) != RESULT_OK) {
        return;  // the status says it all
    }
    errors_read(json_get(json_root(document), "errors"), reply, text);
    json_free(&document);
}

// --- the kind -------------------------------------------------------------------------------

static const struct option langfuse_scores_options[] = {
    LANGFUSE_ACCOUNT_ROWS(struct langfuse_config),
    SCORE_SINK_ROWS(struct langfuse_config),
    HTTP_EXPORT_ROWS(struct langfuse_config),
    {.key = NULL},
};

const struct exporter_ops langfuse_scores_exporter = {
    .kind = {.type = "langfuse_scores",
             .doc = "Scores alone to Langfuse, by its ingestion interface.",
             .signals = 1U << SIGNAL_SCORES,
             .options = langfuse_scores_options,
             .config_size = sizeof(struct langfuse_config),
             .validate = langfuse_account_validate},
    .start = langfuse_account_start,
    SENDER_OPS,
    .score_send = score_sink_send,
};
