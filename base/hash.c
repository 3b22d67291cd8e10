// SPDX-License-Identifier: Apache-2.0
//
// Two kinds of hash. XXH3 is for tables: inlined from the library's header, because a call would
// cost as much as hashing a key of 16 bytes does. SHA-256 is for identities that leave the process.
// The seed of hash_keyed is drawn once per process, so that a sender cannot choose keys that fall
// into one slot; whoever comes first sets it, the others take what was set. Refused: OpenSSL's
// one-shot SHA256(), deprecated since 3.0. SHA-256 aborts when it gets no memory for its context of
// some 200 bytes. CRC-32C is isa-l's, which asks the processor once what it can do. Any thread.
#include "base/hash.h"

#include <stdatomic.h>

#define XXH_INLINE_ALL
#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/random.h"

static _Atomic uint64_t process_seed;  // 0: not drawn yet

static uint64_t seed_draw(void)
{
    uint64_t seed = random_entropy() | 1;
    uint64_t drawn = 0;
    if (!atomic_compare_exchange_strong(&process_seed, &drawn, seed)) {
        seed = drawn;
    }
    return seed;
}

uint64_t hash_keyed(const void *ptr, size_t len)
{
    uint64_t seed = atomic_load_explicit(&process_seed, memory_order_relaxed);
    if (seed == 0) {
        seed = seed_draw();
    }
    return hash_stable(ptr, len, seed);
}

uint64_t hash_stable(const void *ptr, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(ptr, len, seed);
}

void hash_sha256(struct bytes view, uint8_t out[32])
{
    struct hash_sha256_stream *stream = hash_sha256_begin();
    hash_sha256_add(stream, view);
    hash_sha256_end(stream, out);
}

// The stream is OpenSSL's own context under a name of ours.
static EVP_MD_CTX *context_of(struct hash_sha256_stream *stream)
{
    CHECK(stream);
    return (EVP_MD_CTX *)stream;
}

struct hash_sha256_stream *hash_sha256_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context);
    CHECK(EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    return (struct hash_sha256_stream *)context;
}

void hash_sha256_add(struct hash_sha256_stream *stream, struct bytes view)
{
    if (view.len > 0) {
        CHECK(EVP_DigestUpdate(context_of(stream), view.ptr, view.len) == 1);
    }
}

void hash_sha256_end(struct hash_sha256_stream *stream, uint8_t out[32])
{
    unsigned len = 0;
    CHECK(EVP_DigestFinal_ex(context_of(stream), out, &len) == 1 && len == 32);
    EVP_MD_CTX_free(context_of(stream));
}

uint32_t hash_crc32c(uint32_t seed, struct bytes view)
{
    uint32_t crc = ~seed;
    while (view.len > 0) {
        size_t len = view.len < (1U << 30) ? view.len : 1U << 30;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)view.ptr, (int)len, crc);  // reads only
        view = bytes_slice(view, len, SIZE_MAX);
    }
    return ~crc;
}
