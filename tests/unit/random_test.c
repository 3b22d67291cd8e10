// SPDX-License-Identifier: Apache-2.0
//
// The seeded generator against values worked out by hand, and its bounds.
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/crash.h"

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct random a, b, c;
    random_seed(&a, 1);
    random_seed(&b, 1);
    random_seed(&c, 2);
    unsigned equal = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = random_next(&a);
        assert_true(value == random_next(&b));
        equal += value == random_next(&c);
    }
    assert_int_equal(equal, 0);
}

// xoshiro256** from the state 1, 2, 3, 4, worked out by hand from its definition.
static void the_generator_is_the_published_one(void **state)
{
    (void)state;
    struct random random = {{1, 2, 3, 4}};
    assert_true(random_next(&random) == 11520);
    assert_true(random_next(&random) == 0);
    assert_true(random_next(&random) == 1509978240);
}

static void seed_zero_is_a_seed(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 0);
    assert_true(random_next(&random) != random_next(&random));
}

static void bounded_numbers_stay_below_and_reach_everything(void **state)
{
    (void)state;
    struct random random;
    unsigned seen[7] = {0};
    random_seed(&random, 3);
    for (unsigned i = 0; i < 7000; i++) {
        uint64_t value = random_below(&random, 7);
        assert_true(value < 7);
        seen[value]++;
    }
    for (unsigned i = 0; i < 7; i++) {
        assert_in_range(seen[i], 800, 1200);
    }
    for (unsigned i = 0; i < 100; i++) {
        assert_true(random_below(&random, 1) == 0);
        assert_true(random_below(&random, UINT64_MAX) < UINT64_MAX);
        // Two thirds of the range: without drawing again a third of results would be twice as
        // likely.
        assert_true(random_below(&random, UINT64_C(0xaaaaaaaaaaaaaaab)) <
                    UINT64_C(0xaaaaaaaaaaaaaaab));
    }
}

static void unit_numbers_are_below_one_and_even(void **state)
{
    (void)state;
    struct random random;
    double sum = 0;
    random_seed(&random, 4);
    for (unsigned i = 0; i < 100000; i++) {
        double value = random_unit(&random);
        assert_true(value >= 0 && value < 1);
        sum += value;
    }
    assert_true(sum > 49000 && sum < 51000);
}

static void filling_writes_exactly_what_was_asked(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 5);
    for (size_t len = 0; len < 40; len++) {
        uint8_t out[48];
        memset(out, 0x55, sizeof out);
        random_fill(&random, out, len);
        for (size_t i = len; i < sizeof out; i++) {
            assert_int_equal(out[i], 0x55);
        }
    }
}

static void entropy_differs(void **state)
{
    (void)state;
    uint64_t first = random_entropy();
    assert_true(first != random_entropy() || first != random_entropy());
}

static void next_of(void *arg)
{
    random_next(arg);
}

static void below_zero(void *arg)
{
    random_below(arg, 0);
}

static void misuse_crashes(void **state)
{
    (void)state;
    struct random unseeded = {{0}}, seeded;
    random_seed(&seeded, 1);
    assert_true(crashes(next_of, &unseeded));
    assert_true(crashes(below_zero, &seeded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(the_generator_is_the_published_one),
        cmocka_unit_test(seed_zero_is_a_seed),
        cmocka_unit_test(bounded_numbers_stay_below_and_reach_everything),
        cmocka_unit_test(unit_numbers_are_below_one_and_even),
        cmocka_unit_test(filling_writes_exactly_what_was_asked),
        cmocka_unit_test(entropy_differs),
        cmocka_unit_test(misuse_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
