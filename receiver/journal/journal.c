// SPDX-License-Identifier: Apache-2.0
//
// The journal's thread. A turn takes what was posted, writes it into the open group, and commits
// when 5 ms have passed since the last commit; then what waited for the commit is answered and let
// go. Between groups it tends the store and hands entries on again. The order in the mailbox is
// what makes it right: the door posts an entry before anybody can settle a part of it, a shard
// posts what it decided together with what leaves by it.
//
// Refused: a lock around the store with every caller writing for itself, which makes a shard wait
// for the disk. Bounds: the store's size_max; messages are bounded by who makes them (requests
// admitted, parcels, groups per turn); REPLAY_TURN entries handed on per turn. Own thread
// "sj-journal"; the functions at the end of journal.h run on any.
#include "receiver/journal/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/parcel_record.h"
#include "receiver/journal/journal_state.h"

#define RECORD_BYTES_MAX ((size_t)1 << 20)
#define BODY_BYTES_MAX ((size_t)64 << 20)
#define TURN_MESSAGES 1024
#define PROBE_NS NS_PER_S
#define DECISION_KEPT_NS (UINT64_C(3600) * NS_PER_S)
#define QUIET_NS (60 * NS_PER_S)

// --- writing --------------------------------------------------------------------------------

static uint64_t bits_of(const struct journal *journal, uint64_t outlets)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        bits |= (outlets >> i & 1) << journal->bit_of[i];
    }
    return bits;
}

uint64_t journal_outlets_of(const struct journal *journal, uint64_t bits)
{
    uint64_t outlets = 0;
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        outlets |= (bits >> journal->bit_of[i] & 1) << i;
    }
    return outlets;
}

// The disk failed: the group is lost to the store, not to the process.
static void note_failure(struct journal *journal)
{
    journal->failed = true;
}

static bool writes(struct journal *journal, const struct journal_item *item)
{
    return journal->in_group && !journal->failed && !journal_is_failing(journal) &&
           (item == NULL || item->stored);
}

void journal_wrote(struct journal *journal, enum result result)
{
    if (result != RESULT_OK && result != RESULT_SHED && result != RESULT_MISSING) {
        note_failure(journal);
    }
}

// What is settled leaves the table; what is owed from disk is found there again.
void journal_item_check(struct journal *journal, struct journal_item *item)
{
    if (item->loaded != 0 || item->open) {
        return;
    }
    if (item->owed == 0 && item->stored && (journal_is_failing(journal) || journal->failed)) {
        return;  // kept until the store has heard of it
    }
    journal_items_remove(journal->items, item);
}

static void item_pay(struct journal *journal, struct journal_item *item, unsigned outlet)
{
    item->owed &= ~(UINT64_C(1) << outlet);
    item->loaded &= ~(UINT64_C(1) << outlet);
    if (writes(journal, item)) {
        journal_wrote(journal,
                      journal_store_pay(journal->store, item->entry, journal->bit_of[outlet]));
    }
}

// One exporter is done with a parcel of the entry. Borrows the parcel.
static void item_settle(struct journal *journal, struct journal_item *item,
                        const struct parcel *parcel, unsigned outlet)
{
    uint32_t count = parcel->item_count;
    item->left[outlet] -= count < item->left[outlet] ? count : item->left[outlet];
    if (item->left[outlet] == 0) {
        item_pay(journal, item, outlet);
    } else if (writes(journal, item) && parcel_is_recordable(parcel)) {
        buffer_reset(&journal->record);
        parcel_places_write(parcel, &journal->record);
        if (buffer_status(&journal->record) == RESULT_OK) {
            journal_wrote(journal, journal_store_progress(journal->store, item->entry,
                                                          journal->bit_of[outlet],
                                                          buffer_view(&journal->record)));
        }
    }
}

