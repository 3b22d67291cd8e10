// SPDX-License-Identifier: Apache-2.0
// What the files of the server share: its state, its pool of requests, its list of connections.
// Only receiver/{server,listener,connection,request,http1,http2}.c include this. One thread.
#pragma once

#include <stdatomic.h>

#include "receiver/server.h"

#define REQUEST_MAGIC        MAGIC('R', 'Q', 'S', 'T')
#define SERVER_LISTENERS_MAX 8             // server_listen calls
#define SERVER_READ_BYTES    ((size_t)64 << 10)
#define SERVER_OUT_HIGH      ((size_t)64 << 10)  // more output waits: nothing more is read

struct connection;
struct listener;
struct http2_setup;

struct server {
    uint32_t magic;
    struct loop *loop;                    // NULL in tests of the sessions alone
    struct server_config config;          // defaults filled in
    struct batch_home *home;
    struct batch_home *own_home;          // when the configuration brought none
    const struct http_route *routes;
    size_t route_count;
    struct listener *listeners[SERVER_LISTENERS_MAX];
    unsigned listener_count;
    struct connection *connections;       // all, newest first
    struct connection *woken;             // to be resumed by the hook of this turn
    struct request *free_requests;
    unsigned free_count;
    struct http2_setup *http2;            // callbacks and options, made once
    uint8_t *read_buffer;                 // SERVER_READ_BYTES, shared by all connections
    struct loop_hook hook;
    struct timer sweep;
    uint64_t sweep_ns;                    // its interval
    struct server_counts counts;
    atomic_uint connection_count;
    bool draining;
    uint64_t drain_began_ns, drain_deadline_ns;
    void (*drained)(void *arg);
    void *drained_arg;
    char date[32];                        // IMF-fixdate of date_s
    uint64_t date_s;
};

// A server without loop, listeners and connections: what http1.c and http2.c need.
void server_init_core(struct server *server, const struct server_config *config);
void server_fini_core(struct server *server);
uint64_t server_now_ns(const struct server *server);
// "Mon, 02 Feb 2026 03:04:05 GMT" of about now (RFC 9110 6.6.1), renewed once a second.
const char *server_date(struct server *server);

// A request with an empty head; aborts when memory is out.
struct request *server_take_request(struct server *server);
// Takes back: drops the body, keeps modest memory. NULL is allowed.
void server_give_request(struct server *server, struct request *request);
// Looks the route up and answers 404 / 405 / UNIMPLEMENTED where there is none; then route->admit.
// True: go on with the body.
bool server_admit(struct server *server, struct request *request);
// The body is complete: the handler's turn.
void server_handle(struct server *server, struct request *request);
