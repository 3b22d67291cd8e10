// SPDX-License-Identifier: Apache-2.0
// The walk through the chain, and that every reservation is used or given back.
#include "service/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/unit/pipeline_rig.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ROOM ((size_t)1 << 20)

struct stage {
    struct rig_exporter one, two;
    struct pipeline pipeline;
    struct shard *shard;
};

static int setup(void **state)
{
    static struct stage stage;
    memset(&stage, 0, sizeof(stage));
    rig_exporter_init(&stage.one, "one", ROOM);
    rig_exporter_init(&stage.two, "two", ROOM);
    rig_pipeline_init(&stage.pipeline,
                      (struct rig_exporter *const[]){&stage.one, &stage.two, NULL});
    *state = &stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    shard_free(&stage->shard);
    assert_int_equal(stage->one.reserved_bytes, 0);
    assert_int_equal(stage->two.reserved_bytes, 0);
    rig_exporter_fini(&stage->one);
    rig_exporter_fini(&stage->two);
    return 0;
}

// A parcel of all spans under reservations at all exporters, at the first stage.
static struct parcel *reserved(struct stage *stage, const char *const *names)
{
    struct offer_reply reply = {0};
    struct batch *batch = rig_batch(names);
    uint32_t mask = 0, count = 0;
    while (names[count] != NULL) {
        count++;
    }
    batch->item_count = count;
    size_t bytes = batch->body.len;
    assert_int_equal(pipeline_reserve(&stage->pipeline, count, bytes, false, &mask, &reply),
                     RESULT_OK);
    struct parcel *parcel =
        parcel_new(batch, PARCEL_ALL, NULL, 0, (uint32_t)stage->pipeline.exporter_count);
    parcel->pipeline = &stage->pipeline;
    parcel->exporters = mask;
    parcel->charge_bytes = bytes;
    return parcel;
}

static unsigned edited_spans(const struct rig_exporter *exporter);

static void parcel_goes_to_every_exporter_that_holds_a_reservation(void **state)
{
    struct stage *stage = *state;
    struct parcel *parcel = reserved(stage, NAMES("a", "b"));
    pipeline_pass(&parcel, -1);
    assert_null(parcel);
    assert_int_equal(rig_exporter_spans(&stage->one), 2);
    assert_int_equal(rig_exporter_spans(&stage->two), 2);
}

static void exporter_without_a_reservation_gets_nothing(void **state)
{
    struct stage *stage = *state;
    stage->one.room_bytes = 0;
    struct parcel *parcel = reserved(stage, NAMES("a"));
    pipeline_pass(&parcel, -1);
    assert_int_equal(stage->one.pushes, 0);
    assert_int_equal(stage->two.pushes, 1);
}

static void dropped_parcel_gives_its_reservations_back(void **state)
{
    struct stage *stage = *state;
    struct parcel *parcel = reserved(stage, NAMES("a"));
    assert_true(stage->one.reserved_bytes > 0);
    pipeline_drop(&parcel);
    assert_int_equal(stage->one.releases, 1);
    assert_int_equal(stage->two.releases, 1);
}

static void processors_act_in_order(void **state)
{
    struct stage *stage = *state;
    struct rig_processor drop, idle, edit;
    rig_processor_add(&stage->pipeline, &drop, RIG_DROP_NAMED);
    rig_processor_add(&stage->pipeline, &idle, RIG_NOTHING);
    rig_processor_add(&stage->pipeline, &edit, RIG_EDIT);
    struct parcel *parcel = reserved(stage, NAMES("a", "dropped", "b"));
    pipeline_pass(&parcel, -1);
    assert_int_equal(rig_exporter_spans(&stage->one), 2);
    assert_int_equal(edited_spans(&stage->two), 2);
    assert_int_equal(drop.processed, 1);
    assert_int_equal(idle.processed, 0);
    assert_int_equal(edit.processed, 1);
}

static void processor_that_drops_all_ends_the_walk(void **state)
{
    struct stage *stage = *state;
    struct rig_processor all, edit;
    rig_processor_add(&stage->pipeline, &all, RIG_DROP_ALL);
    rig_processor_add(&stage->pipeline, &edit, RIG_EDIT);
    struct parcel *parcel = reserved(stage, NAMES("a", "b"));
    pipeline_pass(&parcel, -1);
    assert_int_equal(stage->one.pushes, 0);
    assert_int_equal(edit.processed, 0);
}

static void sharded_stages_are_reached_on_the_own_shard_without_tickets(void **state)
{
    struct stage *stage = *state;
    struct rig_processor take, look, edit;
    rig_processor_add(&stage->pipeline, &take, RIG_TAKE);
    rig_processor_add(&stage->pipeline, &look, RIG_LOOK);
    rig_processor_add(&stage->pipeline, &edit, RIG_EDIT);
    rig_shard_new(&stage->pipeline, &stage->shard);
    assert_int_equal(pipeline_sharded_stages(&stage->pipeline), 2);
    struct parcel *parcel = reserved(stage, NAMES("a", "taken", "b"));
    pipeline_pass(&parcel, 0);
    assert_int_equal(take.taken, 1);
    assert_int_equal(look.looked, 3);
    assert_int_equal(rig_exporter_spans(&stage->one), 3);
    assert_int_equal(edited_spans(&stage->one), 3);
}

