// SPDX-License-Identifier: Apache-2.0
//
// One walk over a request, in the order of its bytes, beside three sorted lists that it consumes as
// it goes: the parcel's places, its edits, and the window of a cutter. A container whose items all
// stay as they are is planned as the bytes that it is, tag and length included; one that changes is
// opened anew; one that loses all its items is undone. With PARCEL_ONLY the walk jumps from
// ResourceX to ResourceX by the places. Refused: a second walk for sizes (splice.h). A cutter's
// bound counts 11 bytes for each tag and length, so that a piece never grows beyond it. Bounds: the
// request's own. One thread.
#include "proto/render.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/item.h"
#include "proto/message.h"

#define FRAME_BYTES_MAX 11

struct edit_row {  // an edit in the order of the items
    const struct edit *edit;
    uint32_t order;  // of addition
};

struct render {
    const struct parcel *parcel;
    struct render_window *window;
    struct splice *splice;
    struct bytes body;
    uint32_t place_at;  // next of parcel->items
    struct edit_row *edits;
    size_t edit_count, edit_at;
    uint32_t ordinal;                  // of the next item that the parcel stands for
    size_t bound;                      // bytes planned so far, at most
    size_t resource_cost, scope_cost;  // of the open containers, until an item of theirs pays
    bool is_full;
};

struct field {  // a field of a container
    uint32_t tag;
    struct bytes whole;  // tag included
    struct bytes payload;
};

struct tally {  // what became of a container's items
    uint32_t item_count, kept_count;
    bool is_changed;
};

static bool field_next(struct wire *wire, struct field *field)
{
    const uint8_t *start = wire->ptr;
    if (start == wire->end) {
        return false;
    }
    enum scan_fault fault = message_tag(wire, &field->tag);
    if (fault == SCAN_OK && (field->tag & 7) == WIRE_LEN) {
        fault = message_payload(wire, &field->payload);
    } else if (fault == SCAN_OK) {
        fault = message_skip(wire, field->tag, 0);
    }
    CHECK(fault == SCAN_OK);  // the request was scanned before
    field->whole = (struct bytes){start, (size_t)(wire->ptr - start)};
    return true;
}

static bool field_is(const struct field *field, uint32_t number)
{
    return field->tag == MESSAGE_TAG(number, WIRE_LEN);
}

static uint32_t offset_of(const struct render *render, const uint8_t *ptr)
{
    return (uint32_t)(ptr - render->body.ptr);
}

static const struct item_place *place_next(const struct render *render)
{
    const struct parcel *parcel = render->parcel;
    return render->place_at < parcel->place_count ? &parcel->items[render->place_at] : NULL;
}

// Does the parcel stand for the item at this offset? Steps over its place.
static bool item_is_ours(struct render *render, uint32_t item_at)
{
    const struct item_place *place = place_next(render);
    bool is_listed = place != NULL && place->item_at == item_at;
    render->place_at += is_listed;
    return is_listed == (render->parcel->mode == PARCEL_ONLY) || render->parcel->mode == PARCEL_ALL;
}

// The edits of the item or of the container's Resource at this offset; both come in ascending
// order, a container before its items.
static size_t edits_of(struct render *render, uint32_t at, const struct edit_row **rows)
{
    while (render->edit_at < render->edit_count && render->edits[render->edit_at].edit->at < at) {
        render->edit_at++;
    }
    size_t count = 0;
    *rows = render->edit_count > 0 ? render->edits + render->edit_at : NULL;
    while (render->edit_at + count < render->edit_count && (*rows)[count].edit->at == at) {
        count++;
    }
    return count;
}

static bool edit_takes_away(const struct edit *edit, struct bytes key)
{
    switch (edit->kind) {
    case EDIT_DELETE:
    case EDIT_REPLACE:
        return bytes_equal(edit->key, key);
    case EDIT_DELETE_PREFIX:
        return bytes_start_with(key, edit->key);
    case EDIT_APPEND:
        break;
    }
    return false;
}

static bool any_takes_away(const struct edit_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].edit->kind != EDIT_APPEND) {
            return true;
        }
    }
    return false;
}

// Plans `fields` without the attributes (of this field number) that one of the edits takes away.
static void fields_plan(struct render *render, struct bytes fields, uint32_t number,
                        const struct edit_row *rows, size_t count)
{
    if (!any_takes_away(rows, count)) {
        splice_range(render->splice, fields);
        return;
    }
    struct wire wire = wire_of(fields);
    struct field field;
    while (field_next(&wire, &field)) {
        struct bytes key = BYTES_NONE;
        bool is_gone = false;
        if (field_is(&field, number)) {
            (void)wire_find(field.payload, KEYVALUE_KEY, &key);
            for (size_t i = 0; i < count && !is_gone; i++) {
                is_gone = edit_takes_away(rows[i].edit, key);
            }
        }
        if (!is_gone) {
            splice_range(render->splice, field.whole);
        }
    }
}

