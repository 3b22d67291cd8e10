// SPDX-License-Identifier: Apache-2.0
//
// One loop on one thread; a connection reads a request whole, has it answered, writes the reply and
// goes on with what is left of its input. Pipelined requests wait while a reply is due. Refused: a
// thread per connection (the judge must be able to hold 256 calls), chunked requests (411). Bounds:
// connections, head, body. The server's thread, but for life and counters.

#include "tests/scenario/judge_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/thread.h"

#define SERVER_MAGIC MAGIC('J', 'S', 'R', 'V')
#define CONNECTIONS_MAX 64
#define HEAD_BYTES_MAX ((size_t)16 << 10)
#define BODY_BYTES_MAX ((size_t)2 << 20)
#define REPLY_BYTES_MAX ((size_t)8 << 20)
#define READ_BYTES ((size_t)64 << 10)

struct connection {
    struct judge_server *server;
    struct loop_fd watch;  // fd < 0: free
    struct buffer in, out;
    size_t out_at;
    struct timer wait;  // of a slow answer
    bool answering;     // a reply is due or being written
    bool closing;       // after what is written
    bool continued;     // 100 Continue was sent for this request
};

struct judge_server {
    uint32_t magic;
    struct judge_server_config config;
    struct loop *loop;
    struct loop_fd listener;
    struct thread thread;
    char openai_url[64], anthropic_url[64];
    struct connection connections[CONNECTIONS_MAX];
    uint64_t in_flight;
    uint64_t number;  // of requests that kept the contract
    atomic_int forced_mode;
    _Atomic uint64_t requests, refused, accepted, in_flight_max;
};

static void connection_close(struct connection *connection)
{
    struct loop *loop = connection->server->loop;
    loop_unwatch(loop, &connection->watch);
    loop_cancel_timer(loop, &connection->wait);
    connection->server->in_flight -= connection->answering;
    close(connection->watch.fd);
    buffer_fini(&connection->in);
    buffer_fini(&connection->out);
    connection->watch = (struct loop_fd){.fd = -1};
    connection->answering = false;
}

static void connection_reset(struct connection *connection)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    connection_close(connection);
}

// --- writing ---

static void connection_read(struct connection *connection);

static void connection_write(struct connection *connection)
{
    struct loop *loop = connection->server->loop;
    while (connection->out_at < connection->out.len) {
        ssize_t sent = send(connection->watch.fd, connection->out.ptr + connection->out_at,
                            connection->out.len - connection->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (loop_watch(loop, &connection->watch, EPOLLOUT) != RESULT_OK) {
                connection_close(connection);
            }
            return;
        }
        if (sent < 0) {
            connection_close(connection);
            return;
        }
        connection->out_at += (size_t)sent;
    }
    buffer_reset(&connection->out);
    connection->out_at = 0;
    if (connection->closing || loop_watch(loop, &connection->watch, EPOLLIN) != RESULT_OK) {
        connection_close(connection);
        return;
    }
    if (connection->answering) {
        connection->answering = false;
        connection->server->in_flight--;
        connection_read(connection);
    }
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 429:
        return "Too Many Requests";
    default:
        return "Error";
    }
}

// Puts status line and header lines before the body.
static void reply_write(struct connection *connection, int status, bool retry_after,
                        struct bytes body)
{
    buffer_printf(&connection->out,
                  "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s%s"
                  "\r\n",
                  status, status_text(status), body.len, retry_after ? "Retry-After: 1\r\n" : "",
                  connection->closing ? "Connection: close\r\n" : "");
    buffer_append_bytes(&connection->out, body);
}

static void wait_is_over(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
    connection_write(arg);
}

// --- requests ---

static void refuse(struct connection *connection, int status)
{
    atomic_fetch_add(&connection->server->refused, 1);
    connection->closing = true;
    reply_write(connection, status, false, BYTES_LITERAL("{}"));
    connection_write(connection);
}

