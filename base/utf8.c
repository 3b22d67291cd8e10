// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 validity at the speed of memory where text is ASCII, and at about a byte per clock where it
// is not. ASCII goes 64 bytes at a time (compiler vectors, so SSE2 and NEON alike). Everything else
// runs through an automaton that keeps its state as a shift count: a row of the table is, for one
// byte, the next state of each state, six bits each, so that a step is one load that depends only
// on the byte, and one shift. The error state is 0 and row entries that are not named lead there;
// nothing leads out, so it is looked at once per block.
//
// Refused: byte shuffles with 16-entry tables (faster, but SSSE3 at least, so dispatch at run
// time), and a decoder with a branch per character, which mixed scripts mispredict. Pure; reads
// nothing beyond `len`.
#include "base/utf8.h"

#include <string.h>

enum { BLOCK = 64 };

// States, as shift counts. TAIL_n: n continuation bytes to come; AFTER_x: the byte after lead x,
// whose range is narrower.
enum {
    BROKEN = 0,
    BORDER = 6,
    TAIL_1 = 12,
    TAIL_2 = 18,
    TAIL_3 = 24,
    AFTER_E0 = 30,
    AFTER_ED = 36,
    AFTER_F0 = 42,
    AFTER_F4 = 48
};

#define STEP(from, to) ((uint64_t)(to) << (from))
#define TAILS (STEP(TAIL_1, BORDER) | STEP(TAIL_2, TAIL_1) | STEP(TAIL_3, TAIL_2))

// RFC 3629, section 4, "Syntax of UTF-8 Byte Sequences".
static const uint64_t steps[256] = {
    [0x00 ... 0x7f] = STEP(BORDER, BORDER),
    [0x80 ... 0x8f] = TAILS | STEP(AFTER_ED, TAIL_1) | STEP(AFTER_F4, TAIL_2),
    [0x90 ... 0x9f] = TAILS | STEP(AFTER_ED, TAIL_1) | STEP(AFTER_F0, TAIL_2),
    [0xa0 ... 0xbf] = TAILS | STEP(AFTER_E0, TAIL_1) | STEP(AFTER_F0, TAIL_2),
    [0xc2 ... 0xdf] = STEP(BORDER, TAIL_1),
    [0xe0] = STEP(BORDER, AFTER_E0),
    [0xe1 ... 0xec] = STEP(BORDER, TAIL_2),
    [0xed] = STEP(BORDER, AFTER_ED),
    [0xee ... 0xef] = STEP(BORDER, TAIL_2),
    [0xf0] = STEP(BORDER, AFTER_F0),
    [0xf1 ... 0xf3] = STEP(BORDER, TAIL_3),
    [0xf4] = STEP(BORDER, AFTER_F4),
};

typedef uint64_t vector __attribute__((vector_size(16)));

static bool block_is_ascii(const uint8_t *ptr)
{
    vector lanes[BLOCK / sizeof(vector)];
    memcpy(lanes, ptr, sizeof lanes);
    vector any = (lanes[0] | lanes[1]) | (lanes[2] | lanes[3]);
    return ((any[0] | any[1]) & UINT64_C(0x8080808080808080)) == 0;
}

static unsigned run(unsigned state, const uint8_t *ptr, size_t len)
{
    uint64_t shift = state;
    for (size_t i = 0; i < len; i++) {
        shift = steps[ptr[i]] >> (shift & 63);
    }
    return (unsigned)(shift & 63);
}

bool utf8_is_valid(struct bytes text)
{
    const uint8_t *ptr = text.ptr;
    size_t len = text.len;
    unsigned state = BORDER;
    while (len >= BLOCK) {
        if (state != BORDER || !block_is_ascii(ptr)) {
            state = run(state, ptr, BLOCK);
            if (state == BROKEN) {
                return false;
            }
        }
        ptr += BLOCK;
        len -= BLOCK;
    }
    uint64_t word;
    while (state == BORDER && len >= sizeof word) {
        memcpy(&word, ptr, sizeof word);
        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }
        ptr += sizeof word;
        len -= sizeof word;
    }
    return run(state, ptr, len) == BORDER;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

struct bytes utf8_prefix(struct bytes text, size_t len_max)
{
    if (text.len <= len_max) {
        return text;
    }
    size_t len = len_max;
    // A character has at most three continuation bytes; more are no text, cut anywhere.
    for (unsigned i = 0; i < 3 && len > 0 && is_continuation(text.ptr[len]); i++) {
        len--;
    }
    return bytes_slice(text, 0, is_continuation(text.ptr[len]) ? len_max : len);
}

struct bytes utf8_suffix(struct bytes text, size_t len_max)
{
    if (text.len <= len_max) {
        return text;
    }
    size_t at = text.len - len_max;
    for (unsigned i = 0; i < 3 && at < text.len && is_continuation(text.ptr[at]); i++) {
        at++;
    }
    if (at < text.len && is_continuation(text.ptr[at])) {
        at = text.len - len_max;
    }
    return bytes_slice(text, at, SIZE_MAX);
}
