// SPDX-License-Identifier: Apache-2.0
//
// Open addressing over atomic words: an entry is set once, by compare and exchange, and never
// changes, so that readers need no lock while others add. At most half of the words are used.
// Refused: whole ids, which could not be written at once. Bounds: count_max, 8 to 32 bytes for
// each. Any thread.

#include "service/trace_set.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

struct trace_set {
    atomic_uint references;
    size_t mask, count_max;
    atomic_size_t count;
    _Atomic uint64_t words[];
};

struct trace_set *trace_set_new(size_t count_max)
{
    size_t words = 64;
    while (words < 2 * count_max) {
        words *= 2;
    }
    struct trace_set *set = calloc(1, sizeof(*set) + words * sizeof(set->words[0]));
    CHECK(set != NULL);
    atomic_init(&set->references, 1);
    set->mask = words - 1;
    set->count_max = words / 2;
    return set;
}

void trace_set_ref(struct trace_set *set)
{
    unsigned before = atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    CHECK(before > 0);
}

void trace_set_unref(struct trace_set **set)
{
    struct trace_set *moved = *set;
    *set = NULL;
    if (moved != NULL &&
        atomic_fetch_sub_explicit(&moved->references, 1, memory_order_acq_rel) == 1) {
        free(moved);
    }
}

static uint64_t word_of(const uint8_t *trace_id)
{
    uint64_t hash = hash_keyed(trace_id, sizeof(struct trace_id));
    return hash != 0 ? hash : 1;  // 0 is an empty place
}

bool trace_set_add(struct trace_set *set, const uint8_t *trace_id)
{
    uint64_t word = word_of(trace_id);
    for (size_t i = word & set->mask;; i = (i + 1) & set->mask) {
        uint64_t there = atomic_load(&set->words[i]);
        if (there == 0) {
            if (atomic_load(&set->count) >= set->count_max) {
                return false;
            }
            if (atomic_compare_exchange_strong(&set->words[i], &there, word)) {
                atomic_fetch_add(&set->count, 1);
                return true;
            }
        }
        if (there == word) {
            return true;
        }
    }
}

bool trace_set_has(const struct trace_set *set, const uint8_t *trace_id)
{
    uint64_t word = word_of(trace_id);
    for (size_t i = word & set->mask;; i = (i + 1) & set->mask) {
        uint64_t there = atomic_load_explicit(&set->words[i], memory_order_relaxed);
        if (there == word || there == 0) {
            return there == word;
        }
    }
}

size_t trace_set_count(const struct trace_set *set)
{
    return atomic_load(&set->count);
}
