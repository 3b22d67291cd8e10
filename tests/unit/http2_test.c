// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 and gRPC without sockets: an nghttp2 client session in memory talks to the server's half.
#include "receiver/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/health.h"
#include "receiver/server_state.h"

#define BODY_MAX    ((size_t)8 << 20)
#define STREAMS_MAX 64

struct reply {                 // what the client saw of one stream
    char status[8], grpc_status[8], content_type[64];
    char grpc_message[256], details[256], accept[64];
    struct buffer body;
    bool is_closed, is_reset;
    uint32_t error_code;
};

struct call {                  // what the client sends
    struct bytes body;
    size_t sent;
    bool is_open;              // no END_STREAM behind the body
};

struct fixture {
    struct server server;
    struct http2 http2;
    struct buffer out;         // server to client
    nghttp2_session *client;
    struct reply replies[STREAMS_MAX];
    struct call calls[STREAMS_MAX];
    unsigned goaways;
    int32_t goaway_last;
    struct request *deferred;
    struct buffer bodies;
    bool last_packed;
    uint64_t last_deadline_ns;
    struct http_route routes[8];
};

static struct fixture fixture;

static struct reply *reply_of(int32_t stream_id)
{
    assert_in_range(stream_id, 1, 2 * STREAMS_MAX);
    return &fixture.replies[stream_id / 2];
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
    struct reply *reply = reply_of(frame->hd.stream_id);
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
    buffer_append(&reply_of(stream_id)->body, data, len);
    return 0;
}

static int on_client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    (void)arg;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        fixture.goaways++;
        fixture.goaway_last = frame->goaway.last_stream_id;
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        reply_of(frame->hd.stream_id)->is_reset = true;
    }
    return 0;
}

static int on_client_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *arg)
{
    (void)session;
    (void)arg;
    reply_of(stream_id)->is_closed = true;
    reply_of(stream_id)->error_code = error_code;
    return 0;
}

static ssize_t read_call(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)stream_id;
    (void)arg;
    struct call *call = source->ptr;
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

struct field {
    const char *name, *value;
};

static int32_t send_request(const char *method, const char *path, const struct field *fields,
                            size_t count, struct call call)
{
    nghttp2_nv nv[120];
    const struct field fixed[] = {
        {":method", method}, {":path", path}, {":scheme", "http"}, {":authority", "h"}};
    size_t used = 0;
    for (size_t i = 0; i < 4 + count; i++) {
        const struct field *field = i < 4 ? &fixed[i] : &fields[i - 4];
        nv[used++] = (nghttp2_nv){(uint8_t *)field->name, (uint8_t *)field->value,
                                  strlen(field->name), strlen(field->value), NGHTTP2_NV_FLAG_NONE};
    }
    int32_t next = (int32_t)nghttp2_session_get_next_stream_id(fixture.client);
    struct call *kept = &fixture.calls[next / 2];
    *kept = call;
    nghttp2_data_provider provider = {.source.ptr = kept, .read_callback = read_call};
    bool has_body = call.body.len > 0 || call.is_open;
    int32_t id = nghttp2_submit_request(fixture.client, NULL, nv, used, has_body ? &provider : NULL,
                                        NULL);
    assert_int_equal(id, next);
    buffer_init(&reply_of(id)->body, 1 << 20);
    return id;
}

// Moves bytes both ways until nothing moves any more.
static enum result exchange(void)
{
    for (int i = 0; i < 10000; i++) {
        const uint8_t *bytes;
        ssize_t len = nghttp2_session_mem_send(fixture.client, &bytes);
        assert_true(len >= 0);
        if (len > 0 && http2_feed(&fixture.http2, bytes_from(bytes, (size_t)len)) != RESULT_OK) {
            return RESULT_REJECT;
        }
        if (http2_flush(&fixture.http2) != RESULT_OK) {
            return RESULT_REJECT;
        }
        if (len == 0 && fixture.out.len == 0) {
            return RESULT_OK;
        }
        assert_int_equal(nghttp2_session_mem_recv(fixture.client, fixture.out.ptr, fixture.out.len),
                         fixture.out.len);
        buffer_reset(&fixture.out);
    }
    fail_msg("the two sides never come to rest");
    return RESULT_FAIL;
}

