// SPDX-License-Identifier: Apache-2.0
// What is remembered of traces that were decided and forgotten: which spans belonged to decided
// fragments (hashes) and which were targets. So late spans do not decide again, and an agent span
// that ends minutes after an inner one finds out that it stands above it. Bounded: oldest out. One
// thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"

#define DECIDED_SPANS_MAX 64
#define DECIDED_TARGETS_MAX 8

struct decided_target {
    struct span_id id;
    struct span_id above;  // parent of the highest known span of its fragment; zero: a root
    bool superseded;
};
struct decided_trace {
    struct decided_trace *next;  // of its bucket
    struct decided_trace *younger;
    struct trace_id id;
    struct decided_target targets[DECIDED_TARGETS_MAX];
    uint32_t target_count;
    uint32_t span_count;
    uint32_t spans[DECIDED_SPANS_MAX];  // hashes of ids
};

struct decided_traces;
struct decided_traces *decided_traces_new(uint32_t count_max);
void decided_traces_free(struct decided_traces *traces);
struct decided_trace *decided_traces_find(struct decided_traces *traces, const struct trace_id *id);
// The entry of a trace, made when there is none. NULL: out of memory.
struct decided_trace *decided_traces_add(struct decided_traces *traces, const struct trace_id *id);
void decided_trace_add_span(struct decided_trace *trace, const struct span_id *id);
void decided_trace_add_target(struct decided_trace *trace, const struct span_id *id,
                              const struct span_id *above);
bool decided_trace_has_target(const struct decided_trace *trace, const struct span_id *id);
bool decided_trace_has_span(const struct decided_trace *trace, const struct span_id *id);
