// SPDX-License-Identifier: Apache-2.0
// Turns, tickets, both kinds of message, the thread.
#include "processor/shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "base/timers.h"

struct probe {  // a processor that notes what happens
    uint32_t magic;
    atomic_uint looks, takes, messages, flushes, closes, hurries, open;
    atomic_uint feedbacks;
    struct feedback feedback;  // the last one
    struct shard_env *env;
    struct timer timer;
    unsigned fired;
};

static void probe_fire(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct probe *probe = arg;
    (void)timer, (void)now_ns;
    probe->fired++;
}

static void *probe_open(struct processor *processor, struct shard_env *env)
{
    struct probe *probe = (struct probe *)processor;
    probe->env = env;
    timer_init(&probe->timer, probe_fire, probe);
    return probe;
}

static void probe_look(void *state, const struct parcel *parcel, uint64_t now_ns)
{
    (void)now_ns;
    assert_non_null(parcel);
    atomic_fetch_add(&((struct probe *)state)->looks, 1);
}

static void probe_take(void *state, struct parcel **parcel, uint64_t now_ns)
{
    struct probe *probe = state;
    (void)now_ns;
    atomic_fetch_add(&probe->takes, 1);
    probe->env->pass(probe->env, parcel);
}

static void probe_message(void *state, struct shard_message *message, uint64_t now_ns)
{
    (void)now_ns;
    atomic_fetch_add(&((struct probe *)state)->messages, 1);
    free(message);
}

static void probe_flush(void *state, uint64_t now_ns)
{
    (void)now_ns;
    atomic_fetch_add(&((struct probe *)state)->flushes, 1);
}

static void probe_hurry(void *state, uint64_t now_ns)
{
    (void)now_ns;
    atomic_fetch_add(&((struct probe *)state)->hurries, 1);
}

static size_t probe_open_traces(void *state, void (*each)(void *arg, const struct trace_id *id),
                                void *arg)
{
    struct probe *probe = state;
    for (unsigned i = 0; each != NULL && i < probe->open; i++) {
        const struct trace_id id = {{(uint8_t)(i + 1)}};
        each(arg, &id);
    }
    return probe->open;
}

static void probe_feedback(void *state, const struct feedback *feedback, uint64_t now_ns)
{
    struct probe *probe = state;
    (void)now_ns;
    probe->feedback = *feedback;
    atomic_fetch_add(&probe->feedbacks, 1);
}

static void probe_close(void *state)
{
    atomic_fetch_add(&((struct probe *)state)->closes, 1);
}

static const struct shard_ops probe_shard = {.open = probe_open,
                                             .look = probe_look,
                                             .take = probe_take,
                                             .message = probe_message,
                                             .flush = probe_flush,
                                             .hurry = probe_hurry,
                                             .open_traces = probe_open_traces,
                                             .close = probe_close,
                                             .feedback = probe_feedback};
static const struct processor_ops probe_ops = {.shard = &probe_shard};

static void out_gone(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)shard, (void)processor;
    atomic_fetch_add((atomic_uint *)arg, 1);
    parcel_unref(parcel);
}

static struct shard *open_shard(struct probe *probe, struct processor **processor,
                                const struct processor_ops **ops, atomic_uint *passed, size_t max)
{
    *processor = (struct processor *)probe;
    *ops = &probe_ops;
    struct shard_config config = {.messages_max = max,
                                  .out = {.pass = out_gone, .drop = out_gone, .arg = passed},
                                  .processors = processor,
                                  .ops = ops,
                                  .processor_count = 1};
    return shard_new(&config, NS_PER_S);
}

static struct parcel *new_parcel(void)
{
    return parcel_new(batch_make(SIGNAL_TRACES, BYTES_NONE, 0), PARCEL_ALL, NULL, 0, 0);
}

static void count_told(void *arg, const struct trace_id *id)
{
    assert_false(trace_id_is_zero(id));
    ++*(unsigned *)arg;
}

