// SPDX-License-Identifier: Apache-2.0
//
// A change takes these steps, each of which waits until no request is inside that was planned
// before it (turnstile.h):
//
//   NOTE  doors lead where they did, and note the trace of each span that they let in
//   TELL  each old shard adds the traces that it has open, once it has taken what came before NOTE
//   LEAD  doors lead to the successor, but to the old one with the traces noted and told
//
// So no trace is missed: what came before NOTE is told by its shard, what came later is noted. With
// the same shards nothing needs to be noted, and only LEAD is left. WITHDRAW is the end: doors
// forget an earlier generation whose traces are all decided.
//
// Refused: stopping the doors for the change, and letting open traces change their rules. Bounds:
// ROUTES_OLDER_MAX generations that get spans; a step that is not over within STEP_PATIENCE_NS (a
// shard that never has nothing to take) is taken to be. Main loop's thread, but for the drain.

#include "service/generation.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "service/closing.h"
#include "service/journaling.h"

#define GENERATIONS_MAGIC MAGIC('G', 'E', 'N', 'S')
#define POLL_NS NS_PER_MS
#define LOOK_NS (100 * NS_PER_MS)  // at earlier generations
#define STEP_PATIENCE_NS (5 * NS_PER_S)
#define RECEIVER_DRAIN_NS (5 * NS_PER_S)
#define TRACES_NOTED_MAX ((size_t)32 << 10)  // while a change is under way
#define DRAIN_THREADS_MAX 64

enum step { STEP_NONE, STEP_NOTE, STEP_TELL, STEP_LEAD, STEP_WITHDRAW };

struct old_routes {
    struct old_routes *next;
    const struct routes *routes;
};

struct generations {
    uint32_t magic;
    struct loop *loop;
    struct account *account;
    struct turnstile *turnstile;  // of all doors
    struct wiring *current;
    struct wiring *next;      // while it takes over
    struct wiring *retiring;  // newest first
    struct closing *closings;
    struct old_routes *old_routes;     // freed when everybody has left
    struct trace_set *traces;          // that are being noted
    struct trace_set *traces_refused;  // freed with the old routes
    enum step step;
    uint64_t step_ns;  // since when
    struct timer timer;
    uint64_t number;
    bool is_hurried, is_frozen;
    struct journaling *journaling;  // NULL: nothing is stored
};

// --- doors ---

// Earlier generations as they are, the newest first; at most ROUTES_OLDER_MAX have traces.
static struct routes *routes_make(const struct generations *generations, const struct wiring *base,
                                  struct trace_set *noted, const char *id, enum signal signal)
{
    struct routes *routes = calloc(1, sizeof(*routes));
    CHECK(routes != NULL);
    wiring_route(base, id, signal, &routes->current);
    routes->noted = noted;
    for (const struct wiring *at = generations->retiring; at != NULL; at = at->next_retiring) {
        if (at->traces != NULL) {
            CHECK(routes->older_count < ROUTES_OLDER_MAX);
            routes->older[routes->older_count].traces = at->traces;
            wiring_route(at, id, signal, &routes->older[routes->older_count++].to);
        }
    }
    return routes;
}

static void door_change(struct generations *generations, struct receiver_part *part,
                        const struct wiring *base, struct trace_set *noted)
{
    for (unsigned s = 0; part != NULL && s < SIGNAL_OTLP_COUNT; s++) {
        struct old_routes *old = calloc(1, sizeof(*old));
        CHECK(old != NULL);
        old->routes =
            door_lead(&part->doors[s], routes_make(generations, base, noted,
                                                   part->part.settings->id, (enum signal)s));
        old->next = generations->old_routes;
        generations->old_routes = old;
    }
}

// Every door of the process leads to `base` from now on. A receiver that two generations share is
// told twice, which does no harm.
static void doors_change(struct generations *generations, const struct wiring *base,
                         struct trace_set *noted)
{
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        door_change(generations, generations->current->receivers[i], base, noted);
        if (generations->next != NULL) {
            door_change(generations, generations->next->receivers[i], base, noted);
        }
    }
    for (struct closing *at = generations->closings; at != NULL; at = at->next) {
        door_change(generations, at->part, base, noted);
    }
}

static void old_routes_free(struct generations *generations)
{
    while (generations->old_routes != NULL) {
        struct old_routes *old = generations->old_routes;
        generations->old_routes = old->next;
        free((void *)(uintptr_t)old->routes);
        free(old);
    }
}

static void step_begin(struct generations *generations, enum step step)
{
    generations->step = step;
    generations->step_ns = clock_mono_ns();
    turnstile_begin(generations->turnstile);
    loop_set_timer(generations->loop, &generations->timer, generations->step_ns);
}

