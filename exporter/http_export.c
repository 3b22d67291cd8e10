// SPDX-License-Identifier: Apache-2.0
// The transport over base/http_client: the header lines are made once, a request borrows them and
// the payload. What a reply means is read here (Retry-After, partial success, google.rpc.Status);
// what follows from it is the delivery's. A success whose body is no export response is still a
// success: Langfuse answers JSON of its own to protobuf requests.
//
// Refused: following redirects, which would hand the headers to whoever the first host names.
// Bounds: num_consumers connections, 4 MiB of response. Exporter's thread, start excepted.
#include "exporter/http_export.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/process.h"
#include "exporter/endpoint.h"
#include "exporter/score/langfuse_scores.h"
#include "exporter/score/phoenix_annotations.h"
#include "proto/otlp_status.h"

#define TRANSPORT_MAGIC MAGIC('H', 'T', 'E', 'X')
#define RESPONSE_BYTES_MAX ((size_t)4 << 20)
#define HEADERS_MAX 40
#define URL_BYTES_MAX 2048
#define UNIX_PATH_MAX 100

const char *const http_compression_names[] = {"gzip", "zstd", "deflate", "zlib", "none", "", NULL};

#define ALL_CODECS (1U << CODEC_NONE | 1U << CODEC_GZIP | 1U << CODEC_DEFLATE | 1U << CODEC_ZSTD)

static const struct http_backend backends[] = {
    [HTTP_BACKEND_OTLP] = {.paths = {"/v1/traces", "/v1/metrics", "/v1/logs"},
                           .content_type = "application/x-protobuf",
                           .codecs = ALL_CODECS},
    // Takes gzip only; version 4 of ingestion writes without a delay of minutes.
    [HTTP_BACKEND_LANGFUSE] = {.paths = {[SIGNAL_TRACES] = "/api/public/otel/v1/traces",
                                         [SIGNAL_SCORES] = LANGFUSE_SCORES_PATH},
                               .path_stem = "/api/public/otel",
                               .content_type = "application/x-protobuf",
                               .codecs = 1U << CODEC_NONE | 1U << CODEC_GZIP,
                               .header = {"x-langfuse-ingestion-version", "4"},
                               .score_content_type = "application/json",
                               .score_codecs = 1U << CODEC_NONE,
                               .score_bytes_max = LANGFUSE_SCORES_BYTES_MAX,
                               .score_reply = langfuse_scores_reply},
    // Compares the content type for equality: no parameters.
    [HTTP_BACKEND_PHOENIX] =
        {.paths = {[SIGNAL_TRACES] = "/v1/traces", [SIGNAL_SCORES] = PHOENIX_ANNOTATIONS_PATH},
         .content_type = "application/x-protobuf",
         .codecs = 1U << CODEC_NONE | 1U << CODEC_GZIP | 1U << CODEC_DEFLATE,
         .score_content_type = "application/json",
         .score_codecs = 1U << CODEC_NONE,
         .score_bytes_max = PHOENIX_ANNOTATIONS_BYTES_MAX,
         .score_reply = phoenix_annotations_reply},
};

const struct http_backend *http_backend(enum http_backend_id id)
{
    return &backends[id];
}

enum codec http_export_codec(int compression)
{
    static const enum codec codecs[] = {CODEC_GZIP,    CODEC_ZSTD, CODEC_DEFLATE,
                                        CODEC_DEFLATE, CODEC_NONE, CODEC_NONE};
    CHECK(compression >= 0 && compression <= HTTP_COMPRESSION_EMPTY);
    return codecs[compression];
}

// --- validation -----------------------------------------------------------------------------

void http_export_check_url(struct bytes url, const char *key, const struct config_node *node,
                           const char *path, struct option_errors *errors)
{
    const char *why = "";
    struct bytes unix_path = endpoint_unix_path(url);
    if (unix_path.len > 0 && (strcmp(key, "endpoint") != 0 || unix_path.len > UNIX_PATH_MAX)) {
        option_error(errors, path, config_get(node, key),
                     "%s: a unix socket goes under endpoint, and its path has at most %d bytes",
                     key, UNIX_PATH_MAX);
    } else if (unix_path.len > 0) {
        return;
    } else if (url.len >= URL_BYTES_MAX - 64) {
        option_error(errors, path, config_get(node, key), "%s: the URL is too long", key);
    } else if (url.len > 0 && !http_url_is_valid(url, &why)) {
        option_error(errors, path, config_get(node, key), "%s: %s", key, why);
    }
}

