// SPDX-License-Identifier: Apache-2.0
//
// D. Vyukov's intrusive MPSC queue with an anchor node inside, a credit count beside it, and a flag
// that says whether the taker needs waking. A post swings `tail` to its node and then links the
// predecessor to it; between the two the queue is cut, and the taker sees nothing beyond the cut
// until the link is there.
//
// No wake-up is lost, because both sides write before they read, in one total order: a sender
// links, then looks at `awake`; the taker clears `awake`, then looks at the links. Whoever comes
// second sees the other. For the same reason a taker may sleep while a post is half-way: that
// sender has yet to link, so it has yet to look at `awake`.
//
// Refused: a lock with a condition variable, and looking at `tail` for emptiness, which would make
// the taker spin while a sender is preempted half-way. Bound: credits_max. Posts on any thread;
// takes on one.
#include "base/mailbox.h"

#include "base/check.h"

void mailbox_init(struct mailbox *mailbox, size_t credits_max, void (*wake)(void *), void *wake_arg)
{
    atomic_init(&mailbox->anchor.next, NULL);
    atomic_init(&mailbox->tail, &mailbox->anchor);
    mailbox->head = &mailbox->anchor;
    atomic_init(&mailbox->credits_used, 0);
    mailbox->credits_max = credits_max;
    atomic_init(&mailbox->awake, false);
    mailbox->wake = wake;
    mailbox->wake_arg = wake_arg;
}

bool mailbox_reserve(struct mailbox *mailbox, size_t credits)
{
    size_t used = atomic_load_explicit(&mailbox->credits_used, memory_order_relaxed);
    do {
        if (credits > mailbox->credits_max - used) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->credits_used, &used, used + credits,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

void mailbox_release(struct mailbox *mailbox, size_t credits)
{
    size_t before =
        atomic_fetch_sub_explicit(&mailbox->credits_used, credits, memory_order_release);
    CHECK(before >= credits);
}

size_t mailbox_used(const struct mailbox *mailbox)
{
    return atomic_load_explicit(&mailbox->credits_used, memory_order_relaxed);
}

static void mailbox_link(struct mailbox *mailbox, struct mailbox_node *node)
{
    atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
    struct mailbox_node *before =
        atomic_exchange_explicit(&mailbox->tail, node, memory_order_acq_rel);
    CHECK(before != node);  // posted twice
    atomic_store_explicit(&before->next, node, memory_order_seq_cst);
}

void mailbox_post(struct mailbox *mailbox, struct mailbox_node *node)
{
    CHECK(node);
    // Read before the link: once linked, the message may be taken and the taker may go its way.
    void (*wake)(void *) = mailbox->wake;
    void *wake_arg = mailbox->wake_arg;
    mailbox_link(mailbox, node);
    if (!atomic_load_explicit(&mailbox->awake, memory_order_seq_cst) &&
        !atomic_exchange_explicit(&mailbox->awake, true, memory_order_seq_cst) && wake) {
        wake(wake_arg);
    }
}

struct mailbox_node *mailbox_take(struct mailbox *mailbox)
{
    struct mailbox_node *head = mailbox->head;
    struct mailbox_node *next = atomic_load_explicit(&head->next, memory_order_acquire);
    if (head == &mailbox->anchor) {
        if (!next) {
            return NULL;
        }
        mailbox->head = head = next;
        next = atomic_load_explicit(&head->next, memory_order_acquire);
    }
    if (!next) {
        if (head != atomic_load_explicit(&mailbox->tail, memory_order_acquire)) {
            return NULL;  // a post behind `head` is half-way
        }
        // `head` is the last: the anchor goes behind it, so that the queue never holds nothing.
        mailbox_link(mailbox, &mailbox->anchor);
        next = atomic_load_explicit(&head->next, memory_order_acquire);
        if (!next) {
            return NULL;  // a post came between `head` and the anchor and is half-way
        }
    }
    mailbox->head = next;
    return head;
}

// Whether mailbox_take would find a message or move on towards one.
static bool mailbox_has_work(struct mailbox *mailbox)
{
    struct mailbox_node *head = mailbox->head;
    if (atomic_load_explicit(&head->next, memory_order_seq_cst)) {
        return true;
    }
    return head != &mailbox->anchor &&
           head == atomic_load_explicit(&mailbox->tail, memory_order_seq_cst);
}

bool mailbox_doze(struct mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->awake, false, memory_order_seq_cst);
    if (!mailbox_has_work(mailbox)) {
        return true;
    }
    atomic_store_explicit(&mailbox->awake, true, memory_order_seq_cst);
    return false;
}
