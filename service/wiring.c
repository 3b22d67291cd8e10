// SPDX-License-Identifier: Apache-2.0
//
// From settings to running components. Order of making: exporters, processors, shards, pipelines,
// receivers; order of ending: the opposite. A component with faults is left out where that leaves a
// plain forwarder (processors) and answers 503 where it does not (exporters). Refused: a generic
// dependency graph; five loops say the order. Bounds: those of settings. Main thread.

#include "service/wiring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exporter/endpoint.h"
#include "processor/evaluation.h"
#include "service/fingerprint.h"
#include "service/journaling.h"

static const struct metric_family degraded_family = {
    .name = "sidejudge_degraded",
    .type = METRIC_GAUGE,
    .help =
        "1 while a component could not be created or started and the process goes on without it.",
    .labels = {"component", NULL}};

static void degraded_set(const char *path, bool degraded)
{
    metric_set(metric_series(&degraded_family, (const char *const[]){path}), degraded ? 1 : 0);
}

void wiring_say_degraded(const char *path, const char *effect, const char *why)
{
    degraded_set(path, true);
    log_line(LOG_ERROR, "service", "degraded", LOG_TEXT("component", path),
             LOG_TEXT("effect", effect), LOG_TEXT("why", why));
}

static void degraded_add(struct wiring *wiring, const struct wiring *previous, const char *path,
                         const char *effect, const char *why)
{
    if (wiring->degraded++ == 0) {
        snprintf(wiring->why, sizeof(wiring->why), "%s: %.200s", path, why);
    }
    if (previous == NULL) {
        wiring_say_degraded(path, effect, why);
    }
}

// Its place in a predecessor's list, to which the predecessor's parts are parallel.
static size_t place_of(const struct component_list *list, const char *id)
{
    size_t i = 0;
    while (i < list->count && strcmp(list->items[i].id, id) != 0) {
        i++;
    }
    return i < list->count ? i : SIZE_MAX;
}

static struct exporter_part *exporter_before(const struct wiring *previous, const char *id)
{
    size_t i = previous != NULL ? place_of(&previous->settings->exporters, id) : SIZE_MAX;
    return i != SIZE_MAX ? previous->exporters[i] : NULL;
}

static struct processor_part *processor_before(const struct wiring *previous, const char *id)
{
    size_t i = previous != NULL ? place_of(&previous->settings->processors, id) : SIZE_MAX;
    return i != SIZE_MAX ? previous->processors[i] : NULL;
}

static struct receiver_part *receiver_before(const struct wiring *previous, const char *id)
{
    size_t i = previous != NULL ? place_of(&previous->settings->receivers, id) : SIZE_MAX;
    return i != SIZE_MAX ? previous->receivers[i] : NULL;
}

// --- exporters ---

static void exporters_build(struct wiring *wiring, const struct wiring *previous)
{
    const struct component_list *list = &wiring->settings->exporters;
    for (size_t i = 0; i < list->count; i++) {
        const struct component_settings *settings = &list->items[i];
        struct exporter_part *before = exporter_before(previous, settings->id);
        struct buffer key;
        if (!settings->used) {
            continue;
        }
        part_key(wiring->snapshot, settings, "", &key);
        if (before != NULL && fingerprint_equal(&before->part.key, &key)) {
            before->part.references++;
            wiring->exporters[i] = before;
        } else if (exporter_part_new(&wiring->env, wiring->snapshot, settings, &key,
                                     &wiring->exporters[i]) != RESULT_OK) {
            degraded_add(wiring, previous, settings->path,
                         "its pipelines answer 503 until it starts; tried again every 10 s",
                         wiring->exporters[i]->slot.why);
        }
        buffer_fini(&key);
    }
}

unsigned wiring_retry_exporters(struct wiring *wiring)
{
    unsigned degraded = 0;
    for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
        struct exporter_part *part = wiring->exporters[i];
        if (part == NULL || atomic_load(&part->slot.exporter) != NULL) {
            continue;
        }
        if (part->part.settings->faults == 0 && exporter_part_start(part) == RESULT_OK) {
            degraded_set(part->part.settings->path, false);
            log_line(LOG_INFO, "service", "exporter started after all",
                     LOG_TEXT("component", part->part.settings->path));
        } else {
            degraded++;
        }
    }
    return degraded;
}

// --- processors ---

