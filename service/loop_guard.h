// SPDX-License-Identifier: Apache-2.0
// Cuts loops through others, which lose the hop header: whoever sends a door spans that have passed
// it twice in the last minute is sending them in a circle. Asked once for each request of traces
// that would be admitted; what is refused is not noted, so that retries are no loop. A span is
// known by its ids and its two times: agents that give several spans one id are no loop either.
#pragma once

#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "proto/scan.h"

#define LOOP_SAMPLE_MAX 8
#define LOOP_WINDOW_S 60

struct loop_sample_span {
    uint64_t key;  // by which it was chosen; each only once
    struct trace_id trace_id;
    struct span_id span_id;
    uint64_t start_ns, end_ns;
};

// Up to LOOP_SAMPLE_MAX spans of one request: those with the smallest keys, ascending, wherever
// they stand in it. On the caller's stack.
struct loop_sample {
    uint64_t limit;  // keys from here on are not chosen
    unsigned count;
    struct loop_sample_span spans[LOOP_SAMPLE_MAX];  // valid up to count
};

static inline void loop_sample_init(struct loop_sample *sample)
{
    sample->limit = UINT64_MAX;
    sample->count = 0;
}

void loop_sample_choose(struct loop_sample *sample, uint64_t key, const struct item_view *view);

// Each sound span of a request; those without ids are passed by. Copies. Some ten instructions for
// nearly all of them.
static inline void loop_sample_add(struct loop_sample *sample, const struct item_view *view)
{
    uint64_t key;
    if (view->span_id == NULL || view->trace_id == NULL) {
        return;
    }
    memcpy(&key, view->span_id, sizeof(key));
    key = (key ^ view->end_ns) * UINT64_C(0x9e3779b97f4a7c15);
    if (key < sample->limit) {
        loop_sample_choose(sample, key, view);
    }
}

struct loop_table;

struct loop_guard {                      // of one door; zeroed is ready
    _Atomic(struct loop_table *) table;  // made for the first request, 512 KiB
    _Atomic(struct metric *) caught;     // sidejudge_loop_requests_total; made with the table
    struct log_episode episode;
};

void loop_guard_fini(struct loop_guard *guard);
// Notes the sample of a request that is about to be admitted. True: more than half of it has passed
// twice before, each time within LOOP_WINDOW_S of the last; it must not pass again, is counted and,
// once per episode, logged under the id of the receiver. What was noted in another `epoch` does not
// count: admitted, it was not kept. Any thread.
bool loop_guard_catches(struct loop_guard *guard, const struct loop_sample *sample, uint64_t epoch,
                        const char *receiver, uint64_t now_ns);
