// SPDX-License-Identifier: Apache-2.0
//
// The walk through a chain: editing and dropping processors before and behind a sharded one, own
// products, and that every reservation is given back exactly once.

#include "service/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/pipeline_stage.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct stage stage;

static void chain(const struct processor_slot *first, const struct processor_slot *second)
{
    stage.pipeline.chain[stage.pipeline.chain_count++] = *first;
    if (second != NULL) {
        stage.pipeline.chain[stage.pipeline.chain_count++] = *second;
    }
}

static int open_stage(void **state)
{
    (void)state;
    stage_open(&stage, 2, 64);
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    stage_close(&stage);
    return 0;
}

static void editing_processor_edits_and_drops(void **state)
{
    (void)state;
    struct offer_reply reply;
    chain(&stage.editing, NULL);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "d1", "e1")), &reply), RESULT_OK);
    assert_true(stage_has(&stage, 0, "a") && stage_has(&stage, 0, "e1"));
    assert_false(stage_has(&stage, 0, "d1"));
    assert_true(bytes_find(buffer_view(&stage.fakes[0].bodies), BYTES_LITERAL("edited"), 0) !=
                SIZE_MAX);
}

static void dropping_everything_gives_every_reservation_back(void **state)
{
    (void)state;
    struct offer_reply reply;
    chain(&stage.editing, NULL);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("d1", "d2")), &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].pushes, 0);
    assert_int_equal(stage.fakes[0].reserved, 0);
}

static void editing_comes_before_a_sharded_processor_in_the_chains_order(void **state)
{
    (void)state;
    struct offer_reply reply;
    chain(&stage.editing, &stage.sharded);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("d1", "t1", "l1", "e1")), &reply),
                     RESULT_OK);
    stage_turn(&stage);
    assert_int_equal(stage.taken, 1);
    assert_int_equal(stage.looked, 1);
    stage_pass_held(&stage);
    assert_true(stage_has(&stage, 1, "t1") && stage_has(&stage, 1, "l1"));
    assert_false(stage_has(&stage, 1, "d1"));
}

static void what_a_shard_passes_on_goes_through_the_rest_of_the_chain(void **state)
{
    (void)state;
    struct offer_reply reply;
    chain(&stage.sharded, &stage.editing);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("t1", "d1", "e1")), &reply),
                     RESULT_OK);
    stage_turn(&stage);
    stage_pass_held(&stage);
    assert_true(stage_has(&stage, 0, "t1") && stage_has(&stage, 0, "e1"));
    assert_false(stage_has(&stage, 0, "d1"));
}

static void dropped_parcel_gives_its_reservation_back(void **state)
{
    (void)state;
    struct offer_reply reply;
    chain(&stage.sharded, NULL);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("t1")), &reply), RESULT_OK);
    stage_turn(&stage);
    assert_true(stage.fakes[0].reserved > 0);
    stage.env->drop(stage.env, &stage.held[0]);
    stage.held_count = 0;
    assert_int_equal(stage.fakes[0].reserved, 0);
    assert_int_equal(stage.fakes[0].pushes, 0);
}

static void own_product_goes_behind_its_processor_under_the_reserved_tenth(void **state)
{
    (void)state;
    chain(&stage.sharded, &stage.editing);
    struct batch *batch = stage_request(NAMES("carrier"));
    struct pipeline *pipelines[] = {&stage.pipeline};
    assert_int_equal(pipeline_emit(pipelines, 1, stage.sharded.processor, SIGNAL_TRACES,
                                   EMIT_TO_ALL, &batch, 1, 0),
                     RESULT_OK);
    assert_null(batch);
    assert_true(stage_has(&stage, 0, "carrier") && stage_has(&stage, 1, "carrier"));
    assert_int_equal(stage.fakes[0].own_reserved, 0);
}

static void own_product_without_a_pipeline_of_its_signal_is_missing(void **state)
{
    (void)state;
    chain(&stage.sharded, NULL);
    struct batch *batch = stage_request(NAMES("record"));
    struct pipeline *pipelines[] = {&stage.pipeline};
    assert_int_equal(pipeline_emit(pipelines, 1, stage.sharded.processor, SIGNAL_LOGS, EMIT_TO_ALL,
                                   &batch, 1, 0),
                     RESULT_MISSING);
    assert_null(batch);
    assert_int_equal(stage.fakes[0].pushes, 0);
}

static void own_product_that_finds_no_room_is_shed(void **state)
{
    (void)state;
    chain(&stage.sharded, NULL);
    stage.fakes[0].capacity = stage.fakes[1].capacity = 1;
    struct batch *batch = stage_request(NAMES("carrier"));
    struct pipeline *pipelines[] = {&stage.pipeline};
    assert_int_equal(pipeline_emit(pipelines, 1, stage.sharded.processor, SIGNAL_TRACES,
                                   EMIT_TO_ALL, &batch, 1, 0),
                     RESULT_SHED);
    assert_int_equal(stage.fakes[0].reserved, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)
    const struct CMUnitTest tests[] = {
        TEST(editing_processor_edits_and_drops),
        TEST(dropping_everything_gives_every_reservation_back),
        TEST(editing_comes_before_a_sharded_processor_in_the_chains_order),
        TEST(what_a_shard_passes_on_goes_through_the_rest_of_the_chain),
        TEST(dropped_parcel_gives_its_reservation_back),
        TEST(own_product_goes_behind_its_processor_under_the_reserved_tenth),
        TEST(own_product_without_a_pipeline_of_its_signal_is_missing),
        TEST(own_product_that_finds_no_room_is_shed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
