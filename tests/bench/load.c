// SPDX-License-Identifier: Apache-2.0
//
// Blocking sockets and one writev a request: the generator must cost less than what it measures,
// and what it costs is not counted. Bench only.

#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compression.h"
#include "base/thread.h"
#include "tests/bench/grpc_load.h"

#define CONNECTIONS_MAX 64
#define DISTINCT_MAX 4096
#define LATENCIES_MAX 200000
#define GRPC_RESOURCE_EXHAUSTED 8
#define GRPC_UNAVAILABLE 14
#define AHEAD_BYTES_MAX ((uint64_t)8 << 20)

struct load;

struct load_connection {
    struct load *load;
    struct thread thread;
    uint64_t requests, ok, failed, bytes;
    size_t body_len;  // of the last request; all of a run are about the same
    bool refused;     // the last answer was 503: the same work is sent again
    uint64_t *latencies;
    size_t latency_count;
    char reply[16384];
    size_t reply_len;
    struct grpc_client *grpc;  // NULL: HTTP/1.1
};

struct load {
    const struct load_config *config;
    struct buffer *packed;  // with encoding
    size_t packed_count;
    atomic_uint_fast64_t sequence;
    atomic_uint_fast64_t accepted_bytes;
    struct load_connection connections[CONNECTIONS_MAX];
};

static int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t n = writev(fd, parts, count);
        if (n <= 0) {
            return false;
        }
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return true;
}

static void note_reply(struct load_connection *it, bool ok, bool refused)
{
    it->refused = refused;
    it->ok += ok;
    it->bytes += ok ? it->body_len : 0;
    atomic_fetch_add(&it->load->accepted_bytes, ok ? it->body_len : 0);
    it->failed += !ok && !refused;
}

static bool read_grpc_reply(struct load_connection *it)
{
    int status;
    if (!grpc_client_wait(it->grpc, &status)) {
        return false;
    }
    note_reply(it, status == 0, status == GRPC_UNAVAILABLE || status == GRPC_RESOURCE_EXHAUSTED);
    return true;
}

// One answer: its head, and the body that Content-Length announces.
static bool read_reply(struct load_connection *it, int fd)
{
    if (it->grpc != NULL) {
        return read_grpc_reply(it);
    }
    for (;;) {
        it->reply[it->reply_len] = '\0';
        char *end = strstr(it->reply, "\r\n\r\n");
        if (end != NULL) {
            char *length = strcasestr(it->reply, "content-length:");
            size_t total = (size_t)(end - it->reply) + 4 +
                           (length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0);
            if (it->reply_len >= total) {
                note_reply(it, strncmp(it->reply + 9, "200", 3) == 0,
                           strncmp(it->reply + 9, "503", 3) == 0);
                memmove(it->reply, it->reply + total, it->reply_len - total);
                it->reply_len -= total;
                return true;
            }
        }
        ssize_t n = recv(fd, it->reply + it->reply_len, sizeof(it->reply) - 1 - it->reply_len, 0);
        if (n <= 0) {
            return false;
        }
        it->reply_len += (size_t)n;
    }
}

static bool send_request(struct load_connection *it, int fd, uint8_t *body, uint64_t now_ns)
{
    const struct load_config *config = it->load->config;
    uint64_t sequence = atomic_fetch_add(&it->load->sequence, 1);
    char head[256];
    struct bytes view = buffer_view(&config->workload->body);
    if (config->encoding != NULL) {
        view = buffer_view(&it->load->packed[sequence % it->load->packed_count]);
    } else {
        workload_patch(config->workload, body, sequence, now_ns);
        view.ptr = body;
    }
    it->body_len = view.len;
    if (it->grpc != NULL) {
        return grpc_client_send(it->grpc, view);
    }
    int len = snprintf(head, sizeof(head),
                       "POST /v1/traces HTTP/1.1\r\nHost: bench\r\nContent-Type: "
                       "application/x-protobuf\r\n%s%s%sContent-Length: %zu\r\n\r\n",
                       config->encoding != NULL ? "Content-Encoding: " : "",
                       config->encoding != NULL ? config->encoding : "",
                       config->encoding != NULL ? "\r\n" : "", view.len);
    struct iovec parts[2] = {{head, (size_t)len}, {(void *)(uintptr_t)view.ptr, view.len}};
    return send_all(fd, parts, 2);
}

// The servers acknowledge before they forward: what is measured is the work, not how they refuse
// more of it.
static void wait_for_sink(struct load *load)
{
    const struct sink *sink = load->config->sink;
    for (unsigned i = 0; sink != NULL && i < 20000 &&
                         atomic_load(&load->accepted_bytes) > sink_bytes(sink) + AHEAD_BYTES_MAX;
         i++) {
        usleep(200);
    }
}

