// SPDX-License-Identifier: Apache-2.0
// Choosing what to grade (DESIGN 4; reference: OpenTelemetry probability sampling, tracestate
// th/rv; Poisson sampling with one shared random number). All rules are evaluated for every
// interaction, each contributes a probability p_k, one 56-bit random number R per trace is compared
// with all, so the inclusion probability is pi = max p_k. Everything is recorded. Pure but for the
// baseline ladder, which is one per process.
#pragma once

#include "base/option.h"
#include "processor/baseline.h"
#include "processor/evaluator.h"
#include "processor/quality_signal.h"
#include "proto/scan.h"

#define SAMPLING_RULES_MAX 32
#define SAMPLING_R_BITS 56

struct sampling_rule {
    char name[64];
    double probability;
    struct option_pairs
        match;                 // attribute = value (string compare of the text form); all must hold
    unsigned quality_signals;  // bit set; any of them
    int evaluator;             // index into the set: fires when its score is below `below`; -1 none
    double below;
};

struct sampling {  // immutable after start
    bool baseline_auto;
    double baseline;  // fixed probability
    struct sampling_rule rules[SAMPLING_RULES_MAX];
    size_t rule_count;
};

extern const struct option sampling_options[];  // of `sampling:`; fills struct sampling_config
struct sampling_config {
    struct bytes baseline;        // "auto" or 0..1
    struct option_entries rules;  // entries of sampling.c's own struct
};
// Resolves and checks names (signals, evaluators). Errors name their place; `node` is what `config`
// was bound from.
void sampling_prepare(const struct sampling_config *config, const struct evaluator_set *evaluators,
                      struct sampling *sampling, const char *path, const struct config_node *node,
                      struct option_errors *errors);

// Bit k: the attribute match of rule k holds for this span (its attributes, then its resource's).
// Pure; any thread.
uint64_t sampling_matches(const struct sampling *sampling, const struct item_view *view);

// R of a trace and the upstream threshold: rv of tracestate `ot=`, else (th present) the last 7
// bytes of the trace id, else 56 bits of a stable hash of the trace id. T_in is 0 when there is no
// th. Malformed th / rv count as absent.
struct trace_random {
    uint64_t r;
    uint64_t threshold_in;
    bool has_th;
};
void trace_random_of(const struct trace_id *trace_id, struct bytes trace_state,
                     struct trace_random *random);

struct sampling_choice {  // recorded whole
    struct trace_random random;
    double probability;  // pi = max p_k, of what arrives
    double baseline_probability;
    uint64_t rules_fired;   // bit k: rule k applied (contributed its p_k)
    uint64_t rules_picked;  // bit k: R cleared rule k's threshold
    bool baseline_picked;   // R cleared the baseline's
    bool plain;             // belongs to the equal-probability sample (sidejudge.sampling.baseline)
    bool picked;
    unsigned quality_signals;
};
// `scores` of the deterministic evaluators by evaluator index (others: outcome NOT_APPLICABLE).
void sampling_choose(const struct sampling *sampling, const struct baseline *baseline,
                     const struct trace_random *random, uint64_t rule_matches,
                     unsigned quality_signals, const struct score *scores,
                     struct sampling_choice *choice);
