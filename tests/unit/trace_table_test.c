// SPDX-License-Identifier: Apache-2.0
// Names, order and bounds of the live traces.
#include "processor/trace_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct trace_id id_of(unsigned number)
{
    struct trace_id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    id.bytes[15] = 1;
    return id;
}

static void stale_names_find_nothing(void **arg)
{
    struct trace_table *table = trace_table_new(4);
    struct trace_id id = id_of(1), other = id_of(2);
    (void)arg;
    struct trace *trace = trace_table_add(table, &id, 0);
    struct trace_name name = {trace->slot, trace->generation};
    assert_ptr_equal(trace_table_at(table, name), trace);
    trace_table_remove(table, trace);
    assert_null(trace_table_at(table, name));
    trace = trace_table_add(table, &other, 0);
    assert_int_equal(trace->slot, name.slot);  // the slot is used again
    assert_null(trace_table_at(table, name));
    assert_null(trace_table_at(table, (struct trace_name){12345, 1}));
    trace_table_remove(table, trace);
    trace_table_free(table);
}

static void a_full_table_refuses(void **arg)
{
    struct trace_table *table = trace_table_new(2);
    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        struct trace_id id = id_of(i);
        assert_non_null(trace_table_add(table, &id, i));
    }
    struct trace_id third = id_of(3);
    assert_null(trace_table_add(table, &third, 3));
    while (trace_table_oldest(table)) {
        trace_table_remove(table, trace_table_oldest(table));
    }
    assert_int_equal(trace_table_count(table), 0);
    trace_table_free(table);
}

static void the_oldest_is_who_was_silent_longest(void **arg)
{
    struct trace_table *table = trace_table_new(10);
    struct trace *traces[3];
    (void)arg;
    for (unsigned i = 0; i < 3; i++) {
        struct trace_id id = id_of(i);
        traces[i] = trace_table_add(table, &id, i);
    }
    trace_table_touch(table, traces[0]);
    assert_ptr_equal(trace_table_oldest(table), traces[1]);
    trace_table_touch(table, traces[0]);
    trace_table_remove(table, traces[1]);
    assert_ptr_equal(trace_table_oldest(table), traces[2]);
    trace_table_remove(table, traces[2]);
    trace_table_remove(table, traces[0]);
    trace_table_free(table);
}

static void thousands_come_and_go_in_any_order(void **arg)
{
    enum { COUNT = 5000 };
    struct trace_table *table = trace_table_new(COUNT);
    (void)arg;
    for (unsigned i = 0; i < COUNT; i++) {
        struct trace_id id = id_of(i);
        assert_non_null(trace_table_add(table, &id, i));
    }
    for (unsigned step = 0; step < 3; step++) {
        for (unsigned i = step; i < COUNT; i += 3) {
            struct trace_id id = id_of(i);
            struct trace *trace = trace_table_find(table, &id);
            assert_non_null(trace);
            trace_table_remove(table, trace);
            assert_null(trace_table_find(table, &id));
        }
        for (unsigned i = 0; i < COUNT; i++) {
            struct trace_id id = id_of(i);
            assert_int_equal(trace_table_find(table, &id) != NULL, i % 3 > step);
        }
    }
    trace_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_names_find_nothing),
        cmocka_unit_test(a_full_table_refuses),
        cmocka_unit_test(the_oldest_is_who_was_silent_longest),
        cmocka_unit_test(thousands_come_and_go_in_any_order),
    };
    return cmocka_run_group_tests_name("trace_table", tests, NULL, NULL);
}
