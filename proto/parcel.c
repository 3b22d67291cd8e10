// SPDX-License-Identifier: Apache-2.0
//
// Parcels: a batch, a choice of its items, and a list of edits. The choice is kept as the shorter
// of "only these" and "all but these", so that the usual parcel, all of a request but a span or
// two, is a list of two places. Edits are kept as they were asked for and carried out when the
// parcel is rendered (render.c), because most parcels are split or dropped before. Refused: an
// array of all items (a request of 50,000 spans passes by untouched), and edits on copies of items.
// Bounds: 256 KiB of edits for each parcel. One owner until it goes to exporters, then read-only
// and counted.
#include "proto/parcel.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/render.h"

#define PARCEL_MAGIC MAGIC('P', 'R', 'C', 'L')
#define EDIT_ARENA_BYTES_MAX (4 * PARCEL_EDIT_BYTES_MAX)  // edit_bytes is the limit that is met

static void places_check(const struct item_place *places, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        CHECK(places[i - 1].item_at < places[i].item_at);
    }
}

struct count {
    uint32_t views, items;  // items: of metrics, the data points
};

static bool view_count(void *arg, const struct item_view *view)
{
    struct count *count = arg;
    count->views++;
    count->items += view->signal == SIGNAL_METRICS ? view->point_count : 1;
    return true;
}

static struct count parcel_count(const struct parcel *parcel)
{
    struct count count = {0};
    parcel_each(parcel, view_count, &count);
    return count;
}

// Items below a container, by lengths alone: `levels` of containers, the request's number first.
static uint32_t items_below(struct bytes container, uint32_t number, unsigned levels)
{
    struct wire wire = wire_of(container);
    struct wire_field field;
    uint32_t count = 0;
    while (wire_next(&wire, &field)) {
        if (field.number == number && field.type == WIRE_LEN) {
            count += levels == 1 ? 1 : items_below(field.bytes, SCOPE_ITEMS, levels - 1);
        }
    }
    return count;
}

_Static_assert(RESOURCE_SCOPES == SCOPE_ITEMS, "one number leads down from a container");

static uint32_t item_count_of(const struct parcel *parcel)
{
    if (parcel->mode == PARCEL_ALL) {
        return parcel->batch->item_count;
    }
    if (parcel->batch->signal == SIGNAL_METRICS) {
        return parcel_count(parcel).items;
    }
    if (parcel->mode == PARCEL_ONLY) {
        return parcel->place_count;
    }
    uint32_t total = items_below(parcel->batch->body, REQUEST_RESOURCES, 3);
    CHECK(parcel->place_count <= total);
    return total - parcel->place_count;
}

static struct item_place *places_copy(const struct item_place *places, uint32_t count)
{
    if (count == 0) {
        return NULL;
    }
    struct item_place *copy = malloc(count * sizeof *copy);
    CHECK(copy != NULL);
    memcpy(copy, places, count * sizeof *copy);
    return copy;
}

struct parcel *parcel_new(struct batch *batch, enum parcel_mode mode,
                          const struct item_place *places, uint32_t place_count,
                          uint32_t link_count)
{
    CHECK(batch != NULL);
    CHECK(mode != PARCEL_ALL || place_count == 0);
    places_check(places, place_count);
    struct parcel *parcel = calloc(1, sizeof *parcel + link_count * sizeof parcel->links[0]);
    CHECK(parcel != NULL);
    parcel->magic = PARCEL_MAGIC;
    parcel->mode = mode;
    parcel->batch = batch;
    parcel->items = places_copy(places, place_count);
    parcel->place_count = place_count;
    parcel->edits_end = &parcel->edits;
    arena_init(&parcel->memory, EDIT_ARENA_BYTES_MAX);
    atomic_init(&parcel->references, 1);
    parcel->link_count = link_count;
    for (uint32_t i = 0; i < link_count; i++) {
        parcel->links[i].parcel = parcel;
    }
    parcel->item_count = item_count_of(parcel);
    return parcel;
}

void parcel_join(struct parcel *parcel, const void *pipeline, atomic_size_t *alive)
{
    CHECK(parcel->alive == NULL);
    parcel->pipeline = pipeline;
    parcel->alive = alive;
    if (alive != NULL) {
        atomic_fetch_add_explicit(alive, 1, memory_order_relaxed);
    }
}

void parcel_ref(struct parcel *parcel)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    unsigned before = atomic_fetch_add_explicit(&parcel->references, 1, memory_order_relaxed);
    CHECK(before > 0);
}