// Server side.

static void answer(struct request *request)
{
    request_reply(request, &(struct response){.status = 200,
                                              .content_type = "text/plain",
                                              .body = BYTES_LITERAL("ok")});
}

static void handle(struct request *request)
{
    buffer_append(&fixture.bodies, request->body.ptr, request->body.len);
    buffer_append_byte(&fixture.bodies, '|');
    fixture.last_packed = request->message_is_packed;
    fixture.last_deadline_ns = request->deadline_ns;
    answer(request);
}

static void handle_later(struct request *request)
{
    fixture.deferred = request;
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

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    struct http_route rows[] = {
        {.path = "/s/Call", .protocols = BOTH, .body_max = BODY_MAX, .handle = handle},
        {.path = "/s/Later", .protocols = BOTH, .body_max = BODY_MAX, .handle = handle_later},
        {.path = "/s/Error", .protocols = BOTH, .body_max = BODY_MAX, .handle = handle_error},
        {.path = "/s/Small", .protocols = BOTH, .body_max = 10, .handle = handle},
        {.path = "/s/Deny", .protocols = BOTH, .body_max = BODY_MAX, .handle = handle,
         .admit = deny},
    };
    memcpy(fixture.routes, rows, sizeof rows);
    health_routes(fixture.routes + 5);
    server_init_core(&fixture.server, &(struct server_config){.head_bytes_max = 8192});
    fixture.server.routes = fixture.routes;
    fixture.server.route_count = 7;
    buffer_init(&fixture.out, 1 << 22);
    buffer_init(&fixture.bodies, 1 << 24);
    assert_int_equal(http2_init(&fixture.http2, &fixture.server, &fixture.out, NULL, NULL),
                     RESULT_OK);
    nghttp2_session_callbacks *callbacks;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_client_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_client_close);
    assert_int_equal(nghttp2_session_client_new(&fixture.client, callbacks, NULL), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(fixture.client, 0, NULL, 0), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http2_fini(&fixture.http2);
    nghttp2_session_del(fixture.client);
    server_fini_core(&fixture.server);
    buffer_fini(&fixture.out);
    buffer_fini(&fixture.bodies);
    for (int i = 0; i < STREAMS_MAX; i++) {
        buffer_fini(&fixture.replies[i].body);
    }
    return 0;
}

#define GRPC_FIELD {"content-type", "application/grpc"}, {"te", "trailers"}

static int32_t call_grpc(const char *path, struct bytes wire)
{
    const struct field fields[] = {GRPC_FIELD};
    return send_request("POST", path, fields, 2, (struct call){.body = wire});
}

static void call_has_message_and_trailers(void **state)
{
    (void)state;
    int32_t id = call_grpc("/s/Call", BYTES_LITERAL("\0\0\0\0\3abc"));
    assert_int_equal(exchange(), RESULT_OK);
    struct reply *reply = reply_of(id);
    assert_string_equal(reply->status, "200");
    assert_string_equal(reply->content_type, "application/grpc");
    assert_string_equal(reply->grpc_status, "0");
    assert_int_equal(reply->body.len, 7);
    assert_memory_equal(reply->body.ptr, "\0\0\0\0\2ok", 7);
    assert_true(reply->is_closed && !reply->is_reset);
    assert_string_equal(buffer_text(&fixture.bodies), "abc|");
}

