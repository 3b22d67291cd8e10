// SPDX-License-Identifier: Apache-2.0
// Threads with names, and every mutex of the program as a row of mutexes.def. pthreads are used
// nowhere else.
#pragma once

#include <pthread.h>

#include "base/result.h"

struct thread {
    pthread_t id;
    int started;
    void (*run)(void *arg);
    void *arg;
    char name[16];
};

// Starts `run(arg)` on a thread named `name` (at most 15 bytes, shown by top -H) with all signals
// blocked but the faults that a thread raises itself. `thread` and `arg` must stay until
// thread_join. RESULT_RETRY when the system refuses a thread.
enum result thread_start(struct thread *thread, const char *name, void (*run)(void *),
                         void *arg) MUST_USE;
void thread_join(struct thread *thread);  // no-op when not started

enum mutex_id {
#define MUTEX(name, what) MUTEX_##name,
#include "base/mutexes.def"
#undef MUTEX
    MUTEX_COUNT
};

// One process-wide mutex per row. Never held across I/O or a callback; never two at once (checked).
void mutex_lock(enum mutex_id id);
void mutex_unlock(enum mutex_id id);
