// SPDX-License-Identifier: Apache-2.0
//
// The editor walks the items that a parcel stands for and adds one edit for each key that its
// actions change. Edits are bounded for each parcel; when an item's no longer fit, what there is is
// carried out (parcel_detach: the request is rendered into a body of its own) and the walk goes on
// in that, from the same item: a `delete` or `hash` that keeps a secret in must not give way to the
// size of a request. All changes of an item go in, or none. The Resource of a container is edited
// when its first item is met.
//
// Refused: editing in place (the batch is shared) and letting go unedited what is too much for one
// round. Bounds: those of parcels and of attribute_action.c. Any thread that has the parcel.
#include "processor/attribute_editor.h"

#include <string.h>

#include "base/check.h"

struct metric *attribute_editor_unedited(const char *id)
{
    static const struct metric_family family = {
        .name = "sidejudge_processor_unedited_items_total",
        .type = METRIC_COUNTER,
        .help = "Items that went on as they came because their changes were too large.",
        .labels = {"processor"}};
    const char *const labels[] = {id};
    return metric_series(&family, labels);
}

static struct bytes fields_of(const struct attribute_editor *editor, const struct item_view *view,
                              uint32_t *number)
{
    if (editor->of_resource) {
        *number = RES_ATTRIBUTES;
        return view->resource;
    }
    *number = view->signal == SIGNAL_TRACES ? SPAN_ATTRIBUTES : LOG_ATTRIBUTES;
    return view->attributes;
}

enum want attribute_editor_wants(const struct attribute_editor *editor,
                                 const struct item_view *view)
{
    uint32_t number;
    struct bytes fields = fields_of(editor, view, &number);
    uint64_t key_heads = editor->of_resource ? 0 : view->key_heads;
    bool wants = attribute_actions_apply(editor->actions, fields, number, key_heads) &&
                 (editor->selection == NULL || item_selection_has(editor->selection, view));
    return wants ? WANT_TAKE : WANT_NOTHING;
}

struct pass {  // one walk over a parcel
    const struct attribute_editor *editor;
    struct parcel *parcel;
    struct attribute_changes *changes;
    uint32_t seen, skipped;  // items; of them done in walks before this one
    uint32_t resource_at;    // the last Resource that was edited
    bool is_full;
};

// Adds the changes as edits; those of one item take this many bytes of the parcel's memory.
static size_t changes_bytes(struct attribute_changes *changes)
{
    struct bytes key, field;
    size_t bytes = 0;
    attribute_changes_rewind(changes);
    while (attribute_changes_next(changes, &key, &field)) {
        bytes += PARCEL_EDIT_BYTES(key.len, field.len);
    }
    attribute_changes_rewind(changes);
    return bytes;
}

static enum result change_add(const struct pass *pass, const struct item_place *place,
                              struct bytes key, struct bytes field)
{
    if (pass->editor->of_resource) {
        return field.len == 0
                   ? parcel_delete_resource(pass->parcel, place->resource_at, key)
                   : parcel_replace_resource(pass->parcel, place->resource_at, key, field);
    }
    return field.len == 0 ? parcel_delete(pass->parcel, place->item_at, key)
                          : parcel_replace(pass->parcel, place->item_at, key, field);
}

static bool item_edit(void *arg, const struct item_view *view)
{
    struct pass *pass = arg;
    const struct attribute_editor *editor = pass->editor;
    struct bytes key, field;
    uint32_t number;
    struct bytes fields = fields_of(editor, view, &number);
    pass->seen++;
    if (pass->seen <= pass->skipped ||
        (editor->of_resource && pass->resource_at == view->place.resource_at) ||
        attribute_editor_wants(editor, view) == WANT_NOTHING) {
        return true;
    }
    bool is_made = attribute_changes_make(pass->changes, editor->actions, fields, number);
    size_t bytes = changes_bytes(pass->changes);
    if (!is_made || bytes > PARCEL_EDIT_BYTES_MAX) {
        metric_add(editor->unedited, 1);
        return true;
    }
    if (bytes > PARCEL_EDIT_BYTES_MAX - pass->parcel->edit_bytes) {
        pass->is_full = true;
        return false;
    }
    pass->resource_at = view->place.resource_at;
    while (attribute_changes_next(pass->changes, &key, &field)) {
        if (change_add(pass, &view->place, key, field) != RESULT_OK) {  // no memory
            metric_add(editor->unedited, 1);
            return true;
        }
    }
    return true;
}

void attribute_editor_run(const struct attribute_editor *editor, struct parcel *parcel)
{
    struct pass pass = {.editor = editor, .parcel = parcel, .changes = attribute_changes_new()};
    do {
        pass.seen = 0;
        pass.resource_at = UINT32_MAX;
        pass.is_full = false;
        parcel_each(parcel, item_edit, &pass);
        if (pass.is_full) {
            CHECK(parcel->edits != NULL);
            parcel_detach(parcel);
            pass.skipped = pass.seen - 1;  // on with the one that did not fit
        }
    } while (pass.is_full);
    attribute_changes_free(&pass.changes);
}

void attribute_editor_fini(struct attribute_editor *editor)
{
    attribute_actions_free(&editor->actions);
    item_selection_free(&editor->selection);
}
