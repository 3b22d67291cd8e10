// SPDX-License-Identifier: Apache-2.0
// Arrivals and completion. Every span of a trace is indexed, because a plain span may be the parent
// that ties an agent to its models, and a plain root is what says that a fragment is over; evidence
// is read only from spans that speak of models. One timer per trace stands for all its fragments.
// Refused: a timer per fragment, since fragments are only known after parents are resolved.
//
// Bounds: 50,000 open traces per shard, evidence by POOL_EVIDENCE: at either limit the trace with
// the oldest last span gives its evidence up and is decided `overload`. Thread: the shard's;
// wants() any.
#include "processor/evaluation_trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "processor/attribution.h"
#include "processor/grading.h"
#include "proto/attribute.h"

enum {
    CHARGE_STEP = 64 << 10,
    SCRATCH_TAKE_MAX = 4096,
    SETTLE_AT_ONCE_MAX = 128,  // held spans; beyond, releases wait for company
    TURN_TRACES_MAX = 512,     // due traces, and fragments of one, that one turn decides
    TURN_FRAGMENTS_MAX = 64,
};
#define SETTLE_WAIT_NS (10 * NS_PER_MS)

static bool is_possible(const struct evaluation *evaluation, const struct item_view *view,
                        const struct span_class *found)
{
    enum target_mode mode = (enum target_mode)evaluation->config->target;
    if (found->own_evaluation || evaluation->config->hold_ns == 0) {
        return false;
    }
    if (found->role != ROLE_LLM || mode != TARGET_AUTO) {
        return target_is_possible(found->role, mode, false);
    }
    return learned_services_is_agentless(evaluation->services, dialect_service(view),
                                         atomic_load(&evaluation->now_ns));
}

// What would be held goes by while the overload ladder says so. Known at the door and asked again
// on the shard, whose answer counts; both count what they let go, since it is the same span only
// once.
static bool is_to_be_held(const struct evaluation *evaluation, const struct item_view *view,
                          const struct span_class *found)
{
    if (!is_possible(evaluation, view, found)) {
        return false;
    }
    if (evaluation->account && account_overload_level(evaluation->account) >= OVERLOAD_HOLDING) {
        metric_add(evaluation->metrics.shed_holding, 1);
        return false;
    }
    return true;
}

static enum want want_of(struct evaluation *evaluation, const struct item_view *view,
                         struct span_class *found)
{
    if (view->signal != SIGNAL_TRACES || !view->trace_id || !view->span_id) {
        return WANT_NOTHING;
    }
    dialect_classify(view, found);
    if (found->role == ROLE_AGENT && !found->own_evaluation) {
        learned_services_saw_agent(evaluation->services, dialect_service(view),
                                   atomic_load(&evaluation->now_ns));
    }
    if (found->own_attributes && evaluation->config->trust_upstream) {
        return WANT_LOOK;
    }
    return is_to_be_held(evaluation, view, found) ? WANT_TAKE : WANT_LOOK;
}

enum want evaluation_wants(const struct processor *processor, const struct item_view *view)
{
    struct span_class found;
    return want_of(evaluation_of(processor), view, &found);
}

enum want evaluation_wants_noted(const struct processor *processor, const struct item_view *view,
                                 const void *before, void *note)
{
    struct span_class found;
    enum want want = want_of(evaluation_of(processor), view, &found);
    if (want == WANT_LOOK) {
        span_note_take(view, &found, before, note);
    }
    return want;
}

static bool give_up_one(struct evaluation_state *state, const struct trace *except);