static void request_is_answered_beside_calls(void **state)
{
    (void)state;
    int32_t get = send_request("POST", "/s/Call?x=y", NULL, 0,
                               (struct call){.body = BYTES_LITERAL("plain")});
    int32_t call = call_grpc("/s/Call", BYTES_LITERAL("\1\0\0\0\1z"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(get)->status, "200");
    assert_string_equal(buffer_text(&reply_of(get)->body), "ok");
    assert_string_equal(reply_of(call)->grpc_status, "0");
    assert_string_equal(buffer_text(&fixture.bodies), "plain|z|");
    assert_true(fixture.last_packed);
}

static void errors_are_trailers_only(void **state)
{
    (void)state;
    int32_t id = call_grpc("/s/Error", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    struct reply *reply = reply_of(id);
    assert_string_equal(reply->status, "200");
    assert_string_equal(reply->grpc_status, "14");
    assert_string_equal(reply->grpc_message, "50%25 full%0A");
    assert_string_equal(reply->details, "CA4");  // unpadded base64 of 08 0e
    assert_int_equal(reply->body.len, 0);
}

static void malformed_calls_get_their_status(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        struct bytes wire;
        const char *status;
    } rows[] = {
        {"/s/Call", {(const uint8_t *)"\0\0\0\0", 4}, "13"},
        {"/s/Call", {(const uint8_t *)"\0\0\0\0\2a", 6}, "13"},
        {"/s/Call", {(const uint8_t *)"\0\0\0\0\1ab", 7}, "13"},
        {"/s/Call", {(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0", 10}, "13"},
        {"/s/Call", {(const uint8_t *)"\7\0\0\0\0", 5}, "13"},
        {"/s/Small", {(const uint8_t *)"\0\0\0\0\13aaaaaaaaaaa", 16}, "8"},
        {"/s/Small", {(const uint8_t *)"\0\xff\xff\xff\xff", 5}, "8"},
        {"/s/Nothing", {(const uint8_t *)"\0\0\0\0\0", 5}, "12"},
        {"/other.Service/Call", {(const uint8_t *)"\0\0\0\0\0", 5}, "12"},
        {"/s/Deny", {(const uint8_t *)"\0\0\0\0\0", 5}, "12"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t id = call_grpc(rows[i].path, rows[i].wire);
        assert_int_equal(exchange(), RESULT_OK);
        assert_string_equal(reply_of(id)->status, "200");
        assert_string_equal(reply_of(id)->grpc_status, rows[i].status);
        assert_true(reply_of(id)->is_closed);
    }
    int32_t id = send_request("POST", "/s/Call", (const struct field[]){GRPC_FIELD}, 2,
                              (struct call){.is_open = false});
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->grpc_status, "13");  // no message at all
    assert_int_equal(fixture.bodies.len, 0);
    assert_string_equal(reply_of(id)->accept, "identity,gzip,deflate,zstd");
}

static void unknown_service_and_method_are_named(void **state)
{
    (void)state;
    int32_t method = call_grpc("/s/Nothing", BYTES_LITERAL("\0\0\0\0\0"));
    int32_t service = call_grpc("/x.Y/Z", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(method)->grpc_message, "unknown method Nothing for service s");
    assert_string_equal(reply_of(service)->grpc_message, "unknown service x.Y");
}

static void timeouts_become_deadlines(void **state)
{
    (void)state;
    const struct field good[] = {GRPC_FIELD, {"grpc-timeout", "5S"}};
    const struct field bad[] = {GRPC_FIELD, {"grpc-timeout", "5 seconds"}};
    struct call call = {.body = BYTES_LITERAL("\0\0\0\0\0")};
    int32_t first = send_request("POST", "/s/Call", good, 3, call);
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(first)->grpc_status, "0");
    assert_int_equal(fixture.last_deadline_ns, UINT64_C(5000000000));
    int32_t second = send_request("POST", "/s/Call", bad, 3, call);
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(second)->grpc_status, "13");
}

static void other_grpc_media_types_are_refused(void **state)
{
    (void)state;
    const struct field json[] = {{"content-type", "application/grpc+json"}};
    int32_t id = send_request("POST", "/s/Call", json, 1, (struct call){.is_open = false});
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->status, "415");
}

static void early_reply_resets_the_stream_without_error(void **state)
{
    (void)state;
    const struct field fields[] = {GRPC_FIELD};
    int32_t id = send_request("POST", "/s/Deny", fields, 2,
                              (struct call){.body = BYTES_LITERAL("\0\0\0\0\5ab"), .is_open = true});
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->grpc_status, "12");
    assert_true(reply_of(id)->is_reset);
    assert_int_equal(reply_of(id)->error_code, NGHTTP2_NO_ERROR);
    assert_true(http2_is_idle(&fixture.http2));
}

