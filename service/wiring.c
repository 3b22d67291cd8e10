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
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "processor/evaluation.h"

enum { KIND_RECEIVERS, KIND_PROCESSORS, KIND_EXPORTERS };

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

static void degraded_log(const char *path, const char *effect, const char *why)
{
    degraded_set(path, true);
    log_line(LOG_ERROR, "service", "degraded", LOG_TEXT("component", path),
             LOG_TEXT("effect", effect), LOG_TEXT("why", why));
}

static struct component_env *env_of(struct wiring *wiring, unsigned kind, size_t index,
                                    const char *id)
{
    struct component_env *env = &wiring->envs[kind][index];
    *env = (struct component_env){.id = id,
                                  .account = wiring->account,
                                  .processors_max = wiring->processors_max,
                                  .user_agent = wiring->user_agent,
                                  .own_addresses = wiring->addresses,
                                  .own_address_count = wiring->address_count};
    return env;
}

static bool exporter_start(struct wiring *wiring, size_t index)
{
    const struct component_settings *component = &wiring->settings->exporters.items[index];
    struct exporter_slot *slot = &wiring->exporters[index];
    struct exporter *exporter = NULL;
    const struct component_env *env = env_of(wiring, KIND_EXPORTERS, index, component->id);
    if (component->faults > 0) {
        snprintf(slot->why, sizeof(slot->why), "%s", component->why);
        return false;
    }
    if (slot->ops->start(env, component->config, &exporter, slot->why, sizeof(slot->why)) !=
        RESULT_OK) {
        return false;
    }
    atomic_store_explicit(&slot->exporter, exporter, memory_order_release);
    return true;
}

static unsigned exporters_build(struct wiring *wiring)
{
    unsigned degraded = 0;
    const struct component_list *list = &wiring->settings->exporters;
    for (size_t i = 0; i < list->count; i++) {
        wiring->exporters[i].ops = list->items[i].ops;
        wiring->exporters[i].id = list->items[i].id;
        if (list->items[i].used && !exporter_start(wiring, i)) {
            degraded_log(list->items[i].path,
                         "its pipelines answer 503 until it starts; tried again every 10 s",
                         wiring->exporters[i].why);
            degraded++;
        }
    }
    return degraded;
}

unsigned wiring_retry_exporters(struct wiring *wiring)
{
    unsigned degraded = 0;
    const struct component_list *list = &wiring->settings->exporters;
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].used || atomic_load(&wiring->exporters[i].exporter) != NULL) {
            continue;
        }
        if (list->items[i].faults == 0 && exporter_start(wiring, i)) {
            degraded_set(list->items[i].path, false);
            log_line(LOG_INFO, "service", "exporter started after all",
                     LOG_TEXT("component", list->items[i].path));
        } else {
            degraded++;
        }
    }
    return degraded;
}

static unsigned processors_build(struct wiring *wiring)
{
    unsigned degraded = 0;
    const struct component_list *list = &wiring->settings->processors;
    for (size_t i = 0; i < list->count; i++) {
        const struct component_settings *component = &list->items[i];
        struct processor_slot *slot = &wiring->processors[i];
        slot->ops = component->ops;
        slot->id = component->id;
        if (!component->used) {
            continue;
        }
        char why[256] = "";
        const struct component_env *env = env_of(wiring, KIND_PROCESSORS, i, component->id);
        if (component->faults > 0) {
            snprintf(why, sizeof(why), "%s", component->why);
        } else if (slot->ops->create(env, component->config, &slot->processor, why, sizeof(why)) ==
                   RESULT_OK) {
            continue;
        }
        slot->processor = NULL;
        degraded_log(component->path, "telemetry is forwarded as it is, nothing is graded by it",
                     why);
        degraded++;
    }
    return degraded;
}

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
                            enum signal signal, struct batch **batch, uint32_t item_count)
{
    struct wiring *wiring = arg;
    return pipeline_emit(wiring->pipelines, wiring->pipeline_count, processor, signal, batch,
                         item_count, (int)shard_index(shard));
}

