// SPDX-License-Identifier: Apache-2.0
//
// Plain counts on the main thread: only it makes and ends generations. Data-path threads reach a
// part by a pipeline or a door, which generation.c keeps until nobody is in it. Refused: one kind
// of part with a switch inside; three short ones read better. Bounds: those of settings. Main
// thread.

#include "service/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "service/fingerprint.h"
#include "service/journaling.h"
#include "service/wiring.h"

#define END_NS NS_PER_S  // for what should have nothing to do any more

void part_key(const struct snapshot *snapshot, const struct component_settings *settings,
              const char *extra, struct buffer *key)
{
    buffer_init(key, 2 * FINGERPRINT_BYTES_MAX);
    buffer_printf(key, "%s %s ", settings->path, extra);
    fingerprint_write(settings->node, key);
    buffer_append_bytes(key, buffer_view(&snapshot->authentication));
}

static void part_init(struct part *part, const struct parts_env *env, struct snapshot *snapshot,
                      const struct component_settings *settings, struct buffer *key)
{
    part->references = 1;
    part->snapshot = snapshot_ref(snapshot);
    part->settings = settings;
    part->key = *key;
    memset(key, 0, sizeof(*key));
    part->env = (struct component_env){.id = settings->id,
                                       .account = env->account,
                                       .processors_max = env->processors_max,
                                       .user_agent = env->user_agent,
                                       .own_addresses = snapshot->addresses,
                                       .own_address_count = snapshot->address_count,
                                       .authenticators = snapshot->authenticators};
}

// True: that was the last one.
static bool part_drop(struct part *part)
{
    CHECK(part->references > 0);
    return --part->references == 0;
}

static void part_fini(struct part *part)
{
    buffer_fini(&part->key);
    snapshot_unref(&part->snapshot);
}

// --- exporters ---

enum result exporter_part_start(struct exporter_part *part)
{
    struct exporter_slot *slot = &part->slot;
    const struct component_settings *settings = part->part.settings;
    struct exporter *exporter = NULL;
    if (settings->faults > 0) {
        snprintf(slot->why, sizeof(slot->why), "%.*s", (int)sizeof(slot->why) - 1, settings->why);
        return RESULT_FAIL;
    }
    enum result result = slot->ops->start(&part->part.env, settings->config, &exporter, slot->why,
                                          sizeof(slot->why));
    if (result == RESULT_OK) {
        atomic_store_explicit(&slot->exporter, exporter, memory_order_release);
    }
    return result;
}

enum result exporter_part_new(const struct parts_env *env, struct snapshot *snapshot,
                              const struct component_settings *settings, struct buffer *key,
                              struct exporter_part **part)
{
    struct exporter_part *made = calloc(1, sizeof(*made));
    CHECK(made != NULL);
    part_init(&made->part, env, snapshot, settings, key);
    made->slot.ops = settings->ops;
    made->slot.id = settings->id;
    made->slot.storage = journaling_outlet(env->journaling, settings->id);
    if (made->slot.storage >= 0) {
        made->part.env.settled = journal_settled;
        made->part.env.settled_arg =
            journal_outlet(journaling_journal(env->journaling), (unsigned)made->slot.storage);
    }
    *part = made;
    return exporter_part_start(made);
}

void exporter_part_unref(struct exporter_part **part)
{
    struct exporter_part *moved = *part;
    *part = NULL;
    if (moved == NULL || !part_drop(&moved->part)) {
        return;
    }
    struct exporter *exporter = atomic_load(&moved->slot.exporter);
    if (exporter != NULL) {
        if (!moved->is_drained) {
            moved->slot.ops->drain(exporter, clock_mono_ns() + END_NS);
        }
        moved->slot.ops->free(&exporter);
    }
    part_fini(&moved->part);
    free(moved);
}

// --- processors ---

