// SPDX-License-Identifier: Apache-2.0
//
// Batches, and the home where their memory comes from and goes back to. Slabs are of power-of-two
// sizes and come from a list per size, so that a body lands on pages that are already there: first
// touches cost more than the whole network path. The last release of a batch, on whatever thread,
// posts it to its home's mailbox; the home sweeps once per turn, and only it touches the lists, so
// there is no lock. A home that has closed leaves its mailbox to whoever returns the last batch:
// the word `out` holds the count of batches and the closed bit, so exactly one side sees both.
// Refused: one shared pool (contended), and freeing where the last release happens (another
// thread's malloc arena). Bounds: keep_bytes of free slabs, slabs of 16 KiB to 2 GiB.
#include "proto/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
    CLASS_MIN_BITS = 14,
    CLASS_MAX_BITS = 31,
    CLASS_COUNT = CLASS_MAX_BITS - CLASS_MIN_BITS + 1
};

#define BATCH_MAGIC MAGIC('B', 'T', 'C', 'H')
#define HOME_MAGIC MAGIC('H', 'O', 'M', 'E')
#define HOME_CLOSED (UINT64_C(1) << 63)
#define REALLOC_BYTES_MIN ((size_t)128 * 1024)  // from here realloc moves pages, not bytes
#define DETACH_BYTES_MIN ((size_t)64 * 1024)

struct free_slab {  // lies in the free memory itself
    struct free_slab *next;
};

struct batch_home {
    uint32_t magic;
    struct account *account;  // may be NULL
    size_t keep_bytes, kept_bytes;
    struct free_slab *free_slabs[CLASS_COUNT];
    struct mailbox returned;
    _Atomic uint64_t out;  // batches not yet returned, and HOME_CLOSED
};

static _Atomic uint64_t batch_id_last;

struct batch_home *batch_home_new(struct account *account, size_t keep_bytes)
{
    struct batch_home *home = aligned_alloc(_Alignof(struct batch_home), sizeof *home);
    CHECK(home != NULL);
    memset(home, 0, sizeof *home);
    home->magic = HOME_MAGIC;
    home->account = account;
    home->keep_bytes = keep_bytes;
    mailbox_init(&home->returned, 0, NULL, NULL);
    atomic_init(&home->out, 0);
    return home;
}

// The class of exactly this size; CLASS_COUNT when it is none.
static unsigned class_of(size_t capacity)
{
    if (capacity < (size_t)1 << CLASS_MIN_BITS || capacity > (size_t)1 << CLASS_MAX_BITS ||
        (capacity & (capacity - 1)) != 0) {
        return CLASS_COUNT;
    }
    return (unsigned)__builtin_ctzll(capacity) - CLASS_MIN_BITS;
}

static size_t capacity_for(size_t need)
{
    size_t capacity = (size_t)1 << CLASS_MIN_BITS;
    while (capacity < need) {
        capacity *= 2;
    }
    return capacity;
}

static uint8_t *kept_take(struct batch_home *home, size_t capacity)
{
    unsigned class = class_of(capacity);
    CHECK(class < CLASS_COUNT);
    struct free_slab *slab = home->free_slabs[class];
    if (slab != NULL) {
        home->free_slabs[class] = slab->next;
        home->kept_bytes -= capacity;
    }
    return (uint8_t *)slab;
}

// Keeps the memory for the next body, or frees it.
static void memory_recycle(struct batch_home *home, uint8_t *ptr, size_t capacity)
{
    unsigned class = class_of(capacity);
    if (ptr == NULL || class == CLASS_COUNT || capacity > home->keep_bytes - home->kept_bytes) {
        free(ptr);
        return;
    }
    struct free_slab *slab = (struct free_slab *)(void *)ptr;
    slab->next = home->free_slabs[class];
    home->free_slabs[class] = slab;
    home->kept_bytes += capacity;
}

static bool home_charge(struct batch_home *home, size_t bytes)
{
    return home->account == NULL || account_charge(home->account, POOL_REQUESTS, bytes);
}

static void home_discharge(struct batch_home *home, size_t bytes)
{
    if (home->account != NULL && bytes > 0) {
        account_release(home->account, POOL_REQUESTS, bytes);
    }
}

// Memory of `capacity` bytes that begins with what the slab holds; NULL: out of memory, the slab as
// it was.
static uint8_t *memory_grow(struct batch_home *home, struct slab *slab, size_t capacity)
{
    uint8_t *ptr = kept_take(home, capacity);
    if (ptr == NULL && slab->capacity >= REALLOC_BYTES_MIN) {
        return realloc(slab->ptr, capacity);
    }
    if (ptr == NULL) {
        ptr = malloc(capacity);
    }
    if (ptr == NULL) {
        return NULL;
    }
    if (slab->len > 0) {
        memcpy(ptr, slab->ptr, slab->len);
    }
    memory_recycle(home, slab->ptr, slab->capacity);
    return ptr;
}

