// SPDX-License-Identifier: Apache-2.0
// The span that brings scores to backends that read them off spans (eval-backends 2.7): in the
// target's trace and Resource, under the target, kind EVALUATOR, exactly one link to the target,
// start and end at the target's end. Its id is the first 8 bytes of a hash over the scores' ids, so
// that a repetition is the same span. Pure; any thread.
#pragma once

#include "exporter/score/score_encoder.h"

struct score_carrier {  // open messages
    size_t resource, scopes, span;
};

// Appends a ResourceSpans with the span, up to where a form adds its attributes and events.
void score_carrier_begin(struct score_carrier *carrier, struct buffer *out,
                         const struct score_entry *entries, size_t count);
void score_carrier_end(const struct score_carrier *carrier, struct buffer *out);