static enum score_send score_send_of(const struct component_settings *exporter)
{
    const struct exporter_ops *ops = exporter->ops;
    return ops->score_send != NULL ? ops->score_send(exporter->config) : SCORE_SEND_ALL;
}

static bool takes(const struct component_settings *exporter, enum signal signal)
{
    return (exporter->kind->signals & 1U << signal) != 0 &&
           (signal != SIGNAL_SCORES || score_send_of(exporter) != SCORE_SEND_NONE);
}

// What a processor is told, or finds out once, of the pipelines that it stands in: their signals,
// what their exporters send of scores, whether any takes none.
static void surroundings(const struct wiring *wiring, size_t processor, char text[64])
{
    unsigned signals = 0, sends = 0, scoreless = 0;
    for (size_t p = 0; p < wiring->settings->pipeline_count; p++) {
        const struct pipeline_settings *pipeline = &wiring->settings->pipelines[p];
        bool stands = false;
        for (size_t k = 0; k < pipeline->processor_count; k++) {
            stands = stands || pipeline->processors[k] == processor;
        }
        signals |= stands ? 1U << pipeline->signal : 0;
        for (size_t k = 0; stands && k < pipeline->exporter_count; k++) {
            const struct component_settings *exporter =
                &wiring->settings->exporters.items[pipeline->exporters[k]];
            bool takes_scores = takes(exporter, SIGNAL_SCORES);
            sends |= takes_scores ? 1U << score_send_of(exporter) : 0;
            scoreless |= takes_scores ? 0 : 1U << pipeline->signal;
        }
    }
    snprintf(text, 64, "%x %x %x", signals, sends, scoreless);
}

static bool is_sharded(const struct component_settings *settings)
{
    return ((const struct processor_ops *)settings->ops)->shard != NULL;
}

static void processor_make(struct wiring *wiring, const struct wiring *previous, size_t index,
                           struct buffer *key)
{
    const struct component_settings *settings = &wiring->settings->processors.items[index];
    const struct processor_part *before = processor_before(previous, settings->id);
    const struct processor *predecessor =
        before != NULL && before->slot.ops == settings->ops ? before->slot.processor : NULL;
    char why[256] = "";
    if (processor_part_new(&wiring->env, wiring->snapshot, settings, key, predecessor,
                           &wiring->processors[index], why, sizeof(why)) != RESULT_OK) {
        degraded_add(wiring, previous, settings->path,
                     "telemetry is forwarded as it is, nothing is graded by it", why);
    }
}

static void unsharded_build(struct wiring *wiring, const struct wiring *previous)
{
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct component_settings *settings = &wiring->settings->processors.items[i];
        struct processor_part *before = processor_before(previous, settings->id);
        struct buffer key;
        if (!settings->used || is_sharded(settings)) {
            continue;
        }
        part_key(wiring->snapshot, settings, "", &key);
        if (before != NULL && fingerprint_equal(&before->part.key, &key)) {
            before->part.references++;
            wiring->processors[i] = before;
        } else {
            processor_make(wiring, previous, i, &key);
        }
        buffer_fini(&key);
    }
}

static void unit_key(const struct wiring *wiring, struct buffer *key)
{
    buffer_init(key, 8 * FINGERPRINT_BYTES_MAX);
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct component_settings *settings = &wiring->settings->processors.items[i];
        if (settings->used && is_sharded(settings)) {
            char around[64];
            struct buffer one;
            surroundings(wiring, i, around);
            part_key(wiring->snapshot, settings, around, &one);
            buffer_append_bytes(key, buffer_view(&one));
            key->status = buffer_status(&one) != RESULT_OK ? one.status : key->status;
            buffer_fini(&one);
        }
    }
}

// As many as the evaluation that asks for most; one assembles what several receivers take in.
static size_t shards_wanted(struct processor_part *const *parts, size_t part_count)
{
    size_t count = 1;
    for (size_t i = 0; i < part_count; i++) {
        const struct processor *processor = parts[i]->slot.processor;
        if (processor_is_evaluation(processor) && evaluation_shards(processor) > count) {
            count = evaluation_shards(processor);
        }
    }
    return count < PIPELINE_SHARDS_MAX ? count : PIPELINE_SHARDS_MAX;
}

static void unit_share(struct wiring *wiring, struct shard_unit *unit)
{
    unit->references++;
    wiring->unit = unit;
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        for (size_t k = 0; k < unit->processor_count; k++) {
            struct processor_part *part = unit->processors[k];
            if (strcmp(part->part.settings->id, wiring->settings->processors.items[i].id) == 0) {
                part->part.references++;
                wiring->processors[i] = part;
            }
        }
    }
}

