// SPDX-License-Identifier: Apache-2.0
//
// What the scan refuses, what it leaves out and what it says of items, case by case. Generated
// requests and the comparison with a decoder are in scan_differential_test.
#include "proto/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/sample_request.h"

enum { VIEWS_MAX = 16 };

struct seen {
    struct buffer body;
    struct item_view views[VIEWS_MAX];
    unsigned count;
    struct scan_report report;
    unsigned stop_after;           // 0: never
};

static void set_up(struct seen *seen)
{
    *seen = (struct seen){0};
    buffer_init(&seen->body, 1 << 20);
}

static void tear_down(struct seen *seen)
{
    buffer_fini(&seen->body);
}

static bool view_keep(void *arg, const struct item_view *view)
{
    struct seen *seen = arg;
    assert_true(seen->count < VIEWS_MAX);
    seen->views[seen->count++] = *view;
    return seen->count != seen->stop_after;
}

static enum result see(struct seen *seen, enum signal signal)
{
    seen->count = 0;
    return scan_request(signal, buffer_view(&seen->body), SCAN_CHECK_UTF8, view_keep, seen,
                        &seen->report);
}

struct marks {
    size_t resource, scope, item;
};

static struct marks open_containers(struct buffer *out)
{
    struct marks marks;
    marks.resource = wire_open(out, REQUEST_RESOURCES);
    marks.scope = wire_open(out, RESOURCE_SCOPES);
    return marks;
}

static void close_containers(struct buffer *out, struct marks marks)
{
    wire_close(out, marks.scope);
    wire_close(out, marks.resource);
}

static void item_write(struct buffer *out, struct bytes payload)
{
    wire_write_bytes(out, SCOPE_ITEMS, payload);
}

static void named_span_write(struct buffer *out, const char *name)
{
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_text(out, SPAN_NAME, name);
    wire_close(out, span);
}

// A request of a sound span, a span of the given payload, and a sound span.
static void three_spans(struct seen *seen, struct bytes payload)
{
    buffer_reset(&seen->body);
    struct marks marks = open_containers(&seen->body);
    named_span_write(&seen->body, "before");
    item_write(&seen->body, payload);
    named_span_write(&seen->body, "after");
    close_containers(&seen->body, marks);
}

static void assert_left_out(struct bytes payload, enum scan_fault fault)
{
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, payload);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.report.item_count, 3);
    assert_int_equal(seen.views[0].fault, SCAN_OK);
    assert_string_equal(scan_fault_label(seen.views[1].fault), scan_fault_label(fault));
    assert_int_equal(seen.views[2].fault, SCAN_OK);
    assert_int_equal(seen.report.rejected_count, 1);
    assert_int_equal(seen.report.fault_counts[fault], 1);
    assert_int_equal(seen.report.first_fault, fault);
    tear_down(&seen);
}

#define PAYLOAD(text) BYTES_LITERAL(text)

static void items_with_bad_ids_are_left_out(void **state)
{
    (void)state;
    assert_left_out(PAYLOAD("\x0a\x0f" "123456789012345"), SCAN_TRACE_ID);
    assert_left_out(PAYLOAD("\x0a\x11" "12345678901234567"), SCAN_TRACE_ID);
    assert_left_out(PAYLOAD("\x12\x07" "1234567"), SCAN_SPAN_ID);
    assert_left_out(PAYLOAD("\x22\x09" "123456789"), SCAN_SPAN_ID);
    assert_left_out(PAYLOAD("\x6a\x03\x0a\x01" "1"), SCAN_LINK_ID);
    assert_left_out(PAYLOAD("\x6a\x03\x12\x01" "1"), SCAN_LINK_ID);
}

