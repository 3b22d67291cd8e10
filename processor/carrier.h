// SPDX-License-Identifier: Apache-2.0
// A carrier: the span that brings scores whose target has left (eval-backends.md 2.7; OpenInference
// spec/annotations.md): in the target's trace, under the target, kind EVALUATOR, exactly one link
// to the target, as long as nothing (start = end = the target's end). Its span id is the first 8
// bytes of SHA-256 over (trace id, target span id, evaluators' epochs, row version), so that it
// repeats identically. Pure.
#pragma once

#include "processor/grade.h"

// Appends a whole ExportTraceServiceRequest with the one span.
void carrier_write(struct buffer *out, const struct grade *grade,
                   const struct evaluation_plan *plan);
void carrier_span_id(const struct grade *grade, const struct evaluation_plan *plan,
                     struct span_id *id);
