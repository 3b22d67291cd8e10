// SPDX-License-Identifier: Apache-2.0
// A chained hash table with a queue through it: the oldest entry makes room. Span ids are kept as
// 32 keyed bits: a false match only means that a late span is taken for one of a decided fragment,
// one time in 67 million.
//
// Bounds: count_max entries, 64 spans and 8 targets each (about 550 bytes). Thread: the shard's.
#include "processor/decided_traces.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

enum { BUCKETS = 4096 };

struct decided_traces {
    uint32_t count, count_max;
    struct decided_trace *oldest, *youngest;
    struct decided_trace *buckets[BUCKETS];
};

struct decided_traces *decided_traces_new(uint32_t count_max)
{
    struct decided_traces *traces = calloc(1, sizeof(*traces));
    CHECK(traces && count_max > 0);
    traces->count_max = count_max;
    return traces;
}

void decided_traces_free(struct decided_traces *traces)
{
    if (!traces) {
        return;
    }
    for (struct decided_trace *trace = traces->oldest, *next; trace; trace = next) {
        next = trace->younger;
        free(trace);
    }
    free(traces);
}

static struct decided_trace **bucket_of(struct decided_traces *traces, const struct trace_id *id)
{
    return &traces->buckets[hash_keyed(id->bytes, sizeof(id->bytes)) % BUCKETS];
}

struct decided_trace *decided_traces_find(struct decided_traces *traces, const struct trace_id *id)
{
    struct decided_trace *trace = *bucket_of(traces, id);
    while (trace && !trace_id_equal(&trace->id, id)) {
        trace = trace->next;
    }
    return trace;
}

static void drop_oldest(struct decided_traces *traces)
{
    struct decided_trace *oldest = traces->oldest;
    struct decided_trace **at = bucket_of(traces, &oldest->id);
    while (*at != oldest) {
        at = &(*at)->next;
    }
    *at = oldest->next;
    traces->oldest = oldest->younger;
    if (!traces->oldest) {
        traces->youngest = NULL;
    }
    traces->count--;
    free(oldest);
}

struct decided_trace *decided_traces_add(struct decided_traces *traces, const struct trace_id *id)
{
    struct decided_trace *trace = decided_traces_find(traces, id);
    if (trace) {
        return trace;
    }
    if (traces->count == traces->count_max) {
        drop_oldest(traces);
    }
    trace = calloc(1, sizeof(*trace));
    if (!trace) {
        return NULL;
    }
    trace->id = *id;
    struct decided_trace **bucket = bucket_of(traces, id);
    trace->next = *bucket;
    *bucket = trace;
    *(traces->youngest ? &traces->youngest->younger : &traces->oldest) = trace;
    traces->youngest = trace;
    traces->count++;
    return trace;
}

static uint32_t span_hash(const struct span_id *id)
{
    return (uint32_t)hash_keyed(id->bytes, sizeof(id->bytes));
}

void decided_trace_add_span(struct decided_trace *trace, const struct span_id *id)
{
    if (trace->span_count < DECIDED_SPANS_MAX) {
        trace->spans[trace->span_count++] = span_hash(id);
    }
}

void decided_trace_add_target(struct decided_trace *trace, const struct span_id *id,
                              const struct span_id *above)
{
    if (trace->target_count < DECIDED_TARGETS_MAX) {
        trace->targets[trace->target_count++] = (struct decided_target){*id, *above, false};
    }
}

bool decided_trace_has_span(const struct decided_trace *trace, const struct span_id *id)
{
    uint32_t hash = span_hash(id);
    for (uint32_t i = 0; i < trace->span_count; i++) {
        if (trace->spans[i] == hash) {
            return true;
        }
    }
    return false;
}

bool decided_trace_has_target(const struct decided_trace *trace, const struct span_id *id)
{
    for (uint32_t i = 0; i < trace->target_count; i++) {
        if (memcmp(trace->targets[i].id.bytes, id->bytes, sizeof(id->bytes)) == 0) {
            return true;
        }
    }
    return false;
}
