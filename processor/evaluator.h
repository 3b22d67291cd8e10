// SPDX-License-Identifier: Apache-2.0
// An evaluator turns an interaction into a score (value in [0,1], 1 is always good; label;
// explanation), an error, or not applicable. Two kinds: deterministic ones (files in evaluator/,
// run on every interaction, no key, no network, named after what they measure) and those that ask a
// judge with a rubric. The set of configured evaluators is immutable after start.
#pragma once

#include "base/option.h"
#include "processor/interaction.h"

#define EVALUATORS_MAX 16
#define EVALUATOR_NAME_MAX 64
#define EXPLANATION_BYTES_MAX 1024

enum outcome { OUTCOME_SCORE, OUTCOME_NOT_APPLICABLE, OUTCOME_ERROR };

struct score {  // one evaluator's result on one interaction; plain data, copied
    enum outcome outcome;
    double value;    // SCORE only
    char label[32];  // pass, fail, not_applicable, error, or the rubric's own
    char explanation[EXPLANATION_BYTES_MAX];  // masked; "" when none; for ERROR: what went wrong
    char evidence[256];  // the failing sentence of the response, if the judge named one; masked
};

struct evaluator_ops {  // deterministic kinds
    const char *type;   // "context_overlap"
    const char *doc;
    const struct option *options;  // extra keys beyond threshold, or NULL
    size_t config_size;
    // Prepares (compiles a schema ...). Optional. RESULT_FAIL with a sentence.
    enum result (*prepare)(const void *config, void **prepared, char *why, size_t why_len);
    void (*release)(void *prepared);
    void (*grade)(const void *prepared, const struct interaction *interaction,
                  struct score *score);  // pure
    bool is_boolean;                     // its value is 0 or 1
};
extern const struct evaluator_ops *const deterministic_evaluators[];  // NULL-terminated

struct evaluator {                    // configured
    char name[EVALUATOR_NAME_MAX];    // of the score, [a-z][a-z0-9_]{0,63}
    const struct evaluator_ops *ops;  // deterministic; NULL: asks `judge` with `rubric`
    void *prepared;
    int judge;  // index into the judge set; -1
    const struct rubric *rubric;
    bool has_threshold;
    double threshold;  // score < threshold: label fail, named in sidejudge.failed
    char epoch[17];    // hex: hash of judge, model, rubric, prompt; of the type and version for
                       // deterministic ones
};
struct evaluator_set {
    struct evaluator items[EVALUATORS_MAX];
    size_t count;
};

// Fills label pass / fail from the threshold where the evaluator did not set a label of its own.
void score_settle(const struct evaluator *evaluator, struct score *score);
