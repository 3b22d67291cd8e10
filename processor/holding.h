// SPDX-License-Identifier: Apache-2.0
// Parcels whose spans wait. Only possible targets wait, each at most `hold` from its own arrival;
// what came compressed waits as a whole, so that it can leave as the bytes it came in, at most a
// shorter window, and is split only if one of its spans was picked. One set per shard; its thread.
#pragma once

#include "processor/trace_table.h"
#include "proto/component.h"

enum held_state {
    HELD_WAITING,  // its fragment is not decided
    HELD_JUDGING,  // picked: waits for its scores
    HELD_MAY_GO,   // decided: leaves with the next settle
    HELD_GONE,
};

struct holding;
struct held_span {
    struct holding *holding;
    struct trace_span *span;  // valid while the trace of `name` is
    struct trace_name name;
    struct item_place place;
    uint8_t state;  // enum held_state
    bool graded;    // carries scores
};

struct holdings {
    struct shard_env *env;
    uint64_t hold_ns, whole_ns;  // whole_ns: how long what came compressed waits as a whole
    struct holding *first;
    struct holding *dirty;  // some of its spans may go
    uint32_t span_count;    // spans that wait
    // The hold is over for a span that nobody released: called before it leaves.
    void (*over)(void *arg, struct held_span *held, uint64_t now_ns);
    // A span has left. Its trace may be closed by this call.
    void (*left)(void *arg, const struct held_span *held, uint64_t held_ns, uint64_t now_ns);
    void *arg;
};

// Takes a parcel with `count` spans that wait. spans[i].span, name and place are filled by the
// caller and copied; the held spans are linked back (span->held). Anything else in the parcel goes
// where the holding goes (`packed`) or was not to be there.
void holding_add(struct holdings *holdings, struct parcel **parcel, const struct held_span *spans,
                 uint32_t count, bool packed, uint64_t now_ns);
void held_judge(struct held_span *held);
void held_release(struct holdings *holdings, struct held_span *held, bool graded);
struct parcel *held_parcel(const struct held_span *held);
// Passes on what may go. May close traces (through `left`).
void holdings_settle(struct holdings *holdings, uint64_t now_ns);
// Everything leaves now.
void holdings_flush(struct holdings *holdings, uint64_t now_ns);