static void items_with_bad_text_are_left_out(void **state)
{
    (void)state;
    assert_left_out(PAYLOAD("\x2a\x01\xff"), SCAN_UTF8);                      // name
    assert_left_out(PAYLOAD("\x1a\x02\xc0\x80"), SCAN_UTF8);                  // trace_state
    assert_left_out(PAYLOAD("\x4a\x03\x0a\x01\xff"), SCAN_UTF8);              // key
    assert_left_out(PAYLOAD("\x4a\x08\x0a\x01k\x12\x03\x0a\x01\xff"), SCAN_UTF8);  // value
    assert_left_out(PAYLOAD("\x4a\x0a\x0a\x01k\x12\x05\x0a\x03\xed\xa0\x80"), SCAN_UTF8);
    assert_left_out(PAYLOAD("\x7a\x03\x12\x01\xff"), SCAN_UTF8);              // status
    assert_left_out(PAYLOAD("\x5a\x03\x12\x01\xff"), SCAN_UTF8);              // event
    assert_left_out(PAYLOAD("\x6a\x03\x1a\x01\xff"), SCAN_UTF8);              // link
}

static void items_with_wrong_wire_types_are_left_out(void **state)
{
    (void)state;
    assert_left_out(PAYLOAD("\x28\x01"), SCAN_WIRE_TYPE);                     // name as varint
    assert_left_out(PAYLOAD("\x32\x01\x02"), SCAN_WIRE_TYPE);                 // kind as bytes
    assert_left_out(PAYLOAD("\x38\x01"), SCAN_WIRE_TYPE);                     // start as varint
    assert_left_out(PAYLOAD("\x48\x01"), SCAN_WIRE_TYPE);
    assert_left_out(PAYLOAD("\x4a\x02\x08\x01"), SCAN_WIRE_TYPE);             // key as varint
    assert_left_out(PAYLOAD("\x4a\x04\x12\x02\x08\x01"), SCAN_WIRE_TYPE);     // string_value
    assert_left_out(PAYLOAD("\x7a\x02\x1a\x00"), SCAN_WIRE_TYPE);             // status code
    assert_left_out(PAYLOAD("\x80\x01\x01"), SCAN_WIRE_TYPE);                 // flags as varint
    assert_left_out(PAYLOAD("\x0c"), SCAN_WIRE_TYPE);                         // stray end of group
    assert_left_out(PAYLOAD("\xfe\x01\x00"), SCAN_WIRE_TYPE);                 // type 6
}

