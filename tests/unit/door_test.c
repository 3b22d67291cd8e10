// SPDX-License-Identifier: Apache-2.0
//
// The door: what is admitted, what is refused, and that a refusal leaves nothing reserved.

#include "service/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire.h"
#include "tests/unit/pipeline_stage.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct stage stage;

static int open_one(void **state)
{
    (void)state;
    stage_open(&stage, 1, 64);
    stage.pipeline.chain[stage.pipeline.chain_count++] = stage.sharded;
    return 0;
}

static int open_two(void **state)
{
    (void)state;
    stage_open(&stage, 2, 64);
    stage.pipeline.chain[stage.pipeline.chain_count++] = stage.sharded;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    stage_close(&stage);  // checks that nothing stays reserved
    return 0;
}

static void what_nobody_wants_goes_whole_to_every_exporter(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "b")), &reply), RESULT_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stage.fakes[i].pushes, 1);
        assert_int_equal(stage.fakes[i].items, 2);
        assert_true(stage_has(&stage, i, "a") && stage_has(&stage, i, "b"));
    }
}

static void taken_span_waits_and_the_rest_goes_at_once(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "t1", "b")), &reply), RESULT_OK);
    assert_true(stage_has(&stage, 0, "a") && stage_has(&stage, 0, "b"));
    assert_false(stage_has(&stage, 0, "t1"));
    stage_turn(&stage);
    assert_int_equal(stage.taken, 1);
    assert_true(stage.fakes[0].reserved >= PIPELINE_TARGET_BYTES);
    stage_pass_held(&stage);
    assert_true(stage_has(&stage, 0, "t1"));
    assert_int_equal(stage.fakes[0].items, 3);
}

static void looked_at_spans_go_at_once_and_are_seen(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("l1", "l2")), &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].items, 2);
    stage_turn(&stage);
    assert_int_equal(stage.looked, 2);
    assert_int_equal(stage.noted, 2);
    assert_int_equal(stage.taken, 0);
}

static void notes_are_of_what_is_looked_at_alone(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct batch *batch = stage_request(NAMES("l1", "a", "t1", "l2", "!bad", "l3"));
    assert_int_equal(stage_offer(&stage, batch, &reply), RESULT_OK);
    stage_turn(&stage);
    assert_int_equal(stage.noted, 3);
    assert_int_equal(stage.taken, 1);
}

static void notes_larger_than_half_of_the_request_are_given_up(void **state)
{
    (void)state;
    struct offer_reply reply;
    static uint8_t body[4096];
    struct buffer out;
    buffer_init(&out, sizeof(body));
    size_t resource = wire_open(&out, REQUEST_RESOURCES), scope = wire_open(&out, RESOURCE_SCOPES);
    for (unsigned i = 0; i < 100; i++) {
        size_t span = wire_open(&out, SCOPE_ITEMS);
        wire_write_text(&out, SPAN_NAME, "l");
        wire_close(&out, span);
    }
    wire_close(&out, scope);
    wire_close(&out, resource);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&out), clock_mono_ns());
    buffer_fini(&out);
    assert_int_equal(stage_offer(&stage, batch, &reply), RESULT_OK);
    stage_turn(&stage);
    assert_int_equal(stage.looked, 100);
    assert_int_equal(stage.noted, 0);
}

static void request_of_taken_spans_only_leaves_nothing_to_push(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("t1", "t2")), &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].pushes, 0);
    stage_turn(&stage);
    assert_int_equal(stage.taken, 2);
}

static void compressed_request_waits_as_a_whole(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct batch *batch = stage_request(NAMES("a", "t1", "l1"));
    batch->packed = BYTES_LITERAL("as it came");
    assert_int_equal(stage_offer(&stage, batch, &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].pushes, 0);
    stage_turn(&stage);
    assert_int_equal(stage.took_whole, 1);
    stage_pass_held(&stage);
    assert_int_equal(stage.fakes[0].items, 3);
}

static void faulty_span_is_left_out_and_named(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "!bad", "t1")), &reply),
                     RESULT_OK);
    assert_int_equal(reply.rejected_count, 1);
    assert_non_null(strstr(reply.message, "!bad"));
    assert_true(stage_has(&stage, 0, "a"));
    stage_turn(&stage);
    stage_pass_held(&stage);
    assert_true(stage_has(&stage, 0, "t1"));
    assert_false(stage_has(&stage, 0, "!bad"));
}

static void request_of_faulty_spans_only_forwards_nothing(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("!x", "!y")), &reply), RESULT_OK);
    assert_int_equal(reply.rejected_count, 2);
    assert_int_equal(stage.fakes[0].pushes, 0);
}

