// SPDX-License-Identifier: Apache-2.0
// Reading the journal. Everything is copied out before a call returns, and every statement is
// reset, so nothing pins the WAL. A record whose CRC is wrong is counted, erased and passed over;
// what SQLite itself calls corrupt is salvaged and looked for once more. Quarantine writes a body
// to a file of its own before the entry goes. Refused: handing out SQLite's own memory. Bounds: one
// body in memory; QUARANTINE_FILES_MAX files. The thread of the store.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "receiver/journal/journal_store_parts.h"

#define QUARANTINE_FILES_MAX 64
#define PATH_BYTES_MAX 4096

// Ends a reading call that failed outside of a group, salvaging; true: try once more.
static bool recover(struct journal_store *store, int code, const char *doing)
{
    bool was_in_group = store->group == GROUP_OPEN;
    (void)journal_store_fail(store, code, doing);
    if (was_in_group) {
        return false;
    }
    store->group = GROUP_NONE;
    return store->is_damaged && journal_store_ready(store) == RESULT_OK;
}

// Writes a state on its own, or in the open group.
static int state_mend(struct journal_store *store, const struct journal_state *state)
{
    bool is_alone = store->group != GROUP_OPEN;
    int code = is_alone ? journal_store_hurry_begin(store) : SQLITE_OK;
    if (code == SQLITE_OK) {
        code = journal_store_state_save(store, state, !journal_state_is_alive(state));
    }
    return is_alone ? journal_store_hurry_end(store, code) : code;
}

struct wanted {
    uint64_t after, exporters;
    bool open_too;
};

static int find(struct journal_store *store, const struct wanted *wanted, uint64_t *id)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_NEXT);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)wanted->after);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)wanted->exporters);
    sqlite3_bind_int64(row, 3, wanted->open_too ? JOURNAL_IS_OPEN : 0);
    int code = sqlite3_step(row);
    *id = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    if (code == SQLITE_ROW) {
        return *id > wanted->after ? SQLITE_OK : SQLITE_CORRUPT;
    }
    return code;
}

static bool is_wanted(const struct wanted *wanted, const struct journal_state *state)
{
    return (state->owed & wanted->exporters) != 0 ||
           (wanted->open_too && (state->flags & JOURNAL_IS_OPEN) != 0);
}

// An entry by its id; SQLITE_NOTFOUND: it was not whole, and is on its way out.
static int fetch(struct journal_store *store, uint64_t id, struct journal_state *state,
                 struct journal_entry *entry, struct buffer *body)
{
    uint64_t corrupt = store->counts.corrupt_records;
    int code = journal_store_state(store, id, state);
    if (code != SQLITE_OK) {
        return code;
    }
    if (corrupt != store->counts.corrupt_records) {
        code = state_mend(store, state);
        if (code != SQLITE_OK || !journal_state_is_alive(state)) {
            return code == SQLITE_OK ? SQLITE_NOTFOUND : code;
        }
    }
    code = journal_body_get(&store->file, id, entry, body);
    if (code == SQLITE_CORRUPT_VTAB || code == SQLITE_NOTFOUND) {
        store->counts.corrupt_records++;
        bool is_alone = store->group != GROUP_OPEN;
        state->owed = 0;
        state->flags = 0;
        code = is_alone ? journal_store_hurry_begin(store) : SQLITE_OK;
        code = code == SQLITE_OK ? journal_store_state_save(store, state, true) : code;
        code = is_alone ? journal_store_hurry_end(store, code) : code;
        return code == SQLITE_OK ? SQLITE_NOTFOUND : code;
    }
    entry->owed = state->owed;
    entry->open = (state->flags & JOURNAL_IS_OPEN) != 0;
    entry->crashes = journal_state_crashes(state, store->exits);
    return code;
}

static int next_of(struct journal_store *store, struct wanted *wanted, struct journal_entry *entry,
                   struct buffer *body)
{
    for (;;) {
        uint64_t id = 0;
        struct journal_state state;
        int code = find(store, wanted, &id);
        if (code != SQLITE_OK) {
            return code;
        }
        code = fetch(store, id, &state, entry, body);
        if (code != SQLITE_NOTFOUND && (code != SQLITE_OK || is_wanted(wanted, &state))) {
            return code;
        }
        wanted->after = id;
    }
}