// Gives the entry its id and writes it; the item stands for it afterwards.
static void put_entry(struct journal *journal, struct journal_item *item,
                      struct journal_entry *entry)
{
    if (journal_is_failing(journal) || journal->failed) {
        return;
    }
    entry->id = journal_store_last_id(journal->store) + 1;
    enum result result = journal_store_put(journal->store, entry);
    if (result == RESULT_SHED && journal->config.policy == JOURNAL_DROP_OLDEST &&
        entry->origin == JOURNAL_RECEIVED) {  // for others room was made before
        result = journal_store_drop_oldest(journal->store, entry->body.len);
        if (result == RESULT_OK) {
            result = journal_store_put(journal->store, entry);
        }
    }
    journal_wrote(journal, result);
    if (result == RESULT_OK) {
        journal_items_book(journal->items, item, entry->id);
    } else if (result == RESULT_SHED && entry->origin == JOURNAL_RECEIVED) {
        journal->lost_spilled = true;  // a disk that is full has not failed: no OK without it
    }
}

static void entry_of_batch(const struct batch *batch, struct journal_entry *entry)
{
    bool packed = batch->packed.len > 0;
    entry->signal = batch->signal;
    entry->codec = packed ? batch->packed_codec : CODEC_NONE;
    entry->body = packed ? batch->packed : batch->body;
    entry->items = batch->item_count;
}

// What these outlets had no room for stands on disk only, or nowhere.
static void spill(struct journal *journal, struct journal_item *item, uint64_t spilled)
{
    if (!item->stored) {
        item->owed &= ~spilled;
        metric_add(journal->metrics.unstored, 1);
        return;
    }
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        if ((spilled >> i & 1) != 0) {
            atomic_fetch_add(&journal->backlog[i], 1);
            atomic_store_explicit(&journal->behind[i], true, memory_order_relaxed);
        }
    }
}

static void on_admit(struct journal *journal, struct admit_message *message)
{
    struct journal_item *item = journal_items_add(journal->items, message->ticket);
    struct journal_entry entry = {.origin = JOURNAL_RECEIVED,
                                  .route = bytes_from_text(message->route),
                                  .received_wall_ns = message->wall_ns,
                                  .owed = bits_of(journal, message->loaded | message->spilled),
                                  .open = message->open};
    entry_of_batch(message->batch, &entry);
    item->owed = message->loaded | message->spilled;
    item->loaded = message->loaded;
    item->booked = item->owed;
    item->open = message->open;
    item->held = message->held;
    item->group = journal->group;
    memcpy(item->left, message->items, journal->outlet_count * sizeof(item->left[0]));
    put_entry(journal, item, &entry);
    spill(journal, item, message->spilled);
    journal->lost_spilled = journal->lost_spilled || (!item->stored && message->spilled != 0);
    journal->admitted_bytes += message->reserved;
    batch_release(&message->batch);
    journal_item_check(journal, item);
    free(message);
}

static void on_settled(struct journal *journal, struct parcel_link *link)
{
    struct parcel *parcel = link->parcel;
    unsigned outlet = link->kind >> 8;
    struct journal_item *item = journal_items_find(journal->items, parcel->batch->entry);
    if (item != NULL && (item->loaded >> outlet & 1) != 0) {
        item_settle(journal, item, parcel, outlet);
        journal_item_check(journal, item);
    }
    link->parcel = NULL;
    parcel_unref(&parcel);
}

static void on_dropped(struct journal *journal, struct dropped_message *message)
{
    struct journal_item *item = journal_items_find(journal->items, message->parcel->batch->entry);
    for (unsigned i = 0; i < journal->outlet_count && item != NULL; i++) {
        if ((message->outlets & item->loaded) >> i & 1) {
            item_settle(journal, item, message->parcel, i);
        }
    }
    if (item != NULL) {
        journal_item_check(journal, item);
    }
    parcel_unref(&message->parcel);
    free(message);
}

