// SPDX-License-Identifier: Apache-2.0
//
// Trace and span ids are compared and tested as machine words, loaded by memcpy because on the wire
// they stand at any address. Hex goes both ways by a nibble each: ids are printed in logs and
// answers, never on the hot path, so no table is kept warm for them. Refused: ids as pairs of
// integers, whose byte order every reader would have to recall.
#include "base/ids.h"

#include <string.h>

static uint64_t word_at(const uint8_t *ptr)
{
    uint64_t word;
    memcpy(&word, ptr, sizeof word);
    return word;
}

bool trace_id_is_zero(const struct trace_id *id)
{
    return (word_at(id->bytes) | word_at(id->bytes + 8)) == 0;
}

bool span_id_is_zero(const struct span_id *id)
{
    return word_at(id->bytes) == 0;
}

bool trace_id_equal(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool span_id_equal(const struct span_id *a, const struct span_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void hex_encode(const uint8_t *in, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

// 0 to 15, or 16 for what is no hex digit.
static unsigned nibble_of(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - (unsigned)'0';
    }
    digit |= 0x20;
    if (digit >= 'a' && digit <= 'f') {
        return digit - (unsigned)'a' + 10;
    }
    return 16;
}

bool hex_decode(struct bytes text, uint8_t *out, size_t out_len)
{
    if (text.len / 2 != out_len || text.len % 2 != 0) {
        return false;
    }
    unsigned bad = 0;
    for (size_t i = 0; i < text.len; i++) {
        bad |= nibble_of(text.ptr[i]) & 16;
    }
    if (bad) {
        return false;
    }
    for (size_t i = 0; i < out_len; i++) {
        out[i] = (uint8_t)(nibble_of(text.ptr[2 * i]) << 4 | nibble_of(text.ptr[2 * i + 1]));
    }
    return true;
}