static bool header_name_is_ours(struct bytes name)
{
    static const char *const ours[] = {"content-type",      "content-encoding", "content-length",
                                       "transfer-encoding", "connection",       "sidejudge-hop"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (bytes_equal_nocase(name, ours[i])) {
            return true;
        }
    }
    return false;
}

static bool header_is_sound(const struct option_pair *pair)
{
    for (size_t i = 0; i < pair->key.len; i++) {
        uint8_t byte = pair->key.ptr[i];
        if (byte <= ' ' || byte >= 0x7f || byte == ':') {
            return false;
        }
    }
    for (size_t i = 0; i < pair->value.len; i++) {
        uint8_t byte = pair->value.ptr[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return pair->key.len > 0;
}

void http_export_validate(const struct http_export_config *config,
                          const struct http_backend *backend, const struct config_node *node,
                          const char *path, struct option_errors *errors)
{
    bool has_gzip = (backend->codecs & 1U << CODEC_GZIP) != 0;
    if ((config->compression_present || has_gzip) &&
        (backend->codecs & 1U << http_export_codec(config->compression)) == 0) {
        option_error(errors, path, config_get(node, "compression"),
                     "compression: this backend does not take %s; use %s",
                     http_compression_names[config->compression],
                     has_gzip ? "gzip or none" : "none");
    }
    for (size_t i = 0; i < config->headers.count; i++) {
        const struct option_pair *pair = &config->headers.items[i];
        if (header_name_is_ours(pair->key) || !header_is_sound(pair)) {
            option_error(errors, path, config_get(node, "headers"),
                         "headers: '%.*s' cannot be set here", BYTES_PRINTF(pair->key));
        }
    }
    queue_validate(&config->queue, node, path, errors);
}

// --- transport ------------------------------------------------------------------------------

struct http_transport {
    uint32_t magic;
    struct http_client *client;
    char *urls[SIGNAL_COUNT];                 // NULL: the signal is not taken
    struct http_header headers[HEADERS_MAX];  // texts owned; the last one is Content-Encoding
    size_t header_count;                      // with Content-Encoding
    uint64_t timeout_ns;
    const struct http_backend *backend;
    struct http_header score_headers[HEADERS_MAX];  // the same but for the Content-Type; borrowed
    char *unix_path;                                // NULL: none
    struct authenticator_fields fields;             // of the request that is being made
};

static char *text_of(struct bytes view)
{
    char *text = malloc(view.len + 1);
    CHECK(text != NULL);
    if (view.len > 0) {
        memcpy(text, view.ptr, view.len);
    }
    text[view.len] = '\0';
    return text;
}

static void header_add(struct http_transport *transport, struct bytes name, struct bytes value)
{
    CHECK(transport->header_count < HEADERS_MAX);
    struct http_header *header = &transport->headers[transport->header_count++];
    header->name = text_of(name);
    header->value = text_of(value);
}

static void header_add_text(struct http_transport *transport, const char *name, const char *value)
{
    if (name != NULL) {
        header_add(transport, bytes_from_text(name), bytes_from_text(value));
    }
}

static void reply_success(enum signal signal, const struct http_response *response,
                          struct delivery_reply *reply, struct otlp_partial *partial)
{
    bool is_json = bytes_start_with(response->content_type, BYTES_LITERAL("application/json"));
    enum otlp_form form = is_json ? OTLP_JSON : OTLP_PROTOBUF;
    reply->text = BYTES_NONE;
    if (otlp_response_read(form, signal, response->body, partial) == RESULT_OK) {
        uint64_t count = partial->rejected_count;
        reply->rejected_count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        reply->text = bytes_from_text(partial->message);
    }
}

static void reply_failure(const struct http_response *response, struct delivery_reply *reply,
                          struct otlp_refusal *refusal)
{
    bool is_json = bytes_start_with(response->content_type, BYTES_LITERAL("application/json"));
    enum otlp_form form = is_json ? OTLP_JSON : OTLP_PROTOBUF;
    reply->text = response->body;
    if (response->body.len > 0 && otlp_refusal_read(form, response->body, refusal) == RESULT_OK &&
        refusal->message[0] != '\0') {
        reply->text = bytes_from_text(refusal->message);
    }
}

// Carriers are answered as spans are.
static void reply_scores(const struct http_backend *backend, const struct http_response *response,
                         struct delivery_reply *reply, struct otlp_partial *partial,
                         char text[HTTP_SCORE_REPLY_BYTES])
{
    bool is_success = response->status / 100 == 2;
    reply->text = is_success ? BYTES_NONE : response->body;
    if (backend->score_reply != NULL) {
        backend->score_reply(response, reply, text);
    } else if (is_success && backend->paths[SIGNAL_TRACES] != NULL) {
        reply_success(SIGNAL_TRACES, response, reply, partial);
    }
}

static void http_done(void *arg, const struct http_response *response)
{
    struct shipment *shipment = arg;
    const struct http_transport *transport = shipment->exporter->transport;
    char text[HTTP_SCORE_REPLY_BYTES] = "";
    struct otlp_partial partial;
    struct otlp_refusal refusal;
    struct delivery_reply reply = {.protocol = DELIVERY_HTTP,
                                   .transport = response->result,
                                   .code = response->status,
                                   .has_wait = response->has_retry_after,
                                   .wait_ns = response->retry_after_ns};
    if (response->result == RESULT_TOO_LARGE && response->status > 0) {
        reply.transport = RESULT_OK;  // the answer is known, only its body is not
        reply.text = BYTES_LITERAL("response body beyond 4 MiB");
    } else if (response->result != RESULT_OK) {
        reply.text = bytes_from_text(response->error);
    } else if (shipment->payload->is_encoded) {
        reply_scores(transport->backend, response, &reply, &partial, text);
    } else if (response->status / 100 == 2) {
        reply_success(shipment->signal, response, &reply, &partial);
    } else {
        reply_failure(response, &reply, &refusal);
    }
    if (delivery_classify(&reply) == DELIVERY_CLASS_SUCCESS && response->result != RESULT_OK) {
        reply.text = BYTES_NONE;
    }
    sender_answer(shipment, &reply);
}

// With an authenticator, the headers are the transport's own and what it makes of them; false: it
// has answered.
static bool authenticate(struct http_transport *transport, struct shipment *shipment,
                         struct http_request *request)
{
    struct authenticator *authenticator = shipment->exporter->authenticator;
    struct authenticator_fields *fields = &transport->fields;
    if (authenticator == NULL) {
        return true;
    }
    static_assert(HEADERS_MAX < AUTHENTICATOR_FIELDS_MAX, "the own headers fit");
    memcpy(fields->items, request->headers, request->header_count * sizeof(fields->items[0]));
    fields->count = request->header_count;
    uint64_t now_ns = loop_now_ns(sender_loop(shipment->exporter));
    enum result result =
        authenticator_apply(authenticator, shipment_metadata(shipment), now_ns, fields);
    if (result != RESULT_OK) {
        authenticator_fields_wipe(fields);
        sender_answer(
            shipment,
            &(struct delivery_reply){
                .protocol = DELIVERY_HTTP,
                .transport = result == RESULT_RETRY ? RESULT_RETRY : RESULT_FAIL,
                .text = BYTES_LITERAL("the credentials cannot be read or are too large")});
        return false;
    }
    request->headers = fields->items;
    request->header_count = fields->count;
    return true;
}

static void http_send(void *arg, struct shipment *shipment)
{
    struct http_transport *transport = arg;
    CHECK(transport->magic == TRANSPORT_MAGIC);
    const struct payload *payload = shipment->payload;
    if (transport->urls[shipment->signal] == NULL) {
        sender_answer(shipment, &(struct delivery_reply){
                                    .protocol = DELIVERY_HTTP,
                                    .code = 404,
                                    .text = BYTES_LITERAL("no endpoint is set for this signal")});
        return;
    }
    if (payload->is_encoded && payload->plain_bytes > transport->backend->score_bytes_max) {
        sender_answer(shipment, &(struct delivery_reply){
                                    .protocol = DELIVERY_HTTP,
                                    .code = 413,
                                    .text = BYTES_LITERAL("more than this backend takes at once")});
        return;
    }
    struct http_request request = {
        .method = "POST",
        .url = transport->urls[shipment->signal],
        .headers = payload->is_encoded ? transport->score_headers : transport->headers,
        .header_count = transport->header_count - (payload->codec == CODEC_NONE ? 1 : 0),
        .body = payload->wire,
        .timeout_ns = transport->timeout_ns,
    };
    if (!authenticate(transport, shipment, &request)) {
        return;
    }
    shipment->call = http_client_send(transport->client, &request, http_done, shipment);
    authenticator_fields_wipe(&transport->fields);  // the client has copied them
}

static void http_cancel(void *arg, struct shipment *shipment)
{
    struct http_transport *transport = arg;
    http_client_cancel(transport->client, shipment->call);
    shipment->call = NULL;
}

static void http_free(void *arg)
{
    struct http_transport *transport = arg;
    CHECK(transport->magic == TRANSPORT_MAGIC);
    if (transport->client != NULL) {
        http_client_free(transport->client);
    }
    for (size_t i = 0; i < transport->header_count; i++) {
        free((char *)(uintptr_t)transport->headers[i].name);
        free((char *)(uintptr_t)transport->headers[i].value);
    }
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        free(transport->urls[i]);
    }
    free(transport->unix_path);
    transport->magic = 0;
    free(transport);
}

static const struct transport_ops http_transport_ops = {
    .send = http_send, .cancel = http_cancel, .free = http_free};

// --- start ----------------------------------------------------------------------------------

static struct bytes without_slash(struct bytes url)
{
    while (url.len > 0 && url.ptr[url.len - 1] == '/') {
        url.len--;
    }
    return url;
}

// People write the URL of traces, or the stem of it, where the base URL belongs.
static struct bytes without_path(struct bytes base, const struct http_backend *backend)
{
    for (size_t i = 0; i <= SIGNAL_COUNT; i++) {
        const char *path = i < SIGNAL_COUNT ? backend->paths[i] : backend->path_stem;
        struct bytes tail = bytes_from_text(path);
        if (tail.len > 0 && bytes_end_with(base, tail)) {
            return bytes_slice(base, 0, base.len - tail.len);
        }
    }
    return base;
}

static char *url_of(const struct http_export_setup *setup, enum signal signal)
{
    const struct http_backend *backend = setup->backend;
    const char *path = backend->paths[signal];
    if (setup->urls[signal].len > 0) {
        return text_of(setup->urls[signal]);
    }
    if (setup->base_url.len == 0 || path == NULL) {
        return NULL;
    }
    bool is_unix = endpoint_unix_path(setup->base_url).len > 0;
    struct bytes base = is_unix ? BYTES_LITERAL("http://localhost")
                                : without_path(without_slash(setup->base_url), backend);
    char url[URL_BYTES_MAX + 64];
    int len = snprintf(url, sizeof(url), "%.*s%s", BYTES_PRINTF(base), path);
    return text_of(bytes_from(url, (size_t)len < sizeof(url) ? (size_t)len : sizeof(url) - 1));
}

// Header values of a backend's own keys come from variables and files: no line breaks.
static bool extras_are_sound(const struct http_export_setup *setup)
{
    for (size_t i = 0; i < 2; i++) {
        const struct http_header *header = &setup->extra[i];
        struct option_pair pair = {bytes_from_text(header->name), bytes_from_text(header->value)};
        if (header->name != NULL && !header_is_sound(&pair)) {
            return false;
        }
    }
    return true;
}

static bool points_at_us(const struct http_transport *transport, const struct component_env *env)
{
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        struct endpoint endpoint;
        if (transport->urls[i] != NULL && transport->unix_path == NULL &&
            endpoint_parse(bytes_from_text(transport->urls[i]), &endpoint) &&
            endpoint_is_own(&endpoint, env)) {
            return true;
        }
    }
    return false;
}

