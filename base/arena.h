// SPDX-License-Identifier: Apache-2.0
// Bump allocation freed whole. The first chunk is at most 256 bytes (an arena per trace: most
// traces are small), later ones double up to 64 KiB; a request of more than half of that gets a
// chunk of its own. The total is bounded by `bytes_max`. One thread.
#pragma once

#include "base/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;  // newest first
    size_t bytes_used;           // memory held, chunk headers included
    size_t bytes_max;
};

void arena_init(struct arena *arena, size_t bytes_max);
void arena_fini(struct arena *arena);  // accepts a zeroed struct
// 16-byte aligned memory, not zeroed; NULL at the limit or out of memory (the caller marks what it
// lost as truncated).
void *arena_alloc(struct arena *arena, size_t len) __attribute__((alloc_size(2)));
void *arena_zalloc(struct arena *arena, size_t len) __attribute__((alloc_size(2)));
// A copy of `view` in the arena, with a NUL behind it; the empty view when there is no room.
struct bytes arena_copy(struct arena *arena, struct bytes view);
