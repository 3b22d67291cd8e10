// SPDX-License-Identifier: Apache-2.0
//
// A thread that wakes once a second, compares each loop's turns with what they were, and counts
// the intervals without one.
//
// Refused: a signal or an alarm per loop. Bounds: 64 loops. MUTEX_WATCHDOG guards the list, since
// loops come and go with their components.

#include "base/watchdog.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#define INTERVAL_NS NS_PER_S
#define ON_TIME_NS (3 * NS_PER_S / 2)  // a later look was not on time
#define STOP_POLL_NS (50 * NS_PER_MS)

struct watched {
    const char *name;
    uint64_t (*turns)(const void *arg);
    const void *arg;
    uint64_t last_turns;
    unsigned still;  // intervals without a turn
};

struct watchdog {
    struct watched loops[WATCHDOG_LOOPS_MAX];
    unsigned count;
    void (*stuck)(const char *name);
    atomic_bool stopping;
    struct thread thread;
};

static struct watchdog *_Atomic process_watchdog;

void watchdog_set_process(struct watchdog *watchdog)
{
    atomic_store(&process_watchdog, watchdog);
}

struct watchdog *watchdog_process(void)
{
    return atomic_load(&process_watchdog);
}

static void abort_process(const char *name)
{
    log_line(LOG_ERROR, "base/watchdog", "a loop made no turn in 5 s: aborting",
             LOG_TEXT("loop", name));
    abort();
}

void watchdog_look(struct watchdog *watchdog, uint64_t elapsed_ns)
{
    const char *stuck = NULL;
    mutex_lock(MUTEX_WATCHDOG);
    for (unsigned i = 0; i < watchdog->count; i++) {
        struct watched *loop = &watchdog->loops[i];
        uint64_t turns = loop->turns(loop->arg);
        if (turns != loop->last_turns) {
            loop->still = 0;
        } else if (elapsed_ns <= ON_TIME_NS && ++loop->still >= WATCHDOG_PATIENCE_S) {
            stuck = loop->name;
        }
        loop->last_turns = turns;
    }
    mutex_unlock(MUTEX_WATCHDOG);
    if (stuck != NULL) {
        watchdog->stuck(stuck);
    }
}

unsigned watchdog_still_s(const struct watchdog *watchdog)
{
    unsigned still = 0;
    mutex_lock(MUTEX_WATCHDOG);
    for (unsigned i = 0; watchdog != NULL && i < watchdog->count; i++) {
        still = watchdog->loops[i].still > still ? watchdog->loops[i].still : still;
    }
    mutex_unlock(MUTEX_WATCHDOG);
    return still;
}

static void watch(void *arg)
{
    struct watchdog *watchdog = arg;
    uint64_t last_ns = clock_mono_ns();
    while (!atomic_load(&watchdog->stopping)) {
        const struct timespec pause = {.tv_nsec = (long)STOP_POLL_NS};
        nanosleep(&pause, NULL);
        uint64_t now_ns = clock_mono_ns();
        if (now_ns - last_ns >= INTERVAL_NS) {
            watchdog_look(watchdog, now_ns - last_ns);
            last_ns = now_ns;
        }
    }
}

struct watchdog *watchdog_new(void (*stuck)(const char *name))
{
    struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
    CHECK(watchdog != NULL);
    watchdog->stuck = stuck != NULL ? stuck : abort_process;
    CHECK(thread_start(&watchdog->thread, "watchdog", watch, watchdog) == RESULT_OK);
    return watchdog;
}

void watchdog_free(struct watchdog **watchdog)
{
    if (*watchdog != NULL) {
        atomic_store(&(*watchdog)->stopping, true);
        thread_join(&(*watchdog)->thread);
        free(*watchdog);
        *watchdog = NULL;
    }
}

void watchdog_add(struct watchdog *watchdog, const char *name, uint64_t (*turns)(const void *arg),
                  const void *arg)
{
    if (watchdog == NULL) {
        return;  // tests and tools run without one
    }
    mutex_lock(MUTEX_WATCHDOG);
    if (watchdog->count < WATCHDOG_LOOPS_MAX) {
        watchdog->loops[watchdog->count++] =
            (struct watched){.name = name, .turns = turns, .arg = arg};
    }
    mutex_unlock(MUTEX_WATCHDOG);
}

void watchdog_remove(struct watchdog *watchdog, const void *arg)
{
    if (watchdog == NULL) {
        return;
    }
    mutex_lock(MUTEX_WATCHDOG);
    for (unsigned i = 0; i < watchdog->count; i++) {
        if (watchdog->loops[i].arg == arg) {
            watchdog->loops[i] = watchdog->loops[--watchdog->count];
            break;
        }
    }
    mutex_unlock(MUTEX_WATCHDOG);
}
