// SPDX-License-Identifier: Apache-2.0
// Request bodies for the bench: serialised ExportTraceServiceRequests of a given shape, with the
// places of their trace ids, so that each request that is sent can carry fresh ids and the time of
// its sending. Made once per row; patching is one store per trace.
#pragma once

#include "base/buffer.h"

enum workload_kind {
    WORKLOAD_SMALL,  // RPC spans of about 383 bytes, eight attributes
    WORKLOAD_LLM,    // model spans of about 20 KB: prompt and answer as text
    WORKLOAD_AGENT,  // LLM spans of which the last is an agent span (a possible target, a local
                     // root)
};

struct workload {
    struct buffer body;
    size_t *ids;  // offsets of the 16 bytes of each trace id
    size_t id_count;
    unsigned span_count;
};

void workload_init(struct workload *workload, enum workload_kind kind, unsigned span_count);
void workload_fini(struct workload *workload);
// Writes the ids of request number `sequence` (all spans of a request belong to one trace) and a
// time into their last eight bytes.
void workload_patch(const struct workload *workload, uint8_t *body, uint64_t sequence,
                    uint64_t time_ns);
