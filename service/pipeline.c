// SPDX-License-Identifier: Apache-2.0
//
// The switchboard. A request is planned first (one scan that asks every processor what it wants,
// then reservations at exporters and shards) and committed after: whatever fails before the commit
// leaves nothing behind. The fast path is a chain in which one sharded processor wants something:
// its items are sorted during the scan. Everything else (editing processors, several stages) takes
// the general path, which walks the parcel at each stage. Refused: a queue in front of each
// processor, and deciding per span. Bounds: marks grow with the request's items (20 bytes each,
// freed at the end of the call); exporters 32; shards 16. Any I/O or ingest thread; the pass side
// on shard threads.

#include "service/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/scan.h"

#define PIPELINE_MAGIC MAGIC('P', 'I', 'P', 'E')
#define MARKS_LOCAL 128
#define RETRY_AFTER_S 5

enum mark_kind { MARK_REJECTED, MARK_LOOK, MARK_TAKE };

struct mark {
    struct item_place place;
    uint32_t len;
    uint8_t kind, shard;
};

// Room for messages at shards, reserved before the commit; what is left over is given back.
struct ticket_pool {
    uint8_t counts[PIPELINE_SHARDS_MAX];
    struct shard_ticket *items[PIPELINE_SHARDS_MAX][2 * SETTINGS_CHAIN_MAX];  // valid up to counts
};

struct plan {
    struct pipeline *pipeline;
    struct batch *batch;
    struct mark *marks;
    size_t mark_count, mark_capacity;
    size_t take_count, look_count, rejected_count;
    size_t take_bytes;
    uint32_t take_shards, look_shards;  // bit sets
    int stage;                          // the one sharded stage that wants something; -1: none
    bool general;                       // something else wants something
    bool out_of_memory;
    size_t charge_bytes;
    uint32_t exporters;
    struct scan_report report;
    struct ticket_pool tickets;  // from here on not cleared, but for its counts
    struct mark local[MARKS_LOCAL];
};

static void mark_add(struct plan *plan, const struct item_view *view, enum mark_kind kind,
                     unsigned shard)
{
    if (plan->mark_count == plan->mark_capacity) {
        size_t capacity = plan->mark_capacity * 2;
        struct mark *marks = plan->marks == plan->local
                                 ? malloc(capacity * sizeof(*marks))
                                 : realloc(plan->marks, capacity * sizeof(*marks));
        if (marks == NULL) {
            plan->out_of_memory = true;
            return;
        }
        if (plan->marks == plan->local) {
            memcpy(marks, plan->local, sizeof(plan->local));
        }
        plan->marks = marks;
        plan->mark_capacity = capacity;
    }
    plan->marks[plan->mark_count++] = (struct mark){.place = view->place,
                                                    .len = (uint32_t)view->item.len,
                                                    .kind = (uint8_t)kind,
                                                    .shard = (uint8_t)shard};
}

static unsigned shard_of(const struct pipeline *pipeline, const struct item_view *view)
{
    return shard_of_trace(view->trace_id, (unsigned)pipeline->shard_count);
}

// Asks every processor of the chain; remembers what the first one that wants the item wants.
static void plan_ask(struct plan *plan, const struct item_view *view)
{
    const struct pipeline *pipeline = plan->pipeline;
    bool taken = false;
    for (size_t i = 0; i < pipeline->chain_count; i++) {
        const struct processor_slot *slot = &pipeline->chain[i];
        enum want want = slot->ops->wants(slot->processor, view);
        if (want == WANT_NOTHING) {
            continue;
        }
        if (slot->ops->shard == NULL || (plan->stage >= 0 && plan->stage != (int)i)) {
            plan->general = true;
            plan->take_count += want == WANT_TAKE && !taken;
            taken = true;
            continue;
        }
        plan->stage = (int)i;
        unsigned shard = shard_of(pipeline, view);
        if (want == WANT_TAKE) {
            plan->take_count++;
            plan->take_bytes += view->item.len;
            plan->take_shards |= 1U << shard;
            mark_add(plan, view, MARK_TAKE, shard);
        } else {
            plan->look_count++;
            plan->look_shards |= 1U << shard;
            if (pipeline->shard_count > 1) {  // with one shard a look is at all of it
                mark_add(plan, view, MARK_LOOK, shard);
            }
        }
        taken = true;
    }
}

