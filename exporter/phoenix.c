// SPDX-License-Identifier: Apache-2.0
// The exporter `phoenix`: spans to Arize Phoenix under the variables that its own SDKs read. OTLP
// over HTTP with its exact content type; traces only, since Phoenix takes neither logs nor metrics.
// A malformed request is 422 there, which the delivery treats as 400 for every backend.
//
// Bounds and threads: see http_export.c and sender.c.
#include "exporter/phoenix.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "exporter/http_export.h"

struct phoenix_config {
    struct http_export_config http;
    struct bytes endpoint, api_key, project_name;
};

static const struct option phoenix_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct phoenix_config, endpoint),
     .doc = "Base URL. When absent: PHOENIX_COLLECTOR_ENDPOINT, else http://localhost:6006."},
    {.key = "api_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct phoenix_config, api_key),
     .doc = "When absent: PHOENIX_API_KEY; without either no authorisation is sent."},
    {.key = "project_name",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct phoenix_config, project_name),
     .doc = "Project of all spans. When absent: PHOENIX_PROJECT_NAME, else as the resource."},
    HTTP_EXPORT_ROWS(struct phoenix_config),
    {.key = NULL},
};

static struct bytes first_of(struct bytes key, const char *variable, const char *fallback)
{
    struct bytes value = key.len > 0 ? key : bytes_from_text(getenv(variable));
    return value.len > 0 ? value : bytes_from_text(fallback);
}

static struct bytes phoenix_url(const struct phoenix_config *config)
{
    return first_of(config->endpoint, "PHOENIX_COLLECTOR_ENDPOINT", "http://localhost:6006");
}

static void phoenix_validate(const void *arg, const struct config_node *node, const char *path,
                             struct option_errors *errors)
{
    const struct phoenix_config *config = arg;
    http_export_check_url(phoenix_url(config), "endpoint", node, path, errors);
    http_export_validate(&config->http, http_backend(HTTP_BACKEND_PHOENIX), node, path, errors);
}

static enum result phoenix_start(const struct component_env *env, const void *arg,
                                 struct exporter **exporter, char *why, size_t why_len)
{
    const struct phoenix_config *config = arg;
    struct bytes api_key = first_of(config->api_key, "PHOENIX_API_KEY", NULL);
    struct bytes project = first_of(config->project_name, "PHOENIX_PROJECT_NAME", NULL);
    char bearer[4096], name[512];
    size_t len = (size_t)snprintf(bearer, sizeof(bearer), "Bearer %.*s", BYTES_PRINTF(api_key));
    size_t name_len = (size_t)snprintf(name, sizeof(name), "%.*s", BYTES_PRINTF(project));
    if (len >= sizeof(bearer) || name_len >= sizeof(name)) {
        snprintf(why, why_len, "api_key or project_name is too long");
        return RESULT_FAIL;
    }
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = http_backend(HTTP_BACKEND_PHOENIX),
                                      .base_url = phoenix_url(config),
                                      .extra = {{api_key.len > 0 ? "Authorization" : NULL, bearer},
                                                {project.len > 0 ? "x-project-name" : NULL, name}},
                                      .extra_secrets = {api_key, BYTES_NONE}};
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops phoenix_exporter = {
    .kind = {.type = "phoenix",
             .doc = "Spans to Arize Phoenix, with its headers, encodings and variables.",
             .signals = 1U << SIGNAL_TRACES,
             .options = phoenix_options,
             .config_size = sizeof(struct phoenix_config),
             .validate = phoenix_validate},
    .start = phoenix_start,
    .reserve = sender_reserve,
    .release = sender_release,
    .push = sender_push,
    .drain = sender_drain,
    .status = sender_status,
    .free = sender_free,
};
