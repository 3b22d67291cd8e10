// SPDX-License-Identifier: Apache-2.0
// The database below the journal's store: how it is opened, and a layer of our own between SQLite
// and the disk. SQLite writes each frame of the WAL in two calls and each page of a checkpoint in
// one; the layer gathers what is contiguous and writes it at once, at the latest when a commit
// frame is complete, before anything is read, synced or truncated, so a commit that returned is in
// the kernel's hands also without fsync. It knows the sizes of both files at every moment and
// refuses with SQLITE_FULL what would exceed the limit, so that no estimate has to be right.
//
// Its methods are version 1: without shared memory SQLite can only take the path of
// locking_mode=EXCLUSIVE, and a damaged file cannot turn into SIGBUS. Refused: mmap for the same
// reason; unlinked or preallocated WALs; SQLite's automatic checkpoints, which come at a commit's
// expense. Bounds: GATHER_BYTES for each of two files, SQLite's cache of CACHE_KIB. The thread of
// the store.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "receiver/journal/journal_store_parts.h"

#define GATHER_BYTES ((size_t)120 << 10)  // SQLite takes lengths modulo 128 KiB
#define ROW_BYTES_MAX (20 << 20)          // the largest value: edits
#define PAGE_BYTES "4096"  // larger ones cost more per commit: four shared pages are in each
#define CACHE_KIB "2048"

struct journal_part {
    sqlite3_file base;  // SQLite's view
    struct journal_file *owner;
    uint64_t *bytes;  // the size in the owner; NULL: a file of SQLite's own
    bool is_wal;
    bool is_commit_next;  // the next write completes a commit
    uint8_t *gathered;
    size_t gathered_len;
    uint64_t gathered_at;
};

static struct journal_part *part_of(sqlite3_file *file)
{
    return (struct journal_part *)(void *)file;
}

static sqlite3_file *below(struct journal_part *part)
{
    return (sqlite3_file *)(void *)(part + 1);
}

static int measure(struct journal_part *part)
{
    sqlite3_int64 size = 0;
    int code = below(part)->pMethods->xFileSize(below(part), &size);
    if (part->bytes && code == SQLITE_OK) {
        *part->bytes = (uint64_t)size;
    }
    return code;
}

static int write_below(struct journal_part *part, const void *ptr, int len, uint64_t at)
{
    int code = below(part)->pMethods->xWrite(below(part), ptr, len, (sqlite3_int64)at);
    if (code != SQLITE_OK && measure(part) != SQLITE_OK) {
        return SQLITE_IOERR_FSTAT;
    }
    return code;
}

// What cannot be written is forgotten: SQLite takes the commit back and writes it anew.
static int flush(struct journal_part *part)
{
    size_t len = part->gathered_len;
    part->gathered_len = 0;
    return len > 0 ? write_below(part, part->gathered, (int)len, part->gathered_at) : SQLITE_OK;
}

static int part_close(sqlite3_file *file)
{
    struct journal_part *part = part_of(file);
    int code = flush(part);
    int closed = below(part)->pMethods->xClose(below(part));
    free(part->gathered);
    part->gathered = NULL;
    return code != SQLITE_OK ? code : closed;
}

static int part_read(sqlite3_file *file, void *ptr, int len, sqlite3_int64 at)
{
    struct journal_part *part = part_of(file);
    int code = flush(part);
    return code != SQLITE_OK ? code : below(part)->pMethods->xRead(below(part), ptr, len, at);
}

static bool exceeds(const struct journal_part *part, uint64_t end)
{
    const struct journal_file *owner = part->owner;
    if (owner->size_max == 0 || end <= *part->bytes) {
        return false;
    }
    return owner->db_bytes + owner->wal_bytes - *part->bytes + end > owner->size_max;
}

static int gather(struct journal_part *part, const void *ptr, size_t len, uint64_t at)
{
    if (part->gathered_len > 0 &&
        (part->gathered_at + part->gathered_len != at || part->gathered_len + len > GATHER_BYTES)) {
        int code = flush(part);
        if (code != SQLITE_OK) {
            return code;
        }
    }
    if (!part->gathered) {
        part->gathered = malloc(GATHER_BYTES);
    }
    if (!part->gathered || len > GATHER_BYTES) {
        return write_below(part, ptr, (int)len, at);
    }
    part->gathered_at = part->gathered_len == 0 ? at : part->gathered_at;
    memcpy(part->gathered + part->gathered_len, ptr, len);
    part->gathered_len += len;
    return SQLITE_OK;
}

