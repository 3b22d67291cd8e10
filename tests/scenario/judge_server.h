// SPDX-License-Identifier: Apache-2.0
// A scripted judge on loopback, for unit tests, scenarios and the demo: HTTP/1.1 with keep-alive on
// a thread of its own, both APIs on one port. How it answers is judge_script.h's business; here are
// its life and its counters. Uses base/ only. At most 64 connections, 16 KiB of head and 2 MiB of
// body a request; what is beyond is refused and closed.
#pragma once

#include "tests/scenario/judge_script.h"

struct judge_server_config {
    const struct judge_row *rows;  // borrowed until stop
    size_t row_count;
    const char *api_key;  // borrowed; NULL: any but an empty one
    uint64_t slow_ns;     // how long "slow" waits; 0: 1 s
    // Each request that kept the contract, on the server's thread, before it is answered. Optional.
    void (*on_request)(void *arg, struct bytes body);
    void *arg;
};

struct judge_server;
// Listens on 127.0.0.1, an ephemeral port. RESULT_FAIL: no socket; RESULT_RETRY: no thread.
enum result judge_server_start(const struct judge_server_config *config,
                               struct judge_server **server) MUST_USE;
void judge_server_stop(struct judge_server **server);  // takes; drops what is in flight

// Base URLs as the APIs' own SDKs take them. All below: any thread.
const char *judge_server_openai_url(const struct judge_server *server);
const char *judge_server_anthropic_url(const struct judge_server *server);
// From now on every request is answered so, whatever its model says; -1 ends that.
void judge_server_force(struct judge_server *server, int mode);
uint64_t judge_server_requests(const struct judge_server *server);       // read whole
uint64_t judge_server_refused(const struct judge_server *server);        // broke the contract
uint64_t judge_server_connections(const struct judge_server *server);    // accepted
uint64_t judge_server_in_flight_max(const struct judge_server *server);  // answered at once
