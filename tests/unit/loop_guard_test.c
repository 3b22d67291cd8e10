// SPDX-License-Identifier: Apache-2.0
// When spans that come by are taken for a loop, and above all when not. The clock is the test's.
#include "service/loop_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/thread.h"

#define AT(second) ((UINT64_C(100000) + (second)) * NS_PER_S)
#define SPANS_MAX 512
#ifdef __SANITIZE_THREAD__
#define FLOOD_REQUESTS 100000U
#else
#define FLOOD_REQUESTS 1250000U  // of eight spans: ten million
#endif

struct spans {
    struct trace_id trace_ids[SPANS_MAX];
    struct span_id span_ids[SPANS_MAX];
    uint64_t end_ns[SPANS_MAX];
    unsigned count;
};

static struct loop_guard guard;

static int setup(void **state)
{
    (void)state;
    memset(&guard, 0, sizeof(guard));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_guard_fini(&guard);
    return 0;
}

static void spans_make(struct spans *spans, struct random *random, unsigned count)
{
    spans->count = count;
    for (unsigned i = 0; i < count; i++) {
        random_fill(random, &spans->trace_ids[i], sizeof(spans->trace_ids[i]));
        random_fill(random, &spans->span_ids[i], sizeof(spans->span_ids[i]));
        spans->end_ns[i] = random_next(random);
    }
}

static void add(struct loop_sample *sample, const struct spans *spans, unsigned index)
{
    loop_sample_add(sample, &(struct item_view){.signal = SIGNAL_TRACES,
                                                .trace_id = spans->trace_ids[index].bytes,
                                                .span_id = spans->span_ids[index].bytes,
                                                .end_ns = spans->end_ns[index]});
}

// Spans from..to pass as one request.
static bool pass(const struct spans *spans, unsigned from, unsigned to, uint64_t now_ns)
{
    struct loop_sample sample;
    loop_sample_init(&sample);
    for (unsigned i = from; i < to; i++) {
        add(&sample, spans, i);
    }
    return loop_guard_catches(&guard, &sample, 0, "otlp", now_ns);
}

static bool pass_all(const struct spans *spans, uint64_t now_ns)
{
    return pass(spans, 0, spans->count, now_ns);
}

static struct spans spans_of(uint64_t seed, unsigned count)
{
    struct random random;
    struct spans spans;
    random_seed(&random, seed);
    spans_make(&spans, &random, count);
    return spans;
}

static void third_time_is_a_loop_and_the_second_is_not(void **state)
{
    static const unsigned counts[] = {1, 2, 7, 8, 9, 100, SPANS_MAX};
    (void)state;
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct spans spans = spans_of(i, counts[i]);
        assert_false(pass_all(&spans, AT(0)));
        assert_false(pass_all(&spans, AT(1)));
        assert_true(pass_all(&spans, AT(2)));
        assert_true(pass_all(&spans, AT(3)));
    }
}

static void what_was_caught_is_counted_by_receiver(void **state)
{
    (void)state;
    struct spans spans = spans_of(1, 20);
    double before = metrics_sum("sidejudge_loop_requests_total");
    for (unsigned i = 0; i < 5; i++) {
        pass_all(&spans, AT(i));
    }
    assert_true(metrics_sum("sidejudge_loop_requests_total") == before + 3);
}

static void a_span_is_forgotten_a_minute_after_it_passed(void **state)
{
    (void)state;
    struct spans spans = spans_of(2, 20);
    assert_false(pass_all(&spans, AT(0)));
    assert_false(pass_all(&spans, AT(10)));
    assert_false(pass_all(&spans, AT(10 + LOOP_WINDOW_S + 1)));
    assert_false(pass_all(&spans, AT(10 + LOOP_WINDOW_S + 2)));
    assert_true(pass_all(&spans, AT(10 + LOOP_WINDOW_S + 3)));
}

static void a_slow_loop_is_caught_up_to_a_minute_a_round(void **state)
{
    (void)state;
    struct spans spans = spans_of(3, 20);
    assert_false(pass_all(&spans, AT(0)));
    assert_false(pass_all(&spans, AT(LOOP_WINDOW_S)));
    assert_true(pass_all(&spans, AT(2 * LOOP_WINDOW_S)));
    struct spans slower = spans_of(4, 20);
    for (unsigned i = 0; i < 10; i++) {
        assert_false(pass_all(&slower, AT(i * (LOOP_WINDOW_S + 1))));
    }
}

static void the_seconds_kept_in_a_slot_may_wrap(void **state)
{
    (void)state;
    for (uint64_t wrap = 16384; wrap < 5 * 16384; wrap += 16384) {
        struct spans spans = spans_of(wrap, 20);
        assert_false(pass_all(&spans, (wrap - 1) * NS_PER_S));
        assert_false(pass_all(&spans, wrap * NS_PER_S));
        assert_true(pass_all(&spans, (wrap + 1) * NS_PER_S));
    }
}

