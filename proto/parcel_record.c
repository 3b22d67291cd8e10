// SPDX-License-Identifier: Apache-2.0
//
// Offsets in the body, four bytes each: a request has few exceptions as a rule, and a list that is
// ascending is searched without being taken apart. Edits are written as they were asked for, so
// that applying them again renders the same bytes. Refused: the rendered span itself, which would
// be the journal's largest record, and would lose its place among its siblings.
//
// Bounds: what a parcel may have (places as items, PARCEL_EDIT_BYTES_MAX). Any thread.
#include "proto/parcel_record.h"

#include <string.h>

#include "proto/attribute.h"

#define FORM 1
#define EDIT_OF_RESOURCE 0x80u

static void put_u32(struct buffer *out, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 24)};
    buffer_append(out, bytes, sizeof(bytes));
}

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool parcel_is_recordable(const struct parcel *parcel)
{
    return parcel->batch->origin == NULL || parcel->batch->moves != NULL;
}

struct origins {
    const struct batch *batch;
    struct buffer *out;
};

static bool put_origin(void *arg, const struct item_view *view)
{
    struct origins *origins = arg;
    uint32_t at;
    if (batch_origin_at(origins->batch, view->place.item_at, &at)) {
        put_u32(origins->out, at);
    }
    return true;
}

void parcel_places_write(const struct parcel *parcel, struct buffer *out)
{
    buffer_append_byte(out, FORM);
    if (parcel->batch->origin != NULL) {
        struct origins origins = {parcel->batch, out};
        buffer_append_byte(out, PARCEL_ONLY);
        parcel_each(parcel, put_origin, &origins);
        return;
    }
    buffer_append_byte(out, (uint8_t)parcel->mode);
    for (uint32_t i = 0; i < parcel->place_count; i++) {
        put_u32(out, parcel->items[i].item_at);
    }
}

bool parcel_places_hold(struct bytes places, uint32_t item_at)
{
    if (places.len < 2 || places.ptr[0] != FORM || (places.len - 2) % 4 != 0 ||
        places.ptr[1] > PARCEL_EXCEPT) {
        return false;
    }
    size_t low = 0, high = (places.len - 2) / 4;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (u32_at(places.ptr + 2 + middle * 4) < item_at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool listed = low < (places.len - 2) / 4 && u32_at(places.ptr + 2 + low * 4) == item_at;
    return places.ptr[1] == PARCEL_ONLY ? listed : !listed;
}

void parcel_edits_write(const struct parcel *parcel, struct item_place place, struct buffer *out)
{
    bool first = true;
    for (const struct edit *edit = parcel->edits; edit != NULL; edit = edit->next) {
        if (edit->at != (edit->of_resource ? place.resource_at : place.item_at)) {
            continue;
        }
        if (first) {
            buffer_append_byte(out, FORM);
            first = false;
        }
        buffer_append_byte(
            out, (uint8_t)((unsigned)edit->kind | (edit->of_resource ? EDIT_OF_RESOURCE : 0)));
        put_u32(out, (uint32_t)edit->key.len);
        put_u32(out, (uint32_t)edit->fields.len);
        buffer_append_bytes(out, edit->key);
        buffer_append_bytes(out, edit->fields);
    }
}

size_t parcel_edits_bytes(struct bytes edits)
{
    size_t at = 1, total = 0;
    while (at < edits.len && edits.len - at >= 9) {
        size_t key_len = u32_at(edits.ptr + at + 1);
        size_t fields_len = u32_at(edits.ptr + at + 5);
        total += PARCEL_EDIT_BYTES(key_len, fields_len);
        at += 9;
        if (key_len > edits.len - at || fields_len > edits.len - at - key_len) {
            break;
        }
        at += key_len + fields_len;
    }
    return total;
}

// Attributes of one field number and nothing else: what rendering takes for granted.
static bool fields_are_sound(struct bytes fields, uint32_t number)
{
    struct wire wire = wire_of(fields);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.type != WIRE_LEN || field.number != number ||
            *field.start != (number << 3 | WIRE_LEN)) {
            return false;
        }
    }
    return wire_is_done(&wire);
}

static uint32_t attributes_of(const struct parcel *parcel, bool of_resource)
{
    if (of_resource) {
        return RES_ATTRIBUTES;
    }
    return parcel->batch->signal == SIGNAL_TRACES ? SPAN_ATTRIBUTES : LOG_ATTRIBUTES;
}

enum result parcel_edits_apply(struct parcel *parcel, struct item_place place, struct bytes edits)
{
    size_t at = 1;
    if (edits.len > 0 && edits.ptr[0] != FORM) {
        return RESULT_REJECT;
    }
    while (at < edits.len) {
        if (edits.len - at < 9) {
            return RESULT_REJECT;
        }
        unsigned kind = edits.ptr[at] & ~EDIT_OF_RESOURCE;
        bool of_resource = (edits.ptr[at] & EDIT_OF_RESOURCE) != 0;
        size_t key_len = u32_at(edits.ptr + at + 1);
        size_t fields_len = u32_at(edits.ptr + at + 5);
        at += 9;
        if (kind > EDIT_REPLACE || key_len > edits.len - at ||
            fields_len > edits.len - at - key_len) {
            return RESULT_REJECT;
        }
        struct edit edit = {.at = of_resource ? place.resource_at : place.item_at,
                            .kind = (enum edit_kind)kind,
                            .of_resource = of_resource,
                            .key = bytes_from(edits.ptr + at, key_len),
                            .fields = bytes_from(edits.ptr + at + key_len, fields_len)};
        if (!fields_are_sound(edit.fields, attributes_of(parcel, of_resource))) {
            return RESULT_REJECT;
        }
        enum result result = parcel_edit(parcel, &edit);
        if (result != RESULT_OK) {
            return result;
        }
        at += key_len + fields_len;
    }
    return RESULT_OK;
}
