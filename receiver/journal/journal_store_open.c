// SPDX-License-Identifier: Apache-2.0
// The life of the journal's store: its folder and lock, opening, salvage and coming back after the
// disk failed. Salvage writes NAME.salvage to its end, renames NAME to NAME.corrupt and then
// NAME.salvage to NAME; a process that ends between the two is completed by the next opening. The
// folder is locked (flock), because the locks of SQLite lie on files that salvage replaces. An
// unclean exit adds one to a number; entries that are open remember what it was, so that nothing
// has to be rewritten at the start. Refused: an integrity check at opening, which reads everything;
// CRCs tell when a record is read. The thread of the store.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "receiver/journal/journal_store_parts.h"

#define STORE_MAGIC MAGIC('J', 'S', 'T', 'O')
#define STORE_NAME "journal.db"
#define PATH_BYTES_MAX 4096
#define SIZE_MAX_LEAST ((uint64_t)2 << 20)

static void path_with(const struct journal_store *store, const char *ending, char *out)
{
    snprintf(out, PATH_BYTES_MAX + 32, "%s%s", store->path, ending);
}

static void folder_sync(const struct journal_store *store)
{
    if (store->config.fsync) {
        (void)fsync(store->folder_fd);  // a file system that cannot says so at each commit
    }
}

// Makes the folder and what is above it, then locks it. 0: errno says why.
static bool folder_take(struct journal_store *store)
{
    char *path = store->folder;
    if (store->folder_fd >= 0) {
        close(store->folder_fd);
    }
    for (char *slash = strchr(path + 1, '/'); store->config.create_directory && slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    if (store->config.create_directory) {
        (void)mkdir(path, 0700);
    }
    store->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder_fd < 0) {
        return false;
    }
    if (store->config.create_directory) {
        (void)fchmod(store->folder_fd, 0700);  // somebody else's folder stays as it is
    }
    return flock(store->folder_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static bool file_make(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return false;
    }
    (void)fchmod(fd, 0600);
    return close(fd) == 0;
}

static bool is_file(const char *path)
{
    struct stat there;
    return lstat(path, &there) == 0;
}

// The second half of a salvage that was interrupted, or of this one.
static bool salvage_finish(const struct journal_store *store)
{
    char fresh[PATH_BYTES_MAX + 32], wal[PATH_BYTES_MAX + 32], old_wal[PATH_BYTES_MAX + 32];
    path_with(store, ".salvage", fresh);
    path_with(store, "-wal", wal);
    path_with(store, ".corrupt-wal", old_wal);
    bool is_done = !is_file(wal) || rename(wal, old_wal) == 0;
    is_done = is_done && rename(fresh, store->path) == 0;
    folder_sync(store);
    return is_done;
}

static void salvage_remove(const struct journal_store *store)
{
    static const char *const endings[] = {".salvage", ".salvage-wal", ".salvage-journal"};
    char path[PATH_BYTES_MAX + 32];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        path_with(store, endings[i], path);
        (void)unlink(path);
    }
}

static bool files_prepare(struct journal_store *store)
{
    char fresh[PATH_BYTES_MAX + 32];
    path_with(store, ".salvage", fresh);
    if (!is_file(store->path) && is_file(fresh) && !salvage_finish(store)) {
        return false;
    }
    return file_make(store->path);
}

// Opens the damaged file as well as it goes: without its WAL when that is what is wrong.
static int damaged_open(struct journal_store *store, struct journal_file *from)
{
    char wal[PATH_BYTES_MAX + 32], old_wal[PATH_BYTES_MAX + 32];
    int code = journal_file_open(from, store->path, false, 0);
    path_with(store, "-wal", wal);
    if (code != SQLITE_OK && journal_code_is_corrupt(code) && is_file(wal)) {
        path_with(store, ".corrupt-wal", old_wal);
        journal_file_close(from, false);
        (void)rename(wal, old_wal);
        code = journal_file_open(from, store->path, false, 0);
    }
    return code;
}

static int salvage_into(struct journal_store *store, const char *fresh)
{
    struct journal_file from = {0};
    struct journal_file to = {0};
    int code = journal_file_open(&to, fresh, store->config.fsync, 0);
    int damage = code == SQLITE_OK ? damaged_open(store, &from) : SQLITE_OK;
    if (code == SQLITE_OK && damage == SQLITE_OK) {
        code = journal_salvage(&from, &to, store->names, store->last_id, &store->counts);
    } else if (code == SQLITE_OK && !journal_code_is_corrupt(damage)) {
        code = damage;  // not now, but nothing is lost yet
    }
    journal_file_close(&from, false);
    journal_file_close(&to, code == SQLITE_OK);
    return code;
}