enum result slab_grow(struct batch_home *home, struct slab *slab, size_t more)
{
    CHECK(home->magic == HOME_MAGIC);
    CHECK(slab->len <= slab->capacity);
    if (more <= slab->capacity - slab->len) {
        return RESULT_OK;
    }
    if (more > ((size_t)1 << CLASS_MAX_BITS) - slab->len) {
        return RESULT_TOO_LARGE;
    }
    size_t capacity = capacity_for(slab->len + more);
    size_t increment = capacity - slab->capacity;
    if (!home_charge(home, increment)) {
        return RESULT_SHED;
    }
    uint8_t *ptr = memory_grow(home, slab, capacity);
    if (ptr == NULL) {
        home_discharge(home, increment);
        return RESULT_SHED;
    }
    slab->ptr = ptr;
    slab->capacity = capacity;
    return RESULT_OK;
}

void slab_drop(struct batch_home *home, struct slab *slab)
{
    CHECK(home->magic == HOME_MAGIC);
    home_discharge(home, slab->capacity);
    memory_recycle(home, slab->ptr, slab->capacity);
    *slab = (struct slab){0};
}

enum result slab_adopt(struct batch_home *home, struct buffer *buffer, struct slab *slab)
{
    CHECK(home->magic == HOME_MAGIC);
    CHECK(slab->ptr == NULL);
    if (!home_charge(home, buffer->len)) {
        return RESULT_SHED;
    }
    // A body does not grow any more: its spare room goes back, so that the charge is its size.
    if (buffer->len == 0) {
        free(buffer->ptr);
    } else {
        uint8_t *trimmed = realloc(buffer->ptr, buffer->len);
        slab->ptr = trimmed != NULL ? trimmed : buffer->ptr;
    }
    slab->len = buffer->len;
    slab->capacity = buffer->len;
    buffer_init(buffer, buffer->len_max);
    return RESULT_OK;
}

void slab_lend(struct batch_home *home, size_t len, struct buffer *buffer)
{
    CHECK(home->magic == HOME_MAGIC);
    CHECK(buffer->ptr == NULL && buffer->len == 0);
    if (len > ((size_t)1 << CLASS_MAX_BITS)) {
        return;
    }
    size_t capacity = capacity_for(len);
    buffer->ptr = kept_take(home, capacity);
    buffer->capacity = buffer->ptr != NULL ? capacity : 0;
}

enum result slab_take(struct batch_home *home, struct buffer *buffer, struct slab *slab)
{
    CHECK(home->magic == HOME_MAGIC);
    CHECK(slab->ptr == NULL);
    if (class_of(buffer->capacity) == CLASS_COUNT || buffer->len < buffer->capacity / 4) {
        return RESULT_MISSING;
    }
    if (!home_charge(home, buffer->capacity)) {
        return RESULT_SHED;
    }
    *slab = (struct slab){buffer->ptr, buffer->len, buffer->capacity};
    *buffer = (struct buffer){.len_max = buffer->len_max};
    return RESULT_OK;
}

static struct batch *batch_new(enum signal signal, uint64_t received_ns)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    struct batch *batch = calloc(1, sizeof *batch);
    CHECK(batch != NULL);
    batch->magic = BATCH_MAGIC;
    batch->signal = signal;
    batch->id = atomic_fetch_add_explicit(&batch_id_last, 1, memory_order_relaxed) + 1;
    batch->received_ns = received_ns;
    atomic_init(&batch->views, 1);
    atomic_init(&batch->holds, 1);
    return batch;
}

static void body_set(struct batch *batch, struct slab *slab)
{
    batch->body_slab = *slab;
    batch->body = (struct bytes){slab->ptr, slab->len};
    atomic_init(&batch->live_bytes, slab->len);
    batch->charged_bytes += slab->capacity;
    *slab = (struct slab){0};
}

struct batch *batch_seal(struct batch_home *home, enum signal signal, struct slab *body,
                         struct slab *packed, enum codec packed_codec, uint64_t received_ns)
{
    CHECK(home->magic == HOME_MAGIC);
    struct batch *batch = batch_new(signal, received_ns);
    batch->home = home;
    body_set(batch, body);
    if (packed != NULL) {
        batch->packed_slab = *packed;
        batch->packed = (struct bytes){packed->ptr, packed->len};
        batch->packed_codec = packed->len > 0 ? packed_codec : CODEC_NONE;
        batch->charged_bytes += packed->capacity;
        *packed = (struct slab){0};
    }
    uint64_t out = atomic_fetch_add_explicit(&home->out, 1, memory_order_relaxed);
    CHECK((out & HOME_CLOSED) == 0);
    return batch;
}

