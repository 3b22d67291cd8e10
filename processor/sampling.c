// SPDX-License-Identifier: Apache-2.0
//
// Rules as data: every rule has the same four ways to fire (attribute match, quality signal,
// evaluator below a value, or the baseline for all) and a probability; choosing is one loop that
// takes the smallest threshold. Refused: rules with code of their own, first match wins (it makes
// pi depend on the order), and independent draws per rule. Bounds: 32 rules. Pure.

#include "processor/sampling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "processor/trace_random.h"
#include "proto/attribute.h"

struct rule_config {
    bool present;
    struct option_pairs match;
    struct option_texts quality_signals;
    struct bytes condition;
    struct bytes evaluator;
    double below;
    double probability;
};

static const struct option rule_options[] = {
    {.key = "match",
     .kind = OPTION_TEXT_MAP,
     .offset = offsetof(struct rule_config, match),
     .count_max = 8,
     .doc =
         "Attributes of the target or its resource that must all have these values (a stratum)."},
    {.key = "quality_signals",
     .kind = OPTION_TEXTS,
     .offset = offsetof(struct rule_config, quality_signals),
     .count_max = QUALITY_SIGNAL_COUNT,
     .doc = "Fires when any of these quality signals was seen."},
    {.key = "condition",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct rule_config, condition),
     .doc = "OTTL condition; not part of this build: use match."},
    {.key = "evaluator",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct rule_config, evaluator),
     .doc = "Deterministic evaluator whose score is compared with `below`."},
    {.key = "below",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct rule_config, below),
     .fallback = "0.5",
     .min = 0,
     .max = 1,
     .doc = "Fires when the evaluator's score is below this."},
    {.key = "probability",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct rule_config, probability),
     .fallback = "1",
     .min = 0,
     .max = 1,
     .doc = "Probability with which an interaction that the rule fires on is graded."},
    {0}};

const struct option sampling_options[] = {
    {.key = "baseline",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct sampling_config, baseline),
     .fallback = "auto",
     .doc = "auto, or the probability (0..1) with which any interaction is graded. Under auto a "
            "process's first minute, and on its first day all but a small share, do not count "
            "towards the plain average: what a whole day can pay for is not known yet."},
    {.key = "rules",
     .kind = OPTION_MAP,
     .offset = offsetof(struct sampling_config, rules),
     .rows = rule_options,
     .entry_size = sizeof(struct rule_config),
     .count_max = SAMPLING_RULES_MAX,
     .doc = "Further reasons to grade, by name; all are evaluated together."},
    {0}};

static void rule_signals(const struct rule_config *config, struct sampling_rule *rule,
                         const char *path, const struct config_node *node,
                         struct option_errors *errors)
{
    for (size_t i = 0; i < config->quality_signals.count; i++) {
        enum quality_signal signal;
        struct bytes label = config->quality_signals.items[i];
        if (quality_signal_from_label(label, &signal) == RESULT_OK) {
            rule->quality_signals |= 1U << signal;
            continue;
        }
        char valid[256] = "";
        for (unsigned s = 0; s < QUALITY_SIGNAL_COUNT; s++) {
            size_t len = strlen(valid);
            snprintf(valid + len, sizeof(valid) - len, "%s%s", s > 0 ? ", " : "",
                     quality_signal_label((enum quality_signal)s));
        }
        option_error(errors, path, node, "unknown quality signal \"%.*s\" (valid values: %s)",
                     BYTES_PRINTF(label), valid);
    }
}

static void rule_evaluator(const struct rule_config *config, const struct evaluator_set *evaluators,
                           struct sampling_rule *rule, const char *path,
                           const struct config_node *node, struct option_errors *errors)
{
    rule->evaluator = -1;
    rule->below = config->below;
    if (config->evaluator.len == 0) {
        return;
    }
    for (size_t i = 0; i < evaluators->count; i++) {
        if (bytes_equal_text(config->evaluator, evaluators->items[i].name)) {
            rule->evaluator = (int)i;
        }
    }
    if (rule->evaluator < 0) {
        option_error(errors, path, node, "references evaluator \"%.*s\" which is not configured",
                     BYTES_PRINTF(config->evaluator));
    } else if (evaluators->items[rule->evaluator].ops == NULL) {
        option_error(errors, path, node,
                     "evaluator \"%.*s\" asks a judge: a rule needs a deterministic one",
                     BYTES_PRINTF(config->evaluator));
    }
}

static void rule_prepare(const struct rule_config *config, struct bytes name,
                         const struct config_node *node, const struct evaluator_set *evaluators,
                         struct sampling_rule *rule, const char *path, struct option_errors *errors)
{
    char rule_path[256];
    snprintf(rule_path, sizeof(rule_path), "%s::rules::%.*s", path, BYTES_PRINTF(name));
    snprintf(rule->name, sizeof(rule->name), "%.*s", BYTES_PRINTF(name));
    rule->probability = config->probability;
    rule->match = config->match;
    rule_signals(config, rule, rule_path, node, errors);
    rule_evaluator(config, evaluators, rule, rule_path, node, errors);
    if (config->condition.len > 0) {
        option_error(
            errors, rule_path, node,
            "`condition` is not part of this build: use match, quality_signals or evaluator");
    } else if (rule->match.count == 0 && rule->quality_signals == 0 && rule->evaluator < 0) {
        option_error(errors, rule_path, node,
                     "fires on nothing: give match, quality_signals or evaluator");
    }
}