static void declared_length_beyond_the_limit_is_refused_at_once(void **state)
{
    (void)state;
    const struct field fields[] = {{"content-length", "100"}};
    int32_t id = send_request("POST", "/s/Small", fields, 1, (struct call){.is_open = true});
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->status, "413");
}

static void body_larger_than_the_windows_arrives(void **state)
{
    (void)state;
    size_t len = 5 << 20;
    uint8_t *wire = calloc(1, len + 5);
    assert_non_null(wire);
    wire[1] = (uint8_t)(len >> 24);
    wire[2] = (uint8_t)(len >> 16);
    int32_t id = call_grpc("/s/Call", bytes_from(wire, len + 5));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->grpc_status, "0");
    assert_int_equal(fixture.bodies.len, len + 1);
    free(wire);
}

static void refused_body_keeps_its_window_and_gives_the_connections_back(void **state)
{
    (void)state;
    uint8_t *wire = calloc(1, 3 << 20);
    assert_non_null(wire);
    for (int i = 0; i < 12; i++) {  // 12 x 1 MiB is more than the connection's window
        int32_t id = send_request("POST", "/s/Deny", NULL, 0,
                                  (struct call){.body = bytes_from(wire, 3 << 20)});
        assert_int_equal(exchange(), RESULT_OK);
        assert_string_equal(reply_of(id)->status, "415");
        assert_true(fixture.calls[id / 2].sent <= (size_t)1 << 20);
    }
    int32_t id = call_grpc("/s/Call", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->grpc_status, "0");
    free(wire);
}

static void heads_beyond_their_bounds_are_refused(void **state)
{
    (void)state;
    struct field fields[REQUEST_HEADERS_MAX];
    for (int i = 0; i < REQUEST_HEADERS_MAX; i++) {
        fields[i] = (struct field){"name", "value"};
    }
    int32_t id = send_request("POST", "/s/Call", fields, REQUEST_HEADERS_MAX,
                              (struct call){.is_open = false});
    static char big[9000];
    memset(big, 'a', sizeof big - 1);
    fields[0].value = big;
    int32_t second = send_request("POST", "/s/Call", fields, 1, (struct call){.is_open = false});
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->status, "431");
    assert_string_equal(reply_of(second)->status, "431");
}

static void late_reply_reaches_its_stream_or_nobody(void **state)
{
    (void)state;
    int32_t id = call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->status, "");
    answer(fixture.deferred);
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->grpc_status, "0");
    int32_t gone = call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    nghttp2_submit_rst_stream(fixture.client, 0, gone, NGHTTP2_CANCEL);
    assert_int_equal(exchange(), RESULT_OK);
    assert_true(http2_is_idle(&fixture.http2));
    unsigned free_before = fixture.server.free_count;
    answer(fixture.deferred);
    assert_int_equal(fixture.server.free_count, free_before + 1);
    assert_int_equal(exchange(), RESULT_OK);
}

static void connection_that_goes_leaves_requests_to_their_handlers(void **state)
{
    (void)state;
    call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    send_request("POST", "/s/Call", NULL, 0,
                 (struct call){.body = BYTES_LITERAL("half"), .is_open = true});
    assert_int_equal(exchange(), RESULT_OK);
    assert_int_equal(fixture.http2.stream_count, 2);
    http2_fini(&fixture.http2);
    assert_int_equal(fixture.server.free_count, 1);
    answer(fixture.deferred);
    assert_int_equal(fixture.server.free_count, 2);
}