void parcel_unref(struct parcel **parcel_ptr)
{
    struct parcel *parcel = *parcel_ptr;
    *parcel_ptr = NULL;
    if (parcel == NULL) {
        return;
    }
    CHECK(parcel->magic == PARCEL_MAGIC);
    unsigned before = atomic_fetch_sub_explicit(&parcel->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        atomic_size_t *alive = parcel->alive;
        batch_release(&parcel->batch);
        arena_fini(&parcel->memory);
        free(parcel->items);
        free(parcel->notes);
        parcel_unref(&parcel->before);
        parcel->magic = 0;
        free(parcel);
        if (alive != NULL) {  // the last thing: the pipeline may be gone with it
            atomic_fetch_sub_explicit(alive, 1, memory_order_release);
        }
    }
}

bool parcel_is_whole(const struct parcel *parcel)
{
    return parcel->mode == PARCEL_ALL && parcel->edits == NULL;
}

enum result parcel_edit(struct parcel *parcel, const struct edit *from)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    CHECK(from->at < parcel->batch->body.len);
    size_t bytes = PARCEL_EDIT_BYTES(from->key.len, from->fields.len);
    if (bytes > PARCEL_EDIT_BYTES_MAX - parcel->edit_bytes) {
        return RESULT_SHED;
    }
    struct edit *edit = arena_zalloc(&parcel->memory, sizeof *edit);
    if (edit == NULL) {
        return RESULT_SHED;
    }
    *edit = *from;
    edit->next = NULL;
    edit->key = arena_copy(&parcel->memory, from->key);
    edit->fields = arena_copy(&parcel->memory, from->fields);
    if (edit->key.ptr == NULL || edit->fields.ptr == NULL) {
        return RESULT_SHED;
    }
    parcel->edit_bytes += bytes;
    *parcel->edits_end = edit;
    parcel->edits_end = &edit->next;
    return RESULT_OK;
}

static enum result item_edit(struct parcel *parcel, uint32_t item_at, enum edit_kind kind,
                             struct bytes key, struct bytes fields)
{
    CHECK(parcel->batch->signal != SIGNAL_METRICS);
    struct edit edit = {.at = item_at, .kind = kind, .key = key, .fields = fields};
    return parcel_edit(parcel, &edit);
}

enum result parcel_append(struct parcel *parcel, uint32_t item_at, struct bytes fields)
{
    return item_edit(parcel, item_at, EDIT_APPEND, BYTES_NONE, fields);
}

enum result parcel_replace(struct parcel *parcel, uint32_t item_at, struct bytes key,
                           struct bytes fields)
{
    return item_edit(parcel, item_at, EDIT_REPLACE, key, fields);
}

enum result parcel_delete(struct parcel *parcel, uint32_t item_at, struct bytes key)
{
    return item_edit(parcel, item_at, EDIT_DELETE, key, BYTES_NONE);
}

enum result parcel_delete_prefix(struct parcel *parcel, uint32_t item_at, struct bytes prefix)
{
    return item_edit(parcel, item_at, EDIT_DELETE_PREFIX, prefix, BYTES_NONE);
}

enum result parcel_replace_resource(struct parcel *parcel, uint32_t resource_at, struct bytes key,
                                    struct bytes fields)
{
    struct edit edit = {
        .at = resource_at, .kind = EDIT_REPLACE, .of_resource = true, .key = key, .fields = fields};
    return parcel_edit(parcel, &edit);
}

enum result parcel_delete_resource(struct parcel *parcel, uint32_t resource_at, struct bytes key)
{
    struct edit edit = {.at = resource_at, .kind = EDIT_DELETE, .of_resource = true, .key = key};
    return parcel_edit(parcel, &edit);
}

struct visit {
    const struct parcel *parcel;
    uint32_t place_at;
    scan_item_fn visit;
    void *arg;
};

static bool visit_unlisted(void *arg, const struct item_view *view)
{
    struct visit *visit = arg;
    const struct parcel *parcel = visit->parcel;
    if (visit->place_at < parcel->place_count &&
        parcel->items[visit->place_at].item_at == view->place.item_at) {
        visit->place_at++;
        return true;
    }
    return visit->visit(visit->arg, view);
}

void parcel_each(const struct parcel *parcel, scan_item_fn visit, void *arg)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    enum signal signal = parcel->batch->signal;
    struct bytes body = parcel->batch->body;
    if (parcel->mode == PARCEL_ONLY) {
        struct item_view view = {.place = {UINT32_MAX, UINT32_MAX, UINT32_MAX}};
        for (uint32_t i = 0; i < parcel->place_count; i++) {
            scan_item_next(signal, body, parcel->items[i], &view);
            if (!visit(arg, &view)) {
                return;
            }
        }
        return;
    }
    struct visit state = {.parcel = parcel, .visit = visit, .arg = arg};
    struct scan_report report;
    enum result result = scan_request(signal, body, SCAN_TRUSTED, visit_unlisted, &state, &report);
    CHECK(result == RESULT_OK || result == RESULT_STOP);  // it was scanned before
}

