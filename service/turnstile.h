// SPDX-License-Identifier: Apache-2.0
// Tells the one who replaces something when nobody uses the old one any more. Readers enter before
// they load the pointer and leave when they are done with what it points to; they never wait and
// pay two atomic additions. The writer replaces the pointer, begins, and asks now and then whether
// everybody who was inside has left. One writer; any number of readers on any threads. Sleepable
// read-copy-update in its smallest form (P. McKenney, "Sleepable RCU", 2006).
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#define TURNSTILE_CELLS 8  // threads spread over them

struct turnstile {
    struct {
        _Alignas(64) atomic_uint inside[2];
    } cells[TURNSTILE_CELLS];
    atomic_uint side;  // which half those who come in now use
    unsigned waits;    // writer: sides that must still be seen empty
};

void turnstile_init(struct turnstile *turnstile);
// Any thread. What it returns is for turnstile_leave, on any thread.
unsigned turnstile_enter(struct turnstile *turnstile);
void turnstile_leave(struct turnstile *turnstile, unsigned ticket);
// Writer: from now on asks for those who are inside. Again while it runs: starts anew.
void turnstile_begin(struct turnstile *turnstile);
// Writer: has everybody left who was inside at turnstile_begin? Never waits; once true, it stays
// so until the next begin.
bool turnstile_passed(struct turnstile *turnstile);
