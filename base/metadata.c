// SPDX-License-Identifier: Apache-2.0
//
// One allocation holds the pairs and, behind them, their texts. Two requests of one agent have
// equal metadata in two objects, so equality compares contents; a hash kept beside them makes the
// usual "no" cheap. Refused: interning, which would keep credentials in a table that outlives the
// requests. Bounds: metadata.h. Any thread; the count is atomic, all else never changes.
#include "base/metadata.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define MASKED_BYTES_MIN 6
#define METADATA_MAGIC MAGIC('M', 'E', 'T', 'A')

struct metadata {
    uint32_t magic;
    atomic_uint refs;
    uint64_t hash;  // of all texts and where they end
    size_t count, size;
    struct metadata_pair pairs[METADATA_PAIRS_MAX];  // into text
    uint8_t text[];
};

static struct bytes put(uint8_t **at, struct bytes view)
{
    if (view.len > 0) {
        memcpy(*at, view.ptr, view.len);
    }
    struct bytes copy = bytes_from(*at, view.len);
    *at += view.len;
    return copy;
}

enum result metadata_make(const struct metadata_pair *pairs, size_t count, struct metadata **made)
{
    size_t size = 0;
    if (count > METADATA_PAIRS_MAX) {
        return RESULT_TOO_LARGE;
    }
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].key.len > METADATA_BYTES_MAX || pairs[i].value.len > METADATA_BYTES_MAX) {
            return RESULT_TOO_LARGE;
        }
        size += pairs[i].key.len + pairs[i].value.len;
    }
    if (size > METADATA_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    if (count == 0) {
        *made = NULL;
        return RESULT_OK;
    }
    struct metadata *metadata = calloc(1, sizeof *metadata + size);
    if (metadata == NULL) {
        return RESULT_SHED;
    }
    metadata->magic = METADATA_MAGIC;
    metadata->count = count;
    metadata->size = size;
    atomic_init(&metadata->refs, 1);
    uint8_t *at = metadata->text;
    for (size_t i = 0; i < count; i++) {
        metadata->pairs[i].key = put(&at, pairs[i].key);
        metadata->pairs[i].value = put(&at, pairs[i].value);
        metadata->hash = metadata->hash * 31 + pairs[i].key.len;
    }
    metadata->hash ^= hash_keyed(metadata->text, size);
    *made = metadata;
    return RESULT_OK;
}

struct metadata *metadata_hold(struct metadata *metadata)
{
    if (metadata != NULL) {
        CHECK(metadata->magic == METADATA_MAGIC);
        atomic_fetch_add_explicit(&metadata->refs, 1, memory_order_relaxed);
    }
    return metadata;
}

void metadata_release(struct metadata **metadata)
{
    struct metadata *it = *metadata;
    *metadata = NULL;
    if (it == NULL) {
        return;
    }
    CHECK(it->magic == METADATA_MAGIC);
    if (atomic_fetch_sub_explicit(&it->refs, 1, memory_order_acq_rel) == 1) {
        explicit_bzero(it->text, it->size);
        it->magic = 0;
        free(it);
    }
}

bool metadata_find(const struct metadata *metadata, struct bytes key, struct bytes *value)
{
    for (size_t i = 0; metadata != NULL && i < metadata->count; i++) {
        if (bytes_equal(metadata->pairs[i].key, key)) {
            *value = metadata->pairs[i].value;
            return true;
        }
    }
    return false;
}

bool metadata_equal(const struct metadata *a, const struct metadata *b)
{
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL || a->hash != b->hash || a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!bytes_equal(a->pairs[i].key, b->pairs[i].key) ||
            !bytes_equal(a->pairs[i].value, b->pairs[i].value)) {
            return false;
        }
    }
    return true;
}

void metadata_mask_value(struct bytes secret, char *text)
{
    if (secret.len < MASKED_BYTES_MIN) {
        return;
    }
    struct bytes whole = bytes_from_text(text);
    size_t at = 0;
    while ((at = bytes_find(whole, secret, at)) != SIZE_MAX) {
        memset(text + at, '*', secret.len);
        at += secret.len;
    }
    // A text that was cut may end within it.
    size_t most = secret.len - 1 < whole.len ? secret.len - 1 : whole.len;
    for (size_t len = most; len >= MASKED_BYTES_MIN; len--) {
        if (bytes_end_with(whole, bytes_slice(secret, 0, len))) {
            memset(text + whole.len - len, '*', len);
            return;
        }
    }
}

void metadata_mask(const struct metadata *metadata, char *text)
{
    for (size_t i = 0; metadata != NULL && i < metadata->count; i++) {
        struct bytes value = metadata->pairs[i].value;
        metadata_mask_value(value, text);
        size_t space = bytes_find(value, BYTES_LITERAL(" "), 0);
        if (space != SIZE_MAX) {  // without its scheme
            metadata_mask_value(bytes_slice(value, space + 1, SIZE_MAX), text);
        }
    }
}
