// SPDX-License-Identifier: Apache-2.0
//
// The way of a parcel behind the door: reservations at its exporters, and the walk through the
// chain, stage by stage. At each stage the parcel's items are sorted by what the processor wants:
// an editing processor gets the parcel, a sharded one its items by shard; behind the first sharded
// one everything stays on that shard's thread.
//
// Refused: a queue in front of each processor. Bounds: exporters 32, shards 16; the sorting takes
// 26 bytes per item for the length of a stage. Any thread that has the parcel.

#include "service/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define RETRY_AFTER_S 5

unsigned pipeline_shard_of(const struct pipeline *pipeline, const struct item_view *view)
{
    return shard_of_trace(view->trace_id, (unsigned)pipeline->shard_count);
}

void pipeline_release(const struct pipeline *pipeline, size_t bytes, bool own, uint32_t mask)
{
    for (size_t i = 0; i < pipeline->exporter_count; i++) {
        if ((mask & 1U << i) != 0) {
            struct exporter_slot *slot = pipeline->exporters[i];
            slot->ops->release(atomic_load_explicit(&slot->exporter, memory_order_acquire), bytes,
                               own);
        }
    }
}

// block_on_overflow: its full queue refuses the request although others would take it.
static bool exporter_insists(const struct exporter_slot *slot, const struct exporter *exporter)
{
    struct exporter_status status = {0};
    slot->ops->status(exporter, &status);
    return status.block_on_overflow;
}

// Exporters: all of them, or those that have room when the pipeline has several and none insists
// (DESIGN 3, admission).
enum result pipeline_reserve(struct pipeline *pipeline, uint32_t wanted, uint32_t items,
                             size_t bytes, bool own, uint32_t *mask, uint32_t *spilled,
                             struct offer_reply *reply)
{
    *mask = 0;
    if (spilled != NULL) {
        *spilled = 0;
    }
    enum result refused = RESULT_RETRY;
    bool insists = false;
    for (size_t i = 0; i < pipeline->exporter_count; i++) {
        struct exporter_slot *slot = pipeline->exporters[i];
        struct exporter *exporter = atomic_load_explicit(&slot->exporter, memory_order_acquire);
        if ((wanted & 1U << i) == 0) {
            continue;
        }
        bool spills = spilled != NULL && slot->storage >= 0;
        if (spills &&
            (exporter == NULL || journal_is_behind(pipeline->journal, (unsigned)slot->storage) ||
             slot->ops->reserve(exporter, pipeline->signal, 0, bytes, own) != RESULT_OK)) {
            *spilled |= 1U << i;
            continue;
        }
        if (spills) {
            *mask |= 1U << i;
            continue;
        }
        if (exporter == NULL) {
            snprintf(reply->message, sizeof(reply->message), "exporter %s is unavailable: %s",
                     slot->id, slot->why);
            continue;
        }
        enum result result = slot->ops->reserve(exporter, pipeline->signal, items, bytes, own);
        if (result == RESULT_OK) {
            *mask |= 1U << i;
        } else {
            refused = result;
            insists = insists || exporter_insists(slot, exporter);
            snprintf(reply->message, sizeof(reply->message), "%s: sending queue is full", slot->id);
        }
    }
    bool has_way = *mask != 0 || (spilled != NULL && *spilled != 0);
    if (has_way && !insists) {
        reply->message[0] = '\0';
        return RESULT_OK;
    }
    if (pipeline->exporter_count == 0) {  // configured, but none of them is sound
        snprintf(reply->message, sizeof(reply->message), "pipeline %s has no exporter: %s",
                 pipeline->id, pipeline->why);
    }
    pipeline_release(pipeline, bytes, own, *mask);
    *mask = 0;
    reply->retry_after_s = RETRY_AFTER_S;
    return refused;
}

uint32_t pipeline_reserve_again(struct pipeline *pipeline, uint32_t wanted, size_t bytes, bool own)
{
    uint32_t mask = 0;
    for (uint32_t rest = wanted; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        struct exporter_slot *slot = pipeline->exporters[i];
        struct exporter *exporter = atomic_load_explicit(&slot->exporter, memory_order_acquire);
        if (exporter != NULL &&
            slot->ops->reserve(exporter, pipeline->signal, 0, bytes, own) == RESULT_OK) {
            mask |= 1U << i;
        }
    }
    return mask;
}

unsigned pipeline_sharded_stages(const struct pipeline *pipeline)
{
    unsigned count = 0;
    for (size_t i = 0; i < pipeline->chain_count; i++) {
        count += pipeline->chain[i].ops->shard != NULL;
    }
    return count;
}

