// SPDX-License-Identifier: Apache-2.0
//
// The built-in rubrics and rubrics from files. A rubric says what to look for; how to answer is
// the prompt's business, so that every judge gets the same form.
//
// Refused: templates with placeholders in rubric files (the transcript has one shape). Bounds: 32
// KiB a file.

#include "processor/rubric.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/utf8.h"

#define RUBRIC_BYTES_MAX ((size_t)32 << 10)

static const struct rubric built_in[] = {
    {.name = "faithfulness",
     .needs_contexts = true,
     .instructions =
         BYTES_LITERAL("Question to answer: is every claim of the RESPONSE supported by the "
                       "CONTEXTS and the results of the TOOL CALLS?\n"
                       "List for yourself each factual claim of the response. A claim is supported "
                       "when the contexts or tool results state it or it "
                       "follows from them directly; general politeness, offers of help and "
                       "restatements of the question are not claims. One "
                       "unsupported or contradicted claim makes the response unfaithful, however "
                       "small it looks: a wrong number, period, name or "
                       "condition counts. What you know yourself is no support. Calls that the "
                       "SYSTEM instructions forbid, and statements that "
                       "such a call was right, are unfaithful too.\n"
                       "score 1: every claim is supported. score 0: a claim that matters to the "
                       "user is unsupported or contradicted. Between: "
                       "only side remarks are unsupported.\n"
                       "evidence: the sentence of the response that is unsupported, word for word; "
                       "empty when there is none.")},
    {.name = "answer_relevance",
     .needs_question = true,
     .instructions = BYTES_LITERAL(
         "Question to answer: does the RESPONSE answer the QUESTION that was asked?\n"
         "Judge only whether the question is answered, not whether the answer is true. An answer "
         "to another question, an evasion, "
         "a copy of the question, or a promise without the thing asked for is not an answer. A "
         "justified refusal, and a request for "
         "information that is really needed, are answers. When the question has parts, each part "
         "counts.\n"
         "score 1: answered. score 0: not answered. Between: some parts are answered.\n"
         "evidence: the sentence of the response that misses the question most, word for word; "
         "empty when there is none.")},
};

static enum result rubric_read(struct bytes path, struct arena *arena, struct rubric *rubric,
                               char *why, size_t why_len)
{
    struct buffer text;
    buffer_init(&text, RUBRIC_BYTES_MAX);
    char name[512];
    snprintf(name, sizeof(name), "%.*s", BYTES_PRINTF(path));
    enum result result = file_read(name, &text);
    if (result == RESULT_OK && (text.len == 0 || !utf8_is_valid(buffer_view(&text)))) {
        snprintf(why, why_len, "rubric %s is empty or not UTF-8", name);
        result = RESULT_FAIL;
    } else if (result != RESULT_OK) {
        snprintf(why, why_len, "cannot read the rubric %s: %s", name,
                 result == RESULT_MISSING     ? "no such file"
                 : result == RESULT_TOO_LARGE ? "larger than 32 KiB"
                                              : "the file cannot be read");
    } else {
        rubric->instructions = arena_copy(arena, buffer_view(&text));
        rubric->needs_question = true;
    }
    buffer_fini(&text);
    return result;
}

enum result rubric_load(struct bytes name_or_file, struct arena *arena,
                        const struct rubric **rubric, char *why, size_t why_len)
{
    for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
        if (bytes_equal_text(name_or_file, built_in[i].name)) {
            *rubric = &built_in[i];
            return RESULT_OK;
        }
    }
    if (!bytes_start_with(name_or_file, BYTES_LITERAL("file:"))) {
        snprintf(
            why, why_len,
            "unknown rubric \"%.*s\" (valid values: faithfulness, answer_relevance, file:/path)",
            BYTES_PRINTF(name_or_file));
        return RESULT_MISSING;
    }
    struct rubric *made = arena_zalloc(arena, sizeof(*made));
    CHECK(made != NULL);
    snprintf(made->name, sizeof(made->name), "file");
    enum result result =
        rubric_read(bytes_slice(name_or_file, 5, SIZE_MAX), arena, made, why, why_len);
    if (result == RESULT_OK) {
        *rubric = made;
    }
    return result;
}