static void feedback_reaches_the_processor_once(void **state)
{
    (void)state;
    const struct feedback feedback = {.trace_id = {{1}}, .is_bad = true};
    stage.routes.current.pipelines[stage.routes.current.count++] = &stage.pipeline;
    stage.door.sink.feedback(&stage.door.sink, &feedback);
    stage_turn(&stage);
    assert_int_equal(stage.feedbacks, 1);
    const struct routes *routes = door_lead(&stage.door, NULL);
    stage.door.sink.feedback(&stage.door.sink, &feedback);
    stage_turn(&stage);
    assert_int_equal(stage.feedbacks, 1);
    (void)door_lead(&stage.door, routes);
    stage.routes.current.count--;
}

static void request_that_cannot_be_framed_is_refused_with_its_place(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct batch *batch = batch_make(SIGNAL_TRACES, BYTES_LITERAL("\x0a\x7f"), 0);
    assert_int_equal(stage_offer(&stage, batch, &reply), RESULT_REJECT);
    assert_non_null(strstr(reply.message, "at byte"));
}

// Each would take five times its own size to be remembered as left out.
static void request_of_nothing_but_tiny_faults_is_refused_as_a_whole(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static const uint8_t span[] = {0x12, 3, 0x0a, 1, 'x'};  // a trace id of one byte
    struct offer_reply reply;
    struct buffer body;
    buffer_init(&body, 1 << 20);
    size_t resource = wire_open(&body, REQUEST_RESOURCES);
    size_t scope = wire_open(&body, RESOURCE_SCOPES);
    for (unsigned i = 0; i < COUNT; i++) {
        buffer_append(&body, span, sizeof(span));
    }
    wire_close(&body, scope);
    wire_close(&body, resource);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&body), 0);
    assert_int_equal(stage_offer(&stage, batch, &reply), RESULT_REJECT);
    assert_non_null(strstr(reply.message, "trace_id"));
    buffer_fini(&body);
}

static void full_only_exporter_refuses_with_a_time_to_retry(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage.fakes[0].capacity = 10;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "t1")), &reply), RESULT_SHED);
    assert_true(reply.retry_after_s > 0);
    assert_non_null(strstr(reply.message, "first"));
}

static void full_exporter_misses_alone_when_another_has_room(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage.fakes[1].capacity = 10;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "t1")), &reply), RESULT_OK);
    stage_turn(&stage);
    stage_pass_held(&stage);
    assert_int_equal(stage.fakes[0].items, 2);
    assert_int_equal(stage.fakes[1].items, 0);
}

static void exporter_that_blocks_on_overflow_refuses_for_all(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage.fakes[1].capacity = 10;
    stage.fakes[1].blocks = true;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a")), &reply), RESULT_SHED);
    assert_int_equal(stage.fakes[0].pushes, 0);
}

static void broken_only_exporter_answers_with_its_reason(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct exporter *exporter = atomic_load(&stage.slots[0].exporter);
    atomic_store(&stage.slots[0].exporter, NULL);
    (void)snprintf(stage.slots[0].why, sizeof(stage.slots[0].why), "certificate not found");
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a")), &reply), RESULT_RETRY);
    assert_non_null(strstr(reply.message, "certificate not found"));
    atomic_store(&stage.slots[0].exporter, exporter);
}

static void full_shard_refuses_before_anything_is_kept(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage_close(&stage);
    stage_open(&stage, 1, 2);
    stage.pipeline.chain[stage.pipeline.chain_count++] = stage.sharded;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("t1", "l1")), &reply), RESULT_OK);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("t2")), &reply), RESULT_SHED);
    assert_true(reply.retry_after_s > 0);
    stage_turn(&stage);
    assert_int_equal(stage.taken, 1);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("t3")), &reply), RESULT_OK);
}

static void second_pipeline_that_refuses_undoes_the_first(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct pipeline other;
    pipeline_init(&other);
    other.id = "traces/2";
    other.exporters[other.exporter_count++] = &stage.slots[1];
    stage.pipeline.exporter_count = 1;
    stage.routes.current.pipelines[stage.routes.current.count++] = &other;
    stage.fakes[1].capacity = 10;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "t1")), &reply), RESULT_SHED);
    assert_int_equal(stage.fakes[0].pushes, 0);
    assert_int_equal(stage.fakes[0].reserved, 0);
    stage.fakes[1].capacity = SIZE_MAX;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a")), &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].items, 1);
    assert_int_equal(stage.fakes[1].items, 1);
    stage.pipeline.exporter_count = 2;
}

