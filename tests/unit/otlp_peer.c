// SPDX-License-Identifier: Apache-2.0
/*
 * The other side of the otlp receiver's tests. Clients are blocking and single-threaded on purpose:
 * whatever the receiver does on its threads, a test reads as a sequence. The sink can hold offers
 * of large bodies, which is how a test proves that something else goes on meanwhile.
 */
#include "tests/unit/otlp_peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "proto/otlp.h"
#include "proto/wire.h"
#include "receiver/otlp_receiver.h"
#include "receiver/receivers.h"

static enum result take_offer(struct sink *sink, struct batch **batch, struct offer_reply *reply)
{
    struct fake_sink *fake = (struct fake_sink *)(void *)sink;
    struct batch *it = *batch;
    bool is_large = it->body.len > fake->hold_bytes;
    if (is_large && atomic_load(&fake->is_held)) {
        atomic_fetch_add(&fake->waiting, 1);
        for (int i = 0; i < 20000 && atomic_load(&fake->is_held); i++) {
            (void)poll(NULL, 0, 1);
        }
        atomic_fetch_sub(&fake->waiting, 1);
    }
    if (!is_large || fake->hold_bytes == 0) {
        buffer_reset(&fake->last_body);
        buffer_append_bytes(&fake->last_body, it->body);
        fake->last_signal = it->signal;
        metadata_release(&fake->last_metadata);
        fake->last_metadata = metadata_hold((*batch)->metadata);
        fake->last_codec = it->packed_codec;
        fake->last_packed_bytes = it->packed.len;
    }
    it->item_count = fake->item_count;
    *reply = fake->reply;
    batch_release(batch);
    atomic_fetch_add(&fake->offers, 1);
    return fake->result;
}

static void take_feedback(struct sink *sink, const struct feedback *feedback)
{
    struct fake_sink *fake = (struct fake_sink *)(void *)sink;
    fake->last_feedback = *feedback;
    atomic_fetch_add(&fake->feedbacks, 1);
}

unsigned peer_processors_max = 2;
struct authenticator *const *peer_authenticators;
const struct relay_target *peer_relay;

void peer_start(struct peer *peer, const char *yaml, unsigned signals, size_t cap_bytes)
{
    char source[2048], why[256] = "";
    struct buffer warnings;
    memset(peer, 0, sizeof *peer);
    peer->fake.sink.offer = take_offer;
    peer->fake.sink.feedback = take_feedback;
    peer->fake.item_count = 3;
    buffer_init(&peer->fake.last_body, 64 << 20);
    buffer_init(&peer->errors, 1 << 16);
    buffer_init(&warnings, 1 << 16);
    arena_init(&peer->arena, 1 << 20);
    snprintf(source, sizeof source, "yaml:%s", yaml);
    const char *sources[] = {source};
    assert_int_equal(config_load(sources, 1, NULL, 0, &peer->config, &peer->errors, &warnings),
                     RESULT_OK);
    size_t size = otlp_receiver.kind.config_size;
    peer->settings = calloc(1, size);
    assert_non_null(peer->settings);
    struct option_errors errors = {.out = &peer->errors, .warnings = &warnings};
    const struct config_node *root = config_root(peer->config);
    option_bind(otlp_receiver.kind.options, root, "receivers::otlp", peer->settings, size,
                &peer->arena, &errors);
    otlp_receiver.kind.validate(peer->settings, root, "receivers::otlp", &errors);
    assert_string_equal(buffer_text(&peer->errors), "");
    buffer_fini(&warnings);
    peer->account = cap_bytes > 0 ? account_new(cap_bytes) : NULL;
    struct sink *sinks[SIGNAL_OTLP_COUNT];
    for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
        sinks[signal] = signals & 1u << signal ? &peer->fake.sink : NULL;
    }
    struct component_env env = {.id = "otlp",
                                .account = peer->account,
                                .processors_max = peer_processors_max,
                                .user_agent = "test",
                                .authenticators = peer_authenticators,
                                .relay = peer_relay};
    if (otlp_receiver.start(&env, peer->settings, sinks, &peer->receiver, why, sizeof why) !=
        RESULT_OK) {
        fail_msg("the receiver does not start: %s", why);
    }
    peer->grpc_port = otlp_receiver_grpc_port(peer->receiver);
    peer->http_port = otlp_receiver_http_port(peer->receiver);
}

void peer_stop(struct peer *peer)
{
    otlp_receiver.free(&peer->receiver);
    if (peer->account) {
        assert_int_equal(account_used(peer->account, POOL_REQUESTS), 0);
    }
    account_free(peer->account);
    config_free(&peer->config);
    arena_fini(&peer->arena);
    buffer_fini(&peer->errors);
    buffer_fini(&peer->fake.last_body);
    metadata_release(&peer->fake.last_metadata);
    free(peer->settings);
    memset(peer, 0, sizeof *peer);
}

