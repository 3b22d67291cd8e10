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

enum mark_kind { MARK_REJECTED, MARK_LOOK, MARK_TAKE, MARK_ELSEWHERE };
#define MARKS_LEFT_OUT (1U << MARK_REJECTED | 1U << MARK_ELSEWHERE)

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
    size_t elsewhere_count;       // sound items of other generations' traces
    const struct routes *routes;  // NULL: all items go this way
    unsigned party;
    size_t edit_count;  // items that an editing processor wants
    size_t take_bytes;
    uint32_t take_shards, look_shards;  // bit sets
    int stage;                          // the one sharded stage that wants something; -1: none
    bool general;                       // something else wants something
    bool out_of_memory;
    bool too_many;  // more marks than a request of this size may have
    struct notes notes;
    size_t charge_bytes;
    uint32_t exporters;
    struct loop_sample *sample;  // gets the sound items; NULL: it is not asked for
    bool may_spill;              // the journal keeps it for exporters that have no room
    uint32_t spilled;            // those
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
        if (slot->ops->shard == NULL) {
            plan->general = true;
            plan->edit_count++;
            continue;
        }
        if (plan->stage >= 0 && plan->stage != (int)i) {
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
    if (plan->sample != NULL && view->fault == SCAN_OK) {
        loop_sample_add(plan->sample, view);
    }
    if (view->fault != SCAN_OK) {
        plan->rejected_count++;
        mark_add(plan, view, MARK_REJECTED, 0);
    } else if (plan->routes != NULL && routes_party(plan->routes, view) != plan->party) {
        plan->elsewhere_count++;
        mark_add(plan, view, MARK_ELSEWHERE, 0);
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

// Items that go this way.
static uint32_t plan_items(const struct plan *plan)
{
    return plan->report.item_count - plan->report.rejected_count - (uint32_t)plan->elsewhere_count;
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
    plan->charge_bytes = batch->body.len + plan->take_count * PIPELINE_TARGET_BYTES +
                         plan->edit_count * PIPELINE_EDIT_BYTES;
    result = pipeline_reserve(plan->pipeline, PIPELINE_ALL_EXPORTERS, plan_items(plan),
                              plan->charge_bytes, false, &plan->exporters,
                              plan->may_spill ? &plan->spilled : NULL, reply);
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
    parcel_join(parcel, plan->pipeline, &plan->pipeline->alive);
    parcel->exporters = plan->exporters;
    parcel->spilled = plan->spilled;
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
        if ((kinds & 1U << mark->kind) != 0 && (shard < 0 || mark->shard == shard)) {
            places[count++] = mark->place;
        }
    }
    return count;
}

// All but what is left out, as one parcel.
static struct parcel *plan_parcel_sound(const struct plan *plan, struct item_place *places)
{
    uint32_t items = plan_items(plan);
    if (plan->rejected_count + plan->elsewhere_count == 0) {
        return plan_parcel(plan, PARCEL_ALL, NULL, 0, items);
    }
    size_t count = marks_collect(plan, MARKS_LEFT_OUT, -1, places);
    return plan_parcel(plan, PARCEL_EXCEPT, places, count, items);
}

static void commit_general(struct plan *plan, struct item_place *places)
{
    struct parcel *parcel = plan_parcel_sound(plan, places);
    parcel->charge_bytes = plan->charge_bytes;
    parcel->recorded = plan->batch->entry != 0;
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
        if (pipeline->shard_count == 1) {  // all that is neither left out nor taken
            size_t count = marks_collect(plan, MARKS_LEFT_OUT | 1U << MARK_TAKE, -1, places);
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
        take->recorded = plan->batch->entry != 0;
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
    take->recorded = plan->batch->entry != 0;
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
    uint32_t rest = plan_items(plan) - (uint32_t)plan->take_count;
    if (rest == 0 && plan->take_count > 0) {
        pipeline_release(plan->pipeline, plan->charge_bytes - taken, false, plan->exporters);
        return;
    }
    size_t count = marks_collect(plan, MARKS_LEFT_OUT | 1U << MARK_TAKE, -1, places);
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
static enum result door_plan(const struct routes *routes, const struct itinerary *itinerary,
                             bool may_spill, struct plan *plans, struct batch *batch,
                             struct loop_sample *sample, struct offer_reply *reply)
{
    loop_sample_init(sample);
    for (size_t i = 0; i < itinerary->count; i++) {
        plan_init(&plans[i], itinerary->ways[i].pipeline, batch);
        plans[i].routes = itinerary->is_split ? routes : NULL;
        plans[i].party = itinerary->ways[i].party;
        plans[i].may_spill = may_spill;
        plans[i].sample = i == 0 && batch->signal == SIGNAL_TRACES ? sample : NULL;
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

// What exporters with a storage are owed of a planned request.
static bool admission_make(const struct plan *plans, size_t count,
                           struct journal_admission *admission)
{
    bool owed = false;
    for (size_t i = 0; i < count; i++) {
        const struct plan *plan = &plans[i];
        const struct pipeline *pipeline = plan->pipeline;
        admission->open = admission->open || plan->general || plan->stage >= 0;
        bool is_whole = !plan->general && plan_waits_whole(plan);
        admission->held += is_whole ? plan_items(plan) : (uint32_t)plan->take_count;
        admission->spilled |= pipeline_outlets(pipeline, plan->spilled);
        for (size_t k = 0; k < pipeline->exporter_count; k++) {
            int outlet = pipeline->exporters[k]->storage;
            if (outlet >= 0 && (plan->exporters >> k & 1) != 0) {
                admission->items[outlet] += plan_items(plan);
                owed = true;
            }
        }
    }
    return owed || admission->spilled != 0;
}

static size_t stored_bytes(const struct batch *batch)
{
    return batch->packed.len > 0 ? batch->packed.len : batch->body.len;
}

// Writes the request down before anything of it is handed over. The debt to decisions that the
// caller must pay after the commit, or NULL.
static struct decision_debt *door_journal(struct door *door, const struct plan *plans, size_t count,
                                          struct batch *batch, struct offer_reply *reply)
{
    struct journal_admission admission = {.route = door->route, .wall_ns = clock_wall_ns()};
    if (batch->item_count == 0 || !admission_make(plans, count, &admission)) {
        journal_unreserve(door->journal, stored_bytes(batch));
        return NULL;
    }
    journal_admit(door->journal, batch, &admission);
    reply->must_await = true;
    return batch->debt;
}

static void door_commit(struct door *door, bool is_stored, size_t count, struct plan *plans,
                        struct batch *batch, struct offer_reply *reply)
{
    batch->item_count = plans[0].report.item_count - plans[0].report.rejected_count;
    reply_partial(&plans[0], reply);
    struct decision_debt *debt = is_stored ? door_journal(door, plans, count, batch, reply) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (batch->item_count > 0) {
            plan_commit(&plans[i]);
        } else {
            plan_abort(&plans[i]);  // nothing to forward: success without entering the pipeline
        }
        plan_fini(&plans[i]);
    }
    decision_debt_pay(&debt);
}

// Room in the journal; RESULT_MISSING: the request is taken without it.
static enum result door_reserve(struct door *door, const struct batch *batch,
                                struct offer_reply *reply)
{
    if (door->journal == NULL) {
        return RESULT_MISSING;
    }
    enum result result = journal_reserve(door->journal, stored_bytes(batch));
    if (result == RESULT_SHED || result == RESULT_RETRY) {
        snprintf(reply->message, sizeof(reply->message), "%s",
                 result == RESULT_SHED ? "the journal is full: file_storage::max_size"
                                       : "the journal cannot be written");
        reply->retry_after_s = RETRY_AFTER_S;
    }
    return result;
}

// What the disk lost behind the door is sent again, and that is no loop.
static bool door_is_loop(struct door *door, bool is_stored, const struct loop_sample *sample,
                         const struct batch *batch)
{
    uint64_t epoch = is_stored ? journal_losses(door->journal) : 0;
    return loop_guard_catches(&door->loops, sample, epoch, door->route, batch->received_ns);
}

// Undoes the plans of a request whose spans go in a circle; it is answered like one that went.
static void door_turn_away(struct door *door, bool is_stored, size_t count, struct plan *plans,
                           const struct batch *batch, struct offer_reply *reply)
{
    if (is_stored) {
        journal_unreserve(door->journal, stored_bytes(batch));
    }
    for (size_t i = 0; i < count; i++) {
        plan_abort(&plans[i]);
        plan_fini(&plans[i]);
    }
    snprintf(reply->message, sizeof(reply->message),
             "these spans came by for the third time within 60 s: not forwarded (a loop?)");
    reply->must_await = is_stored;  // those before may not be durable yet
}

static enum result offer_along(struct door *door, const struct routes *routes, struct batch **batch,
                               struct offer_reply *reply)
{
    struct plan plans[SETTINGS_PIPELINES_MAX];
    struct itinerary itinerary;
    memset(reply, 0, sizeof(*reply));
    if (routes == NULL || routes->current.count == 0) {
        snprintf(reply->message, sizeof(reply->message), "no pipeline takes this for now");
        reply->retry_after_s = RETRY_AFTER_S;
        batch_release(batch);
        return RESULT_RETRY;
    }
    enum result room = door_reserve(door, *batch, reply);
    if (room != RESULT_OK && room != RESULT_MISSING) {
        batch_release(batch);
        return room;
    }
    bool is_stored = room == RESULT_OK;
    routes_plan(routes, *batch, &itinerary);
    struct loop_sample sample;
    enum result result = door_plan(routes, &itinerary, is_stored, plans, *batch, &sample, reply);
    if (is_stored && result != RESULT_OK) {
        journal_unreserve(door->journal, stored_bytes(*batch));
    }
    if (result == RESULT_OK && door_is_loop(door, is_stored, &sample, *batch)) {
        door_turn_away(door, is_stored, itinerary.count, plans, *batch, reply);
    } else if (result == RESULT_OK) {
        door_commit(door, is_stored, itinerary.count, plans, *batch, reply);
    } else if (result != RESULT_REJECT &&
               log_episode_opens(&door->refused, clock_mono_ns(), 60 * NS_PER_S)) {
        log_line(LOG_WARN, "service/pipeline", "refusing requests",
                 LOG_TEXT("pipeline", routes->current.pipelines[0]->id),
                 LOG_TEXT("why", reply->message));
    }
    batch_release(batch);
    return result;
}

// One request goes by one configuration from its plan to its commit.
static enum result door_offer(struct sink *sink, struct batch **batch, struct offer_reply *reply)
{
    struct door *door = (struct door *)(void *)sink;
    unsigned ticket = turnstile_enter(door->turnstile);
    enum result result = offer_along(door, atomic_load(&door->routes), batch, reply);
    turnstile_leave(door->turnstile, ticket);
    return result;
}

static void door_await(struct sink *sink, struct commit_wait *wait)
{
    struct door *door = (struct door *)(void *)sink;
    journal_await(door->journal, wait);
}

// By each pipeline that its trace's spans go by; a processor in several of them hears it once.
static void feedback_along(const struct routes *routes, const struct feedback *feedback)
{
    const struct item_view view = {.trace_id = feedback->trace_id.bytes};
    const struct route_set *set = routes_set(routes, routes_party(routes, &view));
    const struct processor *heard[SETTINGS_CHAIN_MAX];
    size_t heard_count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct pipeline *pipeline = set->pipelines[i];
        for (size_t k = 0; k < pipeline->chain_count; k++) {
            const struct processor_slot *slot = &pipeline->chain[k];
            bool is_new = slot->ops->shard != NULL && slot->ops->shard->feedback != NULL;
            for (size_t h = 0; h < heard_count; h++) {
                is_new = is_new && heard[h] != slot->processor;
            }
            if (is_new && heard_count < SETTINGS_CHAIN_MAX) {
                heard[heard_count++] = slot->processor;
                shard_post_feedback(pipeline->shards[pipeline_shard_of(pipeline, &view)],
                                    slot->processor, feedback);
            }
        }
    }
}

static void door_feedback(struct sink *sink, const struct feedback *feedback)
{
    struct door *door = (struct door *)(void *)sink;
    unsigned ticket = turnstile_enter(door->turnstile);
    const struct routes *routes = atomic_load(&door->routes);
    if (routes != NULL) {
        feedback_along(routes, feedback);
    }
    turnstile_leave(door->turnstile, ticket);
}

const struct routes *door_lead(struct door *door, const struct routes *routes)
{
    return atomic_exchange(&door->routes, routes);
}

void door_init(struct door *door, struct turnstile *turnstile)
{
    memset(door, 0, sizeof(*door));
    door->sink.offer = door_offer;
    door->sink.await = door_await;
    door->sink.feedback = door_feedback;
    door->turnstile = turnstile;
    door->route = "";
}
