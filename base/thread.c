// SPDX-License-Identifier: Apache-2.0
//
// Threads with a name and mutexes with a row. A thread starts with all signals blocked, so that
// they arrive only where the service reads them; the faults that a thread raises itself stay
// unblocked, because a blocked SIGSEGV kills without the sanitizer's report. "Never two mutexes at
// once" makes deadlock impossible without a lock order, and is checked by a count per thread.
// Refused: mutexes inside structs, which nobody can list. Bounds: MUTEX_COUNT mutexes, for ever.
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static pthread_mutex_t mutexes[MUTEX_COUNT] = {
#define MUTEX(name, what) [MUTEX_##name] = PTHREAD_MUTEX_INITIALIZER,
#include "base/mutexes.def"
#undef MUTEX
};

static _Thread_local unsigned mutexes_held;

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->arg);
    CHECK(mutexes_held == 0);
    return NULL;
}

enum result thread_start(struct thread *thread, const char *name, void (*run)(void *), void *arg)
{
    CHECK(strlen(name) < sizeof thread->name);
    *thread = (struct thread){.run = run, .arg = arg};
    snprintf(thread->name, sizeof thread->name, "%s", name);
    sigset_t blocked, before;
    sigfillset(&blocked);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        sigdelset(&blocked, faults[i]);
    }
    CHECK(pthread_sigmask(SIG_SETMASK, &blocked, &before) == 0);
    int error = pthread_create(&thread->id, NULL, thread_main, thread);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (error != 0) {
        return RESULT_RETRY;
    }
    thread->started = 1;
    return RESULT_OK;
}

void thread_join(struct thread *thread)
{
    if (thread->started) {
        CHECK(pthread_join(thread->id, NULL) == 0);
        thread->started = 0;
    }
}

void mutex_lock(enum mutex_id id)
{
    CHECK((unsigned)id < MUTEX_COUNT);
    CHECK(mutexes_held == 0);
    CHECK(pthread_mutex_lock(&mutexes[id]) == 0);
    mutexes_held++;
}

void mutex_unlock(enum mutex_id id)
{
    CHECK((unsigned)id < MUTEX_COUNT);
    CHECK(mutexes_held == 1);
    mutexes_held--;
    CHECK(pthread_mutex_unlock(&mutexes[id]) == 0);
}