static void reservation_is_all_or_nothing_where_one_insists(void **state)
{
    struct stage *stage = *state;
    struct offer_reply reply = {0};
    uint32_t mask = 99;
    stage->two.room_bytes = 5;
    stage->two.insists = true;
    assert_int_equal(pipeline_reserve(&stage->pipeline, 1, 10, false, &mask, &reply), RESULT_SHED);
    assert_int_equal(mask, 0);
    assert_true(reply.retry_after_s > 0);
    assert_non_null(strstr(reply.message, "two"));
}

static void reservation_fails_when_no_exporter_is_there(void **state)
{
    struct stage *stage = *state;
    struct offer_reply reply = {0};
    uint32_t mask = 99;
    atomic_store(&stage->one.slot.exporter, NULL);
    atomic_store(&stage->two.slot.exporter, NULL);
    assert_int_equal(pipeline_reserve(&stage->pipeline, 1, 10, false, &mask, &reply), RESULT_RETRY);
    assert_int_equal(mask, 0);
    stage->pipeline.exporter_count = 0;
    assert_int_equal(pipeline_reserve(&stage->pipeline, 1, 10, false, &mask, &reply), RESULT_RETRY);
}

static void own_product_enters_behind_its_processor_as_own(void **state)
{
    struct stage *stage = *state;
    struct pipeline *pipelines[] = {&stage->pipeline};
    struct rig_processor edit, source, drop;
    rig_processor_add(&stage->pipeline, &edit, RIG_EDIT);
    rig_processor_add(&stage->pipeline, &source, RIG_NOTHING);
    rig_processor_add(&stage->pipeline, &drop, RIG_DROP_NAMED);
    struct batch *batch = rig_batch(NAMES("carrier", "dropped"));
    assert_int_equal(
        pipeline_emit(pipelines, 1, (struct processor *)&source, SIGNAL_TRACES, &batch, 2, 0),
        RESULT_OK);
    assert_null(batch);
    assert_int_equal(edit.processed, 0);
    assert_int_equal(rig_exporter_spans(&stage->one), 1);
    assert_true(stage->one.last_own);
}

static void own_product_without_a_pipeline_of_its_signal_has_no_home(void **state)
{
    struct stage *stage = *state;
    struct pipeline *pipelines[] = {&stage->pipeline};
    struct rig_processor source, other;
    rig_processor_add(&stage->pipeline, &source, RIG_NOTHING);
    struct batch *batch = batch_make(SIGNAL_LOGS, BYTES_NONE, 1);
    assert_int_equal(
        pipeline_emit(pipelines, 1, (struct processor *)&source, SIGNAL_LOGS, &batch, 1, 0),
        RESULT_MISSING);
    batch = rig_batch(NAMES("a"));
    assert_int_equal(
        pipeline_emit(pipelines, 1, (struct processor *)&other, SIGNAL_TRACES, &batch, 1, 0),
        RESULT_MISSING);
    assert_null(batch);
    assert_int_equal(stage->one.pushes, 0);
}

static void own_product_that_finds_no_room_is_shed(void **state)
{
    struct stage *stage = *state;
    struct pipeline *pipelines[] = {&stage->pipeline};
    struct rig_processor source;
    rig_processor_add(&stage->pipeline, &source, RIG_NOTHING);
    stage->one.room_bytes = stage->two.room_bytes = 0;
    struct batch *batch = rig_batch(NAMES("a"));
    assert_int_equal(
        pipeline_emit(pipelines, 1, (struct processor *)&source, SIGNAL_TRACES, &batch, 1, 0),
        RESULT_SHED);
    assert_null(batch);
}

static bool find_edit(void *arg, const struct item_view *view)
{
    struct any_view value;
    *(unsigned *)arg += attribute_find(view->attributes, SPAN_ATTRIBUTES, "edited", &value);
    return true;
}

static unsigned edited_spans(const struct rig_exporter *exporter)
{
    struct scan_report report;
    unsigned count = 0;
    assert_int_equal(
        scan_request(SIGNAL_TRACES, buffer_view(&exporter->kept), 0, find_edit, &count, &report),
        RESULT_OK);
    return count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parcel_goes_to_every_exporter_that_holds_a_reservation),
        TEST(exporter_without_a_reservation_gets_nothing),
        TEST(dropped_parcel_gives_its_reservations_back),
        TEST(processors_act_in_order),
        TEST(processor_that_drops_all_ends_the_walk),
        TEST(sharded_stages_are_reached_on_the_own_shard_without_tickets),
        TEST(reservation_is_all_or_nothing_where_one_insists),
        TEST(reservation_fails_when_no_exporter_is_there),
        TEST(own_product_enters_behind_its_processor_as_own),
        TEST(own_product_without_a_pipeline_of_its_signal_has_no_home),
        TEST(own_product_that_finds_no_room_is_shed),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