static void unit_build(struct wiring *wiring, const struct wiring *previous)
{
    struct processor_part *sound[SETTINGS_COMPONENTS_MAX];
    size_t count = 0;
    struct buffer key;
    unit_key(wiring, &key);
    if (previous != NULL && fingerprint_equal(&previous->unit->key, &key)) {
        unit_share(wiring, previous->unit);
        buffer_fini(&key);
        return;
    }
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct component_settings *settings = &wiring->settings->processors.items[i];
        struct buffer none = {0};
        if (!settings->used || !is_sharded(settings)) {
            continue;
        }
        processor_make(wiring, previous, i, &none);
        if (wiring->processors[i]->slot.processor != NULL) {
            wiring->processors[i]->part.references++;
            sound[count++] = wiring->processors[i];
        }
    }
    wiring->unit = shard_unit_new(sound, count, shards_wanted(sound, count), &key,
                                  wiring->env.journaling, wiring);
}

// --- pipelines ---

static struct pipeline *pipeline_add(struct wiring *wiring, const char *id, enum signal signal)
{
    struct pipeline *pipeline = malloc(sizeof(*pipeline));
    CHECK(pipeline != NULL);
    pipeline_init(pipeline);
    pipeline->id = id;
    pipeline->signal = signal;
    pipeline->shards = wiring->unit->shards;
    pipeline->shard_count = wiring->unit->shard_count;
    pipeline->journal = journaling_journal(wiring->env.journaling);
    pipeline->groups = pipeline->journal != NULL ? wiring->unit->groups : NULL;
    wiring->pipelines[wiring->pipeline_count++] = pipeline;
    return pipeline;
}

// Adds the takers of scores of one configured pipeline to a processor's pipeline of scores.
static unsigned takers_add(struct wiring *wiring, const struct pipeline_settings *from,
                           struct pipeline *scores)
{
    unsigned sends = 0;
    for (size_t k = 0; k < from->exporter_count; k++) {
        const struct component_settings *exporter =
            &wiring->settings->exporters.items[from->exporters[k]];
        struct exporter_slot *slot = &wiring->exporters[from->exporters[k]]->slot;
        if (!takes(exporter, SIGNAL_SCORES)) {
            continue;
        }
        sends |= 1U << score_send_of(exporter);
        size_t at = 0;
        while (at < scores->exporter_count && scores->exporters[at] != slot) {
            at++;
        }
        if (at == scores->exporter_count) {
            scores->exporters[scores->exporter_count++] = slot;
        }
    }
    return sends;
}

// One pipeline of scores for each processor that makes some and has takers.
static void score_pipelines_build(struct wiring *wiring)
{
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct processor_part *part = wiring->processors[i];
        if (part == NULL || part->slot.processor == NULL || part->slot.ops->score_sinks == NULL) {
            continue;
        }
        struct pipeline *scores = pipeline_add(wiring, part->slot.id, SIGNAL_SCORES);
        unsigned sends = 0;
        scores->chain[scores->chain_count++] = part->slot;
        scores->native = UINT32_MAX;
        for (size_t p = 0; p < wiring->settings->pipeline_count; p++) {
            const struct pipeline_settings *from = &wiring->settings->pipelines[p];
            for (size_t k = 0; k < from->processor_count; k++) {
                sends |= from->processors[k] == i ? takers_add(wiring, from, scores) : 0;
            }
        }
        part->slot.ops->score_sinks(part->slot.processor, sends);
    }
}

// One for each signal, without processors: what the journal hands on again of its own accord.
static void direct_pipelines_build(struct wiring *wiring)
{
    for (size_t s = 0; s < SIGNAL_COUNT && wiring->env.journaling != NULL; s++) {
        struct pipeline *direct = pipeline_add(wiring, "journal", (enum signal)s);
        for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
            struct exporter_part *part = wiring->exporters[i];
            if (part != NULL && part->slot.storage >= 0 &&
                takes(part->part.settings, direct->signal)) {
                direct->exporters[direct->exporter_count++] = &part->slot;
            }
        }
        wiring->direct[s] = direct;
    }
}

