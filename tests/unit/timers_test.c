// SPDX-License-Identifier: Apache-2.0
//
// The wheel on times of the test's own: around each level's border, far jumps, callbacks that set
// and cancel, and a thousand random timers against a plain list.
#include "base/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "tests/unit/crash.h"

#define MS NS_PER_MS

struct probe {
    struct timer timer;
    struct timers *timers;
    unsigned fired;
    uint64_t fired_at_ns;
    struct probe *victim;  // cancelled when this one fires
    uint64_t again_ns;     // set again to this time when it fires
};

static void note(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct probe *probe = arg;
    assert_ptr_equal(timer, &probe->timer);
    assert_false(timer_is_set(timer));
    probe->fired++;
    probe->fired_at_ns = now_ns;
    if (probe->victim) {
        timers_cancel(probe->timers, &probe->victim->timer);
    }
    if (probe->again_ns) {
        timers_set(probe->timers, timer, probe->again_ns);
    }
}

static void probe_init(struct probe *probe, struct timers *timers)
{
    *probe = (struct probe){.timers = timers};
    timer_init(&probe->timer, note, probe);
}

static void a_timer_fires_once_and_never_early(void **state)
{
    (void)state;
    const uint64_t delays[] = {1,
                               MS - 1,
                               MS,
                               MS + 1,
                               63 * MS,
                               64 * MS,
                               65 * MS,
                               4095 * MS,
                               4096 * MS,
                               4097 * MS,
                               262144 * MS,
                               1 << 30,
                               3600 * NS_PER_S,
                               86400 * 50 * NS_PER_S};
    const uint64_t starts[] = {0, 1, 999999, 63 * MS, 4095 * MS + 5, 1767323045678901234};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        for (size_t d = 0; d < sizeof delays / sizeof *delays; d++) {
            struct timers *timers = timers_new(starts[s]);
            struct probe probe;
            probe_init(&probe, timers);
            uint64_t at_ns = starts[s] + delays[d];
            timers_set(timers, &probe.timer, at_ns);
            assert_int_equal(timers_advance(timers, at_ns - 1), 0);
            assert_true(timer_is_set(&probe.timer));
            assert_int_equal(timers_advance(timers, at_ns + MS), 1);
            assert_int_equal(probe.fired, 1);
            assert_false(timer_is_set(&probe.timer));
            assert_int_equal(timers_advance(timers, at_ns + 10 * MS), 0);
            assert_true(timers_next_ns(timers) == UINT64_MAX);
            timers_free(timers);
        }
    }
}

static void a_time_in_the_past_fires_at_the_next_advance(void **state)
{
    (void)state;
    struct timers *timers = timers_new(NS_PER_S);
    struct probe probe;
    probe_init(&probe, timers);
    timers_set(timers, &probe.timer, 5);
    assert_true(timers_next_ns(timers) <= NS_PER_S);
    assert_int_equal(timers_advance(timers, NS_PER_S), 1);
    timers_set(timers, &probe.timer, NS_PER_S);
    assert_int_equal(timers_advance(timers, NS_PER_S / 2), 1);  // even if time stands still or back
    timers_free(timers);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    struct probe probes[3];
    for (unsigned i = 0; i < 3; i++) {
        probe_init(&probes[i], timers);
        timers_set(timers, &probes[i].timer, 7 * MS);
    }
    timers_cancel(timers, &probes[1].timer);
    timers_cancel(timers, &probes[1].timer);
    assert_int_equal(timers_advance(timers, 10 * MS), 2);
    assert_int_equal(probes[1].fired, 0);
    timers_cancel(timers, &probes[0].timer);
    timers_free(timers);
}

static void the_last_cancelled_timer_leaves_nothing_to_wait_for(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    struct probe probes[2];
    for (uint64_t at_ns = MS; at_ns < UINT64_MAX / 3; at_ns *= 3) {
        for (unsigned i = 0; i < 2; i++) {
            probe_init(&probes[i], timers);
            timers_set(timers, &probes[i].timer, at_ns);
        }
        timers_cancel(timers, &probes[0].timer);
        assert_true(timers_next_ns(timers) <= at_ns + MS);
        timers_cancel(timers, &probes[1].timer);
        assert_true(timers_next_ns(timers) == UINT64_MAX);
    }
    timers_free(timers);
}

static void setting_again_moves_a_timer(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    struct probe probe;
    probe_init(&probe, timers);
    timers_set(timers, &probe.timer, 5 * MS);
    timers_set(timers, &probe.timer, 500 * MS);
    assert_int_equal(timers_advance(timers, 499 * MS), 0);
    timers_set(timers, &probe.timer, 500 * MS);
    assert_int_equal(timers_advance(timers, 500 * MS), 1);
    timers_free(timers);
}

static void a_callback_may_cancel_a_timer_of_the_same_moment(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    struct probe a, b;
    probe_init(&a, timers);
    probe_init(&b, timers);
    a.victim = &b;
    b.victim = &a;
    timers_set(timers, &a.timer, 5 * MS);
    timers_set(timers, &b.timer, 5 * MS);
    assert_int_equal(timers_advance(timers, 5 * MS), 1);
    assert_int_equal(a.fired + b.fired, 1);
    timers_set(timers, &a.timer, 0);
    timers_set(timers, &b.timer, 0);
    assert_int_equal(timers_advance(timers, 5 * MS), 1);
    timers_free(timers);
}

