// SPDX-License-Identifier: Apache-2.0
// What a judge reads: the rubric with the form of the answer (trusted), and the transcript of an
// interaction (untrusted, redacted, at most 64 KiB, head and tail of long parts kept), each
// untrusted part between marks that carry a per-call random number, so that nothing inside can
// close them. Pure but for the redactor.
#pragma once

#include "base/buffer.h"
#include "base/random.h"
#include "processor/interaction.h"
#include "processor/judge.h"
#include "processor/redaction.h"

#define TRANSCRIPT_BYTES_MAX ((size_t)64 << 10)

struct prompt_mark {
    char text[20];  // 16 hex digits
};

struct prompt_mark prompt_mark_new(struct random *random);
// Appends the transcript. RESULT_TOO_LARGE cannot happen: parts are cut to fit.
void prompt_write_transcript(const struct interaction *interaction, struct redactor *redactor,
                             const struct prompt_mark *mark, struct buffer *out);
// Appends the instructions that stand before it: the task, the rubric, the form of the answer, what
// the marks mean.
void prompt_write_instructions(const struct rubric *rubric, const struct prompt_mark *mark,
                               struct buffer *out);
// Identifies judge, model, rubric and prompt: 16 hex digits. Scores of different epochs are never
// averaged.
void prompt_epoch(struct bytes judge, struct bytes model, const struct rubric *rubric,
                  char out[17]);
