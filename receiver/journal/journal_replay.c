// SPDX-License-Identifier: Apache-2.0
//
// Handing entries on again, on the journal's thread between messages. After a restart one walk over
// all entries, in the order of arrival; later, per exporter with a backlog, a walk over what it is
// owed, as it has room. An entry is copied out of the store, inflated, and given to the service's
// port together with its history; what the port could not place stays on disk.
//
// Refused: loading ahead of room, which would move the outage from the disk into memory. Bounds:
// REPLAY_TURN entries per turn, REPLAY_BYTES of them; one look per 50 ms while there is no room.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receiver/journal/journal_state.h"

#define REPLAY_TURN 32
#define REPLAY_BYTES ((size_t)4 << 20)
#define REPLAY_WAIT_NS (50 * NS_PER_MS)
#define AROUND_WAIT_NS (250 * NS_PER_MS)
#define CRASHES_DIRECT 2      // exits while it was open
#define CRASHES_QUARANTINE 2  // and then, while it was handed straight to its exporters

// The body in identity coding; false: it cannot be inflated, which no CRC would have let pass.
static bool body_plain(struct journal *journal, const struct journal_entry *entry,
                       struct bytes *plain)
{
    const char *why = "";
    if (entry->codec == CODEC_NONE) {
        *plain = entry->body;
        return true;
    }
    buffer_reset(&journal->plain);
    enum result result = codec_inflate(journal->compressor, entry->codec, entry->body,
                                       &journal->plain, NULL, NULL, &why);
    *plain = buffer_view(&journal->plain);
    return result == RESULT_OK;
}

static void set_aside(struct journal *journal, const struct journal_entry *entry, const char *why)
{
    journal_group_begin(journal);
    journal_wrote(journal, journal_store_quarantine(journal->store, entry->id));
    metric_add(journal->metrics.quarantined, 1);
    log_line(LOG_ERROR, "receiver/journal", "an entry is set aside in quarantine/",
             LOG_INT("entry", entry->id), LOG_INT("items", entry->items), LOG_TEXT("why", why));
}

// Hands one entry on to *wanted (outlets), which is left with those that had no room. RESULT_SHED:
// none had; nothing has happened.
static enum result hand_on(struct journal *journal, const struct journal_entry *entry,
                           uint64_t *wanted, bool evaluate)
{
    struct bytes plain;
    if (!body_plain(journal, entry, &plain)) {
        set_aside(journal, entry, "its body cannot be decompressed");
        return RESULT_OK;
    }
    if (journal_history_read(&journal->history, journal->store, entry->id) != RESULT_OK) {
        set_aside(journal, entry, "its history cannot be read");
        return RESULT_OK;
    }
    struct batch *batch = batch_make(entry->signal, plain, clock_mono_ns());
    batch->item_count = entry->items;
    // Before the port: what it hands out may be settled at once.
    struct journal_item *item = journal_items_find_entry(journal->items, entry->id);
    if (item == NULL) {
        item = journal_items_add(journal->items, atomic_fetch_add(&journal->last_ticket, 1) + 1);
        journal_items_book(journal->items, item, entry->id);
        item->owed = item->booked = journal_outlets_of(journal, entry->owed);
        item->open = entry->open && evaluate;
        if (entry->open && !evaluate) {  // whose decision nobody has in hand any more
            journal_group_begin(journal);
            journal_wrote(journal, journal_store_settle(journal->store, entry->id));
        }
    }
    batch->entry = item->ticket;
    struct decision_debt *debt =
        evaluate ? decision_debt_new(&journal->inbox, MESSAGE_DEBT, item->ticket) : NULL;
    batch->debt = debt;
    struct journal_replay replay = {.entry = entry,
                                    .history = &journal->history,
                                    .batch = batch,
                                    .wanted = *wanted,
                                    .evaluate = evaluate};
    enum result result = journal->ports.replay(journal->ports.arg, &replay);
    if (result == RESULT_OK) {
        *wanted &= ~replay.served;
        for (unsigned i = 0; i < journal->outlet_count; i++) {
            item->left[i] = (replay.served >> i & 1) != 0 ? replay.items[i] : item->left[i];
        }
        item->loaded |= replay.served;
        item->held += replay.held;
        metric_add(journal->metrics.replayed, 1);
    }
    for (unsigned i = 0; i < journal->outlet_count && result == RESULT_OK; i++) {
        bool has_all = (replay.served >> i & 1) != 0 && replay.items[i] == 0;
        if (has_all) {  // everything of it had been delivered
            item->owed &= ~(UINT64_C(1) << i);
            item->loaded &= ~(UINT64_C(1) << i);
            journal_group_begin(journal);
            journal_wrote(journal,
                          journal_store_pay(journal->store, entry->id, journal->bit_of[i]));
        }
    }
    if (result != RESULT_OK && debt != NULL) {
        free(debt);  // nobody else has a count; the walk comes back to the entry
        debt = NULL;
        item->open = false;
    }
    decision_debt_pay(&debt);
    batch_release(&batch);
    journal_item_check(journal, item);
    return result;
}