static void request_answer(struct connection *connection, const struct judge_request *request)
{
    struct judge_server *server = connection->server;
    const struct judge_script script = {.rows = server->config.rows,
                                        .row_count = server->config.row_count,
                                        .api_key = server->config.api_key,
                                        .forced_mode = atomic_load(&server->forced_mode),
                                        .number = server->number + 1};
    struct buffer body;
    buffer_init(&body, REPLY_BYTES_MAX);
    struct judge_answered answered = judge_script_answer(&script, request, &body);
    if (answered.kept && server->config.on_request != NULL) {
        server->config.on_request(server->config.arg, request->body);
    }
    server->number += answered.kept;
    atomic_fetch_add(answered.kept ? &server->requests : &server->refused, 1);
    connection->answering = true;
    if (++server->in_flight > atomic_load(&server->in_flight_max)) {
        atomic_store(&server->in_flight_max, server->in_flight);
    }
    if (answered.reset) {
        connection_reset(connection);
    } else {
        reply_write(connection, answered.status, answered.retry_after, buffer_view(&body));
        uint64_t wait_ns = server->config.slow_ns != 0 ? server->config.slow_ns : NS_PER_S;
        loop_set_timer(server->loop, &connection->wait,
                       loop_now_ns(server->loop) + (answered.slow ? wait_ns : 0));
    }
    buffer_fini(&body);
}

// The body's length, or an HTTP status that refuses the request.
static int body_length(struct bytes head, size_t *len)
{
    uint64_t value = 0;
    struct bytes text = judge_header(head, "content-length");
    if (judge_header(head, "transfer-encoding").len > 0) {
        return 411;
    }
    if (text.len > 0 && !bytes_to_u64(text, &value)) {
        return 400;
    }
    *len = (size_t)value;
    return value > BODY_BYTES_MAX ? 413 : 0;
}

static bool request_line(struct bytes line, struct judge_request *request)
{
    size_t first = bytes_find(line, BYTES_LITERAL(" "), 0);
    size_t second = first == SIZE_MAX ? SIZE_MAX : bytes_find(line, BYTES_LITERAL(" "), first + 1);
    if (second == SIZE_MAX ||
        !bytes_equal_text(bytes_slice(line, second + 1, SIZE_MAX), "HTTP/1.1")) {
        return false;
    }
    request->method = bytes_slice(line, 0, first);
    request->path = bytes_slice(line, first + 1, second - first - 1);
    size_t query = bytes_find(request->path, BYTES_LITERAL("?"), 0);
    request->path = bytes_slice(request->path, 0, query);
    return true;
}

// Answers the request at the front of the input if it is there whole.
static void request_take(struct connection *connection)
{
    struct bytes input = buffer_view(&connection->in);
    size_t head_len = bytes_find(input, BYTES_LITERAL("\r\n\r\n"), 0);
    if (head_len == SIZE_MAX) {
        if (input.len > HEAD_BYTES_MAX) {
            refuse(connection, 431);
        }
        return;
    }
    struct judge_request request = {.body = BYTES_NONE};
    size_t line_len = bytes_find(input, BYTES_LITERAL("\r\n"), 0), body_len = 0;
    bool sound = request_line(bytes_slice(input, 0, line_len), &request);
    request.head =
        bytes_slice(input, line_len + 2, head_len > line_len ? head_len - line_len - 2 : 0);
    int status = sound ? body_length(request.head, &body_len) : 400;
    if (status != 0) {
        refuse(connection, status);
        return;
    }
    size_t total = head_len + 4 + body_len;
    if (input.len < total) {
        if (!connection->continued && judge_header(request.head, "expect").len > 0) {
            connection->continued = true;
            buffer_append_text(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n");
            connection_write(connection);
        }
        return;
    }
    request.body = bytes_slice(input, head_len + 4, body_len);
    connection->continued = false;
    connection->closing = bytes_equal_nocase(judge_header(request.head, "connection"), "close");
    request_answer(connection, &request);
    if (connection->watch.fd >= 0) {  // not reset
        memmove(connection->in.ptr, connection->in.ptr + total, connection->in.len - total);
        connection->in.len -= total;
    }
}

static void connection_read(struct connection *connection)
{
    while (connection->watch.fd >= 0 && !connection->answering && !connection->closing) {
        size_t before = connection->in.len;
        request_take(connection);
        if (connection->watch.fd < 0 || connection->answering || connection->closing) {
            return;
        }
        uint8_t *room = buffer_reserve(&connection->in, READ_BYTES);
        ssize_t got = room != NULL ? recv(connection->watch.fd, room, READ_BYTES, 0) : 0;
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            connection_close(connection);
            return;
        }
        buffer_commit(&connection->in, (size_t)got);
        CHECK(connection->in.len > before);
    }
}