static void items_with_broken_framing_are_left_out(void **state)
{
    (void)state;
    assert_left_out(PAYLOAD("\x2a\x05" "abc"), SCAN_TRUNCATED);
    assert_left_out(PAYLOAD("\x39\x01\x02\x03"), SCAN_TRUNCATED);
    assert_left_out(PAYLOAD("\x30"), SCAN_TRUNCATED);
    assert_left_out(PAYLOAD("\x2a"), SCAN_TRUNCATED);
    assert_left_out(PAYLOAD("\x00\x01"), SCAN_FIELD_NUMBER);
    assert_left_out(PAYLOAD("\xff\xff\xff\xff\x7f\x01"), SCAN_FIELD_NUMBER);
    assert_left_out(PAYLOAD("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), SCAN_VARINT);
    assert_left_out(PAYLOAD("\xaa\x80\x80\x80\x80\x80\x00" "abcdefghij"), SCAN_VARINT);
    assert_left_out(PAYLOAD("\x4a\x02\x0a\x05"), SCAN_NESTED);
    assert_left_out(PAYLOAD("\x4a\x02\x00\x00"), SCAN_NESTED);
    assert_left_out(PAYLOAD("\x5a\x01\x09"), SCAN_NESTED);
    assert_left_out(PAYLOAD("\x7a\x01\x18"), SCAN_NESTED);
}

static void assert_refused(struct bytes body, enum scan_fault fault, size_t fault_at)
{
    struct seen seen;
    set_up(&seen);
    buffer_append_bytes(&seen.body, body);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_REJECT);
    assert_string_equal(scan_fault_label(seen.report.first_fault), scan_fault_label(fault));
    assert_int_equal(seen.report.fault_at, fault_at);
    tear_down(&seen);
}

static void requests_with_broken_containers_are_refused(void **state)
{
    (void)state;
    assert_refused(PAYLOAD("\x0a\x05"), SCAN_TRUNCATED, 0);
    assert_refused(PAYLOAD("\x08\x05"), SCAN_WIRE_TYPE, 0);
    assert_refused(PAYLOAD("\x00"), SCAN_FIELD_NUMBER, 0);
    assert_refused(PAYLOAD("\x0a\x02\x12\x05"), SCAN_TRUNCATED, 2);
    assert_refused(PAYLOAD("\x0a\x02\x10\x05"), SCAN_WIRE_TYPE, 2);
    assert_refused(PAYLOAD("\x0a\x02\x08\x05"), SCAN_WIRE_TYPE, 2);
    assert_refused(PAYLOAD("\x0a\x02\x18\x05"), SCAN_WIRE_TYPE, 2);
    assert_refused(PAYLOAD("\x0a\x04\x12\x02\x12\x05"), SCAN_TRUNCATED, 4);
    assert_refused(PAYLOAD("\x0a\x04\x12\x02\x10\x05"), SCAN_WIRE_TYPE, 4);
    assert_refused(PAYLOAD("\x0a\x04\x12\x02\x00\x05"), SCAN_FIELD_NUMBER, 4);
    assert_refused(PAYLOAD("{\"resourceSpans\":[]}"), SCAN_TRUNCATED, 0);
    assert_refused(PAYLOAD("\x13\x14\x0c"), SCAN_WIRE_TYPE, 2);
}

static void resource_write(struct buffer *out, const char *head, const char *name, const char *url)
{
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    if (name != NULL) {
        named_span_write(out, name);
        named_span_write(out, "another");
    }
    wire_close(out, scope);
    wire_write_text(out, RESOURCE_RESOURCE, head);
    if (url != NULL) {
        wire_write_text(out, RESOURCE_SCHEMA_URL, url);
    }
    wire_close(out, resource);
}

static void a_faulty_resource_leaves_out_what_is_below(void **state)
{
    (void)state;
    static const char *const heads[] = {"\x0a\x03\x0a\x01\xff", "\x0a\x7f", "\x10", "\x08\x01", ""};
    for (unsigned i = 0; i < 5; i++) {
        struct seen seen;
        set_up(&seen);
        resource_write(&seen.body, "", "sound", NULL);
        resource_write(&seen.body, heads[i], "below", heads[i][0] != '\0' ? "url" : "\xff");
        assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
        assert_int_equal(seen.count, 4);
        assert_int_equal(seen.views[1].fault, SCAN_OK);
        assert_int_equal(seen.views[2].fault, SCAN_RESOURCE);
        assert_int_equal(seen.views[3].fault, SCAN_RESOURCE);
        assert_int_equal(seen.report.rejected_count, 2);
        assert_string_equal(seen.report.first_name, "below");
        tear_down(&seen);
    }
}

static void a_faulty_head_with_nothing_below_refuses_the_request(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    resource_write(&seen.body, "", "sound", NULL);
    resource_write(&seen.body, "\x0a\x03\x0a\x01\xff", NULL, NULL);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_REJECT);
    assert_int_equal(seen.report.first_fault, SCAN_RESOURCE);
    buffer_reset(&seen.body);
    struct marks marks = open_containers(&seen.body);
    wire_write_text(&seen.body, SCOPE_SCHEMA_URL, "\xff");
    close_containers(&seen.body, marks);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_REJECT);
    assert_int_equal(seen.report.first_fault, SCAN_SCOPE);
    tear_down(&seen);
}

static void a_faulty_scope_leaves_out_its_own_items_only(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    struct marks marks = open_containers(&seen.body);
    named_span_write(&seen.body, "bad\x01scope");
    wire_write_text(&seen.body, SCOPE_SCOPE, "\x0a\x01\xff");
    wire_close(&seen.body, marks.scope);
    marks.scope = wire_open(&seen.body, RESOURCE_SCOPES);
    named_span_write(&seen.body, "good scope");
    close_containers(&seen.body, marks);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_int_equal(seen.views[0].fault, SCAN_SCOPE);
    assert_int_equal(seen.views[1].fault, SCAN_OK);
    assert_string_equal(seen.report.first_name, "bad?scope");
    tear_down(&seen);
}

