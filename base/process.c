// SPDX-License-Identifier: Apache-2.0
// The number that tells this process from every other one. It is drawn on first use: whoever comes
// first sets it, everybody else takes what was set. Refused: the process id and start time, which
// containers repeat.
//
// Process-wide state: the id, written once. Any thread.
#include "base/process.h"

#include <stdatomic.h>

#include "base/random.h"

static _Atomic uint64_t instance_id;

uint64_t process_instance_id(void)
{
    uint64_t id = atomic_load_explicit(&instance_id, memory_order_relaxed);
    if (id != 0) {
        return id;
    }
    uint64_t fresh = random_entropy();
    fresh = fresh != 0 ? fresh : 1;
    if (atomic_compare_exchange_strong_explicit(&instance_id, &id, fresh, memory_order_relaxed,
                                                memory_order_relaxed)) {
        return fresh;
    }
    return id;
}