static void connection_ready(struct loop_fd *watch, uint32_t events)
{
    struct connection *connection = watch->arg;
    CHECK(connection->server->magic == SERVER_MAGIC);
    if (connection->answering && (events & (EPOLLHUP | EPOLLERR)) != 0) {
        connection_close(connection);  // the client gave up
    } else if ((watch->events & EPOLLOUT) != 0) {
        connection_write(connection);
    } else if (connection->answering) {
        char byte;
        if (recv(watch->fd, &byte, 1, MSG_PEEK) <= 0) {
            connection_close(connection);
        } else {  // pipelined: it can wait
            loop_unwatch(connection->server->loop, watch);
        }
    } else {
        connection_read(connection);
    }
}

static void listener_ready(struct loop_fd *watch, uint32_t events)
{
    struct judge_server *server = watch->arg;
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct connection *connection = NULL;
    for (size_t i = 0; i < CONNECTIONS_MAX && connection == NULL; i++) {
        connection = server->connections[i].watch.fd < 0 ? &server->connections[i] : NULL;
    }
    if (connection == NULL) {
        close(fd);
        return;
    }
    memset(connection, 0, sizeof *connection);
    connection->server = server;
    connection->watch = (struct loop_fd){.fd = fd, .ready = connection_ready, .arg = connection};
    buffer_init(&connection->in, HEAD_BYTES_MAX + BODY_BYTES_MAX + 2 * READ_BYTES);
    buffer_init(&connection->out, REPLY_BYTES_MAX + HEAD_BYTES_MAX);
    timer_init(&connection->wait, wait_is_over, connection);
    atomic_fetch_add(&server->accepted, 1);
    if (loop_watch(server->loop, &connection->watch, EPOLLIN) != RESULT_OK) {
        connection_close(connection);
    }
}

// --- life ---

static void server_run(void *arg)
{
    struct judge_server *server = arg;
    loop_run(server->loop);
}

static enum result server_listen(struct judge_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    server->listener = (struct loop_fd){.fd = fd, .ready = listener_ready, .arg = server};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, CONNECTIONS_MAX) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return RESULT_FAIL;
    }
    int port = ntohs(address.sin_port);
    snprintf(server->openai_url, sizeof server->openai_url, "http://127.0.0.1:%d/v1", port);
    snprintf(server->anthropic_url, sizeof server->anthropic_url, "http://127.0.0.1:%d", port);
    return loop_watch(server->loop, &server->listener, EPOLLIN);
}

enum result judge_server_start(const struct judge_server_config *config, struct judge_server **out)
{
    struct judge_server *server = calloc(1, sizeof *server);
    CHECK(server != NULL);
    server->magic = SERVER_MAGIC;
    server->config = *config;
    server->listener.fd = -1;
    atomic_init(&server->forced_mode, -1);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        server->connections[i].watch.fd = -1;
    }
    server->loop = loop_new();
    enum result result = server->loop != NULL ? server_listen(server) : RESULT_FAIL;
    if (result == RESULT_OK) {
        result = thread_start(&server->thread, "scripted judge", server_run, server);
    }
    if (result != RESULT_OK) {
        judge_server_stop(&server);
        return result;
    }
    *out = server;
    return RESULT_OK;
}

void judge_server_stop(struct judge_server **out)
{
    struct judge_server *server = *out;
    if (server == NULL) {
        return;
    }
    *out = NULL;
    CHECK(server->magic == SERVER_MAGIC);
    if (server->loop != NULL) {
        loop_stop(server->loop);
        thread_join(&server->thread);
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            if (server->connections[i].watch.fd >= 0) {
                connection_close(&server->connections[i]);
            }
        }
        loop_unwatch(server->loop, &server->listener);
    }
    if (server->listener.fd >= 0) {
        close(server->listener.fd);
    }
    loop_free(server->loop);
    free(server);
}

const char *judge_server_openai_url(const struct judge_server *server)
{
    return server->openai_url;
}

const char *judge_server_anthropic_url(const struct judge_server *server)
{
    return server->anthropic_url;
}

void judge_server_force(struct judge_server *server, int mode)
{
    CHECK(mode >= -1 && mode < JUDGE_MODE_COUNT);
    atomic_store(&server->forced_mode, mode);
}

uint64_t judge_server_requests(const struct judge_server *server)
{
    return atomic_load(&server->requests);
}

uint64_t judge_server_refused(const struct judge_server *server)
{
    return atomic_load(&server->refused);
}

uint64_t judge_server_connections(const struct judge_server *server)
{
    return atomic_load(&server->accepted);
}

uint64_t judge_server_in_flight_max(const struct judge_server *server)
{
    return atomic_load(&server->in_flight_max);
}
