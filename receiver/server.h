// SPDX-License-Identifier: Apache-2.0
// A server on one loop: listeners, connections, routes, limits. HTTP/1.1, HTTP/2 and gRPC on
// every port, told apart by ALPN and by the first bytes. The otlp receiver has one per I/O
// thread; the service has one on its main loop for metrics, health and the admin endpoint. All
// functions on the loop's thread unless marked.
//
//     struct server *server = server_new(loop, &config);
//     server_route(server, routes, route_count);
//     if (server_listen(server, &listen, why, sizeof why) != RESULT_OK) ...
//     ... loop_run ...
//     server_drain(server, deadline_ns, done, arg);     // then, when the loop has stopped:
//     server_free(&server);
#pragma once

#include "base/loop.h"
#include "receiver/request.h"
#include "receiver/tls_server.h"

struct server_config {                 // zero means the default in brackets
    unsigned connections_max;          // [1024]; at the cap the longest idle one makes room
    unsigned streams_max;              // HTTP/2 concurrent streams [100]
    size_t head_bytes_max;             // request line and headers [64 KiB]; beyond: 431
    uint64_t head_timeout_ns;          // from the first byte of a head to its end [10 s]: 408
    uint64_t body_timeout_ns;          // without a byte of a body that is awaited [30 s]: 408
    uint64_t request_timeout_ns;       // from the head to the end of the body [none]: 408
    uint64_t write_timeout_ns;         // without progress while a reply waits to be sent [30 s]
    uint64_t idle_timeout_ns;          // without a request in hand [5 min]
    uint64_t age_max_ns;               // HTTP/2: GOAWAY after this time [none]
    uint64_t age_grace_ns;             // HTTP/2: and the end this much later [none]
    uint64_t ping_after_ns;            // HTTP/2: silence before a PING [2 h]
    uint64_t ping_timeout_ns;          // HTTP/2: silence after it that is the end [20 s]
    struct batch_home *home;           // borrowed: slabs for bodies; NULL: one of its own
};

struct listen_config {
    struct bytes endpoint;             // "localhost:4317", "0.0.0.0:0", "[::]:4318", ":4318"
    uint16_t port;                     // not 0: instead of the endpoint's
    int family;                        // AF_UNSPEC, AF_INET, AF_INET6
    bool reuse_port;                   // SO_REUSEPORT: several servers share the endpoint
    struct tls_server *tls;            // borrowed; NULL: plain text
    const struct listen_policy *policy;  // borrowed; NULL: everybody may (receiver/policy.h)
    bool is_unix;                      // the endpoint is the path of a socket, "@" first: abstract
    unsigned permissions;              // of a unix socket: 0600
    bool takes_over;                   // an address that this process listens on is shared with
                                       // the other listener; a live unix socket is replaced
    int shared_fd;                     // > 0: a listening socket to accept from as well
};

struct server_counts {                 // since the start; connections: now
    uint64_t accepted, evicted, accept_failures, timeouts;
    unsigned connections;
};

// Aborts when memory is out (start only).
struct server *server_new(struct loop *loop, const struct server_config *config);
// `routes` are borrowed for the server's life; one call only.
void server_route(struct server *server, const struct http_route *routes, size_t count);
// Opens a listener; "localhost" is 127.0.0.1 and, where there is one, ::1. RESULT_FAIL with a
// sentence.
enum result server_listen(struct server *server, const struct listen_config *config, char *why,
                          size_t why_len) MUST_USE;
// The port of the index-th server_listen, which is the kernel's choice when the endpoint said 0.
uint16_t server_port(const struct server *server, unsigned index);
// The (first) socket of the index-th server_listen, for shared_fd of another server's.
int server_listen_fd(const struct server *server, unsigned index);
// Stops accepting, tells HTTP/2 peers to go (GOAWAY twice, RFC 9113 6.8), ends idle connections,
// answers what is in hand with `Connection: close`; calls `done` when the last connection is
// gone. What is left at the deadline is cut.
void server_drain(struct server *server, uint64_t deadline_ns, void (*done)(void *arg), void *arg);
// Of a drain: earlier than it was.
void server_drain_by(struct server *server, uint64_t deadline_ns);
bool server_is_draining(const struct server *server);
void server_counts(const struct server *server, struct server_counts *counts);
// Connections now. Any thread.
unsigned server_connection_count(const struct server *server);
// Cuts every connection. The loop must not run again. Requests that are still with a handler are
// the handler's to answer (dropped) before this call.
void server_free(struct server **server);
