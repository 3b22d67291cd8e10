// SPDX-License-Identifier: Apache-2.0
//
// One nghttp2 session per connection; a stream is a growing message, judged when it ends. What ends
// a connection is sent first and then closed, so that the peer sees the frames. Refused: gRPC
// core's server, which never breaks its own rules, and a thread, which would need locks around the
// oracle. Bounds: those of the header. One thread.

#include "tests/scenario/faulty_grpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "base/check.h"
#include "proto/base64.h"
#include "proto/otlp_status.h"

#define CONNECTIONS_MAX 16
#define STREAMS_MAX 128
#define MESSAGE_BYTES_MAX ((size_t)32 << 20)
#define OUT_BYTES_MAX ((size_t)4 << 20)
#define WINDOW (32 << 20)
#define PREFIX_BYTES 5

struct stream {
    int32_t id;  // 0: free
    struct buffer message;
    const struct faulty_grpc_answer *row;
};

struct connection {
    struct faulty_grpc *server;
    struct loop_fd watch;  // fd < 0: free
    nghttp2_session *session;
    struct buffer out;
    struct stream streams[STREAMS_MAX];
    unsigned open;
    bool resets, ends;  // at once; when all is sent
};

struct faulty_grpc {
    struct loop *loop;
    struct oracle *oracle;
    unsigned number, streams_max;
    struct loop_fd listener;
    uint16_t port;
    struct connection connections[CONNECTIONS_MAX];
    const struct faulty_grpc_answer *row;
    unsigned times;
    bool is_forever;
    unsigned faults, requests, streams_peak;
};

static const struct faulty_grpc_answer well = {.keeps = true};

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

static struct stream *stream_at(struct connection *connection, int32_t id)
{
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (connection->streams[i].id == id) {
            return &connection->streams[i];
        }
    }
    return NULL;
}

// --- answers ---

static void submit_status(nghttp2_session *session, int32_t id,
                          const struct faulty_grpc_answer *row)
{
    char status[16], details[512] = "";
    struct buffer text;
    struct buffer binary;
    snprintf(status, sizeof(status), "%d", row->status);
    nghttp2_nv trailers[3] = {field("grpc-status", status), field("grpc-message", "scripted"),
                              field("grpc-status-details-bin", details)};
    buffer_init(&text, sizeof(details));
    buffer_init(&binary, sizeof(details) / 2);
    if (row->retry_after_s > 0) {
        otlp_error_write(OTLP_PROTOBUF,
                         &(struct otlp_error){.code = row->status,
                                              .message = BYTES_LITERAL("scripted"),
                                              .retry_after_s = row->retry_after_s},
                         &binary);
        base64_encode(buffer_view(&binary), false, &text);
        snprintf(details, sizeof(details), "%s", buffer_text(&text));
        trailers[2] = field("grpc-status-details-bin", details);
    }
    CHECK(nghttp2_submit_trailer(session, id, trailers, row->retry_after_s > 0 ? 3 : 2) == 0);
    buffer_fini(&text);
    buffer_fini(&binary);
}

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *into, size_t len,
                          uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct connection *connection = arg;
    (void)source;
    const struct faulty_grpc_answer *row = stream_at(connection, id)->row;
    if (row->how == FAULTY_GRPC_HTTP) {
        CHECK(len >= 6);
        memcpy(into, "<html>", 6);
        *flags = NGHTTP2_DATA_FLAG_EOF;
        return 6;
    }
    size_t message_len = row->message != NULL ? row->message_len : 0;
    CHECK(len >= PREFIX_BYTES + message_len && message_len < 256);
    memset(into, 0, PREFIX_BYTES);
    into[PREFIX_BYTES - 1] = (uint8_t)message_len;
    if (message_len > 0) {
        memcpy(into + PREFIX_BYTES, row->message, message_len);
    }
    *flags = NGHTTP2_DATA_FLAG_EOF;
    if (row->how != FAULTY_GRPC_NO_STATUS) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_status(session, id, row);
    }
    return (ssize_t)(PREFIX_BYTES + message_len);
}

