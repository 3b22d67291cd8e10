// SPDX-License-Identifier: Apache-2.0
// The exporter `otlp_grpc` (alias otlp): OTLP over gRPC on gRPC core's C API, which brings the
// resolver, balancing, reconnecting, TLS and deadlines. The only file that includes it. The
// library is initialised on the exporter's own thread with the first request, where all signals
// are blocked, so that its threads inherit that and a configuration without traffic costs nothing.
// Bodies are compressed before core sees them: its own zlib costs 11 times as much.
//
// Threads: a completion thread of ours waits for core and posts each finished call to the mailbox
// of the exporter; core's threads do no more than release a payload. Refused: core's retries,
// which keep a copy of each message; zstd, which core cannot announce. Bounds: num_consumers
// calls, 4 MiB of response, which is never inflated.
#include "exporter/otlp_grpc.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "base/process.h"
#include "exporter/endpoint.h"
#include "exporter/otlp_grpc_config.h"
#include "exporter/sender.h"
#include "proto/otlp_status.h"

#define TRANSPORT_MAGIC MAGIC('G', 'R', 'E', 'X')
#define EXCHANGE_MAGIC MAGIC('G', 'R', 'C', 'L')
#define REQUEST_BYTES_MAX ((size_t)4 << 20)
#define RESPONSE_BYTES_MAX (4 << 20)
#define HEADERS_MAX 33
#define ARGS_MAX 20

// --- configuration --------------------------------------------------------------------------

static void check_compression(const struct otlp_grpc_config *config, const struct config_node *node,
                              const char *path, struct option_errors *errors)
{
    if (config->compression == COMPRESSION_ZSTD || config->compression == COMPRESSION_SNAPPY) {
        option_error(errors, path, config_get(node, "compression"),
                     "compression: %s is not available over gRPC here: use gzip, or otlp_http",
                     grpc_compression_names[config->compression]);
    }
}

static void check_headers(const struct otlp_grpc_config *config, const struct config_node *node,
                          const char *path, struct option_errors *errors)
{
    for (size_t i = 0; i < config->headers.count; i++) {
        const struct option_pair *pair = &config->headers.items[i];
        char name[128] = "";
        for (size_t at = 0; at < pair->key.len && at < sizeof(name) - 1; at++) {
            name[at] = (char)tolower(pair->key.ptr[at]);
        }
        grpc_slice value = grpc_slice_from_static_buffer(
            pair->value.len > 0 ? pair->value.ptr : (const uint8_t *)"", pair->value.len);
        if (pair->key.len >= sizeof(name) || strncmp(name, "grpc-", 5) == 0 ||
            strcmp(name, "sidejudge-hop") == 0 ||
            !grpc_header_key_is_legal(grpc_slice_from_static_string(name)) ||
            !grpc_header_nonbin_value_is_legal(value)) {
            option_error(errors, path, config_get(node, "headers"),
                         "headers: '%.*s' cannot be set here", BYTES_PRINTF(pair->key));
        }
    }
}

static void otlp_grpc_validate(const void *arg, const struct config_node *node, const char *path,
                               struct option_errors *errors)
{
    const struct otlp_grpc_config *config = arg;
    struct endpoint endpoint;
    bool is_unix;
    if (!endpoint_parse(config->endpoint, &endpoint)) {
        option_error(errors, path, config_get(node, "endpoint"),
                     "endpoint: expected host:port, got \"%.*s\"", BYTES_PRINTF(config->endpoint));
        endpoint = (struct endpoint){.port = BYTES_LITERAL("0")};
    }
    is_unix = bytes_equal_text(endpoint.scheme, "unix");
    if (endpoint.port.len == 0 && !is_unix) {
        option_error(errors, path, config_get(node, "endpoint"),
                     "endpoint: a port is missing in \"%.*s\"", BYTES_PRINTF(config->endpoint));
    }
    if (endpoint.path.len > 1 && !is_unix) {
        option_error(errors, path, config_get(node, "endpoint"),
                     "endpoint: gRPC has no path: remove \"%.*s\", or use otlp_http",
                     BYTES_PRINTF(endpoint.path));
    }
    const struct config_node *tls = config_get(node, "tls");
    if (config->tls.insecure_skip_verify) {
        option_error(errors, path, config_get(tls, "insecure_skip_verify"),
                     "tls::insecure_skip_verify is not available over gRPC: name the backend's "
                     "certificate in tls::ca_file, or use otlp_http");
    }
    if (bytes_equal_text(config->tls.min_version, "1.3")) {
        option_error(errors, path, config_get(tls, "min_version"),
                     "tls::min_version: \"1.3\" cannot be enforced over gRPC: use otlp_http");
    }
    check_compression(config, node, path, errors);
    check_headers(config, node, path, errors);
    queue_validate(&config->queue, node, path, errors);
}

