// SPDX-License-Identifier: Apache-2.0
// Turns of a shard. Two mailboxes: parcels come under tickets, which hold credits; results that
// other threads post to a state come without, because whoever makes them bounds them, and go first,
// because they let held spans leave. Refused: a node inside the parcel, since the same parcel may
// be looked at here while exporters have it, and an envelope made at the post, which could fail
// there.
//
// Bounds: messages_max tickets; 256 messages a turn. Thread: the shard's own, or the caller's of
// shard_turn; posts come from any thread.
#include "processor/shard.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "base/timers.h"

enum { TURN_MESSAGES_MAX = 256 };
#define NAP_NS NS_PER_MS
#define SHARD_MAGIC MAGIC('S', 'H', 'R', 'D')
#define TICKET_MAGIC MAGIC('T', 'C', 'K', 'T')

struct shard_ticket {
    struct shard_message head;  // head.processor says whose state
    uint32_t magic;
    bool take;
    struct shard *shard;
    struct parcel *parcel;     // NULL: it carries feedback
    struct feedback feedback;
};

struct shard_state {
    struct shard_env env;  // first: states give it back to us
    struct shard *shard;
    struct processor *processor;
    const struct shard_ops *ops;
    void *state;
};

struct shard {
    uint32_t magic;
    unsigned index;
    struct mailbox tickets;  // messages under credits
    struct mailbox posted;   // messages of states, without credits
    struct timers *timers;
    struct shard_out out;
    struct shard_state *states;
    size_t state_count;
    uint64_t now_ns;
    bool had_tickets;  // the last turn took some
    atomic_bool flush_wanted, hurry_wanted, open_wanted;
    void (*tell)(void *arg, const struct trace_id *id);  // written before open_wanted
    void *tell_arg;
    atomic_size_t open_count;  // at the end of the last turn
    atomic_bool in_turn;
    atomic_bool stopping;
    _Atomic uint64_t turns;
    _Atomic uint64_t stop_deadline_ns;
    struct loop *loop;
    struct loop_hook hook;
    struct timer alarm;
    struct thread thread;
};

static struct shard_state *shard_state_of(struct shard *shard, const struct processor *processor)
{
    for (size_t i = 0; i < shard->state_count; i++) {
        if (shard->states[i].processor == processor) {
            return &shard->states[i];
        }
    }
    CHECK(!"a processor without a state on this shard");
    return NULL;
}

static struct shard_state *state_of_env(struct shard_env *env)
{
    struct shard_state *state = (struct shard_state *)env;
    CHECK(state->shard->magic == SHARD_MAGIC);
    return state;
}

static void env_pass(struct shard_env *env, struct parcel **parcel)
{
    struct shard_state *state = state_of_env(env);
    state->shard->out.pass(state->shard->out.arg, state->shard, state->processor, parcel);
}

static void env_drop(struct shard_env *env, struct parcel **parcel)
{
    struct shard_state *state = state_of_env(env);
    state->shard->out.drop(state->shard->out.arg, state->shard, state->processor, parcel);
}

static enum result env_emit(struct shard_env *env, struct processor *processor, enum signal signal,
                            enum emit_to to, struct batch **batch, uint32_t item_count)
{
    struct shard_state *state = state_of_env(env);
    return state->shard->out.emit(state->shard->out.arg, state->shard, processor, signal, to, batch,
                                  item_count);
}

static void env_decided(struct shard_env *env, const struct trace_id *trace_id,
                        const struct span_id *target)
{
    struct shard *shard = state_of_env(env)->shard;
    if (shard->out.decided != NULL) {
        shard->out.decided(shard->out.arg, shard, trace_id, target);
    }
}

static void env_post(struct shard_env *env, struct shard_message *message)
{
    struct shard_state *state = state_of_env(env);
    mailbox_post(&state->shard->posted, &message->node);
}

static void shard_wake(void *arg)
{
    struct shard *shard = arg;
    CHECK(shard->magic == SHARD_MAGIC);
    if (shard->loop) {
        loop_wake(shard->loop);
    }
}