// --- from one to the next ---

static void tell(void *arg, const struct trace_id *id)
{
    (void)trace_set_add(arg, id->bytes);
}

// The set is as large as what may be open, what may come meanwhile, and as much again.
static struct trace_set *traces_new(const struct shard_unit *unit)
{
    size_t open = 0;
    for (size_t i = 0; i < unit->shard_count; i++) {
        open += shard_open_count(unit->shards[i]);
    }
    return trace_set_new(2 * (open + TRACES_NOTED_MAX));
}

// Shards may be inside with the old home: who frees that one asks the unit's turnstile.
static void home_move(struct wiring *wiring)
{
    atomic_store(&wiring->unit->home, wiring);
    turnstile_begin(&wiring->unit->emits);
}

static void lead(struct generations *generations)
{
    struct wiring *old = generations->current;
    struct wiring *next = generations->next;
    unsigned with_traces = generations->traces != NULL;
    for (struct wiring *at = generations->retiring; at != NULL; at = at->next_retiring) {
        if (at->traces != NULL && ++with_traces > ROUTES_OLDER_MAX) {
            shard_unit_hurry(at->unit);
            at->traces_gone = at->traces;
            at->traces = NULL;
        }
    }
    old->traces = generations->traces;
    generations->traces = NULL;
    old->retired_ns = clock_mono_ns();
    old->next_retiring = generations->retiring;
    generations->retiring = old;
    if (next->unit == old->unit) {
        home_move(next);
    }
    doors_change(generations, next, NULL);
    journaling_follow(generations->journaling, next);
    step_begin(generations, STEP_LEAD);
}

// Receivers that the successor does not have end; those that it shares are now its own.
static void receivers_part(struct generations *generations, struct wiring *old)
{
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        struct receiver_part **part = &old->receivers[i];
        if (*part != NULL && (*part)->part.references == 1 && (*part)->receiver != NULL) {
            closing_start(&generations->closings, part, clock_mono_ns() + RECEIVER_DRAIN_NS);
        } else {
            receiver_part_unref(part);
        }
    }
}

static void lead_done(struct generations *generations)
{
    struct wiring *old = generations->current;
    generations->current = generations->next;
    generations->next = NULL;
    wiring_accept(generations->current, old);
    account_set_refuse(generations->account, false);  // the new limit will say so again
    receivers_part(generations, old);
    log_line(LOG_INFO, "service/reload", "the new configuration is in force",
             LOG_INT("generation", generations->current->number),
             LOG_INT("open_traces", old->traces != NULL ? trace_set_count(old->traces) : 0));
}

static bool shards_have_told(const struct shard_unit *unit)
{
    for (size_t i = 0; i < unit->shard_count; i++) {
        if (!shard_has_told(unit->shards[i])) {
            return false;
        }
    }
    return true;
}

// True: the step is over.
static bool step_poll(struct generations *generations, uint64_t now_ns)
{
    if (generations->step == STEP_TELL) {
        return shards_have_told(generations->current->unit) ||
               now_ns - generations->step_ns > STEP_PATIENCE_NS;
    }
    return turnstile_passed(generations->turnstile);
}

static void step_next(struct generations *generations)
{
    enum step step = generations->step;
    generations->step = STEP_NONE;
    if (step != STEP_TELL) {
        old_routes_free(generations);
        trace_set_unref(&generations->traces_refused);
    }
    switch (step) {
    case STEP_NONE:
    case STEP_WITHDRAW:
        break;
    case STEP_NOTE:
        for (size_t i = 0; i < generations->current->unit->shard_count; i++) {
            shard_tell_open(generations->current->unit->shards[i], tell, generations->traces);
        }
        step_begin(generations, STEP_TELL);
        break;
    case STEP_TELL:
        lead(generations);
        break;
    case STEP_LEAD:
        lead_done(generations);
        break;
    }
}

// --- earlier generations ---

static bool may_forget(const struct wiring *wiring, uint64_t now_ns)
{
    return shard_unit_is_idle(wiring->unit) || now_ns - wiring->retired_ns > GENERATION_AGE_NS;
}

// Doors forget those whose traces are all decided, or that are too old.
static void withdraw(struct generations *generations, uint64_t now_ns)
{
    bool any = false;
    for (struct wiring *at = generations->retiring; at != NULL; at = at->next_retiring) {
        if (at->traces != NULL && may_forget(at, now_ns)) {
            shard_unit_hurry(at->unit);
            at->traces_gone = at->traces;
            at->traces = NULL;
            any = true;
        }
    }
    if (any) {
        doors_change(generations, generations->current, NULL);
        step_begin(generations, STEP_WITHDRAW);
    }
}

