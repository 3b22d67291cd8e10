// SPDX-License-Identifier: Apache-2.0
// What the files of the journal's store share: the database with its files' sizes, and the forms of
// its rows. Of receiver/journal/journal_store*.c only, like SQLite's header. One thread at a time.
// Functions that return int give SQLite's (extended) result code.
#pragma once

#include <sqlite3.h>

#include "receiver/journal/journal_store.h"

#define JOURNAL_CHUNK_BYTES ((uint64_t)256 << 10)
#define JOURNAL_ROUTE_BYTES_MAX 1024
#define JOURNAL_HEAD_BYTES_MAX (64 + JOURNAL_ROUTE_BYTES_MAX)
#define JOURNAL_ENTRY_BYTES_MAX ((uint64_t)64 << 20)
#define JOURNAL_FRAME_BYTES 24     // before each page in the WAL (SQLite file format 4.1)
#define JOURNAL_WAL_HEAD_BYTES 32  // at its begin

enum journal_statement {
#define JOURNAL_STATEMENT(name, text) JOURNAL_##name,
#include "receiver/journal/journal_statements.def"
#undef JOURNAL_STATEMENT
    JOURNAL_STATEMENT_COUNT
};

struct journal_part;  // an open file below SQLite

struct journal_file {
    char *path;   // owned
    sqlite3 *db;  // NULL: closed
    sqlite3_stmt *statements[JOURNAL_STATEMENT_COUNT];
    sqlite3_vfs vfs;  // of this file alone: counts, bounds and gathers writes
    sqlite3_vfs *below;
    char vfs_name[40];
    bool fsync;
    uint64_t size_max;             // a write that would exceed it fails with SQLITE_FULL
    uint64_t db_bytes, wal_bytes;  // sizes of the files, what is gathered included
    uint64_t syncs;
    uint64_t page_bytes;
    uint64_t wal_frames;  // in use in the WAL; 0: it begins anew
    uint64_t inode;       // of the database
};

// Opens `path`, which exists (empty: a new store). SQLITE_CORRUPT and SQLITE_NOTADB: not ours.
int journal_file_open(struct journal_file *file, const char *path, bool fsync, uint64_t size_max);
// Accepts a closed one. `tidy`: the WAL goes into the database first, as far as that works.
void journal_file_close(struct journal_file *file, bool tidy);
bool journal_file_is_there(const struct journal_file *file);  // still under its name
// Ready to be bound and stepped; reset with sqlite3_reset or journal_file_run.
sqlite3_stmt *journal_file_statement(struct journal_file *file, enum journal_statement which);
int journal_file_run(sqlite3_stmt *statement);  // one step that gives no row, then reset
int journal_file_begin(struct journal_file *file);
int journal_file_commit(struct journal_file *file);
void journal_file_rollback(struct journal_file *file);
// Commits until this is called again need not reach the disk at once; they never overtake.
int journal_file_hurry(struct journal_file *file, bool is_hurried);
int journal_file_checkpoint(struct journal_file *file, bool truncate);
int journal_file_vacuum(struct journal_file *file, unsigned pages);
uint64_t journal_file_pages(struct journal_file *file);
uint64_t journal_file_free_pages(struct journal_file *file);
bool journal_code_is_corrupt(int code);

struct journal_state {
    uint64_t id, owed;
    uint64_t flags;    // JOURNAL_IS_OPEN | JOURNAL_IS_SUSPECT
    uint64_t crashes;  // as of `since`
    uint64_t since;    // the store's unclean exits when flags became non-zero
    uint64_t wall_ns, items, bytes;
};
#define JOURNAL_IS_OPEN 1U
#define JOURNAL_IS_SUSPECT 2U

// False: its CRC or form is wrong; `id` is filled in all the same. Of a SELECT * FROM state.
bool journal_state_read(sqlite3_stmt *row, struct journal_state *state);
int journal_state_write(struct journal_file *file, enum journal_statement how,
                        const struct journal_state *state);
unsigned journal_state_crashes(const struct journal_state *state, uint64_t exits);

