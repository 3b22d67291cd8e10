// SPDX-License-Identifier: Apache-2.0
// Log records about an interaction: `sidejudge.interaction` (one per decision; the ledger's export)
// and `gen_ai.evaluation.result` (one per score; GenAI conventions, gen-ai-events.md; an error
// carries error.type and no score). Whole ExportLogsServiceRequests; no content. Pure.
#pragma once

#include "processor/grade.h"

// Appends the request; returns how many records it holds (0: nothing appended).
uint32_t record_write_scores(struct buffer *out, const struct grade *grade,
                             const struct evaluation_plan *plan, uint64_t wall_ns);
uint32_t record_write_interaction(struct buffer *out, const struct grade *grade,
                                  const struct evaluation_plan *plan,
                                  const struct option_texts *dimensions, uint64_t wall_ns);
