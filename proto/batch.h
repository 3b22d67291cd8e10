// SPDX-License-Identifier: Apache-2.0
// A batch is one immutable OTLP request: received once, kept once, looked at through views, leaving
// once. *Views* are counted: somebody still reads the bytes; at zero the memory is recycled. What
// is still owed for it is the journal's to know: by `entry`, and by `debt` what it owes to
// decisions. Copying out moves views and pays nothing: a detached copy keeps its origin's struct,
// not its bytes, and has its entry. Views are atomic and taken once per (batch, owner), never per
// span. The last release pushes the batch onto its home thread's return list; only the home
// recycles. References that outlive a turn are (batch id, offset, length).
//
// A home belongs to one thread and recycles slabs (power-of-two sizes from 16 KiB) so that bodies
// do not fault fresh pages; its free lists are bounded together. Bodies are charged to
// POOL_REQUESTS while they grow and until they are recycled.
#pragma once

#include "base/account.h"
#include "base/compression.h"
#include "base/mailbox.h"
#include "base/metadata.h"
#include "proto/otlp.h"

struct batch_home;

struct slab {  // growing memory for one body; moved into a batch by batch_seal
    uint8_t *ptr;
    size_t len, capacity;
};

struct batch {
    uint32_t magic;
    enum signal signal;
    uint64_t id;        // unique in the process, ascending
    struct bytes body;  // serialised request, identity coding
    // the same as it came, when it came compressed and was kept; else empty
    struct bytes packed;
    enum codec packed_codec;
    uint64_t received_ns;  // monotonic
    // Headers of the request, for exporters that pass them on; owned reference, NULL: none. Set
    // before anybody else has a view.
    struct metadata *metadata;
    uint32_t item_count;   // sound items (metrics: data points), set by the first scan
    atomic_uint views;
    atomic_size_t live_bytes;  // bytes that some owner still needs
    struct batch_home *home;
    struct slab body_slab, packed_slab;
    size_t charged_bytes;
    // Of its journal entry; 0: none. Set before anybody else has a view.
    uint64_t entry;
    struct decision_debt *debt;    // valid while a shard message carries the batch; may be NULL
    // Of a detached copy of a journalled batch: where its items stand here and stood in the body
    // that the journal has, in pairs, ascending. Heap, owned; NULL: not a copy, or not kept.
    uint32_t *moves;
    uint32_t move_count;           // pairs
    struct batch *origin;          // of a detached copy: whose entry it has; else NULL
    atomic_uint holds;             // of the struct: one for all views, one for each detached copy
    struct mailbox_node returned;  // on the home's return list
};

// `keep_bytes`: how much free memory the home may keep. The account may be NULL (tests, tools).
struct batch_home *batch_home_new(struct account *account, size_t keep_bytes);
// The home's thread gives up: batches still out are freed by whoever lets go last.
void batch_home_close(struct batch_home *home);
// Recycles what came back; call once per turn. Home's thread.
void batch_home_sweep(struct batch_home *home);

// Makes room for `more` bytes behind slab->len, charging as it grows (16 KiB, then doubling).
// RESULT_SHED: the account refused, RESULT_TOO_LARGE: beyond 2 GiB; the slab is as it was. Home's
// thread, or any one thread that has the home lent to it.
enum result slab_grow(struct batch_home *home, struct slab *slab, size_t more) MUST_USE;
void slab_drop(struct batch_home *home, struct slab *slab);
// Wraps a foreign malloc'd buffer as a slab: takes the memory, trims and charges it to its length.
// RESULT_SHED: refused, buffer untouched.
enum result slab_adopt(struct batch_home *home, struct buffer *buffer, struct slab *slab) MUST_USE;

// Memory for a body whose size is not known: an empty buffer gets a recycled slab of at least
// `len` bytes, if there is one. Uncharged: whoever fills it charges while it grows. Home's thread.
void slab_lend(struct batch_home *home, size_t len, struct buffer *buffer);
// Moves a filled buffer into an empty slab as it is, and charges its capacity: for memory of a
// slab's size that is well filled. RESULT_SHED: refused, RESULT_MISSING: not such memory; the
// buffer is untouched. Home's thread.
enum result slab_take(struct batch_home *home, struct buffer *buffer, struct slab *slab) MUST_USE;

// Makes a batch with one view (the caller's) and no debt. Takes both slabs (packed may be NULL or
// empty). Never NULL.
struct batch *batch_seal(struct batch_home *home, enum signal signal, struct slab *body,
                         struct slab *packed, enum codec packed_codec, uint64_t received_ns);
// A small batch on the heap, without a home: what Sidejudge makes itself (carriers, log records).
// Copies `body`.
struct batch *batch_make(enum signal signal, struct bytes body, uint64_t received_ns);
// The same as a detached part of `origin`, with its entry.
struct batch *batch_make_detached(struct batch *origin, struct bytes body);

// Where the item at this offset stood in the body that was received. False: not known.
bool batch_origin_at(const struct batch *batch, uint32_t item_at, uint32_t *origin_at);

void batch_hold(struct batch *batch);      // one more view; any thread that has one
void batch_release(struct batch **batch);  // gives a view back; nulls; any thread
// An owner needs `bytes` less of the body. True when less than a quarter is still live and the body
// is over 64 KiB: the owner should copy its part out (parcel_detach) and release. Any thread.
bool batch_let_go(struct batch *batch, size_t bytes);
