// SPDX-License-Identifier: Apache-2.0
// Housekeeping of the journal between groups: entries that are too old, the bytes of entries that
// owe nothing (secure_delete writes zeros), decisions that may be forgotten, checkpoints, and disk
// space given back. Erasure is batched here because one zeroed entry alone would cost the same four
// shared pages as a hundred. Its commits are not synced by themselves: what is lost of them is done
// again. Refused: a full VACUUM, which needs the space twice. Bounds: each call does at most one
// round of each. The thread of the store.
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "receiver/journal/journal_store_parts.h"

enum {
    LOOK_ROWS = 64,      // entries that are not too old before the look ends
    ROUND_ROWS = 256,    // of one kind in one call
    VACUUM_PAGES = 512,  // moved or cut off in one call
    VACUUM_PAGES_LEAST = 512,
};
#define ERASE_BYTES ((uint64_t)1 << 20)        // in one call
#define ERASE_BYTES_LEAST ((uint64_t)1 << 19)  // waited for, at most a second
#define WAL_BYTES_MAX ((uint64_t)8 << 20)      // 4 and 16 cost more CPU per commit

int journal_store_hurry_begin(struct journal_store *store)
{
    int code = journal_file_hurry(&store->file, true);
    return code == SQLITE_OK ? journal_file_begin(&store->file) : code;
}

int journal_store_hurry_end(struct journal_store *store, int code)
{
    if (code == SQLITE_OK) {
        code = journal_file_commit(&store->file);
    }
    journal_file_rollback(&store->file);
    int slowed = journal_file_hurry(&store->file, false);
    return code == SQLITE_OK ? slowed : code;
}

static uint64_t wal_limit(const struct journal_store *store)
{
    uint64_t limit = store->config.size_max / 8;
    return limit == 0 || limit > WAL_BYTES_MAX ? WAL_BYTES_MAX : limit;
}

static uint64_t wal_used(const struct journal_store *store)
{
    return store->file.wal_frames * (store->file.page_bytes + JOURNAL_FRAME_BYTES);
}

// The first entry behind `after` that lives. SQLITE_DONE: none.
static int alive_after(struct journal_store *store, uint64_t after, uint64_t *id)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_ALIVE);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)after);
    int code = sqlite3_step(row);
    *id = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    return code == SQLITE_ROW && *id <= after ? SQLITE_CORRUPT : code;
}

static int kill_state(struct journal_store *store, struct journal_state *state)
{
    bool was_alive = journal_state_is_alive(state);
    state->owed = 0;
    state->flags = 0;
    return journal_store_state_save(store, state, was_alive);
}

static int expire(struct journal_store *store, uint64_t wall_ns)
{
    uint64_t id = 0;
    unsigned young = 0;
    int code = SQLITE_OK;
    for (unsigned i = 0; i < ROUND_ROWS && young < LOOK_ROWS && code == SQLITE_OK; i++) {
        struct journal_state state;
        code = alive_after(store, id, &id);
        if (code == SQLITE_ROW) {
            code = journal_store_state(store, id, &state);
        }
        if (code == SQLITE_OK &&
            (state.wall_ns > wall_ns || wall_ns - state.wall_ns <= store->config.max_age_ns)) {
            young++;
        } else if (code == SQLITE_OK) {
            store->counts.expired_entries++;
            store->counts.expired_items += state.items;
            code = kill_state(store, &state);
        }
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int forget_decisions(struct journal_store *store, uint64_t wall_ns)
{
    uint64_t ids[ROUND_ROWS];
    unsigned count = 0;
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_DECISION_AFTER);
    sqlite3_bind_int64(row, 1, 0);
    sqlite3_bind_int64(row, 2, ROUND_ROWS);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(row)) == SQLITE_ROW && count < ROUND_ROWS) {
        if ((uint64_t)sqlite3_column_int64(row, 2) <= wall_ns) {
            ids[count++] = (uint64_t)sqlite3_column_int64(row, 0);
        }
    }
    sqlite3_reset(row);
    code = code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
    for (unsigned i = 0; i < count && code == SQLITE_OK; i++) {
        row = journal_file_statement(&store->file, JOURNAL_DECISION_DELETE);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)ids[i]);
        code = journal_file_run(row);
    }
    return code;
}