// Its shards go when they have nothing to do any more. Those that work for another generation now
// may still hold parcels of this one, which go on along its own chain: its processors stay until
// they are gone.
static void processing_end(struct wiring *wiring)
{
    struct shard_unit *unit = wiring->unit;
    if (!turnstile_passed(&unit->emits)) {
        return;
    }
    if (atomic_load(&unit->home) != wiring) {
        shard_unit_unref(&wiring->unit);
    } else if (unit->references == 1 && shard_unit_is_idle(unit)) {
        wiring_release_processing(wiring);
    }
}

// True: it is gone.
static bool retire(struct wiring *wiring)
{
    if (wiring->traces != NULL) {
        return false;
    }
    trace_set_unref(&wiring->traces_gone);
    if (wiring->unit != NULL) {
        processing_end(wiring);
    }
    if (wiring->unit != NULL || wiring_has_parcels(wiring)) {
        return false;
    }
    wiring_free(&wiring);
    return true;
}

static void retiring_look(struct generations *generations, uint64_t now_ns)
{
    withdraw(generations, now_ns);
    if (generations->step != STEP_NONE) {
        return;  // the doors are still being told
    }
    // The oldest first: it may hold the unit of a younger one.
    for (bool is_gone = true; is_gone;) {
        is_gone = false;
        for (struct wiring **at = &generations->retiring; *at != NULL && !is_gone;) {
            struct wiring *next = (*at)->next_retiring;
            is_gone = retire(*at);
            if (is_gone) {
                *at = next;
            } else {
                at = &(*at)->next_retiring;
            }
        }
    }
}

static bool has_exporter(const struct wiring *wiring, const struct exporter_part *part)
{
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        if (wiring->exporters[i] == part) {
            return true;
        }
    }
    return false;
}

// Exporters of an earlier generation that no younger one has.
static unsigned exporters_left(const struct generations *generations, const struct wiring *wiring)
{
    unsigned count = 0;
    for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
        const struct exporter_part *part = wiring->exporters[i];
        bool is_left = part != NULL && !has_exporter(generations->current, part);
        const struct wiring *at = generations->retiring;
        for (; is_left && at != wiring; at = at->next_retiring) {
            is_left = !has_exporter(at, part);
        }
        count += is_left;
    }
    return count;
}

static void retiring_count(const struct generations *generations)
{
    static const struct metric_family family = {
        .name = "sidejudge_config_retiring_generations",
        .type = METRIC_GAUGE,
        .help = "Earlier configurations that still have traces to decide or data to send."};
    static const struct metric_family exporter_family = {
        .name = "sidejudge_config_retiring_exporters",
        .type = METRIC_GAUGE,
        .help = "Exporters that were replaced and still have data to send."};
    unsigned count = 0, exporter_count = 0;
    for (const struct wiring *at = generations->retiring; at != NULL; at = at->next_retiring) {
        count++;
        exporter_count += exporters_left(generations, at);
    }
    metric_set(metric_plain(&family), count);
    metric_set(metric_plain(&exporter_family), exporter_count);
}

static void on_timer(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct generations *generations = arg;
    CHECK(generations->magic == GENERATIONS_MAGIC);
    if (generations->is_frozen) {
        return;
    }
    if (generations->step != STEP_NONE && step_poll(generations, now_ns)) {
        step_next(generations);
    }
    if (generations->step == STEP_NONE) {
        retiring_look(generations, now_ns);
        closing_collect(&generations->closings, false);
        retiring_count(generations);
    }
    if (generations->step != STEP_NONE) {
        loop_set_timer(generations->loop, timer, now_ns + POLL_NS);
    } else if (generations->retiring != NULL || generations->closings != NULL) {
        loop_set_timer(generations->loop, timer, now_ns + LOOK_NS);
    }
}

// --- life ---

struct generations *generations_new(struct loop *loop, struct account *account)
{
    struct generations *generations = calloc(1, sizeof(*generations));
    CHECK(generations != NULL);
    generations->magic = GENERATIONS_MAGIC;
    generations->loop = loop;
    generations->account = account;
    generations->turnstile = aligned_alloc(64, (sizeof(struct turnstile) + 63) / 64 * 64);
    CHECK(generations->turnstile != NULL);
    turnstile_init(generations->turnstile);
    timer_init(&generations->timer, on_timer, generations);
    return generations;
}

