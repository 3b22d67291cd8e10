// SPDX-License-Identifier: Apache-2.0
// An exporter with a transport of the test's own: what is in flight, what waits, what memory
// refuses, and that every byte and every item is accounted for at the end.
#include "exporter/sender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/export_sample.h"

#define SPANS_MAX 8192
#define HELD_MAX 64

// Answers at once by `script`, or holds what it is given until it is told to answer.
struct fake {
    int script[HELD_MAX];  // HTTP statuses by request, 200 beyond
    atomic_uint sent, cancelled;
    atomic_bool holding;
    struct shipment *held[HELD_MAX];
    unsigned held_count;
    unsigned in_flight_most;
    uint32_t fate[SPANS_MAX];
    bool is_closed;
    const char *text;
};

static void fake_answer(struct fake *fake, struct shipment *shipment, int status)
{
    struct delivery_reply reply = {
        .protocol = DELIVERY_HTTP, .code = status, .text = bytes_from_text(fake->text)};
    if (status == 200) {
        (void)sample_mark(shipment->payload->wire, fake->fate, SPANS_MAX);
    }
    sender_answer(shipment, &reply);
}

static void fake_send(void *arg, struct shipment *shipment)
{
    struct fake *fake = arg;
    unsigned index = atomic_fetch_add(&fake->sent, 1);
    if (atomic_load(&fake->holding)) {
        fake->held[fake->held_count++ % HELD_MAX] = shipment;
        if (fake->held_count > fake->in_flight_most) {
            fake->in_flight_most = fake->held_count;
        }
        return;
    }
    int status = index < HELD_MAX && fake->script[index] != 0 ? fake->script[index] : 200;
    fake_answer(fake, shipment, status);
}

static bool fake_turn(void *arg, uint64_t now_ns)
{
    struct fake *fake = arg;
    (void)now_ns;
    while (!atomic_load(&fake->holding) && fake->held_count > 0) {
        fake_answer(fake, fake->held[--fake->held_count], 200);
    }
    return false;
}

static void fake_cancel(void *arg, struct shipment *shipment)
{
    struct fake *fake = arg;
    (void)shipment;
    atomic_fetch_add(&fake->cancelled, 1);
}

static void fake_close(void *arg)
{
    struct fake *fake = arg;
    fake->is_closed = true;
}

static void fake_free(void *arg)
{
    (void)arg;
}

static const struct transport_ops fake_ops = {.send = fake_send,
                                              .cancel = fake_cancel,
                                              .turn = fake_turn,
                                              .close = fake_close,
                                              .free = fake_free};

static struct fake fake;
static struct exporter *exporter;
static struct account *account;
static struct component_env env;
static struct queue_config queue;
static struct retry_config retry;

static int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    account = account_new((size_t)64 << 20);
    env = (struct component_env){.id = "fake", .account = account};
    queue = (struct queue_config){.num_consumers = 4, .sizer = QUEUE_BYTES};
    retry = (struct retry_config){.enabled = true,
                                  .initial_interval_ns = 1000000,
                                  .multiplier = 1.5,
                                  .max_interval_ns = 5000000,
                                  .max_elapsed_time_ns = 20000000000};
    return 0;
}

static void start(void)
{
    char why[128] = "";
    const struct bytes secret = BYTES_LITERAL("hunter2hunter2");
    struct sender_setup setup = {.queue = &queue,
                                 .retry = &retry,
                                 .codec = CODEC_NONE,
                                 .bytes_max = 1 << 20,
                                 .secrets = &secret,
                                 .secret_count = 1};
    assert_int_equal(sender_new(&env, &setup, &exporter, why, sizeof(why)), RESULT_OK);
    assert_int_equal(sender_start(exporter, &fake_ops, &fake, why, sizeof(why)), RESULT_OK);
}

static void push(struct parcel *parcel)
{
    assert_int_equal(sender_reserve(exporter, parcel->batch->signal, parcel->item_count,
                                    parcel->charge_bytes, parcel->own),
                     RESULT_OK);
    parcel->links[0].parcel = parcel;
    sender_push(exporter, &parcel->links[0]);
}

static void finish(struct exporter_status *status, uint64_t within_ns)
{
    sender_drain(exporter, clock_mono_ns() + within_ns);
    sender_status(exporter, status);
    assert_int_equal(status->queue_bytes, 0);
    assert_true(fake.is_closed);
    sender_free(&exporter);
    assert_int_equal(account_used(account, POOL_QUEUES), 0);
    account_free(account);
}

static void wait_for(atomic_uint *value, unsigned least)
{
    uint64_t until_ns = clock_mono_ns() + 10 * NS_PER_S;
    while (atomic_load(value) < least && clock_mono_ns() < until_ns) {
    }
    assert_true(atomic_load(value) >= least);
}

static void answers_from_inside_send_are_taken(void **state)
{
    (void)state;
    struct exporter_status status;
    start();
    for (uint32_t i = 0; i < 1000; i++) {
        push(sample_parcel(i * 3, 3, 10));
    }
    finish(&status, 10 * NS_PER_S);
    assert_int_equal(status.sent, 3000);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(fake.fate[i], 1);
    }
}