// Evaluating it went wrong twice: straight to its exporters. Should even that end the process, the
// mark that is durable for just that long counts it.
static enum result hand_on_suspected(struct journal *journal, struct journal_entry *entry,
                                     uint64_t *owed, uint64_t now_ns)
{
    if (journal->in_group) {
        journal_commit(journal, now_ns);
    }
    entry->open = false;
    (void)!journal_store_suspect(journal->store, entry->id, true);
    enum result result = hand_on(journal, entry, owed, false);
    if (journal->in_group) {
        journal_wrote(journal, journal_store_suspect(journal->store, entry->id, false));
    } else {
        (void)!journal_store_suspect(journal->store, entry->id, false);
    }
    return result;
}

// The walk after a restart. True: come again at once.
static bool resume(struct journal *journal, uint64_t now_ns, uint64_t *next_ns)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < REPLAY_TURN && bytes < REPLAY_BYTES; i++) {
        struct journal_entry entry;
        enum result result = journal_store_next(journal->store, journal->replay_after,
                                                journal->all_bits, true, &entry, &journal->body);
        if (result != RESULT_OK || entry.id > journal->replay_last) {
            journal->replaying = false;
            log_line(LOG_INFO, "receiver/journal", "replay is done",
                     LOG_INT("entries", journal->replayed));
            return false;
        }
        if (!entry.open && entry.crashes >= CRASHES_QUARANTINE) {
            set_aside(journal, &entry, "the process died four times while it worked on it");
            journal->replay_after = entry.id;
            continue;
        }
        bool evaluate = entry.open && entry.crashes < CRASHES_DIRECT;
        uint64_t owed = journal_outlets_of(journal, entry.owed);
        result = entry.crashes > 0 && !evaluate ? hand_on_suspected(journal, &entry, &owed, now_ns)
                                                : hand_on(journal, &entry, &owed, evaluate);
        if (result == RESULT_SHED && evaluate) {
            *next_ns = now_ns + REPLAY_WAIT_NS;
            return false;
        }
        bytes += entry.body.len;
        journal->replay_after = entry.id;
        journal->replayed++;
        for (unsigned k = 0; k < journal->outlet_count; k++) {
            atomic_fetch_add(&journal->backlog[k], owed >> k & 1);
        }
    }
    return true;
}

// What one exporter is owed from disk. True: come again at once.
static bool refill(struct journal *journal, unsigned outlet, uint64_t now_ns, uint64_t *next_ns)
{
    uint64_t bit = UINT64_C(1) << outlet;
    for (unsigned i = 0; i < REPLAY_TURN; i++) {
        if (atomic_load(&journal->backlog[outlet]) == 0) {
            return false;
        }
        struct journal_entry entry;
        enum result result = journal_store_next(journal->store, journal->cursors[outlet],
                                                UINT64_C(1) << journal->bit_of[outlet], false,
                                                &entry, &journal->body);
        uint64_t wait_ns = now_ns + AROUND_WAIT_NS;
        if (result != RESULT_OK) {  // around once more for what was passed over
            atomic_store(&journal->behind[outlet], false);
            if (journal->cursors[outlet] == 0 && journal_items_count(journal->items) == 0) {
                atomic_store(&journal->backlog[outlet], 0);  // erased by age, size or quarantine
            }
            journal->cursors[outlet] = 0;
            *next_ns = wait_ns < *next_ns ? wait_ns : *next_ns;
            return false;
        }
        const struct journal_item *item = journal_items_find_entry(journal->items, entry.id);
        bool is_held = item != NULL && item->open && item->held > 0;
        if (item != NULL && ((item->loaded & bit) != 0 || is_held)) {
            journal->cursors[outlet] = entry.id;  // on its way, or some of it is held
            continue;
        }
        uint64_t wanted = bit;
        if (hand_on(journal, &entry, &wanted, false) == RESULT_SHED || wanted != 0) {
            wait_ns = now_ns + REPLAY_WAIT_NS;
            *next_ns = wait_ns < *next_ns ? wait_ns : *next_ns;
            return false;
        }
        atomic_fetch_sub(&journal->backlog[outlet], 1);
        journal->cursors[outlet] = entry.id;
    }
    return true;
}

uint64_t journal_replay_turn(struct journal *journal, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;
    if (atomic_exchange(&journal->replay_wanted, false)) {
        journal->replaying = journal->replay_last > 0;
    }
    if (atomic_load_explicit(&journal->is_hushed, memory_order_relaxed)) {
        return UINT64_MAX;
    }
    if (now_ns < journal->replay_at_ns || journal_is_failing(journal)) {
        return journal_is_failing(journal) ? UINT64_MAX : journal->replay_at_ns;
    }
    bool more = journal->replaying && resume(journal, now_ns, &next_ns);
    for (unsigned i = 0; i < journal->outlet_count && !journal->replaying; i++) {
        if (atomic_load_explicit(&journal->backlog[i], memory_order_relaxed) > 0) {
            more = refill(journal, i, now_ns, &next_ns) || more;
        }
    }
    journal->replay_at_ns = more || next_ns == UINT64_MAX ? 0 : next_ns;
    return more ? now_ns : next_ns;
}