struct batch *batch_make(enum signal signal, struct bytes body, uint64_t received_ns)
{
    struct batch *batch = batch_new(signal, received_ns);
    struct slab slab = {malloc(body.len + 1), body.len, body.len + 1};
    CHECK(slab.ptr != NULL);
    if (body.len > 0) {
        memcpy(slab.ptr, body.ptr, body.len);
    }
    body_set(batch, &slab);
    return batch;
}

struct batch *batch_make_detached(struct batch *origin, struct bytes body)
{
    CHECK(origin->magic == BATCH_MAGIC);
    struct batch *batch = batch_make(origin->signal, body, origin->received_ns);
    batch->origin = origin->origin != NULL ? origin->origin : origin;
    batch->entry = origin->entry;
    batch->debt = origin->debt;
    batch->metadata = metadata_hold(origin->metadata);
    atomic_fetch_add_explicit(&batch->origin->holds, 1, memory_order_relaxed);
    return batch;
}

bool batch_origin_at(const struct batch *batch, uint32_t item_at, uint32_t *origin_at)
{
    *origin_at = item_at;
    if (batch->origin == NULL) {
        return true;
    }
    uint32_t low = 0, high = batch->move_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (batch->moves[2 * middle] < item_at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < batch->move_count && batch->moves[2 * low] == item_at;
    *origin_at = found ? batch->moves[2 * low + 1] : 0;
    return found;
}

void batch_hold(struct batch *batch)
{
    CHECK(batch->magic == BATCH_MAGIC);
    unsigned before = atomic_fetch_add_explicit(&batch->views, 1, memory_order_relaxed);
    CHECK(before > 0);
}

// Lets the struct go, and with it, when it was the last, the hold on an origin.
static void hold_drop(struct batch *batch)
{
    while (batch != NULL) {
        if (atomic_fetch_sub_explicit(&batch->holds, 1, memory_order_acq_rel) != 1) {
            return;
        }
        struct batch *origin = batch->origin;
        metadata_release(&batch->metadata);
        free(batch->moves);
        batch->magic = 0;
        free(batch);
        batch = origin;
    }
}

// Home's thread, or the last to return a batch when the home is closed.
static void home_sweep(struct batch_home *home)
{
    struct mailbox_node *node = NULL;
    while ((node = mailbox_take(&home->returned)) != NULL) {
        struct batch *batch =
            (struct batch *)(void *)((char *)node - offsetof(struct batch, returned));
        CHECK(batch->magic == BATCH_MAGIC && batch->home == home);
        home_discharge(home, batch->charged_bytes);
        memory_recycle(home, batch->body_slab.ptr, batch->body_slab.capacity);
        memory_recycle(home, batch->packed_slab.ptr, batch->packed_slab.capacity);
        hold_drop(batch);
    }
}

static void home_free(struct batch_home *home)
{
    home_sweep(home);
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        while (home->free_slabs[class] != NULL) {
            struct free_slab *slab = home->free_slabs[class];
            home->free_slabs[class] = slab->next;
            free(slab);
        }
    }
    home->magic = 0;
    free(home);
}

void batch_home_sweep(struct batch_home *home)
{
    CHECK(home->magic == HOME_MAGIC);
    home_sweep(home);
}

void batch_home_close(struct batch_home *home)
{
    if (home == NULL) {
        return;
    }
    CHECK(home->magic == HOME_MAGIC);
    home_sweep(home);
    if (atomic_fetch_or_explicit(&home->out, HOME_CLOSED, memory_order_acq_rel) == 0) {
        home_free(home);
    }
}

static void batch_return(struct batch *batch)
{
    struct batch_home *home = batch->home;
    if (home == NULL) {
        free(batch->body_slab.ptr);
        hold_drop(batch);
        return;
    }
    // First the post, then the count: while `out` counts this batch the home cannot go.
    mailbox_post(&home->returned, &batch->returned);
    if (atomic_fetch_sub_explicit(&home->out, 1, memory_order_acq_rel) == (HOME_CLOSED | 1)) {
        home_free(home);
    }
}

void batch_release(struct batch **batch_ptr)
{
    struct batch *batch = *batch_ptr;
    *batch_ptr = NULL;
    if (batch == NULL) {
        return;
    }
    CHECK(batch->magic == BATCH_MAGIC);
    unsigned before = atomic_fetch_sub_explicit(&batch->views, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        batch_return(batch);
    }
}

bool batch_let_go(struct batch *batch, size_t bytes)
{
    CHECK(batch->magic == BATCH_MAGIC);
    size_t before = atomic_fetch_sub_explicit(&batch->live_bytes, bytes, memory_order_relaxed);
    CHECK(before >= bytes);
    return batch->body.len > DETACH_BYTES_MIN && before - bytes < batch->body.len / 4;
}
