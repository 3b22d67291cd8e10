// SPDX-License-Identifier: Apache-2.0
// A parcel written down and read back, and bytes that are no such record.
#include "proto/parcel_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"

#define SPANS 6

static struct item_place places[SPANS];
static unsigned place_count;

static bool place_note(void *arg, const struct item_view *view)
{
    (void)arg;
    places[place_count++] = view->place;
    return true;
}

static struct batch *request(void)
{
    struct buffer body;
    struct scan_report report;
    buffer_init(&body, 65536);
    size_t resource = wire_open(&body, REQUEST_RESOURCES);
    size_t inner = wire_open(&body, RESOURCE_RESOURCE);
    attribute_write_bool(&body, RES_ATTRIBUTES, "r", true);
    wire_close(&body, inner);
    size_t scopes = wire_open(&body, RESOURCE_SCOPES);
    for (unsigned i = 0; i < SPANS; i++) {
        uint8_t id[16] = {1, (uint8_t)(i + 1)};
        size_t span = wire_open(&body, SCOPE_ITEMS);
        wire_write_bytes(&body, SPAN_TRACE_ID, bytes_from(id, 16));
        wire_write_bytes(&body, SPAN_SPAN_ID, bytes_from(id, 8));
        wire_close(&body, span);
    }
    wire_close(&body, scopes);
    wire_close(&body, resource);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&body), 0);
    buffer_fini(&body);
    place_count = 0;
    assert_int_equal(scan_request(SIGNAL_TRACES, batch->body, 0, place_note, NULL, &report),
                     RESULT_OK);
    batch->item_count = SPANS;
    return batch;
}

static void recorded_places_hold_what_the_parcel_stands_for(void **state)
{
    (void)state;
    static const enum parcel_mode modes[] = {PARCEL_ALL, PARCEL_ONLY, PARCEL_EXCEPT};
    for (size_t m = 0; m < 3; m++) {
        struct batch *batch = request();
        const struct item_place some[] = {places[1], places[4]};
        struct parcel *parcel =
            parcel_new(batch, modes[m], m == 0 ? NULL : some, m == 0 ? 0 : 2, 0);
        struct buffer record;
        buffer_init(&record, 4096);
        parcel_places_write(parcel, &record);
        for (unsigned i = 0; i < SPANS; i++) {
            bool listed = i == 1 || i == 4;
            bool held = m == 0 || (m == 1 ? listed : !listed);
            assert_int_equal(parcel_places_hold(buffer_view(&record), places[i].item_at), held);
        }
        buffer_fini(&record);
        parcel_unref(&parcel);
    }
}

static void bytes_that_are_no_record_hold_nothing(void **state)
{
    (void)state;
    static const uint8_t bad[][7] = {{2, 0}, {1, 3}, {1, 1, 0}, {1, 2, 0, 0, 0}, {0}};
    static const size_t lens[] = {2, 2, 3, 5, 0};
    for (size_t i = 0; i < 5; i++) {
        assert_false(parcel_places_hold(bytes_from(bad[i], lens[i]), 0));
    }
}

// Edits of every kind on one item and its Resource.
static void edit_all(struct parcel *parcel, struct item_place place)
{
    struct buffer field;
    buffer_init(&field, 4096);
    attribute_write_text(&field, SPAN_ATTRIBUTES, "a", BYTES_LITERAL("one"));
    assert_int_equal(parcel_append(parcel, place.item_at, buffer_view(&field)), RESULT_OK);
    assert_int_equal(parcel_replace(parcel, place.item_at, BYTES_LITERAL("a"), buffer_view(&field)),
                     RESULT_OK);
    assert_int_equal(parcel_delete(parcel, place.item_at, BYTES_LITERAL("b")), RESULT_OK);
    assert_int_equal(parcel_delete_prefix(parcel, place.item_at, BYTES_LITERAL("c.")), RESULT_OK);
    assert_int_equal(parcel_delete_resource(parcel, place.resource_at, BYTES_LITERAL("r")),
                     RESULT_OK);
    buffer_fini(&field);
}

static void edits_that_are_read_back_render_the_same_bytes(void **state)
{
    (void)state;
    struct batch *batch = request();
    struct buffer record, before, after;
    buffer_init(&record, 65536);
    buffer_init(&before, 65536);
    buffer_init(&after, 65536);
    batch_hold(batch);
    struct parcel *parcel = parcel_new(batch, PARCEL_ONLY, &places[2], 1, 0);
    edit_all(parcel, places[2]);
    parcel_edits_write(parcel, places[2], &record);
    parcel_render(parcel, &before);
    struct parcel *again = parcel_new(batch, PARCEL_ONLY, &places[2], 1, 0);
    assert_int_equal(parcel_edits_apply(again, places[2], buffer_view(&record)), RESULT_OK);
    assert_int_equal(parcel_edits_bytes(buffer_view(&record)), again->edit_bytes);
    parcel_render(again, &after);
    assert_true(bytes_equal(buffer_view(&before), buffer_view(&after)));
    buffer_fini(&record);
    buffer_fini(&before);
    buffer_fini(&after);
    parcel_unref(&parcel);
    parcel_unref(&again);
}

