// SPDX-License-Identifier: Apache-2.0
/*
 * The client of the HTTP/2 tests. Both sides run in the test's thread and are fed by hand until
 * neither has anything to say, so each test is a sequence without waiting. The client keeps what
 * came back for each stream; the server's half is the product's own, with a few routes.
 */
#include "tests/unit/http2_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/health.h"

struct h2_peer h2;

struct h2_reply *h2_reply_of(int32_t stream_id)
{
    assert_in_range(stream_id, 1, 2 * H2_STREAMS_MAX);
    return &h2.replies[stream_id / 2];
}

// Client side.

static void keep(char *out, size_t room, const uint8_t *value, size_t len)
{
    snprintf(out, room, "%.*s", (int)len, (const char *)value);
}

static int on_client_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_len, const uint8_t *value, size_t len,
                            uint8_t flags, void *arg)
{
    (void)session;
    (void)flags;
    (void)arg;
    struct h2_reply *reply = h2_reply_of(frame->hd.stream_id);
    struct bytes key = bytes_from(name, name_len);
    if (bytes_equal_text(key, ":status")) {
        keep(reply->status, sizeof reply->status, value, len);
    } else if (bytes_equal_text(key, "grpc-status")) {
        keep(reply->grpc_status, sizeof reply->grpc_status, value, len);
    } else if (bytes_equal_text(key, "grpc-message")) {
        keep(reply->grpc_message, sizeof reply->grpc_message, value, len);
    } else if (bytes_equal_text(key, "grpc-status-details-bin")) {
        keep(reply->details, sizeof reply->details, value, len);
    } else if (bytes_equal_text(key, "grpc-accept-encoding")) {
        keep(reply->accept, sizeof reply->accept, value, len);
    } else if (bytes_equal_text(key, "content-type")) {
        keep(reply->content_type, sizeof reply->content_type, value, len);
    }
    return 0;
}

static int on_client_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                          const uint8_t *data, size_t len, void *arg)
{
    (void)session;
    (void)flags;
    (void)arg;
    buffer_append(&h2_reply_of(stream_id)->body, data, len);
    return 0;
}

static int on_client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    (void)arg;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        h2.goaways++;
        h2.goaway_last = frame->goaway.last_stream_id;
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        h2_reply_of(frame->hd.stream_id)->is_reset = true;
    }
    return 0;
}

static int on_client_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *arg)
{
    (void)session;
    (void)arg;
    h2_reply_of(stream_id)->is_closed = true;
    h2_reply_of(stream_id)->error_code = error_code;
    return 0;
}

static ssize_t read_call(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)stream_id;
    (void)arg;
    struct h2_call *call = source->ptr;
    size_t left = call->body.len - call->sent;
    size_t take = left < len ? left : len;
    if (take == 0 && call->is_open) {
        return NGHTTP2_ERR_DEFERRED;
    }
    memcpy(out, call->body.ptr + call->sent, take);
    call->sent += take;
    if (call->sent == call->body.len && !call->is_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)take;
}

int32_t h2_send(const char *method, const char *path, const struct h2_field *fields,
                            size_t count, struct h2_call call)
{
    nghttp2_nv nv[120];
    const struct h2_field fixed[] = {
        {":method", method}, {":path", path}, {":scheme", "http"}, {":authority", "h"}};
    size_t used = 0;
    for (size_t i = 0; i < 4 + count; i++) {
        const struct h2_field *field = i < 4 ? &fixed[i] : &fields[i - 4];
        nv[used++] = (nghttp2_nv){(uint8_t *)field->name, (uint8_t *)field->value,
                                  strlen(field->name), strlen(field->value), NGHTTP2_NV_FLAG_NONE};
    }
    int32_t next = (int32_t)nghttp2_session_get_next_stream_id(h2.client);
    struct h2_call *kept = &h2.calls[next / 2];
    *kept = call;
    nghttp2_data_provider provider = {.source.ptr = kept, .read_callback = read_call};
    bool has_body = call.body.len > 0 || call.is_open;
    int32_t id = nghttp2_submit_request(h2.client, NULL, nv, used, has_body ? &provider : NULL,
                                        NULL);
    assert_int_equal(id, next);
    buffer_init(&h2_reply_of(id)->body, 1 << 20);
    return id;
}

