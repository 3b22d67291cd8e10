// SPDX-License-Identifier: Apache-2.0
// The bounded ring between threads: any thread posts, one thread takes. Messages are moved, not
// copied: a message embeds a mailbox_node and belongs to whoever took it. The bound is a credit
// count (messages or bytes, as the owner says): a sender reserves credits first, all or nothing,
// and a post under a reservation cannot fail or wait. Intrusive queue after D. Vyukov's
// non-blocking MPSC queue: one exchange per post. Refused: an array ring, whose slots would have to
// be reserved per split part. A wake function is called when a post finds the mailbox idle: new, or
// dozed since the last wake-up. Aligned to 64 bytes: whatever embeds one comes from aligned_alloc,
// not from malloc. Whoever ends a mailbox has stopped its senders first.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mailbox_node {
    _Atomic(struct mailbox_node *) next;
};

struct mailbox {
    _Alignas(64) _Atomic(struct mailbox_node *) tail;  // senders
    _Alignas(64) struct mailbox_node *head;            // the one taker
    struct mailbox_node anchor;
    _Alignas(64) atomic_size_t credits_used;
    size_t credits_max;
    atomic_bool awake;        // the taker is running or has been woken
    void (*wake)(void *arg);  // any thread; may be NULL (the taker polls)
    void *wake_arg;
};

void mailbox_init(struct mailbox *mailbox, size_t credits_max, void (*wake)(void *),
                  void *wake_arg);
// Takes `credits` if they are free; false changes nothing. Any thread.
bool mailbox_reserve(struct mailbox *mailbox, size_t credits);
// Gives credits back: by the taker when the message's memory is free again, or by a sender that
// changed its mind. Any thread.
void mailbox_release(struct mailbox *mailbox, size_t credits);
size_t mailbox_used(const struct mailbox *mailbox);
// Moves a message in; the sender holds a reservation for it. Never fails, never waits. Any thread.
void mailbox_post(struct mailbox *mailbox, struct mailbox_node *node);
// The oldest message, or NULL when there is none for now (a post may be half-way: it will wake).
// Taker's thread only.
struct mailbox_node *mailbox_take(struct mailbox *mailbox);
// Called by the taker before it sleeps: true if it may sleep (the next post wakes it), false if a
// message is there.
bool mailbox_doze(struct mailbox *mailbox);