static void a_clock_reading_that_is_late_is_no_harm(void **state)
{
    (void)state;
    struct spans spans = spans_of(5, 20);
    assert_false(pass_all(&spans, AT(10)));
    assert_false(pass_all(&spans, AT(9)));
    assert_true(pass_all(&spans, AT(8)));
}

static void half_of_a_request_is_not_enough(void **state)
{
    (void)state;
    struct spans spans = spans_of(6, 8);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(pass(&spans, 0, 4, AT(i)));
    }
    assert_false(pass(&spans, 0, 8, AT(2)));
    assert_true(pass(&spans, 0, 7, AT(3)));
}

static void spans_without_ids_are_never_a_loop(void **state)
{
    (void)state;
    static const uint8_t id[16] = {1};
    for (unsigned i = 0; i < 10; i++) {
        struct loop_sample sample;
        loop_sample_init(&sample);
        loop_sample_add(&sample, &(struct item_view){.end_ns = 1});
        loop_sample_add(&sample, &(struct item_view){.end_ns = 1, .trace_id = id});
        loop_sample_add(&sample, &(struct item_view){.end_ns = 1, .span_id = id});
        assert_int_equal(sample.count, 0);
        assert_false(loop_guard_catches(&guard, &sample, 0, "otlp", AT(0)));
    }
    assert_null(atomic_load(&guard.table));
}

static void the_same_span_many_times_in_one_request_has_come_once(void **state)
{
    (void)state;
    struct spans spans = spans_of(7, 1);
    struct loop_sample sample;
    loop_sample_init(&sample);
    for (unsigned i = 0; i < 100; i++) {
        add(&sample, &spans, 0);
    }
    assert_int_equal(sample.count, 1);
    assert_false(loop_guard_catches(&guard, &sample, 0, "otlp", AT(0)));
    assert_false(pass_all(&spans, AT(0)));
    assert_true(pass_all(&spans, AT(0)));
}

static void colliding_ids_are_told_apart_by_their_times(void **state)
{
    (void)state;
    struct spans spans = spans_of(8, 1);
    for (unsigned i = 0; i < 1000; i++) {
        spans.end_ns[0]++;
        assert_false(pass_all(&spans, AT(0)));
    }
}

static void what_passed_in_another_epoch_does_not_count(void **state)
{
    (void)state;
    struct spans spans = spans_of(15, 1);
    struct loop_sample sample;
    loop_sample_init(&sample);
    add(&sample, &spans, 0);
    for (uint64_t epoch = 0; epoch < 50; epoch++) {
        assert_false(loop_guard_catches(&guard, &sample, epoch, "otlp", AT(0)));
        assert_false(loop_guard_catches(&guard, &sample, epoch, "otlp", AT(0)));
    }
    assert_true(loop_guard_catches(&guard, &sample, 49, "otlp", AT(0)));
}

static void sample_is_the_smallest_keys_wherever_they_stand(void **state)
{
    (void)state;
    struct spans spans = spans_of(9, SPANS_MAX);
    struct loop_sample forward, backward;
    loop_sample_init(&forward);
    loop_sample_init(&backward);
    for (unsigned i = 0; i < SPANS_MAX; i++) {
        add(&forward, &spans, i);
        add(&backward, &spans, SPANS_MAX - 1 - i);
    }
    assert_int_equal(forward.count, LOOP_SAMPLE_MAX);
    for (unsigned i = 0; i < LOOP_SAMPLE_MAX; i++) {
        assert_int_equal(forward.spans[i].key, backward.spans[i].key);
        assert_true(i == 0 || forward.spans[i].key > forward.spans[i - 1].key);
    }
}

// The spans of a loop, cut and joined anew in each round by what stands on its way.
static unsigned rounds_until_caught(struct spans *spans, struct random *random, unsigned parts_max)
{
    for (unsigned round = 1;; round++) {
        bool anything_passed = false;
        assert_true(round < 20);
        for (unsigned i = spans->count; i > 1; i--) {
            unsigned j = (unsigned)random_below(random, i);
            struct trace_id trace_id = spans->trace_ids[i - 1];
            struct span_id span_id = spans->span_ids[i - 1];
            uint64_t end_ns = spans->end_ns[i - 1];
            spans->trace_ids[i - 1] = spans->trace_ids[j];
            spans->span_ids[i - 1] = spans->span_ids[j];
            spans->end_ns[i - 1] = spans->end_ns[j];
            spans->trace_ids[j] = trace_id;
            spans->span_ids[j] = span_id;
            spans->end_ns[j] = end_ns;
        }
        unsigned kept = 0, to;
        for (unsigned from = 0; from < spans->count; from = to) {
            to = from + 1 + (unsigned)random_below(random, spans->count / parts_max + 1);
            to = to < spans->count ? to : spans->count;
            if (pass(spans, from, to, AT(round))) {
                continue;
            }
            anything_passed = true;
            for (unsigned i = from; i < to; i++, kept++) {
                spans->trace_ids[kept] = spans->trace_ids[i];
                spans->span_ids[kept] = spans->span_ids[i];
                spans->end_ns[kept] = spans->end_ns[i];
            }
        }
        spans->count = kept;
        if (!anything_passed) {
            return round;
        }
    }
}

