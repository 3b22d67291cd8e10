// SPDX-License-Identifier: Apache-2.0
//
// A connection reads one request, is answered, and reads the next. What is to be sent stands in a
// buffer; endless answers refill it whenever it is empty, dripping ones release a byte per timer.
// Refused: the receiver's server library, which keeps the rules that are to be broken here, and a
// thread, which would need locks around the oracle. Bounds: those of the header. One thread.

#include "tests/scenario/faulty_backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"

#define CONNECTIONS_MAX 32
#define HEAD_BYTES_MAX ((size_t)16 << 10)
#define BODY_BYTES_MAX ((size_t)32 << 20)
#define OUT_BYTES_MAX ((size_t)1 << 20)
#define READ_BYTES ((size_t)64 << 10)
#define CHUNK_BYTES ((size_t)64 << 10)
#define TIMES_KEPT 64
#define DRIP_NS (50 * NS_PER_MS)

struct connection {
    struct faulty_backend *backend;
    struct loop_fd watch;  // fd < 0: free
    struct buffer in, out;
    size_t out_at;
    enum faulty_how how;  // of the answer that is being sent
    bool answering, closing, continued;
    struct timer drip;
};

struct faulty_backend {
    struct loop *loop;
    struct oracle *oracle;
    unsigned number;
    struct loop_fd listener;
    uint16_t port;
    char url[64];
    struct connection connections[CONNECTIONS_MAX];
    const struct faulty_answer *row, *sound;
    unsigned times;  // that the row is still due; 0 with is_forever: all
    bool is_forever;
    unsigned faults, requests, strayed;
    const char *wanted;  // a text to look for; NULL: none
    unsigned found;
    uint64_t sent_bytes;
    uint64_t at_ns[TIMES_KEPT];
};

static const struct faulty_answer well = {.status = 200, .keeps = true};

static void connection_close(struct connection *connection)
{
    struct loop *loop = connection->backend->loop;
    loop_unwatch(loop, &connection->watch);
    loop_cancel_timer(loop, &connection->drip);
    close(connection->watch.fd);
    buffer_fini(&connection->in);
    buffer_fini(&connection->out);
    connection->watch = (struct loop_fd){.fd = -1};
}

static void connection_reset(struct connection *connection)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    connection_close(connection);
}

static void watch(struct connection *connection, uint32_t events)
{
    CHECK(loop_watch(connection->backend->loop, &connection->watch, events) == RESULT_OK);
}

// --- sending ---

static void connection_read(struct connection *connection);

static void refill(struct connection *connection)
{
    static const char zeros[CHUNK_BYTES];
    buffer_reset(&connection->out);
    connection->out_at = 0;
    if (connection->how == FAULTY_ENDLESS) {
        buffer_printf(&connection->out, "%zx\r\n", CHUNK_BYTES);
    }
    buffer_append(&connection->out, zeros, CHUNK_BYTES);
    if (connection->how == FAULTY_ENDLESS) {
        buffer_append_text(&connection->out, "\r\n");
    }
}

static void answer_is_out(struct connection *connection)
{
    if (connection->how == FAULTY_CUT) {
        connection_reset(connection);
    } else if (connection->closing) {
        connection_close(connection);
    } else {
        connection->answering = false;
        buffer_reset(&connection->out);
        connection->out_at = 0;
        watch(connection, EPOLLIN);
        connection_read(connection);
    }
}

// Sends up to `most`; false when the connection is gone.
static bool send_some(struct connection *connection, size_t most)
{
    size_t left = connection->out.len - connection->out_at;
    ssize_t sent = send(connection->watch.fd, connection->out.ptr + connection->out_at,
                        left < most ? left : most, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
        return true;
    }
    if (sent < 0) {
        connection_close(connection);
        return false;
    }
    connection->out_at += (size_t)sent;
    connection->backend->sent_bytes += (uint64_t)sent;
    return true;
}

static void connection_write(struct connection *connection)
{
    bool endless = connection->how == FAULTY_ENDLESS || connection->how == FAULTY_CLAIMS_5_GB;
    if (!send_some(connection, SIZE_MAX)) {
        return;
    }
    if (connection->out_at < connection->out.len) {
        watch(connection, EPOLLOUT);
    } else if (endless) {
        refill(connection);
        watch(connection, EPOLLOUT);
    } else {
        answer_is_out(connection);
    }
}