// Built-in: every quality signal is worth grading, within its share of the budget.
static void default_rule(struct sampling *sampling)
{
    struct sampling_rule *rule = &sampling->rules[sampling->rule_count++];
    *rule = (struct sampling_rule){.name = "quality_signals",
                                   .probability = 1,
                                   .evaluator = -1,
                                   .quality_signals = (1U << QUALITY_SIGNAL_COUNT) - 1};
}

void sampling_prepare(const struct sampling_config *config, const struct evaluator_set *evaluators,
                      struct sampling *sampling, const char *path, const struct config_node *node,
                      struct option_errors *errors)
{
    memset(sampling, 0, sizeof(*sampling));
    sampling->baseline_auto =
        config->baseline.len == 0 || bytes_equal_text(config->baseline, "auto");
    if (!sampling->baseline_auto && (!bytes_to_double(config->baseline, &sampling->baseline) ||
                                     sampling->baseline < 0 || sampling->baseline > 1)) {
        option_error(errors, path, config_get(node, "baseline"),
                     "`baseline` must be auto or between 0 and 1, got \"%.*s\"",
                     BYTES_PRINTF(config->baseline));
        sampling->baseline_auto = true;
    }
    const struct rule_config *rules = config->rules.items;
    for (size_t i = 0; i < config->rules.count && i < SAMPLING_RULES_MAX; i++) {
        rule_prepare(&rules[i], config->rules.names[i], config->rules.nodes[i], evaluators,
                     &sampling->rules[sampling->rule_count++], path, errors);
    }
    if (sampling->rule_count == 0) {
        default_rule(sampling);
    }
}

static bool value_matches(const struct any_view *value, struct bytes wanted)
{
    switch (value->kind) {
    case ANY_KIND_STRING:
        return bytes_equal(value->bytes, wanted);
    case ANY_KIND_BOOL:
        return bytes_equal_text(wanted, value->number != 0 ? "true" : "false");
    case ANY_KIND_INT: {
        int64_t number;
        return bytes_to_i64(wanted, &number) && number == value->number;
    }
    case ANY_KIND_DOUBLE: {
        double number;
        return bytes_to_double(wanted, &number) && number == value->real;
    }
    default:
        return false;
    }
}

static bool pair_matches(const struct option_pair *pair, const struct item_view *view)
{
    struct any_view value;
    const char *key = (const char *)pair->key.ptr;
    if (attribute_find(view->attributes, SPAN_ATTRIBUTES, key, &value)) {
        return value_matches(&value, pair->value);
    }
    return attribute_find(view->resource, RES_ATTRIBUTES, key, &value) &&
           value_matches(&value, pair->value);
}

uint64_t sampling_matches(const struct sampling *sampling, const struct item_view *view)
{
    uint64_t matches = 0;
    for (size_t i = 0; i < sampling->rule_count; i++) {
        const struct option_pairs *match = &sampling->rules[i].match;
        size_t k = 0;
        while (k < match->count && pair_matches(&match->items[k], view)) {
            k++;
        }
        if (k == match->count && k > 0) {
            matches |= UINT64_C(1) << i;
        }
    }
    return matches;
}

// Does the rule apply? Its attribute match, where it has one, must hold together with its other
// condition, where it has one.
static bool rule_fires(const struct sampling_rule *rule, bool matched, unsigned quality_signals,
                       const struct score *scores)
{
    if (rule->match.count > 0 && !matched) {
        return false;
    }
    if (rule->quality_signals != 0 && (rule->quality_signals & quality_signals) == 0) {
        return false;
    }
    if (rule->evaluator >= 0) {
        const struct score *score = &scores[rule->evaluator];
        return score->outcome == OUTCOME_SCORE && score->value < rule->below;
    }
    return true;
}

void sampling_choose(const struct sampling *sampling, const struct baseline *baseline,
                     const struct trace_random *random, uint64_t rule_matches,
                     unsigned quality_signals, const struct score *scores,
                     struct sampling_choice *choice)
{
    CHECK(random->r < TRACE_RANDOM_RANGE);
    memset(choice, 0, sizeof(*choice));
    choice->random = *random;
    choice->quality_signals = quality_signals;
    choice->baseline_probability = baseline_probability(baseline);
    choice->probability = choice->baseline_probability;
    choice->baseline_picked =
        random->r >= threshold_of(choice->baseline_probability, random->threshold_in);
    choice->picked = choice->baseline_picked;
    for (size_t i = 0; i < sampling->rule_count; i++) {
        const struct sampling_rule *rule = &sampling->rules[i];
        if (!rule_fires(rule, (rule_matches & UINT64_C(1) << i) != 0, quality_signals, scores)) {
            continue;
        }
        choice->rules_fired |= UINT64_C(1) << i;
        if (rule->probability > choice->probability) {
            choice->probability = rule->probability;
        }
        if (random->r >= threshold_of(rule->probability, random->threshold_in)) {
            choice->rules_picked |= UINT64_C(1) << i;
            choice->picked = true;
        }
    }
    double plain = baseline_plain(baseline);
    choice->plain = random->r >= threshold_of(plain, random->threshold_in);
}
