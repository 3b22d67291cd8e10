// SPDX-License-Identifier: Apache-2.0
//
// Two counts, of which newcomers use one. A reader may read which one is in use, be delayed, and
// count itself into the other: it then loads the pointer after it was replaced and harms nobody,
// but it must not hide from the next wait. Hence every wait turns twice and sees both counts empty
// (the cells one after the other: who comes in late is counted in the other half).
//
// Refused: a reference count in the object, which a reader cannot take safely before it has loaded
// the pointer, and a lock. Bounds: none but the counts. Readers: any thread; writer: one.

#include "service/turnstile.h"

#include <stdint.h>
#include <string.h>

#include "base/check.h"

// Its address is as good as a number of the thread.
static _Thread_local char thread_mark;

static unsigned cell_of_thread(void)
{
    uintptr_t mark = (uintptr_t)&thread_mark;
    return (unsigned)((mark >> 6 ^ mark >> 12 ^ mark >> 20) % TURNSTILE_CELLS);
}

void turnstile_init(struct turnstile *turnstile)
{
    memset(turnstile, 0, sizeof(*turnstile));
}

unsigned turnstile_enter(struct turnstile *turnstile)
{
    unsigned cell = cell_of_thread();
    unsigned side = atomic_load_explicit(&turnstile->side, memory_order_relaxed) & 1;
    atomic_fetch_add(&turnstile->cells[cell].inside[side], 1);
    return cell * 2 + side;
}

void turnstile_leave(struct turnstile *turnstile, unsigned ticket)
{
    CHECK(ticket < 2 * TURNSTILE_CELLS);
    unsigned before = atomic_fetch_sub_explicit(&turnstile->cells[ticket / 2].inside[ticket % 2], 1,
                                                memory_order_release);
    CHECK(before > 0);
}

void turnstile_begin(struct turnstile *turnstile)
{
    turnstile->waits = 2;
    atomic_fetch_add(&turnstile->side, 1);
}

bool turnstile_passed(struct turnstile *turnstile)
{
    while (turnstile->waits > 0) {
        unsigned left = (atomic_load(&turnstile->side) + 1) & 1;
        for (unsigned i = 0; i < TURNSTILE_CELLS; i++) {
            if (atomic_load(&turnstile->cells[i].inside[left]) > 0) {
                return false;
            }
        }
        if (--turnstile->waits > 0) {
            atomic_fetch_add(&turnstile->side, 1);
        }
    }
    return true;
}
