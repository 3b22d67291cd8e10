// SPDX-License-Identifier: Apache-2.0
// A small gRPC server on loopback for tests, on gRPC core's C API: one completion thread, answers
// from a function of the test. Messages are handed over inflated.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "proto/otlp.h"
#include "tests/unit/certificate.h"

struct scripted_call {
    unsigned index;  // 0, 1 ... over all connections
    enum signal signal;
    struct bytes message;  // inflated
    const void *metadata;  // for scripted_metadata
    int64_t time_left_ms;  // until the client's deadline
};

// A metadata value of the call; empty when absent.
struct bytes scripted_metadata(const struct scripted_call *call, const char *key);

struct scripted_status {
    int code;              // google.rpc.Code
    const char *text;      // NULL: none
    struct bytes details;  // grpc-status-details-bin; empty: none
    struct bytes message;  // of an OK
    bool hang;             // never answers
};
// On the server's thread.
typedef void (*scripted_grpc_fn)(void *arg, const struct scripted_call *call,
                                 struct scripted_status *status);

struct scripted_grpc;
// Plaintext without a certificate; else TLS.
struct scripted_grpc *scripted_grpc_start(scripted_grpc_fn answer, void *arg,
                                          const struct certificate *certificate);
unsigned scripted_grpc_port(const struct scripted_grpc *server);
unsigned scripted_grpc_count(struct scripted_grpc *server);
// Waits until `count` calls have come in, answered or not, for at most ten seconds.
bool scripted_grpc_await(struct scripted_grpc *server, unsigned count);
void scripted_grpc_stop(struct scripted_grpc **server);