// --- the transport --------------------------------------------------------------------------

struct grpc_transport {
    uint32_t magic;
    struct mailbox finished;  // from the completion thread
    struct thread completion;
    bool is_open;  // core is initialised, the channel is there
    grpc_channel *channel;
    grpc_completion_queue *queue;
    void *methods[SIGNAL_OTLP_COUNT];
    grpc_metadata headers[HEADERS_MAX];
    size_t header_count;
    // What the channel is made of.
    char *target, *authority, *server_name, *user_agent;
    struct tls_client_watch *tls;        // NULL: plain text
    uint64_t tls_generation;             // of what the channel was made with
    struct authenticator_fields fields;  // of the call that is being made, with an authenticator
    bool is_insecure, is_gzip, allows_proxy;
    const char *balancer;
    int64_t timeout_ns;
    struct keepalive_config keepalive;
    bool has_keepalive;
    char *header_names[HEADERS_MAX], *header_values[HEADERS_MAX];
};

struct exchange {              // one call
    struct mailbox_node node;  // first: on the way from the completion thread
    uint32_t magic;
    struct shipment *shipment;  // NULL: cancelled
    struct grpc_transport *transport;
    grpc_call *call;
    grpc_byte_buffer *request, *response;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
};

static const char *const method_paths[SIGNAL_OTLP_COUNT] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
};

static void completion_run(void *arg)
{
    struct grpc_transport *transport = arg;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(transport->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct exchange *exchange = event.tag;
            CHECK(exchange->magic == EXCHANGE_MAGIC);
            mailbox_post(&transport->finished, &exchange->node);
        }
    }
}

// Process-wide, as core's log is: what core complains about over and over is said once.
static struct log_episode core_episode;

static void core_log(gpr_log_func_args *args)
{
    bool opens = log_episode_opens(&core_episode, clock_mono_ns(), 60 * NS_PER_S);
    log_line(opens ? LOG_WARN : LOG_DEBUG, "exporter/otlp_grpc", "gRPC core",
             LOG_TEXT("text", args->message));
}

