// SPDX-License-Identifier: Apache-2.0
// A plan with four evaluators and a graded interaction, for tests of what is written about it.
#pragma once

#include "processor/grade.h"

struct grade_sample {
    struct evaluation_plan plan;
    struct grade *grade;
};
// Evaluators: degenerate (computed, 1, no threshold), faithfulness (judged 0.25, threshold 0.85:
// fails), answer_relevance (judged, an error), valid_json (not applicable). Picked by the baseline
// and rule "failures".
void grade_sample_open(struct grade_sample *sample);
void grade_sample_close(struct grade_sample *sample);