static int salvage(struct journal_store *store)
{
    char fresh[PATH_BYTES_MAX + 32], old[PATH_BYTES_MAX + 32], old_wal[PATH_BYTES_MAX + 32];
    path_with(store, ".salvage", fresh);
    path_with(store, ".corrupt", old);
    path_with(store, ".corrupt-wal", old_wal);
    salvage_remove(store);
    (void)unlink(old_wal);
    int code = file_make(fresh) ? salvage_into(store, fresh) : SQLITE_CANTOPEN;
    if (code == SQLITE_OK && (rename(store->path, old) != 0 || !salvage_finish(store))) {
        code = SQLITE_CANTOPEN;
    }
    store->counts.salvages += code == SQLITE_OK;
    return code;
}

static int exporters_read(struct journal_store *store, enum journal_statement which)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, which);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t bit = (uint64_t)sqlite3_column_int64(row, 0);
        struct bytes name = journal_column(row, 1);
        if (bit < JOURNAL_EXPORTERS_MAX && !store->names[bit] && name.len > 0 &&
            (uint64_t)sqlite3_column_int64(row, 2) == journal_crc_exporter(bit, name)) {
            store->names[bit] = strndup((const char *)name.ptr, name.len);
            CHECK(store->names[bit]);
        }
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

// In both tables, because without the name nobody knows whose debts a bit means.
static int exporter_write(struct journal_store *store, unsigned bit)
{
    static const enum journal_statement copies[] = {JOURNAL_EXPORTER_SET,
                                                    JOURNAL_EXPORTER_COPY_SET};
    struct bytes name = bytes_from_text(store->names[bit]);
    int code = SQLITE_OK;
    for (size_t i = 0; i < 2 && code == SQLITE_OK; i++) {
        sqlite3_stmt *row = journal_file_statement(&store->file, copies[i]);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)bit);
        sqlite3_bind_blob(row, 2, name.ptr, (int)name.len, SQLITE_STATIC);
        sqlite3_bind_int64(row, 3, (sqlite3_int64)journal_crc_exporter(bit, name));
        code = journal_file_run(row);
        sqlite3_clear_bindings(row);
    }
    return code;
}

static int meta_write(struct journal_store *store, bool is_used)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_META_SET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)store->exits);
    sqlite3_bind_int64(row, 2, is_used);
    sqlite3_bind_int64(row, 3, (sqlite3_int64)journal_crc_meta(store->exits, is_used));
    return journal_file_run(row);
}

static int meta_read(struct journal_store *store, bool *unclean)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_META_GET);
    int code = sqlite3_step(row);
    uint64_t exits = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    uint64_t used = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 1) : 0;
    uint64_t crc = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 2) : 0;
    sqlite3_reset(row);
    bool is_good = code == SQLITE_ROW && crc == journal_crc_meta(exits, used);
    *unclean = code == SQLITE_ROW && (!is_good || used != 0);
    store->exits = is_good && exits < UINT32_MAX ? exits : 0;
    store->counts.corrupt_records += code == SQLITE_ROW && !is_good;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

// The highest id; rows at the end whose CRC is wrong were never given by us.
static int last_id_read(struct journal_store *store)
{
    struct journal_state state = {0};
    for (;;) {
        sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_LAST);
        int code = sqlite3_step(row);
        bool is_good = code == SQLITE_ROW && journal_state_read(row, &state);
        sqlite3_reset(row);
        if (code == SQLITE_DONE || is_good) {
            store->last_id = state.id > store->last_id && is_good ? state.id : store->last_id;
            return SQLITE_OK;
        }
        if (code != SQLITE_ROW) {
            return code;
        }
        store->counts.corrupt_records++;
        row = journal_file_statement(&store->file, JOURNAL_STATE_DELETE);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)state.id);
        code = journal_file_run(row);
        if (code != SQLITE_OK) {
            return code;
        }
    }
}

void journal_store_totals_read(struct journal_store *store)
{
    sqlite3_stmt *row = journal_file_statement(&store->file, JOURNAL_STATE_SUM);
    if (sqlite3_step(row) == SQLITE_ROW) {
        store->counts.entries = (uint64_t)sqlite3_column_int64(row, 0);
        store->counts.bytes = (uint64_t)sqlite3_column_int64(row, 1);
    }
    sqlite3_reset(row);
}

