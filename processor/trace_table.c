// SPDX-License-Identifier: Apache-2.0
// Linear probing over slot numbers with deletion by shifting back (Knuth, TAOCP 3, 6.4, algorithm
// R), so that there are no tombstones. Both arrays grow by doubling: an idle sidecar pays for none
// of the bound. Refused: a table of its full size from the start.
//
// Bounds: count_max. Thread: the shard's.
#include "processor/trace_table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

// The hash stands beside the slot, so that a probe and a removal touch no trace but the one they
// are about.
struct entry {
    uint32_t hash;
    uint32_t slot;  // + 1; 0: empty
};

struct slot {
    struct trace *trace;
    uint32_t generation;
    uint32_t free_next;
};

struct trace_table {
    uint32_t count, count_max;
    struct entry *index;
    uint32_t index_mask;
    struct slot *slots;
    uint32_t slot_count, slot_free;  // slot_free: first free slot + 1
    struct trace *oldest, *newest;
};

struct trace_table *trace_table_new(uint32_t count_max)
{
    struct trace_table *table = calloc(1, sizeof(*table));
    CHECK(table && count_max > 0);
    table->count_max = count_max;
    table->index_mask = 63;
    table->index = calloc(64, sizeof(*table->index));
    CHECK(table->index);
    return table;
}

void trace_table_free(struct trace_table *table)
{
    if (!table) {
        return;
    }
    CHECK(table->count == 0);
    free(table->index);
    free(table->slots);
    free(table);
}

static uint32_t hash_of(const struct trace_id *id)
{
    return (uint32_t)(hash_keyed(id->bytes, sizeof(id->bytes)) >> 8);
}

static bool entry_is(const struct trace_table *table, const struct entry *entry, uint32_t hash,
                     const struct trace_id *id)
{
    return entry->hash == hash && trace_id_equal(&table->slots[entry->slot - 1].trace->id, id);
}

static uint32_t index_of(const struct trace_table *table, uint32_t hash, const struct trace_id *id)
{
    uint32_t i = hash & table->index_mask;
    while (table->index[i].slot && !entry_is(table, &table->index[i], hash, id)) {
        i = (i + 1) & table->index_mask;
    }
    return i;
}

struct trace *trace_table_find(struct trace_table *table, const struct trace_id *id)
{
    const struct entry *entry = &table->index[index_of(table, hash_of(id), id)];
    return entry->slot ? table->slots[entry->slot - 1].trace : NULL;
}

static bool index_grow(struct trace_table *table)
{
    if (table->count * 2 < table->index_mask) {
        return true;
    }
    uint32_t capacity = (table->index_mask + 1) * 2;
    struct entry *grown = calloc(capacity, sizeof(*grown));
    if (!grown) {
        return false;
    }
    for (uint32_t from = 0; from <= table->index_mask; from++) {
        if (table->index[from].slot) {
            uint32_t i = table->index[from].hash & (capacity - 1);
            while (grown[i].slot) {
                i = (i + 1) & (capacity - 1);
            }
            grown[i] = table->index[from];
        }
    }
    free(table->index);
    table->index = grown;
    table->index_mask = capacity - 1;
    return true;
}

static bool slot_take(struct trace_table *table, uint32_t *slot)
{
    if (!table->slot_free) {
        uint32_t capacity = table->slot_count ? table->slot_count * 2 : 64;
        struct slot *grown = realloc(table->slots, capacity * sizeof(*grown));
        if (!grown) {
            return false;
        }
        table->slots = grown;
        for (uint32_t i = capacity; i-- > table->slot_count;) {
            grown[i] = (struct slot){.free_next = table->slot_free};
            table->slot_free = i + 1;
        }
        table->slot_count = capacity;
    }
    *slot = table->slot_free - 1;
    table->slot_free = table->slots[*slot].free_next;
    return true;
}

static void order_append(struct trace_table *table, struct trace *trace)
{
    trace->older = table->newest;
    trace->newer = NULL;
    *(table->newest ? &table->newest->newer : &table->oldest) = trace;
    table->newest = trace;
}

static void order_remove(struct trace_table *table, struct trace *trace)
{
    *(trace->older ? &trace->older->newer : &table->oldest) = trace->newer;
    *(trace->newer ? &trace->newer->older : &table->newest) = trace->older;
}

struct trace *trace_table_add(struct trace_table *table, const struct trace_id *id, uint64_t now_ns)
{
    uint32_t slot;
    if (table->count >= table->count_max || !index_grow(table) || !slot_take(table, &slot)) {
        return NULL;
    }
    struct trace *trace = malloc(sizeof(*trace));
    CHECK(trace);
    trace_init(trace, id, now_ns);
    uint32_t hash = hash_of(id);
    uint32_t i = index_of(table, hash, id);
    CHECK(!table->index[i].slot);
    table->index[i] = (struct entry){hash, slot + 1};
    table->slots[slot].trace = trace;
    trace->slot = slot;
    trace->generation = ++table->slots[slot].generation;
    table->count++;
    order_append(table, trace);
    return trace;
}

void trace_table_touch(struct trace_table *table, struct trace *trace)
{
    if (table->newest != trace) {
        order_remove(table, trace);
        order_append(table, trace);
    }
}

static void index_remove(struct trace_table *table, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & table->index_mask; table->index[i].slot;
         i = (i + 1) & table->index_mask) {
        uint32_t home = table->index[i].hash & table->index_mask;
        if (((i - home) & table->index_mask) >= ((i - hole) & table->index_mask)) {
            table->index[hole] = table->index[i];
            hole = i;
        }
    }
    table->index[hole] = (struct entry){0};
}

void trace_table_remove(struct trace_table *table, struct trace *trace)
{
    uint32_t slot = trace->slot;
    CHECK(slot < table->slot_count && table->slots[slot].trace == trace);
    index_remove(table, index_of(table, hash_of(&trace->id), &trace->id));
    order_remove(table, trace);
    table->slots[slot].trace = NULL;
    table->slots[slot].free_next = table->slot_free;
    table->slot_free = slot + 1;
    table->count--;
    trace_fini(trace);
    free(trace);
}

struct trace *trace_table_at(struct trace_table *table, struct trace_name name)
{
    if (name.slot >= table->slot_count || table->slots[name.slot].generation != name.generation) {
        return NULL;
    }
    return table->slots[name.slot].trace;
}

struct trace *trace_table_oldest(struct trace_table *table)
{
    return table->oldest;
}

uint32_t trace_table_count(const struct trace_table *table)
{
    return table->count;
}
