// SPDX-License-Identifier: Apache-2.0
// The switchboard: one call per request scans it once, asks each processor what it wants of each
// span, admits the request for the whole way (every exporter queue and shard ring, all or nothing)
// and hands the parts over. What no processor wants goes straight to the exporters' queues as the
// bytes it came in. The chain is general: processors in the pipeline's order edit, drop, look at or
// take parcels; behind the first sharded one the rest of the chain runs on that shard's thread.
//
// offer() runs on any I/O or ingest thread; pipeline_pass on shard threads; the rest on the main
// thread before start.
#pragma once

#include "processor/shard.h"
#include "proto/component.h"
#include "service/settings.h"

#define PIPELINE_EXPORTERS_MAX 32
#define PIPELINE_SHARDS_MAX 16
#define PIPELINE_TARGET_BYTES 8192  // reserved for what may be added to one possible target

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
};

struct pipeline {
    uint32_t magic;
    const char *id;
    enum signal signal;
    struct processor_slot chain[SETTINGS_CHAIN_MAX];
    size_t chain_count;
    struct exporter_slot *exporters[PIPELINE_EXPORTERS_MAX];  // shared between pipelines
    size_t exporter_count;
    struct shard *const *shards;
    size_t shard_count;
};

// What one receiver sees for one signal: all pipelines that name it. A request is admitted by all
// of them or by none.
struct pipeline_entry {
    struct sink sink;  // first member
    struct pipeline *pipelines[SETTINGS_PIPELINES_MAX];
    size_t count;
    struct log_episode refused;
};

// Sets the magic; the rest is filled by the caller.
void pipeline_init(struct pipeline *pipeline);
void pipeline_entry_init(struct pipeline_entry *entry);
// Passes a parcel on from stage parcel->stage. Takes. Shard `shard_index` is the calling thread's,
// or -1.
void pipeline_pass(struct parcel **parcel, int shard_index);
// Gives a parcel's reservations back and forgets it. Takes. Any thread.
void pipeline_drop(struct parcel **parcel);
// Sends an own product down the pipelines of `signal` in which `processor` stands, behind it. Takes
// the batch.
enum result pipeline_emit(struct pipeline *const *pipelines, size_t count,
                          struct processor *processor, enum signal signal, struct batch **batch,
                          uint32_t item_count, int shard_index) MUST_USE;
