// SPDX-License-Identifier: Apache-2.0
//
// Death of the process: at any moment, while it replays, while it drains, while targets are held,
// and again and again on one and the same span. The directory and the backends stay; the oracle
// looks over the whole history. Refused: faults inside the process, which the kernel does better.
// Bounds: SIDEJUDGE_KILLS kills (60), those of the harness. One thread.
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

#define KILLS 60            // without SIDEJUDGE_KILLS in the environment
#define DUPLICATES_MAX 600  // spans of a kill: what one commit window holds at most

static unsigned number_of(const char *variable, unsigned fallback)
{
    const char *text = getenv(variable);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

// --- kill -9 ---

static const struct faulty_answer moods[] = {
    {.status = 503, .body = "later"}, {.status = 429, .headers = "Retry-After: 1\r\n"},
    {.how = FAULTY_RESETS},           {.how = FAULTY_CUT, .keeps = true},
    {.how = FAULTY_SILENT},
};

// The backend is well half of the time.
static void change_mood(struct journal_rig *rig)
{
    unsigned mood = (unsigned)random_below(&rig->random, 12);
    journal_rig_up(rig);
    if (mood < sizeof(moods) / sizeof(moods[0])) {
        faulty_backend_behave(rig->first, &moods[mood], 0);
    } else {
        faulty_backend_behave(rig->first, NULL, 0);
        if (mood == 5) {
            journal_rig_down(rig);
        }
    }
}

static void is_well_in_the_end(struct journal_rig *rig, const struct journal_setup *setup,
                               unsigned kills)
{
    journal_rig_up(rig);
    faulty_backend_behave(rig->first, NULL, 0);
    if (rig->harness->pid == 0) {
        journal_rig_start(rig, setup);
        harness_wait_said(rig->harness, "replay is done");
    }
    unsigned aside = journal_rig_excuse_quarantined(rig);
    journal_rig_await(rig, JOURNAL_FIRST);
    harness_stop(rig->harness);
    struct oracle_report report = oracle_report(rig->oracle, JOURNAL_FIRST);
    print_message("%u kills: %u requests acknowledged, %u refused, %u unanswered; %u spans sent, "
                  "%u acknowledged, %u arrived, %u duplicates, %u own, %u entries "
                  "in quarantine\n",
                  kills, rig->acknowledged, rig->refused, rig->unanswered, report.sent,
                  report.acknowledged, report.arrived, report.duplicates, report.own, aside);
    oracle_holds(rig->oracle, JOURNAL_FIRST, kills * DUPLICATES_MAX);
}

static void killed_at_any_moment(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    unsigned kills = number_of("SIDEJUDGE_KILLS", KILLS);
    unsigned seed = number_of("SIDEJUDGE_SEED", 1);
    uint64_t began_ns = clock_mono_ns();
    random_seed(&rig->random, seed);
    for (unsigned i = 0; i < kills; i++) {
        change_mood(rig);
        journal_rig_start(rig, &setup);
        unsigned ms = (unsigned)random_below(&rig->random, 400);
        journal_rig_traffic(rig, ms / 2);
        change_mood(rig);
        journal_rig_traffic(rig, ms - ms / 2);
        journal_rig_kill(rig);
    }
    print_message("seed %u, %.1f s\n", seed, (double)(clock_mono_ns() - began_ns) / 1e9);
    is_well_in_the_end(rig, &setup, kills);
}

// --- kills where it hurts ---

static void killed_while_it_replays(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    for (unsigned i = 0; i < 12; i++) {  // a fourth exit in a row may set an entry aside
        if (i % 3 == 0) {
            journal_rig_up(rig);
            journal_rig_start(rig, &setup);
            journal_rig_await(rig, JOURNAL_FIRST);
            journal_rig_down(rig);
            journal_rig_traffic(rig, 200);
        } else {
            journal_rig_start(rig, &setup);
            harness_turn(rig->harness, (unsigned)random_below(&rig->random, 40));
        }
        journal_rig_kill(rig);
    }
    is_well_in_the_end(rig, &setup, 12);
}

static void killed_while_it_drains(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    for (unsigned i = 0; i < 6; i++) {
        change_mood(rig);
        journal_rig_start(rig, &setup);
        journal_rig_traffic(rig, 150);
        harness_signal(rig->harness, SIGTERM);
        journal_rig_traffic(rig, (unsigned)random_below(&rig->random, 60));
        harness_signal(rig->harness, SIGKILL);
        int status = harness_wait_end(rig->harness);
        assert_true(status == 0 || status == 128 + SIGKILL);
        journal_rig_settle(rig);
    }
    is_well_in_the_end(rig, &setup, 6);
}

static void killed_twice_while_targets_are_held(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    journal_rig_start(rig, &setup);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(journal_rig_post(rig, 10), 200);
    }
    journal_rig_kill(rig);
    journal_rig_start(rig, &setup);
    harness_turn(rig->harness, 40);
    journal_rig_kill(rig);
    is_well_in_the_end(rig, &setup, 2);
}

