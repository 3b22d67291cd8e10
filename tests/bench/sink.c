// SPDX-License-Identifier: Apache-2.0
//
// As little as a server can do: read a head, skip the body, answer. Threads and blocking calls,
// because it is not what is measured. Bench only.

#include "tests/bench/sink.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "tests/bench/grpc_sink.h"

#define CONNECTIONS_MAX 16384
#define READ_BYTES ((size_t)256 << 10)
#define LATENCIES_MAX 1000000

struct sink {
    int listener;
    uint16_t port;
    struct thread acceptor, threads[CONNECTIONS_MAX];
    int fds[CONNECTIONS_MAX];
    atomic_uint connections;
    atomic_bool stopping;
    _Atomic uint64_t requests, bytes;
    _Atomic size_t watch;
    uint64_t *latencies;
    _Atomic uint64_t latency_count;
};

struct sink_connection {
    struct sink *sink;
    int fd;
    uint8_t *buffer;
    size_t len;
};

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

static bool fill(struct sink_connection *it)
{
    ssize_t n = recv(it->fd, it->buffer + it->len, READ_BYTES - it->len, 0);
    it->len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void note_latency(struct sink *sink, uint64_t sent_ns)
{
    uint64_t i = atomic_fetch_add(&sink->latency_count, 1);
    uint64_t now_ns = clock_mono_ns();
    if (i < LATENCIES_MAX) {
        sink->latencies[i] = now_ns > sent_ns ? now_ns - sent_ns : 0;
    }
}

// Reads and drops a body of `length` bytes, of which some are in the buffer behind `at`.
static bool skip_body(struct sink_connection *it, size_t at, uint64_t length)
{
    size_t watch = atomic_load(&it->sink->watch);
    uint64_t seen = 0;
    uint8_t stamp[8];
    size_t stamped = 0;
    size_t have = it->len - at < length ? it->len - at : (size_t)length;
    for (;;) {
        while (watch != SIZE_MAX && stamped < 8 && watch + stamped >= seen &&
               watch + stamped < seen + have) {
            stamp[stamped] = it->buffer[at + (size_t)(watch + stamped - seen)];
            stamped++;
        }
        seen += have;
        if (seen == length) {
            memmove(it->buffer, it->buffer + at + have, it->len - at - have);
            it->len -= at + have;
            break;
        }
        it->len = 0;
        at = 0;
        if (!fill(it)) {
            return false;
        }
        have = it->len < length - seen ? it->len : (size_t)(length - seen);
    }
    if (stamped == 8) {
        uint64_t sent_ns;
        memcpy(&sent_ns, stamp, sizeof(sent_ns));
        note_latency(it->sink, sent_ns);
    }
    return true;
}

static uint64_t content_length(struct bytes head)
{
    static const char *const names[] = {"Content-Length: ", "content-length: "};
    for (size_t i = 0; i < 2; i++) {
        size_t at = bytes_find(head, bytes_from_text(names[i]), 0);
        if (at != SIZE_MAX) {
            return strtoull((const char *)head.ptr + at + 16, NULL, 10);
        }
    }
    return 0;
}

static bool serve_one(struct sink_connection *it)
{
    size_t end;
    while ((end = bytes_find(bytes_from(it->buffer, it->len), BYTES_LITERAL("\r\n\r\n"), 0)) ==
           SIZE_MAX) {
        if (it->len == READ_BYTES || !fill(it)) {
            return false;
        }
    }
    it->buffer[end + 2] = '\0';
    uint64_t length = content_length(bytes_from(it->buffer, end + 2));
    if (!skip_body(it, end + 4, length)) {
        return false;
    }
    atomic_fetch_add(&it->sink->bytes, length);
    atomic_fetch_add(&it->sink->requests, 1);
    return send(it->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof(answer) - 1);
}

static void serve(void *arg)
{
    struct sink_connection *it = arg;
    it->buffer = malloc(READ_BYTES + 8);
    CHECK(it->buffer != NULL);
    bool is_open = fill(it);
    if (is_open && it->buffer[0] == 'P' && it->len > 2 && it->buffer[1] == 'R') {  // not POST: PRI
        grpc_sink_serve(it->fd, bytes_from(it->buffer, it->len), &it->sink->requests,
                        &it->sink->bytes);
        is_open = false;
    }
    while (is_open && serve_one(it)) {
    }
    shutdown(it->fd, SHUT_RDWR);
    free(it->buffer);
    free(it);
}

static void accept_all(void *arg)
{
    struct sink *sink = arg;
    int fd, on = 1;
    while (!atomic_load(&sink->stopping) &&
           (fd = accept4(sink->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        unsigned index = atomic_fetch_add(&sink->connections, 1);
        CHECK(index < CONNECTIONS_MAX);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct sink_connection *connection = calloc(1, sizeof(*connection));
        CHECK(connection != NULL);
        connection->sink = sink;
        connection->fd = fd;
        sink->fds[index] = fd;
        CHECK(thread_start(&sink->threads[index], "sink", serve, connection) == RESULT_OK);
    }
}

struct sink *sink_start(void)
{
    struct sink *sink = calloc(1, sizeof(*sink));
    CHECK(sink != NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    sink->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(sink->listener, (struct sockaddr *)&address, len) == 0 &&
          listen(sink->listener, 128) == 0);
    CHECK(getsockname(sink->listener, (struct sockaddr *)&address, &len) == 0);
    sink->port = ntohs(address.sin_port);
    atomic_store(&sink->watch, SIZE_MAX);
    sink->latencies = calloc(LATENCIES_MAX, sizeof(uint64_t));
    CHECK(sink->latencies != NULL &&
          thread_start(&sink->acceptor, "sink/accept", accept_all, sink) == RESULT_OK);
    return sink;
}

void sink_stop(struct sink **out)
{
    struct sink *sink = *out;
    atomic_store(&sink->stopping, true);
    shutdown(sink->listener, SHUT_RDWR);
    thread_join(&sink->acceptor);
    for (unsigned i = 0; i < atomic_load(&sink->connections); i++) {
        shutdown(sink->fds[i], SHUT_RDWR);
        thread_join(&sink->threads[i]);
        close(sink->fds[i]);
    }
    close(sink->listener);
    free(sink->latencies);
    free(sink);
    *out = NULL;
}

uint16_t sink_port(const struct sink *sink)
{
    return sink->port;
}

void sink_reset(struct sink *sink)
{
    atomic_store(&sink->requests, 0);
    atomic_store(&sink->bytes, 0);
    atomic_store(&sink->latency_count, 0);
}

uint64_t sink_requests(const struct sink *sink)
{
    return atomic_load(&sink->requests);
}

uint64_t sink_bytes(const struct sink *sink)
{
    return atomic_load(&sink->bytes);
}

void sink_watch(struct sink *sink, size_t offset)
{
    atomic_store(&sink->watch, offset);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t sink_latency(struct sink *sink, double q)
{
    uint64_t count = atomic_load(&sink->latency_count);
    count = count < LATENCIES_MAX ? count : LATENCIES_MAX;
    if (count == 0) {
        return 0;
    }
    qsort(sink->latencies, count, sizeof(uint64_t), compare_u64);
    return sink->latencies[(uint64_t)((double)(count - 1) * q)];
}