static void thousand_spans_find_their_ways(void **state)
{
    (void)state;
    struct offer_reply reply;
    const char *names[1001] = {NULL};
    for (size_t i = 0; i < 1000; i++) {
        names[i] = i % 100 == 7 ? "t" : i % 100 == 9 ? "!bad" : "a";
    }
    assert_int_equal(stage_offer(&stage, stage_request(names), &reply), RESULT_OK);
    assert_int_equal(reply.rejected_count, 10);
    assert_int_equal(stage.fakes[0].items, 980);
    stage_turn(&stage);
    assert_int_equal(stage.taken, 10);
}

static void third_passing_is_answered_and_goes_nowhere(void **state)
{
    (void)state;
    struct offer_reply reply;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "t1", "e1", "l1")), &reply),
                         RESULT_OK);
        assert_string_equal(reply.message, "");
        stage_turn(&stage);
    }
    unsigned pushes = stage.fakes[0].pushes;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "t1", "e1", "l1")), &reply),
                     RESULT_OK);
    assert_non_null(strstr(reply.message, "third time"));
    assert_int_equal(reply.rejected_count, 0);
    assert_false(reply.must_await);
    stage_turn(&stage);
    assert_int_equal(stage.fakes[0].pushes, pushes);
    assert_int_equal(stage.taken, 2);
    assert_int_equal(
        stage_offer(&stage, stage_request(NAMES("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")),
                    &reply),
        RESULT_OK);  // most of it is new
    assert_string_equal(reply.message, "");
}

static void what_was_refused_has_not_passed(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage.fakes[0].capacity = 10;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "b")), &reply), RESULT_SHED);
    }
    stage.fakes[0].capacity = SIZE_MAX;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "b")), &reply), RESULT_OK);
        assert_string_equal(reply.message, "");
    }
    assert_int_equal(stage.fakes[0].items, 4);
}

static void second_pipeline_is_no_second_passing(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage.routes.current.pipelines[stage.routes.current.count++] = &stage.pipeline;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stage_offer(&stage, stage_request(NAMES("a")), &reply), RESULT_OK);
        assert_string_equal(reply.message, "");
    }
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a")), &reply), RESULT_OK);
    assert_non_null(strstr(reply.message, "third time"));
    assert_int_equal(stage.fakes[0].items, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_wants_goes_whole_to_every_exporter, open_two,
                                        close_all),
        cmocka_unit_test_setup_teardown(taken_span_waits_and_the_rest_goes_at_once, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(looked_at_spans_go_at_once_and_are_seen, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(notes_are_of_what_is_looked_at_alone, open_one, close_all),
        cmocka_unit_test_setup_teardown(notes_larger_than_half_of_the_request_are_given_up,
                                        open_one, close_all),
        cmocka_unit_test_setup_teardown(request_of_taken_spans_only_leaves_nothing_to_push,
                                        open_one, close_all),
        cmocka_unit_test_setup_teardown(compressed_request_waits_as_a_whole, open_one, close_all),
        cmocka_unit_test_setup_teardown(faulty_span_is_left_out_and_named, open_one, close_all),
        cmocka_unit_test_setup_teardown(request_of_faulty_spans_only_forwards_nothing, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(feedback_reaches_the_processor_once, open_one, close_all),
        cmocka_unit_test_setup_teardown(request_that_cannot_be_framed_is_refused_with_its_place,
                                        open_one, close_all),
        cmocka_unit_test_setup_teardown(request_of_nothing_but_tiny_faults_is_refused_as_a_whole,
                                        open_one, close_all),
        cmocka_unit_test_setup_teardown(full_only_exporter_refuses_with_a_time_to_retry, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(full_exporter_misses_alone_when_another_has_room, open_two,
                                        close_all),
        cmocka_unit_test_setup_teardown(exporter_that_blocks_on_overflow_refuses_for_all, open_two,
                                        close_all),
        cmocka_unit_test_setup_teardown(broken_only_exporter_answers_with_its_reason, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(full_shard_refuses_before_anything_is_kept, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(second_pipeline_that_refuses_undoes_the_first, open_two,
                                        close_all),
        cmocka_unit_test_setup_teardown(thousand_spans_find_their_ways, open_one, close_all),
        cmocka_unit_test_setup_teardown(third_passing_is_answered_and_goes_nowhere, open_one,
                                        close_all),
        cmocka_unit_test_setup_teardown(what_was_refused_has_not_passed, open_one, close_all),
        cmocka_unit_test_setup_teardown(second_pipeline_is_no_second_passing, open_one, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