static void on_debt(struct journal *journal, struct decision_debt *debt)
{
    struct journal_item *item = journal_items_find(journal->items, debt->entry);
    if (item != NULL && item->open) {
        item->open = false;
        if (writes(journal, item)) {
            journal_wrote(journal, journal_store_settle(journal->store, item->entry));
        }
        journal_item_check(journal, item);
    }
    free(debt);
}

struct releasing {
    struct journal *journal;
    const struct parcel *parcel;
    uint64_t entry;
    bool has_bare;
};

static bool release_item(void *arg, const struct item_view *view)
{
    struct releasing *releasing = arg;
    struct journal *journal = releasing->journal;
    uint32_t at;
    buffer_reset(&journal->record);
    parcel_edits_write(releasing->parcel, view->place, &journal->record);
    if (!batch_origin_at(releasing->parcel->batch, view->place.item_at, &at) ||
        journal->record.len == 0 || buffer_status(&journal->record) != RESULT_OK) {
        releasing->has_bare = true;
        return true;
    }
    journal_wrote(journal, journal_store_release(journal->store, releasing->entry, at,
                                                 buffer_view(&journal->record)));
    return !journal->failed;
}

// What leaves of a received entry: with which edits, or bare.
static void record_release(struct journal *journal, const struct parcel *leaving)
{
    const struct parcel *parcel = leaving->before != NULL ? leaving->before : leaving;
    struct journal_item *item = journal_items_find(journal->items, parcel->batch->entry);
    struct releasing releasing = {.journal = journal, .parcel = parcel};
    if (item != NULL) {
        item->held -= leaving->item_count < item->held ? leaving->item_count : item->held;
    }
    if (item == NULL || !writes(journal, item) || !parcel_is_recordable(parcel)) {
        return;
    }
    releasing.entry = item->entry;
    if (parcel->edits != NULL) {
        parcel_each(parcel, release_item, &releasing);
    } else {
        releasing.has_bare = true;
    }
    if (releasing.has_bare && !journal->failed) {  // edited ones are found first
        buffer_reset(&journal->record);
        parcel_places_write(parcel, &journal->record);
        journal_wrote(journal, journal_store_progress(journal->store, item->entry, HISTORY_BARE,
                                                      buffer_view(&journal->record)));
    }
}

// What Sidejudge made itself becomes an entry of its own.
static void record_own(struct journal *journal, struct parcel *parcel)
{
    uint64_t loaded = journal->ports.outlets(journal->ports.arg, parcel, parcel->exporters);
    uint64_t spilled = journal->ports.outlets(journal->ports.arg, parcel, parcel->spilled);
    if ((loaded | spilled) == 0) {
        return;
    }
    struct journal_entry entry = {.origin = JOURNAL_OWN,
                                  .route = BYTES_LITERAL("own"),
                                  .received_wall_ns = clock_wall_ns(),
                                  .owed = bits_of(journal, loaded | spilled)};
    entry_of_batch(parcel->batch, &entry);
    entry.items = parcel->item_count;
    uint64_t ticket = atomic_fetch_add(&journal->last_ticket, 1) + 1;
    struct journal_item *item = journal_items_add(journal->items, ticket);
    parcel->batch->entry = ticket;
    item->owed = item->booked = loaded | spilled;
    item->loaded = loaded;
    item->group = journal->group;
    put_entry(journal, item, &entry);
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        item->left[i] = (loaded >> i & 1) != 0 ? parcel->item_count : 0;
    }
    spill(journal, item, spilled);
    journal_item_check(journal, item);
}

// What belongs together must not be parted by erasing for room, which commits: so it is made
// before.
static void group_make_room(struct journal *journal, const struct journal_group *group)
{
    uint64_t most = journal->config.store.size_max;
    uint64_t bytes = ENTRY_OVERHEAD + group->decision_count * sizeof(struct decision_key);
    if (journal->config.policy != JOURNAL_DROP_OLDEST || most == 0 || !writes(journal, NULL)) {
        return;
    }
    for (const struct parcel *parcel = group->first; parcel != NULL; parcel = parcel->next) {
        bytes += ENTRY_OVERHEAD + parcel->edit_bytes + (parcel->own ? parcel->batch->body.len : 0);
    }
    if (!journal_store_has_room(journal->store, bytes)) {
        journal_wrote(journal, journal_store_drop_oldest(journal->store, bytes));
    }
}

