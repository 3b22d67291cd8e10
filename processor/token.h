// SPDX-License-Identifier: Apache-2.0
// What redaction cuts text into, and the kinds of characters that it tells apart: ASCII only, so
// that bytes of other characters end a token. Pure.
#pragma once

#include "base/bytes.h"

struct token {            // a run of letters, digits, _ and -, and what follows
    struct bytes text;    // from its first byte to the end of all
    size_t len;           // of the run
    bool follows_number;  // a digit and a blank stand before it
    bool number_goes_on;  // stands behind a digit and a dot
    bool run_goes_on;     // stands behind a character of such a run or one of + / =
};

struct finding {  // bytes to keep, then bytes to mask
    size_t keep, mask;
};

// Kinds of characters that tokens are made of, as bits; 0: of none.
enum { CHAR_LOWER = 1, CHAR_UPPER = 2, CHAR_DIGIT = 4, CHAR_JOIN = 8 };
static inline uint8_t char_kind(uint8_t c)
{
    static const uint8_t kinds[256] = {['a' ... 'z'] = CHAR_LOWER,
                                       ['A' ... 'Z'] = CHAR_UPPER,
                                       ['0' ... '9'] = CHAR_DIGIT,
                                       ['_'] = CHAR_JOIN,
                                       ['-'] = CHAR_JOIN};
    return kinds[c];
}

static inline bool char_is_digit(uint8_t c)
{
    return char_kind(c) == CHAR_DIGIT;
}

static inline bool char_is_upper(uint8_t c)
{
    return char_kind(c) == CHAR_UPPER;
}

static inline bool char_is_lower(uint8_t c)
{
    return char_kind(c) == CHAR_LOWER;
}

static inline bool char_is_alpha(uint8_t c)
{
    return (char_kind(c) & (CHAR_LOWER | CHAR_UPPER)) != 0;
}

static inline bool char_is_alnum(uint8_t c)
{
    return (char_kind(c) & (CHAR_LOWER | CHAR_UPPER | CHAR_DIGIT)) != 0;
}

static inline bool char_is_token(uint8_t c)
{
    return char_kind(c) != 0;
}

static inline bool char_is_one_of(uint8_t c, const char *set)
{
    while (*set != '\0' && (uint8_t)*set != c) {
        set++;
    }
    return *set != '\0';
}

// The byte at i, 0 behind the end.
static inline uint8_t char_at(struct bytes text, size_t i)
{
    return i < text.len ? text.ptr[i] : 0;
}
