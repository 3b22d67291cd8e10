// SPDX-License-Identifier: Apache-2.0
// Running components as generations share them: counted, each with the configuration that it was
// made from and a key that says what that amounts to. A generation takes its predecessor's part
// where the keys are equal, so that a reload moves nothing that did not change: receivers keep
// their listeners, exporters their queue, thread and connections, processors their shards and open
// traces. The last reference ends the component. Main thread, except what is marked.
#pragma once

#include "service/door.h"
#include "service/snapshot.h"

struct wiring;
struct journaling;

struct part {
    unsigned references;
    struct snapshot *snapshot;                  // that it was made from
    const struct component_settings *settings;  // of that snapshot
    struct buffer key;
    struct component_env env;
};

struct exporter_part {
    struct part part;
    struct exporter_slot slot;
    bool is_drained;
};

struct processor_part {
    struct part part;
    struct processor_slot slot;  // its processor is NULL: broken
};

struct receiver_part {
    struct part part;
    struct receiver *receiver;  // NULL: does not listen yet
    struct door doors[SIGNAL_OTLP_COUNT];
    unsigned signals;  // bit set: doors that it uses
    struct relay_target relay;  // of part.env, when that has one
    bool is_drained;
};

// All sharded processors of a generation and their shards: shared or replaced as a whole, because
// they share the shards.
struct shard_unit {
    unsigned references;
    struct buffer key;
    struct processor_part *processors[SETTINGS_COMPONENTS_MAX];  // one reference each
    size_t processor_count;
    struct shard *shards[PIPELINE_SHARDS_MAX];
    size_t shard_count;
    bool is_hurried;
    struct turnstile emits;  // shards are inside while they send own products
    // The last generation that has the unit: own products go down its pipelines. Shards read it.
    _Atomic(struct wiring *) home;
    struct journaling *journaling;
    struct journal_group *groups[PIPELINE_SHARDS_MAX];  // of each shard's turn; its thread
};

struct parts_env {  // what all components of a process share; borrowed
    struct account *account;
    unsigned processors_max;
    const char *user_agent;
    struct turnstile *turnstile;    // of all doors
    struct journaling *journaling;  // NULL: nothing is stored
};

// What a component amounts to; `extra` says what of its surroundings it depends on.
void part_key(const struct snapshot *snapshot, const struct component_settings *settings,
              const char *extra, struct buffer *key);

// Each takes `key` (emptied). Exporters and processors are started at once: RESULT_FAIL with the
// sentence in slot.why, or in `why`. The part is made whatever the result.
enum result exporter_part_new(const struct parts_env *env, struct snapshot *snapshot,
                              const struct component_settings *settings, struct buffer *key,
                              struct exporter_part **part) MUST_USE;
enum result exporter_part_start(struct exporter_part *part) MUST_USE;  // again
enum result processor_part_new(const struct parts_env *env, struct snapshot *snapshot,
                               const struct component_settings *settings, struct buffer *key,
                               const struct processor *previous, struct processor_part **part,
                               char *why, size_t why_len) MUST_USE;
struct receiver_part *receiver_part_new(const struct parts_env *env, struct snapshot *snapshot,
                                        const struct component_settings *settings,
                                        struct buffer *key, unsigned signals,
                                        const struct relay_target *relay);  // NULL: none; copied
enum result receiver_part_listen(struct receiver_part *part, char *why, size_t why_len) MUST_USE;

// The last reference ends what is running, which must have nothing to do any more: a receiver is
// drained before, an exporter's queue is empty, a unit is idle. What is left all the same is
// dropped and counted by the component. Accept NULL inside.
void exporter_part_unref(struct exporter_part **part);
void processor_part_unref(struct processor_part **part);
void receiver_part_unref(struct receiver_part **part);

// Takes `key` and the references to the processors. The shards are not started.
struct shard_unit *shard_unit_new(struct processor_part *const *parts, size_t count,
                                  size_t shard_count, struct buffer *key,
                                  struct journaling *journaling, struct wiring *home);
void shard_unit_start(struct shard_unit *unit);
bool shard_unit_is_idle(const struct shard_unit *unit);
void shard_unit_hurry(struct shard_unit *unit);                       // once
void shard_unit_stop(struct shard_unit *unit, uint64_t deadline_ns);  // flushes; any thread
void shard_unit_unref(struct shard_unit **unit);