static bool place_is_listed(const struct parcel *parcel, uint32_t item_at)
{
    uint32_t low = 0;
    uint32_t high = parcel->place_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (parcel->items[middle].item_at < item_at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < parcel->place_count && parcel->items[low].item_at == item_at;
}

// Takes `places` out of the parcel's own list (ONLY).
static void places_remove(struct parcel *parcel, const struct item_place *places, uint32_t count)
{
    uint32_t kept = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < parcel->place_count; i++) {
        if (at < count && places[at].item_at == parcel->items[i].item_at) {
            at++;
        } else {
            parcel->items[kept++] = parcel->items[i];
        }
    }
    CHECK(at == count);  // a subset
    parcel->place_count = kept;
}

// Merges `places` into the parcel's list of exceptions (ALL, EXCEPT), from the back.
static void places_add(struct parcel *parcel, const struct item_place *places, uint32_t count)
{
    uint32_t total = parcel->place_count + count;
    struct item_place *merged = realloc(parcel->items, total * sizeof *merged);
    CHECK(merged != NULL);
    uint32_t old = parcel->place_count;
    uint32_t new = count;
    for (uint32_t to = total; to > 0; to--) {
        bool takes_old = new == 0 || (old > 0 && merged[old - 1].item_at > places[new - 1].item_at);
        merged[to - 1] = takes_old ? merged[--old] : places[--new];
    }
    parcel->items = merged;
    parcel->place_count = total;
    parcel->mode = PARCEL_EXCEPT;
    places_check(merged, total);
}

// Has this part an item in the container at this offset? Places ascend by container too.
static bool container_is_listed(const struct parcel *part, uint32_t resource_at)
{
    uint32_t low = 0;
    uint32_t high = part->place_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (part->items[middle].resource_at < resource_at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < part->place_count && part->items[low].resource_at == resource_at;
}

// Moves the edits of the items in `part` over, and copies those of their Resources, which items
// that stay may share; the memory of the old ones stays until `parcel` goes.
static void edits_move(struct parcel *parcel, struct parcel *part)
{
    struct edit **link = &parcel->edits;
    while (*link != NULL) {
        struct edit *edit = *link;
        bool goes_along = edit->of_resource ? container_is_listed(part, edit->at)
                                            : place_is_listed(part, edit->at);
        if (goes_along) {
            enum result result = parcel_edit(part, edit);
            CHECK(result == RESULT_OK);  // it fitted before
        }
        if (goes_along && !edit->of_resource) {
            *link = edit->next;
        } else {
            link = &edit->next;
        }
    }
    parcel->edits_end = link;
}

static uint32_t view_count_of(const struct parcel *parcel)
{
    if (parcel->mode == PARCEL_ONLY) {
        return parcel->place_count;
    }
    bool counts_points = parcel->batch->signal == SIGNAL_METRICS;
    return counts_points ? parcel_count(parcel).views : parcel->item_count;
}

struct parcel *parcel_split(struct parcel *parcel, const struct item_place *places,
                            uint32_t place_count)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    CHECK(place_count > 0);
    uint32_t view_total = view_count_of(parcel);
    CHECK(place_count <= view_total);
    if (place_count == view_total) {
        return NULL;
    }
    size_t size = parcel_rendered_size(parcel);
    batch_hold(parcel->batch);
    struct parcel *part =
        parcel_new(parcel->batch, PARCEL_ONLY, places, place_count, parcel->link_count);
    parcel_join(part, parcel->pipeline, parcel->alive);
    part->stage = parcel->stage;
    part->exporters = parcel->exporters;
    part->own = parcel->own;
    part->recorded = parcel->recorded;
    part->spilled = parcel->spilled;
    part->bypass = parcel->bypass;
    edits_move(parcel, part);
    if (parcel->mode == PARCEL_ONLY) {
        places_remove(parcel, places, place_count);
    } else {
        places_add(parcel, places, place_count);
    }
    CHECK(part->item_count <= parcel->item_count);
    parcel->item_count -= part->item_count;
    size_t part_size = parcel_rendered_size(part);
    size_t share =
        size > 0 ? (size_t)((double)parcel->charge_bytes * (double)part_size / (double)size) : 0;
    part->charge_bytes = share < parcel->charge_bytes ? share : parcel->charge_bytes;
    parcel->charge_bytes -= part->charge_bytes;
    return part;
}

struct moving {
    const struct batch *from;
    uint32_t *moves;
    uint32_t count, max;  // pairs
    bool is_lost;         // an item of `from` has no known origin
};

