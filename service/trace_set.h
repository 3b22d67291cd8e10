// SPDX-License-Identifier: Apache-2.0
// The traces that an earlier generation has begun with, by which doors tell whose a span is. While
// it is made, doors and shards add to it at once; then it is only read. An entry is a keyed hash of
// 64 bits: a false match sends a trace to the earlier generation, which does it no harm. Counted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"

struct trace_set;

// Room for at least `count_max` traces.
struct trace_set *trace_set_new(size_t count_max);
void trace_set_ref(struct trace_set *set);
void trace_set_unref(struct trace_set **set);  // accepts NULL inside; any thread
// False: it is full. Any thread.
bool trace_set_add(struct trace_set *set, const uint8_t *trace_id);
bool trace_set_has(const struct trace_set *set, const uint8_t *trace_id);  // any thread
size_t trace_set_count(const struct trace_set *set);