struct shard_ticket **shard_tickets_take(struct shard_tickets *pool, unsigned shard)
{
    CHECK(pool->counts[shard] > 0);
    return &pool->items[shard][--pool->counts[shard]];
}

void shard_tickets_release(struct shard_tickets *pool, size_t shard_count)
{
    for (unsigned i = 0; i < shard_count; i++) {
        while (pool->counts[i] > 0) {
            shard_release(shard_tickets_take(pool, i));
        }
    }
}

uint64_t pipeline_outlets(const struct pipeline *pipeline, uint32_t set)
{
    uint64_t outlets = 0;
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        const struct exporter_slot *slot = pipeline->exporters[__builtin_ctz(rest)];
        outlets |= slot->storage >= 0 ? UINT64_C(1) << slot->storage : 0;
    }
    return outlets;
}

struct journal_group *pipeline_group(struct journal_group **groups, unsigned shard)
{
    if (groups != NULL && groups[shard] == NULL) {
        groups[shard] = journal_group_new();
    }
    return groups != NULL ? groups[shard] : NULL;
}

// Gives back what was reserved for additions that were not made, so that in an outage a queue is
// full of spans and not of reservations.
static void charge_trim(struct parcel *parcel)
{
    size_t size = parcel->mode == PARCEL_ONLY ? parcel_rendered_size(parcel)
                                              : parcel->batch->body.len + parcel->edit_bytes;
    if (size < parcel->charge_bytes) {
        pipeline_release(parcel->pipeline, parcel->charge_bytes - size, parcel->own,
                         parcel->exporters);
        parcel->charge_bytes = size;
    }
}

void pipeline_push(struct parcel *parcel)
{
    const struct pipeline *pipeline = parcel->pipeline;
    uint32_t mask = parcel->exporters;
    if (mask == 0) {
        parcel_unref(&parcel);
        return;
    }
    parcel_unref(&parcel->before);
    charge_trim(parcel);
    for (uint32_t rest = mask & (mask - 1); rest != 0; rest &= rest - 1) {
        parcel_ref(parcel);  // one reference per exporter; ours is the first one's
    }
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        struct exporter_slot *slot = pipeline->exporters[i];
        slot->ops->push(atomic_load_explicit(&slot->exporter, memory_order_acquire),
                        &parcel->links[i]);
    }
}

void pipeline_drop(struct parcel **parcel)
{
    const struct pipeline *pipeline = (*parcel)->pipeline;
    pipeline_release(pipeline, (*parcel)->charge_bytes, (*parcel)->own, (*parcel)->exporters);
    if (pipeline->journal != NULL && (*parcel)->batch->entry != 0) {
        uint32_t owed = (*parcel)->exporters;
        journal_dropped(pipeline->journal, *parcel, pipeline_outlets(pipeline, owed));
        *parcel = NULL;
        return;
    }
    parcel_unref(parcel);
}

// The end of the chain. What was held, and what we made, leaves when its record is durable.
static void parcel_leaves(struct parcel *parcel, int shard_index)
{
    const struct pipeline *pipeline = parcel->pipeline;
    uint32_t owed = parcel->exporters | parcel->spilled;
    if (parcel->recorded && shard_index >= 0 && pipeline_outlets(pipeline, owed) != 0) {
        journal_group_release(pipeline_group(pipeline->groups, (unsigned)shard_index), parcel);
    } else {
        pipeline_push(parcel);
    }
}

// --- stage by stage ---

struct sorting {
    const struct pipeline *pipeline;
    const struct processor_slot *slot;
    struct item_place *places;  // of TAKE, then LOOK of the shard in question
    uint8_t *wants, *shards;    // per item of the parcel
    size_t count, capacity;
    size_t take_count, look_count;
    uint32_t take_shards, look_shards;
};

static bool sorting_item(void *arg, const struct item_view *view)
{
    struct sorting *sorting = arg;
    if (sorting->count == sorting->capacity) {
        return false;
    }
    enum want want = sorting->slot->ops->wants(sorting->slot->processor, view);
    unsigned shard = pipeline_shard_of(sorting->pipeline, view);
    sorting->places[sorting->count] = view->place;
    sorting->wants[sorting->count] = (uint8_t)want;
    sorting->shards[sorting->count++] = (uint8_t)shard;
    sorting->take_count += want == WANT_TAKE;
    sorting->look_count += want == WANT_LOOK;
    sorting->take_shards |= want == WANT_TAKE ? 1U << shard : 0;
    sorting->look_shards |= want == WANT_LOOK ? 1U << shard : 0;
    return true;
}

