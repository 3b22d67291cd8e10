// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648): bytes in JSON, and gRPC's "-bin" metadata. Pure; any thread.
#pragma once

#include "base/buffer.h"

// Upper bound of what decoding `len` characters yields.
static inline size_t base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 3;
}

// Appends the standard alphabet's form; gRPC metadata goes without padding, JSON with it.
void base64_encode(struct bytes data, bool with_padding, struct buffer *out);

// Appends the bytes. Takes both alphabets (sections 4 and 5), padded or not, nothing else: false,
// with `out` as it was, on any other character, on a length that cannot be, on bits left over.
bool base64_decode(struct bytes text, struct buffer *out);
