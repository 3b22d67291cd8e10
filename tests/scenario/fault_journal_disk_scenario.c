// SPDX-License-Identifier: Apache-2.0
//
// The disk below the journal: full, limited, read-only, gone, cut, flipped, somebody else's; and
// the journal's own limits. Agents hear nothing of it unless they are to; what was acknowledged
// while it was well, and what is only in memory, arrives. Where files are damaged the oracle knows
// that entries may be gone, and nothing may be changed or in two versions. Refused: a file system
// in user space, for which the kernel's own limits are enough. Bounds: those of the harness. One
// thread.
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/scenario/journal_rig.h"

#define FLIPS 20
#define MOUNT_SHELL "unshare", "-rm", "sh", "-c"

static void path_of(const struct journal_rig *rig, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", rig->directory, name);
}

static bool is_there(const struct journal_rig *rig, const char *name)
{
    char path[256];
    struct stat there;
    path_of(rig, name, path);
    return stat(path, &there) == 0;
}

static void it_is_well(struct journal_rig *rig)
{
    assert_int_equal(harness_get(rig->harness, rig->harness->health_port, "/").status, 200);
    assert_int_equal(journal_rig_post(rig, 5), 200);
    oracle_await(rig->oracle, rig->harness, JOURNAL_FIRST);
    oracle_holds(rig->oracle, JOURNAL_FIRST, UINT_MAX);
    harness_stop(rig->harness);
}

// Posts until the program has said `text`, at most so often; how many were refused.
static unsigned post_until_said(struct journal_rig *rig, const char *text, unsigned most)
{
    unsigned refused = 0;
    for (unsigned i = 0; i < most && !harness_said(rig->harness, text); i++) {
        int status = journal_rig_post(rig, 20);  // small: queues have room for all
        assert_true(status == 200 || status == 503);
        refused += status == 503;
    }
    harness_wait_said(rig->harness, text);
    return refused;
}

// --- disks that fail ---

static bool mounts_are_allowed(void)
{
    static const char *const words[] = {"unshare", "-rm", "true", NULL};
    int status = 1;
    pid_t pid = 0;
    bool are =
        posix_spawnp(&pid, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ) == 0 &&
        waitpid(pid, &status, 0) == pid && status == 0;
    if (!are) {
        print_message("left out: the kernel lets no namespace of mounts be made here\n");
    }
    return are;
}

// Behind `options` of a tmpfs on the journal's directory.
static void wrap_in_tmpfs(struct journal_rig *rig, const char *options)
{
    static char mount[512];
    static const char *const wrapper[] = {MOUNT_SHELL, mount, NULL};
    CHECK(mkdir(rig->directory, 0700) == 0);
    snprintf(mount, sizeof(mount), "mount -t tmpfs -o %s none %s && exec \"$0\" \"$@\"", options,
             rig->directory);
    rig->harness->wrapper = wrapper;
}

// Fills what is left of the disk, seen by the way of the process's own mounts, or empties it again.
static void fill(const struct journal_rig *rig, bool is_full)
{
    static const uint8_t zeros[4096];
    char path[320];
    snprintf(path, sizeof(path), "/proc/%d/root%s/ballast", (int)rig->harness->pid, rig->directory);
    if (!is_full) {
        CHECK(unlink(path) == 0);
        return;
    }
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0) {
    }
    close(fd);
}

static void disk_that_is_full_is_not_the_agents_trouble(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ", max_size: 0"};
    if (!mounts_are_allowed()) {
        skip();
    }
    wrap_in_tmpfs(rig, "size=8m");
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    assert_int_equal(journal_rig_post(rig, 10), 200);
    fill(rig, true);
    assert_int_equal(post_until_said(rig, "requests are taken in memory until it can", 1000), 0);
    assert_int_equal(journal_rig_post(rig, 10), 200);
    fill(rig, false);
    harness_wait_said(rig->harness, "the journal can be written again");
    journal_rig_up(rig);
    it_is_well(rig);
}

