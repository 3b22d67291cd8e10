// SPDX-License-Identifier: Apache-2.0
// What is written in groups: entries, debts, progress, decisions. A group is one transaction of
// SQLite, one fdatasync. An entry is a small state and a body, so a payment touches a page that
// many entries share. An entry that owes nothing is only marked and listed here; its bytes are
// overwritten between groups (journal_store_tend.c). Refused: statements that compute in SQL, which
// could not keep the CRC of a row right. Whatever fails takes the group back. Bounds: as the header
// says; the list of the dead holds JOURNAL_DEAD_MAX, more are found in the file again. The thread
// of the store.
#include "receiver/journal/journal_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receiver/journal/journal_store_parts.h"

#define EDITS_BYTES_MAX ((size_t)16 << 20)
#define PROGRESS_BYTES_MAX ((size_t)1 << 20)
#define RELEASE_ROUND 1024  // entries of one transaction when an exporter is forgotten

static void totals_keep(struct journal_store *store)
{
    store->before = (struct journal_totals){store->counts.entries, store->counts.bytes,
                                            store->last_id, store->tomb, store->dead_count};
}

static void totals_take_back(struct journal_store *store)
{
    store->counts.entries = store->before.entries;
    store->counts.bytes = store->before.bytes;
    store->last_id = store->before.last_id;
    store->tomb = store->before.tomb;
    store->dead_count = store->before.dead_count;
}

enum result journal_store_begin(struct journal_store *store)
{
    CHECK(store->group != GROUP_OPEN);
    store->group = GROUP_NONE;
    enum result result = journal_store_ready(store);
    if (result != RESULT_OK) {
        return result;
    }
    int code = journal_file_begin(&store->file);
    if (code != SQLITE_OK) {
        result = journal_store_fail(store, code, "beginning a group");
        store->group = GROUP_NONE;
        return result;
    }
    store->group = GROUP_OPEN;
    store->group_pages = 0;
    totals_keep(store);
    return RESULT_OK;
}

enum result journal_store_commit(struct journal_store *store)
{
    CHECK(store->group != GROUP_NONE);
    if (store->group == GROUP_LOST) {
        store->group = GROUP_NONE;
        return RESULT_RETRY;
    }
    int code = journal_file_commit(&store->file);
    if (code != SQLITE_OK) {
        (void)journal_store_fail(store, code, "committing");
        store->group = GROUP_NONE;
        return RESULT_RETRY;
    }
    store->group = GROUP_NONE;
    store->counts.commits++;
    journal_store_sizes_read(store);
    return RESULT_OK;
}

void journal_store_rollback(struct journal_store *store)
{
    if (store->group == GROUP_OPEN) {
        totals_take_back(store);
    }
    if (store->file.db) {
        journal_file_rollback(&store->file);
    }
    store->group = GROUP_NONE;
}

// True when the group can go on; else what to return is RESULT_RETRY.
static bool in_group(const struct journal_store *store)
{
    CHECK(store->group != GROUP_NONE);
    return store->group == GROUP_OPEN;
}

bool journal_store_fits(struct journal_store *store, uint64_t bytes, uint64_t reserve)
{
    if (store->config.size_max == 0) {
        return true;
    }
    struct journal_file *file = &store->file;
    uint64_t frame = file->page_bytes + JOURNAL_FRAME_BYTES;
    uint64_t pages = bytes / (file->page_bytes - 4) + bytes / JOURNAL_CHUNK_BYTES * 3 + 7;
    uint64_t frames = file->wal_frames + store->group_pages + pages;
    uint64_t wal = JOURNAL_WAL_HEAD_BYTES + frames * frame;
    wal = wal > file->wal_bytes ? wal : file->wal_bytes;
    // Whatever the database still grows by stands in the WAL first.
    if (file->db_bytes + 2 * wal + reserve <= store->config.size_max) {
        return true;
    }
    uint64_t unused = journal_file_free_pages(file);
    uint64_t more = pages > unused ? pages - unused : 0;
    uint64_t db = (journal_file_pages(file) + more) * file->page_bytes;
    db = db > file->db_bytes ? db : file->db_bytes;
    return db + wal + reserve <= store->config.size_max;
}

bool journal_store_has_room(struct journal_store *store, uint64_t bytes)
{
    return store->file.db == NULL || journal_store_fits(store, bytes, JOURNAL_PUT_RESERVE);
}

