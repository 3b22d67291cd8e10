// SPDX-License-Identifier: Apache-2.0
//
// Evaluator `question_overlap`: the share of the question's content words that the response takes
// up. Word overlap is not relevance. Not applicable without a question of at least three content
// words and a response.
//
// Pure.

#include "processor/evaluator.h"
#include "processor/words.h"

#define QUESTION_WORDS_MIN 3

static void grade(const void *prepared, const struct interaction *interaction, struct score *score)
{
    (void)prepared;
    struct words question, response;
    words_init(&question);
    words_init(&response);
    words_add_text(&response, interaction->response);
    struct word_walk walk = {interaction->question};
    struct bytes word;
    unsigned found = 0;
    while (word_next(&walk, &word)) {
        if (!word_is_common(word) && words_add(&question, word_hash(word))) {
            found += words_contain(&response, word_hash(word));
        }
    }
    if (question.count < QUESTION_WORDS_MIN || response.count == 0) {
        score->outcome = OUTCOME_NOT_APPLICABLE;
        return;
    }
    score->outcome = OUTCOME_SCORE;
    score->value = (double)found / question.count;
}

const struct evaluator_ops evaluator_question_overlap = {
    .type = "question_overlap",
    .doc = "Share of the question's content words that occur in the response (words only, not "
           "meaning).",
    .grade = grade};
