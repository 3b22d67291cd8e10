// SPDX-License-Identifier: Apache-2.0
// Inside of the journal: what journal.c (the thread), journal_replay.c (handing entries on again)
// and journal_posts.c (what others call) share. For those files only.
#pragma once

#include "base/clock.h"
#include "base/compression.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "receiver/journal/journal.h"
#include "receiver/journal/journal_items.h"

#define JOURNAL_MAGIC MAGIC('J', 'R', 'N', 'L')
#define ENTRY_OVERHEAD 32768  // pages that an entry takes beyond its bytes, at most

enum message_kind {
    MESSAGE_ADMIT = 1,
    MESSAGE_SETTLED,  // in the low byte of a link's kind; the outlet above it
    MESSAGE_DROPPED,
    MESSAGE_DEBT,
    MESSAGE_GROUP,
    MESSAGE_AWAIT,
};

struct admit_message {
    struct journal_message head;
    struct batch *batch;  // one view
    uint64_t ticket;
    char route[64];
    uint64_t wall_ns, loaded, spilled;
    bool open;
    uint32_t held;
    size_t reserved;
    uint32_t items[];  // by outlet
};

struct dropped_message {
    struct journal_message head;
    struct parcel *parcel;
    uint64_t outlets;
};

struct decision_key {
    struct trace_id trace_id;
    struct span_id target;
};

struct journal_group {
    struct journal_message head;
    struct parcel *first, **end;
    struct decision_key *decisions;
    size_t decision_count, decision_max;
};

struct journal_barrier {
    struct journal_barrier *next;
    struct mailbox replies;
    struct mailbox_node reply;
    struct commit_wait wait;
};

struct journal {
    uint32_t magic;
    struct journal_config config;
    struct journal_ports ports;
    struct journal_store *store;
    struct mailbox inbox;
    struct loop *loop;
    struct loop_hook hook;
    struct timer timer;
    struct thread thread;
    unsigned outlet_count;
    struct journal_outlet outlets[JOURNAL_EXPORTERS_MAX];
    unsigned bit_of[JOURNAL_EXPORTERS_MAX];
    uint64_t all_bits;
    struct journal_items *items;
    struct journal_history history;
    struct buffer record, body, plain;
    struct compressor *compressor;
    // The open group.
    bool in_group, failed;  // failed: the disk did, for this group
    bool lost_spilled;      // and something is in it that an exporter has from nowhere else
    uint64_t group, last_commit_ns;
    struct commit_wait *waits;  // by node.next
    struct parcel *released, **released_end;
    // Handing on again.
    atomic_bool replay_wanted, is_hushed;
    bool replaying;
    uint64_t replay_after, replay_last, replay_at_ns;
    uint64_t cursors[JOURNAL_EXPORTERS_MAX];
    _Atomic uint64_t backlog[JOURNAL_EXPORTERS_MAX];
    atomic_bool behind[JOURNAL_EXPORTERS_MAX];  // see journal_is_behind
    uint64_t replayed, quarantined;
    _Atomic(struct journal_barrier *) barriers;  // all that there were; freed at the end
    // Read by the door.
    _Atomic uint64_t last_ticket, file_bytes, pending_bytes;
    _Atomic uint64_t room_bytes;  // for what is pending, as of the last commit
    uint64_t admitted_bytes;      // of what is pending: in the open group
    atomic_bool failing;
    _Atomic uint64_t losses;  // groups that the disk lost
    uint64_t probe_at_ns;
    struct log_episode failing_episode;
    struct {
        struct metric *entries, *bytes, *file_bytes, *size_limit, *commits, *failures, *unstored,
            *replayed, *quarantined, *corrupt, *expired, *dropped, *failing;
        struct metric *backlog[JOURNAL_EXPORTERS_MAX];
    } metrics;
};

static inline bool journal_is_failing(const struct journal *journal)
{
    return atomic_load_explicit(&journal->failing, memory_order_relaxed);
}

// journal_metrics.c
void journal_metrics_init(struct journal *journal, const char *const *names);
void journal_counts_publish(struct journal *journal);
// journal.c
uint64_t journal_outlets_of(const struct journal *journal, uint64_t bits);
// Writes go into the open group; this opens one when there is none.
void journal_group_begin(struct journal *journal);
void journal_wrote(struct journal *journal, enum result result);
// Takes an item out of the table when nothing of it is in memory any more.
void journal_item_check(struct journal *journal, struct journal_item *item);
// Commits the open group, answers what waited for it and lets released parcels go on.
void journal_commit(struct journal *journal, uint64_t now_ns);
// journal_replay.c: a bounded amount of work; returns when to come again (UINT64_MAX: on a
// message).
uint64_t journal_replay_turn(struct journal *journal, uint64_t now_ns);
