// SPDX-License-Identifier: Apache-2.0
// What the scripted judge answers: the published contracts of OpenAI's chat completions and
// Anthropic's Messages, kept as a server keeps them, and one way to misbehave per model name.
// Nothing here knows sockets; the server's thread calls it.
#pragma once

#include "base/buffer.h"

// One row of the script; the first that fits wins, none gives 1.
struct judge_row {
    const char *find;    // must occur in the transcript (the user message); NULL: always
    const char *rubric;  // must occur in the instructions (the system prompt); NULL: any
    double score;
    const char *reason;    // NULL: a sentence of the script's own
    const char *evidence;  // NULL: ""
};

enum judge_mode {
#define JUDGE_MODE(name, model, what) JUDGE_MODE_##name,
#include "tests/scenario/judge_mode.def"
#undef JUDGE_MODE
    JUDGE_MODE_COUNT
};
const char *judge_mode_model(enum judge_mode mode);

struct judge_request {          // borrowed
    struct bytes method, path;  // path without its query
    struct bytes head;          // the header lines
    struct bytes body;
};

struct judge_script {
    const struct judge_row *rows;
    size_t row_count;
    const char *api_key;  // NULL: any but an empty one
    int forced_mode;      // an enum judge_mode that wins over the model's name; -1: none
    uint64_t number;      // of the request that kept the contract, from 1: "flaky" fails odd ones
};

struct judge_answered {                    // what the server is to do
    int status;                            // HTTP
    bool retry_after;                      // Retry-After: 1
    bool slow;                             // waits before it answers
    bool reset;                            // resets the connection instead
    bool kept;                             // the request kept the contract
    uint64_t input_tokens, output_tokens;  // as told in usage; 0 without an answer
};

// Appends the body of the reply to `out`. Pure but for `out`.
struct judge_answered judge_script_answer(const struct judge_script *script,
                                          const struct judge_request *request, struct buffer *out);
// The value of a header line, without blanks; empty when absent.
struct bytes judge_header(struct bytes head, const char *name);
