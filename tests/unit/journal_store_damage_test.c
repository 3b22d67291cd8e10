// SPDX-License-Identifier: Apache-2.0
//
// The journal's store on an unsound disk, and killed: flipped bits, truncations, foreign files, a
// full disk, a vanished folder, SIGKILL at seeded moments. The oracle is the same everywhere: what
// comes back is byte for byte what was put, nothing crashes, and the store goes on.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "tests/unit/journal_stage.h"

enum { ENTRIES = 80, FLIPS = 260, TRUNCATIONS = 80, KILLS = 120 };

static int setup(void **state)
{
    static struct journal_stage stage;
    stage_init(&stage);
    *state = &stage;
    return 0;
}

static int teardown(void **state)
{
    stage_fini(*state);
    return 0;
}

struct image {  // of both files
    struct buffer db, wal;
};

static void write_file(const char *path, struct bytes view)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, view.ptr, view.len), view.len);
    close(fd);
}

// 80 entries of mixed sizes, half of them in the database, half in the WAL; three are paid.
static void image_make(struct journal_stage *stage, struct image *image)
{
    stage_open(stage);
    unsigned bit = 9;
    assert_int_equal(journal_store_exporter(stage->store, "otlp", &bit), RESULT_OK);
    assert_int_equal(bit, 0);
    for (unsigned i = 0; i < ENTRIES; i += 5) {
        stage_put_group(stage, i + 1, 5, i % 15 == 5 ? 40000 : 20 + i * 50);
        if (i == ENTRIES / 2) {
            journal_store_tend(stage->store, 100 * NS_PER_S);
        }
    }
    stage_pay(stage, 10, 12);
    stage_close(stage, false);
    buffer_init(&image->db, (size_t)64 << 20);
    buffer_init(&image->wal, (size_t)64 << 20);
    assert_int_equal(file_read(stage->file, &image->db), RESULT_OK);
    assert_int_equal(file_read(stage->wal, &image->wal), RESULT_OK);
    assert_true(image->wal.len > 100000 && image->db.len > 100000);
}

static void image_place(const struct journal_stage *stage, const struct image *image)
{
    static const char *const endings[] = {".corrupt", ".corrupt-wal", ".salvage"};
    char path[160];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(path, sizeof path, "%s%s", stage->file, endings[i]);
        (void)unlink(path);
    }
    write_file(stage->file, buffer_view(&image->db));
    write_file(stage->wal, buffer_view(&image->wal));
}

static void image_free(struct image *image)
{
    buffer_fini(&image->db);
    buffer_fini(&image->wal);
}

// Opens what is there, checks everything, goes on with it and checks again. How many came back.
static unsigned survive(struct journal_stage *stage)
{
    stage_open(stage);
    unsigned count = stage_check(stage, NULL, 0);
    assert_true(count <= ENTRIES);
    assert_true(journal_store_counts(stage->store)->salvages <= 2);
    if (journal_store_counts(stage->store)->salvages > 0) {
        assert_true(stage_has(stage, "journal.db.corrupt"));
    }
    uint64_t next = journal_store_last_id(stage->store) + 1;
    for (unsigned i = 0; i < 3; i++) {
        enum result result = journal_store_begin(stage->store);
        if (result == RESULT_OK) {
            assert_int_equal(stage_put(stage, next, 30000, 1), RESULT_OK);
            result = journal_store_commit(stage->store);
        }
        if (result == RESULT_OK) {
            break;
        }
        assert_true(i < 2);  // salvaged in between
    }
    journal_store_tend(stage->store, 200 * NS_PER_S);
    journal_store_tend(stage->store, 300 * NS_PER_S);
    unsigned after = stage_check(stage, NULL, 0);
    assert_true(after > 0 && after <= ENTRIES + 1);
    stage_close(stage, true);
    stage_open(stage);
    bool seen[1000] = {false};
    (void)stage_check(stage, seen, 1000);
    assert_true(next >= 1000 || seen[next]);
    stage_close(stage, false);
    return count;
}

static void flipped_bits_never_come_back(void **state)
{
    struct journal_stage *stage = *state;
    struct image image;
    struct random random;
    unsigned total = 0;
    image_make(stage, &image);
    random_seed(&random, 20);
    for (unsigned i = 0; i < FLIPS; i++) {
        struct image bent = image;
        struct buffer *target = i % 3 == 0 ? &bent.wal : &bent.db;
        // Every fourth into the first pages, where the trees begin.
        uint64_t bound = i % 4 == 1 ? 20 * 4096 : target->len;
        uint64_t at = random_below(&random, bound);
        uint8_t bit = (uint8_t)(1U << random_below(&random, 8));
        target->ptr[at] ^= bit;
        image_place(stage, &bent);
        total += survive(stage);
        target->ptr[at] ^= bit;
    }
    print_message("%u of %u entries came back after %d flips\n", total, 77 * FLIPS, FLIPS);
    assert_true(total > 77 * FLIPS * 3 / 4);
    image_free(&image);
}

