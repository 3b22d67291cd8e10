// SPDX-License-Identifier: Apache-2.0
// The event loop of one thread: epoll, timers, and a wake-up from other threads. Work is done in
// turns: poll, dispatch descriptors, advance timers, call `on_turn` hooks, sleep. `loop_now_ns` is
// read once per turn. A loop sleeps at most one second, so that loop_turns grows while the thread
// is well. All functions on the loop's own thread unless marked "any thread".
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/result.h"
#include "base/timers.h"

struct loop;
struct loop_fd;
typedef void (*loop_fd_fn)(struct loop_fd *watch, uint32_t epoll_events);

struct loop_fd {  // embedded in its owner
    int fd;
    uint32_t events;  // EPOLLIN | EPOLLOUT | EPOLLET as currently watched; 0: not watched
    loop_fd_fn ready;
    void *arg;
};

// Called once per turn, after descriptors and timers, in the order of adding; drains mailboxes. For
// the life of the loop.
struct loop_hook {
    struct loop_hook *next;
    bool (*turn)(void *arg, uint64_t now_ns);  // true: more work is left, do not sleep
    void *arg;
};

// NULL when descriptors or memory are exhausted.
struct loop *loop_new(void);
void loop_free(struct loop *loop);  // closes no watched descriptor; accepts NULL
void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_remove_hook(struct loop *loop, struct loop_hook *hook);  // not from inside a hook
// Watches watch->fd for `events`; again to change them; 0 stops watching. RESULT_RETRY when the
// kernel refuses. EPOLLERR and EPOLLHUP are told unasked.
enum result loop_watch(struct loop *loop, struct loop_fd *watch, uint32_t events) MUST_USE;
// Before the descriptor is closed. Safe inside callbacks, also for other watches that are due in
// the same turn; the watch may be freed afterwards. No-op when not watched.
void loop_unwatch(struct loop *loop, struct loop_fd *watch);
void loop_set_timer(struct loop *loop, struct timer *timer, uint64_t at_ns);
void loop_cancel_timer(struct loop *loop, struct timer *timer);
struct timers *loop_timers(struct loop *loop);
uint64_t loop_now_ns(const struct loop *loop);  // monotonic time of this turn
// As loop_run, watched by the process's watchdog under `name` (which outlives the loop), where
// there is one. For loops that must not block: receivers, shards, main; exporters write files.
void loop_run_watched(struct loop *loop, const char *name);
void loop_run(struct loop *loop);  // until loop_stop, also one that came before
void loop_run_once(struct loop *loop, int timeout_ms);  // one turn; for tests
void loop_stop(struct loop *loop);                      // any thread
// Any thread; coalesced; has the shape of mailbox wake.
void loop_wake(void *loop);
// Any thread; the watchdog compares it over time.
uint64_t loop_turns(const struct loop *loop);
