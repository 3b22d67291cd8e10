// SPDX-License-Identifier: Apache-2.0
// Header fields of a request that travel with its telemetry, so that an exporter can show the
// agent's own credentials to the backend (include_metadata, headers_setter). A counted, immutable
// object: every batch of one request holds the same. Values are secrets: never logged, wiped at the
// end. Bounds: METADATA_PAIRS_MAX fields, METADATA_BYTES_MAX bytes of names and values. Any thread.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

#define METADATA_BYTES_MAX ((size_t)4096)
#define METADATA_PAIRS_MAX 16

struct metadata;

struct metadata_pair {
    struct bytes key;  // lower case
    struct bytes value;
};

// Copies the pairs; one reference, the caller's. RESULT_TOO_LARGE: beyond a bound; RESULT_SHED: no
// memory. Without a pair, *made is NULL.
enum result metadata_make(const struct metadata_pair *pairs, size_t count,
                          struct metadata **made) MUST_USE;
struct metadata *metadata_hold(struct metadata *metadata);  // accepts NULL; returns its argument
void metadata_release(struct metadata **metadata);          // accepts NULL inside
// The value of `key`; false when the request did not carry it. Accepts NULL.
bool metadata_find(const struct metadata *metadata, struct bytes key, struct bytes *value);
// Same keys with same values in the same order; NULL is equal to NULL only.
bool metadata_equal(const struct metadata *a, const struct metadata *b);
// Overwrites every value of six bytes or more in a text for people. Accepts NULL.
void metadata_mask(const struct metadata *metadata, char *text);
// The same for one secret, and for its beginning where the text ends within it.
void metadata_mask_value(struct bytes secret, char *text);