static bool plan_item(void *arg, const struct item_view *view)
{
    struct plan *plan = arg;
    if (view->fault != SCAN_OK) {
        plan->rejected_count++;
        mark_add(plan, view, MARK_REJECTED, 0);
    } else {
        plan_ask(plan, view);
    }
    return !plan->out_of_memory;
}

static void plan_init(struct plan *plan, struct pipeline *pipeline, struct batch *batch)
{
    CHECK(pipeline->magic == PIPELINE_MAGIC);
    memset(plan, 0, offsetof(struct plan, tickets) + sizeof(plan->tickets.counts));
    plan->pipeline = pipeline;
    plan->batch = batch;
    plan->marks = plan->local;
    plan->mark_capacity = MARKS_LOCAL;
    plan->stage = -1;
}

static void plan_fini(struct plan *plan)
{
    if (plan->marks != plan->local) {
        free(plan->marks);
    }
}

static void release_exporters(const struct pipeline *pipeline, size_t bytes, bool own,
                              uint32_t mask)
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
static enum result reserve_exporters(struct pipeline *pipeline, uint32_t items, size_t bytes,
                                     bool own, uint32_t *mask, struct offer_reply *reply)
{
    *mask = 0;
    enum result refused = RESULT_RETRY;
    bool insists = false;
    for (size_t i = 0; i < pipeline->exporter_count; i++) {
        struct exporter_slot *slot = pipeline->exporters[i];
        struct exporter *exporter = atomic_load_explicit(&slot->exporter, memory_order_acquire);
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
    if ((*mask != 0 && !insists) || pipeline->exporter_count == 0) {
        reply->message[0] = '\0';
        return RESULT_OK;
    }
    release_exporters(pipeline, bytes, own, *mask);
    *mask = 0;
    reply->retry_after_s = RETRY_AFTER_S;
    return refused;
}

static unsigned sharded_stages(const struct pipeline *pipeline)
{
    unsigned count = 0;
    for (size_t i = 0; i < pipeline->chain_count; i++) {
        count += pipeline->chain[i].ops->shard != NULL;
    }
    return count;
}

// How many messages the commit may post to shard `index`: a look and a take for each sharded stage.
static unsigned messages_for(const struct plan *plan, unsigned index)
{
    if (plan->general) {
        return 2 * sharded_stages(plan->pipeline);
    }
    unsigned take = plan->take_shards >> index & 1;
    unsigned look = plan->look_shards >> index & 1;
    return take + look;
}

static struct shard_ticket **ticket_take(struct ticket_pool *pool, unsigned shard)
{
    CHECK(pool->counts[shard] > 0);
    return &pool->items[shard][--pool->counts[shard]];
}

static void tickets_release(struct ticket_pool *pool, size_t shard_count)
{
    for (unsigned i = 0; i < shard_count; i++) {
        while (pool->counts[i] > 0) {
            shard_release(ticket_take(pool, i));
        }
    }
}

static enum result reserve_shards(struct plan *plan, struct offer_reply *reply)
{
    const struct pipeline *pipeline = plan->pipeline;
    struct ticket_pool *pool = &plan->tickets;
    for (unsigned i = 0; i < pipeline->shard_count; i++) {
        for (unsigned count = messages_for(plan, i); count > 0; count--) {
            struct shard_ticket *ticket = shard_reserve(pipeline->shards[i]);
            if (ticket == NULL) {
                tickets_release(pool, pipeline->shard_count);
                snprintf(reply->message, sizeof(reply->message),
                         "too many requests wait for evaluation");
                reply->retry_after_s = RETRY_AFTER_S;
                return RESULT_SHED;
            }
            pool->items[i][pool->counts[i]++] = ticket;
        }
    }
    return RESULT_OK;
}

// Scans and reserves. After RESULT_OK the plan must be committed or aborted.
static enum result plan_make(struct plan *plan, struct offer_reply *reply)
{
    const struct batch *batch = plan->batch;
    enum result result =
        scan_request(batch->signal, batch->body, SCAN_CHECK_UTF8, plan_item, plan, &plan->report);
    if (result == RESULT_REJECT) {
        snprintf(reply->message, sizeof(reply->message), "malformed request at byte %zu: %s",
                 plan->report.fault_at, scan_fault_text(plan->report.first_fault));
        return RESULT_REJECT;
    }
    if (result != RESULT_OK) {
        snprintf(reply->message, sizeof(reply->message),
                 "out of memory for the index of this request");
        reply->retry_after_s = RETRY_AFTER_S;
        return RESULT_SHED;
    }
    plan->charge_bytes = batch->body.len + plan->take_count * PIPELINE_TARGET_BYTES;
    result =
        reserve_exporters(plan->pipeline, plan->report.item_count - plan->report.rejected_count,
                          plan->charge_bytes, false, &plan->exporters, reply);
    if (result != RESULT_OK) {
        return result;
    }
    result = reserve_shards(plan, reply);
    if (result != RESULT_OK) {
        release_exporters(plan->pipeline, plan->charge_bytes, false, plan->exporters);
    }
    return result;
}

static void plan_abort(struct plan *plan)
{
    release_exporters(plan->pipeline, plan->charge_bytes, false, plan->exporters);
    tickets_release(&plan->tickets, plan->pipeline->shard_count);
}

static struct parcel *plan_parcel(const struct plan *plan, enum parcel_mode mode,
                                  const struct item_place *places, size_t count, uint32_t items)
{
    batch_hold(plan->batch);
    struct parcel *parcel = parcel_new(plan->batch, mode, places, (uint32_t)count,
                                       (uint32_t)plan->pipeline->exporter_count);
    parcel->pipeline = plan->pipeline;
    parcel->exporters = plan->exporters;
    parcel->item_count = items;
    return parcel;
}

// The places of the marks of these kinds (bit set) on one shard, or on all (-1).
static size_t marks_collect(const struct plan *plan, unsigned kinds, int shard,
                            struct item_place *places)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->mark_count; i++) {
        const struct mark *mark = &plan->marks[i];
        if ((kinds & 1U << mark->kind) != 0 &&
            (shard < 0 || mark->shard == shard || mark->kind == MARK_REJECTED)) {
            places[count++] = mark->place;
        }
    }
    return count;
}

