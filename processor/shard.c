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
    struct parcel *parcel;
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
    atomic_bool flush_wanted;
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
                            struct batch **batch, uint32_t item_count)
{
    struct shard_state *state = state_of_env(env);
    return state->shard->out.emit(state->shard->out.arg, state->shard, processor, signal, batch,
                                  item_count);
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

static void ticket_deliver(struct shard *shard, struct shard_ticket *ticket)
{
    CHECK(ticket->magic == TICKET_MAGIC && ticket->shard == shard);
    if (ticket->take) {
        shard_take(shard, ticket->head.processor, &ticket->parcel);
    } else {
        shard_look(shard, ticket->head.processor, ticket->parcel);
        parcel_unref(&ticket->parcel);
    }
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

uint64_t shard_turn(struct shard *shard, uint64_t now_ns)
{
    CHECK(shard->magic == SHARD_MAGIC);
    shard->now_ns = now_ns;
    atomic_fetch_add_explicit(&shard->turns, 1, memory_order_relaxed);
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
    if (atomic_exchange(&shard->flush_wanted, false)) {
        states_flush(shard);
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
