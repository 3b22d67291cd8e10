// SPDX-License-Identifier: Apache-2.0
// poll(2) over the listener, a wake-up pipe and the connections. Each connection reads into one
// buffer until a request is whole, then answers with blocking writes: replies are small.
#include "tests/unit/scripted_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compression.h"
#include "base/thread.h"

#define CONNECTIONS_MAX 32
#define REQUEST_BYTES_MAX ((size_t)16 << 20)

struct connection {
    int fd;
    struct buffer in;
};

struct scripted_http {
    int listener, wake, counted;
    unsigned port;
    scripted_fn answer;
    void *arg;
    atomic_bool stopping;
    atomic_uint count;
    struct connection connections[CONNECTIONS_MAX];
    struct compressor *compressor;
    struct thread thread;
};

struct bytes scripted_header(const struct scripted_request *request, const char *name)
{
    size_t at = 0;
    size_t name_len = strlen(name);
    while (at < request->head.len) {
        size_t end = bytes_find(request->head, BYTES_LITERAL("\r\n"), at);
        struct bytes line = bytes_slice(request->head, at, end - at);
        if (line.len > name_len && line.ptr[name_len] == ':' &&
            bytes_equal_nocase(bytes_slice(line, 0, name_len), name)) {
            return bytes_trim(bytes_slice(line, name_len + 1, SIZE_MAX));
        }
        at = end == SIZE_MAX ? request->head.len : end + 2;
    }
    return BYTES_NONE;
}

static void connection_close(struct connection *connection, bool reset)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (reset) {
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    close(connection->fd);
    connection->fd = -1;
    buffer_fini(&connection->in);
}

