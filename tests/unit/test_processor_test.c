// SPDX-License-Identifier: Apache-2.0
// The test processor's tricks, through a shard.
#include "processor/test_processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "processor/shard.h"
#include "proto/attribute.h"
#include "tests/evaluation_rig.h"
#include "tests/unit/crash.h"

struct bench {
    struct config *config;
    struct arena memory;
    struct processor *processor;
    const struct processor_ops *ops;
    struct shard *shard;
    unsigned dropped, passed;
    bool appended;
};

static bool see_span(void *arg, const struct item_view *view)
{
    struct bench *bench = arg;
    struct any_view value;
    bench->passed++;
    bench->appended |= attribute_find(view->attributes, SPAN_ATTRIBUTES, "mark", &value);
    return true;
}

static void out_pass(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    struct bench *bench = arg;
    struct buffer out;
    struct scan_report report;
    (void)shard, (void)processor;
    buffer_init(&out, 1 << 20);
    parcel_render(*parcel, &out);
    assert_int_equal(scan_request(SIGNAL_TRACES, buffer_view(&out), 0, see_span, bench, &report),
                     RESULT_OK);
    buffer_fini(&out);
    parcel_unref(parcel);
}

static void out_drop(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)shard, (void)processor;
    ((struct bench *)arg)->dropped++;
    parcel_unref(parcel);
}

static void bench_open(struct bench *bench, const char *yaml)
{
    struct buffer text, errors;
    memset(bench, 0, sizeof(*bench));
    arena_init(&bench->memory, 1 << 16);
    buffer_init(&text, 4096);
    buffer_init(&errors, 4096);
    buffer_printf(&text, "yaml:t: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &bench->config, &errors, &errors), RESULT_OK);
    struct option_errors collected = {.out = &errors};
    void *options = arena_zalloc(&bench->memory, test_processor.kind.config_size);
    option_bind(test_processor.kind.options, config_get(config_root(bench->config), "t"), "t",
                options, test_processor.kind.config_size, &bench->memory, &collected);
    assert_int_equal(collected.count, 0);
    char why[64];
    struct component_env env = {.id = "sidejudge_test"};
    assert_int_equal(test_processor.create(&env, options, &bench->processor, why, sizeof(why)),
                     RESULT_OK);
    bench->ops = &test_processor;
    struct shard_config config = {.out = {.pass = out_pass, .drop = out_drop, .arg = bench},
                                  .processors = &bench->processor,
                                  .ops = &bench->ops,
                                  .processor_count = 1};
    bench->shard = shard_new(&config, NS_PER_S);
    buffer_fini(&text);
    buffer_fini(&errors);
}

static void bench_send(struct bench *bench)
{
    const struct rig_spec specs[] = {{.trace = 1, .span = 1, .name = "keep"},
                                     {.trace = 1, .span = 2, .name = "lose"}};
    struct buffer request;
    buffer_init(&request, 1 << 16);
    rig_request(&request, "shop", "x", specs, 2);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&request), 0);
    batch->item_count = 2;
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 1);
    buffer_fini(&request);
    struct shard_ticket *ticket = shard_reserve(bench->shard);
    shard_post_take(&ticket, bench->processor, &parcel);
    shard_turn(bench->shard, 2 * NS_PER_S);
}

static void bench_close(struct bench *bench)
{
    shard_free(&bench->shard);
    test_processor.free(&bench->processor);
    config_free(&bench->config);
    arena_fini(&bench->memory);
}

static void appends_to_every_span(void **arg)
{
    struct bench bench;
    (void)arg;
    bench_open(&bench, "{append_key: mark, append_value: here}");
    bench_send(&bench);
    assert_int_equal(bench.passed, 2);
    assert_true(bench.appended);
    bench_close(&bench);
}

static void drops_by_name(void **arg)
{
    struct bench bench;
    (void)arg;
    bench_open(&bench, "{drop_name: lose}");
    bench_send(&bench);
    assert_int_equal(bench.passed, 1);
    assert_int_equal(bench.dropped, 1);
    bench_close(&bench);
}

static void delays_until_due_or_flushed(void **arg)
{
    struct bench bench;
    (void)arg;
    bench_open(&bench, "{delay: 5s}");
    bench_send(&bench);
    assert_int_equal(bench.passed, 0);
    shard_turn(bench.shard, 8 * NS_PER_S);
    assert_int_equal(bench.passed, 2);
    bench_send(&bench);
    shard_flush(bench.shard);
    shard_turn(bench.shard, 9 * NS_PER_S);
    assert_int_equal(bench.passed, 4);
    bench_close(&bench);
}

static void send(void *arg)
{
    bench_send(arg);
}

static void aborts_by_name(void **arg)
{
    struct bench bench;
    (void)arg;
    bench_open(&bench, "{abort_name: lose}");
    assert_true(crashes_with("aborting", send, &bench));
    bench_close(&bench);
}

static void other_names_do_not_abort(void **arg)
{
    struct bench bench;
    (void)arg;
    bench_open(&bench, "{abort_name: los}");
    assert_false(crashes_with("aborting", send, &bench));
    bench_send(&bench);
    assert_int_equal(bench.passed, 2);
    bench_close(&bench);
}

static void turn(void *arg)
{
    struct bench *bench = arg;
    shard_turn(bench->shard, 8 * NS_PER_S);
}

static void aborts_when_the_delay_is_over_and_not_on_a_flush(void **arg)
{
    struct bench bench;
    (void)arg;
    bench_open(&bench, "{abort_name: lose, delay: 5s}");
    bench_send(&bench);
    shard_turn(bench.shard, 4 * NS_PER_S);
    assert_true(crashes_with("aborting", turn, &bench));
    shard_flush(bench.shard);
    shard_turn(bench.shard, 4 * NS_PER_S);
    assert_int_equal(bench.passed, 2);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_to_every_span),
        cmocka_unit_test(drops_by_name),
        cmocka_unit_test(delays_until_due_or_flushed),
        cmocka_unit_test(aborts_by_name),
        cmocka_unit_test(other_names_do_not_abort),
        cmocka_unit_test(aborts_when_the_delay_is_over_and_not_on_a_flush),
    };
    return cmocka_run_group_tests_name("test_processor", tests, NULL, NULL);
}
