// SPDX-License-Identifier: Apache-2.0
// The kinds of model API: how a request is written and a reply is read. One file per kind in
// judge/, one exported ops struct each, listed in judge_apis[]. Pure; the judge thread.
#pragma once

#include "base/http_client.h"
#include "base/json.h"
#include "processor/judge.h"

#define JUDGE_HEADERS_MAX 4
#define JUDGE_API_KEY_BYTES_MAX 500  // longer ones do not fit the scratch of headers

struct judge_answer {   // the model's structured answer and what it cost
    struct bytes text;  // the JSON object {reason, evidence, score}; into the document
    const struct json_value *object;  // the same, where the API gives it as JSON; else NULL
    uint64_t input_tokens, output_tokens;
    const char *problem;  // static sentence when there is no answer: "the model refused", "cut at
                          // max_output_tokens"
};

struct judge_api_ops {
    const char *name;          // "openai", "anthropic"
    const char *key_variable;  // "OPENAI_API_KEY"
    const char *url_variable;  // "OPENAI_BASE_URL"
    const char *endpoint;      // default base URL
    const char *path;          // appended to the base URL
    // Fills at most JUDGE_HEADERS_MAX headers; values may point into `scratch`. Returns how many.
    size_t (*headers)(const struct judge_config *config, char *scratch, size_t scratch_len,
                      struct http_header *headers);
    void (*write)(const struct judge_config *config, struct bytes instructions,
                  struct bytes transcript, struct buffer *out);
    // Reads a 2xx reply. RESULT_REJECT: not this API's reply.
    enum result (*read)(const struct json_value *root, struct judge_answer *answer);
};

extern const struct judge_api_ops
    *const judge_apis[];                     // NULL-terminated; index is judge_config.api
extern const char *const judge_api_names[];  // the same, for the option table

#define JUDGE_TOKENS_MAX 1000000000  // of one count in a reply; more is a mistake
// A count of a reply's usage: 0 when absent or negative, cut at JUDGE_TOKENS_MAX.
uint64_t judge_tokens(const struct json_value *usage, const char *name);

// The JSON Schema of the answer, reason before score.
extern const char judge_reply_schema[];
// Strict: exactly the three members, score a number in [0,1]. Anything else is an error outcome
// with a sentence. Texts are masked and cut.
struct redactor;
void judge_reply_score(const struct judge_answer *answer, struct redactor *redactor,
                       struct score *score);