// All but the rejected items, as one parcel.
static struct parcel *plan_parcel_sound(const struct plan *plan, struct item_place *places)
{
    uint32_t items = plan->report.item_count - plan->report.rejected_count;
    if (plan->rejected_count == 0) {
        return plan_parcel(plan, PARCEL_ALL, NULL, 0, items);
    }
    size_t count = marks_collect(plan, 1U << MARK_REJECTED, -1, places);
    return plan_parcel(plan, PARCEL_EXCEPT, places, count, items);
}

static void push_to_exporters(struct parcel *parcel)
{
    const struct pipeline *pipeline = parcel->pipeline;
    uint32_t mask = parcel->exporters;
    if (mask == 0) {
        parcel_unref(&parcel);
        return;
    }
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
    release_exporters((*parcel)->pipeline, (*parcel)->charge_bytes, (*parcel)->own,
                      (*parcel)->exporters);
    parcel_unref(parcel);
}

// --- the general path: stage by stage ---

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
    unsigned shard = shard_of(sorting->pipeline, view);
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
    look->pipeline = parcel->pipeline;
    look->item_count = (uint32_t)count;
    return look;
}

// Hands the wanted items of *parcel to the shards; what nobody took stays in *parcel (NULL when all
// was taken).
static void stage_to_shards(struct parcel **parcel, const struct sorting *sorting,
                            struct item_place *scratch, int shard_index,
                            struct ticket_pool *tickets)
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
                shard_post_look(ticket_take(tickets, s), processor, &look);
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
                shard_post_take(ticket_take(tickets, s), processor, &take);
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
                      struct ticket_pool *tickets)
{
    const struct pipeline *pipeline = (*parcel)->pipeline;
    struct sorting sorting = {.pipeline = pipeline, .slot = slot};
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

static void pipeline_advance(struct parcel *parcel, int shard_index, struct ticket_pool *tickets)
{
    const struct pipeline *pipeline = parcel->pipeline;
    while (parcel->stage < pipeline->chain_count) {
        const struct processor_slot *slot = &pipeline->chain[parcel->stage++];
        stage_run(&parcel, slot, shard_index, tickets);
        if (parcel == NULL) {
            return;
        }
    }
    push_to_exporters(parcel);
}

void pipeline_pass(struct parcel **parcel, int shard_index)
{
    struct parcel *moved = *parcel;
    *parcel = NULL;
    struct ticket_pool none;
    memset(none.counts, 0, sizeof(none.counts));
    pipeline_advance(moved, shard_index,
                     &none);  // behind a sharded stage everything stays on this shard
}

// --- committing ---

static void commit_general(struct plan *plan, struct item_place *places)
{
    struct parcel *parcel = plan_parcel_sound(plan, places);
    parcel->charge_bytes = plan->charge_bytes;
    parcel->stage = 0;
    pipeline_advance(parcel, -1, &plan->tickets);
}

// A request that came compressed waits as a whole when one shard owns all its possible targets
// (DESIGN 8).
static bool plan_waits_whole(const struct plan *plan)
{
    return plan->batch->packed.len > 0 && plan->take_shards != 0 &&
           (plan->take_shards & (plan->take_shards - 1)) == 0 &&
           (plan->look_shards & ~plan->take_shards) == 0;
}

static void commit_looks(struct plan *plan, struct item_place *places)
{
    const struct pipeline *pipeline = plan->pipeline;
    struct processor *processor = pipeline->chain[plan->stage].processor;
    for (unsigned s = 0; s < pipeline->shard_count; s++) {
        if ((plan->look_shards & 1U << s) == 0) {
            continue;
        }
        struct parcel *look;
        if (pipeline->shard_count == 1) {  // all that is neither rejected nor taken
            size_t count = marks_collect(plan, 1U << MARK_REJECTED | 1U << MARK_TAKE, -1, places);
            look = plan_parcel(plan, count == 0 ? PARCEL_ALL : PARCEL_EXCEPT, places, count,
                               (uint32_t)plan->look_count);
        } else {
            size_t count = marks_collect(plan, 1U << MARK_LOOK, (int)s, places);
            look = plan_parcel(plan, PARCEL_ONLY, places, count, (uint32_t)count);
        }
        look->exporters = 0;
        shard_post_look(ticket_take(&plan->tickets, s), processor, &look);
    }
}

static size_t commit_takes(struct plan *plan, struct item_place *places)
{
    const struct pipeline *pipeline = plan->pipeline;
    struct processor *processor = pipeline->chain[plan->stage].processor;
    size_t charged = 0;
    for (unsigned s = 0; s < pipeline->shard_count; s++) {
        if ((plan->take_shards & 1U << s) == 0) {
            continue;
        }
        size_t count = 0, bytes = 0;
        for (size_t i = 0; i < plan->mark_count; i++) {
            if (plan->marks[i].kind == MARK_TAKE && plan->marks[i].shard == s) {
                places[count++] = plan->marks[i].place;
                bytes += plan->marks[i].len + PIPELINE_TARGET_BYTES;
            }
        }
        struct parcel *take = plan_parcel(plan, PARCEL_ONLY, places, count, (uint32_t)count);
        take->charge_bytes = bytes;
        take->stage = (uint32_t)plan->stage + 1;
        charged += bytes;
        shard_post_take(ticket_take(&plan->tickets, s), processor, &take);
    }
    return charged;
}

static void commit_whole(struct plan *plan, struct item_place *places)
{
    unsigned shard = (unsigned)__builtin_ctz(plan->take_shards);
    struct parcel *take = plan_parcel_sound(plan, places);
    take->charge_bytes = plan->charge_bytes;
    take->stage = (uint32_t)plan->stage + 1;
    shard_post_take(ticket_take(&plan->tickets, shard),
                    plan->pipeline->chain[plan->stage].processor, &take);
}

static void commit_sorted(struct plan *plan, struct item_place *places)
{
    if (plan_waits_whole(plan)) {
        commit_whole(plan, places);
        return;
    }
    if (plan->look_shards != 0) {
        commit_looks(plan, places);
    }
    size_t taken = plan->take_count > 0 ? commit_takes(plan, places) : 0;
    uint32_t rest =
        plan->report.item_count - plan->report.rejected_count - (uint32_t)plan->take_count;
    if (rest == 0 && plan->take_count > 0) {
        release_exporters(plan->pipeline, plan->charge_bytes - taken, false, plan->exporters);
        return;
    }
    size_t count = marks_collect(plan, 1U << MARK_REJECTED | 1U << MARK_TAKE, -1, places);
    struct parcel *parcel =
        plan_parcel(plan, count == 0 ? PARCEL_ALL : PARCEL_EXCEPT, places, count, rest);
    parcel->charge_bytes = plan->charge_bytes - taken;
    parcel->stage = (uint32_t)plan->pipeline->chain_count;
    push_to_exporters(parcel);
}

static void plan_commit(struct plan *plan)
{
    struct item_place local[MARKS_LOCAL];
    struct item_place *places = local;
    if (plan->mark_count > MARKS_LOCAL) {
        places = malloc(plan->mark_count * sizeof(*places));
        CHECK(places != NULL);
    }
    if (plan->general) {
        commit_general(plan, places);
    } else {
        commit_sorted(plan, places);
    }
    tickets_release(&plan->tickets, plan->pipeline->shard_count);
    if (places != local) {
        free(places);
    }
}

static void reply_partial(const struct plan *plan, struct offer_reply *reply)
{
    if (plan->report.rejected_count > 0) {
        reply->rejected_count = plan->report.rejected_count;
        snprintf(reply->message, sizeof(reply->message),
                 "%u of %u %s left out; the first, \"%s\": %s", plan->report.rejected_count,
                 plan->report.item_count, signal_items(plan->batch->signal),
                 plan->report.first_name, scan_fault_text(plan->report.first_fault));
    }
}

// Plans the request for every pipeline; undoes the plans made when one of them cannot take it.
static enum result entry_plan(struct pipeline_entry *entry, struct plan *plans, struct batch *batch,
                              struct offer_reply *reply)
{
    for (size_t i = 0; i < entry->count; i++) {
        plan_init(&plans[i], entry->pipelines[i], batch);
        enum result result = plan_make(&plans[i], reply);
        if (result != RESULT_OK) {
            plan_fini(&plans[i]);
            while (i-- > 0) {
                plan_abort(&plans[i]);
                plan_fini(&plans[i]);
            }
            return result;
        }
    }
    return RESULT_OK;
}

static void entry_commit(struct pipeline_entry *entry, struct plan *plans, struct batch *batch,
                         struct offer_reply *reply)
{
    batch->item_count = plans[0].report.item_count - plans[0].report.rejected_count;
    reply_partial(&plans[0], reply);
    for (size_t i = 0; i < entry->count; i++) {
        if (batch->item_count > 0) {
            plan_commit(&plans[i]);
        } else {
            plan_abort(&plans[i]);  // nothing to forward: success without entering the pipeline
        }
        plan_fini(&plans[i]);
    }
}

static enum result entry_offer(struct sink *sink, struct batch **batch, struct offer_reply *reply)
{
    struct pipeline_entry *entry = (struct pipeline_entry *)(void *)sink;
    struct plan plans[SETTINGS_PIPELINES_MAX];
    memset(reply, 0, sizeof(*reply));
    enum result result = entry_plan(entry, plans, *batch, reply);
    if (result == RESULT_OK) {
        entry_commit(entry, plans, *batch, reply);
    } else if (result != RESULT_REJECT &&
               log_episode_opens(&entry->refused, clock_mono_ns(), 60 * NS_PER_S)) {
        log_line(LOG_WARN, "service/pipeline", "refusing requests",
                 LOG_TEXT("pipeline", entry->pipelines[0]->id), LOG_TEXT("why", reply->message));
    }
    batch_release(batch);
    return result;
}

void pipeline_init(struct pipeline *pipeline)
{
    memset(pipeline, 0, sizeof(*pipeline));
    pipeline->magic = PIPELINE_MAGIC;
}

void pipeline_entry_init(struct pipeline_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->sink.offer = entry_offer;
}

static enum result emit_into(struct pipeline *pipeline, size_t stage, struct batch *batch,
                             uint32_t item_count, int shard_index)
{
    struct offer_reply reply = {0};
    uint32_t mask;
    enum result result =
        reserve_exporters(pipeline, item_count, batch->body.len, true, &mask, &reply);
    if (result != RESULT_OK) {
        return RESULT_SHED;
    }
    batch_hold(batch);
    struct parcel *parcel =
        parcel_new(batch, PARCEL_ALL, NULL, 0, (uint32_t)pipeline->exporter_count);
    parcel->pipeline = pipeline;
    parcel->exporters = mask;
    parcel->item_count = item_count;
    parcel->charge_bytes = batch->body.len;
    parcel->own = true;
    parcel->stage = (uint32_t)stage;
    pipeline_pass(&parcel, shard_index);
    return RESULT_OK;
}

enum result pipeline_emit(struct pipeline *const *pipelines, size_t count,
                          struct processor *processor, enum signal signal, struct batch **batch,
                          uint32_t item_count, int shard_index)
{
    enum result result = RESULT_MISSING;
    (*batch)->item_count = item_count;
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; pipelines[i]->signal == signal && s < pipelines[i]->chain_count; s++) {
            if (pipelines[i]->chain[s].processor == processor) {
                enum result one = emit_into(pipelines[i], s + 1, *batch, item_count, shard_index);
                result = result == RESULT_MISSING || one != RESULT_OK ? one : result;
            }
        }
    }
    batch_release(batch);
    return result;
}
