// SPDX-License-Identifier: Apache-2.0
// The bench's load generator: a fixed number of HTTP/1.1 requests or gRPC calls over a few
// connections, each with fresh trace ids, closed loop (the next request goes when the answer is
// there), pipelined, or paced. A thread per connection; loopback only.
#pragma once

#include "tests/bench/sink.h"
#include "tests/bench/workload.h"

struct load_config {
    uint16_t port;
    const struct workload *workload;
    bool grpc;             // bodies as they are; no encoding
    const char *encoding;  // NULL, or "gzip": bodies are compressed beforehand, each for two
                           // requests
    unsigned connections;
    unsigned window;    // requests in flight on a connection; 1: closed loop
    uint64_t requests;  // in all
    double per_second;  // 0: as fast as it goes
    const struct sink
        *sink;  // not NULL: at most 8 MiB run ahead of what it has: queues stay below full
};

struct load_result {
    uint64_t ok, failed;  // answers with 200, others and broken connections
    uint64_t elapsed_ns;
    uint64_t body_bytes;              // sent, as on the wire
    uint64_t ack_p50_ns, ack_p99_ns;  // closed loop and paced only
};

void load_run(const struct load_config *config, struct load_result *result);
