// SPDX-License-Identifier: Apache-2.0
//
// A request is planned first (one scan that asks every processor what it wants, then reservations
// at exporters and shards) and committed after: whatever fails before the commit leaves nothing
// behind. The fast path is a chain in which one sharded processor wants something: its items are
// sorted during the scan. Everything else (editing processors, several stages) takes the general
// path, which walks the parcel at each stage (pipeline.c).
//
// Refused: deciding per span. Bounds: a mark of 20 bytes for every 16 bytes of the request (freed
// at the end of the call): what has more is not telemetry; notes to half of its size. Any I/O or
// ingest thread.

#include "service/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/scan.h"

#define MARKS_LOCAL 128
#define NOTES_MIN 4
#define MARK_REQUEST_BYTES 16  // a span with its ids has 30
#define RETRY_AFTER_S 5

enum mark_kind { MARK_REJECTED, MARK_LOOK, MARK_TAKE };

struct mark {
    struct item_place place;
    uint32_t len;
    uint8_t kind, shard;
};

// Of what the one sharded stage looks at (component.h); on the heap, given to the looked-at parcel.
struct notes {
    uint8_t *ptr;
    size_t each;  // bytes of one; 0: the stage takes none, or they are given up
    size_t count, capacity;
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
    bool too_many;  // more marks than a request of this size may have
    struct notes notes;
    size_t charge_bytes;
    uint32_t exporters;
    struct scan_report report;
    struct shard_tickets tickets;  // from here on not cleared, but for its counts
    struct mark local[MARKS_LOCAL];
};