static size_t sorting_select(const struct sorting *sorting, enum want want, int shard,
                             struct item_place *out)
{
    size_t count = 0;
    for (size_t i = 0; i < sorting->count; i++) {
        if (sorting->wants[i] == want && (shard < 0 || sorting->shards[i] == shard)) {
            out[count++] = sorting->places[i];
        }
    }
    return count;
}

// A read-only copy of what stays in `parcel`, for one shard to look at.
static struct parcel *look_parcel(const struct parcel *parcel, const struct item_place *places,
                                  size_t count)
{
    batch_hold(parcel->batch);
    struct parcel *look = parcel_new(parcel->batch, PARCEL_ONLY, places, (uint32_t)count, 0);
    parcel_join(look, parcel->pipeline, parcel->alive);
    look->item_count = (uint32_t)count;
    return look;
}

// Hands the wanted items of *parcel to the shards; what nobody took stays in *parcel (NULL when all
// was taken).
static void stage_to_shards(struct parcel **parcel, const struct sorting *sorting,
                            struct item_place *scratch, int shard_index,
                            struct shard_tickets *tickets)
{
    const struct pipeline *pipeline = sorting->pipeline;
    struct processor *processor = sorting->slot->processor;
    for (unsigned s = 0; s < pipeline->shard_count; s++) {
        bool here = shard_index == (int)s;
        if ((sorting->look_shards & 1U << s) != 0) {
            size_t count = sorting_select(sorting, WANT_LOOK, (int)s, scratch);
            struct parcel *look = look_parcel(*parcel, scratch, count);
            if (here) {
                shard_look(pipeline->shards[s], processor, look);
                parcel_unref(&look);
            } else {
                shard_post_look(shard_tickets_take(tickets, s), processor, &look);
            }
        }
        if ((sorting->take_shards & 1U << s) != 0) {
            size_t count = sorting_select(sorting, WANT_TAKE, (int)s, scratch);
            struct parcel *take = parcel_split(*parcel, scratch, (uint32_t)count);
            if (take == NULL) {  // all that was left
                take = *parcel;
                *parcel = NULL;
            }
            if (here) {
                shard_take(pipeline->shards[s], processor, &take);
            } else {
                shard_post_take(shard_tickets_take(tickets, s), processor, &take);
            }
        }
        if (*parcel == NULL) {
            return;
        }
    }
}

static bool sorting_run(struct sorting *sorting, const struct parcel *parcel)
{
    size_t capacity = parcel->batch->item_count > parcel->item_count ? parcel->batch->item_count
                                                                     : parcel->item_count;
    size_t row = 2 * sizeof(struct item_place) + 2;
    uint8_t *memory = malloc(capacity * row + 1);
    if (memory == NULL) {
        return false;
    }
    sorting->places = (struct item_place *)(void *)memory;
    sorting->wants = memory + 2 * capacity * sizeof(struct item_place);
    sorting->shards = sorting->wants + capacity;
    sorting->capacity = capacity;
    parcel_each(parcel, sorting_item, sorting);
    return true;
}

static void stage_process(const struct processor_slot *slot, struct parcel **parcel)
{
    struct parcel *dropped = NULL;
    slot->ops->process(slot->processor, *parcel, &dropped);
    if (dropped == NULL) {
        return;
    }
    if (dropped == *parcel) {
        *parcel = NULL;
    }
    pipeline_drop(&dropped);
}

// One stage: true while something is left to go on with. The scratch for selections lies behind the
// sorting's places.
static void stage_run(struct parcel **parcel, const struct processor_slot *slot, int shard_index,
                      struct shard_tickets *tickets)
{
    const struct pipeline *pipeline = (*parcel)->pipeline;
    struct sorting sorting = {.pipeline = pipeline, .slot = slot};
    if ((*parcel)->bypass && slot->ops->shard != NULL) {
        return;
    }
    if ((*parcel)->edits != NULL) {
        parcel_detach(*parcel);  // each stage sees what those before it made
    }
    if (!sorting_run(&sorting, *parcel)) {
        return;  // no memory to sort: it goes by ungraded, which is the first rung of the ladder
    }
    if (sorting.take_count + sorting.look_count > 0) {
        if (slot->ops->shard == NULL) {
            stage_process(slot, parcel);
        } else {
            stage_to_shards(parcel, &sorting, sorting.places + sorting.capacity, shard_index,
                            tickets);
        }
    }
    free(sorting.places);
}

