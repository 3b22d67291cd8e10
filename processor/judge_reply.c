// SPDX-License-Identifier: Apache-2.0
//
// Reading a judge's structured answer: exactly {reason, evidence, score}, score a number in [0,1].
// Anything else is an error, never a score and never a 0.
//
// Refused: looking for a number in prose. Bounds: 64 KiB of answer; texts cut at the score's
// fields. Judge thread.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "processor/judge_api.h"
#include "processor/redaction.h"

#define REPLY_BYTES_MAX ((size_t)64 << 10)

const char judge_reply_schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"reason\":{\"type\":\"string\",\"description\":\"At most three sentences: what decided.\"},"
    "\"evidence\":{\"type\":\"string\",\"description\":\"The failing sentence of the response, "
    "word for word; empty when there is none.\"},"
    "\"score\":{\"type\":\"number\",\"description\":\"0 (bad) to 1 (good).\"}},"
    "\"required\":[\"reason\",\"evidence\",\"score\"],\"additionalProperties\":false}";

uint64_t judge_tokens(const struct json_value *usage, const char *name)
{
    int64_t count = json_int(json_get(usage, name), 0);
    count = count < 0 ? 0 : count;
    return (uint64_t)(count < JUDGE_TOKENS_MAX ? count : JUDGE_TOKENS_MAX);
}

static void set_error(struct score *score, const char *problem)
{
    memset(score, 0, sizeof(*score));
    score->outcome = OUTCOME_ERROR;
    snprintf(score->explanation, sizeof(score->explanation), "%s", problem);
}

// Masked, then cut at a character border.
static void copy_masked(struct bytes text, struct redactor *redactor, char *out, size_t out_len)
{
    struct buffer masked;
    buffer_init(&masked, REPLY_BYTES_MAX);
    (void)redact(redactor, utf8_prefix(text, REPLY_BYTES_MAX / 2), &masked);
    struct bytes cut = utf8_prefix(buffer_view(&masked), out_len - 1);
    snprintf(out, out_len, "%.*s", BYTES_PRINTF(cut));
    buffer_fini(&masked);
}

static const char *object_problem(const struct json_value *object)
{
    if (json_kind(object) != JSON_OBJECT) {
        return "the judge's answer is not a JSON object";
    }
    if (json_count(object) != 3 || json_kind(json_get(object, "reason")) != JSON_TEXT ||
        json_kind(json_get(object, "evidence")) != JSON_TEXT) {
        return "the judge's answer does not have exactly the members reason, evidence, score";
    }
    enum json_kind kind = json_kind(json_get(object, "score"));
    double value = json_double(json_get(object, "score"), NAN);
    if ((kind != JSON_INT && kind != JSON_DOUBLE) || !(value >= 0 && value <= 1)) {
        return "the judge's score is not a number from 0 to 1";
    }
    if (bytes_trim(json_get_text(object, "reason")).len == 0) {
        return "the judge gave no reason";
    }
    return NULL;
}

void judge_reply_score(const struct judge_answer *answer, struct redactor *redactor,
                       struct score *score)
{
    struct json_document *document = NULL;
    const struct json_value *object = answer->object;
    const char *problem = answer->problem;
    if (problem == NULL && object == NULL) {
        if (answer->text.len > REPLY_BYTES_MAX ||
            json_parse(answer->text, &document, NULL) != RESULT_OK) {
            problem = "the judge's answer is not JSON";
        } else {
            object = json_root(document);
        }
    }
    problem = problem != NULL ? problem : object_problem(object);
    if (problem != NULL) {
        set_error(score, problem);
    } else {
        memset(score, 0, sizeof(*score));
        score->outcome = OUTCOME_SCORE;
        score->value = json_double(json_get(object, "score"), 0);
        copy_masked(json_get_text(object, "reason"), redactor, score->explanation,
                    sizeof(score->explanation));
        copy_masked(json_get_text(object, "evidence"), redactor, score->evidence,
                    sizeof(score->evidence));
    }
    json_free(&document);
}