static void submit_reply(struct connection *connection, const struct stream *stream)
{
    char status[16] = "200";
    bool is_page = stream->row->how == FAULTY_GRPC_HTTP;
    if (is_page) {
        snprintf(status, sizeof(status), "%d", stream->row->status);
    }
    nghttp2_nv head[] = {field(":status", status),
                         field("content-type", is_page ? "text/html" : "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_reply};
    CHECK(nghttp2_submit_response(connection->session, stream->id, head, 2, &provider) == 0);
}

static void stream_answer(struct connection *connection, struct stream *stream)
{
    struct faulty_grpc *server = connection->server;
    bool faulty = server->row != NULL && (server->is_forever || server->times > 0);
    const struct faulty_grpc_answer *row = faulty ? server->row : &well;
    stream->row = row;
    server->requests++;
    server->faults += faulty;
    server->times -= faulty && server->times > 0;
    if (row->keeps) {
        CHECK(stream->message.len >= PREFIX_BYTES && stream->message.ptr[0] == 0);
        oracle_arrived(server->oracle, server->number,
                       bytes_slice(buffer_view(&stream->message), PREFIX_BYTES, SIZE_MAX));
    }
    switch (row->how) {
    case FAULTY_GRPC_SILENT:
        break;
    case FAULTY_GRPC_RESETS_STREAM:
        CHECK(nghttp2_submit_rst_stream(connection->session, NGHTTP2_FLAG_NONE, stream->id,
                                        (uint32_t)row->status) == 0);
        break;
    case FAULTY_GRPC_GOES_AWAY:
        CHECK(nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                                    stream->id > 1 ? stream->id - 2 : 0, NGHTTP2_NO_ERROR, NULL,
                                    0) == 0);
        connection->ends = true;
        break;
    case FAULTY_GRPC_GOES_SOON:
        CHECK(nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE, stream->id,
                                    NGHTTP2_NO_ERROR, NULL, 0) == 0);
        submit_reply(connection, stream);
        connection->ends = true;
        break;
    case FAULTY_GRPC_RESETS:
        connection->resets = true;
        break;
    default:
        submit_reply(connection, stream);
        break;
    }
}

// --- frames ---

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct connection *connection = arg;
    (void)session;
    struct stream *stream = stream_at(connection, 0);
    CHECK(stream != NULL);
    stream->id = frame->hd.stream_id;
    buffer_init(&stream->message, MESSAGE_BYTES_MAX);
    connection->open++;
    if (connection->open > connection->server->streams_peak) {
        connection->server->streams_peak = connection->open;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
    struct stream *stream = stream_at(arg, id);
    (void)session, (void)flags;
    if (stream != NULL) {
        buffer_append(&stream->message, data, len);
        CHECK(buffer_status(&stream->message) == RESULT_OK);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct stream *stream = stream_at(arg, frame->hd.stream_id);
    if (frame->hd.stream_id > 0 && stream != NULL && frame->hd.type == NGHTTP2_DATA &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        stream_answer(arg, stream);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct connection *connection = arg;
    struct stream *stream = stream_at(connection, id);
    (void)session, (void)code;
    if (stream != NULL) {
        buffer_fini(&stream->message);
        memset(stream, 0, sizeof(*stream));
        connection->open--;
    }
    return 0;
}

static void session_begin(struct connection *connection)
{
    nghttp2_session_callbacks *callbacks;
    unsigned streams_max = connection->server->streams_max;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max > 0 ? streams_max : 100},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
    };
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    CHECK(nghttp2_session_server_new(&connection->session, callbacks, connection) == 0);
    nghttp2_session_callbacks_del(callbacks);
    CHECK(nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2) == 0);
    CHECK(nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                                WINDOW) == 0);
}

// --- connections ---

static void connection_close(struct connection *connection, bool reset)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    loop_unwatch(connection->server->loop, &connection->watch);
    if (reset) {
        setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    nghttp2_session_del(connection->session);
    close(connection->watch.fd);
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        buffer_fini(&connection->streams[i].message);
    }
    buffer_fini(&connection->out);
    memset(connection, 0, sizeof(*connection));
    connection->watch.fd = -1;
}

