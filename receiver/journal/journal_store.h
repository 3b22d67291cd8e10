// SPDX-License-Identifier: Apache-2.0
// The journal's file: what was acknowledged and is still owed, on SQLite (DESIGN 3 and 8). Knows
// nothing of threads, exporters or evaluation: entries with debts, progress on them, and group
// commits. One connection (WAL, locking_mode=EXCLUSIVE before it: no shared memory file),
// synchronous=FULL with fsync and OFF without, mmap_size=0, cell_size_check, secure_delete,
// auto_vacuum=INCREMENTAL. Each record carries a CRC32C of its own over all that it says, checked
// whenever it is read. No read transaction and no pointer into the store outlives a call: bodies
// are copied out.
//
// A store that reports corruption is salvaged: what can be read row by row goes into a new file,
// the old one stays as NAME.corrupt (one; an older one is replaced), both counted. Errors of the
// disk (ENOSPC, EIO, read-only) fail the call with RESULT_RETRY and a sentence and roll the open
// group back; the store stays usable and later calls try again. Nothing here ends the process.
// The database is journal.db in the directory; what is kept as .corrupt is not in file_bytes, and
// not under size_max.
//
// The directory is made 0700 when it may be (`create_directory`), the files are 0600. One thread at
// a time. Bounds: entries up to 64 MiB, 62 exporters (more names: RESULT_TOO_LARGE), size_max over
// database and WAL together at every moment.
#pragma once

#include "base/buffer.h"
#include "base/compression.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/otlp.h"

#define JOURNAL_EXPORTERS_MAX 62

struct journal_store;

struct journal_store_config {  // borrowed for journal_store_open only
    struct bytes directory;    // of the file_storage extension; must exist or be creatable
    bool create_directory;
    bool fsync;           // off: survives the process, not the machine
    uint64_t size_max;    // bytes of database + WAL together, from 2 MiB; 0: the disk's
    uint64_t max_age_ns;  // entries that are older are erased (counted); 0: none
};

struct journal_counts {       // since open
    uint64_t entries, bytes;  // now: entries, and their bodies' bytes
    uint64_t file_bytes;      // now: database + WAL
    uint64_t commits, syncs;
    uint64_t corrupt_records;  // CRC or form wrong: left out, erased
    uint64_t salvages, salvaged_entries;
    uint64_t expired_entries, expired_items;  // max_age
    uint64_t dropped_entries, dropped_items;  // journal_store_drop_oldest
    uint64_t failures;                        // of calls, by the disk or SQLite
};

enum journal_origin {
    JOURNAL_RECEIVED,  // a request, as it came
    JOURNAL_OWN,       // made here: a carrier, scores, log records
};

struct journal_entry {
    uint64_t id;  // ascending in the order of arrival, over restarts; the caller's
    enum journal_origin origin;
    enum signal signal;
    enum codec codec;    // of the body
    struct bytes route;  // whose door it came by ("otlp"), or the processor that made it
    uint64_t received_wall_ns;
    uint32_t items;
    uint64_t owed;      // bit set of exporters (journal_store_exporter)
    bool open;          // it gave evidence to a decision that is still open
    unsigned crashes;   // unclean exits while it was open; later, while suspected (_suspect)
    struct bytes body;  // put: borrowed; get: in the buffer that was passed
};

// Opens or creates, salvages when needed, and says in *unclean whether the last owner did not
// close. RESULT_FAIL with a sentence naming the path: no usable directory, or another process has
// it. After an unclean exit, `crashes` of every open or suspected entry has gone up by one.
enum result journal_store_open(const struct journal_store_config *config,
                               struct journal_store **store, bool *unclean, char *why,
                               size_t why_len) MUST_USE;
// Commits nothing; marks the exit as clean when `clean`. Nulls.
void journal_store_close(struct journal_store **store, bool clean);
const struct journal_counts *journal_store_counts(const struct journal_store *store);
const char *journal_store_error(const struct journal_store *store);  // the last failure's sentence

// The bit of an exporter's name ("otlp_http/2"), made durable on first use.
enum result journal_store_exporter(struct journal_store *store, const char *name,
                                   unsigned *bit) MUST_USE;
// Exporters that are not in `names` are forgotten: their debts are released. `released` gets one
// "name: N entries, M items\n" for each that still had any.
enum result journal_store_keep_exporters(struct journal_store *store, const char *const *names,
                                         size_t count, struct buffer *released) MUST_USE;

// A group: everything between begin and commit is durable together or not at all. One fdatasync.
enum result journal_store_begin(struct journal_store *store) MUST_USE;
enum result journal_store_commit(struct journal_store *store) MUST_USE;
void journal_store_rollback(struct journal_store *store);

