// SPDX-License-Identifier: Apache-2.0
// The sending queue of one exporter: an inbox bounded in bytes, and the decision what the next
// request is made of. Nine tenths of the bytes are for telemetry, one tenth for Sidejudge's own
// products. Bytes are reserved at the door for the whole way and given back when the parcel's
// fate is known. An empty queue takes one parcel of any size, so that a queue that is smaller
// than a request does not refuse it for ever.
//
// Merging: with nothing in flight a parcel leaves at once; what arrives while requests are in
// flight is merged by signal until a request comes back, 1 MiB has gathered or 50 ms are over.
// With a `batch` section its keys decide instead. A whole parcel that is large enough to pay for a
// request of its own leaves as the bytes it came in (DESIGN 8: "verbatim wins over merging").
#pragma once

#include "base/mailbox.h"
#include "base/option.h"
#include "proto/parcel.h"

#define QUEUE_VERBATIM_PACKED_BYTES ((size_t)8 << 10)  // compressed size from which on
#define QUEUE_VERBATIM_PLAIN_BYTES ((size_t)64 << 10)  // the same for identity coding
#define QUEUE_MERGE_BYTES ((size_t)1 << 20)
#define QUEUE_MERGE_WAIT_NS (UINT64_C(50) * 1000000)
#define QUEUE_LOT_PARCELS_MAX 4096  // merged into one request

enum queue_sizer { QUEUE_REQUESTS, QUEUE_ITEMS, QUEUE_BYTES };

struct queue_batch_config {
    int64_t flush_timeout_ns;
    int64_t min_size, max_size;  // in units of the sizer; max_size 0: the exporter's own limit
    int sizer;                   // enum queue_batch_sizer
};
enum queue_batch_sizer { QUEUE_BATCH_INHERIT, QUEUE_BATCH_ITEMS, QUEUE_BATCH_BYTES };

struct queue_config {  // sending_queue
    bool enabled;
    int64_t num_consumers;  // requests in flight
    int64_t queue_size;     // in units of the sizer; 0: the default
    int sizer;              // enum queue_sizer
    bool block_on_overflow;
    bool wait_for_result;
    struct bytes storage;
    bool merge;
    struct queue_batch_config batch;
    bool batch_present;
};
extern const struct option queue_options[];

// Semantic checks; appends to errors. `node` is the component's.
void queue_validate(const struct queue_config *config, const struct config_node *node,
                    const char *path, struct option_errors *errors);
// The bound in bytes: a request counts as 32 KiB, an item as 1 KiB; the default is 32 MiB, but at
// most half of what requests may occupy. The account may be NULL.
size_t queue_capacity_bytes(const struct queue_config *config, const struct account *account);

struct queue_pending {  // sorted, of one signal; exporter's thread
    struct parcel_link *first, *last;
    uint32_t count;
    uint64_t bytes, items;  // charged bytes
    uint64_t oldest_ns;
    struct parcel_link *cut;  // a parcel that is being sent in pieces
    size_t cut_bytes_max;     // of a piece
    uint64_t cut_items;       // of it that have not been taken yet
    struct parcel_cutter cutter;
};

struct queue {
    struct mailbox inbox;
    atomic_size_t used[2];  // bytes: telemetry, own products
    size_t used_max[2];
    const struct queue_config *config;  // borrowed
    size_t bytes_max;                   // of one request, identity coding
    enum codec codec;
    bool is_draining;  // nothing waits for company any more
    // With a storage (component.h, component_env.settled); NULL: parcels are let go. What is
    // abandoned at the end is not settled: the journal still has it.
    void (*settled)(void *arg, struct parcel_link *link);
    void *settled_arg;
    bool is_abandoning;
    bool keeps_metadata_apart;  // a lot is of parcels with equal metadata
    unsigned paused;   // bit set of 1 << enum signal: not taken for now
    struct queue_pending pending[SIGNAL_COUNT];
    unsigned turn;  // signal that is asked first
};

struct lot {  // what the next request is made of
    enum signal signal;
    struct parcel_link *first;  // list by queue_next_link, owned; NULL for a piece
    uint32_t count;
    struct parcel_cutter *cutter;  // the next piece of a larger parcel, of at most ...
    size_t piece_bytes_max;
};

void queue_init(struct queue *queue, const struct queue_config *config, size_t capacity_bytes,
                size_t bytes_max, enum codec codec, void (*wake)(void *), void *wake_arg);

// Any thread.
bool queue_reserve(struct queue *queue, size_t bytes, bool own);
void queue_release(struct queue *queue, size_t bytes, bool own);
void queue_push(struct queue *queue, struct parcel_link *link);
size_t queue_used_bytes(const struct queue *queue);

// Exporter's thread, all that follows.
// Sorts what arrived, at most a bounded number per call; true: there may be more.
bool queue_sort(struct queue *queue, uint64_t now_ns);
// Takes the next lot if one is ready. Else false, and *wake_ns is lowered to when one will be.
bool queue_take(struct queue *queue, uint64_t now_ns, unsigned in_flight, struct lot *lot,
                uint64_t *wake_ns);
// After parcel_cutter_next took `items` of lot->cutter: the cut parcel, which stays until
// queue_piece_settled for each piece.
struct parcel_link *queue_piece_taken(struct queue *queue, const struct lot *lot, uint32_t items);
void queue_piece_settled(struct queue *queue, struct parcel_link *cut);
// After it returned false: lets the cut parcel go, once its pieces are settled.
void queue_piece_done(struct queue *queue, struct lot *lot);
bool queue_is_empty(const struct queue *queue);
// Items of that signal that were sorted in and have not been taken.
uint64_t queue_items(const struct queue *queue, enum signal signal);
// Takes everything that is left, whatever its signal; NULL when empty.
struct parcel_link *queue_take_rest(struct queue *queue);
struct parcel_link *queue_next_link(const struct parcel_link *link);
// Gives the bytes of each parcel of a list back and lets the parcels go. Takes the list.
void queue_settle(struct queue *queue, struct parcel_link *first);
// Whether the parcel leaves as the bytes it came in, alone.
bool queue_is_verbatim(const struct queue *queue, const struct parcel *parcel);