struct shard *shard_new(const struct shard_config *config, uint64_t now_ns)
{
    struct shard *shard = aligned_alloc(64, (sizeof(*shard) + 63) / 64 * 64);
    CHECK(shard);
    *shard = (struct shard){
        .magic = SHARD_MAGIC, .index = config->index, .out = config->out, .now_ns = now_ns};
    size_t messages_max = config->messages_max ? config->messages_max : SHARD_MESSAGES_MAX;
    mailbox_init(&shard->tickets, messages_max, shard_wake, shard);
    mailbox_init(&shard->posted, messages_max, shard_wake, shard);
    shard->timers = timers_new(now_ns);
    shard->states =
        calloc(config->processor_count ? config->processor_count : 1, sizeof(*shard->states));
    CHECK(shard->states);
    shard->state_count = config->processor_count;
    for (size_t i = 0; i < config->processor_count; i++) {
        struct shard_state *state = &shard->states[i];
        state->env = (struct shard_env){.index = config->index,
                                        .timers = shard->timers,
                                        .shard = shard,
                                        .pass = env_pass,
                                        .drop = env_drop,
                                        .emit = env_emit,
                                        .decided = env_decided,
                                        .post = env_post};
        state->shard = shard;
        state->processor = config->processors[i];
        state->ops = config->ops[i]->shard;
        CHECK(state->ops);
        state->state = state->ops->open(state->processor, &state->env);
        CHECK(state->state);
    }
    return shard;
}

static void debt_show(struct shard *shard, struct decision_debt *debt)
{
    for (size_t i = 0; i < shard->state_count; i++) {
        shard->states[i].env.debt = debt;
    }
}

static void feedback_deliver(struct shard *shard, const struct shard_ticket *ticket)
{
    const struct shard_state *state = shard_state_of(shard, ticket->head.processor);
    if (state->ops->feedback) {
        state->ops->feedback(state->state, &ticket->feedback, shard->now_ns);
    }
}

static void ticket_deliver(struct shard *shard, struct shard_ticket *ticket)
{
    CHECK(ticket->magic == TICKET_MAGIC && ticket->shard == shard);
    if (!ticket->parcel) {
        feedback_deliver(shard, ticket);
        shard_release(&ticket);
        return;
    }
    struct decision_debt *debt = ticket->parcel->batch->debt;
    debt_show(shard, debt);
    if (ticket->take) {
        shard_take(shard, ticket->head.processor, &ticket->parcel);
    } else {
        shard_look(shard, ticket->head.processor, ticket->parcel);
        parcel_unref(&ticket->parcel);
    }
    debt_show(shard, NULL);
    decision_debt_pay(&debt);
    shard_release(&ticket);
}

static void message_deliver(struct shard *shard, struct shard_message *message)
{
    struct shard_state *state = shard_state_of(shard, message->processor);
    if (state->ops->message) {
        state->ops->message(state->state, message, shard->now_ns);
    } else {
        free(message);
    }
}

// What one processor lets go, another one behind it may take: as many rounds as there are.
static void states_flush(struct shard *shard)
{
    for (size_t round = 0; round < shard->state_count; round++) {
        for (size_t i = 0; i < shard->state_count; i++) {
            shard->states[i].ops->flush(shard->states[i].state, shard->now_ns);
        }
    }
}

static size_t states_open(struct shard *shard, void (*each)(void *arg, const struct trace_id *id),
                          void *arg)
{
    size_t count = 0;
    for (size_t i = 0; i < shard->state_count; i++) {
        if (shard->states[i].ops->open_traces) {
            count += shard->states[i].ops->open_traces(shard->states[i].state, each, arg);
        }
    }
    return count;
}

static void states_hurry(struct shard *shard)
{
    for (size_t i = 0; i < shard->state_count; i++) {
        if (shard->states[i].ops->hurry) {
            shard->states[i].ops->hurry(shard->states[i].state, shard->now_ns);
        }
    }
}

uint64_t shard_turn(struct shard *shard, uint64_t now_ns)
{
    CHECK(shard->magic == SHARD_MAGIC);
    shard->now_ns = now_ns;
    atomic_fetch_add_explicit(&shard->turns, 1, memory_order_relaxed);
    atomic_store(&shard->in_turn, true);
    unsigned taken = 0;
    struct mailbox_node *node;
    while (taken < TURN_MESSAGES_MAX && (node = mailbox_take(&shard->posted)) != NULL) {
        message_deliver(shard, (struct shard_message *)node);
        taken++;
    }
    shard->had_tickets = false;
    while (taken < TURN_MESSAGES_MAX && (node = mailbox_take(&shard->tickets)) != NULL) {
        shard->had_tickets = true;
        ticket_deliver(shard, (struct shard_ticket *)node);
        taken++;
    }
    timers_advance(shard->timers, now_ns);
    if (atomic_exchange(&shard->hurry_wanted, false)) {
        states_hurry(shard);
    }
    if (atomic_exchange(&shard->flush_wanted, false)) {
        states_flush(shard);
    }
    if (taken < TURN_MESSAGES_MAX && atomic_load(&shard->open_wanted)) {
        (void)states_open(shard, shard->tell, shard->tell_arg);
        atomic_store(&shard->open_wanted, false);
    }
    atomic_store(&shard->open_count, states_open(shard, NULL, NULL));
    atomic_store(&shard->in_turn, false);
    if (shard->out.turned != NULL) {
        shard->out.turned(shard->out.arg, shard);
    }
    if (taken == TURN_MESSAGES_MAX) {
        return now_ns;
    }
    return timers_next_ns(shard->timers);
}