// As many as the evaluation that asks for most; one assembles what several receivers take in.
static size_t shards_wanted(const struct wiring *wiring)
{
    size_t count = 1;
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct processor *processor = wiring->processors[i].processor;
        if (processor != NULL && processor_is_evaluation(processor) &&
            evaluation_shards(processor) > count) {
            count = evaluation_shards(processor);
        }
    }
    return count < PIPELINE_SHARDS_MAX ? count : PIPELINE_SHARDS_MAX;
}

static void shards_build(struct wiring *wiring)
{
    wiring->shard_count = shards_wanted(wiring);
    struct processor *sharded[SETTINGS_COMPONENTS_MAX];
    const struct processor_ops *ops[SETTINGS_COMPONENTS_MAX];
    size_t sharded_count = 0;
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct processor_slot *slot = &wiring->processors[i];
        if (slot->processor != NULL && slot->ops->shard != NULL) {
            sharded[sharded_count] = slot->processor;
            ops[sharded_count++] = slot->ops;
        }
    }
    for (size_t i = 0; i < wiring->shard_count; i++) {
        wiring->shards[i] = shard_new(
            &(struct shard_config){
                .index = (unsigned)i,
                .out = {.pass = out_pass, .drop = out_drop, .emit = out_emit, .arg = wiring},
                .processors = sharded,
                .ops = ops,
                .processor_count = sharded_count},
            clock_mono_ns());
    }
}

// Returns how many have no exporter and answer 503 for good.
static unsigned pipelines_build(struct wiring *wiring)
{
    unsigned degraded = 0;
    for (size_t i = 0; i < wiring->settings->pipeline_count; i++) {
        const struct pipeline_settings *from = &wiring->settings->pipelines[i];
        struct pipeline *pipeline = malloc(sizeof(*pipeline));
        CHECK(pipeline != NULL);
        pipeline_init(pipeline);
        pipeline->id = from->id;
        pipeline->signal = from->signal;
        pipeline->shards = wiring->shards;
        pipeline->shard_count = wiring->shard_count;
        for (size_t k = 0; k < from->processor_count; k++) {
            const struct processor_slot *slot = &wiring->processors[from->processors[k]];
            if (slot->processor != NULL && slot->ops->wants != NULL) {
                pipeline->chain[pipeline->chain_count++] = *slot;
            }
        }
        for (size_t k = 0; k < from->exporter_count; k++) {
            pipeline->exporters[pipeline->exporter_count++] =
                &wiring->exporters[from->exporters[k]];
        }
        wiring->pipelines[wiring->pipeline_count++] = pipeline;
        if (pipeline->exporter_count == 0) {
            pipeline->why = from->why;
            degraded_log(from->path, "it answers 503", from->why);
            degraded++;
        }
    }
    return degraded;
}

static void doors_build(struct wiring *wiring)
{
    for (size_t i = 0; i < wiring->pipeline_count; i++) {
        const struct pipeline_settings *from = &wiring->settings->pipelines[i];
        for (size_t k = 0; k < from->receiver_count; k++) {
            struct door **door = &wiring->doors[from->receivers[k]][from->signal];
            if (*door == NULL) {
                *door = malloc(sizeof(**door));
                CHECK(*door != NULL);
                door_init(*door);
            }
            (*door)->pipelines[(*door)->count++] = wiring->pipelines[i];
        }
    }
}

// The endpoints of a receiver's protocols, as configured or by default.
static void addresses_collect(struct wiring *wiring)
{
    static const struct {
        const char *key, *fallback;
    } protocols[] = {{"grpc", "localhost:4317"}, {"http", "localhost:4318"}};
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        const struct component_settings *component = &wiring->settings->receivers.items[i];
        const struct config_node *map = config_get(component->node, "protocols");
        for (size_t k = 0; component->used && k < sizeof(protocols) / sizeof(protocols[0]); k++) {
            const struct config_node *protocol = config_get(map, protocols[k].key);
            if (protocol == NULL) {
                continue;
            }
            struct bytes endpoint = config_text(config_get(protocol, "endpoint"));
            wiring->addresses[wiring->address_count++] =
                endpoint.len > 0 ? endpoint : bytes_from_text(protocols[k].fallback);
        }
    }
}

