// SPDX-License-Identifier: Apache-2.0
// Basic authorisation is put together here, once, from keys or variables, and both kinds of
// exporter start here with the same backend and encoder: what differs between them is the signals
// that the service gives them. Refused: a file of credentials of its own; the configuration reads
// secrets from files already.
//
// Bounds: keys of 4 KiB together. Start only.
#include "exporter/langfuse_account.h"

#include <stdio.h>

#include "exporter/endpoint.h"
#include "exporter/score/langfuse_scores.h"
#include "proto/base64.h"

static struct bytes public_key_of(const struct langfuse_account *account)
{
    static const char *const variables[] = {"LANGFUSE_PUBLIC_KEY", NULL};
    return score_sink_text(account->public_key, variables, NULL);
}

static struct bytes secret_key_of(const struct langfuse_account *account)
{
    static const char *const variables[] = {"LANGFUSE_SECRET_KEY", NULL};
    return score_sink_text(account->secret_key, variables, NULL);
}

static struct bytes url_of(const struct langfuse_account *account)
{
    static const char *const variables[] = {"LANGFUSE_BASE_URL", "LANGFUSE_HOST", NULL};
    struct bytes key = account->endpoint.len > 0 ? account->endpoint : account->base_url;
    return score_sink_text(key, variables, "https://cloud.langfuse.com");
}

bool langfuse_account_relay(const void *arg, struct relay_target *target)
{
    const struct langfuse_config *config = arg;
    struct bytes url = url_of(&config->account);
    struct bytes unix_socket = endpoint_unix_path(url);
    *target = (struct relay_target){
        .base_url = unix_socket.len > 0 ? BYTES_LITERAL("http://localhost") : url,
        .unix_socket = unix_socket,
        .tls = &config->http.tls,
        .proxy_url = config->http.proxy_url,
        .timeout_ns = (uint64_t)config->http.timeout_ns};
    return config->relay;
}

// Requests go to the same path at the endpoint's host: what stands below a folder is not found.
static bool has_folder(struct bytes url)
{
    struct endpoint endpoint;
    if (endpoint_unix_path(url).len > 0 || !endpoint_parse(url, &endpoint)) {
        return false;
    }
    return endpoint.path.len > 1 &&
           !bytes_start_with(endpoint.path, BYTES_LITERAL("/api/public/otel"));
}

void langfuse_account_validate(const void *arg, const struct config_node *node, const char *path,
                               struct option_errors *errors)
{
    const struct langfuse_config *config = arg;
    const struct langfuse_account *account = &config->account;
    if (public_key_of(account).len == 0) {
        option_error(errors, path, node, "public_key must be set, or LANGFUSE_PUBLIC_KEY");
    }
    if (secret_key_of(account).len == 0) {
        option_error(errors, path, node, "secret_key must be set, or LANGFUSE_SECRET_KEY");
    }
    if (account->endpoint.len > 0 && account->base_url.len > 0) {
        option_error(errors, path, config_get(node, "base_url"),
                     "base_url and endpoint mean the same: remove one of them");
    }
    if (config->relay && has_folder(url_of(account))) {
        option_error(errors, path, config_get(node, "relay"),
                     "relay goes to the same path at the endpoint's host: the endpoint must not "
                     "have a path of its own");
    }
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(url_of(account), "endpoint", node, path, errors);
    http_export_validate(&config->http, http_backend(HTTP_BACKEND_LANGFUSE), node, path, errors);
}

enum result langfuse_account_start(const struct component_env *env, const void *arg,
                                   struct exporter **exporter, char *why, size_t why_len)
{
    const struct langfuse_config *config = arg;
    struct bytes public_key = public_key_of(&config->account);
    struct bytes secret_key = secret_key_of(&config->account);
    struct score_encoder encoder =
        score_sink_encoder(&config->sink, &langfuse_scores_form, BYTES_NONE);
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
            .base_url = url_of(&config->account),
            .encoder = &encoder,
            .extra = {{"Authorization", buffer_text(&value)}},
            .extra_secrets = {secret_key, bytes_slice(buffer_view(&value), 6, SIZE_MAX)}};
        result = http_export_start(env, &setup, exporter, why, why_len);
    }
    buffer_fini(&pair);
    buffer_fini(&value);
    return result;
}
