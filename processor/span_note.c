// SPDX-License-Identifier: Apache-2.0
//
// A copy of the few fixed facts of a span. Chosen because the shard's second pass over the bytes
// costs as much as the first one at the door, nearly all of it cache misses. Refused: taking the
// evidence at the door as well, which belongs to the trace's arena and so to its shard.
//
// Pure; any thread.
#include "processor/span_note.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

static_assert(sizeof(struct span_note) <= 88, "a request of plain spans is noted in a quarter");

// trace.proto: with SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE set, the flags say whether the parent is
// remote. Without it nobody knows, and the kinds that answer a remote caller stand for yes.
static void note_root(struct span_note *note, const struct item_view *view)
{
    bool known = (view->flags & SPAN_FLAG_HAS_IS_REMOTE) != 0;
    bool remote = known ? (view->flags & SPAN_FLAG_IS_REMOTE) != 0
                        : view->kind == SPAN_KIND_SERVER || view->kind == SPAN_KIND_CONSUMER;
    note->has_parent = view->parent_id != NULL;
    note->parent_remote = note->has_parent && remote;
    note->local_root = !note->has_parent || remote;
}

void span_note_take(const struct item_view *view, const struct span_class *found,
                    const struct span_note *before, struct span_note *note)
{
    CHECK(view->span_id);
    memset(note->trace_id.bytes, 0, sizeof(note->trace_id.bytes));
    if (view->trace_id) {
        memcpy(note->trace_id.bytes, view->trace_id, sizeof(note->trace_id.bytes));
    }
    memcpy(note->id.bytes, view->span_id, sizeof(note->id.bytes));
    memset(note->parent_id.bytes, 0, sizeof(note->parent_id.bytes));
    if (view->parent_id) {
        memcpy(note->parent_id.bytes, view->parent_id, sizeof(note->parent_id.bytes));
    }
    note_root(note, view);
    note->start_ns = view->start_ns;
    note->end_ns = view->end_ns;
    note->resource_hash = before && before->place.resource_at == view->place.resource_at
                              ? before->resource_hash
                              : hash_keyed(view->resource.ptr, view->resource.len);
    note->place = view->place;
    note->role = (uint8_t)found->role;
    note->dialect = (int8_t)found->dialect;
    note->failed = view->status == SPAN_STATUS_ERROR;
    note->own_evaluation = found->own_evaluation;
    note->own_attributes = found->own_attributes;
}
