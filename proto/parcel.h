// SPDX-License-Identifier: Apache-2.0
// What travels between components: a batch, which of its items, and the edits on them. `PARCEL_ALL`
// without edits is *whole*: it leaves as the bytes it came in. Rendering is gathering byte ranges
// of the batch under new length prefixes: unknown fields, schema_urls and the order of everything
// survive. A container that loses its last item is left out; one that held none to begin with
// stays, except with PARCEL_ONLY, which has just the containers of its items. A parcel has one
// owner until it is given to exporters; from then on it is immutable and counted, one reference per
// exporter.
#pragma once

#include "base/arena.h"
#include "proto/batch.h"
#include "proto/scan.h"

enum parcel_mode { PARCEL_ALL, PARCEL_ONLY, PARCEL_EXCEPT };

enum edit_kind { EDIT_APPEND, EDIT_DELETE, EDIT_DELETE_PREFIX, EDIT_REPLACE };

struct edit {           // on the attributes of one item, or of one Resource
    struct edit *next;  // in order of addition, all items of the parcel
    uint32_t at;        // item_at, or resource_at: the Resource of that container
    enum edit_kind kind;
    bool of_resource;
    struct bytes key;     // DELETE, REPLACE: the key; DELETE_PREFIX: the prefix
    struct bytes fields;  // APPEND, REPLACE: serialised attribute fields with their tags
};                        // (SPAN_ATTRIBUTES, LOG_ATTRIBUTES or RES_ATTRIBUTES)

#define PARCEL_EDIT_BYTES_MAX ((size_t)256 * 1024)
// What an edit with a key and fields of these lengths takes of it, at most.
#define PARCEL_EDIT_BYTES(key_len, fields_len) (sizeof(struct edit) + (key_len) + (fields_len) + 2)

struct parcel_link {           // the parcel's place in one exporter's inbox
    struct mailbox_node node;  // first member
    uint32_t kind;             // the journal's, once the exporter is done (proto/decision_debt.h)
    uint32_t pieces;           // the exporter's: requests under way that carry a part of it
    struct parcel *parcel;
};

struct parcel {
    uint32_t magic;
    enum parcel_mode mode;
    struct batch *batch;       // one view
    struct item_place *items;  // ONLY, EXCEPT: ascending by item_at; on the heap
    uint32_t place_count;
    uint32_t item_count;  // items that the parcel stands for (metrics: data points)
    struct edit *edits, **edits_end;
    struct arena memory;   // edits
    size_t edit_bytes;     // of them in use, at most PARCEL_EDIT_BYTES_MAX
    size_t charge_bytes;   // reserved for it at each exporter of its pipeline
    void *notes;           // of one that is only looked at: one for each item, in their order;
                           // on the heap; NULL: none
    const void *pipeline;  // the service's; opaque here
    atomic_size_t *alive;  // parcels of that pipeline, this one among them; NULL: nobody counts
    uint32_t stage;        // next processor of that pipeline
    // bit set: exporters of the pipeline that hold a reservation for it
    uint32_t exporters;
    bool own;  // Sidejudge's own product (carrier, log record): served from the
               // reserved tenth of the queues
    // Of a journalled batch: what leaves is recorded before it leaves (it was held, or is our own)
    bool recorded;
    struct parcel *before;  // as it was recorded, where it is edited after that; NULL: as it is
    uint32_t spilled;  // bit set: exporters that get it from the journal later
    bool bypass;       // no sharded processor sees it: it was evaluated before
    atomic_uint references;
    struct parcel *next;  // of a list; whoever owns the parcel
    uint32_t link_count;
    struct parcel_link links[];  // one per exporter of the pipeline
};

// Takes one view of the batch (batch_hold is the caller's business: the view moves in). `places`
// are copied and must ascend; NULL and 0 with PARCEL_ALL. item_count is set: with PARCEL_ALL from
// batch->item_count, else by counting. Never NULL.
struct parcel *parcel_new(struct batch *batch, enum parcel_mode mode,
                          const struct item_place *places, uint32_t place_count,
                          uint32_t link_count);