// Brings the sums up to date and gives back what is over.
static void trace_measure(struct evaluation_state *state, struct trace *trace)
{
    size_t bytes = trace_bytes(trace);
    int64_t grown = (int64_t)bytes - (int64_t)trace->charged_bytes;
    state->evidence_used += (size_t)grown;
    trace->charged_bytes = bytes;
    atomic_fetch_add_explicit(&state->evaluation->evidence_bytes, grown, memory_order_relaxed);
    while (state->evaluation->account &&
           state->evidence_charged >= state->evidence_used + 3 * (size_t)CHARGE_STEP) {
        account_release(state->evaluation->account, POOL_EVIDENCE, CHARGE_STEP);
        state->evidence_charged -= CHARGE_STEP;
    }
}

// Charges what the trace has grown by, if need be at the cost of the longest silent one. A loop,
// not a recursion: giving up only measures.
static void trace_charge(struct evaluation_state *state, struct trace *trace)
{
    trace_measure(state, trace);
    while (state->evaluation->account && state->evidence_charged < state->evidence_used) {
        if (account_charge(state->evaluation->account, POOL_EVIDENCE, CHARGE_STEP)) {
            state->evidence_charged += CHARGE_STEP;
        } else if (give_up_one(state, trace)) {
            metric_add(state->evaluation->metrics.shed_evidence, 1);
        } else {
            return;  // nobody else to take from: the trace's own bound holds
        }
    }
}

static void remember(struct evaluation_state *state, const struct trace *trace)
{
    if (trace->target_count == 0) {
        return;
    }
    struct decided_trace *decided = decided_traces_add(state->decided, &trace->id);
    if (!decided) {
        return;
    }
    for (const struct target *target = trace->targets; target; target = target->next) {
        const struct span_id none = {{0}};
        const struct trace_span *top = target->span->top;
        decided_trace_add_target(decided, &target->span->id,
                                 top->has_parent ? &top->parent_id : &none);
    }
    for (const struct trace_span *span = trace->spans; span; span = span->next) {
        decided_trace_add_span(decided, &span->id);
    }
}

static void trace_close(struct evaluation_state *state, struct trace *trace)
{
    remember(state, trace);
    for (struct target *target = trace->targets, *next; target; target = next) {
        next = target->next;
        grading_abandon(state, target);
        free(target);
    }
    trace->targets = NULL;
    timers_cancel(state->env->timers, &trace->timer);
    state->evidence_used -= trace->charged_bytes;
    atomic_fetch_sub(&state->evaluation->evidence_bytes, (int64_t)trace->charged_bytes);
    atomic_fetch_sub(&state->evaluation->open_traces, 1);
    trace_table_remove(state->traces, trace);
}

void evaluation_trace_check(struct evaluation_state *state, struct trace_name name)
{
    struct trace *trace = trace_table_at(state->traces, name);
    if (trace && trace->undecided_count == 0 && trace->judging_count == 0 &&
        trace->held_count == 0) {
        trace_close(state, trace);
    }
}

static void span_decided(struct evaluation_state *state, struct trace *trace,
                         struct trace_span *span)
{
    span->decided = true;
    trace->undecided_count--;
    if (span->held && (!span->target || span->target->state == TARGET_STATE_DECIDED) &&
        span->held->state != HELD_MAY_GO) {
        held_release(&state->holdings, span->held, false);
    }
}

static void fragment_decide(struct evaluation_state *state, struct trace *trace,
                            struct trace_span *top, enum target_event event)
{
    const struct evaluation_config *config = state->evaluation->config;
    struct target_choice choice = {0};
    if (!(config->inner == INNER_IGNORE && top->parent_remote)) {
        targets_choose(trace, top, (enum target_mode)config->target, &choice);
    }
    if (trace->late && choice.whole && !top->local_root) {
        choice.count = 0;  // stray model spans of a decided trace do not decide again
    }
    const struct decided_trace *decided =
        trace->late ? decided_traces_find(state->decided, &trace->id) : NULL;
    for (size_t i = 0; i < choice.count; i++) {
        if (decided && decided_trace_has_target(decided, &choice.spans[i]->id)) {
            continue;  // it came again: a repeat, or a replay of the journal
        }
        struct target *target = target_new(state, trace, choice.spans[i], &choice);
        target_event(state, target, event, NULL);
        grading_supersede(state, target);
    }
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->top == top && !span->decided) {
            span_decided(state, trace, span);
        }
    }
}

