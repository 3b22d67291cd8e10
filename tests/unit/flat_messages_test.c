// SPDX-License-Identifier: Apache-2.0
// Indices in keys: any order, hostile ones.
#include "processor/flat_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void indices_are_read_and_capped(void **arg)
{
    static const struct {
        const char *key;
        bool is;
        unsigned index;
        const char *rest;
    } rows[] = {
        {"0.role", true, 0, "role"},
        {"17", true, 17, ""},
        {"1023.a.b", true, 1023, "a.b"},
        {"1024.a", true, FLAT_INDEX_MAX, "a"},
        {"99999999999999999999.a", true, FLAT_INDEX_MAX, "a"},
        {"", false, 0, ""},
        {".role", false, 0, ".role"},
        {"x.role", false, 0, "x.role"},
        {"1x.role", false, 0, "1x.role"},
        {"-1.role", false, 0, "-1.role"},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes rest = bytes_from_text(rows[i].key);
        unsigned index = 0;
        assert_int_equal(flat_index(&rest, &index), rows[i].is);
        assert_int_equal(index, rows[i].index);
        assert_true(bytes_equal_text(rest, rows[i].rest));
    }
}

static void add(struct flat_messages *list, struct reading *reading, const char *key,
                const char *text)
{
    struct any_view value = {.kind = ANY_KIND_STRING, .bytes = bytes_from_text(text)};
    flat_messages_add(list, reading, bytes_from_text(key), &value);
}

static void order_is_that_of_the_indices(void **arg)
{
    struct arena scratch;
    struct reading reading;
    (void)arg;
    arena_init(&scratch, READING_SCRATCH_MAX);
    reading_init(&reading, &scratch);
    struct flat_messages *list = flat_messages_new(&reading);
    add(list, &reading, "9.content", "last");
    add(list, &reading, "9.role", "user");
    add(list, &reading, "3.content", "first");
    add(list, &reading, "3.role", "user");
    add(list, &reading, "5.message.contents.1.message_content.text", "b");
    add(list, &reading, "5.message.contents.0.message_content.text", "a");
    add(list, &reading, "5.message.contents.900.message_content.text", "z");
    add(list, &reading, "5.tool_calls.99.id", "z");
    assert_true(flat_messages_input(list, &reading));
    assert_true(bytes_equal_text(reading.question, "last"));
    assert_true(reading.truncated);
    arena_fini(&scratch);
}

static void nothing_in_gives_nothing_out(void **arg)
{
    struct arena scratch;
    struct reading reading;
    (void)arg;
    arena_init(&scratch, 1024);  // no room for a list
    reading_init(&reading, &scratch);
    struct flat_messages *list = flat_messages_new(&reading);
    assert_null(list);
    add(list, &reading, "0.content", "x");
    assert_false(flat_messages_input(list, &reading));
    assert_false(flat_messages_output(list, &reading));
    arena_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_are_read_and_capped),
        cmocka_unit_test(order_is_that_of_the_indices),
        cmocka_unit_test(nothing_in_gives_nothing_out),
    };
    return cmocka_run_group_tests_name("flat_messages", tests, NULL, NULL);
}
