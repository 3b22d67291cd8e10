// SPDX-License-Identifier: Apache-2.0
//
// The journal's store on a sound disk: what comes back, in which order, for how long, and how much
// of the disk it takes. What happens on an unsound one is in journal_store_damage_test.c.
#include "receiver/journal/journal_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/crash.h"
#include "tests/unit/journal_stage.h"

#define WALL (1000 * NS_PER_S)

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

static const struct journal_counts *counts(const struct journal_stage *stage)
{
    return journal_store_counts(stage->store);
}

static void entries_come_back_as_they_were_put_over_restarts(void **state)
{
    struct journal_stage *stage = *state;
    static const size_t lens[] = {0, 1, 100, 8000, 8192, 50000, 262143, 262144, 262145, 3000000};
    size_t count = sizeof lens / sizeof *lens;
    stage_open(stage);
    assert_false(stage->unclean);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(stage_put(stage, 10 * i + 1, lens[i], 1), RESULT_OK);
    }
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    assert_int_equal(stage_check(stage, NULL, 0), count);
    for (unsigned i = 0; i < 3; i++) {
        stage_close(stage, true);
        stage_open(stage);
        assert_false(stage->unclean);
        assert_int_equal(stage_check(stage, NULL, 0), count);
        assert_int_equal(counts(stage)->entries, count);
        assert_int_equal(journal_store_last_id(stage->store), 10 * (count - 1) + 1);
    }
    assert_int_equal(counts(stage)->corrupt_records + counts(stage)->salvages, 0);
}