static void names_in_reports_are_found_behind_the_fault_and_cut(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    struct marks marks = open_containers(&seen.body);
    size_t span = wire_open(&seen.body, SCOPE_ITEMS);
    wire_write_text(&seen.body, SPAN_TRACE_ID, "short");
    for (unsigned i = 0; i < 20; i++) {
        wire_write_text(
            &seen.body, SPAN_NAME,
            "a name that is far longer than what a report has room for, by quite a bit");
    }
    wire_close(&seen.body, span);
    close_containers(&seen.body, marks);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_int_equal(strlen(seen.report.first_name), sizeof seen.report.first_name - 1);
    tear_down(&seen);
}

static void heads_apply_wherever_they_stand(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    struct marks marks = open_containers(&seen.body);
    named_span_write(&seen.body, "span");
    wire_write_text(&seen.body, SCOPE_SCOPE, "\x0a\x01s");
    wire_close(&seen.body, marks.scope);
    wire_write_text(&seen.body, RESOURCE_RESOURCE, "");
    wire_write_text(&seen.body, RESOURCE_RESOURCE, "\x10\x07");
    wire_close(&seen.body, marks.resource);
    resource_write(&seen.body, "", "second", NULL);
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_true(bytes_equal_text(seen.views[0].resource, "\x10\x07"));
    assert_true(bytes_equal_text(seen.views[0].scope, "\x0a\x01s"));
    assert_int_equal(seen.views[1].resource.len, 0);
    assert_int_equal(seen.views[1].scope.len, 0);
    struct item_view view;
    scan_item_at(SIGNAL_TRACES, buffer_view(&seen.body), seen.views[0].place, &view);
    assert_memory_equal(&view, &seen.views[0], sizeof view);
    scan_item_next(SIGNAL_TRACES, buffer_view(&seen.body), seen.views[2].place, &view);
    assert_true(bytes_equal_text(view.name, "another"));
    assert_int_equal(view.resource.len, 0);
    tear_down(&seen);
}

static void the_last_of_a_singular_field_wins(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, PAYLOAD("\x2a\x01" "a\x30\x01\x7a\x02\x18\x02\x2a\x01" "b\x30\x03"
                               "\x12\x08" "12345678\x12\x00\x7a\x03\x12\x01m"));
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_true(bytes_equal_text(seen.views[1].name, "b"));
    assert_int_equal(seen.views[1].kind, 3);
    assert_int_equal(seen.views[1].status, SPAN_STATUS_ERROR);  // Status merges
    assert_null(seen.views[1].span_id);
    tear_down(&seen);
}

static void all_zero_ids_are_no_ids(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, PAYLOAD("\x0a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\x08\0\0\0\0\0\0\0\1"
                               "\x22\x08\0\0\0\0\0\0\0\0"));
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_null(seen.views[1].trace_id);
    assert_non_null(seen.views[1].span_id);
    assert_null(seen.views[1].parent_id);
    assert_int_equal(seen.views[1].fault, SCAN_OK);
    tear_down(&seen);
}

static void attribute_ranges_reach_from_first_to_last(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, PAYLOAD("\x2a\x01n\x4a\x03\x0a\x01"
                               "a\x5a\x00\x4a\x03\x0a\x01"
                               "b\x30\x01"));
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_int_equal(seen.views[1].attribute_count, 2);
    assert_int_equal(seen.views[1].event_count, 1);
    assert_true(bytes_equal(seen.views[1].attributes,
                            PAYLOAD("\x4a\x03\x0a\x01" "a\x5a\x00\x4a\x03\x0a\x01" "b")));
    assert_true(bytes_equal(seen.views[1].events, PAYLOAD("\x5a\x00")));
    tear_down(&seen);
}

static void over_long_tags_are_the_fields_that_they_name(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, PAYLOAD("\xaa\x80\x80\x00\x81\x80\x00n\xb0\x00\x83\x80\x80\x80\x80\x00"));
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_true(bytes_equal_text(seen.views[1].name, "n"));
    assert_int_equal(seen.views[1].kind, 3);
    tear_down(&seen);
}

static void profile_fields_and_groups_are_stepped_over(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, PAYLOAD("\x4a\x0b\x0a\x01k\x18\x05\x12\x04\x40\x07\x10\x01"
                               "\x9b\x01\x08\x01\x0b\x0c\x9c\x01\x2a\x01n"));
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
    assert_int_equal(seen.views[1].fault, SCAN_OK);
    assert_true(bytes_equal_text(seen.views[1].name, "n"));
    tear_down(&seen);
}

