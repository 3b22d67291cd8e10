// SPDX-License-Identifier: Apache-2.0
//
// The set of outlets is fixed when the process starts: the journal's debts are bits by exporter,
// and a storage that a reload names would owe for entries that it never saw. Refused: a journal per
// generation, which would have to be read by the next one while the first still writes.
//
// Bounds: one journal, an outlet per exporter. Main thread; the ports on the journal's.
#include "service/journaling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "service/wiring.h"

struct journaling {
    struct journal *journal;
    char *names[SETTINGS_COMPONENTS_MAX];
    size_t count;
    struct replay replay;
    _Atomic(struct wiring *) wiring;  // used inside the turnstile
    atomic_bool is_closed;
};

static struct door *port_door(void *arg, struct bytes route, enum signal signal)
{
    struct journaling *journaling = arg;
    struct wiring *wiring = atomic_load(&journaling->wiring);
    for (size_t i = 0; i < wiring->settings->receivers.count; i++) {
        struct receiver_part *part = wiring->receivers[i];
        if (part != NULL && bytes_equal_text(route, part->part.settings->id) &&
            signal < SIGNAL_OTLP_COUNT) {
            return &part->doors[signal];
        }
    }
    return NULL;
}

static struct pipeline *port_direct(void *arg, enum signal signal)
{
    struct journaling *journaling = arg;
    struct wiring *wiring = atomic_load(&journaling->wiring);
    return wiring->direct[signal];
}

static void port_push(void *arg, struct parcel *parcel)
{
    (void)arg;
    pipeline_push(parcel);
}

static uint64_t port_outlets(void *arg, const struct parcel *parcel, uint32_t set)
{
    (void)arg;
    return pipeline_outlets(parcel->pipeline, set);
}

static enum result port_replay(void *arg, struct journal_replay *call)
{
    struct journaling *journaling = arg;
    return replay_entry(&journaling->replay, call);
}

enum result journaling_open(const struct settings *settings, struct turnstile *turnstile,
                            struct journaling **made, char *why, size_t why_len)
{
    const struct storage_settings *storage = settings->storage;
    *made = NULL;
    if (storage->id == NULL) {
        return RESULT_MISSING;
    }
    if (storage->faults > 0) {
        snprintf(why, why_len, "extensions::%s has faults", storage->id);
        return RESULT_FAIL;
    }
    struct journaling *journaling = calloc(1, sizeof(*journaling));
    CHECK(journaling != NULL);
    const char *names[SETTINGS_COMPONENTS_MAX];
    for (size_t i = 0; i < storage->exporter_count; i++) {
        journaling->names[i] = strdup(settings->exporters.items[storage->exporters[i]].id);
        CHECK(journaling->names[i] != NULL);
        names[i] = journaling->names[i];
    }
    journaling->count = storage->exporter_count;
    journaling->replay = (struct replay){
        .door = port_door, .direct = port_direct, .turnstile = turnstile, .arg = journaling};
    enum result result = journal_open(&storage->config, names, journaling->count,
                                      &journaling->journal, why, why_len);
    if (result != RESULT_OK) {
        journaling_close(&journaling);
        return RESULT_FAIL;
    }
    *made = journaling;
    return RESULT_OK;
}

struct journal *journaling_journal(const struct journaling *journaling)
{
    return journaling != NULL ? journaling->journal : NULL;
}

int journaling_outlet(const struct journaling *journaling, const char *exporter_id)
{
    for (size_t i = 0; journaling != NULL && i < journaling->count; i++) {
        if (strcmp(journaling->names[i], exporter_id) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void restore_one(void *arg, const struct trace_id *trace_id, const struct span_id *target)
{
    const struct shard_unit *unit = arg;
    unsigned shard = shard_of_trace(trace_id->bytes, (unsigned)unit->shard_count);
    shard_restore(unit->shards[shard], trace_id, target);
}

void journaling_restore(struct journaling *journaling, struct wiring *wiring)
{
    if (journaling != NULL) {
        journal_decisions(journaling->journal, restore_one, wiring->unit);
    }
}

void journaling_follow(struct journaling *journaling, struct wiring *wiring)
{
    if (journaling != NULL) {
        atomic_store(&journaling->wiring, wiring);
    }
}

enum result journaling_start(struct journaling *journaling)
{
    struct journal_ports ports = {port_push, port_outlets, port_replay, journaling};
    return journaling != NULL ? journal_start(journaling->journal, &ports) : RESULT_OK;
}

void journaling_replay(struct journaling *journaling)
{
    if (journaling != NULL) {
        journal_replay_begin(journaling->journal);
    }
}

void journaling_turned(struct journaling *journaling, struct journal_group **group)
{
    if (*group == NULL) {
        return;
    }
    if (atomic_load_explicit(&journaling->is_closed, memory_order_acquire)) {
        journal_group_let_go(group, port_push, journaling);
    } else {
        journal_group_post(journaling->journal, group);
    }
}

bool journaling_barrier(struct journaling *journaling, uint64_t deadline_ns)
{
    return journaling == NULL || journal_barrier(journaling->journal, deadline_ns);
}

void journaling_hush(struct journaling *journaling)
{
    if (journaling != NULL) {
        journal_hush(journaling->journal);
    }
}

void journaling_end(struct journaling *journaling)
{
    if (journaling != NULL) {
        atomic_store_explicit(&journaling->is_closed, true, memory_order_release);
        journal_end(journaling->journal);
    }
}

void journaling_close(struct journaling **at)
{
    struct journaling *journaling = *at;
    *at = NULL;
    if (journaling == NULL) {
        return;
    }
    journaling_end(journaling);
    journal_close(&journaling->journal);
    for (size_t i = 0; i < journaling->count; i++) {
        free(journaling->names[i]);
    }
    free(journaling);
}