// Within a group. RESULT_SHED: size_max (the group stays usable); RESULT_RETRY: the disk, the group
// is rolled back; every call until the next begin then says RESULT_RETRY. What is said of an entry
// that is gone (expired, dropped, damaged) is RESULT_OK and does nothing. A put's id is above
// journal_store_last_id, its route at most 1024 bytes. An entry needs its size twice while it is
// put, in the WAL and in the database; 1 MiB of size_max is kept for erasing.
enum result journal_store_put(struct journal_store *store,
                              const struct journal_entry *entry) MUST_USE;
// Room for an entry of `bytes` as things are. In a group or not.
bool journal_store_has_room(struct journal_store *store, uint64_t bytes);
// The most of which that is true, to a thousandth of size_max; UINT64_MAX: there is no limit.
uint64_t journal_store_room(struct journal_store *store);
// Erases the oldest entries until an entry of `bytes` fits. Erasure needs room in the WAL, so in a
// group this commits what the group holds so far and goes on with a new one. RESULT_SHED: it never
// will fit (nothing is dropped when that is known beforehand). RESULT_RETRY: the group is lost.
enum result journal_store_drop_oldest(struct journal_store *store, uint64_t bytes) MUST_USE;
// One exporter has what it was owed; the last debt of an entry that is not open erases it.
enum result journal_store_pay(struct journal_store *store, uint64_t entry, unsigned bit) MUST_USE;
// Every decision that the entry gave evidence to is made. Its crashes count anew from here on.
enum result journal_store_settle(struct journal_store *store, uint64_t entry) MUST_USE;
// Progress: `exporter bit` (or a bit of the caller's own, below 64) has, or has given up, the items
// of this entry that `what` names (opaque to the store, at most 1 MiB; kept in order).
enum result journal_store_progress(struct journal_store *store, uint64_t entry, unsigned bit,
                                   struct bytes what) MUST_USE;
// The item at this offset left with these edits (opaque, at most 16 MiB; empty: bare). The first
// one stays.
enum result journal_store_release(struct journal_store *store, uint64_t entry, uint32_t item_at,
                                  struct bytes edits) MUST_USE;
// A decision was made for this target, and must not be made again. `expires_wall_ns`: when it may
// be forgotten.
enum result journal_store_decide(struct journal_store *store, const struct trace_id *trace_id,
                                 const struct span_id *target, uint64_t expires_wall_ns) MUST_USE;
// The entry is being looked at outside of evaluation, and is not open any more: an unclean exit
// counts against it until it is cleared again, which is when they are forgotten. Also outside of a
// group: then it outlives the process at once, and the machine with the next commit.
enum result journal_store_suspect(struct journal_store *store, uint64_t entry,
                                  bool suspected) MUST_USE;

// Housekeeping between groups: checkpoint (TRUNCATE at least once a minute), expiry, expired
// decisions, incremental vacuum; a bounded amount per call.
void journal_store_tend(struct journal_store *store, uint64_t wall_ns);

// Reading, outside of a group or in one. The next entry behind `after` that is owed to one of
// `exporters` or, with `open_too`, open; its body in *body (reset first), the route behind it in
// the same buffer. RESULT_MISSING: none left. RESULT_RETRY: the disk; else the buffer's result. A
// corrupt one is counted, erased and passed over.
enum result journal_store_next(struct journal_store *store, uint64_t after, uint64_t exporters,
                               bool open_too, struct journal_entry *entry,
                               struct buffer *body) MUST_USE;
// What happened to an entry, in order: calls `released` for each released item (ascending by
// item_at) and `progressed` for each progress record.
enum result journal_store_history(struct journal_store *store, uint64_t entry,
                                  void (*released)(void *arg, uint32_t item_at, struct bytes edits),
                                  void (*progressed)(void *arg, unsigned bit, struct bytes what),
                                  void *arg) MUST_USE;
// Every decision that is remembered, any order.
enum result journal_store_decisions(struct journal_store *store,
                                    void (*decided)(void *arg, const struct trace_id *trace_id,
                                                    const struct span_id *target),
                                    void *arg) MUST_USE;
// Inside of a group or not; RESULT_MISSING: no such entry. Moves an entry out of the store into
// `directory`/quarantine/ID.otlp (0600; its body, identity or as coded) and erases it. At most 64
// files are kept, oldest out.
enum result journal_store_quarantine(struct journal_store *store, uint64_t entry) MUST_USE;
// The highest entry id that was ever put.
uint64_t journal_store_last_id(const struct journal_store *store);
