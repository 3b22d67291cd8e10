// SPDX-License-Identifier: Apache-2.0
//
// Bump allocation from a list of chunks. The newest chunk is the one that serves; a request that it
// cannot hold opens a chunk of twice its size, up to CHUNK_MAX. A request above half of CHUNK_MAX
// gets a chunk of exactly its size *behind* the newest, so that the rest of the newest is not lost.
// Refused: per-thread caches of chunks, which malloc has already; freeing single allocations.
// Bounds: bytes_max counts whole chunks with their headers, so it is what the accountant may be
// charged. One thread at a time.
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ALIGNMENT = 16, CHUNK_MIN = 256, CHUNK_MAX = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;  // of `data`
    size_t used;
    alignas(ALIGNMENT) uint8_t data[];
};

static_assert(sizeof(struct arena_chunk) == 32, "most of the first chunk is for its user");

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

void arena_fini(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct arena){0};
}

static struct arena_chunk *chunk_new(struct arena *arena, size_t chunk_bytes)
{
    CHECK(arena->bytes_used <= arena->bytes_max);
    CHECK(chunk_bytes > sizeof(struct arena_chunk));
    if (chunk_bytes > arena->bytes_max - arena->bytes_used) {
        return NULL;
    }
    struct arena_chunk *chunk = malloc(chunk_bytes);
    if (chunk) {
        chunk->next = NULL;
        chunk->size = chunk_bytes - sizeof *chunk;
        chunk->used = 0;
        arena->bytes_used += chunk_bytes;
    }
    return chunk;
}

// The size of the chunk that follows `newest` and holds `need` bytes.
static size_t chunk_bytes_next(const struct arena_chunk *newest, size_t need)
{
    size_t bytes = CHUNK_MIN;
    if (newest) {
        bytes = (newest->size + sizeof *newest) * 2;
    }
    while (bytes < need && bytes < CHUNK_MAX) {
        bytes *= 2;
    }
    return bytes < CHUNK_MAX ? bytes : CHUNK_MAX;
}

static struct arena_chunk *arena_open(struct arena *arena, size_t len)
{
    size_t need = len + sizeof(struct arena_chunk);
    bool alone = need > CHUNK_MAX / 2;
    struct arena_chunk *chunk = NULL;
    if (!alone) {
        chunk = chunk_new(arena, chunk_bytes_next(arena->chunks, need));
    }
    if (!chunk) {
        chunk = chunk_new(arena, need);  // alone, or near the limit: just what is needed
    }
    if (!chunk) {
        return NULL;
    }
    if (alone && arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    if (len > arena->bytes_max) {
        return NULL;  // also keeps the rounding below from overflowing
    }
    size_t rounded = (len + (len == 0) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || rounded > chunk->size - chunk->used) {
        chunk = arena_open(arena, rounded);
        if (!chunk) {
            return NULL;
        }
    }
    CHECK(rounded <= chunk->size - chunk->used);
    void *ptr = chunk->data + chunk->used;
    chunk->used += rounded;
    return ptr;
}

void *arena_zalloc(struct arena *arena, size_t len)
{
    void *ptr = arena_alloc(arena, len);
    return ptr ? memset(ptr, 0, len) : NULL;
}

struct bytes arena_copy(struct arena *arena, struct bytes view)
{
    uint8_t *ptr = view.len < SIZE_MAX ? arena_alloc(arena, view.len + 1) : NULL;
    if (!ptr) {
        return BYTES_NONE;
    }
    if (view.len > 0) {
        memcpy(ptr, view.ptr, view.len);
    }
    ptr[view.len] = '\0';
    return (struct bytes){ptr, view.len};
}