static void no_more_than_num_consumers_are_in_flight(void **state)
{
    (void)state;
    struct exporter_status status;
    fake.holding = true;
    start();
    for (uint32_t i = 0; i < 20; i++) {
        push(sample_parcel(i, 1, 10));  // merging is off
    }
    wait_for(&fake.sent, 4);
    atomic_store(&fake.holding, false);
    loop_wake(sender_loop(exporter));
    finish(&status, 10 * NS_PER_S);
    assert_int_equal(fake.in_flight_most, 4);
    assert_int_equal(status.sent, 20);
}

static void what_is_in_flight_at_the_deadline_is_cancelled(void **state)
{
    (void)state;
    struct exporter_status status;
    fake.holding = true;
    start();
    for (uint32_t i = 0; i < 20; i++) {
        push(sample_parcel(i, 1, 10));
    }
    wait_for(&fake.sent, 4);
    finish(&status, 20 * NS_PER_MS);
    assert_int_equal(fake.cancelled, 4);
    assert_int_equal(status.send_failed, 20);
}

static void failures_for_now_cost_nothing_in_the_end(void **state)
{
    (void)state;
    struct exporter_status status;
    static const int script[] = {503, 429, 503, 200, 503, 502, 200, 504, 503};
    memcpy(fake.script, script, sizeof(script));
    start();
    for (uint32_t i = 0; i < 30; i++) {
        push(sample_parcel(i, 1, 10));
    }
    finish(&status, 10 * NS_PER_S);
    assert_int_equal(status.sent, 30);
    assert_int_equal(status.send_failed, 0);
    assert_string_equal(status.last_error, "");
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(fake.fate[i], 1);
    }
}

static void secrets_are_masked_and_bytes_made_printable(void **state)
{
    (void)state;
    struct exporter_status status;
    fake.script[0] = 403;
    fake.text = "key hunter2hunter2 is \x01 unknown";
    start();
    push(sample_parcel(0, 1, 10));
    finish(&status, 10 * NS_PER_S);
    assert_string_equal(status.last_error, "HTTP status 403: key ************** is   unknown");
}

static void a_pool_without_memory_delays_and_does_not_drop(void **state)
{
    (void)state;
    struct exporter_status status;
    queue.merge = true;
    fake.holding = true;
    start();
    push(sample_parcel(0, 1, 10));
    wait_for(&fake.sent, 1);
    size_t share = account_share(account, POOL_QUEUES) - account_used(account, POOL_QUEUES);
    assert_true(account_charge(account, POOL_QUEUES, share));
    push(sample_parcel(1, 1, 100));
    push(sample_parcel(2, 1, 100));  // merged with the one before: needs memory of its own
    atomic_store(&fake.holding, false);
    loop_wake(sender_loop(exporter));
    account_release(account, POOL_QUEUES, share);
    finish(&status, 10 * NS_PER_S);
    assert_int_equal(status.sent, 3);
}

static void an_exporter_alone_in_a_full_pool_still_sends(void **state)
{
    (void)state;
    struct exporter_status status;
    queue.merge = true;
    size_t share = account_share(account, POOL_QUEUES);
    assert_true(account_charge(account, POOL_QUEUES, share));
    start();
    for (uint32_t i = 0; i < 50; i++) {
        push(sample_parcel(i, 1, 100));
    }
    sender_drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    account_release(account, POOL_QUEUES, share);
    finish(&status, NS_PER_S);
    assert_int_equal(status.sent, 50);
}

static void own_products_have_their_tenth_when_the_queue_is_full(void **state)
{
    (void)state;
    struct exporter_status status;
    queue.queue_size = 100000;
    fake.holding = true;
    start();
    push(sample_parcel(0, 85, 1000));
    assert_int_equal(sender_reserve(exporter, SIGNAL_TRACES, 4, 20000, false), RESULT_SHED);
    struct parcel *own = sample_parcel(85, 1, 1000);
    own->own = true;
    push(own);
    atomic_store(&fake.holding, false);
    loop_wake(sender_loop(exporter));
    finish(&status, 10 * NS_PER_S);
    assert_int_equal(status.sent, 86);
    assert_int_equal(status.enqueue_failed, 4);
}

static void what_comes_behind_the_drain_is_counted_as_failed(void **state)
{
    (void)state;
    struct exporter_status status;
    start();
    sender_drain(exporter, clock_mono_ns() + NS_PER_S);
    push(sample_parcel(0, 7, 10));
    sender_status(exporter, &status);
    assert_int_equal(status.sent, 0);
    sender_free(&exporter);
    assert_int_equal(account_used(account, POOL_QUEUES), 0);
    account_free(account);
}

static void an_exporter_that_never_started_can_be_freed(void **state)
{
    (void)state;
    char why[64];
    struct sender_setup setup = {.queue = &queue, .retry = &retry, .bytes_max = 1 << 20};
    assert_int_equal(sender_new(&env, &setup, &exporter, why, sizeof(why)), RESULT_OK);
    sender_free(&exporter);
    sender_free(&exporter);
    account_free(account);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_from_inside_send_are_taken),
        TEST(no_more_than_num_consumers_are_in_flight),
        TEST(what_is_in_flight_at_the_deadline_is_cancelled),
        TEST(failures_for_now_cost_nothing_in_the_end),
        TEST(secrets_are_masked_and_bytes_made_printable),
        TEST(a_pool_without_memory_delays_and_does_not_drop),
        TEST(an_exporter_alone_in_a_full_pool_still_sends),
        TEST(own_products_have_their_tenth_when_the_queue_is_full),
        TEST(what_comes_behind_the_drain_is_counted_as_failed),
        TEST(an_exporter_that_never_started_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