// What the edits add, each without what later ones take away.
static void additions_plan(struct render *render, uint32_t number, const struct edit_row *rows,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].edit->fields.len > 0) {
            fields_plan(render, rows[i].edit->fields, number, rows + i + 1, count - i - 1);
        }
    }
}

// The item with its edits, in a message of its own.
static void item_plan(struct render *render, struct bytes item, const struct edit_row *rows,
                      size_t count)
{
    uint32_t number =
        render->parcel->batch->signal == SIGNAL_TRACES ? SPAN_ATTRIBUTES : LOG_ATTRIBUTES;
    struct splice_mark mark = splice_open(render->splice, SCOPE_ITEMS);
    fields_plan(render, item, number, rows, count);
    additions_plan(render, number, rows, count);
    splice_close(render->splice, mark);
}

// A Resource with its edits; `adds`: it also gets what they add.
static void head_plan(struct render *render, struct bytes head, bool adds,
                      const struct edit_row *rows, size_t count)
{
    struct splice_mark mark = splice_open(render->splice, RESOURCE_RESOURCE);
    fields_plan(render, head, RES_ATTRIBUTES, rows, count);
    if (adds) {
        additions_plan(render, RES_ATTRIBUTES, rows, count);
    }
    splice_close(render->splice, mark);
}

// Is there room for `cost` bytes more? The first item is taken whatever its size.
static bool window_take(struct render *render, size_t cost)
{
    struct render_window *window = render->window;
    if (window->bytes_max == SIZE_MAX) {
        return true;
    }
    cost += render->resource_cost + render->scope_cost;
    if (window->taken > 0 &&
        (render->bound >= window->bytes_max || cost > window->bytes_max - render->bound)) {
        render->is_full = true;
        return false;
    }
    render->bound += cost;
    render->resource_cost = 0;
    render->scope_cost = 0;
    return true;
}

static void window_count(struct render *render, struct bytes item)
{
    uint32_t count = 1;
    if (render->parcel->batch->signal == SIGNAL_METRICS) {
        struct item_view view = {0};
        (void)item_read(SIGNAL_METRICS, item, ITEM_TRUSTED, 0, &view);
        count = view.point_count;
    }
    render->window->taken++;
    render->window->item_count += count;
}

static void item_walk(struct render *render, const struct field *field, struct tally *tally)
{
    uint32_t item_at = offset_of(render, field->whole.ptr);
    tally->item_count++;
    bool is_wanted = item_is_ours(render, item_at) && render->ordinal++ >= render->window->first &&
                     !render->is_full;
    if (!is_wanted) {
        tally->is_changed = true;
        return;
    }
    const struct edit_row *rows = NULL;
    size_t edit_count = edits_of(render, item_at, &rows);
    CHECK(edit_count == 0 || !rows[0].edit->of_resource);
    struct splice_mark mark = {render->splice->count, render->splice->size,
                               render->splice->closed_at};
    if (edit_count > 0) {
        tally->is_changed = true;
        item_plan(render, field->payload, rows, edit_count);
        if (!window_take(render, render->splice->size - mark.size)) {
            splice_undo(render->splice, mark);
            return;
        }
    } else if (window_take(render, field->whole.len)) {
        splice_range(render->splice, field->whole);
    } else {
        tally->is_changed = true;
        return;
    }
    tally->kept_count++;
    window_count(render, field->payload);
}

// Bytes of a container besides its children, with its tag and length; only a cutter needs them.
static size_t header_cost(const struct render *render, struct bytes container)
{
    if (render->window->bytes_max == SIZE_MAX) {
        return 0;
    }
    struct wire wire = wire_of(container);
    struct field field;
    size_t cost = FRAME_BYTES_MAX;
    while (field_next(&wire, &field)) {
        cost += field_is(&field, RESOURCE_SCOPES) ? 0 : field.whole.len;
    }
    return cost;
}

// What held no item to begin with stays, but in later pieces of a cutter, and when it does not fit.
static bool empty_stays(struct render *render, struct bytes whole)
{
    struct render_window *window = render->window;
    if (render->parcel->mode == PARCEL_ONLY || window->first > 0) {
        return false;
    }
    if (window->bytes_max == SIZE_MAX) {
        return true;
    }
    size_t cost = whole.len + render->resource_cost;
    if (render->bound >= window->bytes_max || cost > window->bytes_max - render->bound) {
        return false;
    }
    render->bound += cost;
    render->resource_cost = 0;
    return true;
}

// Settles an opened container: lost, as it was, or changed. True when something of it stays.
static bool container_settle(struct render *render, const struct field *field,
                             struct splice_mark mark, const struct tally *tally)
{
    if (tally->item_count > 0 && tally->kept_count == 0) {
        splice_undo(render->splice, mark);
        return false;
    }
    if (tally->is_changed && tally->item_count > 0) {
        splice_close(render->splice, mark);
        return true;
    }
    splice_undo(render->splice, mark);
    if (tally->item_count == 0 && !empty_stays(render, field->whole)) {
        return false;
    }
    splice_range(render->splice, field->whole);
    return true;
}