static void arg_int(grpc_arg *args, size_t *count, const char *key, int value)
{
    CHECK(*count < ARGS_MAX);
    args[(*count)++] =
        (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static void arg_text(grpc_arg *args, size_t *count, const char *key, const char *value)
{
    CHECK(*count < ARGS_MAX);
    if (value != NULL) {
        args[(*count)++] = (grpc_arg){.type = GRPC_ARG_STRING,
                                      .key = (char *)(uintptr_t)key,
                                      .value.string = (char *)(uintptr_t)value};
    }
}

static size_t channel_args(const struct grpc_transport *transport, grpc_arg args[ARGS_MAX])
{
    size_t count = 0;
    arg_int(args, &count, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RESPONSE_BYTES_MAX);
    arg_int(args, &count, GRPC_ARG_ENABLE_RETRIES, 0);
    arg_int(args, &count, GRPC_ARG_ENABLE_CHANNELZ, 0);
    arg_int(args, &count, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arg_int(args, &count, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 500);
    arg_int(args, &count, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
    arg_int(args, &count, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
    arg_int(args, &count, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    arg_int(args, &count, GRPC_ARG_ENABLE_HTTP_PROXY, transport->allows_proxy ? 1 : 0);
    if (transport->is_gzip) {
        arg_int(args, &count, GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, GRPC_COMPRESS_GZIP);
    }
    if (transport->has_keepalive) {
        const struct keepalive_config *keepalive = &transport->keepalive;
        arg_int(args, &count, GRPC_ARG_KEEPALIVE_TIME_MS, (int)(keepalive->time_ns / 1000000));
        arg_int(args, &count, GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                (int)(keepalive->timeout_ns / 1000000));
        arg_int(args, &count, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS,
                keepalive->permit_without_stream ? 1 : 0);
        arg_int(args, &count, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    arg_text(args, &count, GRPC_ARG_LB_POLICY_NAME, transport->balancer);
    arg_text(args, &count, GRPC_ARG_PRIMARY_USER_AGENT_STRING, transport->user_agent);
    arg_text(args, &count, GRPC_ARG_DEFAULT_AUTHORITY, transport->authority);
    arg_text(args, &count, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, transport->server_name);
    return count;
}

static char *pem_of(struct buffer *pem)
{
    return pem->len > 0 ? (char *)(uintptr_t)buffer_text(pem) : NULL;
}

// Core copies the texts.
static grpc_channel_credentials *credentials_new(struct tls_client_current *tls)
{
    if (tls == NULL) {
        return grpc_insecure_credentials_create();
    }
    char *key = pem_of(&tls->material.key);
    grpc_ssl_pem_key_cert_pair pair = {key, pem_of(&tls->material.cert)};
    return grpc_ssl_credentials_create_ex(pem_of(&tls->material.ca), key != NULL ? &pair : NULL,
                                          NULL, NULL);
}

// A new channel where files have changed: calls in flight keep theirs, new ones shake hands anew.
static void channel_refresh(struct grpc_transport *transport)
{
    struct tls_client_current *tls = NULL;
    if (transport->tls != NULL) {
        tls = tls_client_watch_take(transport->tls, clock_mono_ns());
    }
    if (transport->channel == NULL ||
        (tls != NULL && tls->generation != transport->tls_generation)) {
        grpc_arg args[ARGS_MAX];
        grpc_channel_args all = {channel_args(transport, args), args};
        grpc_channel_credentials *credentials = credentials_new(tls);
        if (transport->channel != NULL) {
            grpc_channel_destroy(transport->channel);
        }
        transport->channel = grpc_channel_create(transport->target, credentials, &all);
        grpc_channel_credentials_release(credentials);
        for (unsigned i = 0; i < SIGNAL_OTLP_COUNT; i++) {
            transport->methods[i] =
                grpc_channel_register_call(transport->channel, method_paths[i], NULL, NULL);
        }
        transport->tls_generation = tls != NULL ? tls->generation : 0;
    }
    tls_client_current_release(&tls);
}

// With the first request. False: no thread to be had.
static bool transport_open(struct grpc_transport *transport)
{
    if (transport->is_open) {
        channel_refresh(transport);
        return true;
    }
    gpr_set_log_function(core_log);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    grpc_init();
    transport->queue = grpc_completion_queue_create_for_next(NULL);
    if (thread_start(&transport->completion, "ex:grpc", completion_run, transport) != RESULT_OK) {
        grpc_completion_queue_shutdown(transport->queue);
        grpc_completion_queue_destroy(transport->queue);
        grpc_shutdown();
        return false;
    }
    channel_refresh(transport);
    for (size_t i = 0; i < transport->header_count; i++) {
        transport->headers[i] =
            (grpc_metadata){.key = grpc_slice_from_static_string(transport->header_names[i]),
                            .value = grpc_slice_from_static_string(transport->header_values[i])};
    }
    transport->is_open = true;
    return true;
}

// --- sending --------------------------------------------------------------------------------

// Called by whichever of core's threads reads the bytes last.
static void slice_done(void *arg)
{
    struct payload *payload = arg;
    payload_release(&payload);
}

static grpc_byte_buffer *request_buffer(struct payload *payload)
{
    payload_hold(payload);
    grpc_slice slice = grpc_slice_new_with_user_data(
        (void *)(uintptr_t)(payload->wire.len > 0 ? payload->wire.ptr : (const uint8_t *)""),
        payload->wire.len, slice_done, payload);
    grpc_byte_buffer *buffer =
        payload->codec == CODEC_GZIP
            ? grpc_raw_compressed_byte_buffer_create(&slice, 1, GRPC_COMPRESS_GZIP)
            : grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static void exchange_start(struct exchange *exchange, const grpc_metadata *headers, size_t count,
                           bool is_plain)
{
    grpc_op ops[6];
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = count;
    ops[0].data.send_initial_metadata.metadata = (grpc_metadata *)(uintptr_t)headers;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].flags = is_plain ? GRPC_WRITE_NO_COMPRESS : 0;
    ops[1].data.send_message.send_message = exchange->request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &exchange->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &exchange->response;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &exchange->trailing;
    ops[5].data.recv_status_on_client.status = &exchange->status;
    ops[5].data.recv_status_on_client.status_details = &exchange->details;
    grpc_call_error error = grpc_call_start_batch(exchange->call, ops, 6, exchange, NULL);
    CHECK(error == GRPC_CALL_OK);  // the only other answers are misuses of the API
}

// The headers of a call by an authenticator. RESULT_RETRY, RESULT_FAIL: there are none.
static enum result fields_make(struct grpc_transport *transport, const struct shipment *shipment)
{
    struct authenticator_fields *fields = &transport->fields;
    for (size_t i = 0; i < transport->header_count; i++) {
        fields->items[i] =
            (struct http_header){transport->header_names[i], transport->header_values[i]};
    }
    fields->count = transport->header_count;
    return authenticator_apply(shipment->exporter->authenticator, shipment_metadata(shipment),
                               clock_mono_ns(), fields);
}

// With the transport's own headers, or with copies of those in `fields`. Core holds what it needs
// beyond the call.
static void exchange_begin(struct exchange *exchange, bool is_plain)
{
    struct grpc_transport *transport = exchange->transport;
    if (exchange->shipment->exporter->authenticator == NULL) {
        exchange_start(exchange, transport->headers, transport->header_count, is_plain);
        return;
    }
    grpc_metadata headers[AUTHENTICATOR_FIELDS_MAX];
    memset(headers, 0, sizeof(headers));
    size_t count = transport->fields.count;
    for (size_t i = 0; i < count; i++) {
        headers[i].key = grpc_slice_from_copied_string(transport->fields.items[i].name);
        headers[i].value = grpc_slice_from_copied_string(transport->fields.items[i].value);
    }
    exchange_start(exchange, headers, count, is_plain);
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(headers[i].key);
        grpc_slice_unref(headers[i].value);
    }
    authenticator_fields_wipe(&transport->fields);
}

static bool authenticate(struct grpc_transport *transport, struct shipment *shipment)
{
    if (shipment->exporter->authenticator == NULL) {
        return true;
    }
    enum result result = fields_make(transport, shipment);
    if (result == RESULT_OK) {
        return true;
    }
    authenticator_fields_wipe(&transport->fields);
    sender_answer(shipment,
                  &(struct delivery_reply){
                      .protocol = DELIVERY_GRPC,
                      .transport = result == RESULT_RETRY ? RESULT_RETRY : RESULT_FAIL,
                      .text = BYTES_LITERAL("the credentials cannot be read or are too large")});
    return false;
}

static void grpc_send(void *arg, struct shipment *shipment)
{
    struct grpc_transport *transport = arg;
    CHECK(transport->magic == TRANSPORT_MAGIC);
    if (!transport_open(transport)) {
        sender_answer(shipment,
                      &(struct delivery_reply){.protocol = DELIVERY_GRPC,
                                               .transport = RESULT_RETRY,
                                               .text = BYTES_LITERAL("no thread for gRPC")});
        return;
    }
    if (!authenticate(transport, shipment)) {
        return;
    }
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    CHECK(exchange != NULL);
    exchange->magic = EXCHANGE_MAGIC;
    exchange->transport = transport;
    exchange->shipment = shipment;
    grpc_metadata_array_init(&exchange->initial);
    grpc_metadata_array_init(&exchange->trailing);
    exchange->details = grpc_empty_slice();
    exchange->request = request_buffer(shipment->payload);
    gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                         gpr_time_from_nanos(transport->timeout_ns, GPR_TIMESPAN));
    exchange->call = grpc_channel_create_registered_call(
        transport->channel, NULL, GRPC_PROPAGATE_DEFAULTS, transport->queue,
        transport->methods[shipment->signal], deadline, NULL);
    shipment->call = exchange;
    exchange_begin(exchange, shipment->payload->codec == CODEC_NONE);
}

static void grpc_cancel(void *arg, struct shipment *shipment)
{
    (void)arg;
    struct exchange *exchange = shipment->call;
    CHECK(exchange->magic == EXCHANGE_MAGIC && exchange->shipment == shipment);
    exchange->shipment = NULL;
    shipment->call = NULL;
    grpc_call_cancel(exchange->call, NULL);  // it still finishes, by way of the mailbox
}

static void exchange_free(struct exchange *exchange)
{
    grpc_metadata_array_destroy(&exchange->initial);
    grpc_metadata_array_destroy(&exchange->trailing);
    grpc_byte_buffer_destroy(exchange->request);
    if (exchange->response != NULL) {
        grpc_byte_buffer_destroy(exchange->response);
    }
    grpc_slice_unref(exchange->details);
    grpc_call_unref(exchange->call);
    exchange->magic = 0;
    free(exchange);
}

// --- replies --------------------------------------------------------------------------------

static struct bytes slice_view(const grpc_slice *slice)
{
    return bytes_from(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

// The partial success of an OK, if there is one to be read. Compressed responses are let be.
static void read_response(const struct exchange *exchange, struct delivery_reply *reply,
                          struct otlp_partial *partial)
{
    grpc_byte_buffer *response = exchange->response;
    grpc_byte_buffer_reader reader;
    if (response == NULL || response->data.raw.compression != GRPC_COMPRESS_NONE ||
        grpc_byte_buffer_length(response) == 0 ||
        !grpc_byte_buffer_reader_init(&reader, response)) {
        return;
    }
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    if (otlp_response_read(OTLP_PROTOBUF, exchange->shipment->signal, slice_view(&all), partial) ==
        RESULT_OK) {
        uint64_t count = partial->rejected_count;
        reply->rejected_count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        reply->text = bytes_from_text(partial->message);
    }
    grpc_slice_unref(all);
}

// Core says it in OpenSSL's words and behind two addresses, where people's lines are cut.
static struct bytes details_of(const struct exchange *exchange)
{
    struct bytes text = slice_view(&exchange->details);
    if (bytes_find(text, BYTES_LITERAL("certificate verify failed"), 0) != SIZE_MAX) {
        return BYTES_LITERAL("the server's certificate was not accepted: expired, or of an "
                             "authority that tls::ca_file does not hold");
    }
    if (bytes_find(text, BYTES_LITERAL("is not in peer certificate"), 0) != SIZE_MAX) {
        return BYTES_LITERAL("the server's certificate is for another host "
                             "(tls::server_name_override names it)");
    }
    return text;
}

static void read_refusal(const struct exchange *exchange, struct delivery_reply *reply)
{
    reply->text = details_of(exchange);
    for (size_t i = 0; i < exchange->trailing.count; i++) {
        const grpc_metadata *trailer = &exchange->trailing.metadata[i];
        struct otlp_refusal refusal;
        if (!bytes_equal_text(slice_view(&trailer->key), "grpc-status-details-bin") ||
            otlp_refusal_read(OTLP_PROTOBUF, slice_view(&trailer->value), &refusal) != RESULT_OK) {
            continue;
        }
        if (refusal.has_retry_delay) {
            reply->has_wait = true;
            reply->wait_ns = refusal.retry_delay_ms * NS_PER_MS;
        }
    }
}

static bool grpc_turn(void *arg, uint64_t now_ns)
{
    (void)now_ns;
    struct grpc_transport *transport = arg;
    struct mailbox_node *node;
    while ((node = mailbox_take(&transport->finished)) != NULL) {
        struct exchange *exchange = (struct exchange *)(void *)node;
        CHECK(exchange->magic == EXCHANGE_MAGIC);
        if (exchange->shipment != NULL) {
            struct otlp_partial partial;
            struct delivery_reply reply = {.protocol = DELIVERY_GRPC,
                                           .code = (int)exchange->status};
            if (exchange->status == GRPC_STATUS_OK) {
                read_response(exchange, &reply, &partial);
            } else {
                read_refusal(exchange, &reply);
            }
            sender_answer(exchange->shipment, &reply);
        }
        exchange_free(exchange);
    }
    return !mailbox_doze(&transport->finished);
}

// --- life -----------------------------------------------------------------------------------

static void grpc_close(void *arg)
{
    struct grpc_transport *transport = arg;
    if (!transport->is_open) {
        return;
    }
    transport->is_open = false;
    grpc_completion_queue_shutdown(transport->queue);  // ends when the cancelled calls have
    thread_join(&transport->completion);
    (void)grpc_turn(transport, 0);
    grpc_channel_destroy(transport->channel);
    grpc_completion_queue_destroy(transport->queue);
    grpc_shutdown();
}

static void grpc_free(void *arg)
{
    struct grpc_transport *transport = arg;
    CHECK(transport->magic == TRANSPORT_MAGIC && !transport->is_open);
    for (size_t i = 0; i < transport->header_count; i++) {
        free(transport->header_names[i]);
        free(transport->header_values[i]);
    }
    free(transport->target);
    free(transport->authority);
    free(transport->server_name);
    free(transport->user_agent);
    tls_client_watch_close(&transport->tls);
    transport->magic = 0;
    free(transport);
}

static const struct transport_ops grpc_transport_ops = {.send = grpc_send,
                                                        .cancel = grpc_cancel,
                                                        .turn = grpc_turn,
                                                        .close = grpc_close,
                                                        .free = grpc_free};

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

static char *text_or_null(struct bytes view)
{
    return view.len > 0 ? text_of(view) : NULL;
}

static void header_add(struct grpc_transport *transport, struct bytes name, struct bytes value)
{
    CHECK(transport->header_count < HEADERS_MAX);
    char *lower = text_of(name);
    for (char *at = lower; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    transport->header_names[transport->header_count] = lower;
    transport->header_values[transport->header_count++] = text_of(value);
}

static struct grpc_transport *transport_new(const struct component_env *env,
                                            const struct otlp_grpc_config *config,
                                            const struct endpoint *endpoint)
{
    struct grpc_transport *transport = calloc(1, sizeof(*transport));
    CHECK(transport != NULL);
    transport->magic = TRANSPORT_MAGIC;
    bool is_http = bytes_equal_text(endpoint->scheme, "http");
    bool is_https = bytes_equal_text(endpoint->scheme, "https");
    bool is_ipv6 = bytes_find(endpoint->host, BYTES_LITERAL(":"), 0) != SIZE_MAX;
    char target[1024];
    snprintf(target, sizeof(target), is_ipv6 ? "[%.*s]:%.*s" : "%.*s:%.*s",
             BYTES_PRINTF(endpoint->host), BYTES_PRINTF(endpoint->port));
    bool is_bare = is_http || is_https || endpoint->scheme.len == 0;
    transport->target = text_of(is_bare ? bytes_from_text(target) : config->endpoint);
    transport->is_insecure = is_http || (config->tls.insecure && !is_https);
    transport->is_gzip = config->compression == COMPRESSION_GZIP;
    transport->allows_proxy = !endpoint_is_loopback(endpoint);
    transport->balancer = grpc_balancers[config->balancer];
    transport->timeout_ns = config->timeout_ns;
    transport->keepalive = config->keepalive;
    transport->has_keepalive = config->keepalive_present;
    transport->authority = text_or_null(config->authority);
    transport->server_name = text_or_null(config->tls.server_name_override);
    transport->user_agent = text_or_null(bytes_from_text(env->user_agent));
    char hop[17];
    snprintf(hop, sizeof(hop), "%016llx", (unsigned long long)process_instance_id());
    header_add(transport, BYTES_LITERAL("sidejudge-hop"), bytes_from_text(hop));
    for (size_t i = 0; i < config->headers.count && i < HEADERS_MAX - 1; i++) {
        header_add(transport, config->headers.items[i].key, config->headers.items[i].value);
    }
    return transport;
}

static enum result load_tls(struct grpc_transport *transport, const struct tls_client_config *tls,
                            char *why, size_t why_len)
{
    return transport->is_insecure ? RESULT_OK
                                  : tls_client_watch_open(tls, &transport->tls, why, why_len);
}

static enum result otlp_grpc_start(const struct component_env *env, const void *arg,
                                   struct exporter **made, char *why, size_t why_len)
{
    const struct otlp_grpc_config *config = arg;
    struct endpoint endpoint;
    if (!endpoint_parse(config->endpoint, &endpoint) || endpoint_is_own(&endpoint, env)) {
        snprintf(why, why_len, "the endpoint is malformed or one of Sidejudge's own listeners");
        return RESULT_FAIL;
    }
    struct bytes secrets[SENDER_SECRETS_MAX];
    size_t count = 0;
    while (count < config->headers.count && count < SENDER_SECRETS_MAX) {
        secrets[count] = config->headers.items[count].value;
        count++;
    }
    struct sender_setup setup = {.queue = &config->queue,
                                 .retry = &config->retry,
                                 .codec = config->compression == COMPRESSION_GZIP ? CODEC_GZIP
                                                                                  : CODEC_NONE,
                                 .bytes_max = REQUEST_BYTES_MAX,
                                 .destination = config->endpoint,
                                 .auth = &config->auth,
                                 .secrets = secrets,
                                 .secret_count = count};
    struct exporter *exporter = NULL;
    struct grpc_transport *transport = transport_new(env, config, &endpoint);
    enum result result = load_tls(transport, &config->tls, why, why_len);
    if (result == RESULT_OK) {
        result = sender_new(env, &setup, &exporter, why, why_len);
    }
    if (result != RESULT_OK) {
        grpc_free(transport);
        return result;
    }
    mailbox_init(&transport->finished, SIZE_MAX, loop_wake, sender_loop(exporter));
    result = sender_start(exporter, &grpc_transport_ops, transport, why, why_len);
    if (result != RESULT_OK) {
        sender_free(&exporter);
    }
    *made = exporter;
    return result;
}

const struct exporter_ops otlp_grpc_exporter = {
    .kind = {.type = "otlp_grpc",
             .alias = "otlp",
             .doc = "OTLP over gRPC, to any backend.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_METRICS | 1U << SIGNAL_LOGS,
             .options = otlp_grpc_options,
             .config_size = sizeof(struct otlp_grpc_config),
             .validate = otlp_grpc_validate},
    .start = otlp_grpc_start,
    SENDER_OPS,
};
