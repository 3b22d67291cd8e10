// SPDX-License-Identifier: Apache-2.0
// The carrier span, byte by byte where it matters.
#include "processor/carrier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/grade_sample.h"

struct seen {
    unsigned count;
    struct grade_sample *sample;
};

static bool see_carrier(void *arg, const struct item_view *view)
{
    struct seen *seen = arg;
    const struct grade *grade = seen->sample->grade;
    struct span_id id;
    struct any_view value;
    struct bytes link, id_bytes;
    seen->count++;
    assert_int_equal(view->fault, SCAN_OK);
    carrier_span_id(grade, &seen->sample->plan, &id);
    assert_memory_equal(view->trace_id, grade->trace_id.bytes, 16);
    assert_memory_equal(view->parent_id, grade->target.bytes, 8);
    assert_memory_equal(view->span_id, id.bytes, 8);
    assert_int_equal(view->start_ns, grade->end_ns);
    assert_int_equal(view->end_ns, grade->end_ns);
    assert_true(wire_find(view->item, SPAN_LINKS, &link));
    assert_true(wire_find(link, LINK_SPAN_ID, &id_bytes));
    assert_memory_equal(id_bytes.ptr, grade->target.bytes, 8);
    assert_true(
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "openinference.span.kind", &value));
    assert_true(bytes_equal_text(value.bytes, "EVALUATOR"));
    assert_true(
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "evaluations.0.evaluation.name", &value));
    assert_true(attribute_find(view->resource, RES_ATTRIBUTES, "service.name", &value));
    assert_true(bytes_equal_text(value.bytes, "shop"));
    return true;
}

static void a_carrier_is_a_sound_request_with_one_linked_span(void **arg)
{
    struct grade_sample sample;
    struct buffer out;
    struct scan_report report;
    struct seen seen = {0, &sample};
    (void)arg;
    grade_sample_open(&sample);
    buffer_init(&out, 1 << 20);
    carrier_write(&out, sample.grade, &sample.plan);
    assert_int_equal(scan_request(SIGNAL_TRACES, buffer_view(&out), SCAN_CHECK_UTF8, see_carrier,
                                  &seen, &report),
                     RESULT_OK);
    assert_int_equal(seen.count, 1);
    buffer_fini(&out);
    grade_sample_close(&sample);
}

static void its_id_repeats_and_tells_targets_and_epochs_apart(void **arg)
{
    struct grade_sample sample;
    struct span_id first, again, other;
    (void)arg;
    grade_sample_open(&sample);
    carrier_span_id(sample.grade, &sample.plan, &first);
    sample.grade->scores[1].value = 0.9;  // what was scored does not name it
    carrier_span_id(sample.grade, &sample.plan, &again);
    assert_true(span_id_equal(&first, &again));
    sample.grade->target.bytes[0] ^= 1;
    carrier_span_id(sample.grade, &sample.plan, &other);
    assert_false(span_id_equal(&first, &other));
    sample.grade->target.bytes[0] ^= 1;
    sample.plan.evaluators.items[1].epoch[0] = 'f';
    carrier_span_id(sample.grade, &sample.plan, &other);
    assert_false(span_id_equal(&first, &other));
    grade_sample_close(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_carrier_is_a_sound_request_with_one_linked_span),
        cmocka_unit_test(its_id_repeats_and_tells_targets_and_epochs_apart),
    };
    return cmocka_run_group_tests_name("carrier", tests, NULL, NULL);
}