static void on_group(struct journal *journal, struct journal_group *group)
{
    struct parcel *next;
    group_make_room(journal, group);
    for (struct parcel *parcel = group->first; parcel != NULL; parcel = next) {
        next = parcel->next;
        if (parcel->own) {
            record_own(journal, parcel);
        } else {
            record_release(journal, parcel);
        }
        parcel->next = NULL;
        *journal->released_end = parcel;
        journal->released_end = &parcel->next;
    }
    uint64_t expires_ns = clock_wall_ns() + DECISION_KEPT_NS;
    for (size_t i = 0; i < group->decision_count && writes(journal, NULL); i++) {
        journal_wrote(journal, journal_store_decide(journal->store, &group->decisions[i].trace_id,
                                                    &group->decisions[i].target, expires_ns));
    }
    free(group->decisions);
    free(group);
}

static void on_message(struct journal *journal, struct mailbox_node *node)
{
    struct journal_message *message = (struct journal_message *)(void *)node;
    switch ((enum message_kind)(message->kind & 0xff)) {
    case MESSAGE_ADMIT:
        on_admit(journal, (struct admit_message *)(void *)node);
        return;
    case MESSAGE_SETTLED:
        on_settled(journal, (struct parcel_link *)(void *)node);
        return;
    case MESSAGE_DROPPED:
        on_dropped(journal, (struct dropped_message *)(void *)node);
        return;
    case MESSAGE_DEBT:
        on_debt(journal, (struct decision_debt *)(void *)node);
        return;
    case MESSAGE_GROUP:
        on_group(journal, (struct journal_group *)(void *)node);
        return;
    case MESSAGE_AWAIT: {
        struct commit_wait *wait = (struct commit_wait *)(void *)node;
        atomic_store_explicit(&wait->node.next,
                              journal->waits != NULL ? &journal->waits->node : NULL,
                              memory_order_relaxed);
        journal->waits = wait;
        return;
    }
    }
    CHECK(!"a message of no kind");
}

// --- committing -----------------------------------------------------------------------------

static void answer_waits(struct journal *journal, enum result result)
{
    struct commit_wait *wait = journal->waits;
    journal->waits = NULL;
    while (wait != NULL) {
        struct mailbox_node *next = atomic_load_explicit(&wait->node.next, memory_order_relaxed);
        wait->result = result;
        mailbox_post(wait->reply_to, wait->reply);
        wait = (struct commit_wait *)(void *)next;
    }
}

static void push_released(struct journal *journal)
{
    struct parcel *parcel = journal->released;
    journal->released = NULL;
    journal->released_end = &journal->released;
    while (parcel != NULL) {
        struct parcel *next = parcel->next;
        parcel->next = NULL;
        journal->ports.push(journal->ports.arg, parcel);
        parcel = next;
    }
}

static void forget_group(void *arg, struct journal_item *item)
{
    struct journal *journal = arg;
    if (item->group == journal->group && item->stored) {
        journal_items_unbook(journal->items, item);
        for (unsigned i = 0; i < journal->outlet_count; i++) {
            if ((item->owed & ~item->loaded) >> i & 1) {  // spilled, and lost with the group
                atomic_fetch_sub(&journal->backlog[i], 1);
                item->owed &= ~(UINT64_C(1) << i);
                journal->lost_spilled = true;
            }
        }
        metric_add(journal->metrics.unstored, 1);
        journal_item_check(journal, item);
    }
}