static void truncated_files_give_what_they_still_hold(void **state)
{
    struct journal_stage *stage = *state;
    struct image image;
    struct random random;
    unsigned total = 0;
    image_make(stage, &image);
    random_seed(&random, 21);
    for (unsigned i = 0; i < TRUNCATIONS; i++) {
        struct image cut = image;
        struct buffer *target = i % 2 == 0 ? &cut.wal : &cut.db;
        target->len = random_below(&random, target->len);
        if (i % 8 == 3) {
            target->len = i;  // the very begin
        }
        image_place(stage, &cut);
        if (i % 16 == 5) {
            unlink(stage->wal);
        }
        total += survive(stage);
    }
    print_message("%u of %u entries came back after %d cuts\n", total, 77 * TRUNCATIONS,
                  TRUNCATIONS);
    image_free(&image);
}

static void a_salvage_keeps_the_old_file_and_counts(void **state)
{
    struct journal_stage *stage = *state;
    struct image image;
    image_make(stage, &image);
    stage_open(stage);  // the WAL goes into the database
    stage_close(stage, true);
    image.db.len = 0;
    assert_int_equal(file_read(stage->file, &image.db), RESULT_OK);
    for (size_t page = 30; page < image.db.len / 4096; page += 12) {
        memset(image.db.ptr + page * 4096, 0xa5, 4096);
    }
    write_file(stage->file, buffer_view(&image.db));
    stage_open(stage);
    unsigned count = stage_check(stage, NULL, 0);
    const struct journal_counts *counts = journal_store_counts(stage->store);
    assert_int_equal(counts->salvages, 1);
    assert_int_equal(counts->salvaged_entries, count);
    assert_true(counts->corrupt_records > 0);
    assert_true(count > 20 && count < 77);
    assert_int_equal(counts->entries, count);
    assert_true(stage_has(stage, "journal.db.corrupt"));
    assert_false(stage_has(stage, "journal.db.salvage"));
    unsigned bit = 9;
    assert_int_equal(journal_store_exporter(stage->store, "otlp", &bit), RESULT_OK);
    assert_int_equal(bit, 0);
    image_free(&image);
}

static void foreign_files_are_set_aside(void **state)
{
    struct journal_stage *stage = *state;
    struct random random;
    static uint8_t garbage[100000];
    random_seed(&random, 3);
    random_fill(&random, garbage, sizeof garbage);
    for (unsigned i = 0; i < 4; i++) {
        if (i == 1) {
            memcpy(garbage, "SQLite format 3", 16);
        }
        write_file(stage->file, bytes_from(garbage, i == 2 ? 50 : sizeof garbage));
        if (i == 3) {
            write_file(stage->wal, bytes_from(garbage, sizeof garbage));
        }
        stage_open(stage);
        assert_int_equal(journal_store_counts(stage->store)->salvages, 1);
        assert_true(stage_has(stage, "journal.db.corrupt"));
        stage_put_group(stage, 1, 3, 1000);
        assert_int_equal(stage_check(stage, NULL, 0), 3);
        stage_close(stage, true);
    }
    unlink(stage->file);
    assert_int_equal(mkdir(stage->file, 0700), 0);
    assert_int_equal(journal_store_open(&stage->config, &stage->store, &stage->unclean, stage->why,
                                        sizeof stage->why),
                     RESULT_FAIL);
    assert_non_null(strstr(stage->why, "directory"));
}

static void an_interrupted_salvage_is_completed(void **state)
{
    struct journal_stage *stage = *state;
    char fresh[160], old[160];
    stage_open(stage);
    stage_put_group(stage, 1, 4, 1000);
    stage_close(stage, true);
    snprintf(fresh, sizeof fresh, "%s.salvage", stage->file);
    snprintf(old, sizeof old, "%s.corrupt", stage->file);
    assert_int_equal(rename(stage->file, fresh), 0);  // as if killed between the renames
    write_file(old, BYTES_LITERAL("the damaged one"));
    write_file(stage->wal, BYTES_LITERAL("and its WAL"));
    stage_open(stage);
    assert_int_equal(stage_check(stage, NULL, 0), 4);
    assert_int_equal(journal_store_counts(stage->store)->salvages, 0);
    assert_true(stage_has(stage, "journal.db.corrupt-wal"));
}

