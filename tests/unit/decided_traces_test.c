// SPDX-License-Identifier: Apache-2.0
// What is remembered of forgotten traces.
#include "processor/decided_traces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct trace_id id_of(unsigned number)
{
    struct trace_id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static void oldest_makes_room(void **arg)
{
    struct decided_traces *traces = decided_traces_new(3);
    (void)arg;
    for (unsigned i = 0; i < 5; i++) {
        struct trace_id id = id_of(i);
        assert_non_null(decided_traces_add(traces, &id));
    }
    for (unsigned i = 0; i < 5; i++) {
        struct trace_id id = id_of(i);
        assert_int_equal(decided_traces_find(traces, &id) != NULL, i >= 2);
    }
    decided_traces_free(traces);
}

static void adding_again_gives_the_same_entry(void **arg)
{
    struct decided_traces *traces = decided_traces_new(3);
    struct trace_id id = id_of(7);
    const struct span_id span = {{1}}, other = {{2}}, none = {{0}};
    (void)arg;
    struct decided_trace *first = decided_traces_add(traces, &id);
    decided_trace_add_span(first, &span);
    decided_trace_add_target(first, &span, &none);
    assert_ptr_equal(decided_traces_add(traces, &id), first);
    assert_true(decided_trace_has_span(first, &span));
    assert_false(decided_trace_has_span(first, &other));
    assert_int_equal(first->target_count, 1);
    decided_traces_free(traces);
}

static void spans_and_targets_are_bounded(void **arg)
{
    struct decided_traces *traces = decided_traces_new(1);
    struct trace_id id = id_of(7);
    (void)arg;
    struct decided_trace *trace = decided_traces_add(traces, &id);
    for (unsigned i = 0; i < 1000; i++) {
        struct span_id span = {{0}};
        memcpy(span.bytes, &i, sizeof(i));
        decided_trace_add_span(trace, &span);
        decided_trace_add_target(trace, &span, &span);
    }
    assert_int_equal(trace->span_count, DECIDED_SPANS_MAX);
    assert_int_equal(trace->target_count, DECIDED_TARGETS_MAX);
    decided_traces_free(traces);
    decided_traces_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_makes_room),
        cmocka_unit_test(adding_again_gives_the_same_entry),
        cmocka_unit_test(spans_and_targets_are_bounded),
    };
    return cmocka_run_group_tests_name("decided_traces", tests, NULL, NULL);
}