static void disk_that_is_full_refuses_when_told_to(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ", max_size: 0, on_error: reject"};
    if (!mounts_are_allowed()) {
        skip();
    }
    wrap_in_tmpfs(rig, "size=8m");
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    assert_int_equal(journal_rig_post(rig, 10), 200);
    fill(rig, true);
    assert_true(post_until_said(rig, "requests are refused until it can", 200) >= 1);
    fill(rig, false);
    harness_wait_said(rig->harness, "the journal can be written again");
    journal_rig_up(rig);
    it_is_well(rig);
}

static void file_that_may_not_grow(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    const struct rlimit limit = {(rlim_t)1 << 20, (rlim_t)1 << 20};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    CHECK(prlimit(rig->harness->pid, RLIMIT_FSIZE, &limit, NULL) == 0);
    assert_int_equal(post_until_said(rig, "the journal cannot be written", 1000), 0);
    journal_rig_up(rig);
    it_is_well(rig);
}

static void directory_that_is_read_only(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    if (!mounts_are_allowed()) {
        skip();
    }
    wrap_in_tmpfs(rig, "ro");
    journal_rig_start(rig, &setup);
    assert_true(harness_said(rig->harness, "requests are taken in memory"));
    it_is_well(rig);
}

static void directory_that_is_removed(void **state)
{
    static const char *const names[] = {"journal.db", "journal.db-wal"};
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    char path[256];
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    assert_int_equal(journal_rig_post(rig, 10), 200);
    for (size_t i = 0; i < 2; i++) {
        path_of(rig, names[i], path);
        (void)unlink(path);
    }
    CHECK(rmdir(rig->directory) == 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(journal_rig_post(rig, 10), 200);
    }
    journal_rig_up(rig);
    it_is_well(rig);
}