static void group_failed(struct journal *journal, uint64_t now_ns)
{
    journal_store_rollback(journal->store);
    atomic_fetch_add(&journal->losses, 1);
    atomic_store(&journal->failing, true);
    journal->probe_at_ns = now_ns + PROBE_NS;
    journal_items_each(journal->items, forget_group, journal);
    if (log_episode_opens(&journal->failing_episode, now_ns, QUIET_NS)) {
        log_line(LOG_ERROR, "receiver/journal",
                 journal->config.refuse_on_error
                     ? "the journal cannot be written: requests are refused until it can"
                     : "the journal cannot be written: requests are taken in memory until it can",
                 LOG_TEXT("why", journal_store_error(journal->store)));
    }
}

void journal_commit(struct journal *journal, uint64_t now_ns)
{
    enum result result = RESULT_OK;
    if (journal->in_group) {
        result = journal->failed ? RESULT_RETRY : journal_store_commit(journal->store);
        if (result != RESULT_OK) {
            group_failed(journal, now_ns);
        }
        journal->in_group = false;
        journal->failed = false;
        journal->group++;
        journal->last_commit_ns = now_ns;
    }
    bool is_lost = result != RESULT_OK || journal_is_failing(journal);
    bool refuse = journal->lost_spilled || (is_lost && journal->config.refuse_on_error);
    journal->lost_spilled = false;
    answer_waits(journal, refuse ? RESULT_SHED : RESULT_OK);
    push_released(journal);
    journal_counts_publish(journal);
}

void journal_group_begin(struct journal *journal)
{
    if (!journal->in_group && !journal_is_failing(journal)) {
        journal->in_group = true;
        journal->failed = journal_store_begin(journal->store) != RESULT_OK;
    }
}

static void resync(void *arg, struct journal_item *item)
{
    struct journal *journal = arg;
    if (!item->stored || journal->failed) {
        return;
    }
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        if ((item->booked & ~item->owed) >> i & 1) {
            journal_wrote(journal,
                          journal_store_pay(journal->store, item->entry, journal->bit_of[i]));
        }
    }
    if (!item->open) {
        journal_wrote(journal, journal_store_settle(journal->store, item->entry));
    }
}

static void item_check_any(void *arg, struct journal_item *item)
{
    journal_item_check(arg, item);
}

// The disk may be well again: tells the store what happened meanwhile.
static void probe(struct journal *journal, uint64_t now_ns)
{
    if (!journal_is_failing(journal) || now_ns < journal->probe_at_ns) {
        return;
    }
    journal->failed = journal_store_begin(journal->store) != RESULT_OK;
    if (!journal->failed) {
        journal_items_each(journal->items, resync, journal);
    }
    if (journal->failed || journal_store_commit(journal->store) != RESULT_OK) {
        journal_store_rollback(journal->store);
        journal->failed = false;
        journal->probe_at_ns = now_ns + PROBE_NS;
        return;
    }
    atomic_store(&journal->failing, false);
    journal_items_each(journal->items, item_check_any, journal);
    log_line(LOG_INFO, "receiver/journal", "the journal can be written again");
}

// --- the thread -----------------------------------------------------------------------------

// Erases what only decisions are owed for, when the journal is getting full: only undelivered
// exports may make it refuse (DESIGN 3).
static void forgive(void *arg, struct journal_item *item)
{
    struct journal *journal = arg;
    if (item->open && item->owed == 0 && writes(journal, item)) {
        item->open = false;
        journal_wrote(journal, journal_store_settle(journal->store, item->entry));
        journal_item_check(journal, item);
    }
}

static void relieve(struct journal *journal)
{
    uint64_t most = journal->config.store.size_max;
    if (most > 0 && atomic_load(&journal->file_bytes) > most / 5 * 4) {
        journal_group_begin(journal);
        journal_items_each(journal->items, forgive, journal);
    }
}

// Expiry and checkpoints also while nothing comes.
static void idle_tend(struct journal *journal, uint64_t now_ns)
{
    if (!journal->in_group && now_ns - journal->last_commit_ns >= NS_PER_S) {
        journal->last_commit_ns = now_ns;
        journal_store_tend(journal->store, clock_wall_ns());
        journal_counts_publish(journal);
    }
}