// Not in a lost group, and the file is open.
static enum result reading(struct journal_store *store)
{
    if (store->group == GROUP_OPEN) {
        return RESULT_OK;
    }
    return store->group == GROUP_LOST ? RESULT_RETRY : journal_store_ready(store);
}

enum result journal_store_next(struct journal_store *store, uint64_t after, uint64_t exporters,
                               bool open_too, struct journal_entry *entry, struct buffer *body)
{
    struct wanted wanted = {after, exporters, open_too};
    struct journal_entry found = {0};
    enum result result = reading(store);
    if (result != RESULT_OK) {
        return result;
    }
    if (after >= INT64_MAX) {
        return RESULT_MISSING;
    }
    int code = next_of(store, &wanted, &found, body);
    if (code != SQLITE_OK && code != SQLITE_DONE && recover(store, code, "reading")) {
        code = next_of(store, &wanted, &found, body);
        if (code != SQLITE_OK && code != SQLITE_DONE) {
            (void)recover(store, code, "reading");
        }
    }
    if (code == SQLITE_DONE) {
        return RESULT_MISSING;
    }
    if (code != SQLITE_OK) {
        return RESULT_RETRY;
    }
    if (buffer_status(body) == RESULT_OK) {
        *entry = found;
    }
    return buffer_status(body);
}

// Takes a record that is wrong out of the way is left to the entry's own erasure: it is passed
// over.
static int releases_read(struct journal_store *store, uint64_t entry,
                         void (*released)(void *arg, uint32_t item_at, struct bytes edits),
                         void *arg)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_RELEASES);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t item = (uint64_t)sqlite3_column_int64(row, 0);
        struct bytes edits = journal_column(row, 1);
        if (item <= UINT32_MAX &&
            (uint64_t)sqlite3_column_int64(row, 2) == journal_crc_record(entry, item, 64, edits)) {
            released(arg, (uint32_t)item, edits);
        } else {
            store->counts.corrupt_records++;
        }
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int progress_read(struct journal_store *store, uint64_t entry,
                         void (*progressed)(void *arg, unsigned bit, struct bytes what), void *arg)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_PROGRESSES);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t at = (uint64_t)sqlite3_column_int64(row, 0);
        uint64_t bit = (uint64_t)sqlite3_column_int64(row, 1);
        struct bytes what = journal_column(row, 2);
        if (bit < 64 &&
            (uint64_t)sqlite3_column_int64(row, 3) == journal_crc_record(entry, at, bit, what)) {
            progressed(arg, (unsigned)bit, what);
        } else {
            store->counts.corrupt_records++;
        }
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

enum result journal_store_history(struct journal_store *store, uint64_t entry,
                                  void (*released)(void *arg, uint32_t item_at, struct bytes edits),
                                  void (*progressed)(void *arg, unsigned bit, struct bytes what),
                                  void *arg)
{
    enum result result = reading(store);
    if (result != RESULT_OK) {
        return result;
    }
    int code = releases_read(store, entry, released, arg);
    if (code == SQLITE_OK) {
        code = progress_read(store, entry, progressed, arg);
    }
    if (code != SQLITE_OK) {
        (void)recover(store, code, "reading an entry's history");
        return RESULT_RETRY;
    }
    return RESULT_OK;
}

enum result journal_store_decisions(struct journal_store *store,
                                    void (*decided)(void *arg, const struct trace_id *trace_id,
                                                    const struct span_id *target),
                                    void *arg)
{
    enum result result = reading(store);
    if (result != RESULT_OK) {
        return result;
    }
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_DECISION_AFTER);
    sqlite3_bind_int64(row, 1, 0);
    sqlite3_bind_int64(row, 2, INT64_MAX);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        struct trace_id trace_id;
        struct span_id target;
        struct bytes key = journal_column(row, 1);
        uint64_t expires = (uint64_t)sqlite3_column_int64(row, 2);
        if (key.len != sizeof trace_id + sizeof target ||
            (uint64_t)sqlite3_column_int64(row, 3) != journal_crc_record(expires, 0, 65, key)) {
            store->counts.corrupt_records++;
            continue;
        }
        memcpy(&trace_id, key.ptr, sizeof trace_id);
        memcpy(&target, key.ptr + sizeof trace_id, sizeof target);
        decided(arg, &trace_id, &target);
    }
    sqlite3_reset(row);
    if (code != SQLITE_DONE) {
        (void)recover(store, code, "reading decisions");
        return RESULT_RETRY;
    }
    return RESULT_OK;
}

