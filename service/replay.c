// SPDX-License-Identifier: Apache-2.0
//
// An entry is scanned once and its items fall into three lists: those that left (their edits are on
// record), those that a processor would hold (undecided, so no exporter can have them), and the
// rest, which went by. Exporters without progress on the entry share parcels; one that has some of
// it gets parcels of its own without that. Evidence is shown to the shards once, by a parcel that
// goes to no exporter.
//
// Refused: offering the entry at the door again, which would decide anew what was decided. An
// editing processor in front of a holding one makes records of items impossible (its output has
// other offsets): such entries are handed on whole. Bounds: the entry's items, 12 bytes each and
// list. Journal's thread.
#include "service/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/parcel_record.h"
#include "proto/scan.h"

enum list { LIST_RELEASED, LIST_HELD, LIST_PASSED, LIST_COUNT };

struct sorting {
    const struct journal_replay *call;
    const struct pipeline *pipeline;
    struct item_place *places[LIST_COUNT];
    uint32_t counts[LIST_COUNT];
    size_t capacity;
    size_t held_bytes;
};

static bool is_held(const struct sorting *sorting, const struct item_view *view)
{
    for (size_t i = 0; i < sorting->pipeline->chain_count && sorting->call->evaluate; i++) {
        const struct processor_slot *slot = &sorting->pipeline->chain[i];
        if (slot->ops->shard != NULL && slot->ops->wants(slot->processor, view) == WANT_TAKE) {
            return true;
        }
    }
    return false;
}

static bool sort_item(void *arg, const struct item_view *view)
{
    struct sorting *sorting = arg;
    struct bytes edits;
    if (view->fault != SCAN_OK) {
        return true;
    }
    enum list list = LIST_PASSED;
    if (journal_history_released(sorting->call->history, view->place.item_at, &edits)) {
        list = LIST_RELEASED;
    } else if (is_held(sorting, view)) {
        list = LIST_HELD;
        sorting->held_bytes += view->item.len + PIPELINE_TARGET_BYTES;
    }
    if (sorting->counts[list] == sorting->capacity) {
        return false;
    }
    sorting->places[list][sorting->counts[list]++] = view->place;
    return true;
}

// Sorts all items. Metrics and scores are not taken apart: everything passed.
static bool sorting_make(struct sorting *sorting)
{
    const struct batch *batch = sorting->call->batch;
    struct scan_report report;
    sorting->capacity = (size_t)batch->item_count + 1;
    for (size_t i = 0; i < LIST_COUNT; i++) {
        sorting->places[i] = malloc(sorting->capacity * sizeof(struct item_place));
        CHECK(sorting->places[i] != NULL);
    }
    return scan_request(batch->signal, batch->body, SCAN_CHECK_UTF8, sort_item, sorting, &report) !=
           RESULT_REJECT;
}

static void sorting_fini(struct sorting *sorting)
{
    for (size_t i = 0; i < LIST_COUNT; i++) {
        free(sorting->places[i]);
    }
}

// A parcel of these items, less what one outlet has of them (-1: of none); NULL when nothing is
// left.
static struct parcel *parcel_of(const struct sorting *sorting, enum list list, int outlet,
                                uint32_t exporter_set)
{
    const struct journal_replay *call = sorting->call;
    struct item_place *places = sorting->places[list];
    uint32_t count = sorting->counts[list];
    struct item_place *kept = NULL;
    if (outlet >= 0 && count > 0) {
        kept = malloc(count * sizeof(*kept));
        CHECK(kept != NULL);
        uint32_t left = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (!journal_history_delivered(call->history, (unsigned)outlet, places[i].item_at)) {
                kept[left++] = places[i];
            }
        }
        places = kept;
        count = left;
    }
    struct parcel *parcel = NULL;
    if (count > 0) {
        batch_hold(call->batch);
        parcel = parcel_new(call->batch, PARCEL_ONLY, places, count,
                            (uint32_t)sorting->pipeline->exporter_count);
        struct pipeline *pipeline = (struct pipeline *)(uintptr_t)sorting->pipeline;
        parcel_join(parcel, pipeline, &pipeline->alive);
        parcel->exporters = exporter_set;
    }
    free(kept);
    return parcel;
}

struct edits_of {
    const struct journal_history *history;
    struct parcel *parcel;
};

static bool apply_edits(void *arg, const struct item_view *view)
{
    struct edits_of *edits_of = arg;
    struct bytes edits;
    uint32_t at;
    if (batch_origin_at(edits_of->parcel->batch, view->place.item_at, &at) &&
        journal_history_released(edits_of->history, at, &edits) && edits.len > 0) {
        // No record leaves the span as it came.
        (void)!parcel_edits_apply(edits_of->parcel, view->place, edits);
    }
    return true;
}

