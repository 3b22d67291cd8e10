// SPDX-License-Identifier: Apache-2.0
// One generation: components and pipelines made from a snapshot of the configuration. What the
// generation before it has of equal parts is taken from there (parts.h), the rest is made:
// exporters, processors, shards, pipelines, receivers, in this order. Knows what is degraded and
// why. Main thread; immutable once doors lead here, but for exporter slots, which a retry fills in.
#pragma once

#include "service/parts.h"

struct wiring {
    uint64_t number;  // of the generation, from 1
    struct snapshot *snapshot;
    const struct settings *settings;
    struct parts_env env;
    bool is_tentative;  // a reload that may still be refused
    // Parallel to the lists of settings; NULL: not used. Receivers may be moved out when they end.
    struct exporter_part *exporters[SETTINGS_COMPONENTS_MAX];
    struct processor_part *processors[SETTINGS_COMPONENTS_MAX];
    struct receiver_part *receivers[SETTINGS_COMPONENTS_MAX];
    struct shard_unit *unit;
    // as configured, in their order; behind them those of scores, then `direct`
    struct pipeline *pipelines[SETTINGS_PIPELINES_MAX + SETTINGS_COMPONENTS_MAX + SIGNAL_COUNT];
    size_t pipeline_count;
    struct pipeline *direct[SIGNAL_COUNT];  // of exporters with a storage; NULL without a journal
    // Life after it was current (generation.c).
    struct wiring *next_retiring;
    struct trace_set *traces;       // that it has begun with and doors still send here; else NULL
    struct trace_set *traces_gone;  // the same, freed once no door knows it
    uint64_t retired_ns;
    unsigned degraded;  // components that were made for this one and are not sound
    char why[256];      // the first of them
};

struct wiring_setup {  // borrowed for the call
    struct snapshot *snapshot;
    struct account *account;
    struct turnstile *turnstile;
    struct journaling *journaling;  // NULL: nothing is stored
    const struct wiring *previous;  // NULL: the first one
    uint64_t number;
};

// Creates all but the listeners. What cannot be created is degraded: counted and passed over; with
// a predecessor not even logged, because the caller will not use it. Shards are not started and
// doors lead nowhere.
struct wiring *wiring_new(const struct wiring_setup *setup);
// Where a door of the receiver `id` leads for `signal` in this generation.
void wiring_route(const struct wiring *wiring, const char *id, enum signal signal,
                  struct route_set *set);
// Starts the receivers that do not listen yet. RESULT_RETRY with the first reason.
enum result wiring_listen(struct wiring *wiring, char *why, size_t why_len) MUST_USE;
// Says of something that is no component of a list that the process goes on without it.
void wiring_say_degraded(const char *path, const char *effect, const char *why);
// Tries the exporters that could not be started once more. Returns how many are still degraded.
unsigned wiring_retry_exporters(struct wiring *wiring);
// It follows `previous` for good: what was degraded there and is gone or mended is so no longer.
void wiring_accept(struct wiring *wiring, const struct wiring *previous);
// Lets shards and processors go: no door leads here, and the unit is idle or has another holder.
void wiring_release_processing(struct wiring *wiring);
bool wiring_has_parcels(const struct wiring *wiring);
void wiring_tick(struct wiring *wiring, uint64_t now_ns);
// Lets its parts go; nothing may lead here or be on its way.
void wiring_free(struct wiring **wiring);