static void open_traces_are_told_once_all_before_was_taken(void **arg)
{
    struct probe probe = {0};
    struct processor *processor;
    const struct processor_ops *ops;
    atomic_uint passed = 0;
    unsigned told = 0;
    (void)arg;
    struct shard *shard = open_shard(&probe, &processor, &ops, &passed, 1000);
    assert_true(shard_is_idle(shard));
    probe.open = 3;
    for (unsigned i = 0; i < 300; i++) {  // more than a turn takes
        struct shard_ticket *ticket = shard_reserve(shard);
        struct parcel *parcel = new_parcel();
        shard_post_take(&ticket, processor, &parcel);
    }
    shard_tell_open(shard, count_told, &told);
    assert_false(shard_is_idle(shard));
    shard_turn(shard, 2 * NS_PER_S);
    assert_false(shard_has_told(shard));
    assert_int_equal(told, 0);
    shard_turn(shard, 2 * NS_PER_S);
    assert_true(shard_has_told(shard));
    assert_int_equal(told, 3);
    assert_int_equal(shard_open_count(shard), 3);
    assert_false(shard_is_idle(shard));
    probe.open = 0;
    shard_turn(shard, 2 * NS_PER_S);
    assert_true(shard_is_idle(shard));
    shard_hurry(shard);
    shard_turn(shard, 2 * NS_PER_S);
    shard_turn(shard, 2 * NS_PER_S);
    assert_int_equal(probe.hurries, 1);
    shard_stop(shard, 3 * NS_PER_S);
    shard_free(&shard);
}

static void posted_parcels_reach_the_state_in_order(void **arg)
{
    struct probe probe = {0};
    struct processor *processor;
    const struct processor_ops *ops;
    atomic_uint passed = 0;
    (void)arg;
    struct shard *shard = open_shard(&probe, &processor, &ops, &passed, 2);
    struct shard_ticket *first = shard_reserve(shard), *second = shard_reserve(shard);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(shard_reserve(shard));  // all credits are out
    struct parcel *look = new_parcel(), *take = new_parcel();
    shard_post_look(&first, processor, &look);
    shard_post_take(&second, processor, &take);
    assert_null(look);
    assert_null(take);
    assert_int_equal(shard_turn(shard, 2 * NS_PER_S), UINT64_MAX);
    assert_int_equal(probe.looks, 1);
    assert_int_equal(probe.takes, 1);
    assert_int_equal(passed, 1);
    assert_int_equal(shard_backlog(shard), 0);
    struct shard_ticket *again = shard_reserve(shard);
    assert_non_null(again);
    shard_release(&again);
    assert_null(again);
    shard_free(&shard);
    assert_int_equal(probe.closes, 1);
}

static void feedback_is_heard_as_far_as_there_is_room(void **arg)
{
    struct probe probe = {0};
    struct processor *processor;
    const struct processor_ops *ops;
    atomic_uint passed = 0;
    const struct feedback feedback = {.trace_id = {{7}}, .is_bad = true};
    (void)arg;
    struct shard *shard = open_shard(&probe, &processor, &ops, &passed, 2);
    for (int i = 0; i < 5; i++) {
        shard_post_feedback(shard, processor, &feedback);
    }
    assert_int_equal(shard_backlog(shard), 2);
    assert_true(metrics_sum("sidejudge_feedback_total") == 3);  // were shed
    (void)shard_turn(shard, 2 * NS_PER_S);
    assert_int_equal(probe.feedbacks, 2);
    assert_int_equal(probe.feedback.trace_id.bytes[0], 7);
    assert_true(probe.feedback.is_bad);
    assert_int_equal(shard_backlog(shard), 0);
    shard_post_feedback(shard, processor, &feedback);
    shard_free(&shard);  // a leftover is delivered
    assert_int_equal(probe.feedbacks, 3);
}

static void turns_say_when_the_next_is_due(void **arg)
{
    struct probe probe = {0};
    struct processor *processor;
    const struct processor_ops *ops;
    atomic_uint passed = 0;
    (void)arg;
    struct shard *shard = open_shard(&probe, &processor, &ops, &passed, 0);
    timers_set(probe.env->timers, &probe.timer, 5 * NS_PER_S);
    uint64_t next_ns = shard_turn(shard, 2 * NS_PER_S);
    assert_true(next_ns > 2 * NS_PER_S && next_ns <= 5 * NS_PER_S + NS_PER_MS);
    assert_int_equal(probe.fired, 0);
    shard_turn(shard, 6 * NS_PER_S);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(shard_now_ns(shard), 6 * NS_PER_S);
    assert_int_equal(shard_turns(shard), 2);
    shard_free(&shard);
}