static void loops_that_cut_and_join_requests_end_all_the_same(void **state)
{
    (void)state;
    struct random random;
    unsigned most = 0;
    random_seed(&random, 10);
    for (unsigned i = 0; i < 200; i++) {
        struct spans spans;
        spans_make(&spans, &random, SPANS_MAX);
        unsigned rounds = rounds_until_caught(&spans, &random, 1 + i % 64);
        most = rounds > most ? rounds : most;
    }
    print_message("the longest loop had %u rounds\n", most);
    assert_true(most <= 12);
}

static void ten_million_random_spans_are_no_loop_and_take_no_more_memory(void **state)
{
    (void)state;
    struct random random;
    struct spans spans;
    unsigned caught = 0;
    random_seed(&random, 11);
    spans_make(&spans, &random, LOOP_SAMPLE_MAX);
    pass_all(&spans, AT(0));
    const struct loop_table *table = atomic_load(&guard.table);
    for (unsigned i = 0; i < FLOOD_REQUESTS; i++) {
        spans_make(&spans, &random, LOOP_SAMPLE_MAX);
        caught += pass_all(&spans, AT(i / 20000));
        if (i % 16 == 0) {  // a twin at once: what is honest may come twice
            caught += pass_all(&spans, AT(i / 20000));
        }
    }
    assert_int_equal(caught, 0);
    assert_ptr_equal(atomic_load(&guard.table), table);
}

static void a_loop_is_caught_among_other_traffic(void **state)
{
    (void)state;
    struct spans loop = spans_of(12, LOOP_SAMPLE_MAX);
    struct spans others;
    struct random random;
    random_seed(&random, 13);
    assert_false(pass_all(&loop, AT(0)));
    for (unsigned i = 0; i < 500; i++) {  // half of what the table holds, between two passings
        spans_make(&others, &random, LOOP_SAMPLE_MAX);
        assert_false(pass_all(&others, AT(1)));
    }
    assert_false(pass_all(&loop, AT(2)));
    for (unsigned i = 0; i < 500; i++) {
        spans_make(&others, &random, LOOP_SAMPLE_MAX);
        assert_false(pass_all(&others, AT(3)));
    }
    assert_true(pass_all(&loop, AT(4)));
}

// --- several threads ---

#define PASSERS 4
#define THREAD_ROUNDS 20000U

struct passer {
    struct thread thread;
    const struct spans *looping;
    uint64_t seed;
    unsigned caught, wrong;
};

static void passer_run(void *arg)
{
    struct passer *passer = arg;
    struct random random;
    struct spans fresh;
    random_seed(&random, passer->seed);
    for (unsigned i = 0; i < THREAD_ROUNDS; i++) {
        spans_make(&fresh, &random, LOOP_SAMPLE_MAX);
        passer->wrong += pass_all(&fresh, AT(i / 1000));
        passer->caught += pass_all(passer->looping, AT(i / 1000));
    }
}

static void threads_share_a_guard(void **state)
{
    (void)state;
    struct passer passers[PASSERS];
    struct spans looping = spans_of(14, 50);
    unsigned caught = 0;
    for (unsigned i = 0; i < PASSERS; i++) {
        passers[i] = (struct passer){.looping = &looping, .seed = 100 + i};
        assert_int_equal(thread_start(&passers[i].thread, "passer", passer_run, &passers[i]),
                         RESULT_OK);
    }
    for (unsigned i = 0; i < PASSERS; i++) {
        thread_join(&passers[i].thread);
        assert_int_equal(passers[i].wrong, 0);
        caught += passers[i].caught;
    }
    // All but the first two, and those few that lost a race.
    assert_in_range(caught, PASSERS * THREAD_ROUNDS * 9 / 10, PASSERS * THREAD_ROUNDS - 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(third_time_is_a_loop_and_the_second_is_not),
        TEST(what_was_caught_is_counted_by_receiver),
        TEST(a_span_is_forgotten_a_minute_after_it_passed),
        TEST(a_slow_loop_is_caught_up_to_a_minute_a_round),
        TEST(the_seconds_kept_in_a_slot_may_wrap),
        TEST(a_clock_reading_that_is_late_is_no_harm),
        TEST(half_of_a_request_is_not_enough),
        TEST(spans_without_ids_are_never_a_loop),
        TEST(the_same_span_many_times_in_one_request_has_come_once),
        TEST(colliding_ids_are_told_apart_by_their_times),
        TEST(what_passed_in_another_epoch_does_not_count),
        TEST(sample_is_the_smallest_keys_wherever_they_stand),
        TEST(loops_that_cut_and_join_requests_end_all_the_same),
        TEST(ten_million_random_spans_are_no_loop_and_take_no_more_memory),
        TEST(a_loop_is_caught_among_other_traffic),
        TEST(threads_share_a_guard),
    };
    return cmocka_run_group_tests_name("loop_guard", tests, NULL, NULL);
}