uint64_t journal_store_room(struct journal_store *store)
{
    uint64_t low = 0, high = store->config.size_max;
    if (high == 0) {
        return UINT64_MAX;
    }
    for (uint64_t step = high / 1024 + 1; high - low > step;) {
        uint64_t middle = low + (high - low) / 2;
        if (journal_store_has_room(store, middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static void dead_add(struct journal_store *store, uint64_t id, uint64_t bytes)
{
    if (store->dead_count < JOURNAL_DEAD_MAX) {
        store->dead[store->dead_count++] = (struct journal_dead){id, bytes};
    } else {
        store->is_dead_unlisted = true;
    }
}

enum result journal_store_put(struct journal_store *store, const struct journal_entry *entry)
{
    if (!in_group(store)) {
        return RESULT_RETRY;
    }
    CHECK(entry->id > store->last_id && entry->id < INT64_MAX &&
          entry->owed < UINT64_C(1) << JOURNAL_EXPORTERS_MAX);
    if (entry->body.len > JOURNAL_ENTRY_BYTES_MAX || entry->route.len > JOURNAL_ROUTE_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    if (!journal_store_fits(store, entry->body.len, JOURNAL_PUT_RESERVE)) {
        store->is_pressed = true;
        return RESULT_SHED;
    }
    struct journal_state state = {.id = entry->id,
                                  .owed = entry->owed,
                                  .flags = entry->open ? JOURNAL_IS_OPEN : 0,
                                  .crashes = entry->crashes,
                                  .since = store->exits,
                                  .wall_ns = entry->received_wall_ns,
                                  .items = entry->items,
                                  .bytes = entry->body.len};
    int code = journal_body_put(&store->file, entry);
    if (code == SQLITE_OK) {
        code = journal_state_write(&store->file, JOURNAL_STATE_SET, &state);
    }
    if (code != SQLITE_OK) {
        return journal_store_fail(store, code, "writing an entry");
    }
    store->group_pages += entry->body.len / (store->file.page_bytes - 4) +
                          entry->body.len / JOURNAL_CHUNK_BYTES * 3 + 7;
    store->last_id = entry->id;
    if (store->tomb > 0) {
        dead_add(store, store->tomb, 0);
        store->tomb = 0;
    }
    if (journal_state_is_alive(&state)) {
        store->counts.entries++;
        store->counts.bytes += entry->body.len;
    } else {
        dead_add(store, state.id, state.bytes);
    }
    return RESULT_OK;
}

int journal_store_state(struct journal_store *store, uint64_t id, struct journal_state *state)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_GET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
    int code = sqlite3_step(row);
    bool is_good = code == SQLITE_ROW && journal_state_read(row, state) && state->id == id;
    sqlite3_reset(row);
    if (code != SQLITE_ROW) {
        return code == SQLITE_DONE ? SQLITE_NOTFOUND : code;
    }
    if (is_good) {
        return SQLITE_OK;
    }
    struct journal_entry entry = {0};
    store->counts.corrupt_records++;
    *state = (struct journal_state){.id = id};
    code = journal_body_get(&store->file, id, &entry, &store->scratch);
    if (code == SQLITE_OK && buffer_status(&store->scratch) == RESULT_OK) {
        state->owed = entry.owed;
        state->flags = entry.open ? JOURNAL_IS_OPEN : 0;
        state->since = store->exits;
        state->wall_ns = entry.received_wall_ns;
        state->items = entry.items;
        state->bytes = entry.body.len;
    }
    return code == SQLITE_OK || code == SQLITE_CORRUPT_VTAB || code == SQLITE_NOTFOUND ? SQLITE_OK
                                                                                       : code;
}

int journal_store_state_save(struct journal_store *store, const struct journal_state *state,
                             bool was_alive)
{
    int code = journal_state_write(&store->file, JOURNAL_STATE_UPDATE, state);
    if (code == SQLITE_OK && was_alive && !journal_state_is_alive(state)) {
        store->counts.entries -= store->counts.entries > 0;
        uint64_t bytes = state->bytes;
        store->counts.bytes -= bytes < store->counts.bytes ? bytes : store->counts.bytes;
        dead_add(store, state->id, bytes);
    }
    store->group_pages++;
    return code;
}

// What happens to a state: true when it is to be written.
typedef bool (*change_fn)(struct journal_store *store, struct journal_state *state, uint64_t with);

static enum result change(struct journal_store *store, uint64_t id, change_fn apply, uint64_t with)
{
    struct journal_state state;
    if (!in_group(store)) {
        return RESULT_RETRY;
    }
    int code = journal_store_state(store, id, &state);
    if (code == SQLITE_NOTFOUND) {
        return RESULT_OK;
    }
    bool was_alive = code == SQLITE_OK && journal_state_is_alive(&state);
    if (code == SQLITE_OK && apply(store, &state, with)) {
        code = journal_store_state_save(store, &state, was_alive);
    }
    return code == SQLITE_OK ? RESULT_OK : journal_store_fail(store, code, "marking an entry");
}

static bool pay(struct journal_store *store, struct journal_state *state, uint64_t bit)
{
    (void)store;
    uint64_t mask = UINT64_C(1) << bit;
    bool is_owed = (state->owed & mask) != 0;
    state->owed &= ~mask;
    return is_owed;
}

static bool flags_set(struct journal_store *store, struct journal_state *state, uint64_t flags)
{
    if (flags == state->flags) {
        return false;
    }
    state->crashes = journal_state_crashes(state, store->exits);
    state->since = store->exits;
    state->flags = flags;
    return true;
}

static bool settle(struct journal_store *store, struct journal_state *state, uint64_t with)
{
    (void)with;
    bool is_changed = flags_set(store, state, state->flags & ~(uint64_t)JOURNAL_IS_OPEN);
    state->crashes = is_changed ? 0 : state->crashes;
    return is_changed;
}

static bool suspect(struct journal_store *store, struct journal_state *state, uint64_t suspected)
{
    bool was_open = (state->flags & JOURNAL_IS_OPEN) != 0;
    uint64_t others = state->flags & ~(uint64_t)JOURNAL_IS_SUSPECT;
    bool is_changed = flags_set(store, state, suspected ? (uint64_t)JOURNAL_IS_SUSPECT : others);
    state->crashes = is_changed && (was_open || !suspected) ? 0 : state->crashes;
    return is_changed;
}

enum result journal_store_pay(struct journal_store *store, uint64_t entry, unsigned bit)
{
    CHECK(bit < JOURNAL_EXPORTERS_MAX);
    return change(store, entry, pay, bit);
}

enum result journal_store_settle(struct journal_store *store, uint64_t entry)
{
    return change(store, entry, settle, 0);
}

enum result journal_store_suspect(struct journal_store *store, uint64_t entry, bool suspected)
{
    struct journal_state state;
    if (store->group != GROUP_NONE) {
        return change(store, entry, suspect, suspected);
    }
    enum result result = journal_store_ready(store);
    if (result != RESULT_OK) {
        return result;
    }
    int code = journal_store_hurry_begin(store);
    code = code == SQLITE_OK ? journal_store_state(store, entry, &state) : code;
    bool was_alive = code == SQLITE_OK && journal_state_is_alive(&state);
    if (code == SQLITE_OK && suspect(store, &state, suspected)) {
        code = journal_store_state_save(store, &state, was_alive);
    }
    code = journal_store_hurry_end(store, code == SQLITE_NOTFOUND ? SQLITE_OK : code);
    if (code != SQLITE_OK) {
        result = journal_store_fail(store, code, "suspecting an entry");
        store->group = GROUP_NONE;
    }
    return result;
}

// Room for a note on an entry, and whether the entry is there at all.
static enum result note_admit(struct journal_store *store, uint64_t entry, size_t bytes,
                              bool *is_there)
{
    if (!in_group(store)) {
        return RESULT_RETRY;
    }
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_GET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry);
    int code = sqlite3_step(row);
    sqlite3_reset(row);
    *is_there = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return journal_store_fail(store, code, "looking for an entry");
    }
    if (*is_there && !journal_store_fits(store, bytes, JOURNAL_NOTE_RESERVE)) {
        store->is_pressed = true;
        return RESULT_SHED;
    }
    store->group_pages += bytes / store->file.page_bytes + 2;
    return RESULT_OK;
}

static void bind_bytes(sqlite3_stmt *row, int column, struct bytes view)
{
    const void *ptr = view.len > 0 ? (const void *)view.ptr : "";
    sqlite3_bind_blob(row, column, ptr, (int)view.len, SQLITE_STATIC);
}

static enum result note_run(struct journal_store *store, sqlite3_stmt *row)
{
    int code = journal_file_run(row);
    sqlite3_clear_bindings(row);
    return code == SQLITE_OK ? RESULT_OK : journal_store_fail(store, code, "writing a note");
}

enum result journal_store_progress(struct journal_store *store, uint64_t entry, unsigned bit,
                                   struct bytes what)
{
    bool is_there = false;
    if (what.len > PROGRESS_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    enum result result = note_admit(store, entry, what.len, &is_there);
    if (result != RESULT_OK || !is_there) {
        return result;
    }
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_PROGRESS_LAST);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry);
    int code = sqlite3_step(row);
    uint64_t at = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) + 1 : 0;
    sqlite3_reset(row);
    if (code != SQLITE_ROW) {
        return journal_store_fail(store, code, "reading progress");
    }
    row = journal_file_statement(&store->file, JOURNAL_PROGRESS_SET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)at);
    sqlite3_bind_int64(row, 3, (sqlite3_int64)bit);
    bind_bytes(row, 4, what);
    sqlite3_bind_int64(row, 5, (sqlite3_int64)journal_crc_record(entry, at, bit, what));
    return note_run(store, row);
}

