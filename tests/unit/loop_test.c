// SPDX-License-Identifier: Apache-2.0
//
// The event loop on socket pairs: watches that disappear in their own turn, timers, hooks, wake-ups
// of another thread, and what the kernel refuses.
#include "base/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/thread.h"
#include "tests/unit/allocation.h"
#include "tests/unit/crash.h"

struct pair {
    struct loop_fd watch;
    int peer;
    struct loop *loop;
    unsigned calls;
    uint32_t last_events;
    struct pair *victim;  // unwatched when this one is called
};

static void on_ready(struct loop_fd *watch, uint32_t events)
{
    struct pair *pair = watch->arg;
    char byte;
    pair->calls++;
    pair->last_events = events;
    if (events & EPOLLIN) {
        (void)!read(watch->fd, &byte, 1);
    }
    if (pair->victim) {
        loop_unwatch(pair->loop, &pair->victim->watch);
        memset(&pair->victim->watch, 0xaa, sizeof pair->victim->watch);  // as if freed
    }
}

static void pair_init(struct pair *pair, struct loop *loop)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    *pair = (struct pair){.peer = fds[1], .loop = loop};
    pair->watch = (struct loop_fd){.fd = fds[0], .ready = on_ready, .arg = pair};
}

static void pair_fini(struct pair *pair)
{
    loop_unwatch(pair->loop, &pair->watch);
    close(pair->watch.fd);
    close(pair->peer);
}

static void send_byte(struct pair *pair)
{
    assert_int_equal(write(pair->peer, "x", 1), 1);
}

static void a_watch_is_called_for_the_events_that_it_asked_for(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pair pair;
    pair_init(&pair, loop);
    send_byte(&pair);
    loop_run_once(loop, 0);
    assert_int_equal(pair.calls, 0);  // not watched yet
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLIN), RESULT_OK);
    loop_run_once(loop, -1);
    assert_int_equal(pair.calls, 1);
    assert_int_equal(pair.last_events, EPOLLIN);
    loop_run_once(loop, 0);
    assert_int_equal(pair.calls, 1);
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLOUT), RESULT_OK);
    loop_run_once(loop, -1);
    assert_int_equal(pair.last_events, EPOLLOUT);
    assert_int_equal(loop_watch(loop, &pair.watch, 0), RESULT_OK);
    assert_int_equal(pair.watch.events, 0);
    send_byte(&pair);
    loop_run_once(loop, 0);
    assert_int_equal(pair.calls, 2);
    pair_fini(&pair);
    loop_free(loop);
}

static void a_hang_up_is_told_unasked(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pair pair;
    pair_init(&pair, loop);
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLOUT), RESULT_OK);
    assert_int_equal(shutdown(pair.peer, SHUT_RDWR), 0);
    loop_run_once(loop, -1);
    assert_true(pair.last_events & EPOLLHUP);
    pair_fini(&pair);
    loop_free(loop);
}

static void a_watch_that_is_gone_is_not_called_in_the_same_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pair a, b;
    pair_init(&a, loop);
    pair_init(&b, loop);
    int fd_a = a.watch.fd, fd_b = b.watch.fd;
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(loop_watch(loop, &a.watch, EPOLLIN), RESULT_OK);
    assert_int_equal(loop_watch(loop, &b.watch, EPOLLIN), RESULT_OK);
    send_byte(&a);
    send_byte(&b);
    loop_run_once(loop, -1);
    loop_run_once(loop, 0);
    assert_int_equal(a.calls + b.calls, 1);
    struct pair *left = a.calls ? &a : &b;
    loop_unwatch(loop, &left->watch);
    close(fd_a);
    close(fd_b);
    close(a.peer);
    close(b.peer);
    loop_free(loop);
}

static void a_descriptor_closed_behind_the_watch_is_forgiven(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pair pair;
    pair_init(&pair, loop);
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLIN), RESULT_OK);
    // Its number is given to another file while `events` still says that it is watched.
    int other = dup(pair.peer);
    assert_int_equal(dup2(other, pair.watch.fd), pair.watch.fd);
    close(other);
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLOUT), RESULT_OK);
    close(pair.watch.fd);
    loop_unwatch(loop, &pair.watch);
    assert_int_equal(pair.watch.events, 0);
    close(pair.peer);
    loop_free(loop);
}

static void what_epoll_does_not_take_is_refused(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pair pair = {.loop = loop};
    FILE *file = tmpfile();
    assert_non_null(file);
    pair.watch = (struct loop_fd){.fd = fileno(file), .ready = on_ready, .arg = &pair};
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLIN), RESULT_RETRY);
    assert_int_equal(pair.watch.events, 0);
    fclose(file);
    assert_int_equal(loop_watch(loop, &pair.watch, EPOLLIN), RESULT_RETRY);
    loop_free(loop);
}

static void stop_on_fire(struct timer *timer, void *arg, uint64_t now_ns)
{
    assert_true(now_ns >= timer->at_ns);
    loop_stop(arg);
}

