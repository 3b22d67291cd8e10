// SPDX-License-Identifier: Apache-2.0
// The journal's entries that have something in memory: what is still on its way to which exporter,
// and whether a decision is open on them. Found by ticket (what a batch carries: given at the door,
// in no order) and by the store's id (given when it is put). Journal's thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_item {
    struct journal_item *next, *next_entry;  // of its buckets
    uint64_t ticket;
    uint64_t entry;   // the store's id; 0: not stored
    uint64_t owed;    // outlets that have not got all of it
    uint64_t loaded;  // of them: what they are owed is in memory
    uint64_t booked;  // outlets that the store knew it to be owed to
    uint64_t group;   // in which it was put
    bool open;        // a decision is, that it gave evidence to
    uint32_t held;    // items that shards hold: what becomes of them is not recorded yet
    bool stored;
    uint32_t left[];  // by outlet: items on their way in memory
};

struct journal_items;
struct journal_items *journal_items_new(unsigned outlet_count);
void journal_items_free(struct journal_items *items);
struct journal_item *journal_items_find(struct journal_items *items, uint64_t ticket);
struct journal_item *journal_items_find_entry(struct journal_items *items, uint64_t entry);
// A new one, zeroed.
struct journal_item *journal_items_add(struct journal_items *items, uint64_t ticket);
// From now on it stands for this entry of the store.
void journal_items_book(struct journal_items *items, struct journal_item *item, uint64_t entry);
// The store has lost it.
void journal_items_unbook(struct journal_items *items, struct journal_item *item);
void journal_items_remove(struct journal_items *items, struct journal_item *item);
size_t journal_items_count(const struct journal_items *items);
// Visits all; `visit` may remove the one it is given.
void journal_items_each(struct journal_items *items,
                        void (*visit)(void *arg, struct journal_item *item), void *arg);