enum result journal_store_release(struct journal_store *store, uint64_t entry, uint32_t item_at,
                                  struct bytes edits)
{
    bool is_there = false;
    if (edits.len > EDITS_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    enum result result = note_admit(store, entry, edits.len, &is_there);
    if (result != RESULT_OK || !is_there) {
        return result;
    }
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_RELEASE_SET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)item_at);
    bind_bytes(row, 3, edits);
    sqlite3_bind_int64(row, 4, (sqlite3_int64)journal_crc_record(entry, item_at, 64, edits));
    return note_run(store, row);
}

enum result journal_store_decide(struct journal_store *store, const struct trace_id *trace_id,
                                 const struct span_id *target, uint64_t expires_wall_ns)
{
    uint8_t key[sizeof *trace_id + sizeof *target];
    if (!in_group(store)) {
        return RESULT_RETRY;
    }
    if (!journal_store_fits(store, sizeof key, JOURNAL_NOTE_RESERVE)) {
        store->is_pressed = true;
        return RESULT_SHED;
    }
    memcpy(key, trace_id, sizeof *trace_id);
    memcpy(key + sizeof *trace_id, target, sizeof *target);
    struct bytes view = bytes_from(key, sizeof key);
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_DECISION_SET);
    bind_bytes(row, 1, view);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)expires_wall_ns);
    sqlite3_bind_int64(row, 3, (sqlite3_int64)journal_crc_record(expires_wall_ns, 0, 65, view));
    store->group_pages++;
    return note_run(store, row);
}

