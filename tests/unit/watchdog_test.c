// SPDX-License-Identifier: Apache-2.0
//
// The watchdog on counters that the test moves, with looks that the test times.

#include "base/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static const char *found;
static uint64_t turns;

static void note(const char *name)
{
    found = name;
}

static uint64_t read_turns(const void *arg)
{
    return *(const uint64_t *)arg;
}

static int start(void **state)
{
    found = NULL;
    turns = 0;
    *state = watchdog_new(note);
    watchdog_add(*state, "loop", read_turns, &turns);
    return 0;
}

static int stop(void **state)
{
    struct watchdog *watchdog = *state;
    watchdog_free(&watchdog);
    return 0;
}

static void look(void **state, unsigned times, uint64_t elapsed_ns)
{
    for (unsigned i = 0; i < times; i++) {
        watchdog_look(*state, elapsed_ns);
    }
}

static void loop_without_a_turn_in_five_seconds_is_stuck(void **state)
{
    turns = 1;
    look(state, 1, NS_PER_S);
    look(state, WATCHDOG_PATIENCE_S, NS_PER_S);
    assert_string_equal(found, "loop");
}

static void standing_still_is_counted_in_seconds(void **state)
{
    turns = 1;
    look(state, 1, NS_PER_S);
    assert_int_equal(watchdog_still_s(*state), 0);
    look(state, 3, NS_PER_S);
    assert_int_equal(watchdog_still_s(*state), 3);
    turns = 2;
    look(state, 1, NS_PER_S);
    assert_int_equal(watchdog_still_s(*state), 0);
    assert_int_equal(watchdog_still_s(NULL), 0);
}

static void four_seconds_prove_nothing(void **state)
{
    turns = 1;
    look(state, 1, NS_PER_S);
    look(state, WATCHDOG_PATIENCE_S - 1, NS_PER_S);
    assert_null(found);
}

static void one_turn_starts_the_count_anew(void **state)
{
    for (unsigned i = 0; i < 20; i++) {
        turns++;
        look(state, WATCHDOG_PATIENCE_S - 1, NS_PER_S);
    }
    assert_null(found);
}

static void interval_in_which_the_watchdog_was_late_does_not_count(void **state)
{
    turns = 1;
    look(state, 50, 10 * NS_PER_S);
    assert_null(found);
}

static void removed_loop_may_stand_still(void **state)
{
    watchdog_remove(*state, &turns);
    look(state, 50, NS_PER_S);
    assert_null(found);
}

static void no_watchdog_is_fine(void **state)
{
    (void)state;
    watchdog_add(NULL, "loop", read_turns, &turns);
    watchdog_remove(NULL, &turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loop_without_a_turn_in_five_seconds_is_stuck, start, stop),
        cmocka_unit_test_setup_teardown(four_seconds_prove_nothing, start, stop),
        cmocka_unit_test_setup_teardown(standing_still_is_counted_in_seconds, start, stop),
        cmocka_unit_test_setup_teardown(one_turn_starts_the_count_anew, start, stop),
        cmocka_unit_test_setup_teardown(interval_in_which_the_watchdog_was_late_does_not_count,
                                        start, stop),
        cmocka_unit_test_setup_teardown(removed_loop_may_stand_still, start, stop),
        cmocka_unit_test(no_watchdog_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
