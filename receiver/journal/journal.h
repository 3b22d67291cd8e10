// SPDX-License-Identifier: Apache-2.0
// The journal at the door: one thread that owns the store (journal_store.h) and everything that is
// in memory of its entries. Others post messages; what belongs together is one message, and what
// was posted before an `await` is durable when it answers. Commits are grouped: at most one in
// 5 ms under load, at once when idle.
//
//   the door      admits a request (entry, debts to exporters, debt to open decisions), awaits
//   a shard       posts one group per turn: what leaves (recorded before it leaves), what was
//                 decided, what Sidejudge made itself (each an entry of its own)
//   an exporter   says which parcels are settled: delivered or given up for good
//   this thread   commits; then lets released parcels go on; hands entries on again after a restart
//                 and to exporters whose queue was full (spilled), oldest first, as they have room
//
// When the disk fails the process goes on in memory (counted, one ERROR line, tried again every
// second) unless `refuse_on_error`; what is acknowledged then is not durable. An unclean exit
// counts against each entry that was being evaluated: after two it goes straight to its exporters,
// after four into quarantine/. All functions from any thread unless said otherwise.
#pragma once

#include "proto/decision_debt.h"
#include "proto/parcel.h"
#include "proto/sink.h"
#include "receiver/journal/journal_history.h"

#define JOURNAL_COMMIT_NS (UINT64_C(5) * 1000000)

struct journal;

enum journal_policy { JOURNAL_REJECT, JOURNAL_DROP_OLDEST };  // at size_max

struct journal_config {
    struct journal_store_config store;
    enum journal_policy policy;
    bool refuse_on_error;  // 503 instead of memory while the disk fails
};

// An exporter with a storage. Sets of them are bit sets by index.
struct journal_outlet {
    struct journal *journal;
    unsigned index;
};

struct journal_replay {
    const struct journal_entry *entry;
    const struct journal_history *history;
    struct batch *batch;  // borrowed: identity coding, entry and debt set
    uint64_t wanted;      // outlets to serve
    bool evaluate;        // its decisions are open: processors that hold see it again
    // Set by the port: outlets that got what they are owed, and how many items each.
    uint64_t served;
    uint32_t items[JOURNAL_EXPORTERS_MAX];
    uint32_t held;  // items that shards have taken
};

struct journal_ports {  // on the journal's thread
    // Gives a parcel to the exporters that hold reservations for it. Takes.
    void (*push)(void *arg, struct parcel *parcel);
    // The outlets among a parcel's exporters (bit set by the pipeline's order).
    uint64_t (*outlets)(void *arg, const struct parcel *parcel, uint32_t exporters);
    // Hands an entry on. RESULT_SHED: no room for any part of it now.
    enum result (*replay)(void *arg, struct journal_replay *replay);
    void *arg;
};

// Opens the store (journal_store_open) and makes the outlets, in the order of `names`; debts to
// others are released, counted and named in a log line. Main thread. RESULT_FAIL with a sentence.
enum result journal_open(const struct journal_config *config, const char *const *names,
                         size_t count, struct journal **journal, char *why,
                         size_t why_len) MUST_USE;
struct journal_outlet *journal_outlet(struct journal *journal, unsigned index);
// Every decision that must not be made again. Before journal_start.
void journal_decisions(struct journal *journal,
                       void (*decided)(void *arg, const struct trace_id *trace_id,
                                       const struct span_id *target),
                       void *arg);
// Starts the thread; replay begins when journal_replay_begin is called (listeners accept).
enum result journal_start(struct journal *journal, const struct journal_ports *ports) MUST_USE;
void journal_replay_begin(struct journal *journal);
// Everything posted so far is durable, or the deadline is over (false). Not on its own thread.
bool journal_barrier(struct journal *journal, uint64_t deadline_ns);
// Nothing is handed on again from now on.
void journal_hush(struct journal *journal);
// Commits what is left, ends the thread, closes the store and marks the exit clean. Messages that
// are posted all the same are let go by journal_close, without a record. NULL is allowed.
void journal_end(struct journal *journal);
void journal_close(struct journal **journal);  // nobody posts any more

// The disk does not fail: what finds no room may be spilled.
bool journal_is_well(const struct journal *journal);
// How often the disk has lost what was admitted. Counted before anybody who waited for it hears so;
// any thread.
uint64_t journal_losses(const struct journal *journal);

// --- the door ---
// Room for a request of `bytes`: RESULT_OK; RESULT_SHED: size_max (policy reject);
// RESULT_RETRY: the disk fails and requests are refused; RESULT_MISSING: it fails and they are
// taken in memory: then nothing is journalled or spilled.
enum result journal_reserve(struct journal *journal, size_t bytes) MUST_USE;
void journal_unreserve(struct journal *journal, size_t bytes);  // not used after all
struct journal_admission {
    const char *route;  // a receiver's id; the first 63 bytes are kept
    uint64_t wall_ns;
    uint32_t items[JOURNAL_EXPORTERS_MAX];  // by outlet: what is on its way to it in memory
    uint64_t spilled;                       // outlets that get it from the journal
    bool open;                              // shards will look at it
    uint32_t held;                          // items that shards take: their releases will come
};
// Under a reservation. Sets batch->entry and batch->debt (one count is the caller's, who pays it
// after the commit). Takes a view of the batch for as long as it writes.
void journal_admit(struct journal *journal, struct batch *batch,
                   const struct journal_admission *admission);
void journal_await(struct journal *journal, struct commit_wait *wait);

// --- shards ---
struct journal_group;
struct journal_group *journal_group_new(void);
// Takes the parcel: it goes on (ports.push) once its record is durable.
void journal_group_release(struct journal_group *group, struct parcel *parcel);
void journal_group_decide(struct journal_group *group, const struct trace_id *trace_id,
                          const struct span_id *target);
// Posts; takes; nulls. Empty groups are only freed.
void journal_group_post(struct journal *journal, struct journal_group **group);

// The same without a journal: its parcels go on at once.
void journal_group_let_go(struct journal_group **group,
                          void (*push)(void *arg, struct parcel *parcel), void *arg);

// --- exporters and pipelines ---
// component_env.settled with the outlet as its argument.
void journal_settled(void *outlet, struct parcel_link *link);
// The parcel goes nowhere (a processor dropped it): its items count as settled at these outlets.
// Takes it.
void journal_dropped(struct journal *journal, struct parcel *parcel, uint64_t outlets);
// What is new goes by way of the disk: older things that found no room wait there, and have not
// been walked through since. Any thread.
bool journal_is_behind(const struct journal *journal, unsigned outlet);
// Now on disk only, for people: entries owed to an outlet and not in memory.
uint64_t journal_backlog(const struct journal *journal, unsigned outlet);
