// SPDX-License-Identifier: Apache-2.0
// See grade_sample.h.
#include "tests/grade_sample.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proto/attribute.h"

static const struct evaluator_ops *ops_of(const char *type)
{
    for (size_t i = 0; deterministic_evaluators[i]; i++) {
        if (strcmp(deterministic_evaluators[i]->type, type) == 0) {
            return deterministic_evaluators[i];
        }
    }
    CHECK(!"no such evaluator");
    return NULL;
}

static void evaluator_add(struct grade_sample *sample, const char *name, int judge)
{
    struct evaluator *evaluator = &sample->plan.evaluators.items[sample->plan.evaluators.count++];
    snprintf(evaluator->name, sizeof(evaluator->name), "%s", name);
    snprintf(evaluator->epoch, sizeof(evaluator->epoch), "0123456789abcdef");
    evaluator->judge = judge;
    evaluator->ops = judge < 0 ? ops_of(name) : NULL;
    evaluator->has_threshold = judge >= 0;
    evaluator->threshold = 0.85;
}

static void score_set(struct grade *grade, size_t index, enum outcome outcome, double value,
                      const char *explanation)
{
    struct score *score = &grade->scores[index];
    score->outcome = outcome;
    score->value = value;
    snprintf(score->explanation, sizeof(score->explanation), "%s", explanation);
}

void grade_sample_open(struct grade_sample *sample)
{
    struct interaction interaction = {.trace_id = {{0xab, 1}},
                                      .target = {{1, 2, 3, 4, 5, 6, 7, 8}},
                                      .content_source = {{8, 7, 6, 5, 4, 3, 2, 1}},
                                      .target_name = BYTES_LITERAL("invoke_agent helper"),
                                      .service_name = BYTES_LITERAL("shop"),
                                      .response_id = BYTES_LITERAL("resp-1"),
                                      .start_ns = 100,
                                      .end_ns = 200};
    struct buffer resource;
    memset(sample, 0, sizeof(*sample));
    sample->plan.judge_count = 1;
    sample->plan.judges[0] = (struct judge_config){
        .name = BYTES_LITERAL("default"), .api = 1, .model = BYTES_LITERAL("some-model")};
    evaluator_add(sample, "degenerate", -1);
    evaluator_add(sample, "faithfulness", 0);
    evaluator_add(sample, "answer_relevance", 0);
    evaluator_add(sample, "valid_json", -1);
    sample->plan.sampling.rule_count = 2;
    snprintf(sample->plan.sampling.rules[0].name, sizeof(sample->plan.sampling.rules[0].name),
             "enterprise");
    snprintf(sample->plan.sampling.rules[1].name, sizeof(sample->plan.sampling.rules[1].name),
             "failures");
    buffer_init(&resource, 4096);
    attribute_write_text(&resource, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("shop"));
    sample->grade = grade_new(&interaction, buffer_view(&resource));
    buffer_fini(&resource);
    struct grade *grade = sample->grade;
    grade->decision = DECISION_JUDGED;
    grade->choice = (struct sampling_choice){.probability = 0.5,
                                             .baseline_probability = 0.25,
                                             .rules_fired = 3,
                                             .rules_picked = 2,
                                             .baseline_picked = true,
                                             .plain = true,
                                             .picked = true,
                                             .quality_signals = 1u << QUALITY_SIGNAL_TOOL_ERROR};
    grade->asked[1] = grade->asked[2] = true;
    grade->cost_usd = 0.002;
    score_set(grade, 0, OUTCOME_SCORE, 1, "");
    score_set(grade, 1, OUTCOME_SCORE, 0.25, "says 60 days, the policy says 30");
    score_set(grade, 2, OUTCOME_ERROR, 0, "the judge answered 500");
    score_set(grade, 3, OUTCOME_NOT_APPLICABLE, 0, "");
    for (size_t i = 0; i < sample->plan.evaluators.count; i++) {
        score_settle(&sample->plan.evaluators.items[i], &grade->scores[i]);
    }
}

void grade_sample_close(struct grade_sample *sample)
{
    grade_free(&sample->grade);
}