void journal_store_sizes_read(struct journal_store *store)
{
    store->counts.file_bytes = store->file.db_bytes + store->file.wal_bytes;
    store->counts.syncs = store->syncs_before + store->file.syncs;
}

static int load(struct journal_store *store, bool is_first, bool *unclean)
{
    uint64_t exits = store->exits;
    int code = journal_file_begin(&store->file);
    if (code == SQLITE_OK) {
        code = meta_read(store, unclean);
        store->exits = is_first ? store->exits + *unclean : exits;
    }
    if (code == SQLITE_OK && (code = exporters_read(store, JOURNAL_EXPORTERS)) == SQLITE_OK) {
        code = exporters_read(store, JOURNAL_EXPORTERS_COPY);
    }
    for (unsigned bit = 0; !is_first && bit < JOURNAL_EXPORTERS_MAX; bit++) {
        if (store->names[bit] && code == SQLITE_OK) {
            code = exporter_write(store, bit);
        }
    }
    if (code == SQLITE_OK) {
        code = last_id_read(store);
    }
    if (code == SQLITE_OK && (code = meta_write(store, true)) == SQLITE_OK) {
        code = journal_file_commit(&store->file);
    }
    if (code != SQLITE_OK) {
        journal_file_rollback(&store->file);
        return code;
    }
    journal_store_totals_read(store);
    journal_store_sizes_read(store);
    store->dead_count = 0;
    store->tomb = 0;
    store->is_dead_unlisted = true;
    store->is_damaged = false;
    return SQLITE_OK;
}

static int file_open(struct journal_store *store, bool is_first, bool *unclean)
{
    int code =
        journal_file_open(&store->file, store->path, store->config.fsync, store->config.size_max);
    return code == SQLITE_OK ? load(store, is_first, unclean) : code;
}

static void file_close(struct journal_store *store, bool tidy)
{
    store->syncs_before += store->file.syncs;
    journal_file_close(&store->file, tidy);
    store->file.syncs = 0;
}

static void explain(struct journal_store *store, int code, const char *doing)
{
    int number = store->file.db ? sqlite3_system_errno(store->file.db) : errno;
    snprintf(store->error, sizeof store->error, "journal %.300s: %s: %s%s%s", store->path, doing,
             sqlite3_errstr(code), number != 0 ? ": " : "", number != 0 ? strerror(number) : "");
}

static int open_or_salvage(struct journal_store *store, bool is_first, bool *unclean)
{
    file_close(store, false);
    int code = store->is_damaged ? SQLITE_CORRUPT : file_open(store, is_first, unclean);
    if (code != SQLITE_OK && journal_code_is_corrupt(code)) {
        file_close(store, false);
        store->is_damaged = true;
        code = salvage(store);
        if (code == SQLITE_OK) {
            store->is_damaged = false;
            code = file_open(store, is_first, unclean);
            *unclean = true;
        }
    }
    if (code != SQLITE_OK) {
        explain(store, code, "opening");
        store->counts.failures++;
        file_close(store, false);
    }
    return code;
}

enum result journal_store_ready(struct journal_store *store)
{
    bool unclean = false;
    CHECK(store->magic == STORE_MAGIC && store->group != GROUP_OPEN);
    if (store->file.db && !store->is_damaged && journal_file_is_there(&store->file)) {
        return RESULT_OK;
    }
    if (store->file.db && !store->is_damaged) {
        file_close(store, false);
        store->counts.failures++;
        snprintf(store->error, sizeof store->error, "journal %.300s: the file was taken away",
                 store->path);
        return RESULT_RETRY;
    }
    if (!folder_take(store) || !files_prepare(store)) {
        store->counts.failures++;
        snprintf(store->error, sizeof store->error, "journal %.300s: %s", store->path,
                 strerror(errno));
        return RESULT_RETRY;
    }
    return open_or_salvage(store, false, &unclean) == SQLITE_OK ? RESULT_OK : RESULT_RETRY;
}

enum result journal_store_fail(struct journal_store *store, int code, const char *doing)
{
    explain(store, code, doing);
    store->counts.failures++;
    store->is_damaged = store->is_damaged || journal_code_is_corrupt(code);
    store->is_pressed = store->is_pressed || (code & 0xff) == SQLITE_FULL;
    journal_store_rollback(store);
    store->group = GROUP_LOST;
    journal_store_sizes_read(store);
    return RESULT_RETRY;
}