static void a_folder_that_is_taken_away_is_told_and_made_again(void **state)
{
    struct journal_stage *stage = *state;
    char moved[96];
    unsigned bit = 9;
    stage_open(stage);
    assert_int_equal(journal_store_exporter(stage->store, "a", &bit), RESULT_OK);
    assert_int_equal(journal_store_exporter(stage->store, "b", &bit), RESULT_OK);
    stage_put_group(stage, 1, 3, 1000);
    snprintf(moved, sizeof moved, "%s.moved", stage->folder);
    assert_int_equal(rename(stage->folder, moved), 0);
    assert_int_equal(journal_store_begin(stage->store), RESULT_RETRY);
    assert_non_null(strstr(journal_store_error(stage->store), "taken away"));
    assert_true(journal_store_counts(stage->store)->failures > 0);
    stage_put_group(stage, 4, 2, 1000);
    assert_int_equal(stage_check(stage, NULL, 0), 2);
    assert_int_equal(journal_store_exporter(stage->store, "b", &bit), RESULT_OK);
    assert_int_equal(bit, 1);
    stage_close(stage, true);
    stage_open(stage);
    assert_int_equal(journal_store_exporter(stage->store, "b", &bit), RESULT_OK);
    assert_int_equal(bit, 1);
    struct journal_stage rest = *stage;
    rest.store = NULL;
    snprintf(rest.folder, sizeof rest.folder, "%.60s", moved);
    stage_fini(&rest);
}

// Puts until the disk refuses; then the group is lost and everything else is as before.
static void fill_the_disk(struct journal_stage *stage, uint64_t *id)
{
    enum result result = RESULT_OK;
    unsigned before = 0;
    for (unsigned i = 0; i < 1000 && result == RESULT_OK; i++) {
        before = stage_check(stage, NULL, 0);
        result = journal_store_begin(stage->store);
        for (unsigned k = 0; k < 4 && result == RESULT_OK; k++) {
            result = stage_put(stage, *id + k, 60000, 1);
        }
        result = result == RESULT_OK ? journal_store_commit(stage->store) : result;
        *id += result == RESULT_OK ? 4 : 0;
        if (result == RESULT_OK) {
            journal_store_tend(stage->store, 10 * NS_PER_S);
        }
    }
    assert_int_equal(result, RESULT_RETRY);
    assert_true(strlen(journal_store_error(stage->store)) > 10);
    assert_true(journal_store_counts(stage->store)->failures > 0);
    journal_store_rollback(stage->store);
    assert_int_equal(stage_check(stage, NULL, 0), before);
    assert_int_equal(journal_store_counts(stage->store)->entries, before);
}

static void go_on_with_room(struct journal_stage *stage, uint64_t *id)
{
    unsigned before = stage_check(stage, NULL, 0);
    journal_store_tend(stage->store, 100 * NS_PER_S);
    stage_put_group(stage, *id, 4, 60000);
    *id += 4;
    assert_int_equal(stage_check(stage, NULL, 0), before + 4);
    assert_int_equal(journal_store_counts(stage->store)->salvages, 0);
}

static void a_file_size_limit_fails_calls_and_nothing_else(void **state)
{
    struct journal_stage *stage = *state;
    struct rlimit old, small;
    uint64_t id = 1;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    stage_open(stage);
    small = (struct rlimit){1000000, old.rlim_max};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        fill_the_disk(stage, &id);
        journal_store_tend(stage->store, (1 + i) * 1000 * NS_PER_S);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        go_on_with_room(stage, &id);
        small.rlim_cur += 3000000;
    }
    stage_close(stage, false);
    stage_open(stage);
    assert_int_equal(stage_check(stage, NULL, 0), id - 1);
    signal(SIGXFSZ, SIG_DFL);
}

// In a mount namespace of its own; 77: the machine does not allow that.
static int full_disk_child(struct journal_stage *stage)
{
    char ballast[96];
    static uint8_t zeros[20000000];
    uint64_t id = 1;
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return 77;
    }
    (void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (mount("none", stage->folder, "tmpfs", 0, "size=40m") != 0) {
        return 77;
    }
    stage->config.fsync = true;
    stage_open(stage);
    snprintf(ballast, sizeof ballast, "%s/ballast", stage->folder);
    write_file(ballast, bytes_from(zeros, sizeof zeros));
    fill_the_disk(stage, &id);
    journal_store_tend(stage->store, 50 * NS_PER_S);  // a checkpoint that cannot be written either
    assert_int_equal(unlink(ballast), 0);
    go_on_with_room(stage, &id);
    stage_pay(stage, 1, id - 1);
    for (unsigned i = 1; i < 50; i++) {
        journal_store_tend(stage->store, (200 + i) * NS_PER_S);
    }
    stage_put_group(stage, id, 10, 60000);
    stage_close(stage, true);
    assert_int_equal(mount(NULL, stage->folder, NULL, MS_REMOUNT | MS_RDONLY, "size=40m"), 0);
    assert_int_equal(journal_store_open(&stage->config, &stage->store, &stage->unclean, stage->why,
                                        sizeof stage->why),
                     RESULT_FAIL);
    assert_non_null(strstr(stage->why, "Read-only"));
    return 0;
}