// Entries that owe nothing and are not listed: of an earlier life, or too many for the list. A
// state whose CRC is wrong may say so by mistake.
static int list_dead(struct journal_store *store)
{
    uint64_t after = 0;
    int code = SQLITE_ROW;
    while (code == SQLITE_ROW && store->dead_count < JOURNAL_DEAD_MAX) {
        struct journal_state state;
        sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_DEAD);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)after);
        code = sqlite3_step(row);
        bool is_good = code == SQLITE_ROW && journal_state_read(row, &state);
        sqlite3_reset(row);
        if (code == SQLITE_ROW && state.id <= after) {
            code = SQLITE_CORRUPT;
        }
        if (code != SQLITE_ROW) {
            break;
        }
        after = state.id;
        if (!is_good) {
            int read = journal_store_state(store, after, &state);
            if (read != SQLITE_OK || journal_state_is_alive(&state)) {
                read = read == SQLITE_OK ? journal_store_state_save(store, &state, false) : read;
                journal_store_totals_read(store);
                code = read == SQLITE_OK ? SQLITE_ROW : read;
                continue;
            }
        }
        if (after == store->last_id && state.bytes == 0 && state.items == 0) {
            store->tomb = after;  // erased already but for this
        } else {
            store->dead[store->dead_count++] = (struct journal_dead){after, state.bytes};
        }
    }
    store->is_dead_unlisted = store->dead_count == JOURNAL_DEAD_MAX;
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static int erase_state(struct journal_store *store, uint64_t id)
{
    if (id == store->last_id) {
        struct journal_state state = {.id = id};
        store->tomb = id;
        return journal_state_write(&store->file, JOURNAL_STATE_UPDATE, &state);
    }
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_DELETE);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
    return journal_file_run(row);
}

// Erases listed entries, at most `bytes_max` and a chunk.
static int erase(struct journal_store *store, uint64_t bytes_max)
{
    size_t count = store->dead_count;
    uint64_t tomb = store->tomb;
    uint64_t spent = 0;
    int code = journal_store_hurry_begin(store);
    for (unsigned i = 0;
         i < ROUND_ROWS && store->dead_count > 0 && spent < bytes_max && code == SQLITE_OK; i++) {
        const struct journal_dead *dead = &store->dead[store->dead_count - 1];
        bool is_done = false;
        code = journal_body_erase(&store->file, dead->id, &is_done);
        spent += dead->bytes < JOURNAL_CHUNK_BYTES ? dead->bytes : JOURNAL_CHUNK_BYTES;
        if (code == SQLITE_OK && is_done) {
            code = erase_state(store, dead->id);
            store->dead_count--;
        }
    }
    code = journal_store_hurry_end(store, code);
    if (code != SQLITE_OK) {
        store->dead_count = count;
        store->tomb = tomb;
    }
    return code;
}

static uint64_t dead_bytes(const struct journal_store *store)
{
    uint64_t bytes = 0;
    for (size_t i = store->dead_count; i > 0 && bytes < ERASE_BYTES_LEAST; i--) {
        bytes += store->dead[i - 1].bytes + 512;
    }
    return bytes;
}

// How much one transaction may touch now; the WAL is emptied first when that is little.
static int make_wal_room(struct journal_store *store, uint64_t *bytes)
{
    int code = SQLITE_OK;
    *bytes = ERASE_BYTES;
    if (store->config.size_max == 0) {
        return code;
    }
    for (unsigned i = 0; i < 2 && code == SQLITE_OK; i++) {
        uint64_t used = store->file.db_bytes + JOURNAL_WAL_HEAD_BYTES + wal_used(store);
        uint64_t room = used < store->config.size_max ? store->config.size_max - used : 0;
        *bytes = room / 2 < ERASE_BYTES ? room / 2 : ERASE_BYTES;
        if (*bytes >= ERASE_BYTES || i > 0) {
            break;
        }
        code = journal_file_checkpoint(&store->file, true);
    }
    *bytes = *bytes > JOURNAL_CHUNK_BYTES ? *bytes - JOURNAL_CHUNK_BYTES : 1;
    return code;
}

