// SPDX-License-Identifier: Apache-2.0
// The exporter `braintrust`. Its header x-bt-parent says to which project spans go; without it
// Braintrust would not know, so that it is required. Scores of a target that stand together go on
// one carrier; labels without a value are metadata, since a score there is a number.
//
// Refused: POST /v1/project_logs/{id}/insert, whose row ids are not ours. Bounds: see
// score_encoder.h. Exporter's thread; start excepted.
#include "exporter/score/braintrust.h"

#include <stdio.h>

#include "exporter/http_export.h"
#include "exporter/score/score_carrier.h"
#include "exporter/score/score_json.h"
#include "exporter/score/score_sink.h"
#include "proto/attribute.h"

#define JSON_TEXT_MAX ((size_t)1 << 20)

static bool put_scores(struct json_writer *json, const struct score_entry *entries, size_t count)
{
    bool has_one = false;
    json_begin_object(json);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].record.has_value) {
            has_one = true;
            json_key(json, entries[i].name);
            json_put_double(json, entries[i].record.value);
        }
    }
    json_end_object(json);
    return has_one;
}

static void put_metadata(struct json_writer *json, const struct score_entry *entries, size_t count)
{
    json_begin_object(json);
    for (size_t i = 0; i < count; i++) {
        const struct score_record *record = &entries[i].record;
        json_key(json, entries[i].name);
        json_begin_object(json);
        json_key(json, "id");
        json_put_literal(json, record->id);
        json_key(json, "annotator");
        json_put_literal(json, record->by_judge ? "llm" : "code");
        score_json_text(json, "label", record->label);
        score_json_text(json, "explanation", record->explanation);
        score_json_text(json, "identifier", record->identifier);
        json_key(json, "baseline");
        json_put_bool(json, record->plain);
        json_key(json, "probability");
        json_put_double(json, record->probability);
        json_end_object(json);
    }
    json_end_object(json);
}

static void put_target(struct score_body *body, const struct score_entry *entries, size_t count)
{
    struct score_carrier carrier;
    struct json_writer json;
    struct buffer text;
    buffer_init(&text, JSON_TEXT_MAX);
    score_carrier_begin(&carrier, body->out, entries, count);
    json_writer_init(&json, &text);
    if (put_scores(&json, entries, count)) {
        attribute_write_text(body->out, SPAN_ATTRIBUTES, "braintrust.scores", buffer_view(&text));
    }
    buffer_reset(&text);
    json_writer_init(&json, &text);
    put_metadata(&json, entries, count);
    attribute_write_text(body->out, SPAN_ATTRIBUTES, "braintrust.metadata", buffer_view(&text));
    attribute_write_text(body->out, SPAN_ATTRIBUTES, "braintrust.span_attributes",
                         BYTES_LITERAL("{\"type\":\"score\"}"));
    score_carrier_end(&carrier, body->out);
    buffer_fini(&text);
}

const struct score_form braintrust_form = {.target = put_target};

static const struct http_backend backend = {
    .paths = {[SIGNAL_TRACES] = "/otel/v1/traces", [SIGNAL_SCORES] = "/otel/v1/traces"},
    .path_stem = "/otel",
    .content_type = "application/x-protobuf",
    .codecs = 1U << CODEC_NONE | 1U << CODEC_GZIP,
    .score_content_type = "application/x-protobuf",
    .score_codecs = 1U << CODEC_NONE | 1U << CODEC_GZIP,
    .score_bytes_max = HTTP_EXPORT_BYTES_MAX};

// --- the kind -------------------------------------------------------------------------------

struct braintrust_config {
    struct score_sink_config sink;
    struct http_export_config http;
    struct bytes endpoint, api_key, parent;
};

static const struct option braintrust_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct braintrust_config, endpoint),
     .doc = "Base URL. When absent: BRAINTRUST_API_URL, else https://api.braintrust.dev."},
    {.key = "api_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct braintrust_config, api_key),
     .doc = "When absent: BRAINTRUST_API_KEY."},
    {.key = "parent",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct braintrust_config, parent),
     .doc = "project_id:..., project_name:... or experiment_id:... When absent: "
            "BRAINTRUST_PARENT."},
    SCORE_SWITCH_ROW(struct braintrust_config),
    SCORE_SINK_ROWS(struct braintrust_config),
    HTTP_EXPORT_ROWS(struct braintrust_config),
    {.key = NULL},
};

static struct bytes url_of(const struct braintrust_config *config)
{
    static const char *const variables[] = {"BRAINTRUST_API_URL", NULL};
    return score_sink_text(config->endpoint, variables, "https://api.braintrust.dev");
}

static struct bytes key_of(const struct braintrust_config *config)
{
    static const char *const variables[] = {"BRAINTRUST_API_KEY", NULL};
    return score_sink_text(config->api_key, variables, NULL);
}

static struct bytes parent_of(const struct braintrust_config *config)
{
    static const char *const variables[] = {"BRAINTRUST_PARENT", NULL};
    return score_sink_text(config->parent, variables, NULL);
}

static bool is_parent(struct bytes text)
{
    static const char *const prefixes[] = {"project_id:", "project_name:", "experiment_id:"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        struct bytes prefix = bytes_from_text(prefixes[i]);
        if (bytes_start_with(text, prefix) && text.len > prefix.len) {
            return true;
        }
    }
    return false;
}

static void braintrust_validate(const void *arg, const struct config_node *node, const char *path,
                                struct option_errors *errors)
{
    const struct braintrust_config *config = arg;
    if (key_of(config).len == 0) {
        option_error(errors, path, node, "api_key must be set, or BRAINTRUST_API_KEY");
    }
    if (!is_parent(parent_of(config))) {
        option_error(errors, path, node,
                     "parent must be project_id:..., project_name:... or experiment_id:..., or "
                     "BRAINTRUST_PARENT");
    }
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(url_of(config), "endpoint", node, path, errors);
    http_export_validate(&config->http, &backend, node, path, errors);
}

static enum result braintrust_start(const struct component_env *env, const void *arg,
                                    struct exporter **exporter, char *why, size_t why_len)
{
    const struct braintrust_config *config = arg;
    struct bytes api_key = key_of(config);
    struct score_encoder encoder = score_sink_encoder(&config->sink, &braintrust_form, BYTES_NONE);
    char bearer[1024], parent[512];
    size_t len = (size_t)snprintf(bearer, sizeof(bearer), "Bearer %.*s", BYTES_PRINTF(api_key));
    size_t parent_len =
        (size_t)snprintf(parent, sizeof(parent), "%.*s", BYTES_PRINTF(parent_of(config)));
    if (len >= sizeof(bearer) || parent_len >= sizeof(parent)) {
        snprintf(why, why_len, "api_key or parent is too long");
        return RESULT_FAIL;
    }
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = &backend,
                                      .base_url = url_of(config),
                                      .encoder = &encoder,
                                      .extra = {{"Authorization", bearer}, {"x-bt-parent", parent}},
                                      .extra_secrets = {api_key, BYTES_NONE}};
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops braintrust_exporter = {
    .kind = {.type = "braintrust",
             .doc = "Spans to Braintrust, and scores as spans of type score.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_SCORES,
             .options = braintrust_options,
             .config_size = sizeof(struct braintrust_config),
             .validate = braintrust_validate},
    .start = braintrust_start,
    SENDER_OPS,
    .score_send = score_sink_send_switched,
};
