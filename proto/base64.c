// SPDX-License-Identifier: Apache-2.0
//
// Base64 by a table of 256: one load per character, both alphabets in the same table, because the
// proto3 JSON mapping accepts either. Refused: white space and line breaks inside, which RFC 4648
// (section 3.1) leaves to formats that ask for them, and stray bits at the end (section 3.5), since
// two texts for one value invite trouble. No state; output is bounded by the buffer.
#include "proto/base64.h"

#define SYMBOL(character, value) [character] = (value) + 1
#define SYMBOLS_4(character, value)                                                                \
    SYMBOL(character, value), SYMBOL((character) + 1, (value) + 1),                                \
        SYMBOL((character) + 2, (value) + 2), SYMBOL((character) + 3, (value) + 3)
#define SYMBOLS_24(character, value)                                                               \
    SYMBOLS_4(character, value), SYMBOLS_4((character) + 4, (value) + 4),                          \
        SYMBOLS_4((character) + 8, (value) + 8), SYMBOLS_4((character) + 12, (value) + 12),        \
        SYMBOLS_4((character) + 16, (value) + 16), SYMBOLS_4((character) + 20, (value) + 20)

// Value + 1; 0 is no symbol.
static const uint8_t symbols[256] = {
    SYMBOLS_24('A', 0),  SYMBOL('Y', 24),    SYMBOL('Z', 25), SYMBOLS_24('a', 26), SYMBOL('y', 50),
    SYMBOL('z', 51),     SYMBOLS_4('0', 52), SYMBOLS_4('4', 56), SYMBOL('8', 60),  SYMBOL('9', 61),
    SYMBOL('+', 62),     SYMBOL('/', 63),    SYMBOL('-', 62), SYMBOL('_', 63),
};

void base64_encode(struct bytes data, bool with_padding, struct buffer *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < data.len; at += 3) {
        size_t len = data.len - at < 3 ? data.len - at : 3;
        uint32_t bits = (uint32_t)data.ptr[at] << 16;
        bits |= len > 1 ? (uint32_t)data.ptr[at + 1] << 8 : 0;
        bits |= len > 2 ? (uint32_t)data.ptr[at + 2] : 0;
        char group[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
                         len > 1 ? alphabet[bits >> 6 & 63] : '=',
                         len > 2 ? alphabet[bits & 63] : '='};
        buffer_append(out, group, with_padding ? 4 : len + 1);
    }
}

static struct bytes without_padding(struct bytes text)
{
    if (text.len % 4 == 0 && text.len > 0 && text.ptr[text.len - 1] == '=') {
        text.len--;
        text.len -= text.ptr[text.len - 1] == '=';
    }
    return text;
}

bool base64_decode(struct bytes text, struct buffer *out)
{
    text = without_padding(text);
    uint8_t *room = buffer_reserve(out, base64_decoded_max(text.len));
    if (room == NULL || text.len % 4 == 1) {
        return false;
    }
    uint8_t *end = room;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t symbol = symbols[text.ptr[i]];
        if (symbol == 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)(symbol - 1)) & 0xffffff;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            *end++ = (uint8_t)(bits >> bit_count);
        }
    }
    if ((bits & ((1U << bit_count) - 1)) != 0) {
        return false;
    }
    buffer_commit(out, (size_t)(end - room));
    return true;
}
