// SPDX-License-Identifier: Apache-2.0
// Hashes: XXH3 (libxxhash) seeded per process for tables that hostile keys reach, unseeded for
// values that must be equal everywhere; SHA-256 (OpenSSL) for identities, which aborts when there
// is no memory for its context; CRC-32C for records on disk. Pure; any thread.
#pragma once

#include "base/bytes.h"

// Process-random seed, drawn at first use.
uint64_t hash_keyed(const void *ptr, size_t len);
// Same in every process and version.
uint64_t hash_stable(const void *ptr, size_t len, uint64_t seed);
void hash_sha256(struct bytes view, uint8_t out[32]);

struct hash_sha256_stream;  // incremental
struct hash_sha256_stream *hash_sha256_begin(void);
void hash_sha256_add(struct hash_sha256_stream *stream, struct bytes view);
void hash_sha256_end(struct hash_sha256_stream *stream, uint8_t out[32]);  // frees the stream
// CRC-32C (Castagnoli; RFC 3720 12.1), by isa-l. `seed` is 0, or the value of what comes before.
uint32_t hash_crc32c(uint32_t seed, struct bytes view);
