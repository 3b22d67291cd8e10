// SPDX-License-Identifier: Apache-2.0
// Aborts the process when a loop stands still: a process that hangs is worse than one that is
// restarted. A loop takes a turn at least once a second (base/loop.h), also when idle; one that
// took none in five seconds, counting only intervals in which the watchdog itself ran on time (a
// machine that was suspended or starved proves nothing), is stuck.
#pragma once

#include <stdint.h>

#define WATCHDOG_PATIENCE_S 5
#define WATCHDOG_LOOPS_MAX 64

struct watchdog;

// Starts its thread. `stuck` is called, on that thread, with the loop's name; NULL: log and abort.
struct watchdog *watchdog_new(void (*stuck)(const char *name));
void watchdog_free(struct watchdog **watchdog);
// Watches a counter of turns; `name` and `arg` outlive the watchdog or are taken off before. Any
// thread. Beyond WATCHDOG_LOOPS_MAX: ignored.
void watchdog_add(struct watchdog *watchdog, const char *name, uint64_t (*turns)(const void *arg),
                  const void *arg);
void watchdog_remove(struct watchdog *watchdog, const void *arg);
// The longest that a loop has stood still, in whole seconds; NULL: 0. Any thread.
unsigned watchdog_still_s(const struct watchdog *watchdog);
// The one of the process, which runtime starts; NULL before and after. Set and read by any thread.
void watchdog_set_process(struct watchdog *watchdog);
struct watchdog *watchdog_process(void);
// One look at all counters, `elapsed_ns` after the one before; for tests.
void watchdog_look(struct watchdog *watchdog, uint64_t elapsed_ns);