static void scope_walk(struct render *render, const struct field *scope, struct tally *outer)
{
    struct tally tally = {0};
    struct wire wire = wire_of(scope->payload);
    struct field field;
    struct splice_mark mark = splice_open(render->splice, RESOURCE_SCOPES);
    render->scope_cost = header_cost(render, scope->payload);
    while (field_next(&wire, &field)) {
        if (field_is(&field, SCOPE_ITEMS)) {
            item_walk(render, &field, &tally);
        } else {
            splice_range(render->splice, field.whole);
        }
    }
    render->scope_cost = 0;
    bool stays = container_settle(render, scope, mark, &tally);
    outer->item_count += tally.item_count;
    outer->kept_count += tally.kept_count;
    outer->is_changed = outer->is_changed || tally.is_changed || !stays;
}

// What the edits of a Resource may add to its container, for a cutter.
static size_t additions_cost(const struct edit_row *rows, size_t count)
{
    size_t cost = count > 0 ? FRAME_BYTES_MAX : 0;
    for (size_t i = 0; i < count; i++) {
        cost += rows[i].edit->fields.len;
    }
    return cost;
}

static void resource_walk(struct render *render, const struct field *resource)
{
    struct tally tally = {0};
    struct wire wire = wire_of(resource->payload);
    struct field field;
    const struct edit_row *rows = NULL;
    size_t edit_count = edits_of(render, offset_of(render, resource->whole.ptr), &rows);
    struct splice_mark mark = splice_open(render->splice, REQUEST_RESOURCES);
    struct bytes head;
    bool adds = edit_count > 0;
    tally.is_changed = adds;
    render->resource_cost =
        header_cost(render, resource->payload) + additions_cost(rows, edit_count);
    if (adds && !wire_find(resource->payload, RESOURCE_RESOURCE, &head)) {
        head_plan(render, BYTES_NONE, true, rows, edit_count);
    }
    while (field_next(&wire, &field)) {
        const struct item_place *place = place_next(render);
        if (edit_count > 0 && field_is(&field, RESOURCE_RESOURCE)) {
            head_plan(render, field.payload, adds, rows, edit_count);
            adds = false;
        } else if (!field_is(&field, RESOURCE_SCOPES)) {
            splice_range(render->splice, field.whole);
        } else if (render->parcel->mode == PARCEL_ONLY &&
                   (place == NULL || place->scope_at != offset_of(render, field.whole.ptr))) {
            tally.is_changed = true;
        } else {
            scope_walk(render, &field, &tally);
        }
    }
    render->resource_cost = 0;
    (void)container_settle(render, resource, mark, &tally);
}

static void request_walk(struct render *render)
{
    struct wire wire = wire_of(render->body);
    struct field field;
    while (field_next(&wire, &field)) {
        if (field_is(&field, REQUEST_RESOURCES)) {
            resource_walk(render, &field);
        } else if (empty_stays(render, field.whole)) {
            splice_range(render->splice, field.whole);
        }
    }
}

static void places_walk(struct render *render)
{
    const struct item_place *place = NULL;
    while ((place = place_next(render)) != NULL) {
        uint32_t before = render->place_at;
        struct wire wire = {render->body.ptr + place->resource_at,
                            render->body.ptr + render->body.len};
        struct field field;
        CHECK(place->resource_at < render->body.len && field_next(&wire, &field));
        CHECK(field_is(&field, REQUEST_RESOURCES));
        resource_walk(render, &field);
        CHECK(render->place_at > before);  // each place is that of an item
    }
}

static int row_compare(const void *left, const void *right)
{
    const struct edit_row *a = left;
    const struct edit_row *b = right;
    if (a->edit->at != b->edit->at) {
        return a->edit->at < b->edit->at ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

static void edits_sort(struct render *render)
{
    size_t count = 0;
    for (const struct edit *edit = render->parcel->edits; edit != NULL; edit = edit->next) {
        count++;
    }
    if (count == 0) {
        return;
    }
    render->edits = malloc(count * sizeof *render->edits);
    CHECK(render->edits != NULL);
    for (const struct edit *edit = render->parcel->edits; edit != NULL; edit = edit->next) {
        render->edits[render->edit_count] = (struct edit_row){edit, (uint32_t)render->edit_count};
        render->edit_count++;
    }
    qsort(render->edits, count, sizeof *render->edits, row_compare);
}

void render_plan(const struct parcel *parcel, struct render_window *window, struct splice *splice)
{
    CHECK(splice->count == 0);
    window->taken = 0;
    window->item_count = 0;
    struct render render = {
        .parcel = parcel, .window = window, .splice = splice, .body = parcel->batch->body};
    edits_sort(&render);
    if (parcel->mode == PARCEL_ONLY) {
        places_walk(&render);
    } else {
        request_walk(&render);
    }
    free(render.edits);
}
