// SPDX-License-Identifier: Apache-2.0
//
// What was added is there, what was not is not, and a full set says so.

#include "service/trace_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"

static struct trace_id id_of(uint32_t number)
{
    struct trace_id id = {{1}};
    memcpy(id.bytes + 4, &number, sizeof(number));
    return id;
}

static void what_was_added_is_there(void **state)
{
    (void)state;
    struct trace_set *set = trace_set_new(1000);
    for (uint32_t i = 0; i < 1000; i++) {
        struct trace_id id = id_of(i);
        assert_true(trace_set_add(set, id.bytes));
        assert_true(trace_set_add(set, id.bytes));  // again is once
    }
    assert_int_equal(trace_set_count(set), 1000);
    for (uint32_t i = 0; i < 2000; i++) {
        struct trace_id id = id_of(i);
        assert_int_equal(trace_set_has(set, id.bytes), i < 1000);
    }
    trace_set_unref(&set);
    assert_null(set);
    trace_set_unref(&set);
}

static void full_one_says_so_and_still_answers(void **state)
{
    (void)state;
    struct trace_set *set = trace_set_new(1);
    uint32_t taken = 0;
    while (taken < 100000) {
        struct trace_id id = id_of(taken);
        if (!trace_set_add(set, id.bytes)) {
            break;
        }
        taken++;
    }
    assert_in_range(taken, 1, 64);
    struct trace_id id = id_of(taken + 1);
    assert_false(trace_set_has(set, id.bytes));
    trace_set_unref(&set);
}

static void it_lives_as_long_as_its_last_reference(void **state)
{
    (void)state;
    struct trace_set *set = trace_set_new(10);
    struct trace_set *other = set;
    struct trace_id id = id_of(7);
    trace_set_ref(set);
    assert_true(trace_set_add(set, id.bytes));
    trace_set_unref(&set);
    assert_true(trace_set_has(other, id.bytes));
    trace_set_unref(&other);
}

struct adding {
    struct trace_set *set;
    uint32_t from;
};

static void add_many(void *arg)
{
    const struct adding *adding = arg;
    for (uint32_t i = 0; i < 2000; i++) {
        struct trace_id id = id_of(adding->from + i);
        CHECK(trace_set_add(adding->set, id.bytes));
    }
}

static void several_threads_add_at_once(void **state)
{
    (void)state;
    struct trace_set *set = trace_set_new(8000);
    struct thread threads[4] = {0};
    struct adding adding[4];
    for (uint32_t i = 0; i < 4; i++) {  // ranges overlap by half
        adding[i] = (struct adding){set, i * 1000};
        assert_int_equal(thread_start(&threads[i], "adder", add_many, &adding[i]), RESULT_OK);
    }
    for (uint32_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        struct trace_id id = id_of(i);
        assert_true(trace_set_has(set, id.bytes));
    }
    assert_int_equal(trace_set_count(set), 5000);
    trace_set_unref(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_there),
        cmocka_unit_test(full_one_says_so_and_still_answers),
        cmocka_unit_test(it_lives_as_long_as_its_last_reference),
        cmocka_unit_test(several_threads_add_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
