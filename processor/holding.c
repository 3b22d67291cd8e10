// SPDX-License-Identifier: Apache-2.0
// One timer per parcel, since all its spans arrived at the same moment. Releases are collected and
// settled once per turn of work, so that a parcel of many spans is split once, not once per span.
// Refused: a parcel per held span from the start, which would render every span of a batch alone.
//
// Bounds: the parcels themselves, which were admitted at the door; a hold of at most 10 minutes by
// configuration. Thread: the shard's.
#include "processor/holding.h"

#include <stdlib.h>

#include "base/check.h"

#define HOLDING_MAGIC MAGIC('H', 'O', 'L', 'D')

struct holding {
    uint32_t magic;
    struct holdings *set;
    struct holding *next, **prev;
    struct holding *dirty_next;
    struct parcel *parcel;
    struct timer timer;
    uint64_t arrived_ns;
    bool packed;  // still whole
    bool is_dirty;
    uint32_t count;
    uint32_t waiting, judging;
    struct held_span spans[];
};

static void holding_unlink(struct holding *holding)
{
    *holding->prev = holding->next;
    if (holding->next) {
        holding->next->prev = holding->prev;
    }
}

static void holding_mark(struct holding *holding)
{
    if (!holding->is_dirty) {
        holding->is_dirty = true;
        holding->dirty_next = holding->set->dirty;
        holding->set->dirty = holding;
    }
}

static void holding_over(struct timer *timer, void *arg, uint64_t now_ns);

void holding_add(struct holdings *holdings, struct parcel **parcel, const struct held_span *spans,
                 uint32_t count, bool packed, uint64_t now_ns)
{
    CHECK(count > 0 && *parcel);
    struct holding *holding = calloc(1, sizeof(*holding) + count * sizeof(*spans));
    CHECK(holding);
    holding->magic = HOLDING_MAGIC;
    holding->set = holdings;
    holding->parcel = *parcel;
    *parcel = NULL;
    holding->arrived_ns = now_ns;
    holding->packed = packed;
    holding->count = holding->waiting = count;
    holdings->span_count += count;
    for (uint32_t i = 0; i < count; i++) {
        holding->spans[i] = spans[i];
        holding->spans[i].holding = holding;
        holding->spans[i].state = HELD_WAITING;
        holding->spans[i].span->held = &holding->spans[i];
    }
    holding->next = holdings->first;
    holding->prev = &holdings->first;
    if (holding->next) {
        holding->next->prev = &holding->next;
    }
    holdings->first = holding;
    timer_init(&holding->timer, holding_over, holding);
    uint64_t wait_ns =
        packed && holdings->whole_ns < holdings->hold_ns ? holdings->whole_ns : holdings->hold_ns;
    timers_set(holdings->env->timers, &holding->timer, now_ns + wait_ns);
}

void held_judge(struct held_span *held)
{
    CHECK(held->holding->magic == HOLDING_MAGIC && held->state == HELD_WAITING);
    held->state = HELD_JUDGING;
    held->holding->waiting--;
    held->holding->judging++;
    holding_mark(held->holding);
}

void held_release(struct holdings *holdings, struct held_span *held, bool graded)
{
    struct holding *holding = held->holding;
    CHECK(holding->magic == HOLDING_MAGIC && holding->set == holdings);
    CHECK(held->state == HELD_WAITING || held->state == HELD_JUDGING);
    *(held->state == HELD_WAITING ? &holding->waiting : &holding->judging) -= 1;
    held->state = HELD_MAY_GO;
    held->graded = graded;
    holding_mark(holding);
}

struct parcel *held_parcel(const struct held_span *held)
{
    return held->holding->parcel;
}

static void spans_gone(struct holding *holding, uint64_t now_ns)
{
    struct holdings *set = holding->set;
    for (uint32_t i = 0; i < holding->count; i++) {
        struct held_span *held = &holding->spans[i];
        if (held->state == HELD_MAY_GO) {
            held->state = HELD_GONE;
            set->span_count--;
            set->left(set->arg, held, now_ns - holding->arrived_ns, now_ns);
        }
    }
}

// The places of spans in one state, in the parcel's order (spans were added in it).
static uint32_t places_of(const struct holding *holding, enum held_state state,
                          struct item_place *places)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < holding->count; i++) {
        if (holding->spans[i].state == state) {
            places[count++] = holding->spans[i].place;
        }
    }
    return count;
}

static void holding_end(struct holding *holding, uint64_t now_ns)
{
    struct holdings *set = holding->set;
    timers_cancel(set->env->timers, &holding->timer);
    set->env->pass(set->env, &holding->parcel);
    spans_gone(holding, now_ns);
    holding_unlink(holding);
    holding->magic = 0;
    free(holding);
}

// What is not waiting for a judge leaves; the rest is a holding like any other from now on.
static void holding_unpack(struct holding *holding, struct item_place *places, uint64_t now_ns)
{
    struct holdings *set = holding->set;
    uint32_t count = places_of(holding, HELD_JUDGING, places);
    struct parcel *picked = parcel_split(holding->parcel, places, count);
    if (picked) {
        struct parcel *rest = holding->parcel;
        holding->parcel = picked;
        set->env->pass(set->env, &rest);
    }
    holding->packed = false;
    spans_gone(holding, now_ns);
    timers_set(set->env->timers, &holding->timer, holding->arrived_ns + set->hold_ns);
}

static void holding_settle(struct holding *holding, uint64_t now_ns)
{
    struct holdings *set = holding->set;
    if (holding->packed && holding->waiting > 0) {
        return;
    }
    if (holding->waiting + holding->judging == 0) {
        holding_end(holding, now_ns);
        return;
    }
    struct item_place *places = calloc(holding->count, sizeof(*places));
    CHECK(places);
    if (holding->packed) {
        holding_unpack(holding, places, now_ns);
    } else {
        uint32_t count = places_of(holding, HELD_MAY_GO, places);
        struct parcel *gone = count > 0 ? parcel_split(holding->parcel, places, count) : NULL;
        if (gone) {
            set->env->pass(set->env, &gone);
        }
        spans_gone(holding, now_ns);
    }
    free(places);
}

void holdings_settle(struct holdings *holdings, uint64_t now_ns)
{
    struct holding *holding;
    while ((holding = holdings->dirty) != NULL) {
        holdings->dirty = holding->dirty_next;
        holding->is_dirty = false;
        holding_settle(holding, now_ns);
    }
}

static void release_all(struct holding *holding, bool judging_too, uint64_t now_ns)
{
    for (uint32_t i = 0; i < holding->count; i++) {
        struct held_span *held = &holding->spans[i];
        if (held->state == HELD_WAITING || (judging_too && held->state == HELD_JUDGING)) {
            holding->set->over(holding->set->arg, held, now_ns);
            held_release(holding->set, held, false);
        }
    }
}

static void holding_over(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct holding *holding = arg;
    CHECK(holding->magic == HOLDING_MAGIC && &holding->timer == timer);
    struct holdings *set = holding->set;
    bool hold_over = now_ns >= holding->arrived_ns + set->hold_ns;
    release_all(holding, hold_over, now_ns);
    holding_mark(holding);
    holdings_settle(set, now_ns);
}

void holdings_flush(struct holdings *holdings, uint64_t now_ns)
{
    for (struct holding *holding = holdings->first; holding; holding = holding->next) {
        release_all(holding, true, now_ns);
        holding_mark(holding);
    }
    holdings_settle(holdings, now_ns);
    CHECK(!holdings->first && holdings->span_count == 0);
}