static void a_callback_that_sets_itself_to_the_past_does_not_hang_the_turn(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    struct probe probe;
    probe_init(&probe, timers);
    probe.again_ns = 1;
    timers_set(timers, &probe.timer, 5 * MS);
    assert_int_equal(timers_advance(timers, 9 * MS), 1);
    assert_int_equal(timers_advance(timers, 9 * MS), 1);
    assert_true(timer_is_set(&probe.timer));
    timers_free(timers);
    assert_false(timer_is_set(&probe.timer));  // forgotten
    assert_int_equal(probe.fired, 2);
}

static void timers_that_are_due_together_fire_in_order_of_time(void **state)
{
    (void)state;
    struct timers *timers = timers_new(123456789);
    struct probe probes[4];
    const uint64_t at_ms[4] = {70000, 130, 131, 5000};
    for (unsigned i = 0; i < 4; i++) {
        probe_init(&probes[i], timers);
        probes[i].timer.arg = &probes[i];
        timers_set(timers, &probes[i].timer, at_ms[i] * MS);
    }
    probes[1].victim = &probes[2];  // fires before 2, so 2 never does
    probes[3].victim = &probes[0];
    assert_int_equal(timers_advance(timers, 100000 * MS), 2);
    assert_int_equal(probes[1].fired + probes[3].fired, 2);
    timers_free(timers);
}

static void the_next_time_is_never_beyond_a_deadline(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 7);
    struct timers *timers = timers_new(0);
    struct probe probe;
    probe_init(&probe, timers);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t at_ns = random_next(&random) >> (8 + random_below(&random, 50));
        uint64_t start_ns = at_ns - random_below(&random, at_ns / 2 + 1);
        timers_free(timers);
        timers = timers_new(start_ns);
        timers_set(timers, &probe.timer, at_ns);
        // Following timers_next_ns alone must arrive, in few steps.
        unsigned steps = 0;
        uint64_t now_ns = start_ns;
        while (timers_advance(timers, now_ns) == 0) {
            uint64_t next_ns = timers_next_ns(timers);
            assert_true(next_ns < at_ns + MS);
            assert_true(next_ns >= now_ns);
            now_ns = next_ns;
            assert_true(++steps < 20);
        }
        assert_true(now_ns >= at_ns && now_ns < at_ns + MS);
    }
    timers_free(timers);
}

static void the_end_of_time_is_never_reached(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    struct probe probe;
    probe_init(&probe, timers);
    timers_set(timers, &probe.timer, UINT64_MAX);
    assert_true(timers_next_ns(timers) > UINT64_MAX / 2);
    assert_int_equal(timers_advance(timers, UINT64_MAX - MS), 0);
    assert_true(timer_is_set(&probe.timer));
    timers_free(timers);
}

// Against the obvious model: an array of deadlines.
static void a_thousand_random_timers_agree_with_a_plain_list(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct probe probes[COUNT];
    static uint64_t at_ns[COUNT];  // 0: not set
    struct random random;
    random_seed(&random, 99);
    uint64_t now_ns = 1;
    struct timers *timers = timers_new(now_ns);
    for (unsigned i = 0; i < COUNT; i++) {
        probe_init(&probes[i], timers);
        at_ns[i] = 0;
    }
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = (unsigned)random_below(&random, COUNT);
        if (random_below(&random, 4) == 0) {
            timers_cancel(timers, &probes[i].timer);
            at_ns[i] = 0;
        } else {
            at_ns[i] = now_ns + (random_next(&random) >> (20 + random_below(&random, 40)));
            timers_set(timers, &probes[i].timer, at_ns[i]);
        }
        if (random_below(&random, 20) != 0) {
            continue;
        }
        now_ns += random_next(&random) >> (22 + random_below(&random, 40));
        timers_advance(timers, now_ns);
        for (unsigned n = 0; n < COUNT; n++) {
            bool due = at_ns[n] != 0 && at_ns[n] <= now_ns / MS * MS;
            assert_int_equal(probes[n].fired, due);
            assert_int_equal(timer_is_set(&probes[n].timer), at_ns[n] != 0 && !due);
            at_ns[n] = due ? 0 : at_ns[n];
            probes[n].fired = 0;
        }
    }
    timers_free(timers);
}

static void set_without_callback(void *arg)
{
    struct timer timer = {0};
    timers_set(arg, &timer, 5);
}

static void a_timer_without_callback_crashes(void **state)
{
    (void)state;
    struct timers *timers = timers_new(0);
    assert_true(crashes(set_without_callback, timers));
    timers_free(timers);
    timers_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_never_early),
        cmocka_unit_test(a_time_in_the_past_fires_at_the_next_advance),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(the_last_cancelled_timer_leaves_nothing_to_wait_for),
        cmocka_unit_test(setting_again_moves_a_timer),
        cmocka_unit_test(a_callback_may_cancel_a_timer_of_the_same_moment),
        cmocka_unit_test(a_callback_that_sets_itself_to_the_past_does_not_hang_the_turn),
        cmocka_unit_test(timers_that_are_due_together_fire_in_order_of_time),
        cmocka_unit_test(the_next_time_is_never_beyond_a_deadline),
        cmocka_unit_test(the_end_of_time_is_never_reached),
        cmocka_unit_test(a_thousand_random_timers_agree_with_a_plain_list),
        cmocka_unit_test(a_timer_without_callback_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
