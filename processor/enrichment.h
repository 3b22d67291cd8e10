// SPDX-License-Identifier: Apache-2.0
// The attributes that a graded target carries (DESIGN 6, "What is written on a scored span") and
// OpenInference's evaluations.<i>.evaluation.* (spec/annotations.md). Pure but for the parcel.
#pragma once

#include "processor/grade.h"
#include "proto/parcel.h"

// Edits the held span: incoming sidejudge.* are taken out unless `trust_upstream`, ours appended.
// RESULT_SHED: no edit memory left; the span stays as it was.
enum result enrich_span(struct parcel *parcel, const struct item_place *place,
                        const struct grade *grade, const struct evaluation_plan *plan,
                        bool trust_upstream) MUST_USE;
// Writes the same attributes as fields `number`, evaluations numbered from `evaluation_next`.
void enrichment_write(struct buffer *out, uint32_t number, const struct grade *grade,
                      const struct evaluation_plan *plan, unsigned evaluation_next);
// One above the highest index of evaluations.<i> or annotations.<i> in the attributes.
unsigned enrichment_next_index(struct bytes attributes);