// As configured, or the row's own when nothing is.
static enum codec codec_of(const struct http_export_setup *setup, enum signal signal)
{
    const struct http_backend *backend = setup->backend;
    enum codec codec = http_export_codec(setup->config->compression);
    unsigned taken = signal == SIGNAL_SCORES ? backend->score_codecs : backend->codecs;
    return (taken & 1U << codec) != 0 ? codec : CODEC_NONE;
}

static struct http_transport *transport_new(const struct http_export_setup *setup)
{
    const struct http_export_config *config = setup->config;
    struct http_transport *transport = calloc(1, sizeof(*transport));
    CHECK(transport != NULL);
    transport->magic = TRANSPORT_MAGIC;
    transport->timeout_ns = (uint64_t)config->timeout_ns;
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        transport->urls[i] = url_of(setup, (enum signal)i);
    }
    struct bytes unix_path = endpoint_unix_path(setup->base_url);
    transport->unix_path = unix_path.len > 0 ? text_of(unix_path) : NULL;
    char hop[17];
    snprintf(hop, sizeof(hop), "%016llx", (unsigned long long)process_instance_id());
    header_add_text(transport, "Content-Type", setup->backend->content_type);
    header_add_text(transport, "sidejudge-hop", hop);
    header_add_text(transport, setup->backend->header.name, setup->backend->header.value);
    header_add_text(transport, setup->extra[0].name, setup->extra[0].value);
    header_add_text(transport, setup->extra[1].name, setup->extra[1].value);
    for (size_t i = 0; i < config->headers.count && i < SENDER_SECRETS_MAX; i++) {
        header_add(transport, config->headers.items[i].key, config->headers.items[i].value);
    }
    header_add_text(transport, "Content-Encoding", codec_name(codec_of(setup, SIGNAL_TRACES)));
    transport->backend = setup->backend;
    memcpy(transport->score_headers, transport->headers, sizeof(transport->headers));
    if (setup->backend->score_content_type != NULL) {
        transport->score_headers[0].value = setup->backend->score_content_type;
    }
    return transport;
}

