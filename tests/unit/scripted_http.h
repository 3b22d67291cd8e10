// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server on loopback for tests: one thread, raw sockets, answers from a function
// of the test. Bodies are handed over inflated. Bounded: 32 connections, 16 MiB per request.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct scripted_request {
    unsigned index;     // 0, 1 ... over all connections
    struct bytes line;  // "POST /v1/traces HTTP/1.1"
    struct bytes head;  // all header lines
    struct bytes body;  // inflated
    struct bytes wire;  // as it came
};

// The value of a header of the request; empty when absent.
struct bytes scripted_header(const struct scripted_request *request, const char *name);

struct scripted_reply {
    int status;           // 200 when left 0
    const char *headers;  // whole lines, "Retry-After: 1\r\n"; may be NULL
    struct bytes body;    // must live until the server stops
    size_t send_bytes;    // of the reply, then the connection is reset; 0: all
    bool drip;            // a byte at a time
    bool is_silent;       // the connection is closed without an answer
    size_t filler_bytes;  // this much body instead of `body`
};
// On the server's thread.
typedef void (*scripted_fn)(void *arg, const struct scripted_request *request,
                            struct scripted_reply *reply);

struct scripted_http;
struct scripted_http *scripted_http_start(scripted_fn answer, void *arg);
unsigned scripted_http_port(const struct scripted_http *server);
// Waits until `count` requests have come in, answered or not, for at most ten seconds; false:
// they have not.
bool scripted_http_await(struct scripted_http *server, unsigned count);
unsigned scripted_http_count(struct scripted_http *server);
void scripted_http_stop(struct scripted_http **server);
