// SPDX-License-Identifier: Apache-2.0
// Parcels that wait: one by one, whole, and when the hold is over.
#include "processor/holding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/evaluation_rig.h"

struct bench {
    struct shard_env env;
    struct holdings holdings;
    struct trace_table *traces;
    struct trace *trace;
    struct item_place places[8];
    uint32_t place_count;
    unsigned passed, passed_spans, over, left;
    uint64_t now_ns;
};

static struct bench *the_bench;

static void env_pass(struct shard_env *env, struct parcel **parcel)
{
    struct bench *bench = the_bench;
    (void)env;
    bench->passed++;
    bench->passed_spans +=
        (*parcel)->mode == PARCEL_ALL ? bench->place_count : (*parcel)->item_count;
    parcel_unref(parcel);
}

static void note_over(void *arg, struct held_span *held, uint64_t now_ns)
{
    (void)now_ns;
    assert_int_not_equal(held->state, HELD_GONE);
    ((struct bench *)arg)->over++;
}

static void note_left(void *arg, const struct held_span *held, uint64_t held_ns, uint64_t now_ns)
{
    (void)held_ns, (void)now_ns;
    held->span->held = NULL;
    ((struct bench *)arg)->left++;
}

static bool note_place(void *arg, const struct item_view *view)
{
    struct bench *bench = arg;
    bench->places[bench->place_count++] = view->place;
    return true;
}

// A parcel of four spans; all of them wait.
static struct held_span *hold(struct bench *bench, bool packed, struct held_span held[4])
{
    struct rig_spec specs[4];
    struct buffer request;
    struct scan_report report;
    const struct trace_id id = {{1}};
    const struct span_class found = {.role = ROLE_AGENT, .dialect = -1};
    memset(bench, 0, sizeof(*bench));
    the_bench = bench;
    bench->now_ns = NS_PER_S;
    bench->env = (struct shard_env){.timers = timers_new(bench->now_ns), .pass = env_pass};
    bench->holdings = (struct holdings){.env = &bench->env,
                                        .hold_ns = 4 * NS_PER_S,
                                        .whole_ns = NS_PER_S,
                                        .over = note_over,
                                        .left = note_left,
                                        .arg = bench};
    bench->traces = trace_table_new(4);
    bench->trace = trace_table_add(bench->traces, &id, 0);
    for (uint8_t i = 0; i < 4; i++) {
        specs[i] = (struct rig_spec){.trace = 1, .span = (uint8_t)(i + 1), .end_s = 1};
    }
    buffer_init(&request, 1 << 20);
    rig_request(&request, "shop", "x", specs, 4);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&request), bench->now_ns);
    buffer_fini(&request);
    assert_int_equal(scan_request(SIGNAL_TRACES, batch->body, 0, note_place, bench, &report),
                     RESULT_OK);
    batch->item_count = 4;
    struct parcel *parcel = parcel_new(batch, packed ? PARCEL_ALL : PARCEL_ONLY,
                                       packed ? NULL : bench->places, packed ? 0 : 4, 1);
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t span_id[8] = {(uint8_t)i};
        struct item_view view = {.span_id = span_id};
        held[i] = (struct held_span){.span = trace_add(bench->trace, &view, &found, 0),
                                     .place = bench->places[i]};
    }
    holding_add(&bench->holdings, &parcel, held, 4, packed, bench->now_ns);
    assert_null(parcel);
    return held;
}

static void advance(struct bench *bench, uint64_t ns)
{
    bench->now_ns += ns;
    timers_advance(bench->env.timers, bench->now_ns);
}

static void bench_end(struct bench *bench)
{
    assert_null(bench->holdings.first);
    assert_int_equal(bench->left, 4);
    trace_table_remove(bench->traces, bench->trace);
    trace_table_free(bench->traces);
    timers_free(bench->env.timers);
}

static void released_spans_leave_together_and_once(void **arg)
{
    struct bench bench;
    struct held_span held[4];
    (void)arg;
    hold(&bench, false, held);
    held_release(&bench.holdings, held[0].span->held, false);
    held_release(&bench.holdings, held[2].span->held, true);
    assert_int_equal(bench.passed, 0);
    holdings_settle(&bench.holdings, bench.now_ns);
    assert_int_equal(bench.passed, 1);
    assert_int_equal(bench.passed_spans, 2);
    advance(&bench, 5 * NS_PER_S);
    assert_int_equal(bench.passed, 2);
    assert_int_equal(bench.over, 2);
    bench_end(&bench);
}

static void the_hold_ends_for_judged_ones_too(void **arg)
{
    struct bench bench;
    struct held_span held[4];
    (void)arg;
    hold(&bench, false, held);
    held_judge(held[1].span->held);
    advance(&bench, 3900 * NS_PER_MS);
    assert_int_equal(bench.passed, 0);
    advance(&bench, 102 * NS_PER_MS);
    assert_int_equal(bench.passed, 1);
    assert_int_equal(bench.over, 4);
    bench_end(&bench);
}

static void a_whole_leaves_whole_when_all_are_decided(void **arg)
{
    struct bench bench;
    struct held_span held[4];
    (void)arg;
    hold(&bench, true, held);
    for (int i = 0; i < 3; i++) {
        held_release(&bench.holdings, held[i].span->held, false);
        holdings_settle(&bench.holdings, bench.now_ns);
        assert_int_equal(bench.passed, 0);
    }
    held_release(&bench.holdings, held[3].span->held, false);
    holdings_settle(&bench.holdings, bench.now_ns);
    assert_int_equal(bench.passed, 1);
    assert_int_equal(bench.passed_spans, 4);
    bench_end(&bench);
}

static void a_whole_is_split_when_one_is_picked(void **arg)
{
    struct bench bench;
    struct held_span held[4];
    (void)arg;
    hold(&bench, true, held);
    held_judge(held[1].span->held);
    advance(&bench, 1001 * NS_PER_MS);  // its window is over
    assert_int_equal(bench.passed, 1);
    assert_int_equal(bench.over, 3);
    assert_non_null(held[1].span->held);
    held_release(&bench.holdings, held[1].span->held, true);
    holdings_settle(&bench.holdings, bench.now_ns);
    assert_int_equal(bench.passed, 2);
    bench_end(&bench);
}

static void flush_lets_everything_go(void **arg)
{
    struct bench bench;
    struct held_span held[4];
    (void)arg;
    hold(&bench, true, held);
    held_judge(held[1].span->held);
    holdings_flush(&bench.holdings, bench.now_ns);
    assert_int_equal(bench.over, 4);
    holdings_flush(&bench.holdings, bench.now_ns);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(released_spans_leave_together_and_once),
        cmocka_unit_test(the_hold_ends_for_judged_ones_too),
        cmocka_unit_test(a_whole_leaves_whole_when_all_are_decided),
        cmocka_unit_test(a_whole_is_split_when_one_is_picked),
        cmocka_unit_test(flush_lets_everything_go),
    };
    return cmocka_run_group_tests_name("holding", tests, NULL, NULL);
}
