// SPDX-License-Identifier: Apache-2.0
// How far a text is from repeating itself: shared by the evaluator of that name and by the quality
// signal. Pure, linear time.
#pragma once

#include "base/bytes.h"

// 1: an ordinary answer. 0: empty, without a letter or digit, a copy of the question, or one
// stretch repeated; between: the share of distinct word triples, scaled so that ordinary prose
// gives 1.
double degenerate_score(struct bytes response, struct bytes question);
