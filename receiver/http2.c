// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 server side on nghttp2: a stream is a request, whose content type says whether it is a
// gRPC call. DATA goes straight from nghttp2's chunk into the request's slab. Windows are opened by
// hand (1 MiB per stream, 8 MiB per connection): a byte is given back to the stream when it has its
// place in a slab, and a refused body's never, so its sender stops; the connection's window is
// always given back, or one refused stream would stop the others. A peer that goes on sending after
// an early reply is reset with NO_ERROR (RFC 9113 8.1), but only a second later: libcurl 7.88 loses
// a reply that arrives together with the reset.
//
// Broken-off streams: nghttp2's own limit counts every RST_STREAM, also those that libcurl 7.88
// sends after each reply without a body, so it is set high, and only streams that end in an error
// before they were answered are counted here, whoever's reset it was. Refused: gRPC core as the
// server (cannot bound gzip, dies at EMFILE). Bounds: streams_max, head_bytes_max and
// REQUEST_HEADERS_MAX, body_max, RESET_BURST. The server's thread.
#include "receiver/http2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "receiver/server_state.h"

#define STREAM_WINDOW     (1 << 20)
#define CONNECTION_WINDOW (8 << 20)
#define RESET_AFTER_NS    NS_PER_S  // an early reply
#define RESET_BURST       1000.0
#define RESET_PER_S       33.0

static void stream_link(struct http2 *http2, struct request *request)
{
    request->next = http2->streams;
    request->prev = &http2->streams;
    if (request->next) {
        request->next->prev = &request->next;
    }
    http2->streams = request;
    http2->stream_count++;
}

static void stream_unlink(struct http2 *http2, struct request *request)
{
    CHECK(http2->stream_count > 0);
    *request->prev = request->next;
    if (request->next) {
        request->next->prev = request->prev;
    }
    request->next = NULL;
    request->prev = NULL;
    http2->stream_count--;
}

// The stream is over, or the connection is: what a handler has is cut loose.
static void stream_let_go(struct http2 *http2, struct request *request)
{
    stream_unlink(http2, request);
    if (request->stage != REQUEST_HANDLED && request->stage != REQUEST_PARTS) {
        server_give_request(http2->server, request);
        return;
    }
    request->http2 = NULL;
    if (request->notify) {
        request->notify(request);
    }
}

static struct request *stream_of(struct http2 *http2, int32_t stream_id)
{
    struct request *request = nghttp2_session_get_stream_user_data(http2->session, stream_id);
    CHECK(!request || request->magic == REQUEST_MAGIC);
    return request;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2 *http2 = arg;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct request *request = server_take_request(http2->server);
    request->protocol = REQUEST_HTTP2;
    request->http2 = http2;
    request->stream_id = frame->hd.stream_id;
    request->heard_ns = server_now_ns(http2->server);
    stream_link(http2, request);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, request);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)session;
    (void)flags;
    struct http2 *http2 = arg;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;  // trailers say nothing that is wanted here
    }
    struct request *request = stream_of(http2, frame->hd.stream_id);
    if (request && !request_add_header(request, bytes_from(name, name_len),
                                       bytes_from(value, value_len))) {
        request->is_overlong = true;
    }
    return 0;
}

// Tells gRPC calls from requests and reads what the transport itself must know of a call.
static bool classify(struct request *request)
{
    struct bytes timeout = request_header(request, "grpc-timeout");
    uint64_t timeout_ns;
    switch (grpc_content_of(request_header(request, "content-type"))) {
    case GRPC_CONTENT_NONE:
        return true;
    case GRPC_CONTENT_OTHER:
        request_reply_text(request, 415, GRPC_INTERNAL,
                           "415 unsupported media type, supported: [application/grpc, "
                           "application/json, application/x-protobuf]");
        return false;
    case GRPC_CONTENT_PROTO:
        break;
    }
    if (!bytes_equal_text(request->method, "POST")) {
        request_reply_text(request, 405, GRPC_INTERNAL, "gRPC calls are POST requests");
        return false;
    }
    request->protocol = REQUEST_GRPC;
    if (timeout.len > 0) {
        if (!grpc_timeout_parse(timeout, &timeout_ns)) {
            request_reply_text(request, 400, GRPC_INTERNAL, "malformed grpc-timeout");
            return false;
        }
        uint64_t left = UINT64_MAX - request->received_ns;
        request->deadline_ns = request->received_ns + (timeout_ns < left ? timeout_ns : left);
    }
    return true;
}

