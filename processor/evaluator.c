// SPDX-License-Identifier: Apache-2.0
//
// The deterministic evaluators of this build in one visible list, and what all scores share: the
// label that a threshold gives.
//
// Refused: registration at start.
//
// Pure; any thread.
#include "processor/evaluator.h"

#include <stdio.h>

extern const struct evaluator_ops evaluator_valid_json, evaluator_degenerate,
    evaluator_context_overlap, evaluator_question_overlap;

const struct evaluator_ops *const deterministic_evaluators[] = {
    &evaluator_valid_json, &evaluator_degenerate, &evaluator_context_overlap,
    &evaluator_question_overlap, NULL};

void score_settle(const struct evaluator *evaluator, struct score *score)
{
    const char *label = "";
    switch (score->outcome) {
    case OUTCOME_NOT_APPLICABLE:
        label = "not_applicable";
        break;
    case OUTCOME_ERROR:
        label = "error";
        break;
    case OUTCOME_SCORE:
        if (score->label[0] != '\0' || !evaluator->has_threshold) {
            return;
        }
        label = score->value < evaluator->threshold ? "fail" : "pass";
        break;
    }
    snprintf(score->label, sizeof(score->label), "%s", label);
}
