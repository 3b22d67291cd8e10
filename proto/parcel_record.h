// SPDX-License-Identifier: Apache-2.0
// A parcel as the journal writes it down: which items of its batch, and the edits on one of them.
// Read back after a restart, so every length is checked; the form is little endian and private to
// one version of Sidejudge and its successors (first byte: the form). Pure; any thread.
#pragma once

#include "proto/parcel.h"

// Whether the parcel's items can be named by where they stood in the body that was received.
bool parcel_is_recordable(const struct parcel *parcel);
// Appends the choice of items (mode and offsets there).
void parcel_places_write(const struct parcel *parcel, struct buffer *out);
// Whether the item at this offset is among them; false also for bytes that are no such record.
bool parcel_places_hold(struct bytes places, uint32_t item_at);

// Appends the edits on one item and on its Resource, in their order; nothing when there are none.
void parcel_edits_write(const struct parcel *parcel, struct item_place place, struct buffer *out);
// What these edits take of a parcel's PARCEL_EDIT_BYTES_MAX; of no such record: any number.
size_t parcel_edits_bytes(struct bytes edits);
// Applies them to an item of another parcel. RESULT_REJECT: no such record, RESULT_SHED: no room;
// some may be applied.
enum result parcel_edits_apply(struct parcel *parcel, struct item_place place,
                               struct bytes edits) MUST_USE;