// RFC 9110 10.1.1: whoever asks before a large body is told to go on.
static void say_continue(struct http2 *http2, const struct request *request)
{
    static uint8_t name[] = ":status", value[] = "100";
    nghttp2_nv field = {name, value, sizeof name - 1, sizeof value - 1, NGHTTP2_NV_FLAG_NONE};
    (void)nghttp2_submit_headers(http2->session, NGHTTP2_FLAG_NONE, request->stream_id, NULL,
                                 &field, 1, NULL);
}

static void head_complete(struct http2 *http2, struct request *request)
{
    request->received_ns = server_now_ns(http2->server);
    request->stage = REQUEST_BODY;
    if (request->is_overlong) {
        request_reply_text(request, 431, GRPC_RESOURCE_EXHAUSTED, "the request head is too large");
        return;
    }
    request->method = request_header(request, ":method");
    request->head_only = bytes_equal_text(request->method, "HEAD");
    if (!request_set_target(request, request_header(request, ":path"))) {
        request_reply_text(request, 400, GRPC_INVALID_ARGUMENT, "the request target is malformed");
        return;
    }
    if (!classify(request) || !server_admit(http2->server, request)) {
        return;
    }
    uint64_t length;
    if (bytes_to_u64(request_header(request, "content-length"), &length) &&
        length > (uint64_t)request->route->body_max + GRPC_PREFIX_BYTES) {
        request_refuse(request, RESULT_TOO_LARGE, "request body too large");
    } else if (bytes_equal_nocase(request_header(request, "expect"), "100-continue")) {
        say_continue(http2, request);
    }
}

static enum result body_add(struct request *request, struct bytes data, uint64_t want)
{
    enum result result = request_grow(request, data.len, want > data.len ? want : data.len);
    if (result == RESULT_OK) {
        memcpy(request->body.ptr + request->body.len, data.ptr, data.len);
        request->body.len += data.len;
        return RESULT_OK;
    }
    request_refuse(request, result,
                   result == RESULT_TOO_LARGE ? "request body too large"
                                              : "no memory for the request body");
    return result;
}

