// SPDX-License-Identifier: Apache-2.0
// Puts what attribute actions make of items, or of their Resources, on a parcel as edits: the
// common part of the processors `attributes` and `resource`. Immutable; any thread.
#pragma once

#include "base/metrics.h"
#include "processor/attribute_action.h"
#include "processor/item_selection.h"
#include "proto/component.h"

struct attribute_editor {
    struct attribute_actions *actions;
    struct item_selection *selection;  // NULL: all items
    bool of_resource;                  // edits Resources, not items
    struct metric *unedited;           // items that went on as they came, see attribute_editor_run
};

// sidejudge_processor_unedited_items_total of the processor with this id.
struct metric *attribute_editor_unedited(const char *id);
// WANT_TAKE where an action would change something.
enum want attribute_editor_wants(const struct attribute_editor *editor,
                                 const struct item_view *view);
// Edits all items of the parcel. Detaches it as often as its edit memory is full, so places known
// before may be void. An item whose changes alone are larger than that memory, or that has more
// attributes than are looked at, goes on as it came and is counted.
void attribute_editor_run(const struct attribute_editor *editor, struct parcel *parcel);
void attribute_editor_fini(struct attribute_editor *editor);
