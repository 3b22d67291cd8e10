// SPDX-License-Identifier: Apache-2.0
//
// Exporters side by side on one journal: what one cannot take is kept for it, on disk when its
// queue is small, and none of it is the other's concern; what an exporter without storage misses is
// counted; an exporter that is gone is owed nothing. Refused: simulated queues, which would leave
// out the way by the disk. Bounds: those of the harness. One thread.
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/scenario/journal_rig.h"

#define SMALL ", sizer: bytes, queue_size: 60000, batch: {flush_timeout: 10ms}"
#define BACKLOG "sidejudge_journal_backlog_entries"

static void post_many(struct journal_rig *rig, unsigned requests, unsigned agents)
{
    for (unsigned i = 0; i < requests; i++) {
        assert_int_equal(journal_rig_post(rig, agents), 200);
    }
}

static void outage_of_one_backend_waits_on_disk(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {
        .queue = SMALL, .second = "storage: file_storage, batch: {flush_timeout: 10ms}"};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    post_many(rig, 100, 10);
    oracle_await(rig->oracle, rig->harness, JOURNAL_SECOND);
    double most = journal_rig_await_metric(rig, BACKLOG, "first", 10, 1e9);
    assert_int_equal((int)harness_metric(rig->harness, BACKLOG, "second"), 0);
    journal_rig_up(rig);
    journal_rig_await(rig, JOURNAL_FIRST);
    journal_rig_await_metric(rig, BACKLOG, "first", 0, 0);
    print_message("%.0f entries waited on disk\n", most);
    oracle_holds(rig->oracle, JOURNAL_FIRST, 0);
    oracle_holds(rig->oracle, JOURNAL_SECOND, 0);
    post_many(rig, 1, 5);  // by memory again
    journal_rig_await(rig, JOURNAL_FIRST);
    harness_stop(rig->harness);
}

static void outage_outlives_the_process(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {
        .queue = SMALL, .second = "storage: file_storage, batch: {flush_timeout: 10ms}"};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    post_many(rig, 60, 10);
    oracle_await(rig->oracle, rig->harness, JOURNAL_SECOND);
    journal_rig_kill(rig);
    journal_rig_start(rig, &setup);
    post_many(rig, 20, 10);  // the other is not kept waiting by what the first one cannot take
    oracle_await(rig->oracle, rig->harness, JOURNAL_SECOND);
    journal_rig_up(rig);
    journal_rig_await(rig, JOURNAL_FIRST);
    oracle_holds(rig->oracle, JOURNAL_FIRST, 0);
    oracle_holds(rig->oracle, JOURNAL_SECOND, 600);
    harness_stop(rig->harness);
}

static void exporter_without_storage_says_what_it_missed(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.second = SMALL + 2};
    faulty_backend_down(rig->second);
    journal_rig_start(rig, &setup);
    post_many(rig, 60, 10);
    journal_rig_await(rig, JOURNAL_FIRST);
    double missed = harness_metric(rig->harness, "otelcol_exporter_enqueue_failed_spans", "second");
    faulty_backend_up(rig->second);
    assert_true(missed > 0);
    // All but what was counted arrives.
    uint64_t give_up_ns = clock_mono_ns() + HARNESS_PATIENCE_S * NS_PER_S;
    while (oracle_report(rig->oracle, JOURNAL_SECOND).missing > (unsigned)missed &&
           clock_mono_ns() < give_up_ns) {
        harness_turn(rig->harness, 10);
    }
    assert_int_equal(oracle_report(rig->oracle, JOURNAL_SECOND).missing, (unsigned)missed);
    print_message("%.0f of 600 missed\n", missed);
    oracle_holds(rig->oracle, JOURNAL_FIRST, 0);
    harness_stop(rig->harness);
}

static void exporter_that_is_gone_is_owed_nothing(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup both = {.second = "storage: file_storage"};
    const struct journal_setup one = {.storage = ""};
    journal_rig_down(rig);
    faulty_backend_down(rig->second);
    journal_rig_start(rig, &both);
    post_many(rig, 10, 10);
    harness_stop(rig->harness);
    journal_rig_up(rig);
    journal_rig_start(rig, &one);
    harness_wait_said(rig->harness,
                      "debts to exporters that are not configured any more are released");
    assert_true(harness_said(rig->harness, "otlp_http/second: 10 entries, 100 items"));
    journal_rig_await(rig, JOURNAL_FIRST);
    oracle_holds(rig->oracle, JOURNAL_FIRST, 0);
    harness_stop(rig->harness);
    faulty_backend_up(rig->second);
}

// Without a storage 300 s, with one for ever; what stands in the file is obeyed.
static void pasted_max_elapsed_time_is_obeyed(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.retry = ", max_elapsed_time: 1s"};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    post_many(rig, 5, 10);
    journal_rig_await_metric(rig, "otelcol_exporter_send_failed_spans", "first", 50, 50);
    journal_rig_await_empty(rig);
    harness_stop(rig->harness);
    journal_rig_up(rig);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, journal_rig_setup, journal_rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(outage_of_one_backend_waits_on_disk),
        CASE(outage_outlives_the_process),
        CASE(exporter_without_storage_says_what_it_missed),
        CASE(exporter_that_is_gone_is_owed_nothing),
        CASE(pasted_max_elapsed_time_is_obeyed),
    };
    return cmocka_run_group_tests_name("fault_journal_exporter", tests, NULL, NULL);
}