static bool send_all(int fd, struct bytes bytes, size_t step)
{
    size_t done = 0;
    while (done < bytes.len) {
        struct bytes chunk = bytes_slice(bytes, done, step);
        ssize_t count = send(fd, chunk.ptr, chunk.len, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

static void reply_send(struct connection *connection, const struct scripted_reply *reply)
{
    struct buffer out;
    if (reply->is_silent) {
        connection_close(connection, false);
        return;
    }
    buffer_init(&out, (size_t)64 << 20);
    size_t len = reply->filler_bytes > 0 ? reply->filler_bytes : reply->body.len;
    buffer_printf(&out, "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\n%s\r\n",
                  reply->status > 0 ? reply->status : 200, len,
                  reply->headers != NULL ? reply->headers : "");
    if (reply->filler_bytes > 0) {
        uint8_t *room = buffer_reserve(&out, len);
        memset(room, 'x', len);
        buffer_commit(&out, len);
    } else {
        buffer_append_bytes(&out, reply->body);
    }
    struct bytes all = buffer_view(&out);
    bool cut = reply->send_bytes > 0;
    bool sent = send_all(connection->fd, cut ? bytes_slice(all, 0, reply->send_bytes) : all,
                         reply->drip ? 1 : SIZE_MAX);
    buffer_fini(&out);
    if (cut || !sent) {
        connection_close(connection, true);
    }
}

static void request_answer(struct scripted_http *server, struct connection *connection,
                           struct scripted_request *request)
{
    struct buffer plain;
    enum codec codec = CODEC_NONE;
    const char *why = NULL;
    buffer_init(&plain, REQUEST_BYTES_MAX);
    request->body = request->wire;
    if (codec_from_name(scripted_header(request, "content-encoding"), &codec) != RESULT_OK) {
        abort();
    }
    if (codec != CODEC_NONE) {
        if (codec_inflate(server->compressor, codec, request->wire, &plain, NULL, NULL, &why) !=
            RESULT_OK) {
            fprintf(stderr, "a request does not inflate: %s\n", why);
            abort();
        }
        request->body = buffer_view(&plain);
    }
    struct scripted_reply reply = {0};
    request->index = atomic_fetch_add(&server->count, 1);
    uint64_t one = 1;
    if (write(server->counted, &one, sizeof(one)) < 0) {
        abort();
    }
    server->answer(server->arg, request, &reply);
    reply_send(connection, &reply);
    buffer_fini(&plain);
}

// Answers the first request in the buffer if it is whole.
static bool request_take(struct scripted_http *server, struct connection *connection)
{
    struct bytes in = buffer_view(&connection->in);
    size_t head_len = bytes_find(in, BYTES_LITERAL("\r\n\r\n"), 0);
    if (head_len == SIZE_MAX) {
        return false;
    }
    size_t line_len = bytes_find(in, BYTES_LITERAL("\r\n"), 0);
    struct scripted_request request = {.line = bytes_slice(in, 0, line_len),
                                       .head = bytes_slice(in, line_len + 2, head_len - line_len)};
    uint64_t len = 0;
    (void)bytes_to_u64(scripted_header(&request, "content-length"), &len);
    if (in.len < head_len + 4 + len) {
        return false;
    }
    request.wire = bytes_slice(in, head_len + 4, len);
    request_answer(server, connection, &request);
    if (connection->fd >= 0) {
        size_t used = head_len + 4 + len;
        memmove(connection->in.ptr, connection->in.ptr + used, connection->in.len - used);
        connection->in.len -= used;
    }
    return connection->fd >= 0;
}

static void connection_read(struct scripted_http *server, struct connection *connection)
{
    uint8_t *room = buffer_reserve(&connection->in, 65536);
    ssize_t count = room != NULL ? recv(connection->fd, room, 65536, 0) : -1;
    if (count <= 0) {
        connection_close(connection, false);
        return;
    }
    buffer_commit(&connection->in, (size_t)count);
    while (connection->fd >= 0 && request_take(server, connection)) {
    }
}

static void connection_accept(struct scripted_http *server)
{
    int fd = accept(server->listener, NULL, NULL);
    for (unsigned i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
        if (server->connections[i].fd < 0) {
            server->connections[i].fd = fd;
            buffer_init(&server->connections[i].in, REQUEST_BYTES_MAX);
            return;
        }
    }
    close(fd);
}

static void server_run(void *arg)
{
    struct scripted_http *server = arg;
    while (!atomic_load(&server->stopping)) {
        struct pollfd polled[CONNECTIONS_MAX + 2];
        polled[0] = (struct pollfd){.fd = server->listener, .events = POLLIN};
        polled[1] = (struct pollfd){.fd = server->wake, .events = POLLIN};
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
            polled[i + 2] = (struct pollfd){.fd = server->connections[i].fd, .events = POLLIN};
        }
        poll(polled, CONNECTIONS_MAX + 2, -1);
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
            if (server->connections[i].fd >= 0 && polled[i + 2].revents != 0) {
                connection_read(server, &server->connections[i]);
            }
        }
        if (polled[0].revents != 0) {
            connection_accept(server);
        }
    }
}

struct scripted_http *scripted_http_start(scripted_fn answer, void *arg)
{
    struct scripted_http *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    server->answer = answer;
    server->arg = arg;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server->wake = eventfd(0, EFD_CLOEXEC);
    server->counted = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    server->compressor = compressor_new();
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        server->connections[i].fd = -1;
    }
    if (bind(server->listener, (struct sockaddr *)&address, len) != 0 ||
        listen(server->listener, 64) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &len) != 0) {
        abort();
    }
    server->port = ntohs(address.sin_port);
    if (thread_start(&server->thread, "scripted", server_run, server) != RESULT_OK) {
        abort();
    }
    return server;
}

unsigned scripted_http_port(const struct scripted_http *server)
{
    return server->port;
}

unsigned scripted_http_count(struct scripted_http *server)
{
    return atomic_load(&server->count);
}

bool scripted_http_await(struct scripted_http *server, unsigned count)
{
    while (atomic_load(&server->count) < count) {
        struct pollfd counted = {.fd = server->counted, .events = POLLIN};
        uint64_t one;
        if (poll(&counted, 1, 10000) <= 0 || read(server->counted, &one, sizeof(one)) < 0) {
            return false;
        }
    }
    return true;
}

void scripted_http_stop(struct scripted_http **stopped)
{
    struct scripted_http *server = *stopped;
    uint64_t one = 1;
    atomic_store(&server->stopping, true);
    if (write(server->wake, &one, sizeof(one)) < 0) {
        abort();
    }
    thread_join(&server->thread);
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i].fd >= 0) {
            connection_close(&server->connections[i], false);
        }
    }
    close(server->listener);
    close(server->wake);
    close(server->counted);
    compressor_free(server->compressor);
    free(server);
    *stopped = NULL;
}