// Body, head and chunks of an entry. get: the body goes into `out` (reset first), the route behind
// it; SQLITE_CORRUPT_VTAB stands for a record whose CRC or form is wrong, SQLITE_NOTFOUND for none.
// entry->crashes is left alone; owed and open are those of the beginning.
int journal_body_put(struct journal_file *file, const struct journal_entry *entry);
int journal_body_get(struct journal_file *file, uint64_t id, struct journal_entry *entry,
                     struct buffer *out);

uint32_t journal_crc_meta(uint64_t exits, uint64_t used);
uint32_t journal_crc_exporter(uint64_t bit, struct bytes name);
uint32_t journal_crc_record(uint64_t entry, uint64_t at, uint64_t bit, struct bytes what);
struct bytes journal_column(sqlite3_stmt *row, int column);  // until the next step

// Erases what the entry consists of but its state; a large body in several calls: *done says when
// that was the last. In a transaction.
int journal_body_erase(struct journal_file *file, uint64_t id, bool *done);

// Copies what can be read of `from` into `to`, both open. `names` are exporters that are known
// better than the file knows them (NULL: empty slot). Only errors of `to` are returned.
int journal_salvage(struct journal_file *from, struct journal_file *to,
                    char *const names[JOURNAL_EXPORTERS_MAX], uint64_t last_id,
                    struct journal_counts *counts);

#define JOURNAL_DEAD_MAX 4096

struct journal_dead {  // an entry that owes nothing and is not erased yet
    uint64_t id, bytes;
};

enum journal_group { GROUP_NONE, GROUP_OPEN, GROUP_LOST };  // lost: rolled back, begin anew

struct journal_totals {  // what a rollback takes back
    uint64_t entries, bytes, last_id, tomb;
    size_t dead_count;
};

struct journal_store {
    uint32_t magic;
    struct journal_file file;            // file.db is NULL while it cannot be opened
    char *folder, *path;                 // owned
    struct journal_store_config config;  // `directory` is not kept
    int folder_fd;                       // locked: no second owner
    bool is_damaged;                     // to be salvaged before anything else
    bool is_pressed;                     // something was refused for want of room
    enum journal_group group;
    struct journal_totals before;  // the group
    uint64_t group_pages;          // that the group may have touched
    struct journal_counts counts;
    uint64_t syncs_before;  // of files that were closed since
    uint64_t exits;         // unclean ones, ever
    uint64_t last_id;
    uint64_t tomb;                       // the last id's entry is erased but for its state
    char *names[JOURNAL_EXPORTERS_MAX];  // owned; NULL: a free bit
    struct journal_dead dead[JOURNAL_DEAD_MAX];
    size_t dead_count;
    bool is_dead_unlisted;  // there may be more in the file
    uint64_t looked_wall_ns, truncated_wall_ns;
    struct buffer scratch;  // bodies that nobody asked for
    char error[512];
};

// Opened, whole and under its name; else opens and salvages as needed. RESULT_RETRY: cannot be now.
enum result journal_store_ready(struct journal_store *store) MUST_USE;
// Counts and tells a failure, takes an open group back; always RESULT_RETRY.
enum result journal_store_fail(struct journal_store *store, int code, const char *doing);
void journal_store_totals_read(struct journal_store *store);  // entries and bytes, anew
void journal_store_sizes_read(struct journal_store *store);
// The state of an entry; a damaged one as it began, or owing nothing (counted). SQLITE_NOTFOUND.
int journal_store_state(struct journal_store *store, uint64_t id, struct journal_state *state);
// Writes it back; `was_alive` before. One that owes nothing now is listed for erasure.
int journal_store_state_save(struct journal_store *store, const struct journal_state *state,
                             bool was_alive);
bool journal_state_is_alive(const struct journal_state *state);
// Room for `bytes` more of one entry, besides `reserve`, as things are.
bool journal_store_fits(struct journal_store *store, uint64_t bytes, uint64_t reserve);
// What is set aside beside the file and older than max_age is removed.
void journal_store_leftovers_expire(const struct journal_store *store, uint64_t wall_ns);
// A transaction that need not be synced by itself; `end` with the code so far, gives the last one.
int journal_store_hurry_begin(struct journal_store *store);
int journal_store_hurry_end(struct journal_store *store, int code);
enum { JOURNAL_PUT_RESERVE = 1 << 20, JOURNAL_NOTE_RESERVE = 1 << 19 };