static bool journal_turn(void *arg, uint64_t now_ns)
{
    struct journal *journal = arg;
    CHECK(journal->magic == JOURNAL_MAGIC);
    unsigned taken = 0;
    struct mailbox_node *node = NULL;
    probe(journal, now_ns);
    while (taken < TURN_MESSAGES && (node = mailbox_take(&journal->inbox)) != NULL) {
        journal_group_begin(journal);
        on_message(journal, node);
        taken++;
    }
    uint64_t due_ns = journal->last_commit_ns + JOURNAL_COMMIT_NS;
    bool waits = journal->in_group || journal->waits != NULL || journal->released != NULL;
    if (waits && now_ns >= due_ns) {
        journal_commit(journal, now_ns);
        relieve(journal);
        journal_store_tend(journal->store, clock_wall_ns());
        due_ns = now_ns + JOURNAL_COMMIT_NS;
        waits = false;
    }
    idle_tend(journal, now_ns);
    // Between groups only: nothing goes by a record that is not durable.
    uint64_t next_ns = journal->in_group ? UINT64_MAX : journal_replay_turn(journal, now_ns);
    waits = waits || journal->in_group;
    next_ns = waits && due_ns < next_ns ? due_ns : next_ns;
    if (journal_is_failing(journal) && journal->probe_at_ns < next_ns) {
        next_ns = journal->probe_at_ns;
    }
    uint64_t tend_ns = now_ns + NS_PER_S;
    loop_set_timer(journal->loop, &journal->timer, next_ns < tend_ns ? next_ns : tend_ns);
    return node != NULL || !mailbox_doze(&journal->inbox);
}

// The turn does what is due.
static void timer_rings(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;
    (void)arg;
    (void)now_ns;
}

static void journal_run(void *arg)
{
    struct journal *journal = arg;
    loop_run(journal->loop);
    struct mailbox_node *node;
    while ((node = mailbox_take(&journal->inbox)) != NULL) {
        journal_group_begin(journal);
        on_message(journal, node);
    }
    journal_commit(journal, clock_mono_ns());
}

// --- opening and closing --------------------------------------------------------------------

static enum result outlets_open(struct journal *journal, const char *const *names, size_t count)
{
    struct buffer released;
    buffer_init(&released, RECORD_BYTES_MAX);
    journal->outlet_count = (unsigned)count;
    enum result result = journal_store_keep_exporters(journal->store, names, count, &released);
    if (result == RESULT_OK && released.len > 0) {
        log_line(LOG_WARN, "receiver/journal",
                 "debts to exporters that are not configured any more are released",
                 LOG_TEXT("released", buffer_text(&released)));
    }
    buffer_fini(&released);
    for (unsigned i = 0; i < count && result == RESULT_OK; i++) {
        journal->outlets[i] = (struct journal_outlet){journal, i};
        result = journal_store_exporter(journal->store, names[i], &journal->bit_of[i]);
        if (result == RESULT_OK) {
            journal->all_bits |= UINT64_C(1) << journal->bit_of[i];
            journal->history.outlet_of_bit[journal->bit_of[i]] = (int8_t)i;
        }
    }
    return result;
}

