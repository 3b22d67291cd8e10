// SPDX-License-Identifier: Apache-2.0
// The table of entries that have something in memory.
#include "receiver/journal/journal_items.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void item_is_found_by_ticket_and_once_stored_by_entry(void **state)
{
    (void)state;
    struct journal_items *items = journal_items_new(2);
    struct journal_item *item = journal_items_add(items, 7);
    assert_ptr_equal(journal_items_find(items, 7), item);
    assert_null(journal_items_find_entry(items, 100));
    journal_items_book(items, item, 100);
    assert_ptr_equal(journal_items_find_entry(items, 100), item);
    assert_true(item->stored);
    journal_items_unbook(items, item);
    assert_null(journal_items_find_entry(items, 100));
    assert_false(item->stored);
    assert_ptr_equal(journal_items_find(items, 7), item);
    journal_items_free(items);
}

static void removed_item_is_found_by_neither(void **state)
{
    (void)state;
    struct journal_items *items = journal_items_new(1);
    struct journal_item *item = journal_items_add(items, 1);
    journal_items_book(items, item, 2);
    journal_items_remove(items, item);
    assert_null(journal_items_find(items, 1));
    assert_null(journal_items_find_entry(items, 2));
    assert_int_equal(journal_items_count(items), 0);
    journal_items_free(items);
}

static void remove_visited(void *arg, struct journal_item *item)
{
    if (item->ticket % 2 == 0) {
        journal_items_remove(arg, item);
    }
}

static void items_of_one_bucket_stay_apart(void **state)
{
    (void)state;
    struct journal_items *items = journal_items_new(3);
    for (uint64_t i = 0; i < 100; i++) {  // the same bucket, many times over
        struct journal_item *item = journal_items_add(items, i * 4096);
        journal_items_book(items, item, i * 4096 + 4096);
        item->left[2] = (uint32_t)i;
    }
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(journal_items_find(items, i * 4096)->left[2], i);
        assert_int_equal(journal_items_find_entry(items, i * 4096 + 4096)->left[2], i);
    }
    journal_items_each(items, remove_visited, items);
    assert_int_equal(journal_items_count(items), 0);
    journal_items_free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_is_found_by_ticket_and_once_stored_by_entry),
        cmocka_unit_test(removed_item_is_found_by_neither),
        cmocka_unit_test(items_of_one_bucket_stay_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