static void streams_broken_off_in_a_row_end_the_connection(void **state)
{
    (void)state;
    enum result result = RESULT_OK;
    unsigned sent = 0;
    uint8_t frames[9 + 8 + 13];
    assert_int_equal(exchange(), RESULT_OK);
    // POST http / by the static table, then RST_STREAM, without waiting for anything.
    static const uint8_t block[] = {0x83, 0x86, 0x84, 0x41, 1, 'h'};
    for (int32_t id = 1; id < 10000 && result == RESULT_OK && !http2_is_done(&fixture.http2);
         id += 2) {
        memset(frames, 0, sizeof frames);
        frames[2] = sizeof block;
        frames[3] = NGHTTP2_HEADERS;
        frames[4] = NGHTTP2_FLAG_END_HEADERS;
        frames[7] = (uint8_t)(id >> 8);
        frames[8] = (uint8_t)id;
        memcpy(frames + 9, block, sizeof block);
        uint8_t *reset = frames + 9 + sizeof block;
        reset[2] = 4;
        reset[3] = NGHTTP2_RST_STREAM;
        reset[7] = (uint8_t)(id >> 8);
        reset[8] = (uint8_t)id;
        reset[12] = NGHTTP2_CANCEL;
        fixture.routes[4].path = "/";
        fixture.routes[4].admit = NULL;
        result = http2_feed(&fixture.http2, bytes_from(frames, 9 + sizeof block + 13));
        assert_int_equal(http2_flush(&fixture.http2), RESULT_OK);
        buffer_reset(&fixture.out);
        sent++;
    }
    assert_in_range(sent, 900, 1200);
}

static void resets_after_the_reply_are_no_offence(void **state)
{
    (void)state;
    assert_int_equal(exchange(), RESULT_OK);
    static const uint8_t block[] = {0x83, 0x86, 0x84, 0x41, 1, 'h'};
    fixture.routes[4].path = "/";
    fixture.routes[4].admit = NULL;
    for (int32_t id = 1; id < 6000; id += 2) {
        uint8_t frames[9 + sizeof block + 13] = {0};
        frames[2] = sizeof block;
        frames[3] = NGHTTP2_HEADERS;
        frames[4] = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM;
        frames[7] = (uint8_t)(id >> 8);
        frames[8] = (uint8_t)id;
        memcpy(frames + 9, block, sizeof block);
        assert_int_equal(http2_feed(&fixture.http2, bytes_from(frames, 9 + sizeof block)),
                         RESULT_OK);
        assert_int_equal(http2_flush(&fixture.http2), RESULT_OK);
        uint8_t reset[13] = {0, 0, 4, NGHTTP2_RST_STREAM, 0, 0, 0, frames[7], frames[8], 0, 0, 0, 5};
        assert_int_equal(http2_feed(&fixture.http2, bytes_from(reset, sizeof reset)), RESULT_OK);
        buffer_reset(&fixture.out);
    }
    assert_false(http2_is_done(&fixture.http2));
}

static void drain_lets_calls_finish(void **state)
{
    (void)state;
    int32_t id = call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    http2_drain_notice(&fixture.http2);
    http2_drain_notice(&fixture.http2);
    assert_int_equal(exchange(), RESULT_OK);
    assert_int_equal(fixture.goaways, 1);
    assert_int_equal(fixture.goaway_last, INT32_MAX);
    http2_drain_goaway(&fixture.http2);
    assert_int_equal(exchange(), RESULT_OK);
    assert_int_equal(fixture.goaways, 2);
    assert_int_equal(fixture.goaway_last, id);
    assert_false(http2_is_idle(&fixture.http2));
    answer(fixture.deferred);
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->grpc_status, "0");
    assert_true(http2_is_idle(&fixture.http2));
}

