// SPDX-License-Identifier: Apache-2.0
// A pipeline: a chain of processors and the exporters behind it. The door (door.h) admits requests;
// here parcels are walked through the chain, given to exporters, dropped, and own products sent
// down. The chain is general: processors in the pipeline's order edit, drop, look at or take
// parcels; behind the first sharded one the rest of the chain runs on that shard's thread.
#pragma once

#include "base/check.h"
#include "processor/shard.h"
#include "proto/component.h"
#include "receiver/journal/journal.h"
#include "service/settings.h"

#define PIPELINE_MAGIC MAGIC('P', 'I', 'P', 'E')
#define PIPELINE_EXPORTERS_MAX 32
#define PIPELINE_SHARDS_MAX 16
#define PIPELINE_TARGET_BYTES 8192  // reserved for what may be added to one possible target
#define PIPELINE_EDIT_BYTES 256     // and to one item by processors that edit attributes

struct processor_slot {
    const struct processor_ops *ops;
    struct processor *processor;
    const char *id;
};

struct exporter_slot {
    const struct exporter_ops *ops;
    const char *id;
    _Atomic(struct exporter *) exporter;  // NULL while it cannot be started (degraded); set once
    char why[192];  // why not; written before start and by the main thread only
    int storage;    // its outlet of the journal; -1: none
};

struct pipeline {
    uint32_t magic;
    const char *id;
    enum signal signal;
    struct processor_slot chain[SETTINGS_CHAIN_MAX];
    size_t chain_count;
    struct exporter_slot *exporters[PIPELINE_EXPORTERS_MAX];  // shared between pipelines
    size_t exporter_count;
    uint32_t native;      // bit set: those that take scores themselves
    const char *why;      // why there is no exporter, where there is none; borrowed
    atomic_size_t alive;  // parcels of it: while there are any, it must stay
    struct shard *const *shards;
    size_t shard_count;
    struct journal *journal;        // NULL: nothing is stored
    struct journal_group **groups;  // by shard: what its turn has posted; with a journal
};

// Sets the magic; the rest is filled by the caller.
void pipeline_init(struct pipeline *pipeline);

// Room for messages at shards, reserved before the commit; what is left over is given back.
struct shard_tickets {
    uint8_t counts[PIPELINE_SHARDS_MAX];
    struct shard_ticket *items[PIPELINE_SHARDS_MAX][2 * SETTINGS_CHAIN_MAX];  // valid up to counts
};

// The next ticket for a shard; there must be one.
struct shard_ticket **shard_tickets_take(struct shard_tickets *tickets, unsigned shard);
void shard_tickets_release(struct shard_tickets *tickets, size_t shard_count);  // what is left over

// Which shard owns an item's trace; what has no trace id goes to shard 0.
unsigned pipeline_shard_of(const struct pipeline *pipeline, const struct item_view *view);
unsigned pipeline_sharded_stages(const struct pipeline *pipeline);
// Admission at the exporters: `mask` gets a bit for each of `wanted` that has room. When none has,
// or one that blocks on overflow has none, nothing is reserved and the reply says why. Any thread.
enum result pipeline_reserve(struct pipeline *pipeline, uint32_t wanted, uint32_t items,
                             size_t bytes, bool own, uint32_t *mask, uint32_t *spilled,
                             struct offer_reply *reply) MUST_USE;
// For what the journal hands on: those of `wanted` that have room now, nothing counted as refused.
uint32_t pipeline_reserve_again(struct pipeline *pipeline, uint32_t wanted, size_t bytes, bool own);
#define PIPELINE_ALL_EXPORTERS UINT32_MAX
void pipeline_release(const struct pipeline *pipeline, size_t bytes, bool own, uint32_t mask);
// Gives a parcel to the exporters that hold reservations for it. Takes.
void pipeline_push(struct parcel *parcel);
// The outlets of the journal among these exporters.
uint64_t pipeline_outlets(const struct pipeline *pipeline, uint32_t set);
// The group of the shard's turn, for what is decided in it; NULL without a journal.
struct journal_group *pipeline_group(struct journal_group **groups, unsigned shard);
// Walks the chain from parcel->stage on. Takes. `shard_index` is the calling thread's shard, or -1:
// then shards are reached by tickets.
void pipeline_advance(struct parcel *parcel, int shard_index, struct shard_tickets *tickets);
// Walks a parcel that bypasses shards to behind the last sharded stage, where recorded edits
// belong. Takes; NULL: a processor dropped it.
struct parcel *pipeline_bypass(struct parcel *parcel) MUST_USE;
// Passes a parcel on from stage parcel->stage. Takes. Shard `shard_index` is the calling thread's,
// or -1.
void pipeline_pass(struct parcel **parcel, int shard_index);
// Gives a parcel's reservations back and forgets it. Takes. Any thread.
void pipeline_drop(struct parcel **parcel);
// Sends an own product down the pipelines of `signal` in which `processor` stands, behind it. Takes
// the batch. Scores have pipelines of their own, one per evaluation processor, made by the wiring:
// the processor and behind it all that take its scores.
enum result pipeline_emit(struct pipeline *const *pipelines, size_t count,
                          struct processor *processor, enum signal signal, enum emit_to to,
                          struct batch **batch, uint32_t item_count, int shard_index) MUST_USE;