static struct wiring *wiring_make(struct generations *generations, struct snapshot *snapshot)
{
    return wiring_new(&(struct wiring_setup){.snapshot = snapshot,
                                             .account = generations->account,
                                             .turnstile = generations->turnstile,
                                             .journaling = generations->journaling,
                                             .previous = generations->current,
                                             .number = ++generations->number});
}

// Returns how many are degraded: one, when the journal cannot be had.
static unsigned storage_open(struct generations *generations, const struct settings *settings)
{
    char why[512] = "";
    enum result result = journaling_open(settings, generations->turnstile, &generations->journaling,
                                         why, sizeof(why));
    if (result == RESULT_OK || result == RESULT_MISSING) {
        return 0;
    }
    char path[160];
    snprintf(path, sizeof(path), "extensions::%.120s", settings->storage->id);
    wiring_say_degraded(path, "requests are taken in memory: an unclean end loses them", why);
    return 1;
}

unsigned generations_start(struct generations *generations, struct snapshot *snapshot)
{
    CHECK(generations->current == NULL);
    unsigned degraded = storage_open(generations, snapshot->settings);
    generations->current = wiring_make(generations, snapshot);
    journaling_restore(generations->journaling, generations->current);
    journaling_follow(generations->journaling, generations->current);
    shard_unit_start(generations->current->unit);
    doors_change(generations, generations->current, NULL);
    old_routes_free(generations);  // there were none, and nobody listens yet
    CHECK(journaling_start(generations->journaling) == RESULT_OK);
    retiring_count(generations);
    return generations->current->degraded + degraded;
}

enum result generations_listen(struct generations *generations, char *why, size_t why_len)
{
    enum result result = wiring_listen(generations->current, why, why_len);
    if (result == RESULT_OK) {
        journaling_replay(generations->journaling);
    }
    return result;
}

// Those of its receivers that do listen are ended like any others.
static void refuse(struct generations *generations)
{
    struct wiring *refused = generations->next;
    generations->next = NULL;
    receivers_part(generations, refused);
    wiring_free(&refused);
    if (generations->step == STEP_NONE) {
        step_begin(generations, STEP_WITHDRAW);
    }
}

enum result generations_replace(struct generations *generations, struct snapshot *snapshot,
                                char *why, size_t why_len)
{
    if (generations->step != STEP_NONE || generations->is_frozen) {
        return RESULT_RETRY;
    }
    struct wiring *old = generations->current;
    struct wiring *next = wiring_make(generations, snapshot);
    generations->next = next;
    if (next->degraded > 0) {
        snprintf(why, why_len, "%s", next->why);
        refuse(generations);
        return RESULT_REJECT;
    }
    bool same_unit = next->unit == old->unit;
    generations->traces = same_unit ? NULL : traces_new(old->unit);
    doors_change(generations, old, generations->traces);
    if (wiring_listen(next, why, why_len) != RESULT_OK) {
        doors_change(generations, old, NULL);
        generations->traces_refused = generations->traces;
        generations->traces = NULL;
        refuse(generations);
        return RESULT_REJECT;
    }
    if (same_unit) {
        lead(generations);
        return RESULT_OK;
    }
    shard_unit_start(next->unit);
    if (generations->is_hurried) {
        shard_unit_hurry(next->unit);
    }
    step_begin(generations, STEP_NOTE);
    return RESULT_OK;
}

bool generations_is_changing(const struct generations *generations)
{
    return generations->step != STEP_NONE;
}

struct wiring *generations_current(const struct generations *generations)
{
    return generations->current;
}

struct wiring *generations_retiring(const struct generations *generations)
{
    return generations->retiring;
}

void generations_tick(struct generations *generations, uint64_t now_ns)
{
    if (generations->is_frozen) {
        return;
    }
    for (struct wiring *at = generations->retiring; at != NULL; at = at->next_retiring) {
        wiring_tick(at, now_ns);
    }
    wiring_tick(generations->current, now_ns);
}

void generations_hurry(struct generations *generations)
{
    generations->is_hurried = true;
    for (struct wiring *at = generations->retiring; at != NULL; at = at->next_retiring) {
        if (at->unit != NULL) {
            shard_unit_hurry(at->unit);
        }
    }
    shard_unit_hurry(generations->current->unit);
}

// --- the end ---

// Every generation that there is, the newest first.
static struct wiring *generation_at(const struct generations *generations, size_t index)
{
    struct wiring *first[2] = {generations->next, generations->current};
    for (size_t i = 0; i < 2; i++) {
        if (first[i] != NULL && index-- == 0) {
            return first[i];
        }
    }
    struct wiring *at = generations->retiring;
    while (at != NULL && (at == generations->current || index-- > 0)) {
        at = at->next_retiring;  // in the step LEAD the current one is among them
    }
    return at;
}

