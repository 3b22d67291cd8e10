// SPDX-License-Identifier: Apache-2.0
// Admission: all or nothing, for the whole way, and what the client is told.
#include "service/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "tests/unit/pipeline_rig.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ROOM ((size_t)1 << 20)

struct stage {
    struct rig_exporter one, two;
    struct pipeline first, second;
    struct door door;
    struct offer_reply reply;
};

static int setup(void **state)
{
    static struct stage stage;
    memset(&stage, 0, sizeof(stage));
    rig_exporter_init(&stage.one, "one", ROOM);
    rig_exporter_init(&stage.two, "two", ROOM);
    rig_pipeline_init(&stage.first, (struct rig_exporter *const[]){&stage.one, NULL});
    rig_pipeline_init(&stage.second, (struct rig_exporter *const[]){&stage.two, NULL});
    door_init(&stage.door);
    stage.door.pipelines[stage.door.count++] = &stage.first;
    *state = &stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(stage->one.reserved_bytes, 0);  // whatever happened
    assert_int_equal(stage->two.reserved_bytes, 0);
    rig_exporter_fini(&stage->one);
    rig_exporter_fini(&stage->two);
    return 0;
}

static enum result offer(struct stage *stage, const char *const *names)
{
    struct batch *batch = rig_batch(names);
    enum result result = stage->door.sink.offer(&stage->door.sink, &batch, &stage->reply);
    assert_null(batch);
    return result;
}

static void request_without_processors_leaves_as_it_came(void **state)
{
    struct stage *stage = *state;
    struct buffer request;
    buffer_init(&request, ROOM);
    rig_spans(&request, NAMES("a", "b", "c"));
    assert_int_equal(offer(stage, NAMES("a", "b", "c")), RESULT_OK);
    assert_true(bytes_equal(buffer_view(&stage->one.kept), buffer_view(&request)));
    assert_int_equal(stage->one.pushes, 1);
    assert_int_equal(stage->reply.rejected_count, 0);
    assert_string_equal(stage->reply.message, "");
    buffer_fini(&request);
}

static void bad_span_is_left_out_and_named(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(offer(stage, NAMES("a", "bad id", "c")), RESULT_OK);
    assert_int_equal(stage->reply.rejected_count, 1);
    assert_non_null(strstr(stage->reply.message, "1 of 3 spans left out"));
    assert_non_null(strstr(stage->reply.message, "bad id"));
    assert_int_equal(rig_exporter_spans(&stage->one), 2);
}

static void request_of_bad_spans_alone_is_answered_and_not_forwarded(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(offer(stage, NAMES("bad one", "bad two")), RESULT_OK);
    assert_int_equal(stage->reply.rejected_count, 2);
    assert_int_equal(stage->one.pushes, 0);
    assert_int_equal(stage->one.reservations, stage->one.releases);
}

static void empty_request_is_answered_and_not_forwarded(void **state)
{
    struct stage *stage = *state;
    struct batch *batch = batch_make(SIGNAL_TRACES, BYTES_NONE, 1);
    assert_int_equal(stage->door.sink.offer(&stage->door.sink, &batch, &stage->reply), RESULT_OK);
    assert_int_equal(stage->one.pushes, 0);
}

static void malformed_request_is_rejected_before_anything_is_reserved(void **state)
{
    struct stage *stage = *state;
    struct batch *batch = batch_make(SIGNAL_TRACES, BYTES_LITERAL("\x0a\x7f\x01"), 1);
    assert_int_equal(stage->door.sink.offer(&stage->door.sink, &batch, &stage->reply),
                     RESULT_REJECT);
    assert_non_null(strstr(stage->reply.message, "malformed request at byte"));
    assert_int_equal(stage->one.reservations, 0);
}

static void full_queue_of_the_only_exporter_sheds_with_a_time(void **state)
{
    struct stage *stage = *state;
    stage->one.room_bytes = 10;
    assert_int_equal(offer(stage, NAMES("a")), RESULT_SHED);
    assert_true(stage->reply.retry_after_s > 0);
    assert_non_null(strstr(stage->reply.message, "one: sending queue is full"));
}

static void exporter_that_is_not_there_is_to_be_retried_with_its_reason(void **state)
{
    struct stage *stage = *state;
    atomic_store(&stage->one.slot.exporter, NULL);
    snprintf(stage->one.slot.why, sizeof(stage->one.slot.why), "no such certificate");
    assert_int_equal(offer(stage, NAMES("a")), RESULT_RETRY);
    assert_non_null(strstr(stage->reply.message, "no such certificate"));
    assert_true(stage->reply.retry_after_s > 0);
}

static void pipeline_without_exporters_never_says_ok(void **state)
{
    struct stage *stage = *state;
    stage->first.exporter_count = 0;
    assert_int_equal(offer(stage, NAMES("a")), RESULT_RETRY);
    assert_non_null(strstr(stage->reply.message, "the rig says so"));
}

