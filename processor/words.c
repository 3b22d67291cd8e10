// SPDX-License-Identifier: Apache-2.0
//
// Cutting text into words and keeping sets of them as 32-bit hashes: enough for a share, and a
// collision in four billion moves it by nothing.
//
// Refused: stemming and dictionaries (one language, and the evaluators promise no meaning).
// Bounds: 4,096 words a set. Pure.

#include "processor/words.h"

#include <string.h>

#include "base/hash.h"

#define WORD_BYTES_MAX 64

static bool is_word_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

// Bytes of a punctuation mark or blank outside ASCII at i (U+00A0 to BF, U+2000 to 206F, U+3000 to
// 303F: no-break space, dashes, curly quotes, ideographic stops), 0 if none is there.
static size_t mark_len(struct bytes text, size_t i)
{
    const uint8_t *c = text.ptr + i;
    size_t left = text.len - i;
    if (left >= 2 && c[0] == 0xc2 && c[1] >= 0xa0) {
        return 2;
    }
    if (left >= 3 && ((c[0] == 0xe2 && (c[1] == 0x80 || (c[1] == 0x81 && c[2] <= 0xaf))) ||
                      (c[0] == 0xe3 && c[1] == 0x80))) {
        return 3;
    }
    return 0;
}

bool word_next(struct word_walk *walk, struct bytes *word)
{
    size_t i = 0;
    while (i < walk->rest.len) {
        size_t mark = walk->rest.ptr[i] >= 0xc2 ? mark_len(walk->rest, i) : 0;
        if (mark == 0 && is_word_byte(walk->rest.ptr[i])) {
            break;
        }
        i += mark > 0 ? mark : 1;
    }
    size_t from = i;
    while (i < walk->rest.len && is_word_byte(walk->rest.ptr[i]) &&
           (walk->rest.ptr[i] < 0xc2 || mark_len(walk->rest, i) == 0)) {
        i++;
    }
    *word = bytes_slice(walk->rest, from, i - from);
    walk->rest = bytes_slice(walk->rest, i, SIZE_MAX);
    return word->len > 0;
}

// Very common English words, by length: one row is compared with one memcmp.
static const char common_1[] = "ai";
static const char common_2[] = "anasatbebydoifinisitmemyofonorsotowe";
static const char common_3[] = "andarebutcanforhashowitsnotourthewaswhoyou";
static const char common_4[] = "doesfromhavethattheythiswerewhatwhenwillwithyour";
static const char common_5[] = "theirtherewherewhichwould";

bool word_is_common(struct bytes word)
{
    static const struct {
        const char *words;
        size_t bytes;
    } rows[] = {{common_1, sizeof(common_1) - 1},
                {common_2, sizeof(common_2) - 1},
                {common_3, sizeof(common_3) - 1},
                {common_4, sizeof(common_4) - 1},
                {common_5, sizeof(common_5) - 1}};
    uint8_t folded[8];
    if (word.len == 0 || word.len > sizeof(rows) / sizeof(rows[0])) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        folded[i] = word.ptr[i] | 0x20;  // letters fold; what else it makes of a byte is no letter
    }
    for (size_t i = 0; i < rows[word.len - 1].bytes; i += word.len) {
        if (rows[word.len - 1].words[i] == (char)folded[0] &&
            memcmp(rows[word.len - 1].words + i, folded, word.len) == 0) {
            return true;
        }
    }
    return false;
}

bool word_has_digit(struct bytes word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] >= '0' && word.ptr[i] <= '9') {
            return true;
        }
    }
    return false;
}

// Short words, nearly all there are, fit a machine word and one multiplication.
static uint64_t short_hash(const uint8_t *folded, size_t len)
{
    uint64_t packed = 0;
    memcpy(&packed, folded, len);
    packed = (packed ^ len) * UINT64_C(0x9e3779b97f4a7c15);
    return packed ^ packed >> 32;
}

uint32_t word_hash(struct bytes word)
{
    uint8_t folded[WORD_BYTES_MAX];
    size_t len = word.len < sizeof(folded) ? word.len : sizeof(folded);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = word.ptr[i];
        folded[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    }
    uint64_t mixed = len <= 8 ? short_hash(folded, len) : hash_stable(folded, len, word.len);
    uint32_t hash = (uint32_t)mixed;
    return hash != 0 ? hash : 1;
}

void words_init(struct words *words)
{
    memset(words, 0, sizeof(*words));
}

static uint32_t *words_slot(const struct words *words, uint32_t hash)
{
    uint32_t i = hash % (2 * WORDS_MAX);
    while (words->slots[i] != 0 && words->slots[i] != hash) {
        i = (i + 1) % (2 * WORDS_MAX);
    }
    return (uint32_t *)(uintptr_t)&words->slots[i];
}

bool words_add(struct words *words, uint32_t hash)
{
    uint32_t *slot = words_slot(words, hash);
    if (*slot != 0 || words->count == WORDS_MAX) {
        return false;
    }
    *slot = hash;
    words->count++;
    return true;
}

bool words_contain(const struct words *words, uint32_t hash)
{
    return *words_slot(words, hash) != 0;
}

void words_add_text(struct words *words, struct bytes text)
{
    struct word_walk walk = {text};
    struct bytes word;
    while (word_next(&walk, &word)) {
        if (!word_is_common(word)) {
            words_add(words, word_hash(word));
        }
    }
}
