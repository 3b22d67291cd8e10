// SPDX-License-Identifier: Apache-2.0
// Words of a text for the overlap evaluators: runs of letters, digits and non-ASCII bytes, ASCII
// folded to lower case, very common English words left out. A set of word hashes, bounded. Pure;
// linear time.
#pragma once

#include "base/bytes.h"

#define WORDS_MAX 4096  // distinct words of one set; further ones are left out

struct words {
    uint32_t slots[2 * WORDS_MAX];  // open addressing; 0 is free
    unsigned count;
};

struct word_walk {
    struct bytes rest;
};

// The next word as it stands in the text; false at the end.
bool word_next(struct word_walk *walk, struct bytes *word);
bool word_is_common(struct bytes word);  // "the", "and", "you" ...: says nothing about content
bool word_has_digit(struct bytes word);
uint32_t word_hash(struct bytes word);  // folded; never 0
void words_init(struct words *words);
bool words_add(struct words *words, uint32_t hash);  // true if it was new
bool words_contain(const struct words *words, uint32_t hash);
void words_add_text(struct words *words, struct bytes text);  // every content word
