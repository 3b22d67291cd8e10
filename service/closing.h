// SPDX-License-Identifier: Apache-2.0
// Ends receivers without keeping the main loop: each is drained on a thread of its own, after which
// the main thread frees it. Main thread.
#pragma once

#include "base/thread.h"
#include "service/parts.h"

struct closing {
    struct closing *next;
    struct receiver_part *part;  // one reference
    uint64_t deadline_ns;
    atomic_bool done;
    struct thread thread;
};

// Takes the reference. The list is the caller's. Where no thread can be had, it is drained at once.
void closing_start(struct closing **list, struct receiver_part **part, uint64_t deadline_ns);
// They have until then now, and no longer. Returns when they have drained. Any thread, while nobody
// changes the list.
void closing_hurry(const struct closing *list, uint64_t deadline_ns);
// Frees what has ended; `wait`: all of them.
void closing_collect(struct closing **list, bool wait);