static void mark_add(struct plan *plan, const struct item_view *view, enum mark_kind kind,
                     unsigned shard)
{
    if (plan->mark_count >= MARKS_LOCAL &&
        plan->mark_count > plan->batch->body.len / MARK_REQUEST_BYTES) {
        plan->too_many = true;
        return;
    }
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

// Room for one more note; NULL when they would take more than half of the request's size, which is
// all that they are charged as: then the shard reads the request itself.
static void *note_room(struct plan *plan)
{
    struct notes *notes = &plan->notes;
    if (notes->each == 0) {
        return NULL;
    }
    if (notes->count == notes->capacity) {
        size_t capacity = notes->capacity > 0 ? notes->capacity * 2 : NOTES_MIN;
        size_t most = plan->batch->body.len / 2 / notes->each + 1;
        capacity = capacity < most ? capacity : most;
        uint8_t *ptr = capacity > notes->count ? realloc(notes->ptr, capacity * notes->each) : NULL;
        if (ptr == NULL) {
            notes->each = 0;
            return NULL;
        }
        notes->ptr = ptr;
        notes->capacity = capacity;
    }
    return notes->ptr + notes->count * notes->each;
}

static enum want slot_wants(struct plan *plan, const struct processor_slot *slot,
                            const struct item_view *view)
{
    bool noted = slot->ops->shard != NULL && slot->ops->shard->note_bytes > 0;
    void *note = noted && !plan->general ? note_room(plan) : NULL;
    if (note == NULL) {
        return slot->ops->wants(slot->processor, view);
    }
    const struct notes *notes = &plan->notes;
    const uint8_t *before = notes->count > 0 ? (uint8_t *)note - notes->each : NULL;
    enum want want = slot->ops->shard->wants_noted(slot->processor, view, before, note);
    plan->notes.count += want == WANT_LOOK;
    return want;
}

// Asks every processor of the chain; remembers what the first one that wants the item wants.
static void plan_ask(struct plan *plan, const struct item_view *view)
{
    const struct pipeline *pipeline = plan->pipeline;
    bool taken = false;
    for (size_t i = 0; i < pipeline->chain_count; i++) {
        const struct processor_slot *slot = &pipeline->chain[i];
        enum want want = slot_wants(plan, slot, view);
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
        unsigned shard = pipeline_shard_of(pipeline, view);
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
    return !plan->out_of_memory && !plan->too_many;
}

// The size of a note where one stage alone takes any.
static size_t notes_of(const struct pipeline *pipeline)
{
    size_t each = 0;
    for (size_t i = 0; i < pipeline->chain_count; i++) {
        const struct shard_ops *shard = pipeline->chain[i].ops->shard;
        if (shard != NULL && shard->note_bytes > 0) {
            each = each == 0 ? shard->note_bytes : 0;
        }
    }
    return each;
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
    plan->notes.each = notes_of(pipeline);
}

static void plan_fini(struct plan *plan)
{
    free(plan->notes.ptr);
    if (plan->marks != plan->local) {
        free(plan->marks);
    }
}

// How many messages the commit may post to shard `index`: a look and a take for each sharded stage.
static unsigned messages_for(const struct plan *plan, unsigned index)
{
    if (plan->general) {
        return 2 * pipeline_sharded_stages(plan->pipeline);
    }
    unsigned take = plan->take_shards >> index & 1;
    unsigned look = plan->look_shards >> index & 1;
    return take + look;
}

static enum result reserve_shards(struct plan *plan, struct offer_reply *reply)
{
    const struct pipeline *pipeline = plan->pipeline;
    struct shard_tickets *pool = &plan->tickets;
    for (unsigned i = 0; i < pipeline->shard_count; i++) {
        for (unsigned count = messages_for(plan, i); count > 0; count--) {
            struct shard_ticket *ticket = shard_reserve(pipeline->shards[i]);
            if (ticket == NULL) {
                shard_tickets_release(pool, pipeline->shard_count);
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
    if (plan->too_many) {
        snprintf(
            reply->message, sizeof(reply->message),
            "%zu of the first %u %s are faulty: the request is refused as a whole; the first: %s",
            plan->rejected_count, plan->report.item_count, signal_items(batch->signal),
            scan_fault_text(plan->report.first_fault));
        return RESULT_REJECT;
    }
    if (result != RESULT_OK) {
        snprintf(reply->message, sizeof(reply->message),
                 "out of memory for the index of this request");
        reply->retry_after_s = RETRY_AFTER_S;
        return RESULT_SHED;
    }
    plan->charge_bytes = batch->body.len + plan->take_count * PIPELINE_TARGET_BYTES;
    result = pipeline_reserve(plan->pipeline, plan->report.item_count - plan->report.rejected_count,
                              plan->charge_bytes, false, &plan->exporters, reply);
    if (result != RESULT_OK) {
        return result;
    }
    result = reserve_shards(plan, reply);
    if (result != RESULT_OK) {
        pipeline_release(plan->pipeline, plan->charge_bytes, false, plan->exporters);
    }
    return result;
}

static void plan_abort(struct plan *plan)
{
    pipeline_release(plan->pipeline, plan->charge_bytes, false, plan->exporters);
    shard_tickets_release(&plan->tickets, plan->pipeline->shard_count);
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

// The notes of what one shard looks at; NULL: it reads the request itself.
static void *notes_take(struct plan *plan, int shard, size_t look_count)
{
    struct notes *notes = &plan->notes;
    if (notes->each == 0 || notes->count != plan->look_count) {
        return NULL;
    }
    if (shard < 0) {
        void *all = notes->ptr;
        notes->ptr = NULL;
        return all;
    }
    uint8_t *own = malloc(look_count * notes->each);
    uint8_t *end = own;
    const uint8_t *note = notes->ptr;
    for (size_t i = 0; own != NULL && i < plan->mark_count; i++) {
        if (plan->marks[i].kind == MARK_LOOK) {  // one note each, in their order
            if (plan->marks[i].shard == shard) {
                memcpy(end, note, notes->each);
                end += notes->each;
            }
            note += notes->each;
        }
    }
    return own;
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
            look->notes = notes_take(plan, -1, plan->look_count);
        } else {
            size_t count = marks_collect(plan, 1U << MARK_LOOK, (int)s, places);
            look = plan_parcel(plan, PARCEL_ONLY, places, count, (uint32_t)count);
            look->notes = notes_take(plan, (int)s, count);
        }
        look->exporters = 0;
        shard_post_look(shard_tickets_take(&plan->tickets, s), processor, &look);
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
        shard_post_take(shard_tickets_take(&plan->tickets, s), processor, &take);
    }
    return charged;
}

static void commit_whole(struct plan *plan, struct item_place *places)
{
    unsigned shard = (unsigned)__builtin_ctz(plan->take_shards);
    struct parcel *take = plan_parcel_sound(plan, places);
    take->charge_bytes = plan->charge_bytes;
    take->stage = (uint32_t)plan->stage + 1;
    shard_post_take(shard_tickets_take(&plan->tickets, shard),
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
        pipeline_release(plan->pipeline, plan->charge_bytes - taken, false, plan->exporters);
        return;
    }
    size_t count = marks_collect(plan, 1U << MARK_REJECTED | 1U << MARK_TAKE, -1, places);
    struct parcel *parcel =
        plan_parcel(plan, count == 0 ? PARCEL_ALL : PARCEL_EXCEPT, places, count, rest);
    parcel->charge_bytes = plan->charge_bytes - taken;
    parcel->stage = (uint32_t)plan->pipeline->chain_count;
    pipeline_push(parcel);
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
    shard_tickets_release(&plan->tickets, plan->pipeline->shard_count);
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
static enum result door_plan(struct door *door, struct plan *plans, struct batch *batch,
                             struct offer_reply *reply)
{
    for (size_t i = 0; i < door->count; i++) {
        plan_init(&plans[i], door->pipelines[i], batch);
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

static void door_commit(struct door *door, struct plan *plans, struct batch *batch,
                        struct offer_reply *reply)
{
    batch->item_count = plans[0].report.item_count - plans[0].report.rejected_count;
    reply_partial(&plans[0], reply);
    for (size_t i = 0; i < door->count; i++) {
        if (batch->item_count > 0) {
            plan_commit(&plans[i]);
        } else {
            plan_abort(&plans[i]);  // nothing to forward: success without entering the pipeline
        }
        plan_fini(&plans[i]);
    }
}

static enum result door_offer(struct sink *sink, struct batch **batch, struct offer_reply *reply)
{
    struct door *door = (struct door *)(void *)sink;
    struct plan plans[SETTINGS_PIPELINES_MAX];
    memset(reply, 0, sizeof(*reply));
    enum result result = door_plan(door, plans, *batch, reply);
    if (result == RESULT_OK) {
        door_commit(door, plans, *batch, reply);
    } else if (result != RESULT_REJECT &&
               log_episode_opens(&door->refused, clock_mono_ns(), 60 * NS_PER_S)) {
        log_line(LOG_WARN, "service/pipeline", "refusing requests",
                 LOG_TEXT("pipeline", door->pipelines[0]->id), LOG_TEXT("why", reply->message));
    }
    batch_release(batch);
    return result;
}

void door_init(struct door *door)
{
    memset(door, 0, sizeof(*door));
    door->sink.offer = door_offer;
}
