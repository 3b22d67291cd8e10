// SPDX-License-Identifier: Apache-2.0
// The exporter `datadog_evaluations`. ml_app is the application's name in Datadog: the key, else
// the service's name of each score's target. The intake answers 202 and joins later.
//
// Refused: the Agent's proxy, which knows nothing of OTel ids. Bounds: BYTES_MAX per request, as
// its SDKs. Exporter's thread; start excepted.
#include "exporter/score/datadog_evaluations.h"

#include <stdio.h>

#include "base/clock.h"
#include "exporter/http_export.h"
#include "exporter/score/score_json.h"
#include "exporter/score/score_sink.h"

#define BYTES_MAX ((size_t)5000000)
#define LABEL_BYTES_MAX 200
#define APP_BYTES_MAX 193

static void begin(struct score_body *body)
{
    struct json_writer *json = &body->json;
    json_begin_object(json);
    json_key(json, "data");
    json_begin_object(json);
    json_key(json, "type");
    json_put_literal(json, "evaluation_metric");
    json_key(json, "attributes");
    json_begin_object(json);
    json_key(json, "metrics");
    json_begin_array(json);
}

static void end(struct score_body *body)
{
    json_end_array(&body->json);
    json_end_object(&body->json);
    json_end_object(&body->json);
    json_end_object(&body->json);
}

// A big-endian number in decimal: at most 39 digits of 16 bytes.
static void put_decimal(struct json_writer *json, const char *key, const uint8_t *id, size_t len)
{
    char digits[40];
    size_t at = sizeof(digits) - 1;
    unsigned __int128 number = 0;
    for (size_t i = 0; i < len; i++) {
        number = number << 8 | id[i];
    }
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(number % 10));
        number /= 10;
    } while (number > 0);
    json_key(json, key);
    json_put_literal(json, digits + at);
}

static void put_join(struct json_writer *json, const struct score_record *record)
{
    json_key(json, "join_on");
    json_begin_object(json);
    json_key(json, "span");
    json_begin_object(json);
    put_decimal(json, "span_id", record->span_id.bytes, 8);
    put_decimal(json, "trace_id", record->trace_id.bytes, 16);
    json_end_object(json);
    json_end_object(json);
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static void put_label(struct json_writer *json, const char *name)
{
    char label[LABEL_BYTES_MAX + 1];
    size_t len = 0;
    if (!is_letter(name[0])) {
        label[len++] = 's';
    }
    for (const char *at = name; *at != '\0' && len < LABEL_BYTES_MAX; at++) {
        bool is_kept = is_letter(*at) || (*at >= '0' && *at <= '9');
        label[len++] = is_kept ? *at : '_';
    }
    json_key(json, "label");
    json_put_text(json, bytes_from(label, len));
}

static void put_value(struct json_writer *json, const struct score_record *record)
{
    bool is_text = record->type == SCORE_CATEGORICAL && record->label.len > 0;
    json_key(json, "metric_type");
    if (is_text) {
        json_put_literal(json, "categorical");
        json_key(json, "categorical_value");
        json_put_text(json, record->label);
    } else if (record->type == SCORE_BOOLEAN) {
        json_put_literal(json, "boolean");
        json_key(json, "boolean_value");
        json_put_bool(json, record->value > 0);
    } else {
        json_put_literal(json, "score");
        json_key(json, "score_value");
        json_put_double(json, record->value);
    }
}

static void put_tags(struct json_writer *json, const struct score_record *record)
{
    json_key(json, "tags");
    json_begin_array(json);
    json_put_literal(json, "source:otel");
    json_put_literal(json, record->by_judge ? "annotator:llm" : "annotator:code");
    json_put_literal(json, record->plain ? "baseline:true" : "baseline:false");
    json_end_array(json);
}

static void put_record(struct score_body *body, const struct score_entry *entry)
{
    struct json_writer *json = &body->json;
    const struct score_record *record = &entry->record;
    struct bytes app = bytes_from_text(body->encoder->application);
    app = app.len > 0 ? app : bytes_slice(record->service_name, 0, APP_BYTES_MAX);
    json_begin_object(json);
    put_join(json, record);
    json_key(json, "ml_app");
    json_put_text(json, app.len > 0 ? app : BYTES_LITERAL("unknown_service"));
    json_key(json, "timestamp_ms");
    json_put_int(json, (int64_t)(record->end_ns / NS_PER_MS));
    put_label(json, entry->name);
    put_value(json, record);
    json_key(json, "assessment");
    json_put_literal(json, record->failed ? "fail" : "pass");
    score_json_text(json, "reasoning", record->explanation);
    put_tags(json, record);
    json_end_object(json);
}

const struct score_form datadog_evaluations_form = {
    .begin = begin, .end = end, .record = put_record};

static const struct http_backend backend = {
    .paths = {[SIGNAL_SCORES] = "/api/intake/llm-obs/v2/eval-metric"},
    .content_type = "application/json",
    .codecs = 1U << CODEC_NONE,
    .score_content_type = "application/json",
    .score_codecs = 1U << CODEC_NONE,
    .score_bytes_max = BYTES_MAX};

// --- the kind -------------------------------------------------------------------------------

struct datadog_evaluations_config {
    struct score_sink_config sink;
    struct http_export_config http;
    struct bytes endpoint, api_key, site, ml_app;
};

static const struct option datadog_evaluations_options[] = {
    {.key = "api_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct datadog_evaluations_config, api_key),
     .doc = "When absent: DD_API_KEY."},
    {.key = "site",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct datadog_evaluations_config, site),
     .doc = "When absent: DD_SITE, else datadoghq.com."},
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct datadog_evaluations_config, endpoint),
     .doc = "Base URL in the place of https://api. and the site."},
    {.key = "ml_app",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct datadog_evaluations_config, ml_app),
     .doc = "When absent: DD_LLMOBS_ML_APP, else the target's service.name."},
    SCORE_SINK_ROWS(struct datadog_evaluations_config),
    HTTP_EXPORT_ROWS(struct datadog_evaluations_config),
    {.key = NULL},
};