static int part_write(sqlite3_file *file, const void *ptr, int len, sqlite3_int64 at)
{
    struct journal_part *part = part_of(file);
    uint64_t end = (uint64_t)at + (uint64_t)len;
    if (!part->bytes) {
        return write_below(part, ptr, len, (uint64_t)at);
    }
    if (exceeds(part, end)) {
        part->gathered_len = 0;
        return measure(part) == SQLITE_OK ? SQLITE_FULL : SQLITE_IOERR_FSTAT;
    }
    *part->bytes = end > *part->bytes ? end : *part->bytes;
    int code = gather(part, ptr, (size_t)len, (uint64_t)at);
    bool is_commit = part->is_commit_next;
    // A frame's head (SQLite file format 4.1): bytes 4 to 7 are not 0 in the last one of a commit.
    static const uint8_t none[4];
    part->is_commit_next = part->is_wal && len == JOURNAL_FRAME_BYTES &&
                           memcmp((const uint8_t *)ptr + 4, none, sizeof none) != 0;
    return code == SQLITE_OK && is_commit ? flush(part) : code;
}

static int part_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct journal_part *part = part_of(file);
    int code = flush(part);
    if (code == SQLITE_OK) {
        code = below(part)->pMethods->xTruncate(below(part), size);
    }
    int measured = measure(part);
    return code != SQLITE_OK ? code : measured;
}

static int part_sync(sqlite3_file *file, int flags)
{
    struct journal_part *part = part_of(file);
    int code = flush(part);
    part->owner->syncs++;
    return code != SQLITE_OK ? code : below(part)->pMethods->xSync(below(part), flags);
}

static int part_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct journal_part *part = part_of(file);
    int code = flush(part);
    return code != SQLITE_OK ? code : below(part)->pMethods->xFileSize(below(part), size);
}

static int part_lock(sqlite3_file *file, int level)
{
    return below(part_of(file))->pMethods->xLock(below(part_of(file)), level);
}

static int part_unlock(sqlite3_file *file, int level)
{
    return below(part_of(file))->pMethods->xUnlock(below(part_of(file)), level);
}

static int part_is_reserved(sqlite3_file *file, int *is_reserved)
{
    return below(part_of(file))->pMethods->xCheckReservedLock(below(part_of(file)), is_reserved);
}

static int part_control(sqlite3_file *file, int what, void *arg)
{
    return below(part_of(file))->pMethods->xFileControl(below(part_of(file)), what, arg);
}

static int part_sector(sqlite3_file *file)
{
    return below(part_of(file))->pMethods->xSectorSize(below(part_of(file)));
}

static int part_characteristics(sqlite3_file *file)
{
    return below(part_of(file))->pMethods->xDeviceCharacteristics(below(part_of(file)));
}

static const sqlite3_io_methods part_methods = {
    .iVersion = 1,
    .xClose = part_close,
    .xRead = part_read,
    .xWrite = part_write,
    .xTruncate = part_truncate,
    .xSync = part_sync,
    .xFileSize = part_size,
    .xLock = part_lock,
    .xUnlock = part_unlock,
    .xCheckReservedLock = part_is_reserved,
    .xFileControl = part_control,
    .xSectorSize = part_sector,
    .xDeviceCharacteristics = part_characteristics,
};

static int part_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    struct journal_file *owner = vfs->pAppData;
    struct journal_part *part = part_of(file);
    memset(part, 0, sizeof *part);
    part->owner = owner;
    int code = owner->below->xOpen(owner->below, name, below(part), flags, flags_out);
    if (code != SQLITE_OK) {
        if (below(part)->pMethods) {
            below(part)->pMethods->xClose(below(part));
        }
        return code;
    }
    part->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    if (part->is_wal) {
        part->bytes = &owner->wal_bytes;
    } else if (flags & SQLITE_OPEN_MAIN_DB) {
        part->bytes = &owner->db_bytes;
    }
    part->base.pMethods = &part_methods;
    return measure(part);
}

static int remove_below(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    struct journal_file *owner = vfs->pAppData;
    return owner->below->xDelete(owner->below, name, sync_folder);
}

static int layer_register(struct journal_file *file)
{
    file->below = sqlite3_vfs_find("unix");
    if (!file->below) {
        return SQLITE_CANTOPEN;
    }
    snprintf(file->vfs_name, sizeof file->vfs_name, "sidejudge-%p", (void *)file);
    file->vfs = *file->below;
    file->vfs.zName = file->vfs_name;
    file->vfs.pNext = NULL;
    file->vfs.szOsFile = (int)sizeof(struct journal_part) + file->below->szOsFile;
    file->vfs.pAppData = file;
    file->vfs.xOpen = part_open;
    file->vfs.xDelete = remove_below;
    return sqlite3_vfs_register(&file->vfs, 0);
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct journal_file *file = arg;
    (void)db;
    (void)name;
    file->wal_frames = (uint64_t)frames;
    return SQLITE_OK;
}

