// SPDX-License-Identifier: Apache-2.0
//
// A timing wheel of LEVELS x 64 slots over ticks of 1 ms. A timer stands at the level of the
// highest 6-bit digit in which its tick differs from the current one, in the slot of that digit; so
// the earliest timer is always in the first occupied slot of the lowest occupied level, which a
// bitmap per level finds in a few instructions, and an advance over hours of nothing costs nothing.
// A slot of a higher level is dealt out again when the time reaches its beginning. Eight levels
// cover every 64-bit nanosecond, so nothing is clamped and no overflow list exists.
//
// Refused: a heap (O(log n), and cancelling needs an index) and 256 slots per level (four words of
// bitmap and 8 KiB per loop for one dealing-out less). Bounds: memory is fixed, 4 KiB; timers are
// their owners'. One thread.
#include "base/timers.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

enum { LEVELS = 8, DIGIT_BITS = 6, SLOTS = 1 << DIGIT_BITS };

static_assert(LEVELS * DIGIT_BITS > 44, "2^64 ns are less than 2^45 ms");

struct timers {
    uint32_t magic;
    bool advancing;
    uint64_t tick;              // everything up to here has fired or is in `due`
    struct timer *due;          // set to a time that had passed
    uint64_t occupied[LEVELS];  // bit i: slots[level][i] is not empty
    struct timer *slots[LEVELS][SLOTS];
};

#define TIMERS_MAGIC MAGIC('T', 'I', 'M', 'E')

struct timers *timers_new(uint64_t now_ns)
{
    struct timers *timers = calloc(1, sizeof *timers);
    CHECK(timers);
    timers->magic = TIMERS_MAGIC;
    timers->tick = now_ns / NS_PER_MS;
    return timers;
}

static void list_push(struct timer **list, struct timer *timer)
{
    timer->next = *list;
    timer->prev = list;
    if (timer->next) {
        timer->next->prev = &timer->next;
    }
    *list = timer;
}

static void list_remove(struct timer *timer)
{
    CHECK(*timer->prev == timer);
    *timer->prev = timer->next;
    if (timer->next) {
        timer->next->prev = timer->prev;
    }
    timer->next = NULL;
    timer->prev = NULL;
}

// Moves the whole list to `to`, which stays in place while its timers are fired or cancelled.
static void list_move(struct timer **from, struct timer **to)
{
    *to = *from;
    *from = NULL;
    if (*to) {
        (*to)->prev = to;
    }
}

static void list_forget(struct timer **list)
{
    while (*list) {
        list_remove(*list);
    }
}

void timers_free(struct timers *timers)
{
    if (!timers) {
        return;
    }
    CHECK(timers->magic == TIMERS_MAGIC && !timers->advancing);
    list_forget(&timers->due);
    for (unsigned level = 0; level < LEVELS; level++) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            list_forget(&timers->slots[level][slot]);
        }
    }
    timers->magic = 0;
    free(timers);
}

void timer_init(struct timer *timer, timer_fn fire, void *arg)
{
    *timer = (struct timer){.fire = fire, .arg = arg};
}

bool timer_is_set(const struct timer *timer)
{
    return timer->prev != NULL;
}

// The first tick at which `at_ns` has passed: never early.
static uint64_t tick_of(uint64_t at_ns)
{
    return at_ns / NS_PER_MS + (at_ns % NS_PER_MS != 0);
}

static void timers_place(struct timers *timers, struct timer *timer, uint64_t tick)
{
    uint64_t differs = tick ^ timers->tick;
    unsigned level = differs ? (63U - (unsigned)__builtin_clzll(differs)) / DIGIT_BITS : 0;
    CHECK(level < LEVELS);
    unsigned slot = (unsigned)(tick >> (level * DIGIT_BITS)) % SLOTS;
    list_push(&timers->slots[level][slot], timer);
    timers->occupied[level] |= UINT64_C(1) << slot;
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ns)
{
    CHECK(timers->magic == TIMERS_MAGIC);
    CHECK(timer->fire);
    timers_cancel(timers, timer);
    timer->at_ns = at_ns;
    uint64_t tick = tick_of(at_ns);
    if (tick <= timers->tick) {
        list_push(&timers->due, timer);
    } else {
        timers_place(timers, timer, tick);
    }
}

void timers_cancel(struct timers *timers, struct timer *timer)
{
    CHECK(timers->magic == TIMERS_MAGIC);
    if (!timer_is_set(timer)) {
        return;
    }
    struct timer **list = timer->prev;
    list_remove(timer);
    // The first of a slot points back at the slot; the last one leaving clears its bit.
    uintptr_t offset = (uintptr_t)list - (uintptr_t)&timers->slots[0][0];
    if (!*list && offset < sizeof timers->slots) {
        size_t index = offset / sizeof timers->slots[0][0];
        timers->occupied[index / SLOTS] &= ~(UINT64_C(1) << index % SLOTS);
    }
}

// The first occupied slot in order of time and the tick at which it begins.
static bool timers_first(const struct timers *timers, unsigned *level, unsigned *slot,
                         uint64_t *tick)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        if (timers->occupied[i]) {
            unsigned shift = i * DIGIT_BITS;
            *level = i;
            *slot = (unsigned)__builtin_ctzll(timers->occupied[i]);
            uint64_t above = timers->tick >> shift >> DIGIT_BITS << DIGIT_BITS;
            *tick = (above | *slot) << shift;
            return true;
        }
    }
    return false;
}

static unsigned list_fire(struct timer **list, uint64_t now_ns)
{
    unsigned fired = 0;
    while (*list) {
        struct timer *timer = *list;
        list_remove(timer);
        fired++;
        timer->fire(timer, timer->arg, now_ns);  // may free the timer
    }
    return fired;
}

unsigned timers_advance(struct timers *timers, uint64_t now_ns)
{
    CHECK(timers->magic == TIMERS_MAGIC && !timers->advancing);
    uint64_t target = now_ns / NS_PER_MS;
    unsigned level, slot;
    uint64_t tick;
    struct timer *list;
    timers->advancing = true;
    list_move(&timers->due, &list);
    unsigned fired = list_fire(&list, now_ns);
    while (timers_first(timers, &level, &slot, &tick) && tick <= target) {
        CHECK(tick >= timers->tick);
        timers->tick = tick;
        timers->occupied[level] &= ~(UINT64_C(1) << slot);
        list_move(&timers->slots[level][slot], &list);
        if (level == 0) {
            fired += list_fire(&list, now_ns);
            continue;
        }
        while (list) {
            struct timer *timer = list;
            list_remove(timer);
            timers_place(timers, timer, tick_of(timer->at_ns));
        }
    }
    if (timers->tick < target) {
        timers->tick = target;
    }
    timers->advancing = false;
    return fired;
}

uint64_t timers_next_ns(const struct timers *timers)
{
    unsigned level, slot;
    uint64_t tick;
    CHECK(timers->magic == TIMERS_MAGIC);
    if (timers->due) {
        return timers->tick * NS_PER_MS;
    }
    if (!timers_first(timers, &level, &slot, &tick) || tick > UINT64_MAX / NS_PER_MS) {
        return UINT64_MAX;
    }
    return tick * NS_PER_MS;
}