static void drip_is_due(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct connection *connection = arg;
    if (!send_some(connection, 1)) {
        return;
    }
    if (connection->out_at < connection->out.len) {
        loop_set_timer(connection->backend->loop, timer, now_ns + DRIP_NS);
    } else {
        answer_is_out(connection);
    }
}

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), two seconds from now.
static void write_date(struct buffer *out)
{
    char text[64];
    struct tm tm;
    time_t at = (time_t)(clock_wall_ns() / NS_PER_S) + 2;
    CHECK(gmtime_r(&at, &tm) != NULL &&
          strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
    buffer_printf(out, "Retry-After: %s\r\n", text);
}

static void write_answer(struct connection *connection, const struct faulty_answer *row)
{
    struct buffer *out = &connection->out;
    const char *body = row->body != NULL ? row->body : "";
    size_t len = row->body_len > 0 ? row->body_len : strlen(body);
    buffer_printf(out, "HTTP/1.1 %d Scripted\r\n", row->status != 0 ? row->status : 200);
    buffer_append_text(out, row->headers != NULL ? row->headers : "");
    if (row->says_date) {
        write_date(out);
    }
    buffer_append_text(out, row->closes ? "Connection: close\r\n" : "");
    if (row->how == FAULTY_ENDLESS) {
        buffer_append_text(out, "Transfer-Encoding: chunked\r\n\r\n");
    } else if (row->how == FAULTY_CLAIMS_5_GB) {
        buffer_append_text(out, "Content-Length: 5368709120\r\n\r\n");
    } else if (row->how == FAULTY_CUT) {
        buffer_printf(out, "Content-Length: 1000\r\n\r\n%500s", body);
    } else {
        buffer_printf(out, "Content-Length: %zu\r\n\r\n", len);
        buffer_append(out, body, len);
    }
    CHECK(buffer_status(out) == RESULT_OK);
}

// --- requests ---

static const struct faulty_answer *row_for(struct faulty_backend *backend, struct bytes request,
                                           size_t body_len)
{
    const struct faulty_answer *row = backend->row;
    if (row == NULL || (!backend->is_forever && backend->times == 0) ||
        body_len < row->only_beyond ||
        (row->only != NULL && bytes_find(request, bytes_from_text(row->only), 0) == SIZE_MAX)) {
        return backend->sound;
    }
    return row;
}

static void request_answer(struct connection *connection, struct bytes request, struct bytes body)
{
    struct faulty_backend *backend = connection->backend;
    const struct faulty_answer *row = row_for(backend, request, body.len);
    if (backend->requests < TIMES_KEPT) {
        backend->at_ns[backend->requests] = clock_mono_ns();
    }
    backend->requests++;
    backend->strayed += bytes_start_with(request, BYTES_LITERAL("POST /elsewhere")) ||
                        bytes_start_with(request, BYTES_LITERAL("GET /elsewhere"));
    backend->found += backend->wanted != NULL &&
                      bytes_find(body, bytes_from_text(backend->wanted), 0) != SIZE_MAX;
    if (row == backend->row) {
        backend->faults++;
        backend->times -= backend->times > 0;
    }
    if (row->keeps && backend->oracle != NULL) {
        oracle_arrived(backend->oracle, backend->number, body);
    }
    connection->answering = true;
    connection->how = row->how;
    connection->closing = row->closes;
    if (row->how == FAULTY_RESETS) {
        connection_reset(connection);
    } else if (row->how == FAULTY_SILENT) {
        watch(connection, EPOLLIN);
    } else {
        write_answer(connection, row);
        if (row->how == FAULTY_DRIPS) {
            watch(connection, EPOLLIN);
            loop_set_timer(backend->loop, &connection->drip, loop_now_ns(backend->loop) + DRIP_NS);
        } else {
            connection_write(connection);
        }
    }
}

static size_t length_of(struct bytes head)
{
    const char *text = (const char *)head.ptr;
    const char *name = "content-length:";
    for (size_t i = 0; i + strlen(name) < head.len; i++) {
        if (strncasecmp(text + i, name, strlen(name)) == 0) {
            return (size_t)strtoull(text + i + strlen(name), NULL, 10);
        }
    }
    return 0;
}

// Answers the request at the front of the input if it is there whole; true: it was.
static bool request_take(struct connection *connection)
{
    struct faulty_backend *backend = connection->backend;
    struct bytes input = buffer_view(&connection->in);
    size_t head_len = bytes_find(input, BYTES_LITERAL("\r\n\r\n"), 0);
    if (head_len == SIZE_MAX) {
        CHECK(input.len < HEAD_BYTES_MAX);
        return false;
    }
    size_t len = length_of(bytes_slice(input, 0, head_len + 4));
    CHECK(len <= BODY_BYTES_MAX);
    if (backend->row != NULL && backend->row->how == FAULTY_RESETS_EARLY &&
        row_for(backend, input, len) == backend->row) {
        backend->faults++;
        backend->times -= backend->times > 0;
        connection_reset(connection);
        return false;
    }
    if (input.len < head_len + 4 + len) {
        if (!connection->continued && bytes_find(bytes_slice(input, 0, head_len),
                                                 BYTES_LITERAL("100-continue"), 0) != SIZE_MAX) {
            connection->continued = true;
            (void)!send(connection->watch.fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
        }
        return false;
    }
    size_t total = head_len + 4 + len;
    struct buffer request;
    buffer_init(&request, total);
    buffer_append(&request, input.ptr, total);
    memmove(connection->in.ptr, connection->in.ptr + total, connection->in.len - total);
    connection->in.len -= total;
    connection->continued = false;
    request_answer(connection, buffer_view(&request),
                   bytes_slice(buffer_view(&request), head_len + 4, len));
    buffer_fini(&request);
    return true;
}

static void connection_read(struct connection *connection)
{
    while (connection->watch.fd >= 0 && !connection->answering) {
        if (request_take(connection) || connection->watch.fd < 0) {
            return;  // sending the answer reads on
        }
        uint8_t *room = buffer_reserve(&connection->in, READ_BYTES);
        CHECK(room != NULL);
        ssize_t got = recv(connection->watch.fd, room, READ_BYTES, 0);
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            connection_close(connection);
            return;
        }
        buffer_commit(&connection->in, (size_t)got);
    }
}

static void connection_ready(struct loop_fd *fd, uint32_t events)
{
    struct connection *connection = fd->arg;
    if ((fd->events & EPOLLOUT) != 0) {
        connection_write(connection);
    } else if (connection->answering) {  // silent or dripping: the client gives up or waits
        char byte;
        if ((events & (EPOLLHUP | EPOLLERR)) != 0 || recv(fd->fd, &byte, 1, MSG_PEEK) <= 0) {
            connection_close(connection);
        }
    } else {
        connection_read(connection);
    }
}

static void listener_ready(struct loop_fd *listener, uint32_t events)
{
    struct faulty_backend *backend = listener->arg;
    struct connection *connection = NULL;
    (void)events;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    for (size_t i = 0; i < CONNECTIONS_MAX && connection == NULL; i++) {
        connection = backend->connections[i].watch.fd < 0 ? &backend->connections[i] : NULL;
    }
    CHECK(connection != NULL);
    memset(connection, 0, sizeof(*connection));
    connection->backend = backend;
    connection->watch = (struct loop_fd){.fd = fd, .ready = connection_ready, .arg = connection};
    buffer_init(&connection->in, HEAD_BYTES_MAX + BODY_BYTES_MAX + 2 * READ_BYTES);
    buffer_init(&connection->out, OUT_BYTES_MAX);
    timer_init(&connection->drip, drip_is_due, connection);
    watch(connection, EPOLLIN);
}

// --- life ---

void faulty_backend_up(struct faulty_backend *backend)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(backend->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int one = 1;
    CHECK(backend->listener.fd < 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    CHECK(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 128) == 0 &&
          getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    backend->port = ntohs(address.sin_port);
    backend->listener = (struct loop_fd){.fd = fd, .ready = listener_ready, .arg = backend};
    CHECK(loop_watch(backend->loop, &backend->listener, EPOLLIN) == RESULT_OK);
}

void faulty_backend_down(struct faulty_backend *backend)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (backend->connections[i].watch.fd >= 0) {
            connection_close(&backend->connections[i]);
        }
    }
    if (backend->listener.fd >= 0) {
        loop_unwatch(backend->loop, &backend->listener);
        close(backend->listener.fd);
        backend->listener.fd = -1;
    }
}

