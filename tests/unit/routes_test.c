// SPDX-License-Identifier: Apache-2.0
//
// Whose a span is while generations change, and that a request is split accordingly.

#include "service/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/pipeline_stage.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct stage stage;
static struct pipeline older;
static struct trace_set *traces;

static int open_stage(void **state)
{
    (void)state;
    stage_open(&stage, 2, 64);
    stage.pipeline.exporter_count = 1;  // the second exporter is the older generation's
    pipeline_init(&older);
    older.id = "older";
    older.signal = SIGNAL_TRACES;
    older.exporters[older.exporter_count++] = &stage.slots[1];
    traces = trace_set_new(100);
    stage.routes.older[0].traces = traces;
    stage.routes.older[0].to.pipelines[0] = &older;
    stage.routes.older[0].to.count = 1;
    stage.routes.older_count = 1;
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    stage.pipeline.exporter_count = 2;
    stage_close(&stage);
    trace_set_unref(&traces);
    return 0;
}

struct ids {
    struct trace_set *set;
    const char *name;
};

static bool add_named(void *arg, const struct item_view *view)
{
    const struct ids *ids = arg;
    if (bytes_equal_text(view->name, ids->name)) {
        (void)trace_set_add(ids->set, view->trace_id);
    }
    return true;
}

// The trace of the span of that name belongs to the older generation.
static void belongs_to_older(const struct batch *request, const char *name)
{
    struct ids ids = {traces, name};
    struct scan_report report;
    assert_int_equal(scan_request(SIGNAL_TRACES, request->body, 0, add_named, &ids, &report),
                     RESULT_OK);
}

static void request_goes_one_way_when_its_traces_do(void **state)
{
    (void)state;
    struct offer_reply reply;
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a", "b")), &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].items, 2);
    assert_int_equal(stage.fakes[1].items, 0);
    struct batch *request = stage_request(NAMES("c@2"));
    belongs_to_older(request, "c@2");
    assert_int_equal(stage_offer(&stage, request, &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].items, 2);
    assert_int_equal(stage.fakes[1].items, 1);
}

static void request_of_two_generations_is_split(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct batch *request = stage_request(NAMES("a", "b@2", "c"));
    belongs_to_older(request, "b@2");
    assert_int_equal(stage_offer(&stage, request, &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].items, 2);
    assert_int_equal(stage.fakes[1].items, 1);
    assert_true(stage_has(&stage, 0, "a") && stage_has(&stage, 0, "c"));
    assert_false(stage_has(&stage, 0, "b@2"));
    assert_true(stage_has(&stage, 1, "b@2"));
    assert_false(stage_has(&stage, 1, "a"));
    assert_int_equal(atomic_load(&stage.pipeline.alive), 0);
    assert_int_equal(atomic_load(&older.alive), 0);
}

static void refusal_of_one_half_refuses_the_whole(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct batch *request = stage_request(NAMES("a", "b@2"));
    belongs_to_older(request, "b@2");
    stage.fakes[1].capacity = 1;
    assert_int_equal(stage_offer(&stage, request, &reply), RESULT_SHED);
    assert_int_equal(stage.fakes[0].pushes, 0);
    assert_int_equal(stage.fakes[0].reserved, 0);
    stage.fakes[1].capacity = SIZE_MAX;
}

static void traces_that_pass_are_noted(void **state)
{
    (void)state;
    struct offer_reply reply;
    struct trace_set *noted = trace_set_new(100);
    stage.routes.noted = noted;
    struct batch *request = stage_request(NAMES("a", "b"));
    assert_int_equal(stage_offer(&stage, request, &reply), RESULT_OK);
    assert_true(trace_set_count(noted) > 0);
    trace_set_unref(&noted);
}

static void older_generation_without_such_a_door_gets_nothing(void **state)
{
    (void)state;
    struct offer_reply reply;
    stage.routes.older[0].to.count = 0;
    struct batch *request = stage_request(NAMES("a"));
    belongs_to_older(request, "a");
    assert_int_equal(stage_offer(&stage, request, &reply), RESULT_OK);
    assert_int_equal(stage.fakes[0].items, 1);
}

static void door_that_leads_nowhere_asks_to_come_again(void **state)
{
    (void)state;
    struct offer_reply reply;
    (void)door_lead(&stage.door, NULL);
    assert_int_equal(stage_offer(&stage, stage_request(NAMES("a")), &reply), RESULT_RETRY);
    assert_true(reply.retry_after_s > 0);
    (void)door_lead(&stage.door, &stage.routes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_goes_one_way_when_its_traces_do),
        TEST(request_of_two_generations_is_split),
        TEST(refusal_of_one_half_refuses_the_whole),
        TEST(traces_that_pass_are_noted),
        TEST(older_generation_without_such_a_door_gets_nothing),
        TEST(door_that_leads_nowhere_asks_to_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