static bool speaks_of_models(const struct trace *trace)
{
    for (const struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->role != ROLE_OTHER || span->evidence) {
            return true;
        }
    }
    return false;
}

// Late: its fragment was decided before it came.
static void late_spans_go(struct evaluation_state *state, struct trace *trace)
{
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (!span->decided && span->top != span && span->top->decided) {
            span_decided(state, trace, span);
            atomic_fetch_add(&state->evaluation->late_spans, 1);
            metric_add(state->evaluation->metrics.late_spans, 1);
        }
    }
}

static uint64_t fragments_decide(struct evaluation_state *state, struct trace *trace,
                                 enum target_event event, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;
    unsigned count = 0;
    trace_resolve(trace);
    late_spans_go(state, trace);
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->decided || span->top != span) {
            continue;
        }
        uint64_t due_ns = fragment_due_ns(trace, span, &state->times);
        if (event != TARGET_EVENT_GIVE_UP && count == TURN_FRAGMENTS_MAX) {
            return now_ns + NS_PER_MS;  // the rest in the next turn
        }
        if (due_ns <= now_ns || event == TARGET_EVENT_GIVE_UP) {
            count++;
            state->due_count++;
            fragment_decide(state, trace, span, event);
        } else if (due_ns < next_ns) {
            next_ns = due_ns;
        }
    }
    return next_ns;
}

// A trace of plain spans has nothing to decide: it is forgotten when a root of it has come and
// lingered.
static bool plain_is_over(struct evaluation_state *state, const struct trace *trace,
                          uint64_t now_ns)
{
    for (const struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->local_root && span->arrived_ns + state->times.linger_ns <= now_ns) {
            return true;
        }
    }
    return trace->last_span_ns + state->times.idle_ns <= now_ns;
}

static void trace_work(struct evaluation_state *state, struct trace *trace, enum target_event event,
                       uint64_t now_ns)
{
    struct trace_name name = {trace->slot, trace->generation};
    evaluation_turn(state, now_ns);
    uint64_t next_ns;
    if (trace->held_count == 0 && trace->targets == NULL && !speaks_of_models(trace)) {
        if (plain_is_over(state, trace, now_ns) || event == TARGET_EVENT_GIVE_UP) {
            trace_close(state, trace);
            return;
        }
        next_ns = trace->last_span_ns + state->times.idle_ns;
    } else {
        next_ns = fragments_decide(state, trace, event, now_ns);
    }
    if (next_ns != UINT64_MAX) {
        timers_set(state->env->timers, &trace->timer, next_ns);
    } else {
        timers_cancel(state->env->timers, &trace->timer);
    }
    if (trace->undecided_count == 0) {
        trace_give_up_texts(trace);
        trace_measure(state, trace);
    }
    evaluation_trace_check(state, name);
}

static void trace_due(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct evaluation_state *state = arg;
    CHECK(state->magic == EVALUATION_MAGIC);
    struct trace *trace = (struct trace *)((char *)timer - offsetof(struct trace, timer));
    if (state->due_turn_ns != now_ns) {
        state->due_turn_ns = now_ns;
        state->due_count = 0;
    }
    if (state->due_count++ >= TURN_TRACES_MAX) {
        timers_set(state->env->timers, timer, now_ns + NS_PER_MS);
        return;
    }
    trace_work(state, trace, TARGET_EVENT_COMPLETE, now_ns);
    evaluation_settle(state, now_ns);
}

static void settle_due(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;
    struct evaluation_state *state = arg;
    CHECK(state->magic == EVALUATION_MAGIC);
    state->now_ns = now_ns;
    holdings_settle(&state->holdings, now_ns);
}