// What an editing processor has rendered anew is still named as the journal has it.
static void copies_are_recorded_by_where_their_items_stood(void **state)
{
    (void)state;
    struct batch *batch = request();
    struct buffer record;
    buffer_init(&record, 4096);
    batch->entry = 7;
    batch_hold(batch);
    struct item_place saved[SPANS];
    memcpy(saved, places, sizeof(saved));
    const struct item_place some[] = {places[1], places[2], places[4]};
    struct parcel *parcel = parcel_new(batch, PARCEL_ONLY, some, 3, 0);
    edit_all(parcel, places[1]);
    parcel_detach(parcel);
    place_count = 0;
    parcel_each(parcel, place_note, NULL);
    assert_int_equal(place_count, 3);
    edit_all(parcel, places[0]);  // the first item of the copy grows
    parcel_detach(parcel);        // and the copy of the copy knows as well
    assert_true(parcel_is_recordable(parcel));
    parcel_places_write(parcel, &record);
    for (unsigned i = 0; i < SPANS; i++) {
        bool held = i == 1 || i == 2 || i == 4;
        assert_int_equal(parcel_places_hold(buffer_view(&record), saved[i].item_at), held);
    }
    buffer_fini(&record);
    parcel_unref(&parcel);
    batch_release(&batch);
}

static void copies_of_what_is_not_journalled_keep_no_places(void **state)
{
    (void)state;
    struct batch *batch = request();
    struct parcel *parcel = parcel_new(batch, PARCEL_ONLY, &places[2], 1, 0);
    edit_all(parcel, places[2]);
    parcel_detach(parcel);
    assert_false(parcel_is_recordable(parcel));
    parcel_unref(&parcel);
}

static void cut_or_foreign_edits_are_rejected(void **state)
{
    (void)state;
    struct batch *batch = request();
    struct buffer record;
    buffer_init(&record, 65536);
    batch_hold(batch);
    struct parcel *parcel = parcel_new(batch, PARCEL_ONLY, &places[2], 1, 0);
    edit_all(parcel, places[2]);
    parcel_edits_write(parcel, places[2], &record);
    size_t rejected = 0;
    for (size_t len = 1; len < record.len; len++) {
        batch_hold(batch);
        struct parcel *again = parcel_new(batch, PARCEL_ONLY, &places[2], 1, 0);
        enum result result = parcel_edits_apply(again, places[2], bytes_from(record.ptr, len));
        rejected += result == RESULT_REJECT;
        parcel_unref(&again);
    }
    assert_int_equal(rejected, record.len - 1 - 5);  // but where a cut falls between two edits
    record.ptr[0] = 9;
    assert_int_equal(parcel_edits_apply(parcel, places[2], buffer_view(&record)), RESULT_REJECT);
    buffer_fini(&record);
    parcel_unref(&parcel);
    batch_release(&batch);
}

static void edits_whose_fields_are_no_attributes_are_rejected(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind, len, fields[4];
    } bad[] = {
        {EDIT_APPEND, 2, {0x4a, 7}},           // longer than what is there
        {EDIT_APPEND, 2, {0x0a, 0}},           // a Resource's, on a span
        {EDIT_REPLACE, 2, {0x48, 1}},          // another wire type
        {0x80 | EDIT_REPLACE, 2, {0x4a, 0}},   // a span's, on a Resource
        {EDIT_APPEND, 4, {0x4a, 0, 0x07, 0}},  // something behind it
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t record[14] = {1, bad[i].kind, 0, 0, 0, 0, bad[i].len};
        memcpy(record + 10, bad[i].fields, bad[i].len);
        struct parcel *parcel = parcel_new(request(), PARCEL_ALL, NULL, 0, 0);
        struct bytes edits = bytes_from(record, 10U + bad[i].len);
        assert_int_equal(parcel_edits_apply(parcel, places[2], edits), RESULT_REJECT);
        assert_true(parcel_is_whole(parcel));
        parcel_unref(&parcel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_places_hold_what_the_parcel_stands_for),
        cmocka_unit_test(bytes_that_are_no_record_hold_nothing),
        cmocka_unit_test(edits_that_are_read_back_render_the_same_bytes),
        cmocka_unit_test(copies_are_recorded_by_where_their_items_stood),
        cmocka_unit_test(copies_of_what_is_not_journalled_keep_no_places),
        cmocka_unit_test(cut_or_foreign_edits_are_rejected),
        cmocka_unit_test(edits_whose_fields_are_no_attributes_are_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
