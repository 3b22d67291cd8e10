// SPDX-License-Identifier: Apache-2.0
// The switchboard: one call per request scans it once, asks each processor what it wants of each
// span, admits the request for the whole way (every exporter queue and shard mailbox, all or
// nothing) and hands the parts over. What no processor wants goes straight to the exporters' queues
// as the bytes it came in. One door per receiver and signal. Any I/O or ingest thread.
#pragma once

#include "service/loop_guard.h"
#include "service/routes.h"
#include "service/turnstile.h"

// The entry of one receiver and signal, for its whole life; where it leads can be exchanged while
// requests pass. Without routes it answers that the client should come again.
struct door {
    struct sink sink;  // first member
    _Atomic(const struct routes *) routes;
    struct turnstile *turnstile;  // borrowed: who has passed it may use the routes
    struct log_episode refused;
    struct journal *journal;  // set by the owner before the first offer; NULL: none
    const char *route;        // the receiver's id, set by the owner; borrowed
    struct loop_guard loops;  // of the door of traces
};

void door_init(struct door *door, struct turnstile *turnstile);
// Borrows the new ones and returns the old ones, which may be freed when everybody has left who was
// inside the turnstile. Main thread.
const struct routes *door_lead(struct door *door, const struct routes *routes);