void evaluation_settle(struct evaluation_state *state, uint64_t now_ns)
{
    if (state->holdings.span_count <= SETTLE_AT_ONCE_MAX) {
        holdings_settle(&state->holdings, now_ns);
    } else if (!timer_is_set(&state->settle)) {
        timer_init(&state->settle, settle_due, state);
        timers_set(state->env->timers, &state->settle, now_ns + SETTLE_WAIT_NS);
    }
}

// The trace that has been silent longest and has something to give.
static bool give_up_one(struct evaluation_state *state, const struct trace *except)
{
    struct trace *trace = trace_table_oldest(state->traces);
    for (unsigned looked = 0; trace && looked < 256; looked++, trace = trace->newer) {
        if (trace != except && trace->undecided_count > 0) {
            trace_work(state, trace, TARGET_EVENT_GIVE_UP, state->now_ns);
            return true;
        }
    }
    return false;
}

static void hurry_over(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;
    struct evaluation_state *state = arg;
    CHECK(state->magic == EVALUATION_MAGIC);
    evaluation_turn(state, now_ns);
    holdings_flush(&state->holdings, now_ns);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void evaluation_hurry(struct evaluation_state *state, uint64_t now_ns)
{
    state->times.linger_ns = least(state->times.linger_ns, HURRY_LINGER_NS);
    state->times.idle_ns = least(state->times.idle_ns, HURRY_IDLE_NS);
    state->times.max_age_ns = least(state->times.max_age_ns, HURRY_HOLD_NS);
    state->holdings.hold_ns = least(state->holdings.hold_ns, HURRY_HOLD_NS);
    state->holdings.whole_ns = least(state->holdings.whole_ns, HURRY_HOLD_NS);
    struct trace *trace = trace_table_oldest(state->traces);
    for (; trace; trace = trace->newer) {
        if (timer_is_set(&trace->timer)) {
            uint64_t due_ns = least(trace->timer.at_ns, now_ns + HURRY_IDLE_NS);
            timers_set(state->env->timers, &trace->timer, due_ns);
        }
    }
    timer_init(&state->hurry, hurry_over, state);
    timers_set(state->env->timers, &state->hurry, now_ns + HURRY_HOLD_NS);
}

// Somebody spoke of this trace before it came.
static bool has_early_feedback(const struct evaluation_state *state, const struct trace_id *id)
{
    unsigned i = 0;
    while (i < state->early_count && !trace_id_equal(&state->early[i], id)) {
        i++;
    }
    return i < state->early_count;
}

static struct trace *trace_for(struct evaluation_state *state, const struct span_note *note,
                               uint64_t now_ns)
{
    const struct trace_id id = note->trace_id;
    struct trace *trace = trace_table_find(state->traces, &id);
    if (trace) {
        trace_table_touch(state->traces, trace);
        return trace;
    }
    struct decided_trace *decided = decided_traces_find(state->decided, &id);
    if (decided && note->has_parent && decided_trace_has_span(decided, &note->parent_id)) {
        decided_trace_add_span(decided, &note->id);
        atomic_fetch_add(&state->evaluation->late_spans, 1);
        metric_add(state->evaluation->metrics.late_spans, 1);
        return NULL;
    }
    trace = trace_table_add(state->traces, &id, now_ns);
    if (!trace && give_up_one(state, NULL)) {
        metric_add(state->evaluation->metrics.shed_traces, 1);
        trace = trace_table_add(state->traces, &id, now_ns);
    }
    if (!trace) {
        metric_add(state->evaluation->metrics.unindexed, 1);
        return NULL;
    }
    trace->late = decided != NULL;
    trace->bad_feedback = has_early_feedback(state, &id);
    timer_init(&trace->timer, trace_due, state);
    atomic_fetch_add(&state->evaluation->open_traces, 1);
    return trace;
}

static void timer_arm(struct evaluation_state *state, struct trace *trace,
                      const struct trace_span *span, uint64_t now_ns)
{
    uint64_t due_ns = now_ns + (span->local_root ? state->times.linger_ns : state->times.idle_ns);
    if (!timer_is_set(&trace->timer) || due_ns < trace->timer.at_ns) {
        timers_set(state->env->timers, &trace->timer, due_ns);
    }
}

static void dimensions_keep(struct evaluation_state *state, struct trace *trace,
                            struct evidence *evidence, const struct item_view *view)
{
    const struct option_texts *dimensions = &state->evaluation->config->dimensions;
    for (size_t i = 0; i < dimensions->count && i < DIMENSIONS_MAX; i++) {
        const char *key = (const char *)dimensions->items[i].ptr;
        struct any_view value;
        if (!attribute_find(view->attributes, SPAN_ATTRIBUTES, key, &value) &&
            !attribute_find(view->resource, RES_ATTRIBUTES, key, &value)) {
            continue;
        }
        struct buffer text;
        buffer_init(&text, 4096);
        if (value.kind == ANY_KIND_STRING) {
            buffer_append_bytes(&text, value.bytes);
        } else {
            any_write_json(&value, &text);
        }
        evidence->dimensions[i] = trace_keep(trace, buffer_view(&text), 128, &evidence->truncated);
        buffer_fini(&text);
    }
}

static void attribution_keep(struct trace *trace, struct evidence *evidence,
                             const struct item_view *view)
{
    struct attribution found;
    bool cut = false;  // of no concern to a judge
    attribution_read(view, &found);
    evidence->environment = trace_keep(trace, found.environment, 64, &cut);
    evidence->session_id = trace_keep(trace, found.session_id, 256, &cut);
    evidence->user_id = trace_keep(trace, found.user_id, 256, &cut);
}

static void no_content_once(struct evaluation *evaluation, const struct item_view *view,
                            const struct span_class *found, bool hidden)
{
    metric_add(evaluation->metrics.without_content, 1);
    atomic_fetch_add(&evaluation->without_content, 1);
    if (found->dialect < 0 ||
        atomic_flag_test_and_set(&evaluation->said_no_content[found->dialect])) {
        return;
    }
    log_line(LOG_WARN, evaluation->id,
             hidden ? "a model span came with its content masked: it cannot be graded"
                    : "a model span came without content: it cannot be graded",
             LOG_BYTES("service.name", dialect_service(view)),
             LOG_TEXT("dialect", dialects[found->dialect]->name),
             LOG_TEXT("to_capture_content", dialects[found->dialect]->capture));
}

static void evidence_read(struct evaluation_state *state, struct trace *trace,
                          struct trace_span *span, const struct item_view *view,
                          const struct span_class *found)
{
    struct evaluation *evaluation = state->evaluation;
    struct arena scratch;
    struct reading *reading = malloc(sizeof(*reading));
    CHECK(reading);
    arena_init(&scratch, READING_SCRATCH_MAX);
    reading_init(reading, &scratch);
    dialect_read(view, found, reading);
    if (found->role == ROLE_LLM && reading->question.len == 0 && reading->response.len == 0 &&
        !reading->pending_tools) {
        no_content_once(evaluation, view, found, reading->hidden);
    }
    if (trace_keep_reading(trace, span, reading)) {
        struct evidence *evidence = span->evidence;
        bool *cut = &evidence->truncated;
        evidence->name = trace_keep(trace, view->name, 256, cut);
        evidence->service = trace_keep(trace, dialect_service(view), 256, cut);
        bool resource_cut = false;
        if (view->resource.len <= 16384) {
            evidence->resource = trace_keep(trace, view->resource, 16384, &resource_cut);
        }
        trace_random_of(&trace->id, view->trace_state, &evidence->random);
        evidence->rule_matches = sampling_matches(&evaluation->plan.sampling, view);
        dimensions_keep(state, trace, evidence, view);
        if (atomic_load_explicit(&evaluation->score_sends, memory_order_relaxed) != 0) {
            attribution_keep(trace, evidence, view);
        }
    }
    arena_fini(&scratch);
    free(reading);
}

// The spans of one parcel as they arrive. Most of a request belongs to few traces, in runs: the
// trace of the span before is at hand, and is charged when its run ends.
struct arrivals {
    struct evaluation_state *state;
    uint64_t now_ns;
    struct metadata *metadata;  // of the request; borrowed; NULL: none
    struct trace *trace;  // of the span before; NULL: none
};

static void arrivals_end(struct arrivals *arrivals)
{
    if (arrivals->trace) {
        trace_charge(arrivals->state, arrivals->trace);
        arrivals->trace = NULL;
    }
}

static struct trace *arrivals_trace(struct arrivals *arrivals, const struct span_note *note)
{
    if (!arrivals->trace || !trace_id_equal(&arrivals->trace->id, &note->trace_id)) {
        arrivals_end(arrivals);  // before another one is looked for, which may close this one
        arrivals->trace = trace_for(arrivals->state, note, arrivals->now_ns);
    }
    return arrivals->trace;
}

// Indexes one span of arrivals->trace; NULL when it is not to be assembled (late, or no room).
// `view` and `found` may be NULL when there is no content to read.
static struct trace_span *span_arrives(struct arrivals *arrivals, struct span_note *note,
                                       const struct item_view *view, struct span_class *found)
{
    struct evaluation *evaluation = arrivals->state->evaluation;
    struct trace *trace = arrivals_trace(arrivals, note);
    if (!trace) {
        return NULL;
    }
    if (note->own_attributes) {
        metric_add(evaluation->metrics.own_attributes, 1);
        note->own_evaluation |= evaluation->config->trust_upstream;
    }
    trace_owe(trace, arrivals->state->env->debt);
    trace_note_metadata(trace, arrivals->metadata);
    struct trace_span *span = trace_add_note(trace, note, arrivals->now_ns);
    if (!span) {
        metric_add(evaluation->metrics.unindexed, 1);
        return NULL;
    }
    if (span_note_has_content(note)) {
        evidence_read(arrivals->state, trace, span, view, found);
    }
    timer_arm(arrivals->state, trace, span, arrivals->now_ns);
    return span;
}

static struct trace_span *view_arrives(struct arrivals *arrivals, const struct item_view *view,
                                       struct span_class *found)
{
    struct span_note note;
    if (!view->trace_id || !view->span_id || view->signal != SIGNAL_TRACES) {
        return NULL;
    }
    span_note_take(view, found, NULL, &note);
    return span_arrives(arrivals, &note, view, found);
}

static bool look_item(void *arg, const struct item_view *view)
{
    struct span_class found;
    dialect_classify(view, &found);
    (void)view_arrives(arg, view, &found);
    return true;
}

void evaluation_turn(struct evaluation_state *state, uint64_t now_ns)
{
    CHECK(state->magic == EVALUATION_MAGIC);
    state->now_ns = now_ns;
    if (state->evaluation->account && state->looked_ns != now_ns) {
        state->looked_ns = now_ns;
        state->overload = (uint8_t)account_overload(state->evaluation->account);
    }
}

void evaluation_let_go(struct evaluation_state *state)
{
    if (state->overload >= OVERLOAD_HOLDING && state->holdings.span_count > 0) {
        metric_add(state->evaluation->metrics.shed_holding, state->holdings.span_count);
        holdings_flush(&state->holdings, state->now_ns);
    }
}

static void turn_begin(struct evaluation_state *state, uint64_t now_ns)
{
    evaluation_turn(state, now_ns);
    evaluation_let_go(state);
    atomic_store_explicit(&state->evaluation->now_ns, now_ns, memory_order_relaxed);
}

void evaluation_look(struct evaluation_state *state, const struct parcel *parcel, uint64_t now_ns)
{
    struct arrivals arrivals = {
        .state = state, .now_ns = now_ns, .metadata = parcel->batch->metadata};
    turn_begin(state, now_ns);
    parcel_each(parcel, look_item, &arrivals);
    arrivals_end(&arrivals);
    evaluation_settle(state, now_ns);
}

void evaluation_look_noted(struct evaluation_state *state, const struct parcel *parcel,
                           uint64_t now_ns)
{
    struct arrivals arrivals = {
        .state = state, .now_ns = now_ns, .metadata = parcel->batch->metadata};
    struct item_view view = {.place = {UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    struct span_note *notes = parcel->notes;
    struct span_class found;
    turn_begin(state, now_ns);
    for (uint32_t i = 0; i < parcel->item_count; i++) {
        bool reads = span_note_has_content(&notes[i]);
        if (reads) {
            scan_item_next(parcel->batch->signal, parcel->batch->body, notes[i].place, &view);
            dialect_classify(&view, &found);
        }
        (void)span_arrives(&arrivals, &notes[i], reads ? &view : NULL, reads ? &found : NULL);
    }
    arrivals_end(&arrivals);
    evaluation_settle(state, now_ns);
}

struct take {
    struct arrivals arrivals;
    bool packed;
    struct held_span *held;  // grows
    uint32_t count, capacity;
    struct item_place *gone;  // taken, but nothing to wait for
    uint32_t gone_count, gone_capacity;
};

static void take_held(struct take *take, struct trace *trace, struct trace_span *span,
                      const struct item_view *view)
{
    if (take->count == take->capacity) {
        take->capacity = take->capacity ? take->capacity * 2 : 16;
        take->held = realloc(take->held, take->capacity * sizeof(*take->held));
        CHECK(take->held);
    }
    take->held[take->count++] = (struct held_span){
        .span = span, .name = {trace->slot, trace->generation}, .place = view->place};
    trace->held_count++;
}

static void take_gone(struct take *take, const struct item_view *view)
{
    if (take->packed) {
        return;  // goes where the whole goes
    }
    if (take->gone_count == take->gone_capacity) {
        take->gone_capacity = take->gone_capacity ? take->gone_capacity * 2 : 16;
        take->gone = realloc(take->gone, take->gone_capacity * sizeof(*take->gone));
        CHECK(take->gone);
    }
    take->gone[take->gone_count++] = view->place;
}

static bool take_item(void *arg, const struct item_view *view)
{
    struct take *take = arg;
    struct span_class found;
    dialect_classify(view, &found);
    bool waits = is_to_be_held(take->arrivals.state->evaluation, view, &found);
    struct trace_span *span = view_arrives(&take->arrivals, view, &found);
    if (waits && span) {
        take_held(take, take->arrivals.trace, span, view);
    } else {
        take_gone(take, view);
    }
    return true;
}

void evaluation_take(struct evaluation_state *state, struct parcel **parcel, uint64_t now_ns)
{
    struct take take = {.arrivals = {.state = state,
                                     .now_ns = now_ns,
                                     .metadata = (*parcel)->batch->metadata}};
    turn_begin(state, now_ns);
    take.packed = (*parcel)->mode == PARCEL_ALL && (*parcel)->batch->packed.len > 0;
    parcel_each(*parcel, take_item, &take);
    arrivals_end(&take.arrivals);
    if (take.count > 0 && take.gone_count > 0) {
        struct parcel *gone = parcel_split(*parcel, take.gone, take.gone_count);
        CHECK(gone);
        state->env->pass(state->env, &gone);
    }
    if (take.count > 0) {
        holding_add(&state->holdings, parcel, take.held, take.count, take.packed, now_ns);
    } else {
        state->env->pass(state->env, parcel);
    }
    free(take.held);
    free(take.gone);
    evaluation_settle(state, now_ns);
}
