// SPDX-License-Identifier: Apache-2.0
//
// See the header. Entries are at least 16 bytes: their id, their length, then numbers from a
// generator seeded with both and the stage's seed.
#include "tests/unit/journal_stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"

void stage_init(struct journal_stage *stage)
{
    memset(stage, 0, sizeof *stage);
    snprintf(stage->folder, sizeof stage->folder, "journal_test.XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->file, sizeof stage->file, "%s/journal.db", stage->folder);
    snprintf(stage->wal, sizeof stage->wal, "%s/journal.db-wal", stage->folder);
    stage->config.directory = bytes_from_text(stage->folder);
    stage->config.create_directory = true;
    stage->seed = 1;
}

static void folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *file = folder ? readdir(folder) : NULL; file; file = readdir(folder)) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", path, file->d_name);
        if (file->d_name[0] != '.' && unlink(name) != 0) {
            folder_remove(name);
        }
    }
    if (folder) {
        closedir(folder);
    }
    (void)rmdir(path);
}

void stage_fini(struct journal_stage *stage)
{
    journal_store_close(&stage->store, false);
    folder_remove(stage->folder);
}

void stage_open(struct journal_stage *stage)
{
    enum result result = journal_store_open(&stage->config, &stage->store, &stage->unclean,
                                            stage->why, sizeof stage->why);
    if (result != RESULT_OK) {
        fail_msg("%s", stage->why);
    }
}

void stage_close(struct journal_stage *stage, bool clean)
{
    journal_store_close(&stage->store, clean);
    assert_null(stage->store);
}

void stage_fill(const struct journal_stage *stage, uint64_t id, uint8_t *out, size_t len)
{
    struct random random;
    uint64_t head[2] = {id, len};
    random_seed(&random, stage->seed * 1000003 + id * 31 + len);
    random_fill(&random, out, len);
    memcpy(out, head, len < sizeof head ? len : sizeof head);
}

enum result stage_put(struct journal_stage *stage, uint64_t id, size_t len, uint64_t owed)
{
    uint8_t *body = malloc(len + 1);
    assert_non_null(body);
    stage_fill(stage, id, body, len);
    struct journal_entry entry = {.id = id,
                                  .origin = id % 2,
                                  .signal = (enum signal)(id % SIGNAL_COUNT),
                                  .codec = (enum codec)(id % CODEC_COUNT),
                                  .route = bytes_from_text(id % 3 == 0 ? "evaluation" : "otlp"),
                                  .received_wall_ns = id * 1000,
                                  .items = (uint32_t)id + 5,
                                  .owed = owed,
                                  .body = bytes_from(body, len)};
    enum result result = journal_store_put(stage->store, &entry);
    free(body);
    return result;
}

void stage_put_group(struct journal_stage *stage, uint64_t first, unsigned count, size_t len)
{
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(stage_put(stage, first + i, len, 1), RESULT_OK);
    }
    if (journal_store_commit(stage->store) != RESULT_OK) {
        fail_msg("%s", journal_store_error(stage->store));
    }
}

void stage_pay(struct journal_stage *stage, uint64_t first, uint64_t last)
{
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (uint64_t id = first; id <= last; id++) {
        assert_int_equal(journal_store_pay(stage->store, id, 0), RESULT_OK);
    }
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
}

static void check_entry(const struct journal_stage *stage, const struct journal_entry *entry)
{
    uint8_t *expected = malloc(entry->body.len + 1);
    assert_non_null(expected);
    stage_fill(stage, entry->id, expected, entry->body.len);
    if (entry->body.len > 0) {
        assert_memory_equal(entry->body.ptr, expected, entry->body.len);
    }
    free(expected);
    assert_int_equal(entry->origin, entry->id % 2);
    assert_int_equal(entry->signal, entry->id % SIGNAL_COUNT);
    assert_int_equal(entry->codec, entry->id % CODEC_COUNT);
    assert_true(bytes_equal_text(entry->route, entry->id % 3 == 0 ? "evaluation" : "otlp"));
    assert_int_equal(entry->received_wall_ns, entry->id * 1000);
    assert_int_equal(entry->items, entry->id + 5);
}

unsigned stage_check(struct journal_stage *stage, bool *seen, size_t seen_len)
{
    struct journal_entry entry = {0};
    struct buffer body;
    unsigned count = 0;
    uint64_t after = 0;
    buffer_init(&body, (size_t)65 << 20);
    for (;;) {
        enum result result =
            journal_store_next(stage->store, after, UINT64_MAX >> 2, true, &entry, &body);
        if (result == RESULT_MISSING) {
            break;
        }
        if (result != RESULT_OK) {
            fail_msg("%s", journal_store_error(stage->store));
        }
        assert_true(entry.id > after);
        check_entry(stage, &entry);
        after = entry.id;
        count++;
        if (seen && entry.id < seen_len) {
            seen[entry.id] = true;
        }
    }
    buffer_fini(&body);
    return count;
}

uint64_t stage_file_bytes(const struct journal_stage *stage)
{
    struct stat file;
    uint64_t bytes = stat(stage->file, &file) == 0 ? (uint64_t)file.st_size : 0;
    return bytes + (stat(stage->wal, &file) == 0 ? (uint64_t)file.st_size : 0);
}

static bool holds(const char *path, const char *text)
{
    struct buffer all;
    buffer_init(&all, (size_t)512 << 20);
    enum result result = file_read(path, &all);
    bool is_there =
        result == RESULT_OK && bytes_find(buffer_view(&all), bytes_from_text(text), 0) != SIZE_MAX;
    buffer_fini(&all);
    return is_there;
}

bool stage_file_holds(const struct journal_stage *stage, const char *text)
{
    return holds(stage->file, text) || holds(stage->wal, text);
}

bool stage_has(const struct journal_stage *stage, const char *name)
{
    char path[160];
    struct stat file;
    snprintf(path, sizeof path, "%s/%s", stage->folder, name);
    return lstat(path, &file) == 0;
}
