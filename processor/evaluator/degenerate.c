// SPDX-License-Identifier: Apache-2.0
//
// Evaluator `degenerate`: 1 for an ordinary answer, towards 0 the more an answer repeats itself; 0
// for one that is empty of words or copies the question. Measures form only. Not applicable where
// there is no response.
//
// Pure.

#include "processor/degenerate.h"

#include <stdio.h>

#include "processor/evaluator.h"

static void grade(const void *prepared, const struct interaction *interaction, struct score *score)
{
    (void)prepared;
    if (interaction->response.len == 0) {
        score->outcome = OUTCOME_NOT_APPLICABLE;
        return;
    }
    score->outcome = OUTCOME_SCORE;
    score->value = degenerate_score(interaction->response, interaction->question);
    if (score->value < 0.5) {
        snprintf(score->explanation, sizeof(score->explanation),
                 "the response repeats itself, copies the question or holds no words");
    }
}

const struct evaluator_ops evaluator_degenerate = {
    .type = "degenerate",
    .doc = "How far the response is from repeating itself (form only).",
    .grade = grade};
