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
    {.status = 503, .body = "later"},
    {.status = 429, .headers = "Retry-After: 1\r\n"},
    {.how = FAULTY_RESETS},
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
    }
    journal_rig_await(rig, JOURNAL_FIRST);
    harness_stop(rig->harness);
    struct oracle_report report = oracle_report(rig->oracle, JOURNAL_FIRST);
    print_message("%u kills: %u requests acknowledged, %u refused, %u unanswered; %u spans sent, "
                  "%u acknowledged, %u arrived, %u duplicates, %u own\n",
                  kills, rig->acknowledged, rig->refused, rig->unanswered, report.sent,
                  report.acknowledged, report.arrived, report.duplicates, report.own);
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

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, journal_rig_setup, journal_rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(killed_at_any_moment),
    };
    return cmocka_run_group_tests_name("fault_journal", tests, NULL, NULL);
}
