// SPDX-License-Identifier: Apache-2.0
// A receiver with a relay, the backend behind it, and clients that say bytes. For the tests of the
// relay. Every wait is bounded.
#pragma once

#include "receiver/relay.h"
#include "tests/unit/otlp_peer.h"
#include "tests/unit/scripted_http.h"

#define RELAY_YAML "{protocols: {grpc: {endpoint: 'localhost:0'}, http: {endpoint: 'localhost:0'}}}"
#define RELAY_CLOSE "Connection: close\r\n"

extern struct peer relay_peer;
extern struct scripted_http *relay_backend;
extern struct relay_target relay_to;

// What the backend saw last, and what it answers.
struct relay_seen {
    char line[512], head[8192];
    size_t body_len;
    uint8_t first, last;  // of the body
    atomic_uint count;    // written last
    struct scripted_reply reply;
    atomic_bool is_held;  // it does not answer
};
extern struct relay_seen relay_seen;

// Starts backend and receiver.
void relay_open(const char *yaml);
int relay_set_up(void **state);
int relay_tear_down(void **state);
// Sends bytes; all that comes until the connection ends, or until the other side is silent for
// long. The text lives until the next call.
const char *relay_exchange(const void *request, size_t len);
const char *relay_say(const char *text);
int relay_status(const char *reply);  // 0: none
// GET with these fields on a connection of its own.
const char *relay_get(const char *path, const char *fields);
// How often `what` stands in the text, whatever the case.
unsigned relay_times(const char *text, const char *what);