static void directory_that_another_process_has(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    CHECK(mkdir(rig->directory, 0700) == 0);
    int fd = open(rig->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    journal_rig_start(rig, &setup);
    assert_true(harness_said(rig->harness, "requests are taken in memory"));
    it_is_well(rig);
    close(fd);
}

// --- files that are damaged ---

// Leaves a journal behind that owes what was sent; the oracle excuses all of it.
static void leave_debts(struct journal_rig *rig, const struct journal_setup *setup)
{
    journal_rig_down(rig);
    journal_rig_start(rig, setup);
    for (unsigned i = 0; i < 8; i++) {
        struct buffer request;
        harness_agents(&request, rig->number, 5);
        rig->number += 5;
        assert_int_equal(oracle_post(rig->oracle, rig->harness, buffer_view(&request)), 200);
        oracle_excuse(rig->oracle, buffer_view(&request));
        buffer_fini(&request);
    }
    journal_rig_kill(rig);
    journal_rig_up(rig);
}

static off_t size_of(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 ? there.st_size : 0;
}

static void flip(struct journal_rig *rig, const char *name)
{
    char path[256];
    uint8_t byte = 0;
    path_of(rig, name, path);
    off_t size = size_of(path);
    if (size == 0) {
        return;
    }
    off_t at = (off_t)random_below(&rig->random, (uint64_t)size);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte = (uint8_t)(byte ^ 1U << random_below(&rig->random, 8));
    CHECK(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

static void bits_that_flip(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    unsigned before = 0;
    for (unsigned i = 0; i < FLIPS; i++) {
        leave_debts(rig, &setup);
        flip(rig, i % 2 == 0 ? "journal.db-wal" : "journal.db");
        journal_rig_start(rig, &setup);
        it_is_well(rig);
        before += 45;
    }
    struct oracle_report report = oracle_report(rig->oracle, JOURNAL_FIRST);
    print_message("%u of %u spans came back after %u flips\n", report.arrived, before, FLIPS);
}

static void file_that_is_cut(void **state)
{
    static const char *const names[] = {"journal.db", "journal.db-wal"};
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    char path[256];
    for (unsigned i = 0; i < 4; i++) {
        leave_debts(rig, &setup);
        path_of(rig, names[i % 2], path);
        CHECK(truncate(path, size_of(path) * (i < 2 ? 1 : 3) / 4) == 0);
        journal_rig_start(rig, &setup);
        it_is_well(rig);
    }
}

static void file_that_is_garbage_is_kept_and_replaced(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    char path[256];
    leave_debts(rig, &setup);
    path_of(rig, "journal.db", path);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("this is no database, whatever its name says", file) >= 0 &&
          fclose(file) == 0);
    journal_rig_start(rig, &setup);
    assert_true(is_there(rig, "journal.db.corrupt"));
    it_is_well(rig);
}

// --- limits of its own ---

static void full_journal_refuses_until_the_backend_is_back(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ", max_size: 4MiB"};
    int status = 200;
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    for (unsigned i = 0; i < 200 && status == 200; i++) {
        status = journal_rig_post(rig, 100);
    }
    assert_int_equal(status, 503);
    journal_rig_up(rig);
    journal_rig_await(rig, JOURNAL_FIRST);
    uint64_t give_up_ns = clock_mono_ns() + HARNESS_PATIENCE_S * NS_PER_S;
    while (journal_rig_post(rig, 100) != 200 && clock_mono_ns() < give_up_ns) {
        harness_turn(rig->harness, 20);
    }
    assert_true(harness_metric(rig->harness, "sidejudge_journal_file_bytes", "") <= 4 << 20);
    it_is_well(rig);
}

static void full_journal_drops_the_oldest_when_told_to(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {
        .storage = ", max_size: 4MiB, policy: drop_oldest",
        .queue = ", sizer: bytes, queue_size: 200000, batch: {flush_timeout: 10ms}"};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    for (unsigned i = 0; i < 150; i++) {
        struct buffer request;
        harness_agents(&request, rig->number, 100);
        rig->number += 100;
        assert_int_equal(oracle_post(rig->oracle, rig->harness, buffer_view(&request)), 200);
        oracle_excuse(rig->oracle, buffer_view(&request));
        buffer_fini(&request);
    }
    const char *name = "sidejudge_journal_dropped_items_total";
    (void)journal_rig_await_metric(rig, name, "", 1, 1e9);
    assert_true(harness_metric(rig->harness, "sidejudge_journal_file_bytes", "") <= 4 << 20);
    journal_rig_up(rig);
    journal_rig_await_empty(rig);
    double dropped = harness_metric(rig->harness, name, "");
    struct oracle_report report = oracle_report(rig->oracle, JOURNAL_FIRST);
    print_message("%u of 15000 arrived, %.0f counted as dropped\n", report.arrived, dropped);
    assert_true(report.arrived + dropped >= 15000);
    it_is_well(rig);
}

static void what_is_too_old_is_erased_and_counted(void **state)
{
    struct journal_rig *rig = *state;
    struct buffer request;
    const struct journal_setup setup = {.storage = ", max_age: 1s"};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    harness_agents(&request, rig->number, 20);
    rig->number += 20;
    assert_int_equal(oracle_post(rig->oracle, rig->harness, buffer_view(&request)), 200);
    oracle_excuse(rig->oracle, buffer_view(&request));
    buffer_fini(&request);
    journal_rig_await_metric(rig, "sidejudge_journal_expired_items_total", "", 20, 1e9);
    journal_rig_await_empty(rig);
    journal_rig_up(rig);
    it_is_well(rig);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, journal_rig_setup, journal_rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(disk_that_is_full_is_not_the_agents_trouble),
        CASE(disk_that_is_full_refuses_when_told_to),
        CASE(file_that_may_not_grow),
        CASE(directory_that_is_read_only),
        CASE(directory_that_is_removed),
        CASE(directory_that_another_process_has),
        CASE(bits_that_flip),
        CASE(file_that_is_cut),
        CASE(file_that_is_garbage_is_kept_and_replaced),
        CASE(full_journal_refuses_until_the_backend_is_back),
        CASE(full_journal_drops_the_oldest_when_told_to),
        CASE(what_is_too_old_is_erased_and_counted),
    };
    return cmocka_run_group_tests_name("fault_journal_disk", tests, NULL, NULL);
}