static void groups_count_as_depth(void **state)
{
    (void)state;
    char nested[200];
    for (unsigned depth = 60; depth < 70; depth++) {
        struct seen seen;
        set_up(&seen);
        for (unsigned i = 0; i < depth; i++) {
            nested[2 * i] = '\x9b';
            nested[2 * i + 1] = '\x01';
        }
        struct buffer payload;
        buffer_init(&payload, 1000);
        buffer_append(&payload, nested, 2 * depth);
        for (unsigned i = 0; i < depth; i++) {
            buffer_append_bytes(&payload, PAYLOAD("\x9c\x01"));
        }
        three_spans(&seen, buffer_view(&payload));
        assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_OK);
        assert_int_equal(seen.views[1].fault, depth < 64 ? SCAN_OK : SCAN_DEPTH);
        buffer_fini(&payload);
        tear_down(&seen);
    }
}

static void log_records_show_their_members(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    struct marks marks = open_containers(&seen.body);
    size_t record = wire_open(&seen.body, SCOPE_ITEMS);
    wire_write_fixed64(&seen.body, LOG_TIME, 11);
    wire_write_fixed64(&seen.body, LOG_OBSERVED_TIME, 12);
    wire_write_varint(&seen.body, LOG_SEVERITY_NUMBER, 9);
    wire_write_text(&seen.body, LOG_BODY, "\x0a\x04" "body");
    wire_write_text(&seen.body, LOG_TRACE_ID, "1234567890123456");
    wire_write_text(&seen.body, LOG_SPAN_ID, "12345678");
    wire_write_text(&seen.body, LOG_EVENT_NAME, "gen_ai.evaluation.result");
    wire_write_fixed32(&seen.body, LOG_FLAGS, 1);
    attribute_write_int(&seen.body, LOG_ATTRIBUTES, "n", -5);
    wire_close(&seen.body, record);
    close_containers(&seen.body, marks);
    assert_int_equal(see(&seen, SIGNAL_LOGS), RESULT_OK);
    const struct item_view *view = &seen.views[0];
    assert_int_equal(view->fault, SCAN_OK);
    assert_true(view->start_ns == 11 && view->end_ns == 12 && view->kind == 9 && view->flags == 1);
    assert_true(bytes_equal_text(view->name, "gen_ai.evaluation.result"));
    assert_memory_equal(view->trace_id, "1234567890123456", 16);
    assert_memory_equal(view->span_id, "12345678", 8);
    assert_true(bytes_equal_text(any_decode(view->events).bytes, "body"));
    assert_int_equal(view->attribute_count, 1);
    tear_down(&seen);
}

static void metrics_count_the_points_of_the_last_kind(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    struct marks marks = open_containers(&seen.body);
    item_write(&seen.body, PAYLOAD("\x0a\x01m\x2a\x04\x0a\x00\x0a\x00\x2a\x02\x0a\x00"));
    item_write(&seen.body, PAYLOAD("\x2a\x02\x0a\x00\x3a\x04\x0a\x00\x0a\x00"));
    item_write(&seen.body, PAYLOAD("\x2a\x06\x0a\x00\x0a\x02\x08\x01\x0a\x00"));
    item_write(&seen.body, PAYLOAD("\x2a\x06\x0a\x00\x0a\x02\x20\x01"));
    close_containers(&seen.body, marks);
    assert_int_equal(see(&seen, SIGNAL_METRICS), RESULT_OK);
    assert_true(bytes_equal_text(seen.views[0].name, "m"));
    assert_int_equal(seen.views[0].point_count, 3);
    assert_int_equal(seen.views[1].point_count, 2);
    assert_int_equal(seen.views[3].fault, SCAN_WIRE_TYPE);
    assert_int_equal(seen.report.item_count, 4);
    assert_int_equal(seen.report.rejected_count, 2);  // data points
    tear_down(&seen);
}

