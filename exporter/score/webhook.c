// SPDX-License-Identifier: Apache-2.0
// The exporter `webhook`: the plainest sink, for alerts, queues and stores of one's own; and the
// form of the lines that `file` writes, which is the same objects. Refused: templates for the body;
// whoever needs another shape has a program that can make it. Refused too: compression, which few
// receivers of webhooks undo.
//
// Bounds: BYTES_MAX per request. Exporter's thread; start excepted.
#include "exporter/score/webhook.h"

#include "exporter/http_export.h"
#include "exporter/score/score_json.h"
#include "exporter/score/score_sink.h"

#define BYTES_MAX ((size_t)1 << 20)

static void begin(struct score_body *body)
{
    json_begin_object(&body->json);
    json_key(&body->json, "scores");
    json_begin_array(&body->json);
}

static void end(struct score_body *body)
{
    json_end_array(&body->json);
    json_end_object(&body->json);
}

static void put_record(struct score_body *body, const struct score_entry *entry)
{
    score_json_record(&body->json, entry);
}

const struct score_form webhook_form = {.begin = begin, .end = end, .record = put_record};

static void put_line(struct score_body *body, const struct score_entry *entry)
{
    struct json_writer json;
    json_writer_init(&json, body->out);
    json_begin_object(&json);
    json_key(&json, "score");
    score_json_record(&json, entry);
    json_end_object(&json);
    buffer_append_byte(body->out, '\n');
}

const struct score_form score_lines_form = {.record = put_line};

static const struct http_backend backend = {.content_type = "application/json",
                                            .codecs = 1U << CODEC_NONE,
                                            .score_content_type = "application/json",
                                            .score_codecs = 1U << CODEC_NONE,
                                            .score_bytes_max = BYTES_MAX};

struct webhook_config {
    struct score_sink_config sink;
    struct http_export_config http;
    struct bytes endpoint;
};

static const struct option webhook_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .flags = OPTION_F_REQUIRED,
     .offset = offsetof(struct webhook_config, endpoint),
     .doc = "URL, used as it is."},
    SCORE_SINK_ROWS(struct webhook_config),
    HTTP_EXPORT_ROWS(struct webhook_config),
    {.key = NULL},
};

static void webhook_validate(const void *arg, const struct config_node *node, const char *path,
                             struct option_errors *errors)
{
    const struct webhook_config *config = arg;
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(config->endpoint, "endpoint", node, path, errors);
    http_export_validate(&config->http, &backend, node, path, errors);
}

static enum result webhook_start(const struct component_env *env, const void *arg,
                                 struct exporter **exporter, char *why, size_t why_len)
{
    const struct webhook_config *config = arg;
    struct score_encoder encoder = score_sink_encoder(&config->sink, &webhook_form, BYTES_NONE);
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = &backend,
                                      .urls = {[SIGNAL_SCORES] = config->endpoint},
                                      .encoder = &encoder};
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops webhook_exporter = {
    .kind = {.type = "webhook",
             .doc = "Scores as JSON to a URL of your own.",
             .signals = 1U << SIGNAL_SCORES,
             .options = webhook_options,
             .config_size = sizeof(struct webhook_config),
             .validate = webhook_validate},
    .start = webhook_start,
    SENDER_OPS,
    .score_send = score_sink_send,
};
