// SPDX-License-Identifier: Apache-2.0
//
// Threads and mutexes: names, signals, exclusion, and misuse that must crash rather than hang.
#include "base/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "tests/unit/crash.h"

struct seen {
    char name[16];
    int usr1_blocked;
    int term_blocked;
    int segv_blocked;
};

static void look_around(void *arg)
{
    struct seen *seen = arg;
    sigset_t blocked;
    prctl(PR_GET_NAME, seen->name);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    seen->usr1_blocked = sigismember(&blocked, SIGUSR1);
    seen->term_blocked = sigismember(&blocked, SIGTERM);
    seen->segv_blocked = sigismember(&blocked, SIGSEGV);
}

static void a_thread_has_its_name_and_no_signals(void **state)
{
    (void)state;
    struct thread thread;
    struct seen seen = {.segv_blocked = -1};
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(thread_start(&thread, "fifteen-letters", look_around, &seen), RESULT_OK);
    thread_join(&thread);
    assert_string_equal(seen.name, "fifteen-letters");
    assert_int_equal(seen.usr1_blocked, 1);
    assert_int_equal(seen.term_blocked, 1);
    // A fault must reach the sanitizer's or the kernel's report.
    assert_int_equal(seen.segv_blocked, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGUSR1), sigismember(&after, SIGUSR1));
}

static void joining_what_was_never_started_does_nothing(void **state)
{
    (void)state;
    struct thread thread = {0};
    thread_join(&thread);
    struct seen seen;
    assert_int_equal(thread_start(&thread, "", look_around, &seen), RESULT_OK);
    thread_join(&thread);
    thread_join(&thread);
}

enum { ROUNDS = 20000 };
static unsigned guarded;

static void count_under_lock(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        mutex_lock(MUTEX_LEDGER);
        guarded++;
        mutex_unlock(MUTEX_LEDGER);
    }
}

static void a_mutex_excludes(void **state)
{
    (void)state;
    struct thread threads[3];
    guarded = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(thread_start(&threads[i], "counter", count_under_lock, NULL), RESULT_OK);
    }
    for (unsigned i = 0; i < 3; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(guarded, 3 * ROUNDS);
}

static void lock_two(void *arg)
{
    (void)arg;
    mutex_lock(MUTEX_LEDGER);
    mutex_lock(MUTEX_METRICS);
}

static void lock_twice(void *arg)
{
    (void)arg;
    mutex_lock(MUTEX_LEDGER);
    mutex_lock(MUTEX_LEDGER);
}

static void unlock_unheld(void *arg)
{
    (void)arg;
    mutex_unlock(MUTEX_LEDGER);
}

static void lock_unknown(void *arg)
{
    (void)arg;
    mutex_lock(MUTEX_COUNT);
}

static void end_holding(void *arg)
{
    (void)arg;
    mutex_lock(MUTEX_LEDGER);
}

static void thread_that_keeps_a_mutex(void *arg)
{
    struct thread thread;
    if (thread_start(&thread, "keeper", end_holding, arg) == RESULT_OK) {
        thread_join(&thread);
    }
}

static void long_name(void *arg)
{
    struct thread thread;
    (void)!thread_start(&thread, "sixteen-letters!", look_around, arg);
}

static void misuse_crashes_instead_of_hanging(void **state)
{
    (void)state;
    struct seen seen;
    assert_true(crashes(lock_two, NULL));
    assert_true(crashes(lock_twice, NULL));
    assert_true(crashes(unlock_unheld, NULL));
    assert_true(crashes(lock_unknown, NULL));
    assert_true(crashes(thread_that_keeps_a_mutex, NULL));
    assert_true(crashes(long_name, &seen));
}

static void two_mutexes_one_after_the_other_are_fine(void **state)
{
    (void)state;
    for (int id = 0; id < MUTEX_COUNT; id++) {
        mutex_lock((enum mutex_id)id);
        mutex_unlock((enum mutex_id)id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_crashes_instead_of_hanging),
        cmocka_unit_test(a_thread_has_its_name_and_no_signals),
        cmocka_unit_test(joining_what_was_never_started_does_nothing),
        cmocka_unit_test(a_mutex_excludes),
        cmocka_unit_test(two_mutexes_one_after_the_other_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