struct faulty_backend *faulty_backend_open(struct loop *loop, struct oracle *oracle,
                                           unsigned number)
{
    struct faulty_backend *backend = calloc(1, sizeof(*backend));
    CHECK(backend != NULL);
    backend->loop = loop;
    backend->oracle = oracle;
    backend->number = number;
    backend->listener.fd = -1;
    backend->sound = &well;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        backend->connections[i].watch.fd = -1;
    }
    faulty_backend_up(backend);
    snprintf(backend->url, sizeof(backend->url), "http://127.0.0.1:%u", backend->port);
    return backend;
}

void faulty_backend_close(struct faulty_backend **out)
{
    if (*out != NULL) {
        faulty_backend_down(*out);
        free(*out);
        *out = NULL;
    }
}

const char *faulty_backend_url(const struct faulty_backend *backend)
{
    return backend->url;
}

void faulty_backend_behave(struct faulty_backend *backend, const struct faulty_answer *row,
                           unsigned times)
{
    backend->row = row;
    backend->times = times;
    backend->is_forever = times == 0;
    backend->faults = backend->requests = backend->strayed = 0;
    backend->sent_bytes = 0;
    memset(backend->at_ns, 0, sizeof(backend->at_ns));
}

void faulty_backend_sound(struct faulty_backend *backend, const struct faulty_answer *sound)
{
    backend->sound = sound != NULL ? sound : &well;
}

unsigned faulty_backend_faults(const struct faulty_backend *backend)
{
    return backend->faults;
}

unsigned faulty_backend_requests(const struct faulty_backend *backend)
{
    return backend->requests;
}

unsigned faulty_backend_strayed(const struct faulty_backend *backend)
{
    return backend->strayed;
}

void faulty_backend_look_for(struct faulty_backend *backend, const char *text)
{
    backend->wanted = text;
    backend->found = 0;
}

unsigned faulty_backend_found(const struct faulty_backend *backend)
{
    return backend->found;
}

uint64_t faulty_backend_sent_bytes(const struct faulty_backend *backend)
{
    return backend->sent_bytes;
}

uint64_t faulty_backend_at_ns(const struct faulty_backend *backend, unsigned index)
{
    return index < TIMES_KEPT ? backend->at_ns[index] : 0;
}