// Moves bytes both ways until nothing moves any more.
enum result h2_exchange(void)
{
    for (int i = 0; i < 10000; i++) {
        const uint8_t *bytes;
        ssize_t len = nghttp2_session_mem_send(h2.client, &bytes);
        assert_true(len >= 0);
        if (len > 0 && http2_feed(&h2.http2, bytes_from(bytes, (size_t)len)) != RESULT_OK) {
            return RESULT_REJECT;
        }
        if (http2_flush(&h2.http2) != RESULT_OK) {
            return RESULT_REJECT;
        }
        if (len == 0 && h2.out.len == 0) {
            return RESULT_OK;
        }
        assert_int_equal(nghttp2_session_mem_recv(h2.client, h2.out.ptr, h2.out.len),
                         h2.out.len);
        buffer_reset(&h2.out);
    }
    fail_msg("the two sides never come to rest");
    return RESULT_FAIL;
}

// Server side.

void h2_answer(struct request *request)
{
    request_reply(request, &(struct response){.status = 200,
                                              .content_type = "text/plain",
                                              .body = BYTES_LITERAL("ok")});
}

static void handle(struct request *request)
{
    buffer_append(&h2.bodies, request->body.ptr, request->body.len);
    buffer_append_byte(&h2.bodies, '|');
    h2.last_packed = request->message_is_packed;
    h2.last_deadline_ns = request->deadline_ns;
    h2_answer(request);
}

static void handle_later(struct request *request)
{
    h2.deferred = request;
}

static void handle_error(struct request *request)
{
    request_reply(request, &(struct response){.status = 503,
                                              .grpc_status = GRPC_UNAVAILABLE,
                                              .content_type = "application/json",
                                              .body = BYTES_LITERAL("{}"),
                                              .message = BYTES_LITERAL("50% full\n"),
                                              .details = BYTES_LITERAL("\x08\x0e"),
                                              .retry_after_s = 1});
}

static bool deny(struct request *request)
{
    request_reply_text(request, 415, GRPC_UNIMPLEMENTED, "no");
    return false;
}

#define BOTH (REQUEST_ANY_HTTP | REQUEST_ONLY_GRPC)

int h2_set_up(void **state)
{
    (void)state;
    memset(&h2, 0, sizeof h2);
    struct http_route rows[] = {
        {.path = "/s/Call", .protocols = BOTH, .body_max = H2_BODY_MAX, .handle = handle},
        {.path = "/s/Later", .protocols = BOTH, .body_max = H2_BODY_MAX, .handle = handle_later},
        {.path = "/s/Error", .protocols = BOTH, .body_max = H2_BODY_MAX, .handle = handle_error},
        {.path = "/s/Small", .protocols = BOTH, .body_max = 10, .handle = handle},
        {.path = "/s/Deny", .protocols = BOTH, .body_max = H2_BODY_MAX, .handle = handle,
         .admit = deny},
    };
    memcpy(h2.routes, rows, sizeof rows);
    health_routes(h2.routes + 5);
    server_init_core(&h2.server, &(struct server_config){.head_bytes_max = 8192});
    h2.server.routes = h2.routes;
    h2.server.route_count = 7;
    buffer_init(&h2.out, 1 << 22);
    buffer_init(&h2.bodies, 1 << 24);
    assert_int_equal(http2_init(&h2.http2, &h2.server, &h2.out, NULL, NULL),
                     RESULT_OK);
    nghttp2_session_callbacks *callbacks;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_client_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_client_close);
    assert_int_equal(nghttp2_session_client_new(&h2.client, callbacks, NULL), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(h2.client, 0, NULL, 0), 0);
    return 0;
}

int h2_tear_down(void **state)
{
    (void)state;
    http2_fini(&h2.http2);
    nghttp2_session_del(h2.client);
    server_fini_core(&h2.server);
    buffer_fini(&h2.out);
    buffer_fini(&h2.bodies);
    for (int i = 0; i < H2_STREAMS_MAX; i++) {
        buffer_fini(&h2.replies[i].body);
    }
    return 0;
}

int32_t h2_call_grpc(const char *path, struct bytes wire)
{
    const struct h2_field fields[] = {H2_GRPC_FIELDS};
    return h2_send("POST", path, fields, 2, (struct h2_call){.body = wire});
}