static void pipelines_build(struct wiring *wiring, const struct wiring *previous)
{
    for (size_t i = 0; i < wiring->settings->pipeline_count; i++) {
        const struct pipeline_settings *from = &wiring->settings->pipelines[i];
        struct pipeline *pipeline = pipeline_add(wiring, from->id, from->signal);
        for (size_t k = 0; k < from->processor_count; k++) {
            const struct processor_part *part = wiring->processors[from->processors[k]];
            if (part->slot.processor != NULL && part->slot.ops->wants != NULL) {
                pipeline->chain[pipeline->chain_count++] = part->slot;
            }
        }
        for (size_t k = 0; k < from->exporter_count; k++) {
            const struct component_settings *exporter =
                &wiring->settings->exporters.items[from->exporters[k]];
            if (takes(exporter, from->signal)) {
                pipeline->native |=
                    takes(exporter, SIGNAL_SCORES) ? 1U << pipeline->exporter_count : 0;
                pipeline->exporters[pipeline->exporter_count++] =
                    &wiring->exporters[from->exporters[k]]->slot;
            }
        }
        if (pipeline->exporter_count == 0) {
            pipeline->why = from->why;
            degraded_add(wiring, previous, from->path, "it answers 503", from->why);
        }
    }
}

void wiring_route(const struct wiring *wiring, const char *id, enum signal signal,
                  struct route_set *set)
{
    set->count = 0;
    for (size_t i = 0; i < wiring->settings->pipeline_count; i++) {
        const struct pipeline_settings *from = &wiring->settings->pipelines[i];
        for (size_t k = 0; from->signal == signal && k < from->receiver_count; k++) {
            if (strcmp(wiring->settings->receivers.items[from->receivers[k]].id, id) == 0) {
                set->pipelines[set->count++] = wiring->pipelines[i];
            }
        }
    }
}

// --- receivers ---

// Where requests to a backend's own API go: the exporter that wants them, unless it is one of our
// own listeners. NULL: nowhere. Validation refuses a second one.
static const struct component_settings *relay_of(const struct wiring *wiring,
                                                 struct relay_target *target)
{
    const struct snapshot *snapshot = wiring->snapshot;
    const struct component_env env = {.own_addresses = snapshot->addresses,
                                      .own_address_count = snapshot->address_count};
    for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
        const struct component_settings *settings = &wiring->settings->exporters.items[i];
        struct endpoint endpoint;
        if (settings->used && settings->faults == 0 && settings->kind->relay != NULL &&
            settings->kind->relay(settings->config, target)) {
            bool is_sound = endpoint_parse(target->base_url, &endpoint) &&
                            (target->unix_socket.len > 0 || !endpoint_is_own(&endpoint, &env));
            return is_sound ? settings : NULL;
        }
    }
    return NULL;
}

// What a receiver depends on besides its own settings.
static void receiver_extra(unsigned signals, const struct component_settings *relay,
                           struct buffer *extra)
{
    buffer_init(extra, FINGERPRINT_BYTES_MAX);
    buffer_printf(extra, "%x", signals);
    if (relay != NULL) {
        buffer_printf(extra, " relay %s ", relay->path);
        fingerprint_write(relay->node, extra);
    }
}

static void receivers_build(struct wiring *wiring, const struct wiring *previous)
{
    struct relay_target target;
    const struct component_settings *relay = relay_of(wiring, &target);
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        const struct component_settings *settings = &wiring->settings->receivers.items[i];
        struct receiver_part *before = receiver_before(previous, settings->id);
        unsigned signals = 0;
        struct buffer key, extra;
        if (!settings->used) {
            continue;
        }
        for (unsigned s = 0; s < SIGNAL_OTLP_COUNT; s++) {
            struct route_set set;
            wiring_route(wiring, settings->id, (enum signal)s, &set);
            signals |= set.count > 0 ? 1U << s : 0;
        }
        receiver_extra(signals, relay, &extra);
        part_key(wiring->snapshot, settings, buffer_text(&extra), &key);
        key.status = buffer_status(&extra) != RESULT_OK ? extra.status : key.status;
        buffer_fini(&extra);
        if (before != NULL && before->receiver != NULL &&
            fingerprint_equal(&before->part.key, &key)) {
            before->part.references++;
            wiring->receivers[i] = before;
        } else {
            wiring->receivers[i] =
                receiver_part_new(&wiring->env, wiring->snapshot, settings, &key, signals,
                                  relay != NULL ? &target : NULL);
            wiring->receivers[i]->part.env.takes_over = before != NULL;
        }
        buffer_fini(&key);
    }
}