static void health_is_checked_by_service(void **state)
{
    (void)state;
    int32_t all = call_grpc("/grpc.health.v1.Health/Check", BYTES_LITERAL("\0\0\0\0\0"));
    int32_t known = call_grpc("/grpc.health.v1.Health/Check",
                              BYTES_LITERAL("\0\0\0\0\3\x0a\1s"));
    int32_t unknown = call_grpc("/grpc.health.v1.Health/Check",
                                BYTES_LITERAL("\0\0\0\0\4\x0a\2xy"));
    int32_t packed = call_grpc("/grpc.health.v1.Health/Check", BYTES_LITERAL("\1\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_memory_equal(reply_of(all)->body.ptr, "\0\0\0\0\2\x08\1", 7);
    assert_memory_equal(reply_of(known)->body.ptr, "\0\0\0\0\2\x08\1", 7);
    assert_string_equal(reply_of(unknown)->grpc_status, "5");
    assert_string_equal(reply_of(packed)->grpc_status, "12");
    fixture.server.draining = true;
    int32_t late = call_grpc("/grpc.health.v1.Health/Check", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_memory_equal(reply_of(late)->body.ptr, "\0\0\0\0\2\x08\2", 7);
}

static void watch_stays_open_until_the_drain(void **state)
{
    (void)state;
    int32_t id = call_grpc("/grpc.health.v1.Health/Watch", BYTES_LITERAL("\0\0\0\0\0"));
    int32_t other = call_grpc("/grpc.health.v1.Health/Watch",
                              BYTES_LITERAL("\0\0\0\0\4\x0a\2xy"));
    assert_int_equal(exchange(), RESULT_OK);
    assert_memory_equal(reply_of(id)->body.ptr, "\0\0\0\0\2\x08\1", 7);
    assert_memory_equal(reply_of(other)->body.ptr, "\0\0\0\0\2\x08\3", 7);
    assert_false(reply_of(id)->is_closed);
    http2_drain_notice(&fixture.http2);
    assert_int_equal(exchange(), RESULT_OK);
    assert_true(reply_of(id)->is_closed);
    assert_string_equal(reply_of(id)->grpc_status, "14");
    assert_true(http2_is_idle(&fixture.http2));
}

static void garbage_is_refused(void **state)
{
    (void)state;
    assert_int_equal(http2_feed(&fixture.http2, BYTES_LITERAL("GET / HTTP/1.1\r\n\r\n........")),
                     RESULT_REJECT);
}

static void silent_bodies_are_refused_by_the_sweep(void **state)
{
    (void)state;
    int32_t id = send_request("POST", "/s/Call", NULL, 0,
                              (struct call){.body = BYTES_LITERAL("half"), .is_open = true});
    assert_int_equal(exchange(), RESULT_OK);
    assert_true(http2_sweep(&fixture.http2, UINT64_C(1000000000)));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->status, "");
    assert_true(http2_sweep(&fixture.http2, UINT64_C(31000000000)));
    assert_int_equal(exchange(), RESULT_OK);
    assert_string_equal(reply_of(id)->status, "408");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(call_has_message_and_trailers),
        ROW(request_is_answered_beside_calls),
        ROW(errors_are_trailers_only),
        ROW(malformed_calls_get_their_status),
        ROW(unknown_service_and_method_are_named),
        ROW(timeouts_become_deadlines),
        ROW(other_grpc_media_types_are_refused),
        ROW(early_reply_resets_the_stream_without_error),
        ROW(declared_length_beyond_the_limit_is_refused_at_once),
        ROW(body_larger_than_the_windows_arrives),
        ROW(refused_body_keeps_its_window_and_gives_the_connections_back),
        ROW(heads_beyond_their_bounds_are_refused),
        ROW(late_reply_reaches_its_stream_or_nobody),
        ROW(connection_that_goes_leaves_requests_to_their_handlers),
        ROW(streams_broken_off_in_a_row_end_the_connection),
        ROW(resets_after_the_reply_are_no_offence),
        ROW(drain_lets_calls_finish),
        ROW(health_is_checked_by_service),
        ROW(watch_stays_open_until_the_drain),
        ROW(garbage_is_refused),
        ROW(silent_bodies_are_refused_by_the_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