static void count_items(struct journal_replay *call, const struct pipeline *pipeline, uint32_t set,
                        uint32_t items)
{
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        int outlet = pipeline->exporters[__builtin_ctz(rest)]->storage;
        call->items[outlet] += items;
    }
}

// Sends one list to a set of exporters. Takes `charge` of their reservations and returns what it
// did not use.
static size_t send_list(const struct sorting *sorting, enum list list, int outlet, uint32_t set,
                        size_t charge)
{
    struct parcel *parcel = parcel_of(sorting, list, outlet, set);
    if (parcel == NULL) {
        return charge;
    }
    parcel->charge_bytes = charge;
    count_items((struct journal_replay *)(uintptr_t)sorting->call, sorting->pipeline, set,
                parcel->item_count);
    parcel->bypass = true;
    if (list == LIST_RELEASED) {
        // In the order of the chain: what stands before, what was recorded, what stands behind.
        parcel = pipeline_bypass(parcel);
        if (parcel == NULL) {
            return 0;  // dropped by a processor, which has given its room back
        }
        struct edits_of edits_of = {sorting->call->history, parcel};
        parcel_each(parcel, apply_edits, &edits_of);
    }
    pipeline_pass(&parcel, -1);
    return 0;
}

// How many items from there on have edits that fit into one parcel; at least one.
static uint32_t edits_fit(const struct sorting *sorting, uint32_t from)
{
    const struct item_place *places = sorting->places[LIST_RELEASED];
    size_t bytes = 0;
    uint32_t at = from;
    while (at < sorting->counts[LIST_RELEASED] && (at == from || bytes <= PARCEL_EDIT_BYTES_MAX)) {
        struct bytes edits;
        if (journal_history_released(sorting->call->history, places[at].item_at, &edits)) {
            bytes += parcel_edits_bytes(edits);
        }
        at += at == from || bytes <= PARCEL_EDIT_BYTES_MAX;
    }
    return at - from;
}

// What left in many parcels does not go into one again.
static size_t send_released(const struct sorting *sorting, int outlet, uint32_t set, size_t charge)
{
    struct sorting window = *sorting;
    uint32_t left = sorting->counts[LIST_RELEASED];
    while (left > 0) {
        uint32_t from = sorting->counts[LIST_RELEASED] - left;
        uint32_t count = edits_fit(sorting, from);
        size_t share = charge / left * count + (count == left ? charge % left : 0);
        window.places[LIST_RELEASED] = sorting->places[LIST_RELEASED] + from;
        window.counts[LIST_RELEASED] = count;
        charge = charge - share + send_list(&window, LIST_RELEASED, outlet, set, share);
        left -= count;
    }
    return charge;
}

static void send_passed(const struct sorting *sorting, int outlet, uint32_t set, size_t charge)
{
    charge = send_list(sorting, LIST_PASSED, outlet, set, charge);
    charge = send_released(sorting, outlet, set, charge);
    if (charge > 0) {
        pipeline_release(sorting->pipeline, charge, false, set);
    }
}

static bool tickets_reserve(const struct pipeline *pipeline, struct shard_tickets *tickets)
{
    unsigned each = 2 * pipeline_sharded_stages(pipeline);
    memset(tickets->counts, 0, sizeof(tickets->counts));
    for (unsigned i = 0; i < pipeline->shard_count; i++) {
        for (unsigned k = 0; k < 2 * each; k++) {  // for what is shown and for what is held
            struct shard_ticket *ticket = shard_reserve(pipeline->shards[i]);
            if (ticket == NULL || tickets->counts[i] == 2 * SETTINGS_CHAIN_MAX) {
                shard_release(&ticket);
                shard_tickets_release(tickets, pipeline->shard_count);
                return false;
            }
            tickets->items[i][tickets->counts[i]++] = ticket;
        }
    }
    return true;
}

// What was undecided when the process ended is decided now.
static void evaluate_again(const struct sorting *sorting, uint32_t set, uint32_t spilled,
                           struct shard_tickets *tickets)
{
    struct parcel *shown = parcel_of(sorting, LIST_PASSED, -1, 0);
    if (shown != NULL) {
        pipeline_advance(shown, -1, tickets);
    }
    struct parcel *held = parcel_of(sorting, LIST_HELD, -1, set);
    if (held != NULL) {
        held->recorded = true;
        held->spilled = spilled;
        held->charge_bytes = sorting->held_bytes;
        struct journal_replay *call = (struct journal_replay *)(uintptr_t)sorting->call;
        count_items(call, sorting->pipeline, set, held->item_count);
        call->held += held->item_count;
        pipeline_advance(held, -1, tickets);
    }
    shard_tickets_release(tickets, sorting->pipeline->shard_count);
}

// The exporters of a pipeline that stand for these outlets.
static uint32_t exporters_of(const struct pipeline *pipeline, uint64_t outlets)
{
    uint32_t set = 0;
    for (size_t i = 0; i < pipeline->exporter_count; i++) {
        int outlet = pipeline->exporters[i]->storage;
        set |= outlet >= 0 && (outlets >> outlet & 1) != 0 ? 1U << i : 0;
    }
    return set;
}

