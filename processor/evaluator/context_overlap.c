// SPDX-License-Identifier: Apache-2.0
//
// Evaluator `context_overlap`: the share of the response's content words, numbers counted double,
// that occur in the retrieved contexts or tool results. Word overlap is not faithfulness: a
// correct paraphrase scores low, one wrong word scores high. Not applicable without contexts.
//
// Pure.

#include <stdio.h>

#include "processor/evaluator.h"
#include "processor/words.h"

static size_t material_collect(const struct interaction *interaction, struct words *words)
{
    size_t parts = 0;
    for (size_t i = 0; i < interaction->context_count; i++) {
        words_add_text(words, interaction->contexts[i]);
        parts += interaction->contexts[i].len > 0;
    }
    for (size_t i = 0; i < interaction->tool_call_count; i++) {
        words_add_text(words, interaction->tool_calls[i].result);
        parts += interaction->tool_calls[i].result.len > 0;
    }
    return parts;
}

static void grade(const void *prepared, const struct interaction *interaction, struct score *score)
{
    (void)prepared;
    struct words material;
    words_init(&material);
    size_t parts = material_collect(interaction, &material);
    struct word_walk walk = {interaction->response};
    struct bytes word;
    unsigned all = 0, found = 0, numbers_missing = 0;
    while (parts > 0 && word_next(&walk, &word)) {
        if (word_is_common(word)) {
            continue;
        }
        unsigned weight = word_has_digit(word) ? 2 : 1;
        bool known = words_contain(&material, word_hash(word));
        all += weight;
        found += known ? weight : 0;
        numbers_missing += !known && weight == 2;
    }
    if (all == 0) {
        score->outcome = OUTCOME_NOT_APPLICABLE;
        return;
    }
    score->outcome = OUTCOME_SCORE;
    score->value = (double)found / all;
    if (numbers_missing > 0) {
        snprintf(score->explanation, sizeof(score->explanation),
                 "%u number(s) of the response do not occur in the contexts", numbers_missing);
    }
}

const struct evaluator_ops evaluator_context_overlap = {
    .type = "context_overlap",
    .doc = "Share of the response's content words that occur in contexts or tool results (words "
           "only, not meaning).",
    .grade = grade};