static void timers_fire_and_stop_ends_the_run(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct timer timer, cancelled;
    timer_init(&timer, stop_on_fire, loop);
    timer_init(&cancelled, stop_on_fire, NULL);
    loop_set_timer(loop, &cancelled, loop_now_ns(loop) + NS_PER_MS);
    loop_set_timer(loop, &timer, loop_now_ns(loop) + 20 * NS_PER_MS);
    loop_cancel_timer(loop, &cancelled);
    uint64_t turns = loop_turns(loop);
    loop_run(loop);
    assert_false(timer_is_set(&timer));
    assert_true(loop_now_ns(loop) >= timer.at_ns);
    assert_true(loop_turns(loop) > turns);
    assert_true(timers_next_ns(loop_timers(loop)) == UINT64_MAX);
    loop_stop(loop);  // before the run: it ends at once
    loop_run(loop);
    loop_free(loop);
}

struct counter {
    struct loop_hook hook;
    unsigned calls;
    unsigned more;
};

static bool count_turn(void *arg, uint64_t now_ns)
{
    struct counter *counter = arg;
    (void)now_ns;
    counter->calls++;
    return counter->calls < counter->more;
}

static void a_loop_with_work_left_does_not_sleep(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct counter first = {.more = 50}, second = {.more = 0};
    first.hook = (struct loop_hook){.turn = count_turn, .arg = &first};
    second.hook = (struct loop_hook){.turn = count_turn, .arg = &second};
    loop_add_hook(loop, &first.hook);
    loop_add_hook(loop, &second.hook);
    uint64_t turns = loop_turns(loop);
    while (first.calls < 50) {
        loop_run_once(loop, -1);  // would take a second each if it slept
    }
    assert_int_equal(loop_turns(loop) - turns, 50);
    assert_int_equal(second.calls, 50);
    loop_free(loop);
}

static void an_idle_loop_still_takes_turns(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    uint64_t turns = loop_turns(loop);
    loop_run_once(loop, -1);  // nothing will ever happen; the watchdog must see it alive
    assert_int_equal(loop_turns(loop) - turns, 1);
    loop_free(loop);
}

// A mailbox whose taker is a loop: what the program's threads are made of.

enum { MESSAGES = 20000 };

struct shard {
    struct loop *loop;
    struct loop_hook hook;
    struct mailbox mailbox;
    unsigned taken;
};

struct message {
    struct mailbox_node node;
};

static bool drain(void *arg, uint64_t now_ns)
{
    struct shard *shard = arg;
    (void)now_ns;
    for (unsigned i = 0; i < 32; i++) {
        if (!mailbox_take(&shard->mailbox)) {
            return !mailbox_doze(&shard->mailbox);
        }
        mailbox_release(&shard->mailbox, 1);
        if (++shard->taken == MESSAGES) {
            loop_stop(shard->loop);
        }
    }
    return true;
}

static void post_all(void *arg)
{
    static struct message messages[MESSAGES];
    struct shard *shard = arg;
    for (unsigned i = 0; i < MESSAGES; i++) {
        while (!mailbox_reserve(&shard->mailbox, 1)) {
            sched_yield();
        }
        mailbox_post(&shard->mailbox, &messages[i].node);
    }
}

static void posts_of_another_thread_wake_the_loop(void **state)
{
    (void)state;
    struct shard shard = {.loop = loop_new()};
    struct thread thread;
    mailbox_init(&shard.mailbox, 16, loop_wake, shard.loop);
    shard.hook = (struct loop_hook){.turn = drain, .arg = &shard};
    loop_add_hook(shard.loop, &shard.hook);
    assert_int_equal(thread_start(&thread, "poster", post_all, &shard), RESULT_OK);
    loop_run(shard.loop);
    thread_join(&thread);
    assert_int_equal(shard.taken, MESSAGES);
    loop_free(shard.loop);
}

static void without_descriptors_there_is_no_loop(void **state)
{
    (void)state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t extra = 0; extra < 2; extra++) {
        int lowest = dup(0);
        assert_true(lowest >= 0);
        close(lowest);
        none = (struct rlimit){.rlim_cur = (rlim_t)lowest + extra, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        struct loop *loop = loop_new();
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_null(loop);
    }
    loop_free(NULL);
}

static void without_memory_there_is_no_loop(void **state)
{
    (void)state;
    allocation_fail(1, 1);
    assert_null(loop_new());
    assert_int_equal(allocation_pass(), 1);
}

static void watch_nothing(void *arg)
{
    struct loop_fd watch = {.fd = -1, .ready = on_ready};
    (void)!loop_watch(arg, &watch, EPOLLIN);
}

static void wake_what_is_no_loop(void *arg)
{
    loop_wake(arg);
}

static void misuse_crashes(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    uint64_t zeros[64] = {0};
    assert_true(crashes(watch_nothing, loop));
    assert_true(crashes(wake_what_is_no_loop, zeros));
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_is_called_for_the_events_that_it_asked_for),
        cmocka_unit_test(a_hang_up_is_told_unasked),
        cmocka_unit_test(a_watch_that_is_gone_is_not_called_in_the_same_turn),
        cmocka_unit_test(a_descriptor_closed_behind_the_watch_is_forgiven),
        cmocka_unit_test(what_epoll_does_not_take_is_refused),
        cmocka_unit_test(timers_fire_and_stop_ends_the_run),
        cmocka_unit_test(a_loop_with_work_left_does_not_sleep),
        cmocka_unit_test(an_idle_loop_still_takes_turns),
        cmocka_unit_test(posts_of_another_thread_wake_the_loop),
        cmocka_unit_test(without_descriptors_there_is_no_loop),
        cmocka_unit_test(without_memory_there_is_no_loop),
        cmocka_unit_test(misuse_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
