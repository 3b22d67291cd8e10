// SPDX-License-Identifier: Apache-2.0
// What the index of a trace needs of one span, taken at the door while the span's bytes are at
// hand, so that the shard, on another processor, reads 80 bytes of a plain span and not all of it.
// Pure; any thread.
#pragma once

#include "base/ids.h"
#include "processor/dialect.h"

struct span_note {
    struct trace_id trace_id;
    struct span_id id, parent_id;
    uint64_t start_ns, end_ns;  // wall time
    uint64_t resource_hash;
    struct item_place place;
    uint8_t role;    // enum role
    int8_t dialect;  // DIALECT_*; -1: none
    bool has_parent;
    bool parent_remote;  // a local root under a span of another process
    bool local_root;
    bool failed;  // status ERROR
    bool own_evaluation;
    bool own_attributes;
};

// `view` has a span id; without a trace id the note's is zero. `before`: the note of an earlier
// span of the same request, or NULL: what both have in common is not computed again.
void span_note_take(const struct item_view *view, const struct span_class *found,
                    const struct span_note *before, struct span_note *note);
// Is there more to read of this span than its note?
static inline bool span_note_has_content(const struct span_note *note)
{
    return note->role != ROLE_OTHER || note->dialect >= 0;
}