static struct bytes site_of(const struct datadog_evaluations_config *config)
{
    static const char *const variables[] = {"DD_SITE", NULL};
    return score_sink_text(config->site, variables, "datadoghq.com");
}

static struct bytes key_of(const struct datadog_evaluations_config *config)
{
    static const char *const variables[] = {"DD_API_KEY", NULL};
    return score_sink_text(config->api_key, variables, NULL);
}

static struct bytes app_of(const struct datadog_evaluations_config *config)
{
    static const char *const variables[] = {"DD_LLMOBS_ML_APP", NULL};
    return score_sink_text(config->ml_app, variables, NULL);
}

static bool is_site(struct bytes site)
{
    bool is_sound = site.len > 0 && site.len < 128;
    for (size_t i = 0; is_sound && i < site.len; i++) {
        char byte = (char)site.ptr[i];
        is_sound = is_letter(byte) || (byte >= '0' && byte <= '9') || byte == '.' || byte == '-';
    }
    return is_sound;
}

static void datadog_evaluations_validate(const void *arg, const struct config_node *node,
                                         const char *path, struct option_errors *errors)
{
    const struct datadog_evaluations_config *config = arg;
    if (key_of(config).len == 0) {
        option_error(errors, path, node, "api_key must be set, or DD_API_KEY");
    }
    if (!is_site(site_of(config))) {
        option_error(errors, path, config_get(node, "site"),
                     "site must be a host's name, as datadoghq.eu");
    }
    if (app_of(config).len > APP_BYTES_MAX) {
        option_error(errors, path, config_get(node, "ml_app"), "ml_app must be at most %d bytes",
                     APP_BYTES_MAX);
    }
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(config->endpoint, "endpoint", node, path, errors);
    http_export_validate(&config->http, &backend, node, path, errors);
}

static enum result datadog_evaluations_start(const struct component_env *env, const void *arg,
                                             struct exporter **exporter, char *why, size_t why_len)
{
    const struct datadog_evaluations_config *config = arg;
    struct bytes api_key = key_of(config);
    struct score_encoder encoder =
        score_sink_encoder(&config->sink, &datadog_evaluations_form, app_of(config));
    char key[256], url[192];
    if ((size_t)snprintf(key, sizeof(key), "%.*s", BYTES_PRINTF(api_key)) >= sizeof(key)) {
        snprintf(why, why_len, "api_key is too long");
        return RESULT_FAIL;
    }
    snprintf(url, sizeof(url), "https://api.%.*s", BYTES_PRINTF(site_of(config)));
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = &backend,
                                      .base_url = config->endpoint.len > 0 ? config->endpoint
                                                                           : bytes_from_text(url),
                                      .encoder = &encoder,
                                      .extra = {{"DD-API-KEY", key}},
                                      .extra_secrets = {api_key, BYTES_NONE}};
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops datadog_evaluations_exporter = {
    .kind = {.type = "datadog_evaluations",
             .doc = "Scores to Datadog LLM Observability, as external evaluations.",
             .signals = 1U << SIGNAL_SCORES,
             .options = datadog_evaluations_options,
             .config_size = sizeof(struct datadog_evaluations_config),
             .validate = datadog_evaluations_validate},
    .start = datadog_evaluations_start,
    SENDER_OPS,
    .score_send = score_sink_send,
};
