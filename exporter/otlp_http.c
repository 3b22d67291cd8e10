// SPDX-License-Identifier: Apache-2.0
// The exporter `otlp_http` (alias otlphttp): OTLP over HTTP in protobuf to any backend. Its keys
// are the Collector's; all the work is http_export's. Refused: `encoding: json`, which would cost
// three times the bytes and the transcoding for backends that all read protobuf.
//
// Bounds and threads: see http_export.c and sender.c.
#include "exporter/otlp_http.h"

#include <stddef.h>

#include "exporter/http_export.h"

enum { ENCODING_PROTO, ENCODING_JSON };
static const char *const encodings[] = {"proto", "json", NULL};

struct otlp_http_config {
    struct http_export_config http;
    struct bytes endpoint;
    struct bytes urls[SIGNAL_OTLP_COUNT];
    int encoding;
};

static const struct option otlp_http_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct otlp_http_config, endpoint),
     .doc = "Base URL; /v1/traces, /v1/metrics or /v1/logs is appended."},
    {.key = "traces_endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct otlp_http_config, urls[SIGNAL_TRACES]),
     .doc = "URL for traces, used as it is."},
    {.key = "metrics_endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct otlp_http_config, urls[SIGNAL_METRICS]),
     .doc = "URL for metrics, used as it is."},
    {.key = "logs_endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct otlp_http_config, urls[SIGNAL_LOGS]),
     .doc = "URL for logs, used as it is."},
    {.key = "encoding",
     .kind = OPTION_ENUM,
     .fallback = "proto",
     .choices = encodings,
     .offset = offsetof(struct otlp_http_config, encoding),
     .doc = "Only proto."},
    HTTP_EXPORT_ROWS(struct otlp_http_config),
    {.key = NULL},
};

static void otlp_http_validate(const void *arg, const struct config_node *node, const char *path,
                               struct option_errors *errors)
{
    static const char *const keys[] = {"traces_endpoint", "metrics_endpoint", "logs_endpoint"};
    const struct otlp_http_config *config = arg;
    bool has_url = config->endpoint.len > 0;
    http_export_check_url(config->endpoint, "endpoint", node, path, errors);
    for (unsigned i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        has_url = has_url || config->urls[i].len > 0;
        http_export_check_url(config->urls[i], keys[i], node, path, errors);
    }
    if (!has_url) {
        option_error(errors, path, node, "at least one endpoint must be specified");
    }
    if (config->encoding == ENCODING_JSON) {
        option_error(errors, path, config_get(node, "encoding"),
                     "encoding: json is not offered: every OTLP backend reads proto, at a third of "
                     "the bytes; remove the key");
    }
    http_export_validate(&config->http, http_backend(HTTP_BACKEND_OTLP), node, path, errors);
}

static enum result otlp_http_start(const struct component_env *env, const void *arg,
                                   struct exporter **exporter, char *why, size_t why_len)
{
    const struct otlp_http_config *config = arg;
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = http_backend(HTTP_BACKEND_OTLP),
                                      .base_url = config->endpoint};
    for (unsigned i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        setup.urls[i] = config->urls[i];
    }
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops otlp_http_exporter = {
    .kind = {.type = "otlp_http",
             .alias = "otlphttp",
             .doc = "OTLP over HTTP in protobuf, to any backend.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_METRICS | 1U << SIGNAL_LOGS,
             .options = otlp_http_options,
             .config_size = sizeof(struct otlp_http_config),
             .validate = otlp_http_validate},
    .start = otlp_http_start,
    SENDER_OPS,
};
