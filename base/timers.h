// SPDX-License-Identifier: Apache-2.0
// Deadlines by a hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing
// Wheels", 1987): setting and cancelling are O(1), intrusive, without allocation. Resolution 1 ms
// (a timer never fires early, at most 1 ms late plus the caller's turn). The clock is an argument,
// so tests and the simulator run on their own. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timers;
struct timer;
typedef void (*timer_fn)(struct timer *timer, void *arg, uint64_t now_ns);

struct timer {  // embedded in its owner; zeroed means unset
    struct timer *next, **prev;
    uint64_t at_ns;
    timer_fn fire;
    void *arg;
};

struct timers *timers_new(uint64_t now_ns);  // aborts when memory is out (start only)
void timers_free(struct timers *timers);     // pending timers are forgotten, not fired
void timer_init(struct timer *timer, timer_fn fire, void *arg);
bool timer_is_set(const struct timer *timer);
// (Re)sets to an absolute time; one in the past fires at the next advance.
void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ns);
void timers_cancel(struct timers *timers, struct timer *timer);  // no-op when unset
// Fires what is due, in order of time at wheel resolution; a callback may set, cancel and free any
// timer, its own too. One that it sets to a time that has passed fires at the next advance. Returns
// how many fired.
unsigned timers_advance(struct timers *timers, uint64_t now_ns);
// When the next advance is worth while: a lower bound of the next deadline; UINT64_MAX when none is
// set.
uint64_t timers_next_ns(const struct timers *timers);
