// SPDX-License-Identifier: Apache-2.0
//
// Chains in a fixed number of buckets: numbers are consecutive, so they spread by themselves, and
// what is in memory at a time is bounded by the sending queues. Refused: growing the table, which
// would stand still for a moment just when much is under way.
//
// Bounds: none of its own (the queues'). Journal's thread.
#include "receiver/journal/journal_items.h"

#include <stdlib.h>

#include "base/check.h"

#define BUCKETS 4096  // a power of two

struct journal_items {
    unsigned outlet_count;
    size_t count;
    struct journal_item *buckets[BUCKETS], *entries[BUCKETS];
};

struct journal_items *journal_items_new(unsigned outlet_count)
{
    struct journal_items *items = calloc(1, sizeof(*items));
    CHECK(items != NULL);
    items->outlet_count = outlet_count;
    return items;
}

static void free_one(void *arg, struct journal_item *item)
{
    journal_items_remove(arg, item);
}

void journal_items_free(struct journal_items *items)
{
    if (items != NULL) {
        journal_items_each(items, free_one, items);
        free(items);
    }
}

static struct journal_item **place_of(struct journal_items *items, uint64_t ticket)
{
    struct journal_item **at = &items->buckets[ticket & (BUCKETS - 1)];
    while (*at != NULL && (*at)->ticket != ticket) {
        at = &(*at)->next;
    }
    return at;
}

static struct journal_item **place_of_entry(struct journal_items *items, uint64_t entry)
{
    struct journal_item **at = &items->entries[entry & (BUCKETS - 1)];
    while (*at != NULL && (*at)->entry != entry) {
        at = &(*at)->next_entry;
    }
    return at;
}

struct journal_item *journal_items_find(struct journal_items *items, uint64_t ticket)
{
    return *place_of(items, ticket);
}

struct journal_item *journal_items_find_entry(struct journal_items *items, uint64_t entry)
{
    return *place_of_entry(items, entry);
}

struct journal_item *journal_items_add(struct journal_items *items, uint64_t ticket)
{
    struct journal_item **at = place_of(items, ticket);
    CHECK(*at == NULL);
    struct journal_item *item =
        calloc(1, sizeof(*item) + items->outlet_count * sizeof(item->left[0]));
    CHECK(item != NULL);
    item->ticket = ticket;
    *at = item;
    items->count++;
    return item;
}

void journal_items_book(struct journal_items *items, struct journal_item *item, uint64_t entry)
{
    struct journal_item **at = place_of_entry(items, entry);
    CHECK(item->entry == 0 && entry != 0 && *at == NULL);
    item->entry = entry;
    item->stored = true;
    *at = item;
}

void journal_items_unbook(struct journal_items *items, struct journal_item *item)
{
    if (item->entry != 0) {
        struct journal_item **at = place_of_entry(items, item->entry);
        CHECK(*at == item);
        *at = item->next_entry;
        item->next_entry = NULL;
        item->entry = 0;
    }
    item->stored = false;
}

void journal_items_remove(struct journal_items *items, struct journal_item *item)
{
    struct journal_item **at = place_of(items, item->ticket);
    CHECK(*at == item);
    *at = item->next;
    journal_items_unbook(items, item);
    items->count--;
    free(item);
}

size_t journal_items_count(const struct journal_items *items)
{
    return items->count;
}

void journal_items_each(struct journal_items *items,
                        void (*visit)(void *arg, struct journal_item *item), void *arg)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct journal_item *next;
        for (struct journal_item *item = items->buckets[i]; item != NULL; item = next) {
            next = item->next;
            visit(arg, item);
        }
    }
}