static void pace(const struct load_config *config, uint64_t from_ns, uint64_t done)
{
    if (config->per_second > 0) {
        uint64_t due_ns =
            from_ns + (uint64_t)((double)done * config->connections / config->per_second * 1e9);
        struct timespec due = {.tv_sec = (time_t)(due_ns / NS_PER_S),
                               .tv_nsec = (long)(due_ns % NS_PER_S)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}

static void connection_run(void *arg)
{
    struct load_connection *it = arg;
    const struct load_config *config = it->load->config;
    int fd = dial(config->port);
    uint8_t *body = malloc(config->workload->body.len);
    CHECK(body != NULL);
    memcpy(body, config->workload->body.ptr, config->workload->body.len);
    uint64_t sent = 0, answered = 0, from_ns = clock_mono_ns();
    bool alive = fd >= 0;
    it->grpc = alive && config->grpc ? grpc_client_new(fd) : NULL;
    while (alive && answered < it->requests) {
        pace(config, from_ns, sent);
        wait_for_sink(it->load);
        uint64_t now_ns = clock_mono_ns();
        while (alive && sent < it->requests && sent - answered < config->window) {
            alive = send_request(it, fd, body, now_ns);
            sent++;
        }
        while (alive && (sent - answered >= config->window || sent == it->requests) &&
               answered < sent) {
            alive = read_reply(it, fd);
            answered++;
            if (alive && it->refused) {
                usleep(1000);
                answered--;
                sent--;
            }
        }
        if (config->window == 1 && it->latency_count < LATENCIES_MAX) {
            it->latencies[it->latency_count++] = clock_mono_ns() - now_ns;
        }
    }
    it->failed += it->requests - it->ok - it->failed;
    grpc_client_free(it->grpc);
    if (fd >= 0) {
        close(fd);
    }
    free(body);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles(struct load *load, struct load_result *result)
{
    size_t count = 0;
    for (unsigned i = 0; i < load->config->connections; i++) {
        count += load->connections[i].latency_count;
    }
    uint64_t *all = calloc(count + 1, sizeof(*all));
    CHECK(all != NULL);
    count = 0;
    for (unsigned i = 0; i < load->config->connections; i++) {
        struct load_connection *it = &load->connections[i];
        memcpy(all + count, it->latencies, it->latency_count * sizeof(*all));
        count += it->latency_count;
    }
    qsort(all, count, sizeof(*all), compare_u64);
    result->ack_p50_ns = count > 0 ? all[count / 2] : 0;
    result->ack_p99_ns = count > 0 ? all[(size_t)((double)(count - 1) * 0.99)] : 0;
    free(all);
}

// Compressed bodies cannot be patched: they are made beforehand, so many that none needs to be sent
// more than twice. The third time it would be a loop; a quarter is for those that are refused.
static void pack(struct load *load)
{
    const struct load_config *config = load->config;
    struct compressor *compressor = compressor_new();
    uint64_t count = config->requests / 2 + config->requests / 8 + 1;
    load->packed_count = count < DISTINCT_MAX ? (size_t)count : DISTINCT_MAX;
    load->packed = calloc(load->packed_count, sizeof(load->packed[0]));
    CHECK(load->packed != NULL);
    for (size_t i = 0; i < load->packed_count; i++) {
        struct bytes body = buffer_view(&config->workload->body);
        workload_patch(config->workload, config->workload->body.ptr, clock_mono_ns() + i, i);
        buffer_init(&load->packed[i], body.len + 65536);
        CHECK(codec_deflate(compressor, CODEC_GZIP, &body, 1, &load->packed[i]) == RESULT_OK);
    }
    compressor_free(compressor);
}

void load_run(const struct load_config *config, struct load_result *result)
{
    struct load *load = calloc(1, sizeof(*load));
    CHECK(load != NULL && config->connections > 0 && config->connections <= CONNECTIONS_MAX);
    load->config = config;
    memset(result, 0, sizeof(*result));
    if (config->encoding != NULL) {
        pack(load);
    }
    uint64_t from_ns = clock_mono_ns();
    for (unsigned i = 0; i < config->connections; i++) {
        struct load_connection *it = &load->connections[i];
        it->load = load;
        it->requests = config->requests / config->connections;
        it->latencies = calloc(LATENCIES_MAX, sizeof(uint64_t));
        CHECK(it->latencies != NULL &&
              thread_start(&it->thread, "load", connection_run, it) == RESULT_OK);
    }
    for (unsigned i = 0; i < config->connections; i++) {
        struct load_connection *it = &load->connections[i];
        thread_join(&it->thread);
        result->ok += it->ok;
        result->failed += it->failed;
        result->body_bytes += it->bytes;
    }
    result->elapsed_ns = clock_mono_ns() - from_ns;
    quantiles(load, result);
    for (unsigned i = 0; i < config->connections; i++) {
        free(load->connections[i].latencies);
    }
    for (size_t i = 0; i < load->packed_count; i++) {
        buffer_fini(&load->packed[i]);
    }
    free(load->packed);
    free(load);
}