void generations_freeze(struct generations *generations)
{
    generations->is_frozen = true;
    journaling_hush(generations->journaling);
    loop_cancel_timer(generations->loop, &generations->timer);
}

static void receivers_drain(struct generations *generations, uint64_t deadline_ns)
{
    struct wiring *wiring;
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
            struct receiver_part *part = wiring->receivers[i];
            if (part != NULL && part->receiver != NULL && !part->is_drained) {
                part->is_drained = true;
                const struct receiver_ops *ops = part->part.settings->ops;
                ops->drain(part->receiver, deadline_ns);
            }
        }
    }
}

static void units_stop(struct generations *generations, uint64_t deadline_ns)
{
    struct wiring *wiring;
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        for (size_t i = 0; wiring->unit != NULL && i < wiring->unit->shard_count; i++) {
            shard_flush(wiring->unit->shards[i]);
        }
    }
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        if (wiring->unit != NULL) {
            shard_unit_stop(wiring->unit, deadline_ns);
        }
    }
}

struct draining {
    struct exporter_part *part;
    uint64_t deadline_ns;
    struct thread thread;
};

static void exporter_drain(void *arg)
{
    struct draining *draining = arg;
    struct exporter *exporter = atomic_load(&draining->part->slot.exporter);
    draining->part->slot.ops->drain(exporter, draining->deadline_ns);
}

static void exporters_drain(struct generations *generations, uint64_t deadline_ns)
{
    struct draining *draining = calloc(DRAIN_THREADS_MAX, sizeof(*draining));
    struct wiring *wiring;
    size_t count = 0;
    CHECK(draining != NULL);
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
            struct exporter_part *part = wiring->exporters[i];
            if (part == NULL || part->is_drained || atomic_load(&part->slot.exporter) == NULL) {
                continue;
            }
            part->is_drained = true;
            struct draining one = {.part = part, .deadline_ns = deadline_ns};
            if (count == DRAIN_THREADS_MAX) {
                exporter_drain(&one);
                continue;
            }
            draining[count] = one;
            if (thread_start(&draining[count].thread, "sj-drain", exporter_drain,
                             &draining[count]) != RESULT_OK) {
                exporter_drain(&one);
            }
            count++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        thread_join(&draining[i].thread);
    }
    free(draining);
}

void generations_drain(struct generations *generations, uint64_t deadline_ns)
{
    CHECK(generations->is_frozen);
    uint64_t now_ns = clock_mono_ns();
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    receivers_drain(generations, now_ns + left_ns * 4 / 10);
    closing_hurry(generations->closings, now_ns + left_ns * 4 / 10);
    units_stop(generations, now_ns + left_ns * 6 / 10);
    (void)journaling_barrier(generations->journaling, now_ns + left_ns * 7 / 10);
    exporters_drain(generations, now_ns + left_ns * 9 / 10);
    (void)journaling_barrier(generations->journaling, deadline_ns);
}

// Before any generation goes: shards and exporters that several share hold parcels of each.
static void shared_parts_free(struct generations *generations)
{
    struct wiring *wiring;
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
            receiver_part_unref(&wiring->receivers[i]);
        }
    }
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        shard_unit_unref(&wiring->unit);
    }
    for (size_t n = 0; (wiring = generation_at(generations, n)) != NULL; n++) {
        for (size_t i = 0; i < SETTINGS_COMPONENTS_MAX; i++) {
            exporter_part_unref(&wiring->exporters[i]);
        }
    }
}

void generations_free(struct generations **generations)
{
    struct generations *moved = *generations;
    *generations = NULL;
    if (moved == NULL) {
        return;
    }
    loop_cancel_timer(moved->loop, &moved->timer);
    journaling_end(moved->journaling);
    closing_collect(&moved->closings, true);
    shared_parts_free(moved);
    if (moved->retiring == moved->current && moved->current != NULL) {
        moved->current = moved->next;  // the step LEAD: it is in both places
        moved->next = NULL;
    }
    wiring_free(&moved->next);
    wiring_free(&moved->current);
    while (moved->retiring != NULL) {
        struct wiring *wiring = moved->retiring;
        moved->retiring = wiring->next_retiring;
        wiring_free(&wiring);
    }
    old_routes_free(moved);
    trace_set_unref(&moved->traces);
    trace_set_unref(&moved->traces_refused);
    journaling_close(&moved->journaling);
    moved->magic = 0;
    free(moved->turnstile);
    free(moved);
}