enum result processor_part_new(const struct parts_env *env, struct snapshot *snapshot,
                               const struct component_settings *settings, struct buffer *key,
                               const struct processor *previous, struct processor_part **part,
                               char *why, size_t why_len)
{
    struct processor_part *made = calloc(1, sizeof(*made));
    CHECK(made != NULL);
    part_init(&made->part, env, snapshot, settings, key);
    made->slot.ops = settings->ops;
    made->slot.id = settings->id;
    *part = made;
    if (settings->faults > 0) {
        snprintf(why, why_len, "%s", settings->why);
        return RESULT_FAIL;
    }
    made->part.env.previous = previous;
    enum result result = made->slot.ops->create(&made->part.env, settings->config,
                                                &made->slot.processor, why, why_len);
    made->part.env.previous = NULL;
    if (result != RESULT_OK) {
        made->slot.processor = NULL;
    }
    return result;
}

void processor_part_unref(struct processor_part **part)
{
    struct processor_part *moved = *part;
    *part = NULL;
    if (moved == NULL || !part_drop(&moved->part)) {
        return;
    }
    if (moved->slot.processor != NULL) {
        moved->slot.ops->free(&moved->slot.processor);
    }
    part_fini(&moved->part);
    free(moved);
}

// --- receivers ---

struct receiver_part *receiver_part_new(const struct parts_env *env, struct snapshot *snapshot,
                                        const struct component_settings *settings,
                                        struct buffer *key, unsigned signals,
                                        const struct relay_target *relay)
{
    struct receiver_part *made = calloc(1, sizeof(*made));
    CHECK(made != NULL);
    part_init(&made->part, env, snapshot, settings, key);
    made->signals = signals;
    if (relay != NULL) {
        made->relay = *relay;
        made->part.env.relay = &made->relay;
    }
    for (size_t i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        door_init(&made->doors[i], env->turnstile);
        made->doors[i].journal = journaling_journal(env->journaling);
        made->doors[i].route = settings->id;
    }
    return made;
}

enum result receiver_part_listen(struct receiver_part *part, char *why, size_t why_len)
{
    const struct component_settings *settings = part->part.settings;
    const struct receiver_ops *ops = settings->ops;
    struct sink *sinks[SIGNAL_COUNT] = {NULL};
    for (size_t i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        sinks[i] = (part->signals & 1U << i) != 0 ? &part->doors[i].sink : NULL;
    }
    enum result result =
        ops->start(&part->part.env, settings->config, sinks, &part->receiver, why, why_len);
    if (result != RESULT_OK) {
        part->receiver = NULL;
    }
    return result;
}

void receiver_part_unref(struct receiver_part **part)
{
    struct receiver_part *moved = *part;
    *part = NULL;
    if (moved == NULL || !part_drop(&moved->part)) {
        return;
    }
    const struct receiver_ops *ops = moved->part.settings->ops;
    if (moved->receiver != NULL) {
        ops->free(&moved->receiver);
    }
    for (size_t i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        free((void *)(uintptr_t)door_lead(&moved->doors[i], NULL));
        loop_guard_fini(&moved->doors[i].loops);
    }
    part_fini(&moved->part);
    free(moved);
}

// --- shards ---

static void out_pass(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)arg;
    (void)processor;  // the parcel knows its next stage
    pipeline_pass(parcel, (int)shard_index(shard));
}

static void out_drop(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)arg;
    (void)shard;
    (void)processor;
    pipeline_drop(parcel);
}

static enum result out_emit(void *arg, struct shard *shard, struct processor *processor,
                            enum signal signal, enum emit_to to, struct batch **batch,
                            uint32_t item_count)
{
    struct shard_unit *unit = arg;
    unsigned ticket = turnstile_enter(&unit->emits);
    struct wiring *home = atomic_load(&unit->home);
    enum result result = pipeline_emit(home->pipelines, home->pipeline_count, processor, signal, to,
                                       batch, item_count, (int)shard_index(shard));
    turnstile_leave(&unit->emits, ticket);
    return result;
}

