// SPDX-License-Identifier: Apache-2.0
//
// The floor for gRPC: stores each call whole, answers it, and sends the same message on over one
// upstream HTTP/2 connection; nghttp2, one epoll loop, no checks, no limits. Bodies go upstream
// from where they were stored, many frames with one writev; their memory is used again. Usage:
// grpc_forwarder LISTEN_PORT UPSTREAM_PORT. Bench only.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "base/check.h"

#define READ_BYTES ((size_t)256 << 10)
#define HEADS_BYTES ((size_t)64 << 10)
#define PARTS_MAX 512
#define PATH_MAX_BYTES 128
#define WINDOW (16 << 20)
#define PREFIX_BYTES 5

struct request {
    struct request *next;  // among the free ones
    char path[PATH_MAX_BYTES];
    uint8_t *body;
    size_t len, capacity, sent;
};

struct peer {  // a connection to a client, or the one upstream
    int fd;
    nghttp2_session *session;
};

static struct peer upstream;
static struct request *free_requests;
static uint8_t input[READ_BYTES];
static nghttp2_session_callbacks *callbacks;

// What a session wants to send, until it is written: small frames copied, bodies by reference.
static struct {
    struct iovec parts[PARTS_MAX];
    int count;
    uint8_t heads[HEADS_BYTES];
    size_t heads_len;
} gather;

static void gather_write(int fd)
{
    struct iovec *part = gather.parts;
    while (gather.count > 0) {
        ssize_t n = writev(fd, part, gather.count);
        CHECK(n > 0);
        while (gather.count > 0 && (size_t)n >= part->iov_len) {
            n -= (ssize_t)part->iov_len;
            part++;
            gather.count--;
        }
        if (gather.count > 0) {
            part->iov_base = (char *)part->iov_base + n;
            part->iov_len -= (size_t)n;
        }
    }
    gather.heads_len = 0;
}

static void gather_copy(int fd, const uint8_t *ptr, size_t len)
{
    CHECK(len <= HEADS_BYTES);
    if (gather.heads_len + len > HEADS_BYTES || gather.count + 2 >= PARTS_MAX) {
        gather_write(fd);
    }
    uint8_t *copy = gather.heads + gather.heads_len;
    memcpy(copy, ptr, len);
    gather.heads_len += len;
    gather.parts[gather.count++] = (struct iovec){copy, len};
}

static ssize_t send_frames(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                           void *arg)
{
    (void)session, (void)flags;
    struct peer *peer = arg;
    gather_copy(peer->fd, data, len);
    return (ssize_t)len;
}

static int send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t len, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)frame;
    struct peer *peer = arg;
    struct request *request = source->ptr;
    gather_copy(peer->fd, head, 9);
    gather.parts[gather.count++] = (struct iovec){request->body + request->sent, len};
    request->sent += len;
    return 0;
}

static void peer_flush(struct peer *peer)
{
    CHECK(nghttp2_session_send(peer->session) == 0);
    gather_write(peer->fd);
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *into, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)stream_id, (void)into, (void)arg;
    struct request *request = source->ptr;
    size_t left = request->len - request->sent;
    *flags = NGHTTP2_DATA_FLAG_NO_COPY | (left <= len ? (uint32_t)NGHTTP2_DATA_FLAG_EOF : 0);
    return (ssize_t)(left < len ? left : len);
}

static void forward(struct request *request)
{
    const nghttp2_nv head[] = {
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":authority", "upstream"),
        field(":path", request->path),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    };
    nghttp2_data_provider provider = {.source.ptr = request, .read_callback = read_body};
    CHECK(nghttp2_submit_request(upstream.session, NULL, head, sizeof(head) / sizeof(head[0]),
                                 &provider, request) > 0);
}

static ssize_t read_answer(nghttp2_session *session, int32_t stream_id, uint8_t *into, size_t len,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)source, (void)arg;
    CHECK(len >= PREFIX_BYTES);
    memset(into, 0, PREFIX_BYTES);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_nv status = field("grpc-status", "0");
    CHECK(nghttp2_submit_trailer(session, stream_id, &status, 1) == 0);
    return PREFIX_BYTES;
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    if (arg == &upstream || frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct request *request = free_requests;
    if (request == NULL) {
        request = calloc(1, sizeof(*request));
        CHECK(request != NULL);
    } else {
        free_requests = request->next;
    }
    request->len = request->sent = 0;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, request);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)flags;
    struct request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (arg != &upstream && request != NULL && name_len == 5 && memcmp(name, ":path", 5) == 0) {
        CHECK(value_len < PATH_MAX_BYTES);
        memcpy(request->path, value, value_len);
        request->path[value_len] = '\0';
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *arg)
{
    (void)flags;
    struct request *request = nghttp2_session_get_stream_user_data(session, stream_id);
    if (arg == &upstream || request == NULL) {
        return 0;
    }
    if (request->len + len > request->capacity) {
        request->capacity = (request->len + len) * 2;
        request->body = realloc(request->body, request->capacity);
        CHECK(request->body != NULL);
    }
    memcpy(request->body + request->len, data, len);
    request->len += len;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    if (arg == &upstream || frame->hd.type != NGHTTP2_DATA ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    const nghttp2_nv head[] = {field(":status", "200"), field("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_answer};
    forward(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
    CHECK(nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, NULL) == 0);
    return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &provider);
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *arg)
{
    (void)error, (void)arg;
    struct request *request = nghttp2_session_get_stream_user_data(session, stream_id);
    if (request != NULL) {
        request->next = free_requests;
        free_requests = request;
    }
    return 0;
}

static void callbacks_make(void)
{
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_send_callback(callbacks, send_frames);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_body);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
}

static void peer_begin(struct peer *peer, int fd, int epoll_fd)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
                                               {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    int on = 1;
    peer->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    CHECK((peer == &upstream ? nghttp2_session_client_new
                             : nghttp2_session_server_new)(&peer->session, callbacks, peer) == 0);
    CHECK(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, 2) == 0);
    CHECK(nghttp2_session_set_local_window_size(peer->session, NGHTTP2_FLAG_NONE, 0, WINDOW) == 0);
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
    peer_flush(peer);
}

static void peer_ready(struct peer *peer, int epoll_fd)
{
    ssize_t n = recv(peer->fd, input, READ_BYTES, 0);
    if (n <= 0 || nghttp2_session_mem_recv(peer->session, input, (size_t)n) != n) {
        CHECK(peer != &upstream);
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
        close(peer->fd);
        nghttp2_session_del(peer->session);
        free(peer);
        return;
    }
    peer_flush(peer);
    if (peer != &upstream) {
        peer_flush(&upstream);
    }
}

static int socket_at(uint16_t port, bool listening)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listening) {
        CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 128) == 0);
    } else {
        CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    }
    return fd;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    callbacks_make();
    peer_begin(&upstream, socket_at((uint16_t)strtoul(argv[2], NULL, 10), false), epoll_fd);
    int listener = socket_at((uint16_t)strtoul(argv[1], NULL, 10), true);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[64];
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) == 0);
    for (;;) {
        int count = epoll_wait(epoll_fd, ready, 64, -1);
        CHECK(count >= 0 || errno == EINTR);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr != NULL) {
                peer_ready(ready[i].data.ptr, epoll_fd);
                continue;
            }
            struct peer *peer = calloc(1, sizeof(*peer));
            CHECK(peer != NULL);
            peer_begin(peer, accept4(listener, NULL, NULL, SOCK_CLOEXEC), epoll_fd);
        }
    }
}