// One pipeline's part. RESULT_SHED: no room, nothing has happened.
static enum result replay_along(struct pipeline *pipeline, struct journal_replay *call,
                                uint64_t outlets)
{
    struct sorting sorting = {.call = call, .pipeline = pipeline};
    struct shard_tickets tickets;
    uint32_t set = exporters_of(pipeline, outlets);
    if (!sorting_make(&sorting)) {
        sorting_fini(&sorting);
        call->served |= outlets;  // what no scan can read is given up: counted by nobody
        return RESULT_OK;
    }
    size_t charge = call->batch->body.len + sorting.held_bytes;
    bool own = call->entry->origin == JOURNAL_OWN;
    uint32_t reserved = pipeline_reserve_again(pipeline, set, charge, own);
    // A decision waits for no exporter: one without room gets its part from disk afterwards.
    if (set != 0 && reserved == 0 && !call->evaluate) {
        sorting_fini(&sorting);
        return RESULT_SHED;
    }
    if (call->evaluate && !tickets_reserve(pipeline, &tickets)) {
        pipeline_release(pipeline, charge, own, reserved);
        sorting_fini(&sorting);
        return RESULT_SHED;
    }
    uint32_t clean = 0;
    size_t passed_charge = charge - sorting.held_bytes;
    for (uint32_t rest = reserved; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        int outlet = pipeline->exporters[i]->storage;
        call->served |= UINT64_C(1) << outlet;
        if (journal_history_has_progress(call->history, (unsigned)outlet)) {
            send_passed(&sorting, outlet, 1U << i, passed_charge);
        } else {
            clean |= 1U << i;
        }
    }
    if (clean != 0) {
        send_passed(&sorting, -1, clean, passed_charge);
    }
    if (call->evaluate) {
        evaluate_again(&sorting, reserved, set & ~reserved, &tickets);
    }
    sorting_fini(&sorting);
    return RESULT_OK;
}

// What Sidejudge made goes out as it is.
static enum result replay_own(struct pipeline *pipeline, struct journal_replay *call)
{
    size_t bytes = call->batch->body.len;
    uint32_t reserved =
        pipeline_reserve_again(pipeline, exporters_of(pipeline, call->wanted), bytes, true);
    if (reserved == 0) {
        return RESULT_SHED;
    }
    batch_hold(call->batch);
    struct parcel *parcel =
        parcel_new(call->batch, PARCEL_ALL, NULL, 0, (uint32_t)pipeline->exporter_count);
    parcel_join(parcel, pipeline, &pipeline->alive);
    parcel->exporters = reserved;
    parcel->charge_bytes = bytes;
    parcel->own = true;
    call->served = pipeline_outlets(pipeline, reserved);
    count_items(call, pipeline, reserved, parcel->item_count);
    pipeline_push(parcel);
    return RESULT_OK;
}

static enum result replay_received(const struct replay *replay, struct pipeline *direct,
                                   struct journal_replay *call)
{
    struct door *door = replay->door(replay->arg, call->entry->route, call->entry->signal);
    const struct routes *routes = door != NULL ? atomic_load(&door->routes) : NULL;
    uint64_t left = call->wanted;  // outlets that no pipeline of the door leads to
    bool evaluate = call->evaluate, any = false, refused = false;
    for (size_t i = 0; routes != NULL && i < routes->current.count; i++) {
        struct pipeline *pipeline = routes->current.pipelines[i];
        uint64_t outlets = pipeline_outlets(pipeline, exporters_of(pipeline, left));
        left &= ~outlets;
        if (outlets == 0 && (!call->evaluate || refused)) {
            continue;
        }
        bool taken = replay_along(pipeline, call, outlets) == RESULT_OK;
        any = any || taken;
        refused = refused || !taken;
        call->evaluate = call->evaluate && !taken;  // once
    }
    if (left != 0 && direct != NULL) {
        call->evaluate = false;
        bool taken = replay_along(direct, call, left) == RESULT_OK;
        any = any || taken;
        refused = refused || !taken;
    }
    call->evaluate = evaluate;
    return any || !refused ? RESULT_OK : RESULT_SHED;
}

enum result replay_entry(void *arg, struct journal_replay *call)
{
    const struct replay *replay = arg;
    unsigned ticket = turnstile_enter(replay->turnstile);
    struct pipeline *direct = replay->direct(replay->arg, call->entry->signal);
    enum result result = RESULT_SHED;
    if (call->entry->origin != JOURNAL_OWN) {
        result = replay_received(replay, direct, call);
    } else if (direct != NULL) {
        result = replay_own(direct, call);
    }
    turnstile_leave(replay->turnstile, ticket);
    return result;
}
