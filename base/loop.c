// SPDX-License-Identifier: Apache-2.0
//
// One thread's event loop on level-triggered epoll. A turn: sleep until a descriptor, a timer or a
// wake-up; read the clock once; dispatch at most EVENTS_MAX descriptors; advance the timers; call
// the hooks. A loop sleeps at most SLEEP_MAX_MS, so that an idle loop still takes turns and the
// watchdog can tell idle from stuck.
//
// Watches may be freed by any callback: loop_unwatch strikes the watch from the events of this turn
// that are yet to be dispatched, which is a scan over at most EVENTS_MAX entries and needs no
// generation counters. Wake-ups from other threads are one eventfd behind a flag, so a thousand
// posts cost one write. Refused: libuv and libevent (both own the buffers and the timers that are
// bounded here), io_uring (switched off in many clusters).
#include "base/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/watchdog.h"

enum { EVENTS_MAX = 64, SLEEP_MAX_MS = 1000 };

#define LOOP_MAGIC MAGIC('L', 'O', 'O', 'P')

struct loop {
    uint32_t magic;
    int epoll_fd;
    int wake_fd;
    bool hooks_want_more;
    struct timers *timers;
    struct loop_hook *hooks, **hooks_end;
    uint64_t now_ns;
    int event_index;  // events before this one have been dispatched
    int event_count;
    struct epoll_event events[EVENTS_MAX];
    atomic_bool woken;  // the eventfd has been written and not yet read
    atomic_bool stopping;
    _Atomic uint64_t turns;
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        return NULL;
    }
    loop->magic = LOOP_MAGIC;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->now_ns = clock_mono_ns();
    loop->timers = timers_new(loop->now_ns);
    loop->hooks_end = &loop->hooks;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};  // NULL: the wake-up
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop) {
        return;
    }
    CHECK(loop->magic == LOOP_MAGIC);
    timers_free(loop->timers);
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
    }
    if (loop->epoll_fd >= 0) {
        close(loop->epoll_fd);
    }
    loop->magic = 0;
    free(loop);
}

void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
    CHECK(hook->turn);
    hook->next = NULL;
    *loop->hooks_end = hook;
    loop->hooks_end = &hook->next;
    loop->hooks_want_more = true;  // what it drains may have been filled before it was here
}

void loop_remove_hook(struct loop *loop, struct loop_hook *hook)
{
    struct loop_hook **link = &loop->hooks;
    while (*link != NULL && *link != hook) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return;
    }
    *link = hook->next;
    if (loop->hooks_end == &hook->next) {
        loop->hooks_end = link;
    }
}

enum result loop_watch(struct loop *loop, struct loop_fd *watch, uint32_t events)
{
    CHECK(loop->magic == LOOP_MAGIC);
    CHECK(watch->fd >= 0 && watch->ready);
    if (events == 0) {
        loop_unwatch(loop, watch);
        return RESULT_OK;
    }
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int op = watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int failed = epoll_ctl(loop->epoll_fd, op, watch->fd, &event);
    // A library may have closed the descriptor behind the watch and been given its number again.
    if (failed && errno == ENOENT) {
        failed = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event);
    } else if (failed && errno == EEXIST) {
        failed = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    }
    if (failed) {
        return RESULT_RETRY;
    }
    watch->events = events;
    return RESULT_OK;
}

void loop_unwatch(struct loop *loop, struct loop_fd *watch)
{
    CHECK(loop->magic == LOOP_MAGIC);
    if (watch->events == 0) {
        return;
    }
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL) != 0) {
        CHECK(errno == ENOENT || errno == EBADF);  // closed first: the kernel has dropped it
    }
    watch->events = 0;
    for (int i = loop->event_index; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == watch) {
            loop->events[i].events = 0;
        }
    }
}

void loop_set_timer(struct loop *loop, struct timer *timer, uint64_t at_ns)
{
    timers_set(loop->timers, timer, at_ns);
}

void loop_cancel_timer(struct loop *loop, struct timer *timer)
{
    timers_cancel(loop->timers, timer);
}

struct timers *loop_timers(struct loop *loop)
{
    return loop->timers;
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

// How long the turn may sleep: not at all while hooks have work, else up to the next timer.
static int loop_sleep_ms(struct loop *loop, int limit_ms)
{
    if (loop->hooks_want_more || atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
        return 0;
    }
    if (limit_ms < 0 || limit_ms > SLEEP_MAX_MS) {
        limit_ms = SLEEP_MAX_MS;
    }
    uint64_t next_ns = timers_next_ns(loop->timers);
    uint64_t now_ns = clock_mono_ns();  // the turn that ends here may have been long
    if (next_ns <= now_ns) {
        return 0;
    }
    uint64_t until_ms = (next_ns - now_ns - 1) / NS_PER_MS + 1;
    return until_ms < (uint64_t)limit_ms ? (int)until_ms : limit_ms;
}

static void loop_take_wake(struct loop *loop)
{
    uint64_t count;
    CHECK(read(loop->wake_fd, &count, sizeof count) == sizeof count || errno == EAGAIN);
    // After the read and before the hooks: a later loop_wake writes again, and what an earlier
    // one announced is seen by the hooks of this turn.
    atomic_exchange_explicit(&loop->woken, false, memory_order_acq_rel);
}

static void loop_dispatch(struct loop *loop)
{
    while (loop->event_index < loop->event_count) {
        struct epoll_event event = loop->events[loop->event_index++];
        struct loop_fd *watch = event.data.ptr;
        if (!watch) {
            loop_take_wake(loop);
        } else if (event.events != 0) {  // else struck by loop_unwatch
            uint32_t events = event.events & (watch->events | EPOLLERR | EPOLLHUP);
            if (events != 0) {
                watch->ready(watch, events);
            }
        }
    }
}

static void loop_turn(struct loop *loop, int limit_ms)
{
    CHECK(loop->magic == LOOP_MAGIC);
    int timeout_ms = loop_sleep_ms(loop, limit_ms);
    loop->hooks_want_more = false;
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, timeout_ms);
    CHECK(count >= 0 || errno == EINTR);
    loop->event_index = 0;
    loop->event_count = count > 0 ? count : 0;
    loop->now_ns = clock_mono_ns();
    atomic_fetch_add_explicit(&loop->turns, 1, memory_order_relaxed);
    loop_dispatch(loop);
    timers_advance(loop->timers, loop->now_ns);
    for (struct loop_hook *hook = loop->hooks; hook; hook = hook->next) {
        if (hook->turn(hook->arg, loop->now_ns)) {
            loop->hooks_want_more = true;
        }
    }
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire)) {
        loop_turn(loop, -1);
    }
    atomic_store_explicit(&loop->stopping, false, memory_order_relaxed);
}

static uint64_t turns_of(const void *loop)
{
    return loop_turns(loop);
}

void loop_run_watched(struct loop *loop, const char *name)
{
    watchdog_add(watchdog_process(), name, turns_of, loop);
    loop_run(loop);
    watchdog_remove(watchdog_process(), loop);
}

void loop_run_once(struct loop *loop, int timeout_ms)
{
    loop_turn(loop, timeout_ms);
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    loop_wake(loop);
}

void loop_wake(void *arg)
{
    struct loop *loop = arg;
    CHECK(loop->magic == LOOP_MAGIC);
    if (atomic_exchange_explicit(&loop->woken, true, memory_order_acq_rel)) {
        return;
    }
    uint64_t one = 1;
    CHECK(write(loop->wake_fd, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

uint64_t loop_turns(const struct loop *loop)
{
    return atomic_load_explicit(&loop->turns, memory_order_relaxed);
}