// --- ends ---

// Two seconds from SIGTERM on, while agents go on sending and the backend keeps requests waiting.
static void told_to_end_under_load(void **state)
{
    static const struct faulty_answer silent = {.how = FAULTY_SILENT};
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    journal_rig_start(rig, &setup);
    journal_rig_traffic(rig, 200);
    faulty_backend_behave(rig->first, &silent, 0);
    journal_rig_traffic(rig, 200);
    uint64_t began_ns = clock_mono_ns();
    harness_signal(rig->harness, SIGTERM);
    journal_rig_traffic(rig, 20);
    assert_int_equal(harness_wait_end(rig->harness), 0);
    print_message("ended %.2f s after SIGTERM\n", (double)(clock_mono_ns() - began_ns) / 1e9);
    harness_sanitizers_are_silent(rig->harness);
    journal_rig_settle(rig);
    is_well_in_the_end(rig, &setup, 1);
}

static void told_to_end_while_the_backend_is_down(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(journal_rig_post(rig, 1 + i), 200);
    }
    harness_stop(rig->harness);
    is_well_in_the_end(rig, &setup, 0);
    assert_int_equal(oracle_report(rig->oracle, JOURNAL_FIRST).duplicates, 0);
}

static void reloaded_while_the_backend_is_down(void **state)
{
    struct journal_rig *rig = *state;
    const struct journal_setup before = {.storage = ""};
    const struct journal_setup after = {.queue = ", batch: {flush_timeout: 20ms}"};
    journal_rig_down(rig);
    journal_rig_start(rig, &before);
    journal_rig_traffic(rig, 200);
    (void)journal_rig_configure(rig, &after);
    harness_signal(rig->harness, SIGHUP);
    harness_wait_said(rig->harness, "the new configuration is in force");
    journal_rig_traffic(rig, 100);
    journal_rig_settle(rig);
    is_well_in_the_end(rig, &after, 0);
}

// --- one span that ends the process ---

static void start_and_die(struct journal_rig *rig, const struct journal_setup *setup)
{
    journal_rig_launch(rig, setup);
    assert_int_equal(harness_wait_end(rig->harness), 128 + SIGABRT);
}

static void span_that_aborts_goes_straight_to_its_exporter(void **state)
{
    struct journal_rig *rig = *state;
    struct buffer request;
    const struct journal_setup setup = {.processors =
                                            "sidejudge_test: {abort_name: poison, delay: 200ms},",
                                        .chain = "sidejudge_test"};
    journal_rig_start(rig, &setup);
    harness_span(&request, rig->number++, "poison");
    assert_int_equal(oracle_post(rig->oracle, rig->harness, buffer_view(&request)), 200);
    buffer_fini(&request);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(journal_rig_post(rig, 5), 200);
    }
    assert_int_equal(harness_wait_end(rig->harness), 128 + SIGABRT);
    start_and_die(rig, &setup);
    is_well_in_the_end(rig, &setup, 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, journal_rig_setup, journal_rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(killed_at_any_moment),
        CASE(killed_while_it_replays),
        CASE(killed_while_it_drains),
        CASE(killed_twice_while_targets_are_held),
        CASE(told_to_end_under_load),
        CASE(told_to_end_while_the_backend_is_down),
        CASE(reloaded_while_the_backend_is_down),
        CASE(span_that_aborts_goes_straight_to_its_exporter),
    };
    return cmocka_run_group_tests_name("fault_journal", tests, NULL, NULL);
}
