// SPDX-License-Identifier: Apache-2.0
//
// Repetition by distinct word triples: prose of any length keeps most of its triples distinct, a
// loop does not. Where there are hardly any words, as in languages without blanks between them,
// stretches of twelve bytes stand for the triples. Copies of the question and answers without a
// letter or digit are 0 outright.
//
// Refused: compression ratio (it depends on length and language).
//
// Bounds: the first 8,192 words or stretches.

#include "processor/degenerate.h"

#include "processor/words.h"

#define WORDS_READ_MAX 8192
#define TRIPLES_FREE 8  // shorter answers cannot be told from ordinary ones
#define COPY_BYTES_MIN 16
#define STRETCH_BYTES 12
#define STRETCHED_BYTES_MIN 120
#define ORDINARY_SHARE 0.7  // distinct triples in repetitive but ordinary prose (lists, tables)

// The same words in the same order, whatever their case and punctuation.
static bool is_copy(struct bytes response, struct bytes question)
{
    struct word_walk a = {response}, b = {question};
    struct bytes word, other;
    if (bytes_trim(question).len < COPY_BYTES_MIN) {
        return false;
    }
    while (word_next(&a, &word)) {
        if (!word_next(&b, &other) || word_hash(word) != word_hash(other)) {
            return false;
        }
    }
    return !word_next(&b, &other);
}

static double ordinary(unsigned distinct, unsigned all)
{
    double share = (double)distinct / all / ORDINARY_SHARE;
    return share < 1 ? share : 1;
}

static double stretch_score(struct bytes text)
{
    struct words seen;
    unsigned all = 0, distinct = 0;
    words_init(&seen);
    for (size_t i = 0; i + STRETCH_BYTES <= text.len && seen.count < WORDS_MAX; i++) {
        if (all == WORDS_READ_MAX) {
            break;
        }
        all++;
        distinct += words_add(&seen, word_hash(bytes_slice(text, i, STRETCH_BYTES)));
    }
    return ordinary(distinct, all);
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
    if (triples > TRIPLES_FREE) {
        return ordinary(distinct, triples);
    }
    struct bytes text = bytes_trim(response);
    return text.len >= STRETCHED_BYTES_MIN ? stretch_score(text) : 1;
}
