// SPDX-License-Identifier: Apache-2.0
// From the bytes of a request's body to an offer: inflates with ceilings on both forms, turns JSON
// into protobuf, seals a batch (with the packed form kept beside it) and offers it to the sink.
// Knows nothing of HTTP or gRPC. Each I/O thread and each ingest worker has one intake.
#pragma once

#include "proto/sink.h"

// What an I/O thread does in its turn: bodies up to here, both forms together.
#define INTAKE_LIGHT_BYTES      ((size_t)256 << 10)
#define INTAKE_LIGHT_JSON_BYTES ((size_t)64 << 10)

struct intake;

struct intake_call {
    // Set by the caller.
    enum signal signal;
    enum codec codec;            // of the body as sent
    bool is_json;
    size_t plain_max;            // ceiling of the inflated form and of the transcoded one
    struct sink *sink;           // borrowed
    uint64_t received_ns;
    struct metadata *metadata;   // taken with the body; NULL: none
    struct slab body;            // taken, unless intake_run returns false
    // Set by intake_run.
    enum result result;
    uint32_t item_count;         // sound items of the request, as far as it was scanned
    struct offer_reply reply;    // message: why not, or what a partial success left out
    struct commit_wait wait;     // with reply.must_await: the caller fills and awaits it
};

// `home` is borrowed, `account` too and may be NULL.
struct intake *intake_new(struct account *account, struct batch_home *home);
void intake_free(struct intake **intake);
// Does all of it. With `is_light`, false means that the body is more than a turn's work: nothing
// has happened to the call, an ingest worker must do it.
bool intake_run(struct intake *intake, struct intake_call *call, bool is_light);