static enum result client_new(struct exporter *exporter, struct http_transport *transport,
                              const struct component_env *env,
                              const struct http_export_config *config, char *why, size_t why_len)
{
    struct http_client_config client = {.user_agent = env->user_agent,
                                        .connections_max = config->queue.num_consumers,
                                        .idle_timeout_ns = config->idle_conn_timeout_ns,
                                        .response_bytes_max = RESPONSE_BYTES_MAX,
                                        .tls = &config->tls,
                                        .proxy_url = config->proxy_url,
                                        .http2 = config->force_attempt_http2,
                                        .unix_socket = bytes_from_text(transport->unix_path)};
    return http_client_new(sender_loop(exporter), &client, &transport->client, why, why_len);
}

// The base URL, or the first one that was given verbatim.
static struct bytes destination_of(const struct http_export_setup *setup)
{
    struct bytes url = setup->base_url;
    for (size_t i = 0; i < SIGNAL_COUNT && url.len == 0; i++) {
        url = setup->urls[i];
    }
    return url;
}

// JSON is larger than the records that it is made of; what is too large all the same is cut then.
static size_t bytes_max_of(const struct http_backend *backend)
{
    bool has_telemetry = backend->score_bytes_max == 0 || backend->paths[SIGNAL_TRACES] != NULL;
    size_t half = backend->score_bytes_max / 2;
    return has_telemetry || half > HTTP_EXPORT_BYTES_MAX ? HTTP_EXPORT_BYTES_MAX : half;
}

