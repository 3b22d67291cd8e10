// SPDX-License-Identifier: Apache-2.0
// The exporter `langfuse`: spans to Langfuse from one pair of keys, which may also stand in the
// variables that its own SDKs read. OTLP over HTTP with Basic authorisation; traces only, since
// Langfuse has no logs endpoint and discards metrics.
//
// Bounds and threads: see http_export.c and sender.c.
#include "exporter/langfuse.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "exporter/http_export.h"
#include "proto/base64.h"

struct langfuse_config {
    struct http_export_config http;
    struct bytes public_key, secret_key;
    struct bytes endpoint, base_url;
};

static const struct option langfuse_options[] = {
    {.key = "public_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct langfuse_config, public_key),
     .doc = "When absent: LANGFUSE_PUBLIC_KEY."},
    {.key = "secret_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct langfuse_config, secret_key),
     .doc = "When absent: LANGFUSE_SECRET_KEY."},
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct langfuse_config, endpoint),
     .doc = "Base URL. When absent: LANGFUSE_BASE_URL or LANGFUSE_HOST, else "
            "https://cloud.langfuse.com."},
    {.key = "base_url",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct langfuse_config, base_url),
     .doc = "The same as endpoint."},
    HTTP_EXPORT_ROWS(struct langfuse_config),
    {.key = NULL},
};

// The first that is not empty: the key, then the variables.
static struct bytes first_of(struct bytes key, const char *variable, const char *other)
{
    struct bytes value = key;
    if (value.len == 0) {
        value = bytes_from_text(getenv(variable));
    }
    if (value.len == 0 && other != NULL) {
        value = bytes_from_text(getenv(other));
    }
    return value;
}

static struct bytes langfuse_url(const struct langfuse_config *config)
{
    struct bytes key = config->endpoint.len > 0 ? config->endpoint : config->base_url;
    struct bytes url = first_of(key, "LANGFUSE_BASE_URL", "LANGFUSE_HOST");
    return url.len > 0 ? url : BYTES_LITERAL("https://cloud.langfuse.com");
}

static void langfuse_validate(const void *arg, const struct config_node *node, const char *path,
                              struct option_errors *errors)
{
    const struct langfuse_config *config = arg;
    if (first_of(config->public_key, "LANGFUSE_PUBLIC_KEY", NULL).len == 0) {
        option_error(errors, path, node, "public_key must be set, or LANGFUSE_PUBLIC_KEY");
    }
    if (first_of(config->secret_key, "LANGFUSE_SECRET_KEY", NULL).len == 0) {
        option_error(errors, path, node, "secret_key must be set, or LANGFUSE_SECRET_KEY");
    }
    if (config->endpoint.len > 0 && config->base_url.len > 0) {
        option_error(errors, path, config_get(node, "base_url"),
                     "base_url and endpoint mean the same: remove one of them");
    }
    http_export_check_url(langfuse_url(config), "endpoint", node, path, errors);
    http_export_validate(&config->http, http_backend(HTTP_BACKEND_LANGFUSE), node, path, errors);
}

static enum result langfuse_start(const struct component_env *env, const void *arg,
                                  struct exporter **exporter, char *why, size_t why_len)
{
    const struct langfuse_config *config = arg;
    struct bytes public_key = first_of(config->public_key, "LANGFUSE_PUBLIC_KEY", NULL);
    struct bytes secret_key = first_of(config->secret_key, "LANGFUSE_SECRET_KEY", NULL);
    struct buffer pair, value;
    buffer_init(&pair, 4096);
    buffer_init(&value, 8192);
    buffer_printf(&pair, "%.*s:%.*s", BYTES_PRINTF(public_key), BYTES_PRINTF(secret_key));
    buffer_append_text(&value, "Basic ");
    base64_encode(buffer_view(&pair), true, &value);
    enum result result = RESULT_FAIL;
    snprintf(why, why_len, "the keys are too long");
    if (buffer_status(&pair) == RESULT_OK && buffer_status(&value) == RESULT_OK) {
        struct http_export_setup setup = {
            .config = &config->http,
            .backend = http_backend(HTTP_BACKEND_LANGFUSE),
            .base_url = langfuse_url(config),
            .extra = {{"Authorization", buffer_text(&value)}},
            .extra_secrets = {secret_key, bytes_slice(buffer_view(&value), 6, SIZE_MAX)}};
        result = http_export_start(env, &setup, exporter, why, why_len);
    }
    buffer_fini(&pair);
    buffer_fini(&value);
    return result;
}

const struct exporter_ops langfuse_exporter = {
    .kind = {.type = "langfuse",
             .doc = "Spans to Langfuse, with its headers, encodings and variables.",
             .signals = 1U << SIGNAL_TRACES,
             .options = langfuse_options,
             .config_size = sizeof(struct langfuse_config),
             .validate = langfuse_validate},
    .start = langfuse_start,
    .reserve = sender_reserve,
    .release = sender_release,
    .push = sender_push,
    .drain = sender_drain,
    .status = sender_status,
    .free = sender_free,
};