unsigned wiring_build(struct wiring *wiring, const struct settings *settings,
                      struct account *account, bool quiet)
{
    memset(wiring, 0, sizeof(*wiring));
    wiring->settings = settings;
    wiring->account = account;
    wiring->quiet = quiet;
    wiring->user_agent = "sidejudge/" SIDEJUDGE_VERSION " (linux)";
    const char *gomaxprocs = getenv("GOMAXPROCS");
    uint64_t wanted = 0;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    wiring->processors_max = online > 0 ? (unsigned)online : 1;
    if (bytes_to_u64(bytes_from_text(gomaxprocs), &wanted) && wanted > 0 && wanted <= 1024) {
        wiring->processors_max = (unsigned)wanted;
    }
    addresses_collect(wiring);
    unsigned degraded = exporters_build(wiring) + processors_build(wiring);
    shards_build(wiring);
    degraded += pipelines_build(wiring);
    doors_build(wiring);
    for (size_t i = 0; i < wiring->shard_count; i++) {
        CHECK(shard_start(wiring->shards[i]) == RESULT_OK);
    }
    return degraded;
}

enum result wiring_listen(struct wiring *wiring, char *why, size_t why_len)
{
    enum result result = RESULT_OK;
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        const struct component_settings *component = &wiring->settings->receivers.items[i];
        if (!component->used || wiring->receivers[i] != NULL) {
            continue;
        }
        struct sink *sinks[SIGNAL_COUNT] = {NULL};
        for (size_t s = 0; s < SIGNAL_COUNT; s++) {
            sinks[s] = wiring->doors[i][s] != NULL ? &wiring->doors[i][s]->sink : NULL;
        }
        const struct receiver_ops *ops = component->ops;
        const struct component_env *env = env_of(wiring, KIND_RECEIVERS, i, component->id);
        if (ops->start(env, component->config, sinks, &wiring->receivers[i], why, why_len) !=
            RESULT_OK) {
            wiring->receivers[i] = NULL;
            degraded_set(component->path, true);
            result = RESULT_RETRY;
        } else {
            degraded_set(component->path, false);
        }
    }
    return result;
}

void wiring_drain(struct wiring *wiring, uint64_t deadline_ns)
{
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        if (wiring->receivers[i] != NULL) {
            const struct receiver_ops *ops = wiring->settings->receivers.items[i].ops;
            ops->drain(wiring->receivers[i], deadline_ns);
        }
    }
    for (size_t i = 0; i < wiring->shard_count; i++) {
        shard_stop(wiring->shards[i], deadline_ns);
    }
    for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
        struct exporter *exporter = atomic_load(&wiring->exporters[i].exporter);
        if (exporter != NULL) {
            wiring->exporters[i].ops->drain(exporter, deadline_ns);
        }
    }
}

void wiring_free(struct wiring *wiring)
{
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        if (wiring->receivers[i] != NULL) {
            const struct receiver_ops *ops = wiring->settings->receivers.items[i].ops;
            ops->free(&wiring->receivers[i]);
        }
    }
    for (size_t i = 0; i < wiring->shard_count; i++) {
        shard_free(&wiring->shards[i]);
    }
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        if (wiring->processors[i].processor != NULL) {
            wiring->processors[i].ops->free(&wiring->processors[i].processor);
        }
    }
    for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
        struct exporter *exporter = atomic_load(&wiring->exporters[i].exporter);
        if (exporter != NULL) {
            wiring->exporters[i].ops->free(&exporter);
        }
    }
    for (size_t i = 0; i < wiring->pipeline_count; i++) {
        free(wiring->pipelines[i]);
    }
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        for (size_t s = 0; s < SIGNAL_COUNT; s++) {
            free(wiring->doors[i][s]);
        }
    }
}