enum result journal_open(const struct journal_config *config, const char *const *names,
                         size_t count, struct journal **made, char *why, size_t why_len)
{
    CHECK(count > 0 && count <= JOURNAL_EXPORTERS_MAX);
    struct journal *journal = aligned_alloc(64, (sizeof(*journal) + 63) / 64 * 64);
    CHECK(journal != NULL);
    memset(journal, 0, sizeof(*journal));
    journal->magic = JOURNAL_MAGIC;
    journal->config = *config;
    bool unclean = false;
    enum result result =
        journal_store_open(&config->store, &journal->store, &unclean, why, why_len);
    if (result != RESULT_OK) {
        free(journal);
        return result;
    }
    journal_history_init(&journal->history);
    result = outlets_open(journal, names, count);
    if (result != RESULT_OK) {
        snprintf(why, why_len, "%s", journal_store_error(journal->store));
        journal_history_fini(&journal->history);
        journal_store_close(&journal->store, false);
        free(journal);
        return RESULT_FAIL;
    }
    mailbox_init(&journal->inbox, SIZE_MAX, NULL, NULL);
    journal->items = journal_items_new((unsigned)count);
    journal->released_end = &journal->released;
    journal->compressor = compressor_new();
    journal->group = 1;
    buffer_init(&journal->record, RECORD_BYTES_MAX);
    buffer_init(&journal->body, BODY_BYTES_MAX);
    buffer_init(&journal->plain, BODY_BYTES_MAX);
    journal->replay_last = journal_store_last_id(journal->store);
    journal_metrics_init(journal, names);
    journal_counts_publish(journal);
    const struct journal_counts *counts = journal_store_counts(journal->store);
    if (counts->entries > 0 || unclean) {
        log_line(LOG_INFO, "receiver/journal", "journal opened",
                 LOG_INT("entries", counts->entries), LOG_INT("bytes", counts->bytes),
                 LOG_TEXT("last_exit", unclean ? "unclean" : "clean"));
    }
    *made = journal;
    return RESULT_OK;
}

struct journal_outlet *journal_outlet(struct journal *journal, unsigned index)
{
    CHECK(index < journal->outlet_count);
    return &journal->outlets[index];
}

void journal_decisions(struct journal *journal,
                       void (*decided)(void *arg, const struct trace_id *trace_id,
                                       const struct span_id *target),
                       void *arg)
{
    if (journal_store_decisions(journal->store, decided, arg) != RESULT_OK) {
        log_line(LOG_WARN, "receiver/journal", "decisions of before the restart cannot be read",
                 LOG_TEXT("why", journal_store_error(journal->store)));
    }
}

enum result journal_start(struct journal *journal, const struct journal_ports *ports)
{
    journal->ports = *ports;
    journal->loop = loop_new();
    if (journal->loop == NULL) {
        return RESULT_FAIL;
    }
    journal->inbox.wake = loop_wake;
    journal->inbox.wake_arg = journal->loop;
    timer_init(&journal->timer, timer_rings, journal);
    journal->hook = (struct loop_hook){.turn = journal_turn, .arg = journal};
    loop_add_hook(journal->loop, &journal->hook);
    return thread_start(&journal->thread, "sj-journal", journal_run, journal);
}

void journal_end(struct journal *journal)
{
    if (journal == NULL || journal->store == NULL) {
        return;
    }
    if (journal->thread.started) {
        loop_stop(journal->loop);
        thread_join(&journal->thread);
    }
    journal_store_close(&journal->store, !journal_is_failing(journal));
}

// What came after the end: memory is let go, records are not written.
static void leftovers_drop(struct journal *journal)
{
    struct mailbox_node *node;
    atomic_store(&journal->failing, true);
    while ((node = mailbox_take(&journal->inbox)) != NULL) {
        on_message(journal, node);
    }
    answer_waits(journal, RESULT_OK);
    push_released(journal);
}

void journal_close(struct journal **at)
{
    struct journal *journal = *at;
    *at = NULL;
    if (journal == NULL) {
        return;
    }
    journal_end(journal);
    leftovers_drop(journal);
    while (journal->barriers != NULL) {
        struct journal_barrier *barrier = journal->barriers;
        journal->barriers = barrier->next;
        free(barrier);
    }
    journal_items_free(journal->items);
    journal_history_fini(&journal->history);
    compressor_free(journal->compressor);
    buffer_fini(&journal->record);
    buffer_fini(&journal->body);
    buffer_fini(&journal->plain);
    loop_free(journal->loop);
    journal->magic = 0;
    free(journal);
}