static int vacuum(struct journal_store *store, bool is_urgent)
{
    uint64_t unused = journal_file_free_pages(&store->file);
    uint64_t all = journal_file_pages(&store->file);
    if (unused < VACUUM_PAGES_LEAST && !is_urgent) {
        return SQLITE_OK;
    }
    if (unused == 0 || (unused < all / 2 && !is_urgent)) {
        return SQLITE_OK;
    }
    uint64_t bytes = 0;
    int code = make_wal_room(store, &bytes);
    uint64_t pages = bytes / (4 * store->file.page_bytes) + 1;
    pages = pages < VACUUM_PAGES ? pages : VACUUM_PAGES;
    if (code == SQLITE_OK && (code = journal_file_hurry(&store->file, true)) == SQLITE_OK) {
        code = journal_file_vacuum(&store->file, (unsigned)pages);
        int slowed = journal_file_hurry(&store->file, false);
        code = code == SQLITE_OK ? slowed : code;
    }
    return code;
}

static int look(struct journal_store *store, uint64_t wall_ns)
{
    int code = journal_store_hurry_begin(store);
    if (code == SQLITE_OK && store->config.max_age_ns > 0) {
        code = expire(store, wall_ns);
    }
    if (code == SQLITE_OK) {
        code = forget_decisions(store, wall_ns);
    }
    if (code == SQLITE_OK && store->is_dead_unlisted && store->dead_count == 0) {
        code = list_dead(store);
    }
    store->looked_wall_ns = wall_ns;
    return journal_store_hurry_end(store, code);
}

// A clock that was set back counts as passed.
static bool is_due(uint64_t last_ns, uint64_t every_ns, uint64_t wall_ns)
{
    return wall_ns < last_ns || wall_ns - last_ns >= every_ns;
}

static int checkpoint(struct journal_store *store, uint64_t wall_ns)
{
    bool is_old = is_due(store->truncated_wall_ns, 60 * NS_PER_S, wall_ns);
    bool is_long = store->file.wal_bytes > 2 * wal_limit(store);
    int code = SQLITE_OK;
    if (is_old || is_long || (store->is_pressed && wal_used(store) > 0)) {
        code = journal_file_checkpoint(&store->file, true);
        if (is_old) {
            journal_store_leftovers_expire(store, wall_ns);
        }
        store->truncated_wall_ns = code == SQLITE_OK ? wall_ns : store->truncated_wall_ns;
    } else if (wal_used(store) >= wal_limit(store)) {
        code = journal_file_checkpoint(&store->file, false);
    }
    return code;
}

static int tend(struct journal_store *store, uint64_t wall_ns)
{
    int code = SQLITE_OK;
    bool is_time = is_due(store->looked_wall_ns, NS_PER_S, wall_ns);
    if (is_time || (store->is_dead_unlisted && store->dead_count == 0)) {
        code = look(store, wall_ns);
    }
    if (code == SQLITE_OK && store->dead_count > 0 &&
        (is_time || store->is_pressed || dead_bytes(store) >= ERASE_BYTES_LEAST)) {
        uint64_t bytes = 0;
        code = make_wal_room(store, &bytes);
        code = code == SQLITE_OK ? erase(store, bytes) : code;
    }
    if (code == SQLITE_OK) {
        code = vacuum(store, false);
    }
    if (code == SQLITE_OK) {
        code = checkpoint(store, wall_ns);
        store->is_pressed = store->is_pressed && store->dead_count > 0;
    }
    return code;
}

