// SPDX-License-Identifier: Apache-2.0
//
// What the journal reads back of a parcel: any bytes as a record of places and as one of edits,
// the latter applied to spans of a fixed request and rendered. A record that was taken is written
// again and must read the same.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/attribute.h"
#include "proto/parcel_record.h"

enum { SPANS = 3, OUT_BYTES_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct spans {
    struct item_place places[SPANS];
    unsigned count;
};

static bool place_note(void *arg, const struct item_view *view)
{
    struct spans *spans = arg;
    CHECK(spans->count < SPANS && view->fault == SCAN_OK);
    spans->places[spans->count++] = view->place;
    return true;
}

static struct batch *request(struct spans *spans)
{
    struct buffer body;
    struct scan_report report;
    buffer_init(&body, 4096);
    size_t resource = wire_open(&body, REQUEST_RESOURCES);
    size_t inner = wire_open(&body, RESOURCE_RESOURCE);
    attribute_write_bool(&body, RES_ATTRIBUTES, "r", true);
    wire_close(&body, inner);
    size_t scopes = wire_open(&body, RESOURCE_SCOPES);
    for (uint8_t i = 0; i < SPANS; i++) {
        uint8_t id[16] = {1, i};
        size_t span = wire_open(&body, SCOPE_ITEMS);
        wire_write_bytes(&body, SPAN_TRACE_ID, bytes_from(id, 16));
        wire_write_bytes(&body, SPAN_SPAN_ID, bytes_from(id, 8));
        attribute_write_int(&body, SPAN_ATTRIBUTES, "k", i);
        wire_close(&body, span);
    }
    wire_close(&body, scopes);
    wire_close(&body, resource);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&body), 0);
    buffer_fini(&body);
    CHECK(scan_request(SIGNAL_TRACES, batch->body, 0, place_note, spans, &report) == RESULT_OK);
    batch->item_count = spans->count;
    return batch;
}

static void rendered(const struct parcel *parcel, struct buffer *out)
{
    buffer_init(out, OUT_BYTES_MAX);
    parcel_render(parcel, out);
    CHECK(buffer_status(out) == RESULT_OK && out->len == parcel_rendered_size(parcel));
}

static void edits_again(const struct parcel *edited, struct item_place place)
{
    struct buffer record, out, again_out;
    buffer_init(&record, OUT_BYTES_MAX);
    parcel_edits_write(edited, place, &record);
    CHECK(buffer_status(&record) == RESULT_OK);
    batch_hold(edited->batch);
    struct parcel *again = parcel_new(edited->batch, PARCEL_ALL, NULL, 0, 0);
    CHECK(parcel_edits_apply(again, place, buffer_view(&record)) == RESULT_OK);
    rendered(edited, &out);
    rendered(again, &again_out);
    CHECK(out.len == again_out.len &&
          (out.len == 0 || memcmp(out.ptr, again_out.ptr, out.len) == 0));
    parcel_unref(&again);
    buffer_fini(&record);
    buffer_fini(&out);
    buffer_fini(&again_out);
}

static void places_are_searched(struct bytes record, const struct spans *spans)
{
    unsigned held = 0;
    for (unsigned i = 0; i < spans->count; i++) {
        held += parcel_places_hold(record, spans->places[i].item_at);
    }
    held += parcel_places_hold(record, 0) + parcel_places_hold(record, UINT32_MAX);
    CHECK(held <= SPANS + 2);
    for (size_t at = 0; at + 4 <= record.len; at += 4) {
        uint32_t item_at;
        memcpy(&item_at, record.ptr + at, sizeof(item_at));
        (void)parcel_places_hold(record, item_at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spans spans = {.count = 0};
    struct bytes record = bytes_from(data, size);
    struct batch *batch = request(&spans);
    places_are_searched(record, &spans);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
    if (parcel_edits_apply(parcel, spans.places[1], record) == RESULT_OK) {
        edits_again(parcel, spans.places[1]);
    } else {
        struct buffer out;
        rendered(parcel, &out);  // some may be applied
        buffer_fini(&out);
    }
    parcel_unref(&parcel);
    return 0;
}
