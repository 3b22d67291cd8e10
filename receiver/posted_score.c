// SPDX-License-Identifier: Apache-2.0
//
// The body as a tree (base/json.h has the bounds: a mebibyte, depth 64, 65,536 values), then a walk
// over at most ENTRIES_MAX entries. What is bad: false, a number below one half (thumbs and
// booleans are 0 and 1; a scale from 1 to 5 says nothing here unless it goes below), or one of a
// few words. Refused: learning each score's range from the project's configuration, which is a
// request of our own to the backend for every one of the agent's. Bounds: POSTED_SCORES_MAX scores.
// Any thread.
#include "receiver/posted_score.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"

#define ENTRIES_MAX 4096  // of a list
#define WORD_BYTES_MAX 32

enum posted_kind posted_kind_of(struct bytes method, struct bytes path)
{
    if (!bytes_equal_text(method, "POST")) {
        return POSTED_NONE;
    }
    return bytes_equal_text(path, "/api/public/scores")      ? POSTED_SCORE
           : bytes_equal_text(path, "/api/public/ingestion") ? POSTED_BATCH
                                                             : POSTED_NONE;
}

// Case and the sign between words are the writer's taste.
static bool word_is_bad(struct bytes text)
{
    static const char *const words[] = {
        "bad",          "negative",      "no",           "false",       "incorrect", "wrong",
        "poor",         "unhelpful",     "useless",      "not helpful", "fail",      "failed",
        "thumbs down",  "thumbsdown",    "down",         "dislike",     "disliked",  "unsatisfied",
        "dissatisfied", "hallucination", "hallucinated", "irrelevant",  "unsafe",    "toxic",
    };
    char word[WORD_BYTES_MAX];
    text = bytes_trim(text);
    if (text.len >= sizeof word) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        word[i] = byte == '_' || byte == '-' ? ' ' : (char)tolower(byte);
    }
    word[text.len] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

// False: the value says neither good nor bad.
static bool value_read(const struct json_value *value, bool *is_bad)
{
    switch (json_kind(value)) {
    case JSON_BOOL:
        *is_bad = !json_bool(value);
        return true;
    case JSON_INT:
    case JSON_DOUBLE:
        *is_bad = json_double(value, 1) < 0.5;
        return true;
    case JSON_TEXT:
        *is_bad = word_is_bad(json_text(value));
        return true;
    default:
        return false;
    }
}

static bool score_read(const struct json_value *score, struct feedback *feedback)
{
    *feedback = (struct feedback){.is_bad = false};
    struct bytes type = json_get_text(score, "dataType");
    if (bytes_equal_text(type, "TEXT") || bytes_equal_text(type, "CORRECTION") ||
        !hex_decode(json_get_text(score, "traceId"), feedback->trace_id.bytes,
                    sizeof feedback->trace_id.bytes) ||
        trace_id_is_zero(&feedback->trace_id)) {
        return false;
    }
    if (!hex_decode(json_get_text(score, "observationId"), feedback->span_id.bytes,
                    sizeof feedback->span_id.bytes)) {
        feedback->span_id = (struct span_id){{0}};
    }
    return value_read(json_get(score, "value"), &feedback->is_bad);
}

// The score at `index` of what the body holds; NULL: none stands there.
static const struct json_value *score_at(enum posted_kind kind, const struct json_value *root,
                                         size_t index)
{
    if (kind == POSTED_SCORE) {
        return json_kind(root) == JSON_ARRAY ? json_at(root, index) : root;
    }
    const struct json_value *event = json_at(json_get(root, "batch"), index);
    bool is_score = bytes_equal_text(json_get_text(event, "type"), "score-create");
    return is_score ? json_get(event, "body") : NULL;
}

unsigned posted_scores_read(enum posted_kind kind, struct bytes body,
                            void (*each)(void *arg, const struct feedback *feedback), void *arg)
{
    struct json_document *document;
    struct feedback feedback;
    unsigned count = 0;
    if (kind == POSTED_NONE || body.len > POSTED_BYTES_MAX ||
        json_parse(body, &document, NULL) != RESULT_OK) {
        return 0;
    }
    const struct json_value *root = json_root(document);
    const struct json_value *list = kind == POSTED_BATCH ? json_get(root, "batch") : root;
    bool is_one = kind == POSTED_SCORE && json_kind(root) == JSON_OBJECT;
    size_t entries = json_kind(list) == JSON_ARRAY ? json_count(list) : is_one;
    for (size_t i = 0; i < entries && i < ENTRIES_MAX && count < POSTED_SCORES_MAX; i++) {
        if (score_read(score_at(kind, root, i), &feedback)) {
            each(arg, &feedback);
            count++;
        }
    }
    json_free(&document);
    return count;
}
