// SPDX-License-Identifier: Apache-2.0
//
// The mailbox alone and between threads; the last test hangs, and so times out, if a wake-up is
// lost.
#include "base/mailbox.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/thread.h"
#include "tests/unit/crash.h"

struct message {
    struct mailbox_node node;  // first: a node is its message
    unsigned sender;
    unsigned number;
};

struct taker {
    struct mailbox mailbox;
    sem_t awake;
    unsigned wakes;
};

static void wake(void *arg)
{
    struct taker *taker = arg;
    taker->wakes++;
}

static void posts_come_out_in_order(void **state)
{
    (void)state;
    struct taker taker = {0};
    struct message messages[5] = {{.number = 0}};
    mailbox_init(&taker.mailbox, 10, wake, &taker);
    assert_null(mailbox_take(&taker.mailbox));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5; i++) {
            messages[i].number = i;
            mailbox_post(&taker.mailbox, &messages[i].node);
        }
        for (unsigned i = 0; i < 5; i++) {
            struct message *message = (struct message *)mailbox_take(&taker.mailbox);
            assert_non_null(message);
            assert_int_equal(message->number, i);
        }
        assert_null(mailbox_take(&taker.mailbox));
        assert_null(mailbox_take(&taker.mailbox));
    }
}

static void a_message_can_be_posted_again_once_taken(void **state)
{
    (void)state;
    struct taker taker = {0};
    struct message message = {.number = 1};
    mailbox_init(&taker.mailbox, 10, NULL, NULL);
    for (unsigned i = 0; i < 10; i++) {
        mailbox_post(&taker.mailbox, &message.node);
        assert_ptr_equal(mailbox_take(&taker.mailbox), &message.node);
        assert_null(mailbox_take(&taker.mailbox));
        assert_true(mailbox_doze(&taker.mailbox));
    }
}

static void an_idle_mailbox_wakes_once_for_many_posts(void **state)
{
    (void)state;
    struct taker taker = {0};
    struct message messages[4] = {{.number = 0}};
    mailbox_init(&taker.mailbox, 10, wake, &taker);
    mailbox_post(&taker.mailbox, &messages[0].node);
    mailbox_post(&taker.mailbox, &messages[1].node);
    assert_int_equal(taker.wakes, 1);
    assert_false(mailbox_doze(&taker.mailbox));  // two messages are there
    mailbox_take(&taker.mailbox);
    assert_false(mailbox_doze(&taker.mailbox));  // one is
    mailbox_take(&taker.mailbox);
    mailbox_post(&taker.mailbox, &messages[2].node);
    assert_int_equal(taker.wakes, 1);  // the taker has not dozed
    assert_false(mailbox_doze(&taker.mailbox));
    mailbox_take(&taker.mailbox);
    assert_true(mailbox_doze(&taker.mailbox));
    mailbox_post(&taker.mailbox, &messages[3].node);
    assert_int_equal(taker.wakes, 2);
}

static void credits_are_given_all_or_nothing(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox, 10, NULL, NULL);
    assert_true(mailbox_reserve(&mailbox, 6));
    assert_false(mailbox_reserve(&mailbox, 5));
    assert_false(mailbox_reserve(&mailbox, SIZE_MAX));
    assert_false(mailbox_reserve(&mailbox, SIZE_MAX - 5));
    assert_int_equal(mailbox_used(&mailbox), 6);
    assert_true(mailbox_reserve(&mailbox, 4));
    assert_true(mailbox_reserve(&mailbox, 0));
    assert_false(mailbox_reserve(&mailbox, 1));
    mailbox_release(&mailbox, 10);
    assert_int_equal(mailbox_used(&mailbox), 0);
    assert_true(mailbox_reserve(&mailbox, 10));
}

static void release_too_much(void *arg)
{
    mailbox_release(arg, 3);
}

static void post_twice(void *arg)
{
    struct mailbox_node node;
    mailbox_post(arg, &node);
    mailbox_post(arg, &node);
}

static void misuse_crashes(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox, 10, NULL, NULL);
    assert_true(mailbox_reserve(&mailbox, 2));
    assert_true(crashes(release_too_much, &mailbox));
    assert_true(crashes(post_twice, &mailbox));
}

// Many senders, one taker that really sleeps: the test hangs (and times out) if a wake-up is ever
// lost.

enum { SENDERS = 3, MESSAGES = 20000 };

struct sender {
    struct thread thread;
    struct taker *taker;
    unsigned index;
};

static void wake_sleeper(void *arg)
{
    sem_post(arg);
}

static void send_all(void *arg)
{
    struct sender *sender = arg;
    struct mailbox *mailbox = &sender->taker->mailbox;
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct message *message = malloc(sizeof *message);
        if (!message) {
            abort();
        }
        message->sender = sender->index;
        message->number = i;
        while (!mailbox_reserve(mailbox, 1)) {
            sched_yield();
        }
        mailbox_post(mailbox, &message->node);
    }
}

static void send_and_take(size_t credits_max)
{
    static struct taker taker;
    struct sender senders[SENDERS];
    unsigned next[SENDERS] = {0};
    unsigned taken = 0;
    assert_int_equal(sem_init(&taker.awake, 0, 0), 0);
    mailbox_init(&taker.mailbox, credits_max, wake_sleeper, &taker.awake);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.taker = &taker, .index = i};
        assert_int_equal(thread_start(&senders[i].thread, "sender", send_all, &senders[i]),
                         RESULT_OK);
    }
    while (taken < SENDERS * MESSAGES) {
        struct message *message = (struct message *)mailbox_take(&taker.mailbox);
        if (message) {
            assert_int_equal(message->number, next[message->sender]);
            next[message->sender]++;
            taken++;
            free(message);
            mailbox_release(&taker.mailbox, 1);
        } else if (mailbox_doze(&taker.mailbox)) {
            sem_wait(&taker.awake);
        }
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        thread_join(&senders[i].thread);
    }
    assert_null(mailbox_take(&taker.mailbox));
    assert_int_equal(mailbox_used(&taker.mailbox), 0);
    sem_destroy(&taker.awake);
}

static void many_senders_lose_no_message(void **state)
{
    (void)state;
    send_and_take(64);
}

// With one credit every post is the last for now: no later one makes up for a lost wake-up.
static void no_wake_up_is_lost(void **state)
{
    (void)state;
    send_and_take(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_come_out_in_order),
        cmocka_unit_test(a_message_can_be_posted_again_once_taken),
        cmocka_unit_test(an_idle_mailbox_wakes_once_for_many_posts),
        cmocka_unit_test(credits_are_given_all_or_nothing),
        cmocka_unit_test(misuse_crashes),
        cmocka_unit_test(many_senders_lose_no_message),
        cmocka_unit_test(no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