static void repeated_numbers_come_packed_or_not(void **state)
{
    (void)state;
    static const struct {
        struct bytes point;        // of a Histogram
        enum scan_fault fault;
    } cases[] = {
        {PAYLOAD("\x32\x10" "1234567812345678"), SCAN_OK},
        {PAYLOAD("\x31" "12345678\x31" "12345678"), SCAN_OK},
        {PAYLOAD("\x3a\x08" "12345678\x39" "12345678"), SCAN_OK},
        {PAYLOAD("\x32\x07" "1234567"), SCAN_NESTED},
        {PAYLOAD("\x22\x08" "12345678"), SCAN_WIRE_TYPE},  // count is singular
        {PAYLOAD("\x30\x01"), SCAN_WIRE_TYPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen;
        set_up(&seen);
        struct marks marks = open_containers(&seen.body);
        size_t metric = wire_open(&seen.body, SCOPE_ITEMS);
        size_t histogram = wire_open(&seen.body, 9);
        wire_write_bytes(&seen.body, 1, cases[i].point);
        wire_close(&seen.body, histogram);
        wire_close(&seen.body, metric);
        close_containers(&seen.body, marks);
        assert_int_equal(see(&seen, SIGNAL_METRICS), RESULT_OK);
        assert_string_equal(scan_fault_label(seen.views[0].fault),
                            scan_fault_label(cases[i].fault));
        tear_down(&seen);
    }
}

static void the_callback_can_stop_the_scan(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, BYTES_NONE);
    seen.stop_after = 2;
    assert_int_equal(see(&seen, SIGNAL_TRACES), RESULT_STOP);
    assert_int_equal(seen.count, 2);
    tear_down(&seen);
}

static void text_is_not_looked_at_when_not_asked_for(void **state)
{
    (void)state;
    struct seen seen;
    set_up(&seen);
    three_spans(&seen, PAYLOAD("\x2a\x01\xff\x4a\x03\x0a\x01\xff"));
    assert_int_equal(scan_request(SIGNAL_TRACES, buffer_view(&seen.body), 0, view_keep, &seen,
                                  &seen.report),
                     RESULT_OK);
    assert_int_equal(seen.report.rejected_count, 0);
    tear_down(&seen);
}

static void every_truncation_is_survived(void **state)
{
    (void)state;
    struct buffer body;
    buffer_init(&body, 1 << 20);
    sample_small_spans(&body, 3, 1);
    for (size_t len = 0; len < body.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, body.ptr, len);
        struct seen seen = {0};
        enum result result = scan_request(SIGNAL_TRACES, bytes_from(exact, len), SCAN_CHECK_UTF8,
                                          view_keep, &seen, &seen.report);
        assert_int_equal(result, len == 0 ? RESULT_OK : RESULT_REJECT);
        free(exact);
    }
    buffer_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_with_bad_ids_are_left_out),
        cmocka_unit_test(items_with_bad_text_are_left_out),
        cmocka_unit_test(items_with_wrong_wire_types_are_left_out),
        cmocka_unit_test(items_with_broken_framing_are_left_out),
        cmocka_unit_test(requests_with_broken_containers_are_refused),
        cmocka_unit_test(a_faulty_resource_leaves_out_what_is_below),
        cmocka_unit_test(a_faulty_head_with_nothing_below_refuses_the_request),
        cmocka_unit_test(a_faulty_scope_leaves_out_its_own_items_only),
        cmocka_unit_test(names_in_reports_are_found_behind_the_fault_and_cut),
        cmocka_unit_test(heads_apply_wherever_they_stand),
        cmocka_unit_test(the_last_of_a_singular_field_wins),
        cmocka_unit_test(all_zero_ids_are_no_ids),
        cmocka_unit_test(attribute_ranges_reach_from_first_to_last),
        cmocka_unit_test(over_long_tags_are_the_fields_that_they_name),
        cmocka_unit_test(profile_fields_and_groups_are_stepped_over),
        cmocka_unit_test(groups_count_as_depth),
        cmocka_unit_test(log_records_show_their_members),
        cmocka_unit_test(metrics_count_the_points_of_the_last_kind),
        cmocka_unit_test(repeated_numbers_come_packed_or_not),
        cmocka_unit_test(the_callback_can_stop_the_scan),
        cmocka_unit_test(text_is_not_looked_at_when_not_asked_for),
        cmocka_unit_test(every_truncation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
