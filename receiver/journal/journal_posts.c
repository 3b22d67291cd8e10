// SPDX-License-Identifier: Apache-2.0
//
// What other threads do with the journal: post. A request's message is made when it is admitted;
// links, debts and waits bring their own nodes, so that settling, paying and waiting allocate
// nothing and cannot fail. Whether there is room is answered from two counters without asking the
// thread: what the files hold, as of the last commit, and what is on its way to them.
//
// Bounds: size_max, with ENTRY_OVERHEAD for each request on its way. Any thread.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receiver/journal/journal_state.h"

static size_t room_for(size_t bytes)
{
    return bytes + bytes / 8 + ENTRY_OVERHEAD;
}

bool journal_is_well(const struct journal *journal)
{
    return !journal_is_failing(journal);
}

uint64_t journal_losses(const struct journal *journal)
{
    return atomic_load(&journal->losses);
}

enum result journal_reserve(struct journal *journal, size_t bytes)
{
    CHECK(journal->magic == JOURNAL_MAGIC);
    if (journal_is_failing(journal)) {
        return journal->config.refuse_on_error ? RESULT_RETRY : RESULT_MISSING;
    }
    uint64_t need = room_for(bytes);
    uint64_t pending = atomic_fetch_add(&journal->pending_bytes, need) + need;
    bool fits = journal->config.policy == JOURNAL_DROP_OLDEST ||
                pending <= atomic_load(&journal->room_bytes);
    if (!fits) {
        atomic_fetch_sub(&journal->pending_bytes, need);
        return RESULT_SHED;
    }
    return RESULT_OK;
}

void journal_unreserve(struct journal *journal, size_t bytes)
{
    atomic_fetch_sub(&journal->pending_bytes, room_for(bytes));
}

void journal_admit(struct journal *journal, struct batch *batch,
                   const struct journal_admission *admission)
{
    struct admit_message *message =
        calloc(1, sizeof(*message) + journal->outlet_count * sizeof(message->items[0]));
    CHECK(message != NULL && batch->entry == 0);
    batch->entry = atomic_fetch_add(&journal->last_ticket, 1) + 1;
    message->head.kind = MESSAGE_ADMIT;
    message->ticket = batch->entry;
    snprintf(message->route, sizeof(message->route), "%s", admission->route);
    message->wall_ns = admission->wall_ns;
    message->spilled = admission->spilled;
    message->open = admission->open;
    message->held = admission->held;
    message->reserved = room_for(batch->packed.len > 0 ? batch->packed.len : batch->body.len);
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        message->items[i] = admission->items[i];
        message->loaded |= admission->items[i] > 0 ? UINT64_C(1) << i : 0;
    }
    message->spilled &= ~message->loaded;
    if (admission->open) {
        batch->debt = decision_debt_new(&journal->inbox, MESSAGE_DEBT, batch->entry);
    }
    batch_hold(batch);
    message->batch = batch;
    mailbox_post(&journal->inbox, &message->head.node);
}

void journal_await(struct journal *journal, struct commit_wait *wait)
{
    wait->kind = MESSAGE_AWAIT;
    mailbox_post(&journal->inbox, &wait->node);
}

struct journal_group *journal_group_new(void)
{
    struct journal_group *group = calloc(1, sizeof(*group));
    CHECK(group != NULL);
    group->head.kind = MESSAGE_GROUP;
    group->end = &group->first;
    return group;
}

void journal_group_release(struct journal_group *group, struct parcel *parcel)
{
    parcel->next = NULL;
    *group->end = parcel;
    group->end = &parcel->next;
}

void journal_group_decide(struct journal_group *group, const struct trace_id *trace_id,
                          const struct span_id *target)
{
    if (group->decision_count == group->decision_max) {
        group->decision_max = group->decision_max > 0 ? group->decision_max * 2 : 4;
        group->decisions =
            realloc(group->decisions, group->decision_max * sizeof(group->decisions[0]));
        CHECK(group->decisions != NULL);
    }
    group->decisions[group->decision_count++] = (struct decision_key){*trace_id, *target};
}

void journal_group_post(struct journal *journal, struct journal_group **group_at)
{
    struct journal_group *group = *group_at;
    *group_at = NULL;
    if (group->first == NULL && group->decision_count == 0) {
        free(group->decisions);
        free(group);
        return;
    }
    mailbox_post(&journal->inbox, &group->head.node);
}

void journal_group_let_go(struct journal_group **group_at,
                          void (*push)(void *arg, struct parcel *parcel), void *arg)
{
    struct journal_group *group = *group_at;
    *group_at = NULL;
    struct parcel *next;
    for (struct parcel *parcel = group->first; parcel != NULL; parcel = next) {
        next = parcel->next;
        parcel->next = NULL;
        push(arg, parcel);
    }
    free(group->decisions);
    free(group);
}

void journal_settled(void *arg, struct parcel_link *link)
{
    const struct journal_outlet *outlet = arg;
    struct parcel *parcel = link->parcel;
    if (parcel->batch->entry == 0) {
        link->parcel = NULL;
        parcel_unref(&parcel);
        return;
    }
    link->kind = MESSAGE_SETTLED | outlet->index << 8;
    mailbox_post(&outlet->journal->inbox, &link->node);
}

void journal_dropped(struct journal *journal, struct parcel *parcel, uint64_t outlets)
{
    struct dropped_message *message = calloc(1, sizeof(*message));
    CHECK(message != NULL);
    message->head.kind = MESSAGE_DROPPED;
    message->parcel = parcel;
    message->outlets = outlets;
    mailbox_post(&journal->inbox, &message->head.node);
}

bool journal_is_behind(const struct journal *journal, unsigned outlet)
{
    return atomic_load_explicit(&journal->behind[outlet], memory_order_relaxed);
}

uint64_t journal_backlog(const struct journal *journal, unsigned outlet)
{
    return atomic_load_explicit(&journal->backlog[outlet], memory_order_relaxed);
}

void journal_replay_begin(struct journal *journal)
{
    atomic_store(&journal->replay_wanted, true);
    loop_wake(journal->loop);
}

void journal_hush(struct journal *journal)
{
    atomic_store(&journal->is_hushed, true);
}

// Who answers may still touch the mailbox when its answer is here, and a late answer finds nobody:
// barriers stay until the journal goes. There is one for each step of the end.
bool journal_barrier(struct journal *journal, uint64_t deadline_ns)
{
    struct journal_barrier *barrier = aligned_alloc(64, (sizeof(*barrier) + 63) / 64 * 64);
    CHECK(barrier != NULL);
    memset(barrier, 0, sizeof(*barrier));
    mailbox_init(&barrier->replies, 1, NULL, NULL);
    barrier->wait.reply_to = &barrier->replies;
    barrier->wait.reply = &barrier->reply;
    barrier->next = atomic_exchange(&journal->barriers, barrier);
    journal_await(journal, &barrier->wait);
    while (mailbox_take(&barrier->replies) == NULL) {
        if (clock_mono_ns() > deadline_ns) {
            return false;
        }
        (void)poll(NULL, 0, 1);
    }
    return true;
}