// Sends what there is; the peer of a test reads, so what does not fit at once comes with the next
// turn.
static void connection_write(struct connection *connection)
{
    const uint8_t *frames;
    ssize_t len = 0;
    while (connection->out.len < OUT_BYTES_MAX / 2 &&
           (len = nghttp2_session_mem_send(connection->session, &frames)) > 0) {
        buffer_append(&connection->out, frames, (size_t)len);
    }
    CHECK(len >= 0 && buffer_status(&connection->out) == RESULT_OK);
    ssize_t sent = 0;
    if (connection->out.len > 0) {
        sent = send(connection->watch.fd, connection->out.ptr, connection->out.len, MSG_NOSIGNAL);
    }
    if (sent < 0 && errno != EAGAIN) {
        connection_close(connection, false);
        return;
    }
    if (sent > 0) {
        connection->out.len -= (size_t)sent;
        memmove(connection->out.ptr, connection->out.ptr + sent, connection->out.len);
    }
    if (connection->out.len == 0 && connection->ends) {
        connection_close(connection, false);
        return;
    }
    CHECK(loop_watch(connection->server->loop, &connection->watch,
                     connection->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN) == RESULT_OK);
}

static void connection_ready(struct loop_fd *fd, uint32_t events)
{
    struct connection *connection = fd->arg;
    uint8_t input[65536];
    ssize_t got = (events & EPOLLIN) != 0 ? recv(fd->fd, input, sizeof(input), 0) : -1;
    if (got == 0 || (got < 0 && errno != EAGAIN && (events & EPOLLIN) != 0)) {
        connection_close(connection, false);
        return;
    }
    if (got > 0 && nghttp2_session_mem_recv(connection->session, input, (size_t)got) != got) {
        connection_close(connection, false);
        return;
    }
    if (connection->resets) {
        connection_close(connection, true);
        return;
    }
    connection_write(connection);
}

static void listener_ready(struct loop_fd *listener, uint32_t events)
{
    struct faulty_grpc *server = listener->arg;
    struct connection *connection = NULL;
    (void)events;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    for (size_t i = 0; i < CONNECTIONS_MAX && connection == NULL; i++) {
        connection = server->connections[i].watch.fd < 0 ? &server->connections[i] : NULL;
    }
    CHECK(connection != NULL);
    connection->server = server;
    connection->watch = (struct loop_fd){.fd = fd, .ready = connection_ready, .arg = connection};
    buffer_init(&connection->out, OUT_BYTES_MAX);
    session_begin(connection);
    connection_write(connection);
}

// --- life ---

struct faulty_grpc *faulty_grpc_open(struct loop *loop, struct oracle *oracle, unsigned number,
                                     unsigned streams_max)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    struct faulty_grpc *server = calloc(1, sizeof(*server));
    CHECK(server != NULL);
    server->loop = loop;
    server->oracle = oracle;
    server->number = number;
    server->streams_max = streams_max;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        server->connections[i].watch.fd = -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 128) == 0 &&
          getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    server->listener = (struct loop_fd){.fd = fd, .ready = listener_ready, .arg = server};
    CHECK(loop_watch(loop, &server->listener, EPOLLIN) == RESULT_OK);
    return server;
}

void faulty_grpc_close(struct faulty_grpc **out)
{
    struct faulty_grpc *server = *out;
    if (server == NULL) {
        return;
    }
    *out = NULL;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i].watch.fd >= 0) {
            connection_close(&server->connections[i], false);
        }
    }
    loop_unwatch(server->loop, &server->listener);
    close(server->listener.fd);
    free(server);
}

unsigned faulty_grpc_port(const struct faulty_grpc *server)
{
    return server->port;
}

void faulty_grpc_behave(struct faulty_grpc *server, const struct faulty_grpc_answer *row,
                        unsigned times)
{
    server->row = row;
    server->times = times;
    server->is_forever = row != NULL && times == 0;
    server->faults = server->requests = server->streams_peak = 0;
}

unsigned faulty_grpc_faults(const struct faulty_grpc *server)
{
    return server->faults;
}

unsigned faulty_grpc_requests(const struct faulty_grpc *server)
{
    return server->requests;
}

unsigned faulty_grpc_streams_peak(const struct faulty_grpc *server)
{
    return server->streams_peak;
}