enum result http_export_start(const struct component_env *env,
                              const struct http_export_setup *setup, struct exporter **made,
                              char *why, size_t why_len)
{
    const struct http_export_config *config = setup->config;
    struct bytes secrets[SENDER_SECRETS_MAX];
    size_t secret_count = 0;
    for (size_t i = 0; i < 2; i++) {
        secrets[secret_count++] = setup->extra_secrets[i];
    }
    for (size_t i = 0; i < config->headers.count && secret_count < SENDER_SECRETS_MAX; i++) {
        secrets[secret_count++] = config->headers.items[i].value;
    }
    struct score_encoder encoder = {.form = NULL};
    if (setup->encoder != NULL) {
        encoder = *setup->encoder;
        encoder.codec = codec_of(setup, SIGNAL_SCORES);
    }
    struct sender_setup sender = {.queue = &config->queue,
                                  .retry = &config->retry,
                                  .codec = codec_of(setup, SIGNAL_TRACES),
                                  .encoder = &encoder,
                                  .is_mixed = encoder.form != NULL &&
                                              setup->backend->paths[SIGNAL_TRACES] != NULL,
                                  .bytes_max = bytes_max_of(setup->backend),
                                  .destination = destination_of(setup),
                                  .auth = &config->auth,
                                  .secrets = secrets,
                                  .secret_count = secret_count};
    struct exporter *exporter = NULL;
    enum result result = sender_new(env, &sender, &exporter, why, why_len);
    if (result != RESULT_OK) {
        return result;
    }
    struct http_transport *transport = transport_new(setup);
    if (points_at_us(transport, env)) {
        snprintf(why, why_len, "the endpoint is one of Sidejudge's own listeners");
        result = RESULT_FAIL;
    } else if (!extras_are_sound(setup)) {
        snprintf(why, why_len, "a key holds characters that a header cannot carry");
        result = RESULT_FAIL;
    }
    if (result == RESULT_OK) {
        result = client_new(exporter, transport, env, config, why, why_len);
    }
    if (result == RESULT_OK) {
        result = sender_start(exporter, &http_transport_ops, transport, why, why_len);
        transport = result == RESULT_OK || exporter->ops != NULL ? NULL : transport;
    }
    if (transport != NULL) {
        http_free(transport);
    }
    if (result != RESULT_OK) {
        sender_free(&exporter);
    }
    *made = exporter;
    return result;
}