static void an_entry_of_the_largest_size_fits_and_one_byte_more_does_not(void **state)
{
    struct journal_stage *stage = *state;
    size_t most = (size_t)64 << 20;
    stage_open(stage);
    stage_put_group(stage, 1, 1, most);
    assert_int_equal(stage_check(stage, NULL, 0), 1);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(stage_put(stage, 2, most + 1, 1), RESULT_TOO_LARGE);
    assert_int_equal(stage_put(stage, 2, 5, 1), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    assert_int_equal(stage_check(stage, NULL, 0), 2);
}

static void files_belong_to_nobody_else(void **state)
{
    struct journal_stage *stage = *state;
    struct stat file;
    chmod(stage->folder, 0755);
    stage_open(stage);
    stage_put_group(stage, 1, 3, 1000);
    assert_int_equal(stat(stage->folder, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0700);
    assert_int_equal(stat(stage->file, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(stat(stage->wal, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_false(stage_has(stage, "journal.db-shm"));
}

static void a_second_owner_is_refused(void **state)
{
    struct journal_stage *stage = *state;
    struct journal_store *second = NULL;
    bool unclean = false;
    char why[256] = "";
    stage_open(stage);
    assert_int_equal(journal_store_open(&stage->config, &second, &unclean, why, sizeof why),
                     RESULT_FAIL);
    assert_non_null(strstr(why, "another process has it"));
    assert_non_null(strstr(why, stage->folder));
    assert_null(second);
    stage_put_group(stage, 1, 1, 10);
}

static void a_folder_that_cannot_be_is_told(void **state)
{
    struct journal_stage *stage = *state;
    const char *const paths[] = {"/dev/null/journal", "/proc/journal", ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct journal_store_config config = {.directory = bytes_from_text(paths[i]),
                                              .create_directory = true};
        assert_int_equal(journal_store_open(&config, &stage->store, &stage->unclean, stage->why,
                                            sizeof stage->why),
                         RESULT_FAIL);
        assert_true(strstr(stage->why, paths[i]) != NULL);
    }
    struct journal_store_config config = {.directory = BYTES_LITERAL("no/such/folder")};
    assert_int_equal(
        journal_store_open(&config, &stage->store, &stage->unclean, stage->why, sizeof stage->why),
        RESULT_FAIL);
    assert_non_null(strstr(stage->why, "No such file"));
}

static void a_group_is_taken_back_whole(void **state)
{
    struct journal_stage *stage = *state;
    stage_open(stage);
    stage_put_group(stage, 1, 2, 5000);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_pay(stage->store, 1, 0), RESULT_OK);
    assert_int_equal(stage_put(stage, 3, 5000, 1), RESULT_OK);
    assert_int_equal(stage_check(stage, NULL, 0), 2);  // in the group: 2 and 3
    journal_store_rollback(stage->store);
    assert_int_equal(counts(stage)->entries, 2);
    assert_int_equal(counts(stage)->bytes, 10000);
    assert_int_equal(journal_store_last_id(stage->store), 2);
    bool seen[4] = {false};
    assert_int_equal(stage_check(stage, seen, 4), 2);
    assert_true(seen[1] && seen[2] && !seen[3]);
    journal_store_tend(stage->store, WALL);
    assert_int_equal(stage_check(stage, NULL, 0), 2);
}

static void the_last_debt_erases_and_an_open_decision_keeps(void **state)
{
    struct journal_stage *stage = *state;
    struct journal_entry entry = {
        .id = 1, .owed = 3, .open = true, .items = 1, .body = BYTES_LITERAL("body")};
    struct buffer body;
    buffer_init(&body, 1000);
    stage_open(stage);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_put(stage->store, &entry), RESULT_OK);
    assert_int_equal(journal_store_pay(stage->store, 1, 0), RESULT_OK);
    assert_int_equal(journal_store_pay(stage->store, 1, 0), RESULT_OK);
    assert_int_equal(journal_store_pay(stage->store, 1, 5), RESULT_OK);
    assert_int_equal(journal_store_pay(stage->store, 99, 1), RESULT_OK);  // nobody's
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    assert_int_equal(journal_store_next(stage->store, 0, 1, false, &entry, &body), RESULT_MISSING);
    assert_int_equal(journal_store_next(stage->store, 0, 2, false, &entry, &body), RESULT_OK);
    assert_true(entry.owed == 2 && entry.open && bytes_equal_text(entry.body, "body"));
    stage_pay(stage, 1, 1);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_pay(stage->store, 1, 1), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    assert_int_equal(journal_store_next(stage->store, 0, 2, false, &entry, &body), RESULT_MISSING);
    assert_int_equal(journal_store_next(stage->store, 0, 2, true, &entry, &body), RESULT_OK);
    assert_int_equal(counts(stage)->entries, 1);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_settle(stage->store, 1), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    assert_int_equal(counts(stage)->entries, 0);
    assert_int_equal(journal_store_next(stage->store, 0, 3, true, &entry, &body), RESULT_MISSING);
    buffer_fini(&body);
}

static unsigned crashes_of(struct journal_stage *stage, uint64_t id)
{
    struct journal_entry entry = {0};
    struct buffer body;
    buffer_init(&body, 100000);
    assert_int_equal(journal_store_next(stage->store, id - 1, 3, true, &entry, &body), RESULT_OK);
    assert_int_equal(entry.id, id);
    buffer_fini(&body);
    return entry.crashes;
}

static void unclean_exits_count_against_open_and_suspected_entries_only(void **state)
{
    struct journal_stage *stage = *state;
    struct journal_entry entry = {.owed = 1, .body = BYTES_LITERAL("body")};
    stage_open(stage);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (entry.id = 1; entry.id <= 4; entry.id++) {  // 1 open, 2 suspected, 3 neither, 4 settled
        entry.open = entry.id == 1 || entry.id == 4;
        assert_int_equal(journal_store_put(stage->store, &entry), RESULT_OK);
    }
    assert_int_equal(journal_store_suspect(stage->store, 2, true), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    stage_close(stage, true);
    stage_open(stage);
    assert_int_equal(crashes_of(stage, 1), 0);
    stage_close(stage, false);
    stage_open(stage);
    assert_true(stage->unclean);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_settle(stage->store, 4), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    stage_close(stage, false);
    stage_open(stage);
    const unsigned expected[] = {0, 2, 2, 0, 0};
    for (uint64_t id = 1; id <= 4; id++) {
        assert_int_equal(crashes_of(stage, id), expected[id]);
    }
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_suspect(stage->store, 2, false), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    stage_close(stage, false);
    stage_open(stage);
    assert_int_equal(crashes_of(stage, 2), 0);
    assert_int_equal(crashes_of(stage, 1), 3);
}

static void exporters_keep_their_bits_and_there_are_62(void **state)
{
    struct journal_stage *stage = *state;
    unsigned bit = 99;
    char name[32];
    stage_open(stage);
    for (unsigned i = 0; i < JOURNAL_EXPORTERS_MAX; i++) {
        snprintf(name, sizeof name, "otlp_http/%u", i);
        assert_int_equal(journal_store_exporter(stage->store, name, &bit), RESULT_OK);
        assert_int_equal(bit, i);
    }
    assert_int_equal(journal_store_exporter(stage->store, "one more", &bit), RESULT_TOO_LARGE);
    stage_close(stage, false);
    stage_open(stage);
    assert_int_equal(journal_store_exporter(stage->store, "otlp_http/61", &bit), RESULT_OK);
    assert_int_equal(bit, 61);
    assert_int_equal(journal_store_exporter(stage->store, "one more", &bit), RESULT_TOO_LARGE);
    assert_int_equal(journal_store_exporter(stage->store, "", &bit), RESULT_TOO_LARGE);
}

static void debts_to_forgotten_exporters_are_released_and_named(void **state)
{
    struct journal_stage *stage = *state;
    struct buffer released;
    unsigned a = 0, b = 0, c = 0;
    buffer_init(&released, 1000);
    stage_open(stage);
    assert_int_equal(journal_store_exporter(stage->store, "a", &a), RESULT_OK);
    assert_int_equal(journal_store_exporter(stage->store, "b", &b), RESULT_OK);
    assert_int_equal(journal_store_exporter(stage->store, "c", &c), RESULT_OK);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (uint64_t id = 1; id <= 3000; id++) {
        uint64_t owed = id % 2 == 0 ? UINT64_C(1) << a : UINT64_C(1) << b | UINT64_C(1) << a;
        assert_int_equal(stage_put(stage, id, 100, id == 7 ? UINT64_C(1) << b : owed), RESULT_OK);
    }
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    const char *const kept[] = {"a", "c"};
    assert_int_equal(journal_store_keep_exporters(stage->store, kept, 2, &released), RESULT_OK);
    assert_string_equal(buffer_text(&released), "b: 1500 entries, 2257500 items\n");
    assert_int_equal(counts(stage)->entries, 2999);  // one was owed to b alone
    stage_close(stage, false);
    stage_open(stage);
    assert_int_equal(stage_check(stage, NULL, 0), 2999);
    unsigned bit = 0;
    assert_int_equal(journal_store_exporter(stage->store, "new", &bit), RESULT_OK);
    assert_int_equal(bit, b);  // free again, and nobody owes it
    buffer_fini(&released);
}

struct told {
    char text[512];
};

static void tell_release(void *arg, uint32_t item_at, struct bytes edits)
{
    struct told *told = arg;
    size_t len = strlen(told->text);
    snprintf(told->text + len, sizeof told->text - len, "r%u=%.*s;", item_at, BYTES_PRINTF(edits));
}

static void tell_progress(void *arg, unsigned bit, struct bytes what)
{
    struct told *told = arg;
    size_t len = strlen(told->text);
    snprintf(told->text + len, sizeof told->text - len, "p%u=%.*s;", bit, BYTES_PRINTF(what));
}

static void history_is_told_in_order_and_the_first_release_stays(void **state)
{
    struct journal_stage *stage = *state;
    struct told told = {""};
    stage_open(stage);
    stage_put_group(stage, 1, 3, 100);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (unsigned i = 0; i < 12; i++) {
        char what[8];
        snprintf(what, sizeof what, "w%u", i);
        assert_int_equal(journal_store_progress(stage->store, 2, i % 3, bytes_from_text(what)),
                         RESULT_OK);
    }
    assert_int_equal(journal_store_release(stage->store, 2, 70, BYTES_LITERAL("x")), RESULT_OK);
    assert_int_equal(journal_store_release(stage->store, 2, 9, BYTES_NONE), RESULT_OK);
    assert_int_equal(journal_store_release(stage->store, 2, 70, BYTES_LITERAL("y")), RESULT_OK);
    assert_int_equal(journal_store_release(stage->store, 50, 1, BYTES_LITERAL("gone")), RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    stage_close(stage, false);
    stage_open(stage);
    const char *expected = "r9=;r70=x;p0=w0;p1=w1;p2=w2;p0=w3;p1=w4;p2=w5;p0=w6;p1=w7;p2=w8;"
                           "p0=w9;p1=w10;p2=w11;";
    assert_int_equal(journal_store_history(stage->store, 2, tell_release, tell_progress, &told),
                     RESULT_OK);
    assert_string_equal(told.text, expected);
    told.text[0] = '\0';
    assert_int_equal(journal_store_history(stage->store, 50, tell_release, tell_progress, &told),
                     RESULT_OK);
    assert_string_equal(told.text, "");
    stage_pay(stage, 2, 2);
    journal_store_tend(stage->store, WALL);
    assert_int_equal(journal_store_history(stage->store, 2, tell_release, tell_progress, &told),
                     RESULT_OK);
    assert_string_equal(told.text, "");
}

static void notes_have_limits(void **state)
{
    struct journal_stage *stage = *state;
    size_t len = ((size_t)16 << 20) + 1;
    uint8_t *large = calloc(1, len);
    assert_non_null(large);
    stage_open(stage);
    stage_put_group(stage, 1, 1, 100);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_progress(stage->store, 1, 0, bytes_from(large, (1 << 20) + 1)),
                     RESULT_TOO_LARGE);
    assert_int_equal(journal_store_progress(stage->store, 1, 0, bytes_from(large, 1 << 20)),
                     RESULT_OK);
    assert_int_equal(journal_store_release(stage->store, 1, 0, bytes_from(large, len)),
                     RESULT_TOO_LARGE);
    assert_int_equal(journal_store_release(stage->store, 1, 0, bytes_from(large, len - 1)),
                     RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    free(large);
}

static void count_decision(void *arg, const struct trace_id *trace_id, const struct span_id *target)
{
    assert_int_equal(trace_id->bytes[0], target->bytes[0]);
    *(unsigned *)arg += 1;
}

static unsigned decisions_of(struct journal_stage *stage)
{
    unsigned count = 0;
    assert_int_equal(journal_store_decisions(stage->store, count_decision, &count), RESULT_OK);
    return count;
}

static void decisions_are_remembered_until_they_expire(void **state)
{
    struct journal_stage *stage = *state;
    stage_open(stage);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    for (uint64_t i = 0; i < 500; i++) {
        struct trace_id trace_id = {{(uint8_t)i}};
        struct span_id target = {{(uint8_t)i}};
        assert_int_equal(journal_store_decide(stage->store, &trace_id, &target, WALL + i),
                         RESULT_OK);
    }
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    stage_close(stage, false);
    stage_open(stage);
    assert_int_equal(decisions_of(stage), 500);
    journal_store_tend(stage->store, WALL + 99);
    assert_int_equal(decisions_of(stage), 400);
    journal_store_tend(stage->store, WALL + 2 * NS_PER_S);
    journal_store_tend(stage->store, WALL + 4 * NS_PER_S);
    assert_int_equal(decisions_of(stage), 0);
}

static void old_entries_expire_and_are_counted(void **state)
{
    struct journal_stage *stage = *state;
    stage->config.max_age_ns = 50000;
    stage_open(stage);
    stage_put_group(stage, 1, 100, 100);  // received at id microseconds
    journal_store_tend(stage->store, 90000);
    assert_int_equal(counts(stage)->expired_entries, 39);
    assert_int_equal(counts(stage)->expired_items, 39 * 40 / 2 + 39 * 5);
    assert_int_equal(stage_check(stage, NULL, 0), 61);
    journal_store_tend(stage->store, 10);  // a clock that goes back expires nothing
    assert_int_equal(stage_check(stage, NULL, 0), 61);
    stage_pay(stage, 1, 5);  // gone already
    for (unsigned i = 1; i < 4; i++) {
        journal_store_tend(stage->store, i * WALL);
    }
    assert_int_equal(counts(stage)->entries, 0);
    assert_int_equal(counts(stage)->bytes, 0);
}

static void ids_are_remembered_when_everything_is_paid(void **state)
{
    struct journal_stage *stage = *state;
    stage_open(stage);
    for (uint64_t id = 1; id <= 30; id += 10) {
        stage_put_group(stage, id, 10, 1000);
        stage_pay(stage, id, id + 9);
        for (unsigned i = 1; i < 4; i++) {
            journal_store_tend(stage->store, i * WALL);
        }
        stage_close(stage, id % 20 == 1);
        stage_open(stage);
        assert_int_equal(journal_store_last_id(stage->store), id + 9);
        assert_int_equal(counts(stage)->entries, 0);
    }
}

static void paid_text_is_gone_from_the_files(void **state)
{
    struct journal_stage *stage = *state;
    const char *planted = "a sentence that must not stay on the disk for anybody to find";
    struct journal_entry entry = {.id = 2, .owed = 1};
    struct buffer text;
    buffer_init(&text, 1 << 20);
    while (text.len < 700000) {
        buffer_append_text(&text, planted);
    }
    entry.body = buffer_view(&text);
    stage_open(stage);
    stage_put_group(stage, 1, 1, 5000);
    assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
    assert_int_equal(journal_store_put(stage->store, &entry), RESULT_OK);
    assert_int_equal(journal_store_release(stage->store, 2, 1, bytes_from_text(planted)),
                     RESULT_OK);
    assert_int_equal(journal_store_progress(stage->store, 2, 1, bytes_from_text(planted)),
                     RESULT_OK);
    assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
    stage_put_group(stage, 3, 1, 5000);
    assert_true(stage_file_holds(stage, planted));
    stage_pay(stage, 2, 2);
    for (unsigned i = 0; i < 4; i++) {
        journal_store_tend(stage->store, WALL + i * 2 * NS_PER_S);
    }
    journal_store_tend(stage->store, WALL + 70 * NS_PER_S);
    assert_false(stage_file_holds(stage, planted));
    assert_int_equal(stage_check(stage, NULL, 0), 2);
    buffer_fini(&text);
}

static void a_paid_backlog_gives_the_disk_back(void **state)
{
    struct journal_stage *stage = *state;
    stage_open(stage);
    for (unsigned i = 0; i < 40; i++) {
        stage_put_group(stage, 1 + i * 10, 10, 100000);
        journal_store_tend(stage->store, WALL);
    }
    uint64_t full = stage_file_bytes(stage);
    assert_true(full > 40000000);
    stage_pay(stage, 1, 399);
    for (unsigned i = 0; i < 200; i++) {
        journal_store_tend(stage->store, WALL + i * NS_PER_S);
    }
    assert_true(stage_file_bytes(stage) < full / 10);
    assert_int_equal(counts(stage)->file_bytes, stage_file_bytes(stage));
    bool seen[401] = {false};
    assert_int_equal(stage_check(stage, seen, 401), 1);
    assert_true(seen[400]);
}

static void expect_under(const struct journal_stage *stage, uint64_t limit)
{
    uint64_t bytes = stage_file_bytes(stage);
    if (bytes > limit) {
        fail_msg("%llu bytes", (unsigned long long)bytes);
    }
    assert_true(counts(stage)->file_bytes <= limit);
}

static void the_limit_holds_after_every_call_and_refusals_leave_the_group(void **state)
{
    struct journal_stage *stage = *state;
    uint64_t limit = (uint64_t)8 << 20, id = 1, paid = 0;
    unsigned shed = 0;
    stage->config.size_max = limit;
    stage_open(stage);
    for (unsigned round = 0; round < 400; round++) {
        size_t len = round % 7 == 0 ? 300000 : 20000 + round * 13;
        assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
        for (unsigned i = 0; i < 3; i++) {
            enum result result = stage_put(stage, id, len, 1);
            assert_true(result == RESULT_OK || result == RESULT_SHED);
            id += result == RESULT_OK;
            shed += result == RESULT_SHED;
            expect_under(stage, limit);
        }
        assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
        expect_under(stage, limit);
        if (round > 200 && round % 2 == 0) {
            stage_pay(stage, paid + 1, paid + 2);
            paid += 2;
        }
        journal_store_tend(stage->store, WALL + round * NS_PER_S);
        expect_under(stage, limit);
    }
    assert_true(shed > 100);
    assert_true(id > 200);
    assert_int_equal(stage_check(stage, NULL, 0), id - 1 - paid);
    assert_int_equal(counts(stage)->failures, 0);
}

static void the_oldest_make_room(void **state)
{
    struct journal_stage *stage = *state;
    uint64_t limit = (uint64_t)10 << 20, id = 1;
    stage->config.size_max = limit;
    stage_open(stage);
    for (unsigned round = 0; round < 150; round++) {
        size_t len = round == 100 ? 3000000 : 90000;
        assert_int_equal(journal_store_begin(stage->store), RESULT_OK);
        enum result result = stage_put(stage, id, len, 1);
        if (result == RESULT_SHED) {
            result = journal_store_drop_oldest(stage->store, len);
            expect_under(stage, limit);
            assert_int_equal(result, RESULT_OK);
            result = stage_put(stage, id, len, 1);
        }
        assert_int_equal(result, RESULT_OK);
        assert_int_equal(journal_store_commit(stage->store), RESULT_OK);
        expect_under(stage, limit);
        id++;
        journal_store_tend(stage->store, WALL + round * NS_PER_S);
        expect_under(stage, limit);
    }
    bool seen[200] = {false};
    unsigned left = stage_check(stage, seen, 200);
    assert_int_equal(counts(stage)->dropped_entries, 150 - left);
    assert_true(left > 20 && counts(stage)->dropped_items > 0);
    for (uint64_t i = 150 - left + 1; i <= 150; i++) {
        assert_true(seen[i]);  // the youngest, without a gap
    }
    assert_int_equal(journal_store_drop_oldest(stage->store, limit), RESULT_SHED);
    assert_int_equal(stage_check(stage, NULL, 0), left);
}

static void quarantine_keeps_the_bytes_and_64_files(void **state)
{
    struct journal_stage *stage = *state;
    struct stat file;
    char path[128];
    stage_open(stage);
    stage_put_group(stage, 1, 70, 2000);
    for (uint64_t id = 1; id <= 70; id++) {
        assert_int_equal(journal_store_quarantine(stage->store, id), RESULT_OK);
    }
    assert_int_equal(journal_store_quarantine(stage->store, 5), RESULT_MISSING);
    assert_int_equal(journal_store_quarantine(stage->store, 500), RESULT_MISSING);
    assert_int_equal(counts(stage)->entries, 0);
    assert_false(stage_has(stage, "quarantine/6.otlp"));
    assert_true(stage_has(stage, "quarantine/7.otlp"));
    snprintf(path, sizeof path, "%s/quarantine/70.otlp", stage->folder);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(file.st_size, 2000);
}

static void what_was_set_aside_goes_at_max_age_as_well(void **state)
{
    struct journal_stage *stage = *state;
    const uint64_t hour_ns = 3600 * NS_PER_S;
    char path[128];
    stage->config.max_age_ns = 24 * hour_ns;
    stage_open(stage);
    stage_put_group(stage, 1, 1, 500);  // received in the first second of all
    assert_int_equal(journal_store_quarantine(stage->store, 1), RESULT_OK);
    snprintf(path, sizeof path, "%s/journal.db.corrupt", stage->folder);
    FILE *kept = fopen(path, "wb");
    assert_non_null(kept);
    assert_int_equal(fclose(kept), 0);
    journal_store_tend(stage->store, 12 * hour_ns);
    assert_true(stage_has(stage, "quarantine/1.otlp"));
    journal_store_tend(stage->store, 25 * hour_ns);
    assert_false(stage_has(stage, "quarantine/1.otlp"));
    assert_true(stage_has(stage, "journal.db.corrupt"));
    journal_store_tend(stage->store, clock_wall_ns() + 25 * hour_ns);
    assert_false(stage_has(stage, "journal.db.corrupt"));
}

static void put_outside_of_a_group(void *arg)
{
    (void)!stage_put(arg, 1, 10, 1);
}

static void put_twice(void *arg)
{
    struct journal_stage *stage = arg;
    (void)!journal_store_begin(stage->store);
    (void)!stage_put(stage, 1, 10, 1);
    (void)!stage_put(stage, 1, 10, 1);
}

static void programmers_errors_crash(void **state)
{
    struct journal_stage *stage = *state;
    stage_open(stage);
    assert_true(crashes(put_outside_of_a_group, stage));
    assert_true(crashes(put_twice, stage));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_come_back_as_they_were_put_over_restarts),
        TEST(an_entry_of_the_largest_size_fits_and_one_byte_more_does_not),
        TEST(files_belong_to_nobody_else),
        TEST(a_second_owner_is_refused),
        TEST(a_folder_that_cannot_be_is_told),
        TEST(a_group_is_taken_back_whole),
        TEST(the_last_debt_erases_and_an_open_decision_keeps),
        TEST(unclean_exits_count_against_open_and_suspected_entries_only),
        TEST(exporters_keep_their_bits_and_there_are_62),
        TEST(debts_to_forgotten_exporters_are_released_and_named),
        TEST(history_is_told_in_order_and_the_first_release_stays),
        TEST(notes_have_limits),
        TEST(decisions_are_remembered_until_they_expire),
        TEST(old_entries_expire_and_are_counted),
        TEST(ids_are_remembered_when_everything_is_paid),
        TEST(paid_text_is_gone_from_the_files),
        TEST(a_paid_backlog_gives_the_disk_back),
        TEST(the_limit_holds_after_every_call_and_refusals_leave_the_group),
        TEST(the_oldest_make_room),
        TEST(quarantine_keeps_the_bytes_and_64_files),
        TEST(what_was_set_aside_goes_at_max_age_as_well),
        TEST(programmers_errors_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