// Releases debts of `mask` behind `after`, a round at a time.
static int forget_round(struct journal_store *store, uint64_t mask, uint64_t *after,
                        uint64_t *entries, uint64_t *items, bool *is_more)
{
    int code = journal_store_hurry_begin(store);
    for (unsigned i = 0; i < RELEASE_ROUND && *is_more && code == SQLITE_OK; i++) {
        struct journal_state state;
        sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_NEXT);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)*after);
        sqlite3_bind_int64(row, 2, (sqlite3_int64)mask);
        sqlite3_bind_int64(row, 3, 0);
        code = sqlite3_step(row);
        uint64_t id = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
        sqlite3_reset(row);
        *is_more = code == SQLITE_ROW && id > *after;
        if (*is_more && (code = journal_store_state(store, id, &state)) == SQLITE_OK) {
            bool was_alive = journal_state_is_alive(&state);
            *entries += 1;
            *items += state.items;
            state.owed &= ~mask;
            code = journal_store_state_save(store, &state, was_alive);
        } else if (!*is_more) {
            code = code == SQLITE_DONE ? SQLITE_OK : (code == SQLITE_ROW ? SQLITE_CORRUPT : code);
        }
        *after = id;
    }
    return journal_store_hurry_end(store, code);
}

static enum result forget(struct journal_store *store, unsigned bit, struct buffer *released)
{
    uint64_t entries = 0, items = 0, after = 0;
    bool is_more = true;
    int code = SQLITE_OK;
    while (is_more && code == SQLITE_OK) {
        code = forget_round(store, UINT64_C(1) << bit, &after, &entries, &items, &is_more);
        if (code == SQLITE_OK) {
            code = journal_file_checkpoint(&store->file, false);
        }
    }
    if (code == SQLITE_OK && (code = journal_file_begin(&store->file)) == SQLITE_OK) {
        static const enum journal_statement copies[] = {JOURNAL_EXPORTER_DELETE,
                                                        JOURNAL_EXPORTER_COPY_DELETE};
        for (size_t i = 0; i < 2 && code == SQLITE_OK; i++) {
            sqlite3_stmt *row = journal_file_statement(&store->file, copies[i]);
            sqlite3_bind_int64(row, 1, (sqlite3_int64)bit);
            code = journal_file_run(row);
        }
        code = code == SQLITE_OK ? journal_file_commit(&store->file) : code;
    }
    if (code != SQLITE_OK) {
        (void)journal_store_fail(store, code, "forgetting an exporter");
        store->group = GROUP_NONE;
        return RESULT_RETRY;
    }
    if (entries > 0) {
        buffer_printf(released, "%s: %llu entries, %llu items\n", store->names[bit],
                      (unsigned long long)entries, (unsigned long long)items);
    }
    free(store->names[bit]);
    store->names[bit] = NULL;
    return RESULT_OK;
}

enum result journal_store_keep_exporters(struct journal_store *store, const char *const *names,
                                         size_t count, struct buffer *released)
{
    CHECK(store->group != GROUP_OPEN);
    enum result result = journal_store_ready(store);
    for (unsigned bit = 0; bit < JOURNAL_EXPORTERS_MAX && result == RESULT_OK; bit++) {
        size_t i = 0;
        while (store->names[bit] && i < count && strcmp(store->names[bit], names[i]) != 0) {
            i++;
        }
        if (store->names[bit] && i == count) {
            result = forget(store, bit, released);
        }
    }
    return result;
}
