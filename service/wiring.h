// SPDX-License-Identifier: Apache-2.0
// Components and pipelines made from settings: creates exporters, processors, shards, pipelines and
// the receivers' entries, in that order, and knows what is degraded and why. Main thread; the
// structures are immutable once receivers have started, but for exporter slots, which a retry fills
// in.
#pragma once

#include "service/door.h"

struct wiring {
    const struct settings *settings;
    struct account *account;
    const char *user_agent;
    unsigned processors_max;
    struct exporter_slot exporters[SETTINGS_COMPONENTS_MAX];    // parallel to settings->exporters
    struct processor_slot processors[SETTINGS_COMPONENTS_MAX];  // parallel; processor NULL: broken
    struct receiver *receivers[SETTINGS_COMPONENTS_MAX];        // parallel; NULL: not started
    struct component_env
        envs[3][SETTINGS_COMPONENTS_MAX];  // by kind: receivers, processors, exporters
    struct pipeline *pipelines[SETTINGS_PIPELINES_MAX];
    size_t pipeline_count;
    struct door *doors[SETTINGS_COMPONENTS_MAX][SIGNAL_COUNT];
    struct shard *shards[PIPELINE_SHARDS_MAX];
    size_t shard_count;
    struct bytes
        addresses[2 * SETTINGS_COMPONENTS_MAX];  // of our receivers: no exporter may name them
    size_t address_count;
    bool quiet;
};

// Creates exporters, processors, shards and pipelines. What cannot be created is degraded: logged,
// counted, passed over. Returns the number of degraded components.
unsigned wiring_build(struct wiring *wiring, const struct settings *settings,
                      struct account *account, bool quiet);
// Starts the receivers that are not started yet. RESULT_RETRY with the first reason when a listener
// cannot be opened.
enum result wiring_listen(struct wiring *wiring, char *why, size_t why_len) MUST_USE;
// Tries the exporters that could not be started once more. Returns how many are still degraded.
unsigned wiring_retry_exporters(struct wiring *wiring);
// Receivers, shards, exporters, in this order, until the deadline (monotonic ns).
void wiring_drain(struct wiring *wiring, uint64_t deadline_ns);
void wiring_free(struct wiring *wiring);