static void configure(struct journal_file *file)
{
    static const struct {
        int what, value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},        {SQLITE_DBCONFIG_DQS_DML, 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        sqlite3_db_config(file->db, settings[i].what, settings[i].value, NULL);
    }
    sqlite3_limit(file->db, SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX);
    sqlite3_limit(file->db, SQLITE_LIMIT_ATTACHED, 0);
}

// The one value that a statement gives, which is used once.
static int ask(struct journal_file *file, const char *text, char *answer, size_t answer_len)
{
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(file->db, text, -1, &row, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
        snprintf(answer, answer_len, "%.*s", BYTES_PRINTF(journal_column(row, 0)));
        code = SQLITE_OK;
    }
    sqlite3_finalize(row);
    return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

// The order matters: exclusive before the first look at the file, so that the WAL's index lies in
// our own memory; auto_vacuum and page_size before the first table; all before journal_mode.
static int set_modes(struct journal_file *file)
{
    char mode[16] = "";
    int code = sqlite3_exec(file->db,
                            "PRAGMA locking_mode=EXCLUSIVE;PRAGMA page_size=" PAGE_BYTES
                            ";PRAGMA auto_vacuum=INCREMENTAL;PRAGMA mmap_size=0;"
                            "PRAGMA cell_size_check=ON;PRAGMA secure_delete=ON;"
                            "PRAGMA temp_store=MEMORY;PRAGMA cache_size=-" CACHE_KIB,
                            NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = ask(file, "PRAGMA journal_mode=WAL", mode, sizeof mode);
    }
    if (code == SQLITE_CANTOPEN && sqlite3_system_errno(file->db) == 0) {
        return SQLITE_NOTADB;  // a WAL of a form that SQLite refuses
    }
    if (code == SQLITE_OK && strcmp(mode, "wal") != 0) {
        return SQLITE_CORRUPT;
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(file->db,
                            file->fsync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF",
                            NULL, NULL, NULL);
    }
    sqlite3_wal_hook(file->db, on_commit, file);
    return code;
}

static const struct {
    const char *name, *text;
} tables[] = {
#define JOURNAL_TABLE(name, text) {#name, text},
#include "receiver/journal/journal_tables.def"
#undef JOURNAL_TABLE
};

enum { TABLE_COUNT = sizeof tables / sizeof *tables };

// How many rows the schema has; SQLITE_CORRUPT when one of them is not ours.
static int compare_schema(struct journal_file *file, size_t *count)
{
    sqlite3_stmt *row = NULL;
    *count = 0;
    int code = sqlite3_prepare_v2(file->db, "SELECT sql FROM sqlite_schema", -1, &row, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
        size_t i = 0;
        while (i < TABLE_COUNT && !bytes_equal_text(journal_column(row, 0), tables[i].text)) {
            i++;
        }
        *count += 1;
        code = i < TABLE_COUNT ? SQLITE_OK : SQLITE_CORRUPT;
    }
    sqlite3_finalize(row);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int make_tables(struct journal_file *file)
{
    int code = sqlite3_exec(file->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t i = 0; i < TABLE_COUNT && code == SQLITE_OK; i++) {
        code = sqlite3_exec(file->db, tables[i].text, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(file->db, "COMMIT", NULL, NULL, NULL);
    }
    return code;
}

static int check_form(struct journal_file *file)
{
    char answer[16] = "";
    size_t count = 0;
    int code = compare_schema(file, &count);
    if (code == SQLITE_OK && count == 0) {
        code = make_tables(file);
        count = TABLE_COUNT;
    }
    if (code == SQLITE_OK) {
        code = ask(file, "PRAGMA auto_vacuum", answer, sizeof answer);
    }
    if (code == SQLITE_OK && (count != TABLE_COUNT || strcmp(answer, "2") != 0)) {
        code = SQLITE_CORRUPT;
    }
    if (code == SQLITE_OK) {
        code = ask(file, "PRAGMA page_size", answer, sizeof answer);
        file->page_bytes = strtoull(answer, NULL, 10);
    }
    return code;
}

static int prepare_all(struct journal_file *file)
{
    static const char *const texts[] = {
#define JOURNAL_STATEMENT(name, text) text,
#include "receiver/journal/journal_statements.def"
#undef JOURNAL_STATEMENT
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < JOURNAL_STATEMENT_COUNT && code == SQLITE_OK; i++) {
        code = sqlite3_prepare_v3(file->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &file->statements[i], NULL);
    }
    return code;
}

int journal_file_open(struct journal_file *file, const char *path, bool fsync, uint64_t size_max)
{
    struct stat there;
    memset(file, 0, sizeof *file);
    file->fsync = fsync;
    file->size_max = size_max;
    file->path = strdup(path);
    CHECK(file->path);
    int code = stat(path, &there) == 0 ? layer_register(file) : SQLITE_CANTOPEN;
    if (code == SQLITE_OK) {
        file->inode = there.st_ino;
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    SQLITE_OPEN_PRIVATECACHE;
        code = sqlite3_open_v2(path, &file->db, flags, file->vfs_name);
    }
    if (code == SQLITE_OK) {
        configure(file);
        code = set_modes(file);
    }
    if (code == SQLITE_OK) {
        code = check_form(file);
    }
    return code == SQLITE_OK ? prepare_all(file) : code;
}

void journal_file_close(struct journal_file *file, bool tidy)
{
    for (size_t i = 0; i < JOURNAL_STATEMENT_COUNT; i++) {
        sqlite3_finalize(file->statements[i]);
        file->statements[i] = NULL;
    }
    if (file->db) {
        sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, tidy ? 0 : 1, NULL);
        CHECK(sqlite3_close(file->db) == SQLITE_OK);
        file->db = NULL;
    }
    if (file->below) {
        sqlite3_vfs_unregister(&file->vfs);
        file->below = NULL;
    }
    free(file->path);
    file->path = NULL;
}

bool journal_file_is_there(const struct journal_file *file)
{
    struct stat there;
    return stat(file->path, &there) == 0 && there.st_ino == file->inode;
}

sqlite3_stmt *journal_file_statement(struct journal_file *file, enum journal_statement which)
{
    CHECK(file->db && file->statements[which]);
    return file->statements[which];
}

int journal_file_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int journal_file_begin(struct journal_file *file)
{
    return journal_file_run(journal_file_statement(file, JOURNAL_BEGIN));
}

int journal_file_commit(struct journal_file *file)
{
    int code = journal_file_run(journal_file_statement(file, JOURNAL_COMMIT));
    if (code != SQLITE_OK) {
        journal_file_rollback(file);
    }
    return code;
}

void journal_file_rollback(struct journal_file *file)
{
    for (size_t i = 0; i < JOURNAL_STATEMENT_COUNT; i++) {
        sqlite3_reset(file->statements[i]);
    }
    if (file->db && sqlite3_get_autocommit(file->db) == 0) {
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

int journal_file_hurry(struct journal_file *file, bool is_hurried)
{
    if (!file->fsync) {
        return SQLITE_OK;
    }
    return sqlite3_exec(file->db,
                        is_hurried ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", NULL,
                        NULL, NULL);
}

int journal_file_checkpoint(struct journal_file *file, bool truncate)
{
    int in_log = 0;
    int done = 0;
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int code = sqlite3_wal_checkpoint_v2(file->db, "main", mode, &in_log, &done);
    if (code == SQLITE_OK && in_log == done) {
        file->wal_frames = 0;
    }
    return code;
}

int journal_file_vacuum(struct journal_file *file, unsigned pages)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%u)", pages);
    return sqlite3_exec(file->db, text, NULL, NULL, NULL);
}

static uint64_t count_of(struct journal_file *file, enum journal_statement which)
{
    sqlite3_stmt *row = journal_file_statement(file, which);
    uint64_t count = sqlite3_step(row) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    return count;
}

uint64_t journal_file_pages(struct journal_file *file)
{
    return count_of(file, JOURNAL_PAGE_COUNT);
}

uint64_t journal_file_free_pages(struct journal_file *file)
{
    return count_of(file, JOURNAL_FREE_COUNT);
}

bool journal_code_is_corrupt(int code)
{
    int primary = code & 0xff;
    if (code == SQLITE_READONLY_DBMOVED) {
        return false;
    }
    return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_ERROR ||
           primary == SQLITE_CONSTRAINT || primary == SQLITE_MISMATCH || primary == SQLITE_TOOBIG ||
           primary == SQLITE_READONLY || primary == SQLITE_SCHEMA || primary == SQLITE_FORMAT ||
           code == SQLITE_IOERR_SHORT_READ;
}

struct bytes journal_column(sqlite3_stmt *row, int column)
{
    const void *ptr = sqlite3_column_blob(row, column);
    int len = sqlite3_column_bytes(row, column);
    return ptr ? bytes_from(ptr, (size_t)len) : BYTES_NONE;
}
