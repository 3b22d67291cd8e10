// SPDX-License-Identifier: Apache-2.0
// What is wanted at the door, and what odd arrivals do.
#include "processor/evaluation_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/attribute.h"
#include "tests/evaluation_rig.h"

static enum want want_of(struct rig *rig, enum signal signal, bool ids, const char *operation,
                         const char *scope)
{
    uint8_t trace_id[16] = {1}, span_id[8] = {1};
    struct buffer attributes, scope_message;
    buffer_init(&attributes, 4096);
    buffer_init(&scope_message, 4096);
    if (operation) {
        attribute_write_text(&attributes, SPAN_ATTRIBUTES, "gen_ai.operation.name",
                             bytes_from_text(operation));
    }
    wire_write_text(&scope_message, SCOPE_NAME, scope);
    struct item_view view = {.signal = signal,
                             .trace_id = ids ? trace_id : NULL,
                             .span_id = ids ? span_id : NULL,
                             .scope = buffer_view(&scope_message),
                             .attributes = buffer_view(&attributes)};
    enum want want = evaluation_wants(rig->processor, &view);
    buffer_fini(&attributes);
    buffer_fini(&scope_message);
    return want;
}

static void spans_are_looked_at_and_possible_targets_taken(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{}");
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, NULL, "x"), WANT_LOOK);
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "execute_tool", "x"), WANT_LOOK);
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "chat", "x"), WANT_TAKE);
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "invoke_agent", "x"), WANT_TAKE);
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "chat", "x"), WANT_LOOK);  // it has agents
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "invoke_agent", "sidejudge"), WANT_LOOK);
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "evaluation", "x"), WANT_LOOK);
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, false, "invoke_agent", "x"), WANT_NOTHING);
    assert_int_equal(want_of(&rig, SIGNAL_LOGS, true, "invoke_agent", "x"), WANT_NOTHING);
    assert_int_equal(want_of(&rig, SIGNAL_METRICS, true, NULL, "x"), WANT_NOTHING);
    rig_close(&rig);
    rig_open(&rig, "{hold: 0s}");
    assert_int_equal(want_of(&rig, SIGNAL_TRACES, true, "invoke_agent", "x"), WANT_LOOK);
    rig_close(&rig);
}

static void two_spans_with_one_id_leave_both(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}}");
    const struct rig_spec specs[] = {
        {.trace = 1,
         .span = 1,
         .end_s = 1,
         .attributes = {"gen_ai.operation.name", "invoke_agent", "input.value", "what is it"}},
        {.trace = 1,
         .span = 1,
         .end_s = 2,
         .attributes = {"gen_ai.operation.name", "invoke_agent", "input.value", "what is it"}}};
    rig_send(&rig, "shop", specs, 2);
    rig_advance(&rig, 10 * NS_PER_S);
    assert_int_equal(rig_count(&rig, 1, 1), 2);
    rig_close(&rig);
}

static void a_trace_beyond_its_span_limit_loses_no_span(void **arg)
{
    struct rig rig = {0};
    struct evaluation_counts counts;
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}}");
    struct rig_spec specs[200];
    for (size_t round = 0; round < 25; round++) {
        for (size_t i = 0; i < 200; i++) {
            specs[i] = (struct rig_spec){
                .trace = 1,
                .span = (uint8_t)(i + 2),
                .parent = 1,
                .end_s = 1,
                .attributes = {"gen_ai.operation.name", i % 2 ? "invoke_agent" : "chat"}};
        }
        rig_send(&rig, "shop", specs, 200);
    }
    rig_advance(&rig, 600 * NS_PER_S);
    assert_int_equal(rig.span_count - rig_own_count(&rig), 5000);
    evaluation_counts(rig.processor, &counts);
    assert_int_equal(counts.open_traces, 0);
    rig_close(&rig);
}

static void spans_without_ids_go_by_in_a_whole(void **arg)
{
    struct rig rig = {0};
    struct buffer request;
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}}");
    buffer_init(&request, 4096);
    size_t resource = wire_open(&request, REQUEST_RESOURCES);
    size_t scopes = wire_open(&request, RESOURCE_SCOPES);
    for (int i = 0; i < 2; i++) {
        size_t span = wire_open(&request, SCOPE_ITEMS);
        wire_write_text(&request, SPAN_NAME, "no ids");
        attribute_write_text(&request, SPAN_ATTRIBUTES, "gen_ai.operation.name",
                             BYTES_LITERAL("invoke_agent"));
        wire_close(&request, span);
    }
    wire_close(&request, scopes);
    wire_close(&request, resource);
    rig_offer(&rig, buffer_view(&request), false);
    rig_offer(&rig, buffer_view(&request), true);
    assert_int_equal(rig.span_count, 4);
    buffer_fini(&request);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_looked_at_and_possible_targets_taken),
        cmocka_unit_test(two_spans_with_one_id_leave_both),
        cmocka_unit_test(a_trace_beyond_its_span_limit_loses_no_span),
        cmocka_unit_test(spans_without_ids_go_by_in_a_whole),
    };
    return cmocka_run_group_tests_name("evaluation_trace", tests, NULL, NULL);
}
