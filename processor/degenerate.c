// SPDX-License-Identifier: Apache-2.0
//
// Repetition by distinct word triples: prose of any length keeps most of its triples distinct, a
// loop does not. Copies of the question and answers without a letter or digit are 0 outright.
//
// Refused: compression ratio (it depends on length and language).
//
// Bounds: the first 8,192 words.

#include "processor/degenerate.h"

#include "processor/words.h"

#define WORDS_READ_MAX 8192
#define TRIPLES_FREE 8      // shorter answers cannot be told from ordinary ones
#define ORDINARY_SHARE 0.7  // distinct triples in repetitive but ordinary prose (lists, tables)

static bool is_copy(struct bytes response, struct bytes question)
{
    struct bytes a = bytes_trim(response), b = bytes_trim(question);
    return a.len >= 16 && bytes_equal(a, b);
}

double degenerate_score(struct bytes response, struct bytes question)
{
    struct word_walk walk = {response};
    struct bytes word;
    struct words seen;
    uint32_t last = 0, before = 0;
    unsigned words = 0, triples = 0, distinct = 0;
    if (is_copy(response, question)) {
        return 0;
    }
    words_init(&seen);
    while (words < WORDS_READ_MAX && word_next(&walk, &word)) {
        uint32_t hash = word_hash(word);
        if (++words >= 3 && seen.count < WORDS_MAX) {
            uint32_t triple = hash * 0x9e3779b1U + last * 0x85ebca77U + before * 0xc2b2ae3dU;
            triples++;
            distinct += words_add(&seen, triple != 0 ? triple : 1);
        }
        before = last;
        last = hash;
    }
    if (words == 0) {
        return 0;
    }
    if (triples <= TRIPLES_FREE) {
        return 1;
    }
    double share = (double)distinct / triples / ORDINARY_SHARE;
    return share < 1 ? share : 1;
}