static void leftovers_are_delivered_before_the_state_closes(void **arg)
{
    struct probe probe = {0};
    struct processor *processor;
    const struct processor_ops *ops;
    atomic_uint passed = 0;
    (void)arg;
    struct shard *shard = open_shard(&probe, &processor, &ops, &passed, 0);
    struct shard_ticket *ticket = shard_reserve(shard);
    struct parcel *parcel = new_parcel();
    shard_post_take(&ticket, processor, &parcel);
    struct shard_message *message = calloc(1, sizeof(*message));
    assert_non_null(message);
    message->processor = processor;
    probe.env->post(probe.env, message);
    shard_free(&shard);
    assert_null(shard);
    assert_int_equal(probe.takes, 1);
    assert_int_equal(probe.messages, 1);
    assert_int_equal(passed, 1);
    shard_free(&shard);  // nothing
}

struct poster {
    struct probe *probe;
    struct shard *shard;
    struct processor *processor;
    unsigned posted;
};

static void post_many(void *arg)
{
    struct poster *poster = arg;
    for (unsigned i = 0; i < 2000; i++) {
        struct shard_ticket *ticket = shard_reserve(poster->shard);
        if (ticket) {
            struct parcel *parcel = new_parcel();
            shard_post_take(&ticket, poster->processor, &parcel);
            poster->posted++;
        }
        struct shard_message *message = calloc(1, sizeof(*message));
        assert_non_null(message);
        message->processor = poster->processor;
        poster->probe->env->post(poster->probe->env, message);
    }
}

static void a_thread_takes_what_many_post_and_stops_empty(void **arg)
{
    struct probe probe = {0};
    struct processor *processor;
    const struct processor_ops *ops;
    atomic_uint passed = 0;
    struct thread threads[3] = {0};
    struct poster posters[3];
    unsigned posted = 0;
    (void)arg;
    struct shard *shard = open_shard(&probe, &processor, &ops, &passed, 64);
    assert_int_equal(shard_start(shard), RESULT_OK);
    for (int i = 0; i < 3; i++) {
        posters[i] = (struct poster){&probe, shard, processor, 0};
        assert_int_equal(thread_start(&threads[i], "poster", post_many, &posters[i]), RESULT_OK);
    }
    for (int i = 0; i < 3; i++) {
        thread_join(&threads[i]);
        posted += posters[i].posted;
    }
    shard_stop(shard, clock_mono_ns() + 60 * NS_PER_S);
    assert_int_equal(probe.messages, 6000);
    assert_int_equal(probe.takes, posted);
    assert_int_equal(passed, posted);
    assert_true(probe.flushes >= 1);  // each turn of a stopping shard flushes
    assert_int_equal(shard_backlog(shard), 0);
    shard_free(&shard);
}

static void traces_have_one_shard(void **arg)
{
    uint8_t id[16] = {1, 2, 3};
    (void)arg;
    assert_int_equal(shard_of_trace(NULL, 8), 0);
    assert_int_equal(shard_of_trace(id, 1), 0);
    assert_true(shard_of_trace(id, 8) < 8);
    assert_int_equal(shard_of_trace(id, 8), shard_of_trace(id, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posted_parcels_reach_the_state_in_order),
        cmocka_unit_test(open_traces_are_told_once_all_before_was_taken),
        cmocka_unit_test(feedback_is_heard_as_far_as_there_is_room),
        cmocka_unit_test(turns_say_when_the_next_is_due),
        cmocka_unit_test(leftovers_are_delivered_before_the_state_closes),
        cmocka_unit_test(a_thread_takes_what_many_post_and_stops_empty),
        cmocka_unit_test(traces_have_one_shard),
    };
    return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