static bool move_from(void *arg, const struct item_view *view)
{
    struct moving *moving = arg;
    if (moving->count == moving->max) {
        moving->max = moving->max > 0 ? moving->max * 2 : 16;
        moving->moves = realloc(moving->moves, moving->max * 2 * sizeof *moving->moves);
        CHECK(moving->moves != NULL);
    }
    uint32_t *pair = moving->moves + 2 * moving->count++;
    moving->is_lost =
        !batch_origin_at(moving->from, view->place.item_at, &pair[1]) || moving->is_lost;
    return true;
}

static bool move_to(void *arg, const struct item_view *view)
{
    struct moving *moving = arg;
    if (moving->max == moving->count) {
        return false;
    }
    moving->moves[2 * moving->max++] = view->place.item_at;
    return true;
}

// Where the items of a copy stood: rendering keeps their order.
static void moves_keep(struct moving *moving, struct batch *copy)
{
    struct scan_report report;
    moving->max = 0;  // from here on: how many have been found in the copy
    enum result result =
        scan_request(copy->signal, copy->body, SCAN_TRUSTED, move_to, moving, &report);
    if (result != RESULT_OK || moving->max != moving->count || moving->is_lost) {
        free(moving->moves);
        return;
    }
    copy->moves = moving->moves;
    copy->move_count = moving->count;
}

void parcel_detach(struct parcel *parcel)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    struct moving moving = {.from = parcel->batch};
    if (parcel->batch->entry != 0) {
        parcel_each(parcel, move_from, &moving);
    }
    struct buffer body;
    buffer_init(&body, parcel_rendered_size(parcel));
    parcel_render(parcel, &body);
    CHECK(buffer_status(&body) == RESULT_OK);
    struct batch *batch = batch_make_detached(parcel->batch, buffer_view(&body));
    buffer_fini(&body);
    batch->item_count = parcel->item_count;
    if (moving.count > 0) {
        moves_keep(&moving, batch);
    }
    batch_release(&parcel->batch);
    parcel->batch = batch;
    parcel->mode = PARCEL_ALL;
    free(parcel->items);
    parcel->items = NULL;
    parcel->place_count = 0;
    arena_fini(&parcel->memory);
    arena_init(&parcel->memory, EDIT_ARENA_BYTES_MAX);
    parcel->edit_bytes = 0;
    parcel->edits = NULL;
    parcel->edits_end = &parcel->edits;
}

void parcel_remember(struct parcel *parcel)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    if (parcel->batch->origin != NULL && parcel->batch->moves == NULL) {
        return;
    }
    batch_hold(parcel->batch);
    struct parcel *before =
        parcel_new(parcel->batch, parcel->mode, parcel->items, parcel->place_count, 0);
    before->item_count = parcel->item_count;
    for (const struct edit *edit = parcel->edits; edit != NULL; edit = edit->next) {
        CHECK(parcel_edit(before, edit) == RESULT_OK);  // there is as much room as there was
    }
    parcel_unref(&parcel->before);
    parcel->before = before;
}

size_t parcel_rendered_size(const struct parcel *parcel)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    if (parcel_is_whole(parcel)) {
        return parcel->batch->body.len;
    }
    struct render_window window = {.bytes_max = SIZE_MAX};
    struct splice splice;
    splice_init(&splice);
    render_plan(parcel, &window, &splice);
    size_t size = splice.size;
    splice_fini(&splice);
    return size;
}

void parcel_render(const struct parcel *parcel, struct buffer *out)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    if (parcel_is_whole(parcel)) {
        buffer_append_bytes(out, parcel->batch->body);
        return;
    }
    struct render_window window = {.bytes_max = SIZE_MAX};
    struct splice splice;
    splice_init(&splice);
    render_plan(parcel, &window, &splice);
    splice_write(&splice, out);
    splice_fini(&splice);
}

void parcel_cutter_begin(struct parcel_cutter *cutter, const struct parcel *parcel)
{
    CHECK(parcel->magic == PARCEL_MAGIC);
    *cutter = (struct parcel_cutter){.parcel = parcel};
}

bool parcel_cutter_next(struct parcel_cutter *cutter, size_t bytes_max, struct buffer *out,
                        uint32_t *item_count)
{
    // SIZE_MAX would mean no window.
    struct render_window window = {.first = cutter->next_item,
                                   .bytes_max = bytes_max < SIZE_MAX ? bytes_max : SIZE_MAX - 1};
    struct splice splice;
    splice_init(&splice);
    render_plan(cutter->parcel, &window, &splice);
    if (window.taken > 0) {
        splice_write(&splice, out);
        cutter->next_item += window.taken;
        *item_count = window.item_count;
    }
    splice_fini(&splice);
    return window.taken > 0;
}