struct stream stream_open(uint16_t port)
{
    struct stream stream = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    int on = 1;
    assert_true(stream.fd >= 0);
    setsockopt(stream.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(stream.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(stream.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_int_equal(connect(stream.fd, (struct sockaddr *)&to, sizeof to), 0);
    return stream;
}

struct stream stream_open_tls(uint16_t port, SSL_CTX *context, const char *alpn)
{
    struct stream stream = stream_open(port);
    stream.ssl = SSL_new(context);
    assert_non_null(stream.ssl);
    SSL_set_fd(stream.ssl, stream.fd);
    if (alpn[0]) {
        SSL_set_alpn_protos(stream.ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    }
    if (SSL_connect(stream.ssl) != 1) {
        SSL_free(stream.ssl);
        stream.ssl = NULL;
        close(stream.fd);
        stream.fd = -1;
    }
    return stream;
}

void stream_close(struct stream *stream)
{
    SSL_free(stream->ssl);
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    *stream = (struct stream){.fd = -1};
}

void stream_put(struct stream *stream, const void *ptr, size_t len)
{
    const char *from = ptr;
    while (len > 0) {
        ssize_t put = stream->ssl ? SSL_write(stream->ssl, from, (int)len)
                                  : send(stream->fd, from, len, MSG_NOSIGNAL);
        if (put <= 0) {
            return;  // what the receiver says instead is read by the test
        }
        from += put;
        len -= (size_t)put;
    }
}

ssize_t stream_get(struct stream *stream, void *out, size_t len)
{
    if (stream->ssl) {
        int got = SSL_read(stream->ssl, out, (int)len);
        return got > 0 ? got : SSL_get_error(stream->ssl, got) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
    return recv(stream->fd, out, len, 0);
}

void http_post(struct stream *stream, const char *path, const char *fields, struct bytes body)
{
    char head[8192];
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s\r\n", path,
                       body.len, fields);
    assert_in_range(len, 1, sizeof head - 1);
    stream_put(stream, head, (size_t)len);
    stream_put(stream, body.ptr, body.len);
}

static size_t content_length(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length: ");
    return field ? (size_t)strtoul(field + 18, NULL, 10) : 0;
}

void http_read(struct stream *stream, struct http_reply *reply)
{
    *reply = (struct http_reply){.status = 0};
    size_t len = 0;
    buffer_init(&reply->body, 1 << 22);
    while (len < 4 || memcmp(reply->head + len - 4, "\r\n\r\n", 4) != 0) {
        assert_true(len < sizeof reply->head - 1);
        if (stream_get(stream, reply->head + len, 1) <= 0) {
            reply->has_ended = true;
            return;
        }
        len++;
    }
    reply->status = (int)strtol(reply->head + 9, NULL, 10);
    size_t left = content_length(reply->head);
    while (left > 0) {
        uint8_t *room = buffer_reserve(&reply->body, left);
        assert_non_null(room);
        ssize_t got = stream_get(stream, room, left);
        assert_true(got > 0);
        buffer_commit(&reply->body, (size_t)got);
        left -= (size_t)got;
    }
    (void)buffer_text(&reply->body);
}

struct http_reply http_once(uint16_t port, const char *path, const char *fields, struct bytes body)
{
    struct stream stream = stream_open(port);
    struct http_reply reply;
    http_post(&stream, path, fields, body);
    http_read(&stream, &reply);
    stream_close(&stream);
    return reply;
}

struct grpc_client {
    struct stream stream;
    nghttp2_session *session;
    struct bytes wire;
    size_t sent;
    struct grpc_reply *reply;
    bool is_closed;
    unsigned goaways;
};

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                       void *arg)
{
    (void)session;
    (void)flags;
    struct grpc_client *client = arg;
    stream_put(&client->stream, data, len);
    return (ssize_t)len;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
    (void)session;
    (void)frame;
    (void)flags;
    struct grpc_reply *reply = ((struct grpc_client *)arg)->reply;
    struct bytes key = bytes_from(name, name_len);
    struct bytes text = bytes_from(value, len);
    if (bytes_equal_text(key, ":status")) {
        reply->http_status = (int)strtol((const char *)value, NULL, 10);
    } else if (bytes_equal_text(key, "grpc-status")) {
        reply->grpc_status = (int)strtol((const char *)value, NULL, 10);
    } else if (bytes_equal_text(key, "grpc-message")) {
        snprintf(reply->message, sizeof reply->message, "%.*s", BYTES_PRINTF(text));
    } else if (bytes_equal_text(key, "grpc-status-details-bin")) {
        snprintf(reply->details, sizeof reply->details, "%.*s", BYTES_PRINTF(text));
    } else if (bytes_equal_text(key, "grpc-accept-encoding")) {
        snprintf(reply->accept, sizeof reply->accept, "%.*s", BYTES_PRINTF(text));
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *arg)
{
    (void)session;
    (void)flags;
    (void)stream_id;
    struct grpc_reply *reply = ((struct grpc_client *)arg)->reply;
    for (size_t i = 0; i < len && reply->body_len < sizeof reply->body; i++) {
        reply->body[reply->body_len++] = data[i];
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *arg)
{
    (void)session;
    (void)stream_id;
    (void)error_code;
    ((struct grpc_client *)arg)->is_closed = true;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        ((struct grpc_client *)arg)->goaways++;
    }
    return 0;
}

static ssize_t read_wire(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)stream_id;
    (void)arg;
    struct grpc_client *client = source->ptr;
    size_t left = client->wire.len - client->sent;
    size_t take = left < len ? left : len;
    if (take > 0) {
        memcpy(out, client->wire.ptr + client->sent, take);
    }
    client->sent += take;
    if (client->sent == client->wire.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)take;
}

struct grpc_client *grpc_open(struct stream stream)
{
    struct grpc_client *client = calloc(1, sizeof *client);
    nghttp2_session_callbacks *callbacks;
    assert_non_null(client);
    client->stream = stream;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    assert_int_equal(nghttp2_session_client_new(&client->session, callbacks, client), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(client->session, 0, NULL, 0), 0);
    assert_int_equal(nghttp2_session_send(client->session), 0);
    return client;
}

void grpc_close(struct grpc_client **client)
{
    nghttp2_session_del((*client)->session);
    stream_close(&(*client)->stream);
    free(*client);
    *client = NULL;
}

bool grpc_call(struct grpc_client *client, const char *path, const struct grpc_field *fields,
               size_t field_count, struct bytes wire, struct grpc_reply *reply)
{
    const struct grpc_field fixed[] = {
        {":method", "POST"}, {":path", path}, {":scheme", "http"}, {":authority", "h"},
        {"content-type", "application/grpc"}, {"te", "trailers"}};
    nghttp2_nv nv[20];
    size_t count = 0;
    assert_true(field_count <= 14);
    for (size_t i = 0; i < 6 + field_count; i++) {
        const struct grpc_field *field = i < 6 ? &fixed[i] : &fields[i - 6];
        nv[count++] = (nghttp2_nv){(uint8_t *)field->name, (uint8_t *)field->value,
                                   strlen(field->name), strlen(field->value),
                                   NGHTTP2_NV_FLAG_NONE};
    }
    *reply = (struct grpc_reply){.grpc_status = -1};
    client->reply = reply;
    client->wire = wire;
    client->sent = 0;
    client->is_closed = false;
    nghttp2_data_provider provider = {.source.ptr = client, .read_callback = read_wire};
    if (nghttp2_submit_request(client->session, NULL, nv, count, &provider, NULL) < 0) {
        return false;
    }
    static uint8_t input[1 << 16];
    while (!client->is_closed) {
        assert_int_equal(nghttp2_session_send(client->session), 0);
        ssize_t got = stream_get(&client->stream, input, sizeof input);
        if (got <= 0) {
            return false;
        }
        assert_int_equal(nghttp2_session_mem_recv(client->session, input, (size_t)got), got);
    }
    assert_int_equal(nghttp2_session_send(client->session), 0);
    return true;
}

void grpc_frame_message(struct buffer *out, bool is_packed, struct bytes message)
{
    uint8_t prefix[5] = {is_packed, (uint8_t)(message.len >> 24), (uint8_t)(message.len >> 16),
                         (uint8_t)(message.len >> 8), (uint8_t)message.len};
    buffer_append(out, prefix, sizeof prefix);
    buffer_append_bytes(out, message);
}

unsigned grpc_goaways(const struct grpc_client *client)
{
    return client->goaways;
}

static void make_span(struct buffer *out, unsigned index, size_t name_bytes)
{
    uint8_t id[16] = {0x5b, (uint8_t)index, 1};
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(id, 16));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(id, 8));
    if (name_bytes > 0) {
        size_t name = wire_open(out, SPAN_NAME);
        uint8_t *room = buffer_reserve(out, name_bytes);
        assert_non_null(room);
        memset(room, 'n', name_bytes);
        buffer_commit(out, name_bytes);
        wire_close(out, name);
    } else {
        wire_write_text(out, SPAN_NAME, "chat");
    }
    wire_close(out, span);
}

void make_request(struct buffer *out, unsigned spans, size_t name_bytes)
{
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    for (unsigned i = 0; i < spans; i++) {
        make_span(out, i, name_bytes);
    }
    wire_close(out, scope);
    wire_close(out, resource);
}
