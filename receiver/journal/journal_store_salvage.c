// SPDX-License-Identifier: Apache-2.0
// Out of a damaged journal into a new one, row by row. Bodies lead: each that can be read with a
// right CRC is taken, with its state where that can be read, else with the debts that it began
// with (a repeat is better than a loss). Where a page does not let the walk pass, the walk leaps
// ahead in doubling steps and comes back to the damage from behind. Keys only ever ascend, so a
// tree that was bent into a circle ends the walk. Refused: SQLite's own recovery extension, which
// is not in every package and rebuilds what no CRC vouches for. Bounds: one entry in memory,
// transactions of about 1 MiB. The thread of the store.
#include <string.h>

#include "base/check.h"
#include "receiver/journal/journal_store_parts.h"

#define GROUP_BYTES (1U << 20)
#define CHECKPOINT_FRAMES 512

struct rescue {
    struct journal_file *from, *to;
    struct journal_counts *counts;
    struct buffer body;
    uint64_t last_id;
    uint64_t exits;
    size_t group_bytes;  // written since the last commit
    int code;            // of `to`; also SQLITE_NOMEM of `from`
};

// Of a read: a code that is no row and no end.
static int look_at(struct rescue *rescue, int code)
{
    if ((code & 0xff) == SQLITE_NOMEM) {
        rescue->code = code;
    }
    return code;
}

static void bind_number(sqlite3_stmt *row, int column, uint64_t value)
{
    sqlite3_bind_int64(row, column, (sqlite3_int64)value);
}

static void write_row(struct rescue *rescue, sqlite3_stmt *row, size_t bytes)
{
    int code = journal_file_run(row);
    sqlite3_clear_bindings(row);
    rescue->code = rescue->code == SQLITE_OK ? code : rescue->code;
    rescue->group_bytes += bytes + 64;
}

static void close_group(struct rescue *rescue, size_t bytes_max)
{
    if (rescue->code != SQLITE_OK || rescue->group_bytes < bytes_max) {
        return;
    }
    rescue->group_bytes = 0;
    rescue->code = journal_file_commit(rescue->to);
    if (rescue->code == SQLITE_OK && rescue->to->wal_frames > CHECKPOINT_FRAMES) {
        rescue->code = journal_file_checkpoint(rescue->to, true);
    }
    if (rescue->code == SQLITE_OK) {
        rescue->code = journal_file_begin(rescue->to);
    }
}

static void save_meta(struct rescue *rescue)
{
    uint64_t exits = 0;
    sqlite3_stmt *row = journal_file_statement(rescue->from, JOURNAL_META_GET);
    if (look_at(rescue, sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t read = (uint64_t)sqlite3_column_int64(row, 0);
        uint64_t used = (uint64_t)sqlite3_column_int64(row, 1);
        uint64_t crc = (uint64_t)sqlite3_column_int64(row, 2);
        exits = crc == journal_crc_meta(read, used) ? read : 0;
    }
    sqlite3_reset(row);
    rescue->exits = exits;
    row = journal_file_statement(rescue->to, JOURNAL_META_SET);
    bind_number(row, 1, exits);
    bind_number(row, 2, 1);
    bind_number(row, 3, journal_crc_meta(exits, 1));
    write_row(rescue, row, 0);
}

static void save_exporter(struct rescue *rescue, uint64_t bit, struct bytes name)
{
    static const enum journal_statement copies[] = {JOURNAL_EXPORTER_SET,
                                                    JOURNAL_EXPORTER_COPY_SET};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *row = journal_file_statement(rescue->to, copies[i]);
        bind_number(row, 1, bit);
        sqlite3_bind_blob(row, 2, name.ptr, (int)name.len, SQLITE_STATIC);
        bind_number(row, 3, journal_crc_exporter(bit, name));
        write_row(rescue, row, name.len);
    }
}

static void save_exporters(struct rescue *rescue, char *const names[JOURNAL_EXPORTERS_MAX])
{
    static const enum journal_statement copies[] = {JOURNAL_EXPORTERS, JOURNAL_EXPORTERS_COPY};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *row = journal_file_statement(rescue->from, copies[i]);
        while (look_at(rescue, sqlite3_step(row)) == SQLITE_ROW) {
            uint64_t bit = (uint64_t)sqlite3_column_int64(row, 0);
            struct bytes name = journal_column(row, 1);
            if (name.len > 0 && bit < JOURNAL_EXPORTERS_MAX &&
                (uint64_t)sqlite3_column_int64(row, 2) == journal_crc_exporter(bit, name)) {
                save_exporter(rescue, bit, name);
            }
        }
        sqlite3_reset(row);
    }
    for (unsigned bit = 0; names && bit < JOURNAL_EXPORTERS_MAX; bit++) {
        if (names[bit]) {
            save_exporter(rescue, bit, bytes_from_text(names[bit]));
        }
    }
}