static void alarm_rings(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer, (void)arg, (void)now_ns;  // waking up is all: the hook makes the turn
}

// While requests come, the shard looks for tickets once in a while instead of being woken for each:
// nobody waits for a look, and what is taken has come to wait. The first turn that finds none goes
// back to sleep until it is woken.
static bool shard_naps(const struct shard *shard)
{
    return shard->had_tickets && !atomic_load_explicit(&shard->stopping, memory_order_relaxed);
}

static bool shard_is_empty(struct shard *shard)
{
    bool tickets_idle = shard_naps(shard) || mailbox_doze(&shard->tickets);
    bool posted_idle = mailbox_doze(&shard->posted);
    return tickets_idle && posted_idle;
}

static bool shard_hook(void *arg, uint64_t now_ns)
{
    struct shard *shard = arg;
    CHECK(shard->magic == SHARD_MAGIC);
    bool stopping = atomic_load(&shard->stopping);
    if (stopping) {  // what still comes out of the mailboxes is not held again
        atomic_store(&shard->flush_wanted, true);
    }
    uint64_t next_ns = shard_turn(shard, now_ns);
    bool empty = shard_is_empty(shard);
    if (stopping && (empty || now_ns >= atomic_load(&shard->stop_deadline_ns))) {
        loop_stop(shard->loop);
        return false;
    }
    if (next_ns <= now_ns || !empty || stopping) {
        return true;
    }
    if (shard_naps(shard) && now_ns + NAP_NS < next_ns) {
        next_ns = now_ns + NAP_NS;
    }
    if (next_ns == UINT64_MAX) {
        loop_cancel_timer(shard->loop, &shard->alarm);
    } else {
        loop_set_timer(shard->loop, &shard->alarm, next_ns);
    }
    return false;
}

static void shard_run(void *arg)
{
    struct shard *shard = arg;
    loop_run_watched(shard->loop, "shard");
}

enum result shard_start(struct shard *shard)
{
    shard->loop = loop_new();
    if (!shard->loop) {
        return RESULT_RETRY;
    }
    timer_init(&shard->alarm, alarm_rings, shard);
    shard->hook = (struct loop_hook){.turn = shard_hook, .arg = shard};
    loop_add_hook(shard->loop, &shard->hook);
    char name[16];
    snprintf(name, sizeof(name), "shard/%u", shard->index);
    return thread_start(&shard->thread, name, shard_run, shard);
}

void shard_flush(struct shard *shard)
{
    atomic_store(&shard->flush_wanted, true);
    shard_wake(shard);
}

void shard_hurry(struct shard *shard)
{
    atomic_store(&shard->hurry_wanted, true);
    shard_wake(shard);
}

void shard_tell_open(struct shard *shard, void (*each)(void *arg, const struct trace_id *id),
                     void *arg)
{
    CHECK(!atomic_load(&shard->open_wanted));
    shard->tell = each;
    shard->tell_arg = arg;
    atomic_store(&shard->open_wanted, true);
    shard_wake(shard);
}

bool shard_has_told(const struct shard *shard)
{
    return !atomic_load(&shard->open_wanted);
}

bool shard_is_idle(const struct shard *shard)
{
    // In this order: a ticket is given back within a turn.
    return mailbox_used(&shard->tickets) == 0 && !atomic_load(&shard->in_turn) &&
           atomic_load(&shard->open_count) == 0;
}

size_t shard_open_count(const struct shard *shard)
{
    return atomic_load(&shard->open_count);
}

void shard_stop(struct shard *shard, uint64_t deadline_ns)
{
    if (!shard->loop) {
        atomic_store(&shard->flush_wanted, true);
        shard_turn(shard, shard->now_ns);
        return;
    }
    atomic_store(&shard->stop_deadline_ns, deadline_ns);
    atomic_store(&shard->flush_wanted, true);
    atomic_store(&shard->stopping, true);
    loop_wake(shard->loop);
    thread_join(&shard->thread);
}

