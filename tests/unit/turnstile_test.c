// SPDX-License-Identifier: Apache-2.0
//
// Who was inside must leave before the writer may go on; who comes later need not. And readers on
// four threads never see what has been freed.

#include "service/turnstile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"

static struct turnstile turnstile;

static void empty_one_is_passed_at_once(void **state)
{
    (void)state;
    turnstile_init(&turnstile);
    assert_true(turnstile_passed(&turnstile));  // nothing was begun
    turnstile_begin(&turnstile);
    assert_true(turnstile_passed(&turnstile));
}

static void who_is_inside_keeps_it(void **state)
{
    (void)state;
    turnstile_init(&turnstile);
    unsigned ticket = turnstile_enter(&turnstile);
    turnstile_begin(&turnstile);
    assert_false(turnstile_passed(&turnstile));
    turnstile_leave(&turnstile, ticket);
    assert_true(turnstile_passed(&turnstile));
}

static void who_comes_later_does_not_keep_it_for_ever(void **state)
{
    (void)state;
    turnstile_init(&turnstile);
    unsigned old = turnstile_enter(&turnstile);
    turnstile_begin(&turnstile);
    for (unsigned i = 0; i < 100; i++) {  // there is always somebody inside
        unsigned later = turnstile_enter(&turnstile);
        assert_false(turnstile_passed(&turnstile));
        turnstile_leave(&turnstile, later);
    }
    turnstile_leave(&turnstile, old);
    assert_true(turnstile_passed(&turnstile));
}

static void second_wait_sees_who_came_between(void **state)
{
    (void)state;
    turnstile_init(&turnstile);
    turnstile_begin(&turnstile);
    assert_true(turnstile_passed(&turnstile));
    unsigned ticket = turnstile_enter(&turnstile);
    turnstile_begin(&turnstile);
    assert_false(turnstile_passed(&turnstile));
    turnstile_begin(&turnstile);  // again while it runs
    assert_false(turnstile_passed(&turnstile));
    turnstile_leave(&turnstile, ticket);
    assert_true(turnstile_passed(&turnstile));
}

#define READERS 4
#define EXCHANGES 2000
static _Atomic(uint64_t *) shared;
static atomic_bool is_over;

static void read_often(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        unsigned ticket = turnstile_enter(&turnstile);
        const uint64_t *value = atomic_load(&shared);
        CHECK(*value == 42);
        turnstile_leave(&turnstile, ticket);
    }
}

static uint64_t *value_new(void)
{
    uint64_t *value = malloc(sizeof(*value));
    CHECK(value != NULL);
    *value = 42;
    return value;
}

static void readers_never_see_what_was_freed(void **state)
{
    (void)state;
    struct thread threads[READERS] = {0};
    turnstile_init(&turnstile);
    atomic_store(&is_over, false);
    atomic_store(&shared, value_new());
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(thread_start(&threads[i], "reader", read_often, NULL), RESULT_OK);
    }
    for (unsigned i = 0; i < EXCHANGES; i++) {
        uint64_t *old = atomic_exchange(&shared, value_new());
        turnstile_begin(&turnstile);
        while (!turnstile_passed(&turnstile)) {
        }
        *old = 0;
        free(old);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < READERS; i++) {
        thread_join(&threads[i]);
    }
    free(atomic_load(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_one_is_passed_at_once),
        cmocka_unit_test(who_is_inside_keeps_it),
        cmocka_unit_test(who_comes_later_does_not_keep_it_for_ever),
        cmocka_unit_test(second_wait_sees_who_came_between),
        cmocka_unit_test(readers_never_see_what_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
