// SPDX-License-Identifier: Apache-2.0
// The exporter `phoenix_annotations`, and the form and the replies that `phoenix` shares with it.
// 422 is a request that does not fit the schema and is searched for the annotation that does not,
// as 400 everywhere; 404 with the names of spans comes from a Phoenix (or something before it) that
// was asked to wait and does not, and is tried again as long as retry_on_failure says.
//
// Refused: sync=true, which answers 404 for each score that overtakes its span. Bounds: see the
// header. Exporter's thread; start excepted.
#include "exporter/score/phoenix_annotations.h"

#include <string.h>

#include "exporter/phoenix_account.h"
#include "exporter/score/score_json.h"

static void begin(struct score_body *body)
{
    json_begin_object(&body->json);
    json_key(&body->json, "data");
    json_begin_array(&body->json);
}

static void end(struct score_body *body)
{
    json_end_array(&body->json);
    json_end_object(&body->json);
}

static void put_result(struct json_writer *json, const struct score_record *record)
{
    json_key(json, "result");
    json_begin_object(json);
    score_json_text(json, "label", record->label);
    if (record->has_value) {
        json_key(json, "score");
        json_put_double(json, record->value);
    }
    score_json_text(json, "explanation", record->explanation);
    json_end_object(json);
}

static void put_metadata(struct json_writer *json, const struct score_record *record)
{
    json_key(json, "metadata");
    json_begin_object(json);
    json_key(json, "sidejudge_id");
    json_put_literal(json, record->id);
    json_key(json, "baseline");
    json_put_bool(json, record->plain);
    json_key(json, "probability");
    json_put_double(json, record->probability);
    json_end_object(json);
}

static void put_record(struct score_body *body, const struct score_entry *entry)
{
    struct json_writer *json = &body->json;
    const struct score_record *record = &entry->record;
    json_begin_object(json);
    score_json_hex(json, "span_id", record->span_id.bytes, 8);
    json_key(json, "name");  // Phoenix keeps "note" for itself
    json_put_literal(json, strcmp(entry->name, "note") == 0 ? "note_score" : entry->name);
    json_key(json, "annotator_kind");
    json_put_literal(json, record->by_judge ? "LLM" : "CODE");
    put_result(json, record);
    put_metadata(json, record);
    json_key(json, "identifier");
    json_put_text(json, record->identifier);
    json_end_object(json);
}

const struct score_form phoenix_annotations_form = {
    .begin = begin, .end = end, .record = put_record};

void phoenix_annotations_reply(const struct http_response *response, struct delivery_reply *reply,
                               char text[HTTP_SCORE_REPLY_BYTES])
{
    (void)text;
    bool is_unknown = bytes_find(response->body, BYTES_LITERAL("do not exist"), 0) != SIZE_MAX ||
                      bytes_find(response->body, BYTES_LITERAL("does not exist"), 0) != SIZE_MAX;
    if (response->status == 404 && is_unknown) {
        reply->code = 503;
    }
}

static const struct option phoenix_annotations_options[] = {
    PHOENIX_ACCOUNT_ROWS(struct phoenix_config),
    SCORE_SINK_ROWS(struct phoenix_config),
    HTTP_EXPORT_ROWS(struct phoenix_config),
    {.key = NULL},
};

const struct exporter_ops phoenix_annotations_exporter = {
    .kind = {.type = "phoenix_annotations",
             .doc = "Scores alone to Arize Phoenix, as span annotations.",
             .signals = 1U << SIGNAL_SCORES,
             .options = phoenix_annotations_options,
             .config_size = sizeof(struct phoenix_config),
             .validate = phoenix_account_validate},
    .start = phoenix_account_start,
    SENDER_OPS,
    .score_send = score_sink_send,
};