static void out_decided(void *arg, struct shard *shard, const struct trace_id *trace_id,
                        const struct span_id *target)
{
    struct shard_unit *unit = arg;
    if (unit->journaling != NULL) {
        journal_group_decide(pipeline_group(unit->groups, shard_index(shard)), trace_id, target);
    }
}

static void out_turned(void *arg, struct shard *shard)
{
    struct shard_unit *unit = arg;
    if (unit->journaling != NULL) {
        journaling_turned(unit->journaling, &unit->groups[shard_index(shard)]);
    }
}

static void shards_make(struct shard_unit *unit)
{
    struct processor *sharded[SETTINGS_COMPONENTS_MAX];
    const struct processor_ops *ops[SETTINGS_COMPONENTS_MAX];
    for (size_t i = 0; i < unit->processor_count; i++) {
        sharded[i] = unit->processors[i]->slot.processor;
        ops[i] = unit->processors[i]->slot.ops;
    }
    for (size_t i = 0; i < unit->shard_count; i++) {
        unit->shards[i] =
            shard_new(&(struct shard_config){.index = (unsigned)i,
                                             .out = {.pass = out_pass,
                                                     .drop = out_drop,
                                                     .emit = out_emit,
                                                     .arg = unit,
                                                     .decided = out_decided,
                                                     .turned = out_turned},
                                             .processors = sharded,
                                             .ops = ops,
                                             .processor_count = unit->processor_count},
                      clock_mono_ns());
    }
}

struct shard_unit *shard_unit_new(struct processor_part *const *parts, size_t count,
                                  size_t shard_count, struct buffer *key,
                                  struct journaling *journaling, struct wiring *home)
{
    // Its turnstile is aligned to cache lines.
    struct shard_unit *unit = aligned_alloc(64, (sizeof(*unit) + 63) / 64 * 64);
    CHECK(unit != NULL && shard_count <= PIPELINE_SHARDS_MAX);
    memset(unit, 0, sizeof(*unit));
    unit->references = 1;
    unit->key = *key;
    memset(key, 0, sizeof(*key));
    turnstile_init(&unit->emits);
    atomic_store(&unit->home, home);
    unit->journaling = journaling;
    memcpy(unit->processors, parts, count * sizeof(parts[0]));
    unit->processor_count = count;
    unit->shard_count = shard_count;
    shards_make(unit);
    return unit;
}

void shard_unit_start(struct shard_unit *unit)
{
    for (size_t i = 0; i < unit->shard_count; i++) {
        CHECK(shard_start(unit->shards[i]) == RESULT_OK);
    }
}

bool shard_unit_is_idle(const struct shard_unit *unit)
{
    for (size_t i = 0; i < unit->shard_count; i++) {
        if (!shard_is_idle(unit->shards[i])) {
            return false;
        }
    }
    return true;
}

void shard_unit_hurry(struct shard_unit *unit)
{
    for (size_t i = 0; !unit->is_hurried && i < unit->shard_count; i++) {
        shard_hurry(unit->shards[i]);
    }
    unit->is_hurried = true;
}

void shard_unit_stop(struct shard_unit *unit, uint64_t deadline_ns)
{
    for (size_t i = 0; i < unit->shard_count; i++) {
        shard_stop(unit->shards[i], deadline_ns);
    }
}

void shard_unit_unref(struct shard_unit **unit)
{
    struct shard_unit *moved = *unit;
    *unit = NULL;
    if (moved == NULL || --moved->references > 0) {
        return;
    }
    shard_unit_stop(moved, clock_mono_ns() + END_NS);  // those that were stopped already: nothing
    for (size_t i = 0; i < moved->shard_count; i++) {
        shard_free(&moved->shards[i]);
    }
    for (size_t i = 0; i < moved->processor_count; i++) {
        processor_part_unref(&moved->processors[i]);
    }
    buffer_fini(&moved->key);
    free(moved);
}