// Makes it one of `pipeline`, which it and what is split from it count in *alive until they go.
void parcel_join(struct parcel *parcel, const void *pipeline, atomic_size_t *alive);
void parcel_ref(struct parcel *parcel);
void parcel_unref(struct parcel **parcel);  // any thread; the last one releases the batch
bool parcel_is_whole(const struct parcel *parcel);

// Edits; before the parcel is given to exporters; not of metrics. Copies. They apply in order of
// addition: a delete takes away what came with the item and what was appended before it.
// RESULT_SHED when the parcel's edit memory is used up.
enum result parcel_append(struct parcel *parcel, uint32_t item_at, struct bytes fields) MUST_USE;
enum result parcel_replace(struct parcel *parcel, uint32_t item_at, struct bytes key,
                           struct bytes fields) MUST_USE;  // absent keys are added
enum result parcel_delete(struct parcel *parcel, uint32_t item_at, struct bytes key) MUST_USE;
enum result parcel_delete_prefix(struct parcel *parcel, uint32_t item_at,
                                 struct bytes prefix) MUST_USE;

// The same two on the Resource of a container (place.resource_at of its items; any signal), which
// all items of it in this parcel share: split, the edits go along with both parts. Where several
// Resource fields stand in a container, the first gets what is added; where there is none, one is
// made.
enum result parcel_replace_resource(struct parcel *parcel, uint32_t resource_at, struct bytes key,
                                    struct bytes fields) MUST_USE;
enum result parcel_delete_resource(struct parcel *parcel, uint32_t resource_at,
                                   struct bytes key) MUST_USE;

// Adds a copy of an edit as another parcel of this batch has it (parcel_record.h).
enum result parcel_edit(struct parcel *parcel, const struct edit *edit) MUST_USE;

// Visits the items that the parcel stands for, in order, until `visit` says false; views as stored
// (edits not applied).
void parcel_each(const struct parcel *parcel, scan_item_fn visit, void *arg);
// Moves the items in `places` (ascending, a subset of what the parcel stands for) into a new parcel
// on the same batch and of the same pipeline and stage, with their edits; `parcel` keeps the rest.
// charge_bytes is split by rendered size. NULL when nothing would be left: then `parcel` itself is
// what was asked for. Costs a walk over the request: split once with all places, not once for each.
struct parcel *parcel_split(struct parcel *parcel, const struct item_place *places,
                            uint32_t place_count);
// Copies the rendered bytes into a batch of its own (whose debts stay with the old one) and lets
// the old one go. Edits are applied, mode becomes PARCEL_ALL: places known before are void.
void parcel_detach(struct parcel *parcel);

// Keeps what the parcel is now (items, edits, a view of the batch) in `before`, for a record of it
// that later edits have no part in. Nothing where the batch is a detached copy already, whose items
// have no places in what was received.
void parcel_remember(struct parcel *parcel);

// Rendering. The result is a serialised request; requests concatenate (repeated field 1 at top
// level).
size_t parcel_rendered_size(const struct parcel *parcel);
void parcel_render(const struct parcel *parcel, struct buffer *out);

// Cuts a parcel into requests of at most bytes_max. An item that is larger alone is a piece of its
// own. Containers' headers are repeated in each piece that has items of theirs.
struct parcel_cutter {
    const struct parcel *parcel;
    uint32_t next_item;  // ordinal among the parcel's items
};
void parcel_cutter_begin(struct parcel_cutter *cutter, const struct parcel *parcel);
// Appends the next piece to `out`: at least one item; false when nothing is left. `item_count` gets
// the piece's items (metrics: data points).
bool parcel_cutter_next(struct parcel_cutter *cutter, size_t bytes_max, struct buffer *out,
                        uint32_t *item_count);