// The file with the lowest number goes when there are too many.
static void quarantine_trim(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t oldest = UINT64_MAX;
    unsigned count = 0;
    if (!folder) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        uint64_t id = 0;
        struct bytes name = bytes_from_text(file->d_name);
        if (bytes_end_with(name, BYTES_LITERAL(".otlp")) &&
            bytes_to_u64(bytes_slice(name, 0, name.len - 5), &id)) {
            count++;
            oldest = id < oldest ? id : oldest;
        }
    }
    closedir(folder);
    char name[32];
    snprintf(name, sizeof name, "%llu.otlp", (unsigned long long)oldest);
    if (count > QUARANTINE_FILES_MAX) {
        (void)unlinkat(folder_fd, name, 0);
    }
}

static bool write_all(int fd, struct bytes view)
{
    while (view.len > 0) {
        ssize_t len = write(fd, view.ptr, view.len);
        if (len < 0 && errno != EINTR) {
            return false;
        }
        view = bytes_slice(view, len > 0 ? (size_t)len : 0, SIZE_MAX);
    }
    return true;
}

static bool quarantine_write(struct journal_store *store, const struct journal_entry *entry)
{
    char name[32];
    (void)mkdirat(store->folder_fd, "quarantine", 0700);
    int folder_fd =
        openat(store->folder_fd, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder_fd < 0) {
        return false;
    }
    snprintf(name, sizeof name, "%llu.otlp", (unsigned long long)entry->id);
    (void)unlinkat(folder_fd, name, 0);
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    const struct timespec received = {(time_t)(entry->received_wall_ns / NS_PER_S),
                                      (long)(entry->received_wall_ns % NS_PER_S)};
    bool is_written =
        fd >= 0 && write_all(fd, entry->body) && (!store->config.fsync || fsync(fd) == 0);
    if (is_written) {  // by which it expires
        (void)futimens(fd, (const struct timespec[]){received, received});
    }
    int number = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (is_written) {
        quarantine_trim(folder_fd);
    } else {
        (void)unlinkat(folder_fd, name, 0);
    }
    close(folder_fd);
    errno = number;
    return is_written;
}

enum result journal_store_quarantine(struct journal_store *store, uint64_t id)
{
    struct journal_state state = {0};
    struct journal_entry entry = {0};
    enum result result = reading(store);
    if (result != RESULT_OK) {
        return result;
    }
    int code = fetch(store, id, &state, &entry, &store->scratch);
    if (code == SQLITE_NOTFOUND || (code == SQLITE_OK && !journal_state_is_alive(&state))) {
        return RESULT_MISSING;
    }
    if (code == SQLITE_OK && buffer_status(&store->scratch) != RESULT_OK) {
        return buffer_status(&store->scratch);
    }
    if (code == SQLITE_OK && !quarantine_write(store, &entry)) {
        snprintf(store->error, sizeof store->error, "journal %.300s: quarantine: %s", store->path,
                 strerror(errno));
        store->counts.failures++;
        return RESULT_RETRY;
    }
    bool is_alone = store->group != GROUP_OPEN;
    state.owed = 0;
    state.flags = 0;
    if (code == SQLITE_OK && is_alone) {
        code = journal_file_begin(&store->file);
    }
    if (code == SQLITE_OK) {
        code = journal_store_state_save(store, &state, true);
    }
    if (code == SQLITE_OK && is_alone) {
        code = journal_file_commit(&store->file);
    }
    if (code != SQLITE_OK) {
        (void)recover(store, code, "quarantining an entry");
        return RESULT_RETRY;
    }
    buffer_fini(&store->scratch);
    buffer_init(&store->scratch, JOURNAL_ENTRY_BYTES_MAX + JOURNAL_HEAD_BYTES_MAX);
    return RESULT_OK;
}