void pipeline_advance(struct parcel *parcel, int shard_index, struct shard_tickets *tickets)
{
    const struct pipeline *pipeline = parcel->pipeline;
    while (parcel->stage < pipeline->chain_count) {
        const struct processor_slot *slot = &pipeline->chain[parcel->stage++];
        stage_run(&parcel, slot, shard_index, tickets);
        if (parcel == NULL) {
            return;
        }
    }
    parcel_leaves(parcel, shard_index);
}

struct parcel *pipeline_bypass(struct parcel *parcel)
{
    const struct pipeline *pipeline = parcel->pipeline;
    size_t end = pipeline->chain_count;
    while (end > 0 && pipeline->chain[end - 1].ops->shard == NULL) {
        end--;
    }
    while (parcel != NULL && parcel->stage < end) {
        const struct processor_slot *slot = &pipeline->chain[parcel->stage++];
        stage_run(&parcel, slot, -1, NULL);
    }
    if (parcel != NULL && parcel->edits != NULL) {
        parcel_detach(parcel);  // as a sharded stage gets it
    }
    return parcel;
}

static bool is_edited_from(const struct pipeline *pipeline, size_t stage)
{
    while (stage < pipeline->chain_count && pipeline->chain[stage].ops->shard != NULL) {
        stage++;
    }
    return stage < pipeline->chain_count;
}

void pipeline_pass(struct parcel **parcel, int shard_index)
{
    struct parcel *moved = *parcel;
    *parcel = NULL;
    if (moved->recorded && !moved->own && is_edited_from(moved->pipeline, moved->stage)) {
        parcel_remember(moved);  // what is recorded goes by the same edits when it is handed on
    }
    struct shard_tickets none;
    memset(none.counts, 0, sizeof(none.counts));
    pipeline_advance(moved, shard_index,
                     &none);  // behind a sharded stage everything stays on this shard
}

void pipeline_init(struct pipeline *pipeline)
{
    memset(pipeline, 0, sizeof(*pipeline));
    pipeline->magic = PIPELINE_MAGIC;
}

static enum result emit_into(struct pipeline *pipeline, size_t stage, enum emit_to to,
                             struct batch *batch, uint32_t item_count, int shard_index)
{
    struct offer_reply reply = {0};
    uint32_t all = (uint32_t)((UINT64_C(1) << pipeline->exporter_count) - 1);
    uint32_t wanted = to == EMIT_TO_SCORELESS ? all & ~pipeline->native : all;
    uint32_t mask;
    if (wanted == 0) {
        return RESULT_MISSING;
    }
    uint32_t spilled = 0;
    bool has_journal = pipeline->journal != NULL && journal_is_well(pipeline->journal);
    enum result result = pipeline_reserve(pipeline, wanted, item_count, batch->body.len, true,
                                          &mask, has_journal ? &spilled : NULL, &reply);
    if (result != RESULT_OK) {
        return RESULT_SHED;
    }
    if (has_journal) {  // each way is an entry of its own
        struct metadata *metadata = metadata_hold(batch->metadata);
        batch = batch_make(batch->signal, batch->body, batch->received_ns);
        batch->metadata = metadata;
        batch->item_count = item_count;
    } else {
        batch_hold(batch);
    }
    struct parcel *parcel =
        parcel_new(batch, PARCEL_ALL, NULL, 0, (uint32_t)pipeline->exporter_count);
    parcel_join(parcel, pipeline, &pipeline->alive);
    parcel->exporters = mask;
    parcel->item_count = item_count;
    parcel->charge_bytes = batch->body.len;
    parcel->own = true;
    parcel->recorded = has_journal;
    parcel->spilled = spilled;
    parcel->stage = (uint32_t)stage;
    pipeline_pass(&parcel, shard_index);
    return RESULT_OK;
}

enum result pipeline_emit(struct pipeline *const *pipelines, size_t count,
                          struct processor *processor, enum signal signal, enum emit_to to,
                          struct batch **batch, uint32_t item_count, int shard_index)
{
    enum result result = RESULT_MISSING;
    (*batch)->item_count = item_count;
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; pipelines[i]->signal == signal && s < pipelines[i]->chain_count; s++) {
            if (pipelines[i]->chain[s].processor == processor) {
                enum result one =
                    emit_into(pipelines[i], s + 1, to, *batch, item_count, shard_index);
                result = result == RESULT_MISSING || one == RESULT_SHED ? one : result;
            }
        }
    }
    batch_release(batch);
    return result;
}