// False: the call has been refused.
static bool message_add(struct request *request, struct bytes data)
{
    char sentence[96];
    for (;;) {
        struct bytes payload;
        switch (grpc_framer_step(&request->framer, &data, &payload)) {
        case GRPC_FRAME_NEEDS_MORE:
            return true;
        case GRPC_FRAME_PREFIX:
            if (request->framer.message_len > request->route->body_max) {
                snprintf(sentence, sizeof sentence,
                         "grpc: received message larger than max (%u vs. %zu)",
                         request->framer.message_len, request->route->body_max);
                request_refuse(request, RESULT_TOO_LARGE, sentence);
                return false;
            }
            break;
        case GRPC_FRAME_PAYLOAD:
            if (body_add(request, payload, request->framer.message_len - request->body.len) !=
                RESULT_OK) {
                return false;
            }
            break;
        case GRPC_FRAME_EXTRA:
            request_reply_text(request, 200, GRPC_INTERNAL, "a unary call has exactly one message");
            return false;
        case GRPC_FRAME_BAD_FLAG:
            request_reply_text(request, 200, GRPC_INTERNAL, "malformed gRPC message prefix");
            return false;
        }
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *arg)
{
    (void)flags;
    struct http2 *http2 = arg;
    struct request *request = stream_of(http2, stream_id);
    struct bytes chunk = bytes_from(data, len);
    bool is_kept = false;
    if (request && request->stage == REQUEST_BODY) {
        request->heard_ns = server_now_ns(http2->server);
        is_kept = request->protocol == REQUEST_GRPC ? message_add(request, chunk)
                                                    : body_add(request, chunk, len) == RESULT_OK;
    }
    int outcome = is_kept ? nghttp2_session_consume(session, stream_id, len)
                          : nghttp2_session_consume_connection(session, len);
    return outcome == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void body_complete(struct http2 *http2, struct request *request)
{
    request->body_ended = true;
    if (request->stage != REQUEST_BODY) {
        return;  // refused before it was complete
    }
    if (request->protocol == REQUEST_GRPC) {
        if (!grpc_framer_is_complete(&request->framer)) {
            request_reply_text(request, 200, GRPC_INTERNAL,
                               request->framer.prefix_len == 0
                                   ? "a unary call has exactly one message"
                                   : "the gRPC message ends early");
            return;
        }
        request->message_is_packed = grpc_framer_is_packed(&request->framer);
    }
    server_handle(http2->server, request);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct http2 *http2 = arg;
    bool is_headers = frame->hd.type == NGHTTP2_HEADERS;
    if (!is_headers && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    struct request *request = stream_of(http2, frame->hd.stream_id);
    if (!request) {
        return 0;
    }
    if (is_headers && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        head_complete(http2, request);
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        body_complete(http2, request);
    }
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        return 0;
    }
    struct request *request = stream_of(arg, frame->hd.stream_id);
    if (request) {
        request->reply_ended = true;
    }
    return 0;
}

static bool take_reset_token(struct http2 *http2)
{
    uint64_t now_ns = server_now_ns(http2->server);
    double refill = (double)(now_ns - http2->reset_refill_ns) / (double)NS_PER_S * RESET_PER_S;
    http2->reset_refill_ns = now_ns;
    http2->reset_tokens += refill;
    if (http2->reset_tokens > RESET_BURST) {
        http2->reset_tokens = RESET_BURST;
    }
    http2->reset_tokens -= 1;
    return http2->reset_tokens >= 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *arg)
{
    struct http2 *http2 = arg;
    struct request *request = stream_of(http2, stream_id);
    if (!request) {
        return 0;
    }
    bool is_broken = error_code != NGHTTP2_NO_ERROR && request->stage != REQUEST_REPLIED;
    stream_let_go(http2, request);
    if (is_broken && !take_reset_token(http2)) {
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return 0;
}

struct http2_setup {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
};

struct http2_setup *http2_setup_new(void)
{
    struct http2_setup *setup = calloc(1, sizeof *setup);
    CHECK(setup && nghttp2_session_callbacks_new(&setup->callbacks) == 0);
    CHECK(nghttp2_option_new(&setup->option) == 0);
    nghttp2_session_callbacks *callbacks = setup->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_no_auto_window_update(setup->option, 1);
    nghttp2_option_set_no_closed_streams(setup->option, 1);
    nghttp2_option_set_stream_reset_rate_limit(setup->option, 100000, 10000);
    return setup;
}

void http2_setup_free(struct http2_setup **setup)
{
    if (*setup) {
        nghttp2_session_callbacks_del((*setup)->callbacks);
        nghttp2_option_del((*setup)->option);
        free(*setup);
        *setup = NULL;
    }
}

enum result http2_init(struct http2 *http2, struct server *server, struct buffer *out,
                       void (*wake)(void *arg), void *wake_arg)
{
    *http2 = (struct http2){.server = server,
                            .out = out,
                            .wake = wake,
                            .wake_arg = wake_arg,
                            .reset_tokens = RESET_BURST,
                            .reset_refill_ns = server_now_ns(server)};
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->config.streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)server->config.head_bytes_max},
    };
    if (nghttp2_session_server_new2(&http2->session, server->http2->callbacks, http2,
                                    server->http2->option) != 0) {
        return RESULT_SHED;
    }
    if (nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings, 3) != 0 ||
        nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW) != 0) {
        nghttp2_session_del(http2->session);
        http2->session = NULL;
        return RESULT_SHED;
    }
    return RESULT_OK;
}