static enum result refuse(struct journal_store **store, char *why, size_t why_len, const char *text)
{
    snprintf(why, why_len, "%s", text);
    journal_store_close(store, false);
    return RESULT_FAIL;
}

static struct journal_store *store_new(const struct journal_store_config *config)
{
    struct journal_store *store = calloc(1, sizeof *store);
    CHECK(store);
    store->magic = STORE_MAGIC;
    store->config = *config;
    store->config.directory = BYTES_NONE;
    store->folder_fd = -1;
    buffer_init(&store->scratch, JOURNAL_ENTRY_BYTES_MAX + JOURNAL_HEAD_BYTES_MAX);
    int len = (int)config->directory.len;
    CHECK(asprintf(&store->folder, "%.*s", len, (const char *)config->directory.ptr) == len);
    CHECK(asprintf(&store->path, "%s/" STORE_NAME, store->folder) > 0);
    return store;
}

enum result journal_store_open(const struct journal_store_config *config,
                               struct journal_store **out, bool *unclean, char *why, size_t why_len)
{
    char text[512];
    if (config->directory.len == 0 || config->directory.len >= PATH_BYTES_MAX - 32) {
        snprintf(why, why_len, "journal: the path of its directory is empty or too long");
        return RESULT_FAIL;
    }
    struct journal_store *store = store_new(config);
    if (config->size_max > 0 && config->size_max < SIZE_MAX_LEAST) {
        snprintf(text, sizeof text, "journal %.300s: a size below 2 MiB", store->path);
        return refuse(&store, why, why_len, text);
    }
    if (!folder_take(store)) {
        snprintf(text, sizeof text, "journal %.300s: %s", store->folder,
                 errno == EWOULDBLOCK ? "another process has it" : strerror(errno));
        return refuse(&store, why, why_len, text);
    }
    if (!files_prepare(store)) {
        snprintf(text, sizeof text, "journal %.300s: %s", store->path, strerror(errno));
        return refuse(&store, why, why_len, text);
    }
    if (open_or_salvage(store, true, unclean) != SQLITE_OK) {
        snprintf(text, sizeof text, "%s", store->error);
        return refuse(&store, why, why_len, text);
    }
    folder_sync(store);
    *out = store;
    return RESULT_OK;
}

void journal_store_close(struct journal_store **store_ptr, bool clean)
{
    struct journal_store *store = *store_ptr;
    if (!store) {
        return;
    }
    journal_store_rollback(store);
    bool is_clean = clean && store->file.db && !store->is_damaged &&
                    journal_file_is_there(&store->file) && meta_write(store, false) == SQLITE_OK;
    file_close(store, is_clean);
    if (store->folder_fd >= 0) {
        close(store->folder_fd);
    }
    for (unsigned bit = 0; bit < JOURNAL_EXPORTERS_MAX; bit++) {
        free(store->names[bit]);
    }
    buffer_fini(&store->scratch);
    free(store->folder);
    free(store->path);
    free(store);
    *store_ptr = NULL;
}

const struct journal_counts *journal_store_counts(const struct journal_store *store)
{
    return &store->counts;
}

const char *journal_store_error(const struct journal_store *store)
{
    return store->error;
}

uint64_t journal_store_last_id(const struct journal_store *store)
{
    return store->last_id;
}

enum result journal_store_exporter(struct journal_store *store, const char *name, unsigned *bit)
{
    unsigned unused = JOURNAL_EXPORTERS_MAX;
    for (unsigned i = 0; i < JOURNAL_EXPORTERS_MAX; i++) {
        if (store->names[i] && strcmp(store->names[i], name) == 0) {
            *bit = i;
            return RESULT_OK;
        }
        unused = !store->names[i] && unused == JOURNAL_EXPORTERS_MAX ? i : unused;
    }
    if (unused == JOURNAL_EXPORTERS_MAX || strlen(name) > 1024 || *name == '\0') {
        return RESULT_TOO_LARGE;
    }
    if (journal_store_begin(store) != RESULT_OK) {
        return RESULT_RETRY;
    }
    store->names[unused] = strdup(name);
    CHECK(store->names[unused]);
    int code = exporter_write(store, unused);
    enum result result = code == SQLITE_OK ? journal_store_commit(store)
                                           : journal_store_fail(store, code, "naming an exporter");
    if (result != RESULT_OK) {
        journal_store_rollback(store);
        free(store->names[unused]);
        store->names[unused] = NULL;
        return result;
    }
    *bit = unused;
    return RESULT_OK;
}
