// SPDX-License-Identifier: Apache-2.0
// Carriers of score sinks: identity, place and form of the span.
#include "exporter/score/score_carrier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/unit/score_sample.h"

static struct buffer out;
static struct item_view seen;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&out, (size_t)1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

static bool note(void *arg, const struct item_view *view)
{
    (void)arg;
    seen = *view;
    return true;
}

static void write_carrier(const struct score_entry *entries, size_t count)
{
    struct score_carrier carrier;
    struct scan_report report;
    buffer_reset(&out);
    score_carrier_begin(&carrier, &out, entries, count);
    score_carrier_end(&carrier, &out);
    assert_int_equal(
        scan_request(SIGNAL_TRACES, buffer_view(&out), SCAN_CHECK_UTF8, note, NULL, &report),
        RESULT_OK);
    assert_int_equal(report.item_count, 1);
    assert_int_equal(report.rejected_count, 0);
}

static struct score_entry entry_of(enum score_sample which, uint8_t seed)
{
    return (struct score_entry){.record = score_sample(which, seed)};
}

static void the_span_stands_in_the_trace_under_its_target(void **state)
{
    (void)state;
    struct score_entry entry = entry_of(SAMPLE_NUMERIC, 1);
    struct any_view value;
    write_carrier(&entry, 1);
    assert_memory_equal(seen.trace_id, entry.record.trace_id.bytes, 16);
    assert_memory_equal(seen.parent_id, entry.record.span_id.bytes, 8);
    assert_memory_not_equal(seen.span_id, entry.record.span_id.bytes, 8);
    assert_int_equal(seen.start_ns, SCORE_SAMPLE_END_NS);
    assert_int_equal(seen.end_ns, SCORE_SAMPLE_END_NS);
    assert_true(bytes_equal_text(seen.name, "evaluation invoke_agent shop"));
    assert_true(
        attribute_find(seen.attributes, SPAN_ATTRIBUTES, "openinference.span.kind", &value));
    assert_true(bytes_equal_text(value.bytes, "EVALUATOR"));
    assert_true(attribute_find(seen.attributes, SPAN_ATTRIBUTES, "sidejudge.carrier", &value));
}

static void it_links_to_the_target_and_to_nothing_else(void **state)
{
    (void)state;
    struct score_entry entry = entry_of(SAMPLE_NUMERIC, 1);
    struct wire_field field;
    unsigned links = 0;
    write_carrier(&entry, 1);
    struct wire wire = wire_of(seen.item);
    while (wire_next(&wire, &field)) {
        struct bytes span, trace;
        if (field.number == SPAN_LINKS) {
            links++;
            assert_true(wire_find(field.bytes, LINK_SPAN_ID, &span));
            assert_true(wire_find(field.bytes, LINK_TRACE_ID, &trace));
            assert_memory_equal(span.ptr, entry.record.span_id.bytes, 8);
            assert_memory_equal(trace.ptr, entry.record.trace_id.bytes, 16);
        }
    }
    assert_int_equal(links, 1);
}

static void its_id_follows_from_the_scores(void **state)
{
    (void)state;
    uint8_t first[8], both[8];
    struct score_entry entries[2] = {entry_of(SAMPLE_NUMERIC, 1), entry_of(SAMPLE_BOOLEAN, 1)};
    write_carrier(entries, 1);
    memcpy(first, seen.span_id, 8);
    write_carrier(entries, 2);
    memcpy(both, seen.span_id, 8);
    assert_memory_not_equal(first, both, 8);
    write_carrier(entries, 1);
    assert_memory_equal(first, seen.span_id, 8);
    entries[0] = entry_of(SAMPLE_NUMERIC, 2);
    write_carrier(entries, 1);
    assert_memory_not_equal(first, seen.span_id, 8);
}

static void a_long_name_is_cut_at_a_character(void **state)
{
    (void)state;
    char name[300];
    struct score_entry entry = entry_of(SAMPLE_NUMERIC, 1);
    for (size_t i = 0; i + 1 < sizeof(name); i += 2) {
        memcpy(name + i, "\xc3\xa9", 2);
    }
    entry.record.span_name = bytes_from(name, sizeof(name));
    write_carrier(&entry, 1);
    assert_true(seen.name.len <= 11 + 128);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_span_stands_in_the_trace_under_its_target),
        TEST(it_links_to_the_target_and_to_nothing_else),
        TEST(its_id_follows_from_the_scores),
        TEST(a_long_name_is_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