enum result wiring_listen(struct wiring *wiring, char *why, size_t why_len)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        struct receiver_part *part = wiring->receivers[i];
        if (part == NULL || part->receiver != NULL) {
            continue;
        }
        bool listens = receiver_part_listen(part, why, why_len) == RESULT_OK;
        if (listens || !wiring->is_tentative) {
            degraded_set(part->part.settings->path, !listens);
        }
        result = listens ? result : RESULT_RETRY;
    }
    return result;
}

// --- life ---

static unsigned processors_online(void)
{
    const char *gomaxprocs = getenv("GOMAXPROCS");
    uint64_t wanted = 0;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (bytes_to_u64(bytes_from_text(gomaxprocs), &wanted) && wanted > 0 && wanted <= 1024) {
        return (unsigned)wanted;
    }
    return online > 0 ? (unsigned)online : 1;
}

struct wiring *wiring_new(const struct wiring_setup *setup)
{
    struct wiring *wiring = calloc(1, sizeof(*wiring));
    CHECK(wiring != NULL);
    wiring->number = setup->number;
    wiring->snapshot = snapshot_ref(setup->snapshot);
    wiring->settings = setup->snapshot->settings;
    wiring->is_tentative = setup->previous != NULL;
    wiring->env = (struct parts_env){.account = setup->account,
                                     .processors_max = processors_online(),
                                     .user_agent = "sidejudge/" SIDEJUDGE_VERSION " (linux)",
                                     .turnstile = setup->turnstile,
                                     .journaling = setup->journaling};
    exporters_build(wiring, setup->previous);
    unsharded_build(wiring, setup->previous);
    unit_build(wiring, setup->previous);
    pipelines_build(wiring, setup->previous);
    score_pipelines_build(wiring);
    direct_pipelines_build(wiring);
    receivers_build(wiring, setup->previous);
    return wiring;
}

void wiring_accept(struct wiring *wiring, const struct wiring *previous)
{
    wiring->is_tentative = false;
    for (size_t i = 0; i < previous->settings->processors.count; i++) {
        const struct processor_part *part = previous->processors[i];
        if (part != NULL && part->slot.processor == NULL) {
            degraded_set(part->part.settings->path, false);
        }
    }
    for (size_t i = 0; i < previous->settings->exporters.count; i++) {
        const struct exporter_part *part = previous->exporters[i];
        if (part != NULL && atomic_load(&part->slot.exporter) == NULL &&
            part->part.references == 1) {
            degraded_set(part->part.settings->path, false);
        }
    }
    for (size_t i = 0; i < previous->settings->pipeline_count; i++) {
        if (previous->pipelines[i]->exporter_count == 0) {
            degraded_set(previous->settings->pipelines[i].path, false);
        }
    }
}

void wiring_release_processing(struct wiring *wiring)
{
    shard_unit_unref(&wiring->unit);
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        processor_part_unref(&wiring->processors[i]);
    }
}

bool wiring_has_parcels(const struct wiring *wiring)
{
    for (size_t i = 0; i < wiring->pipeline_count; i++) {
        if (atomic_load_explicit(&wiring->pipelines[i]->alive, memory_order_acquire) > 0) {
            return true;
        }
    }
    return false;
}

void wiring_tick(struct wiring *wiring, uint64_t now_ns)
{
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        struct processor_part *part = wiring->processors[i];
        if (part == NULL || part->slot.processor == NULL || part->slot.ops->tick == NULL) {
            continue;
        }
        // Of an earlier generation only what still works on traces: its memory limit is void.
        if (wiring->retired_ns == 0 || part->slot.ops->shard != NULL) {
            part->slot.ops->tick(part->slot.processor, now_ns);
        }
    }
}

void wiring_free(struct wiring **wiring)
{
    struct wiring *moved = *wiring;
    *wiring = NULL;
    if (moved == NULL) {
        return;
    }
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        receiver_part_unref(&moved->receivers[i]);
    }
    wiring_release_processing(moved);
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        exporter_part_unref(&moved->exporters[i]);
    }
    for (size_t i = 0; i < moved->pipeline_count; i++) {
        free(moved->pipelines[i]);
    }
    trace_set_unref(&moved->traces);
    trace_set_unref(&moved->traces_gone);
    snapshot_unref(&moved->snapshot);
    free(moved);
}