static void full_exporter_beside_another_misses_the_request_alone(void **state)
{
    struct stage *stage = *state;
    stage->first.exporters[stage->first.exporter_count++] = &stage->two.slot;
    stage->two.room_bytes = 0;
    assert_int_equal(offer(stage, NAMES("a")), RESULT_OK);
    assert_int_equal(stage->one.pushes, 1);
    assert_int_equal(stage->two.pushes, 0);
    assert_string_equal(stage->reply.message, "");
}

static void full_exporter_that_insists_refuses_for_all(void **state)
{
    struct stage *stage = *state;
    stage->first.exporters[stage->first.exporter_count++] = &stage->two.slot;
    stage->two.room_bytes = 0;
    stage->two.insists = true;
    assert_int_equal(offer(stage, NAMES("a")), RESULT_SHED);
    assert_int_equal(stage->one.pushes, 0);
    assert_int_equal(stage->one.releases, 1);
}

static void every_pipeline_of_the_door_gets_the_request(void **state)
{
    struct stage *stage = *state;
    stage->door.pipelines[stage->door.count++] = &stage->second;
    assert_int_equal(offer(stage, NAMES("a", "b")), RESULT_OK);
    assert_int_equal(rig_exporter_spans(&stage->one), 2);
    assert_int_equal(rig_exporter_spans(&stage->two), 2);
}

static void pipeline_that_refuses_undoes_what_the_others_had_reserved(void **state)
{
    struct stage *stage = *state;
    stage->door.pipelines[stage->door.count++] = &stage->second;
    stage->two.room_bytes = 0;
    assert_int_equal(offer(stage, NAMES("a")), RESULT_SHED);
    assert_int_equal(stage->one.reservations, 1);
    assert_int_equal(stage->one.releases, 1);
    assert_int_equal(stage->one.pushes, 0);
}

static void taken_spans_wait_for_the_shard_and_the_rest_goes_on_at_once(void **state)
{
    struct stage *stage = *state;
    struct rig_processor taker;
    struct shard *shard;
    rig_processor_add(&stage->first, &taker, RIG_TAKE);
    rig_shard_new(&stage->first, &shard);
    assert_int_equal(offer(stage, NAMES("a", "taken", "bad", "b")), RESULT_OK);
    assert_int_equal(stage->reply.rejected_count, 1);
    assert_int_equal(rig_exporter_spans(&stage->one), 2);
    assert_true(stage->one.reserved_bytes > 0);
    shard_turn(shard, 2);
    assert_int_equal(taker.taken, 1);
    assert_int_equal(rig_exporter_spans(&stage->one), 3);
    shard_free(&shard);
}

static void looked_at_spans_go_on_and_are_seen(void **state)
{
    struct stage *stage = *state;
    struct rig_processor looker;
    struct shard *shard;
    rig_processor_add(&stage->first, &looker, RIG_LOOK);
    rig_shard_new(&stage->first, &shard);
    assert_int_equal(offer(stage, NAMES("a", "bad", "b")), RESULT_OK);
    assert_int_equal(rig_exporter_spans(&stage->one), 2);
    shard_turn(shard, 2);
    assert_int_equal(looker.looked, 2);
    assert_int_equal(looker.taken, 0);
    shard_free(&shard);
}

static void request_of_more_spans_than_the_plan_holds_by_itself_is_sorted_too(void **state)
{
    struct stage *stage = *state;
    struct rig_processor taker;
    struct shard *shard;
    const char *names[251] = {NULL};
    for (size_t i = 0; i < 250; i++) {
        names[i] = i % 5 == 4 ? "b" : "taken";
    }
    rig_processor_add(&stage->first, &taker, RIG_TAKE);
    rig_shard_new(&stage->first, &shard);
    stage->one.room_bytes = (size_t)16 << 20;
    assert_int_equal(offer(stage, names), RESULT_OK);
    assert_int_equal(rig_exporter_spans(&stage->one), 50);
    shard_turn(shard, 2);
    assert_int_equal(taker.taken, 200);
    assert_int_equal(rig_exporter_spans(&stage->one), 250);
    shard_free(&shard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_without_processors_leaves_as_it_came),
        TEST(bad_span_is_left_out_and_named),
        TEST(request_of_bad_spans_alone_is_answered_and_not_forwarded),
        TEST(empty_request_is_answered_and_not_forwarded),
        TEST(malformed_request_is_rejected_before_anything_is_reserved),
        TEST(full_queue_of_the_only_exporter_sheds_with_a_time),
        TEST(exporter_that_is_not_there_is_to_be_retried_with_its_reason),
        TEST(pipeline_without_exporters_never_says_ok),
        TEST(full_exporter_beside_another_misses_the_request_alone),
        TEST(full_exporter_that_insists_refuses_for_all),
        TEST(every_pipeline_of_the_door_gets_the_request),
        TEST(pipeline_that_refuses_undoes_what_the_others_had_reserved),
        TEST(taken_spans_wait_for_the_shard_and_the_rest_goes_on_at_once),
        TEST(looked_at_spans_go_on_and_are_seen),
        TEST(request_of_more_spans_than_the_plan_holds_by_itself_is_sorted_too),
    };
    log_configure(LOG_ERROR, LOG_CONSOLE, 2);
    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