void shard_free(struct shard **shard_at)
{
    struct shard *shard = *shard_at;
    if (!shard) {
        return;
    }
    CHECK(shard->magic == SHARD_MAGIC);
    struct mailbox_node *node;
    while ((node = mailbox_take(&shard->posted)) != NULL) {
        message_deliver(shard, (struct shard_message *)node);
    }
    while ((node = mailbox_take(&shard->tickets)) != NULL) {
        ticket_deliver(shard, (struct shard_ticket *)node);
    }
    states_flush(shard);  // may pass parcels on, which goes by *shard_at, as may close
    for (size_t i = 0; i < shard->state_count; i++) {
        shard->states[i].ops->close(shard->states[i].state);
    }
    if (shard->out.turned != NULL) {  // what these made is a turn's work as well
        shard->out.turned(shard->out.arg, shard);
    }
    *shard_at = NULL;
    while ((node = mailbox_take(&shard->posted)) != NULL) {
        free(node);  // a shard_message begins with its node
    }
    timers_free(shard->timers);
    loop_free(shard->loop);
    free(shard->states);
    shard->magic = 0;
    free(shard);
}

struct shard_ticket *shard_reserve(struct shard *shard)
{
    CHECK(shard->magic == SHARD_MAGIC);
    if (!mailbox_reserve(&shard->tickets, 1)) {
        return NULL;
    }
    struct shard_ticket *ticket = malloc(sizeof(*ticket));
    if (!ticket) {
        mailbox_release(&shard->tickets, 1);
        return NULL;
    }
    *ticket = (struct shard_ticket){.magic = TICKET_MAGIC, .shard = shard};
    return ticket;
}

void shard_release(struct shard_ticket **ticket)
{
    if (!*ticket) {
        return;
    }
    CHECK((*ticket)->magic == TICKET_MAGIC && !(*ticket)->parcel);
    mailbox_release(&(*ticket)->shard->tickets, 1);
    free(*ticket);
    *ticket = NULL;
}

void shard_restore(struct shard *shard, const struct trace_id *trace_id,
                   const struct span_id *target)
{
    for (size_t i = 0; i < shard->state_count; i++) {
        if (shard->states[i].ops->restore != NULL) {
            shard->states[i].ops->restore(shard->states[i].state, trace_id, target);
        }
    }
}

static void ticket_post(struct shard_ticket **ticket_at, struct processor *processor,
                        struct parcel **parcel, bool take)
{
    struct shard_ticket *ticket = *ticket_at;
    CHECK(ticket && ticket->magic == TICKET_MAGIC && *parcel);
    *ticket_at = NULL;
    ticket->head.processor = processor;
    ticket->parcel = *parcel;
    ticket->take = take;
    *parcel = NULL;
    decision_debt_hold(ticket->parcel->batch->debt);
    mailbox_post(&ticket->shard->tickets, &ticket->head.node);
}

void shard_post_look(struct shard_ticket **ticket, struct processor *processor,
                     struct parcel **parcel)
{
    ticket_post(ticket, processor, parcel, false);
}

void shard_post_take(struct shard_ticket **ticket, struct processor *processor,
                     struct parcel **parcel)
{
    ticket_post(ticket, processor, parcel, true);
}

void shard_post_feedback(struct shard *shard, struct processor *processor,
                         const struct feedback *feedback)
{
    static const struct metric_family family = {  // the processors count the others
        .name = "sidejudge_feedback_total",
        .type = METRIC_COUNTER,
        .help = "Bad scores that an agent posted, by where their trace stood.",
        .labels = {"trace"}};
    struct shard_ticket *ticket = shard_reserve(shard);
    if (!ticket) {
        metric_add(metric_series(&family, (const char *const[]){"shed"}), 1);
        return;
    }
    ticket->head.processor = processor;
    ticket->feedback = *feedback;
    mailbox_post(&shard->tickets, &ticket->head.node);
}

void shard_look(struct shard *shard, struct processor *processor, const struct parcel *parcel)
{
    struct shard_state *state = shard_state_of(shard, processor);
    if (parcel->notes && state->ops->look_noted) {
        state->ops->look_noted(state->state, parcel, shard->now_ns);
    } else if (state->ops->look) {
        state->ops->look(state->state, parcel, shard->now_ns);
    }
}

void shard_take(struct shard *shard, struct processor *processor, struct parcel **parcel)
{
    struct shard_state *state = shard_state_of(shard, processor);
    state->ops->take(state->state, parcel, shard->now_ns);
    CHECK(!*parcel);
}

unsigned shard_index(const struct shard *shard)
{
    return shard->index;
}

uint64_t shard_now_ns(const struct shard *shard)
{
    return shard->now_ns;
}

size_t shard_backlog(const struct shard *shard)
{
    return mailbox_used(&shard->tickets);
}

uint64_t shard_turns(const struct shard *shard)
{
    return atomic_load_explicit(&shard->turns, memory_order_relaxed);
}

unsigned shard_of_trace(const uint8_t *trace_id, unsigned shard_count)
{
    if (!trace_id || shard_count <= 1) {
        return 0;
    }
    return (unsigned)(hash_keyed(trace_id, 16) % shard_count);
}