static void a_full_disk_fails_calls_until_there_is_room(void **state)
{
    struct journal_stage *stage = *state;
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1);  // a failed assertion ends the child
        int code = full_disk_child(stage);
        fflush(stdout);
        _exit(code);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        skip();  // the other test has limited files instead
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

// Commits groups of 1 to 6 entries for ever, and says the last id of each when it is committed.
static void commit_for_ever(struct journal_stage *stage, int fd)
{
    uint64_t id = 0;
    bool unclean = false;
    if (journal_store_open(&stage->config, &stage->store, &unclean, stage->why,
                           sizeof stage->why) != RESULT_OK) {
        _exit(3);
    }
    id = journal_store_last_id(stage->store);
    for (uint64_t round = 0;; round++) {
        uint64_t count = 1 + (id * 7 + round) % 6;
        if (journal_store_begin(stage->store) != RESULT_OK) {
            _exit(4);
        }
        for (uint64_t i = 1; i <= count; i++) {
            // What is owed says how many of the group are still to come.
            if (stage_put(stage, id + i, 200 + (id + i) * 977 % 40000,
                          UINT64_C(1) << (count - i)) != RESULT_OK) {
                _exit(5);
            }
        }
        uint64_t told[2] = {id + 1, id + count};
        if (journal_store_commit(stage->store) != RESULT_OK ||
            write(fd, told, sizeof told) != sizeof told) {
            _exit(6);
        }
        id += count;
        journal_store_tend(stage->store, round * NS_PER_S);
    }
}

// Lets the child commit until `stop` groups were reported and a little longer, then kills it.
// Returns the last id that was reported.
static uint64_t run_and_kill(struct journal_stage *stage, unsigned stop, unsigned spin)
{
    int fds[2];
    uint64_t reported = 0;
    uint64_t told[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        commit_for_ever(stage, fds[1]);
    }
    close(fds[1]);
    for (unsigned i = 0; i < stop && read(fds[0], told, sizeof told) == sizeof told; i++) {
        reported = told[1];
    }
    for (volatile unsigned i = 0; i < spin; i++) {
    }
    kill(child, SIGKILL);
    while (read(fds[0], told, sizeof told) == sizeof told) {
        reported = told[1];
    }
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return reported;
}

// Every reported entry is there, and no group is there in part: ids have no gap, and the last one
// that is there was the last of its group (bit 0).
static uint64_t check_groups(struct journal_stage *stage, uint64_t reported)
{
    struct journal_entry entry = {0};
    struct buffer body;
    stage_open(stage);
    uint64_t last = journal_store_last_id(stage->store);
    assert_true(last >= reported);
    assert_int_equal(stage_check(stage, NULL, 0), last);
    buffer_init(&body, 1 << 20);
    if (last > 0) {
        assert_int_equal(journal_store_next(stage->store, last - 1, 1, false, &entry, &body),
                         RESULT_OK);
        assert_int_equal(entry.owed, 1);
    }
    buffer_fini(&body);
    assert_int_equal(journal_store_counts(stage->store)->corrupt_records, 0);
    assert_int_equal(journal_store_counts(stage->store)->salvages, 0);
    stage_close(stage, false);
    return last;
}

static void killed_at_any_moment_what_was_committed_is_there(void **state)
{
    struct journal_stage *stage = *state;
    struct random random;
    uint64_t last = 0;
    random_seed(&random, 22);
    for (unsigned i = 0; i < KILLS; i++) {
        stage->config.fsync = i % 2 == 0;
        stage->config.size_max = 0;
        if (i % 12 == 0) {
            stage_fini(stage);
            stage_init(stage);
            last = 0;
        }
        unsigned stop = (unsigned)random_below(&random, 12);
        uint64_t reported = run_and_kill(stage, stop, (unsigned)random_below(&random, 3000000));
        last = reported > last ? reported : last;
        last = check_groups(stage, last);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flipped_bits_never_come_back),
        TEST(truncated_files_give_what_they_still_hold),
        TEST(a_salvage_keeps_the_old_file_and_counts),
        TEST(foreign_files_are_set_aside),
        TEST(an_interrupted_salvage_is_completed),
        TEST(a_folder_that_is_taken_away_is_told_and_made_again),
        TEST(a_file_size_limit_fails_calls_and_nothing_else),
        TEST(a_full_disk_fails_calls_until_there_is_room),
        TEST(killed_at_any_moment_what_was_committed_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
