// SPDX-License-Identifier: Apache-2.0
// The live traces of one shard: open addressing by trace id, slots with a generation (the name by
// which other threads may speak of a trace: a stale name finds nothing), and an order by last span,
// so that memory is taken back from whoever has been silent longest. Bounded. One thread.
#pragma once

#include "processor/trace.h"

struct trace_table;
struct trace_name {
    uint32_t slot, generation;
};

struct trace_table *trace_table_new(uint32_t count_max);
void trace_table_free(struct trace_table *table);  // must be empty
struct trace *trace_table_find(struct trace_table *table, const struct trace_id *id);
// A new trace; NULL when the table is full (the caller closes the oldest first) or memory is out.
struct trace *trace_table_add(struct trace_table *table, const struct trace_id *id,
                              uint64_t now_ns);
void trace_table_touch(struct trace_table *table, struct trace *trace);           // it got a span
void trace_table_remove(struct trace_table *table, struct trace *trace);          // frees it
struct trace *trace_table_at(struct trace_table *table, struct trace_name name);  // NULL: stale
struct trace *trace_table_oldest(struct trace_table *table);
uint32_t trace_table_count(const struct trace_table *table);