void journal_store_tend(struct journal_store *store, uint64_t wall_ns)
{
    if (store->group == GROUP_OPEN || journal_store_ready(store) != RESULT_OK) {
        return;
    }
    int code = tend(store, wall_ns);
    if (code != SQLITE_OK) {
        (void)journal_store_fail(store, code, "tending");
        store->group = GROUP_NONE;
        (void)journal_file_hurry(&store->file, false);
    }
    journal_store_sizes_read(store);
}

// What an entry of `bytes` needs at least with an empty WAL, beside `pages` of other things.
static bool would_fit(const struct journal_store *store, uint64_t bytes, uint64_t pages)
{
    uint64_t page = store->file.page_bytes;
    uint64_t more = bytes / (page - 4) + bytes / JOURNAL_CHUNK_BYTES * 3 + 7;
    return (pages + more) * page + more * (page + JOURNAL_FRAME_BYTES) + JOURNAL_WAL_HEAD_BYTES +
               JOURNAL_PUT_RESERVE <=
           store->config.size_max;
}

static int drop_one(struct journal_store *store)
{
    uint64_t id = 0;
    struct journal_state state;
    int code = journal_store_hurry_begin(store);
    int found = code == SQLITE_OK ? alive_after(store, 0, &id) : code;
    if (found == SQLITE_ROW) {
        code = journal_store_state(store, id, &state);
        if (code == SQLITE_OK) {
            store->counts.dropped_entries++;
            store->counts.dropped_items += state.items;
            code = kill_state(store, &state);
        }
        return journal_store_hurry_end(store, code);
    }
    (void)journal_store_hurry_end(store, SQLITE_OK);
    return found;
}

// One step towards room; SQLITE_DONE: nothing is left that could be dropped.
static int drop_step(struct journal_store *store, uint64_t bytes)
{
    uint64_t room = 0;
    int code = make_wal_room(store, &room);
    if (code == SQLITE_OK && store->dead_count == 0 && store->is_dead_unlisted) {
        code = journal_store_hurry_begin(store);
        code = journal_store_hurry_end(store, code == SQLITE_OK ? list_dead(store) : code);
    }
    if (code == SQLITE_OK && store->dead_count > 0) {
        return erase(store, room);
    }
    if (code != SQLITE_OK) {
        return code;
    }
    uint64_t unused = journal_file_free_pages(&store->file);
    if (would_fit(store, bytes, journal_file_pages(&store->file) - unused)) {
        code = vacuum(store, true);
        if (code == SQLITE_OK) {
            code = journal_file_checkpoint(&store->file, true);
        }
        bool is_stuck = journal_file_free_pages(&store->file) >= unused;
        return code == SQLITE_OK && is_stuck ? drop_one(store) : code;
    }
    return drop_one(store);
}

static enum result drop(struct journal_store *store, uint64_t bytes)
{
    // An empty store has no more pages than statements.
    if (!would_fit(store, bytes, JOURNAL_STATEMENT_COUNT)) {
        return RESULT_SHED;
    }
    int code = journal_file_checkpoint(&store->file, true);
    store->group_pages = 0;
    while (code == SQLITE_OK && !journal_store_fits(store, bytes, JOURNAL_PUT_RESERVE)) {
        code = drop_step(store, bytes);
    }
    journal_store_sizes_read(store);
    if (code == SQLITE_OK || code == SQLITE_DONE) {
        return code == SQLITE_OK ? RESULT_OK : RESULT_SHED;
    }
    return journal_store_fail(store, code, "dropping the oldest");
}

enum result journal_store_drop_oldest(struct journal_store *store, uint64_t bytes)
{
    bool was_in_group = store->group == GROUP_OPEN;
    if (store->group == GROUP_LOST) {
        return RESULT_RETRY;
    }
    enum result result = was_in_group ? journal_store_commit(store) : journal_store_ready(store);
    if (result == RESULT_OK && store->config.size_max > 0) {
        result = drop(store, bytes);
    }
    store->group = GROUP_NONE;
    if (was_in_group) {
        enum result begun = result == RESULT_RETRY ? result : journal_store_begin(store);
        if (begun != RESULT_OK) {
            store->group = GROUP_LOST;
            return begun;
        }
    }
    return result;
}
