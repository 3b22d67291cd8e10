// SPDX-License-Identifier: Apache-2.0
// The scores of one interaction as one batch of SIGNAL_SCORES (proto/score.h): one record per score
// that some exporter of scores sends, in the order of the evaluators, under the target's Resource.
// Pure.
#pragma once

#include "processor/grade.h"

#define SCORE_ROW_VERSION 1u  // of a target's row; later versions come with re-opening

// `sends`: bit set of 1 << enum score_send, what the exporters send. Appends the request; returns
// how many records it holds (0: nothing appended).
uint32_t score_batch_write(struct buffer *out, const struct grade *grade,
                           const struct evaluation_plan *plan, unsigned sends);
