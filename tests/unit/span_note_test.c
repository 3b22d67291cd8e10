// SPDX-License-Identifier: Apache-2.0
// Notes: all that the index wants of a span, and what is taken over from the note before.
#include "processor/span_note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t trace_id[16] = {1, 2}, span_id[8] = {3}, parent_id[8] = {4};

static struct item_view view_of(struct bytes resource, uint32_t resource_at)
{
    return (struct item_view){.signal = SIGNAL_TRACES,
                              .trace_id = trace_id,
                              .span_id = span_id,
                              .parent_id = parent_id,
                              .start_ns = 5,
                              .end_ns = 6,
                              .status = SPAN_STATUS_ERROR,
                              .resource = resource,
                              .place = {resource_at, 20, 30}};
}

static void a_note_holds_what_the_index_wants(void **state)
{
    (void)state;
    const struct span_class found = {.role = ROLE_TOOL, .dialect = 1, .own_attributes = true};
    struct item_view view = view_of(BYTES_LITERAL("r"), 10);
    struct span_note note;
    span_note_take(&view, &found, NULL, &note);
    assert_memory_equal(note.trace_id.bytes, trace_id, sizeof(trace_id));
    assert_memory_equal(note.id.bytes, span_id, sizeof(span_id));
    assert_memory_equal(note.parent_id.bytes, parent_id, sizeof(parent_id));
    assert_int_equal(note.start_ns, 5);
    assert_int_equal(note.end_ns, 6);
    assert_int_equal(note.place.item_at, 30);
    assert_true(note.has_parent && note.failed && note.own_attributes);
    assert_false(note.own_evaluation || note.local_root);
    assert_true(span_note_has_content(&note));
}

static void plain_span_has_nothing_more_to_read(void **state)
{
    (void)state;
    const struct span_class found = {.dialect = -1};
    struct item_view view = view_of(BYTES_LITERAL("r"), 10);
    struct span_note note;
    span_note_take(&view, &found, NULL, &note);
    assert_false(span_note_has_content(&note));
}

static void one_resource_is_hashed_once(void **state)
{
    (void)state;
    const struct span_class found = {.dialect = -1};
    struct item_view first = view_of(BYTES_LITERAL("one"), 10);
    struct item_view again = view_of(BYTES_LITERAL("not looked at"), 10);
    struct item_view other = view_of(BYTES_LITERAL("other"), 11);
    struct span_note notes[3];
    span_note_take(&first, &found, NULL, &notes[0]);
    span_note_take(&again, &found, &notes[0], &notes[1]);
    span_note_take(&other, &found, &notes[1], &notes[2]);
    assert_true(notes[0].resource_hash == notes[1].resource_hash);
    assert_true(notes[1].resource_hash != notes[2].resource_hash);
}

static void absent_ids_are_zero(void **state)
{
    (void)state;
    const struct span_class found = {.dialect = -1};
    struct item_view view = {.signal = SIGNAL_TRACES, .span_id = span_id};
    struct span_note note;
    memset(&note, 0xff, sizeof(note));
    span_note_take(&view, &found, NULL, &note);
    assert_true(trace_id_is_zero(&note.trace_id) && span_id_is_zero(&note.parent_id));
    assert_false(note.has_parent);
    assert_true(note.local_root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_holds_what_the_index_wants),
        cmocka_unit_test(plain_span_has_nothing_more_to_read),
        cmocka_unit_test(one_resource_is_hashed_once),
        cmocka_unit_test(absent_ids_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