static void save_releases(struct rescue *rescue, uint64_t id)
{
    sqlite3_stmt *row = journal_file_statement(rescue->from, JOURNAL_RELEASES);
    bind_number(row, 1, id);
    while (rescue->code == SQLITE_OK && look_at(rescue, sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t item = (uint64_t)sqlite3_column_int64(row, 0);
        struct bytes edits = journal_column(row, 1);
        if ((uint64_t)sqlite3_column_int64(row, 2) == journal_crc_record(id, item, 64, edits)) {
            sqlite3_stmt *out = journal_file_statement(rescue->to, JOURNAL_RELEASE_SET);
            bind_number(out, 1, id);
            bind_number(out, 2, item);
            sqlite3_bind_blob(out, 3, edits.ptr, (int)edits.len, SQLITE_STATIC);
            sqlite3_bind_value(out, 4, sqlite3_column_value(row, 2));
            write_row(rescue, out, edits.len);
        } else {
            rescue->counts->corrupt_records++;
        }
    }
    sqlite3_reset(row);
}

static void save_progress(struct rescue *rescue, uint64_t id)
{
    sqlite3_stmt *row = journal_file_statement(rescue->from, JOURNAL_PROGRESSES);
    bind_number(row, 1, id);
    while (rescue->code == SQLITE_OK && look_at(rescue, sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t at = (uint64_t)sqlite3_column_int64(row, 0);
        uint64_t bit = (uint64_t)sqlite3_column_int64(row, 1);
        struct bytes what = journal_column(row, 2);
        if ((uint64_t)sqlite3_column_int64(row, 3) == journal_crc_record(id, at, bit, what)) {
            sqlite3_stmt *out = journal_file_statement(rescue->to, JOURNAL_PROGRESS_SET);
            bind_number(out, 1, id);
            bind_number(out, 2, at);
            bind_number(out, 3, bit);
            sqlite3_bind_blob(out, 4, what.ptr, (int)what.len, SQLITE_STATIC);
            sqlite3_bind_value(out, 5, sqlite3_column_value(row, 3));
            write_row(rescue, out, what.len);
        } else {
            rescue->counts->corrupt_records++;
        }
    }
    sqlite3_reset(row);
}

// The state as it was, or as the entry began.
static void state_of(struct rescue *rescue, const struct journal_entry *entry,
                     struct journal_state *state)
{
    sqlite3_stmt *row = journal_file_statement(rescue->from, JOURNAL_STATE_GET);
    bind_number(row, 1, entry->id);
    bool is_known = look_at(rescue, sqlite3_step(row)) == SQLITE_ROW &&
                    journal_state_read(row, state) && state->id == entry->id;
    sqlite3_reset(row);
    if (!is_known) {
        *state = (struct journal_state){.id = entry->id,
                                        .owed = entry->owed,
                                        .flags = entry->open ? JOURNAL_IS_OPEN : 0,
                                        .since = rescue->exits,
                                        .wall_ns = entry->received_wall_ns,
                                        .items = entry->items,
                                        .bytes = entry->body.len};
    }
}

static void save_entry(struct rescue *rescue, uint64_t id)
{
    struct journal_entry entry = {0};
    struct journal_state state;
    int code = look_at(rescue, journal_body_get(rescue->from, id, &entry, &rescue->body));
    if (code == SQLITE_OK && buffer_status(&rescue->body) != RESULT_OK) {
        if (buffer_status(&rescue->body) == RESULT_SHED) {
            rescue->code = SQLITE_NOMEM;
        }
        code = SQLITE_CORRUPT;
    }
    if (code != SQLITE_OK) {
        rescue->counts->corrupt_records++;
        return;
    }
    rescue->last_id = id > rescue->last_id ? id : rescue->last_id;
    state_of(rescue, &entry, &state);
    if (!journal_state_is_alive(&state) || rescue->code != SQLITE_OK) {
        return;
    }
    rescue->code = journal_body_put(rescue->to, &entry);
    rescue->group_bytes += entry.body.len;
    if (rescue->code == SQLITE_OK) {
        rescue->code = journal_state_write(rescue->to, JOURNAL_STATE_SET, &state);
    }
    save_releases(rescue, id);
    save_progress(rescue, id);
    if (rescue->code == SQLITE_OK) {
        rescue->counts->salvaged_entries++;
    }
    close_group(rescue, GROUP_BYTES);
}

// The neighbour of `id`; false: an end or damage, *is_damaged says which.
static bool step_from(struct rescue *rescue, enum journal_statement which, uint64_t id,
                      uint64_t *found, bool *is_damaged)
{
    bool is_up = which != JOURNAL_BODY_BEFORE;
    sqlite3_stmt *row = journal_file_statement(rescue->from, which);
    bind_number(row, 1, id);
    int code = look_at(rescue, sqlite3_step(row));
    sqlite3_int64 next = code == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    *found = (uint64_t)next;
    bool is_good = code == SQLITE_ROW && next > 0 && (is_up ? *found > id : *found < id);
    *is_damaged = !is_good && code != SQLITE_DONE;
    return is_good && rescue->code == SQLITE_OK;
}

// Beyond damage that lies behind `id`: what comes after it, by leaps.
static bool leap(struct rescue *rescue, uint64_t id, uint64_t *landed)
{
    for (uint64_t step = 1; step < (UINT64_C(1) << 48) && id + step < INT64_MAX; step *= 2) {
        bool is_damaged = false;
        if (step_from(rescue, JOURNAL_BODY_AFTER, id + step, landed, &is_damaged)) {
            return true;
        }
        if (!is_damaged) {
            *landed = id + step;  // nothing behind; what is before is found from there
            return false;
        }
    }
    *landed = INT64_MAX;
    return false;
}

static void save_entries(struct rescue *rescue)
{
    uint64_t at = 0;
    for (bool is_more = true; is_more && rescue->code == SQLITE_OK;) {
        bool is_damaged = false;
        uint64_t next = 0;
        is_more = step_from(rescue, JOURNAL_BODY_AFTER, at, &next, &is_damaged);
        if (is_damaged) {
            is_more = leap(rescue, at, &next);
            uint64_t back = next;
            bool is_blocked = false;
            while (step_from(rescue, JOURNAL_BODY_BEFORE, back, &back, &is_blocked) && back > at) {
                save_entry(rescue, back);
            }
        }
        if (is_more) {
            save_entry(rescue, next);
            at = next;
        }
    }
}

static void save_decisions(struct rescue *rescue)
{
    uint64_t at = 0;
    uint64_t step = 0;
    while (rescue->code == SQLITE_OK && step < (UINT64_C(1) << 48)) {
        sqlite3_stmt *row = journal_file_statement(rescue->from, JOURNAL_DECISION_AFTER);
        bind_number(row, 1, at + step);
        bind_number(row, 2, 1);
        int code = look_at(rescue, sqlite3_step(row));
        uint64_t id = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
        if (code == SQLITE_ROW && id > at + step && id < INT64_MAX) {
            struct bytes target = journal_column(row, 1);
            uint64_t expires = (uint64_t)sqlite3_column_int64(row, 2);
            if ((uint64_t)sqlite3_column_int64(row, 3) ==
                journal_crc_record(expires, 0, 65, target)) {
                sqlite3_stmt *out = journal_file_statement(rescue->to, JOURNAL_DECISION_SET);
                sqlite3_bind_blob(out, 1, target.ptr, (int)target.len, SQLITE_STATIC);
                sqlite3_bind_value(out, 2, sqlite3_column_value(row, 2));
                sqlite3_bind_value(out, 3, sqlite3_column_value(row, 3));
                write_row(rescue, out, target.len);
            }
            at = id;
            step = 0;
        } else if (code == SQLITE_DONE) {
            step = UINT64_C(1) << 48;
        } else {
            step = step == 0 ? 1 : step * 2;
        }
        sqlite3_reset(row);
        close_group(rescue, GROUP_BYTES);
    }
}

// The highest id that was given stays remembered: as the state of an entry that owes nothing.
static void save_last_id(struct rescue *rescue)
{
    struct journal_state state = {.id = rescue->last_id};
    sqlite3_stmt *row = journal_file_statement(rescue->to, JOURNAL_STATE_GET);
    bind_number(row, 1, state.id);
    int code = sqlite3_step(row);
    sqlite3_reset(row);
    if (code == SQLITE_DONE && state.id > 0 && rescue->code == SQLITE_OK) {
        rescue->code = journal_state_write(rescue->to, JOURNAL_STATE_SET, &state);
    }
}

int journal_salvage(struct journal_file *from, struct journal_file *to,
                    char *const names[JOURNAL_EXPORTERS_MAX], uint64_t last_id,
                    struct journal_counts *counts)
{
    struct rescue rescue = {.from = from, .to = to, .counts = counts, .last_id = last_id};
    buffer_init(&rescue.body, JOURNAL_ENTRY_BYTES_MAX + JOURNAL_HEAD_BYTES_MAX);
    rescue.code = journal_file_begin(to);
    if (rescue.code == SQLITE_OK) {
        save_meta(&rescue);
        save_exporters(&rescue, names);
        save_entries(&rescue);
        save_decisions(&rescue);
        save_last_id(&rescue);
    }
    if (rescue.code == SQLITE_OK) {
        rescue.code = journal_file_commit(to);
    }
    journal_file_rollback(to);
    if (rescue.code == SQLITE_OK) {
        rescue.code = journal_file_checkpoint(to, true);
    }
    buffer_fini(&rescue.body);
    return rescue.code;
}
