// SPDX-License-Identifier: Apache-2.0
/*
 * What the journal costs beside the least that durability can cost: a bare loop of append, CRC32C
 * and fdatasync of the same records in the same commits. 50 KB commits of 1 to 8 records at 10 MB/s
 * (200 commits a second; the pauses cost no CPU and are left out), rounds interleaved, medians of
 * user + system time of this process. Then how long a commit takes against one fdatasync, and how
 * long a journal of 256 MiB takes to open. Argument: a folder on the disk in question (default: the
 * working directory).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "receiver/journal/journal_store.h"

enum {
    ROUNDS = 7,
    COMMITS = 400,  // of a round
    COMMIT_BYTES = 50000,
    BACKLOG = 200,  // commits between a record's put and its payment
};

static uint8_t bytes[2 * COMMIT_BYTES];
static uint64_t latencies[2][ROUNDS * COMMITS];  // bare, store
static uint64_t syncs[ROUNDS * COMMITS];         // fdatasync alone

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t at_share(uint64_t *values, size_t count, double share)
{
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)((double)(count - 1) * share)];
}

// The records of a commit: 50 KB in all, in 1 to 8 parts.
static unsigned records_of(uint64_t commit, size_t lens[8])
{
    struct random random;
    random_seed(&random, commit);
    unsigned count = 1 + (unsigned)random_below(&random, 8);
    size_t left = COMMIT_BYTES;
    for (unsigned i = 0; i + 1 < count; i++) {
        lens[i] = 200 + random_below(&random, 2 * left / (count - i) - 400);
        left -= lens[i];
    }
    lens[count - 1] = left;
    return count;
}

struct bare {
    int fd;
    uint64_t at;
};

static void bare_commit(struct bare *bare, uint64_t commit)
{
    size_t lens[8];
    unsigned count = records_of(commit, lens);
    for (unsigned i = 0; i < count; i++) {
        struct bytes record = bytes_from(bytes + commit % COMMIT_BYTES, lens[i]);
        uint64_t head[3] = {commit, lens[i], hash_crc32c(0, record)};
        struct iovec parts[2] = {{head, sizeof head}, {(void *)(uintptr_t)record.ptr, lens[i]}};
        CHECK(pwritev(bare->fd, parts, 2, (off_t)bare->at) == (ssize_t)(sizeof head + lens[i]));
        bare->at += sizeof head + lens[i];
    }
}

static uint64_t bare_round(struct bare *bare, unsigned round, uint64_t *commit)
{
    uint64_t start = clock_process_cpu_ns();
    for (unsigned i = 0; i < COMMITS; i++) {
        uint64_t begun = clock_mono_ns();
        bare_commit(bare, *commit + i);
        uint64_t written = clock_mono_ns();
        CHECK(fdatasync(bare->fd) == 0);
        uint64_t end = clock_mono_ns();
        latencies[0][round * COMMITS + i] = end - begun;
        syncs[round * COMMITS + i] = end - written;
    }
    return clock_process_cpu_ns() - start;
}

struct subject {
    struct journal_store *store;
    bool pays;
    uint64_t id, paid;
    uint64_t firsts[BACKLOG + 1];  // ids with which the last commits began
    uint64_t commits;
};

static void subject_pay(struct subject *subject)
{
    uint64_t *first = &subject->firsts[subject->commits % (BACKLOG + 1)];
    for (; subject->pays && subject->commits > BACKLOG && subject->paid < *first; subject->paid++) {
        CHECK(journal_store_pay(subject->store, subject->paid, 0) == RESULT_OK);
    }
    *first = subject->id;
}

static uint64_t subject_round(struct subject *subject, unsigned round, uint64_t commit)
{
    uint64_t start = clock_process_cpu_ns();
    for (unsigned i = 0; i < COMMITS; i++) {
        size_t lens[8];
        uint64_t begun = clock_mono_ns();
        uint64_t wall_ns = clock_wall_ns();
        CHECK(journal_store_begin(subject->store) == RESULT_OK);
        subject_pay(subject);
        unsigned count = records_of(commit + i, lens);
        for (unsigned k = 0; k < count; k++) {
            struct journal_entry entry = {
                .id = ++subject->id,
                .owed = 1,
                .items = 1,
                .received_wall_ns = wall_ns,
                .route = BYTES_LITERAL("otlp"),
                .body = bytes_from(bytes + (commit + i) % COMMIT_BYTES, lens[k])};
            CHECK(journal_store_put(subject->store, &entry) == RESULT_OK);
        }
        CHECK(journal_store_commit(subject->store) == RESULT_OK);
        latencies[1][round * COMMITS + i] = clock_mono_ns() - begun;
        subject->commits++;
        journal_store_tend(subject->store, wall_ns);
    }
    return clock_process_cpu_ns() - start;
}

static void remove_store(const char *folder)
{
    static const char *const names[] = {"journal.db", "journal.db-wal"};
    char path[512];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void open_store(const char *folder, struct subject *subject)
{
    struct journal_store_config config = {
        .directory = bytes_from_text(folder), .create_directory = true, .fsync = true};
    char why[512] = "";
    bool unclean = false;
    if (journal_store_open(&config, &subject->store, &unclean, why, sizeof why) != RESULT_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    subject->id = journal_store_last_id(subject->store);
}

static void compare_lines(const char *name, const char *folder, bool pays)
{
    struct bare bare = {.fd = open("journal_bench.bare", O_CREAT | O_RDWR | O_TRUNC, 0600)};
    struct subject subject = {.pays = pays, .paid = 1};
    uint64_t spent[2][ROUNDS];
    uint64_t commit = 0;
    CHECK(bare.fd >= 0);
    remove_store(folder);
    open_store(folder, &subject);
    for (unsigned round = 0; round < ROUNDS; round++, commit += COMMITS) {
        spent[0][round] = bare_round(&bare, round, &commit);
        spent[1][round] = subject_round(&subject, round, commit);
    }
    double each[2];
    for (unsigned i = 0; i < 2; i++) {
        each[i] = (double)at_share(spent[i], ROUNDS, 0.5) / COMMITS / 1000;
    }
    size_t count = (size_t)ROUNDS * COMMITS;
    double sync = (double)at_share(syncs, count, 0.99) / 1e6;
    double late = (double)at_share(latencies[1], count, 0.99) / 1e6;
    printf("journal_%s_bare_cpu %.1f us/commit\n", name, each[0]);
    printf("journal_%s_cpu %.1f us/commit\n", name, each[1]);
    printf("journal_%s_cpu_ratio %.2f x (to reach: 1.70)\n", name, each[1] / each[0]);
    printf("journal_%s_fdatasync_p50 %.2f ms\n", name, (double)at_share(syncs, count, 0.5) / 1e6);
    printf("journal_%s_fdatasync_p99 %.2f ms\n", name, sync);
    printf("journal_%s_commit_p50 %.2f ms\n", name,
           (double)at_share(latencies[1], count, 0.5) / 1e6);
    printf("journal_%s_commit_p99 %.2f ms\n", name, late);
    printf("journal_%s_commit_p99_ratio %.2f x fdatasync p99 (to reach: 5)\n", name, late / sync);
    journal_store_close(&subject.store, true);
    remove_store(folder);
    close(bare.fd);
    (void)unlink("journal_bench.bare");
}

static void open_line(const char *folder)
{
    struct subject subject = {.pays = false};
    uint64_t times[ROUNDS];
    open_store(folder, &subject);
    while (journal_store_counts(subject.store)->bytes < (UINT64_C(256) << 20)) {
        (void)subject_round(&subject, 0, subject.commits);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        journal_store_close(&subject.store, i % 2 == 0);
        uint64_t start = clock_mono_ns();
        open_store(folder, &subject);
        times[i] = clock_mono_ns() - start;
    }
    printf("journal_open_256_mib %.1f ms (to reach: 100)\n",
           (double)at_share(times, ROUNDS, 0.5) / 1e6);
    printf("journal_open_256_mib_worst %.1f ms\n", (double)times[ROUNDS - 1] / 1e6);
    journal_store_close(&subject.store, true);
    remove_store(folder);
}

int main(int argc, char **argv)
{
    struct random random;
    CHECK(argc < 2 || chdir(argv[1]) == 0);
    random_seed(&random, 1);
    random_fill(&random, bytes, sizeof bytes);
    compare_lines("put", "journal_bench.store", false);
    compare_lines("put_and_pay", "journal_bench.store", true);
    open_line("journal_bench.store");
    return 0;
}
