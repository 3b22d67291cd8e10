// SPDX-License-Identifier: Apache-2.0
// What a judge is asked to look for: built in, or read from a file. Start only.
#pragma once

#include "base/arena.h"
#include "base/result.h"
#include "processor/evaluator.h"

struct rubric {  // built-in or from a file; immutable
    char name[EVALUATOR_NAME_MAX];
    struct bytes instructions;  // what to look for
    bool needs_contexts;        // not applicable without contexts (or tool results)
    bool needs_question;
};
// "faithfulness", "answer_relevance", or "file:/path". RESULT_MISSING / RESULT_FAIL with a
// sentence. Copies into the arena.
enum result rubric_load(struct bytes name_or_file, struct arena *arena,
                        const struct rubric **rubric, char *why, size_t why_len) MUST_USE;