void http2_fini(struct http2 *http2)
{
    while (http2->streams) {
        stream_let_go(http2, http2->streams);
    }
    nghttp2_session_del(http2->session);  // accepts NULL
    http2->session = NULL;
}

enum result http2_feed(struct http2 *http2, struct bytes data)
{
    CHECK(!http2->feeding);
    http2->feeding = true;
    ssize_t taken = nghttp2_session_mem_recv(http2->session, data.ptr, data.len);
    http2->feeding = false;
    return taken == (ssize_t)data.len ? RESULT_OK : RESULT_REJECT;
}

enum result http2_flush(struct http2 *http2)
{
    while (http2->out->len < SERVER_OUT_HIGH) {
        const uint8_t *frames;
        ssize_t len = nghttp2_session_mem_send(http2->session, &frames);
        if (len < 0) {
            return RESULT_REJECT;
        }
        if (len == 0) {
            break;
        }
        buffer_append(http2->out, frames, (size_t)len);
    }
    return buffer_status(http2->out) == RESULT_OK ? RESULT_OK : RESULT_REJECT;
}

void http2_tell_room(struct http2 *http2)
{
    if (!http2->has_taken) {
        return;
    }
    bool was_feeding = http2->feeding;
    http2->has_taken = false;
    http2->feeding = true;  // the caller sends what comes
    for (struct request *request = http2->streams, *next; request; request = next) {
        next = request->next;
        if (request->stage == REQUEST_PARTS && request->wants_room && request->notify) {
            request->wants_room = false;
            request->notify(request);
        }
    }
    http2->feeding = was_feeding;
}

bool http2_is_idle(const struct http2 *http2)
{
    return http2->stream_count == 0;
}

bool http2_is_done(const struct http2 *http2)
{
    return !nghttp2_session_want_read(http2->session) &&
           !nghttp2_session_want_write(http2->session);
}

void http2_ping(struct http2 *http2)
{
    (void)nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, NULL);
}

void http2_drain_notice(struct http2 *http2)
{
    if (http2->notice_sent) {
        return;
    }
    http2->notice_sent = true;
    (void)nghttp2_submit_shutdown_notice(http2->session);
    for (struct request *request = http2->streams; request; request = request->next) {
        if (request->is_watch && !request->is_ending) {
            request->is_ending = true;
            request->grpc_status = GRPC_UNAVAILABLE;
            (void)nghttp2_session_resume_data(http2->session, request->stream_id);
        }
    }
}

void http2_drain_goaway(struct http2 *http2)
{
    if (!http2->goaway_sent) {
        http2->goaway_sent = true;
        (void)nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(http2->session),
                                    NGHTTP2_NO_ERROR, NULL, 0);
    }
}

bool http2_sweep(struct http2 *http2, uint64_t now_ns)
{
    const struct server_config *config = &http2->server->config;
    struct request *next;
    for (struct request *request = http2->streams; request; request = next) {
        next = request->next;
        uint64_t silence = now_ns - request->heard_ns;
        if (request->stage == REQUEST_HEAD && silence > config->head_timeout_ns) {
            return false;  // a header block that does not end holds up every stream
        }
        bool is_late = config->request_timeout_ns > 0 &&
                       now_ns - request->received_ns > config->request_timeout_ns;
        if (request->stage == REQUEST_BODY && (is_late || silence > config->body_timeout_ns)) {
            request_reply_text(request, 408, GRPC_DEADLINE_EXCEEDED,
                               "the request did not come in time");
        } else if (request->reply_ended && !request->body_ended && silence > RESET_AFTER_NS) {
            (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, request->stream_id,
                                            NGHTTP2_NO_ERROR);
        } else if (request->stage == REQUEST_PARTS && request->reply.len == 0) {
            continue;  // nothing waits for the client
        } else if (request->stage >= REQUEST_PARTS && !request->is_watch &&
                   silence > config->write_timeout_ns) {
            (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, request->stream_id,
                                            NGHTTP2_CANCEL);
        }
    }
    return true;
}
