// SPDX-License-Identifier: Apache-2.0
// The exporter `langwatch`. The evaluation's id is the score's, so that a repetition is the same
// evaluation; without one LangWatch hashes the event. A boolean score's value says whether it
// passed, others pass unless they failed their threshold.
//
// Refused: its REST interface for evaluations, which wants projects and evaluators made before.
// Bounds: see score_encoder.h. Exporter's thread; start excepted.
#include "exporter/score/langwatch.h"

#include <stdio.h>

#include "base/clock.h"
#include "exporter/http_export.h"
#include "exporter/score/score_carrier.h"
#include "exporter/score/score_json.h"
#include "exporter/score/score_sink.h"
#include "proto/attribute.h"

#define AGE_NS_MAX (UINT64_C(3600) * NS_PER_S)
#define JSON_TEXT_MAX ((size_t)64 << 10)

static void put_verdict(struct json_writer *json, const struct score_entry *entry)
{
    const struct score_record *record = &entry->record;
    int64_t end_ms = (int64_t)(record->end_ns / NS_PER_MS);
    json_begin_object(json);
    json_key(json, "evaluation_id");
    json_put_literal(json, record->id);
    json_key(json, "evaluator_id");
    json_put_literal(json, entry->name);
    score_json_hex(json, "span_id", record->span_id.bytes, 8);
    json_key(json, "name");
    json_put_literal(json, entry->name);
    json_key(json, "type");
    json_put_literal(json, record->by_judge ? "llm_judge" : "code");
    json_key(json, "is_guardrail");
    json_put_bool(json, false);
    json_key(json, "status");
    json_put_literal(json, "processed");
    json_key(json, "passed");
    json_put_bool(json, !record->failed);
    if (record->has_value) {
        json_key(json, "score");
        json_put_double(json, record->value);
    }
    score_json_text(json, "label", record->label);
    score_json_text(json, "details", record->explanation);
    json_key(json, "timestamps");
    json_begin_object(json);
    json_key(json, "started_at");
    json_put_int(json, end_ms);
    json_key(json, "finished_at");
    json_put_int(json, end_ms);
    json_end_object(json);
    json_end_object(json);
}

static void put_event(struct buffer *out, const struct score_entry *entry)
{
    struct json_writer json;
    struct buffer text;
    buffer_init(&text, JSON_TEXT_MAX);
    json_writer_init(&json, &text);
    put_verdict(&json, entry);
    size_t event = wire_open(out, SPAN_EVENTS);
    wire_write_fixed64(out, EVENT_TIME, entry->record.end_ns);
    wire_write_text(out, EVENT_NAME, "langwatch.evaluation.custom");
    attribute_write_text(out, EVENT_ATTRIBUTES, "json_encoded_event", buffer_view(&text));
    wire_close(out, event);
    buffer_fini(&text);
}

static void put_target(struct score_body *body, const struct score_entry *entries, size_t count)
{
    struct score_carrier carrier;
    score_carrier_begin(&carrier, body->out, entries, count);
    for (size_t i = 0; i < count; i++) {
        put_event(body->out, &entries[i]);
    }
    score_carrier_end(&carrier, body->out);
}

const struct score_form langwatch_form = {.age_ns_max = AGE_NS_MAX, .target = put_target};

static const struct http_backend backend = {
    .paths = {[SIGNAL_TRACES] = "/api/otel/v1/traces", [SIGNAL_SCORES] = "/api/otel/v1/traces"},
    .path_stem = "/api/otel",
    .content_type = "application/x-protobuf",
    .codecs = 1U << CODEC_NONE | 1U << CODEC_GZIP,
    .score_content_type = "application/x-protobuf",
    .score_codecs = 1U << CODEC_NONE | 1U << CODEC_GZIP,
    .score_bytes_max = HTTP_EXPORT_BYTES_MAX};

// --- the kind -------------------------------------------------------------------------------

struct langwatch_config {
    struct score_sink_config sink;
    struct http_export_config http;
    struct bytes endpoint, api_key;
};

static const struct option langwatch_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct langwatch_config, endpoint),
     .doc = "Base URL. When absent: LANGWATCH_ENDPOINT, else https://app.langwatch.ai."},
    {.key = "api_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct langwatch_config, api_key),
     .doc = "When absent: LANGWATCH_API_KEY."},
    SCORE_SWITCH_ROW(struct langwatch_config),
    SCORE_SINK_ROWS(struct langwatch_config),
    HTTP_EXPORT_ROWS(struct langwatch_config),
    {.key = NULL},
};

static struct bytes url_of(const struct langwatch_config *config)
{
    static const char *const variables[] = {"LANGWATCH_ENDPOINT", NULL};
    return score_sink_text(config->endpoint, variables, "https://app.langwatch.ai");
}

static struct bytes key_of(const struct langwatch_config *config)
{
    static const char *const variables[] = {"LANGWATCH_API_KEY", NULL};
    return score_sink_text(config->api_key, variables, NULL);
}

static void langwatch_validate(const void *arg, const struct config_node *node, const char *path,
                               struct option_errors *errors)
{
    const struct langwatch_config *config = arg;
    if (key_of(config).len == 0) {
        option_error(errors, path, node, "api_key must be set, or LANGWATCH_API_KEY");
    }
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(url_of(config), "endpoint", node, path, errors);
    http_export_validate(&config->http, &backend, node, path, errors);
}

static enum result langwatch_start(const struct component_env *env, const void *arg,
                                   struct exporter **exporter, char *why, size_t why_len)
{
    const struct langwatch_config *config = arg;
    struct bytes api_key = key_of(config);
    struct score_encoder encoder = score_sink_encoder(&config->sink, &langwatch_form, BYTES_NONE);
    char bearer[1024];
    int len = snprintf(bearer, sizeof(bearer), "Bearer %.*s", BYTES_PRINTF(api_key));
    if ((size_t)len >= sizeof(bearer)) {
        snprintf(why, why_len, "api_key is too long");
        return RESULT_FAIL;
    }
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = &backend,
                                      .base_url = url_of(config),
                                      .encoder = &encoder,
                                      .extra = {{"Authorization", bearer}},
                                      .extra_secrets = {api_key, BYTES_NONE}};
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops langwatch_exporter = {
    .kind = {.type = "langwatch",
             .doc = "Spans to LangWatch, and scores as its evaluation events.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_SCORES,
             .options = langwatch_options,
             .config_size = sizeof(struct langwatch_config),
             .validate = langwatch_validate},
    .start = langwatch_start,
    SENDER_OPS,
    .score_send = score_sink_send_switched,
};
