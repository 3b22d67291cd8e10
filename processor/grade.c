// SPDX-License-Identifier: Apache-2.0
// The record between decision and delivery. Chosen: fixed fields with cuts, so that it outlives the
// trace's evidence without an arena of its own, and nothing of the interaction's content is in it.
// Refused: pointing into the evidence, which would pin a trace for as long as its judge takes.
//
// Bounds: about 23 KiB each, one per target that waits for a judge. Thread: the shard's.
#include "processor/grade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

enum { RESOURCE_BYTES_MAX = 16384 };

static void copy_text(char *out, size_t out_len, struct bytes text)
{
    text = utf8_prefix(text, out_len - 1);
    if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    out[text.len] = '\0';
}
#define COPY(field, text) copy_text((field), sizeof(field), (text))

struct grade *grade_new(const struct interaction *interaction, struct bytes resource)
{
    struct grade *grade = calloc(1, sizeof(*grade));
    CHECK(grade);
    grade->magic = GRADE_MAGIC;
    grade->trace_id = interaction->trace_id;
    grade->target = interaction->target;
    grade->content_source = interaction->content_source;
    COPY(grade->target_name, interaction->target_name);
    COPY(grade->service_name, interaction->service_name);
    COPY(grade->agent_name, interaction->agent_name);
    COPY(grade->dialect, interaction->dialect);
    COPY(grade->model, interaction->model);
    COPY(grade->response_id, interaction->response_id);
    COPY(grade->conversation_id, interaction->conversation_id);
    COPY(grade->finish_reason, interaction->finish_reason);
    COPY(grade->environment, interaction->environment);
    COPY(grade->session_id,
         interaction->session_id.len > 0 ? interaction->session_id : interaction->conversation_id);
    COPY(grade->user_id, interaction->user_id);
    for (size_t i = 0; i < DIMENSIONS_MAX; i++) {
        COPY(grade->dimensions[i], interaction->dimensions[i]);
    }
    if (resource.len > 0 && resource.len <= RESOURCE_BYTES_MAX) {
        uint8_t *copy = malloc(resource.len);
        CHECK(copy);
        memcpy(copy, resource.ptr, resource.len);
        grade->resource = bytes_from(copy, resource.len);
    }
    grade->start_ns = interaction->start_ns;
    grade->end_ns = interaction->end_ns;
    grade->input_tokens = interaction->input_tokens;
    grade->output_tokens = interaction->output_tokens;
    grade->interaction_cost_usd = interaction->cost_usd;
    grade->truncated = interaction->truncated;
    grade->incomplete = interaction->incomplete;
    grade->has_content = interaction->has_content;
    for (size_t i = 0; i < EVALUATORS_MAX; i++) {
        grade->scores[i].outcome = OUTCOME_NOT_APPLICABLE;
    }
    return grade;
}

void grade_free(struct grade **grade)
{
    if (!*grade) {
        return;
    }
    CHECK((*grade)->magic == GRADE_MAGIC);
    free((void *)(uintptr_t)(*grade)->resource.ptr);
    metadata_release(&(*grade)->metadata);
    (*grade)->magic = 0;
    free(*grade);
    *grade = NULL;
}

bool grade_failed(const struct grade *grade, const struct evaluator_set *set, size_t index)
{
    const struct evaluator *evaluator = &set->items[index];
    return evaluator->has_threshold && grade->scores[index].outcome == OUTCOME_SCORE &&
           grade->scores[index].value < evaluator->threshold;
}

const char *grade_verdict(const struct grade *grade, const struct evaluator_set *set)
{
    const char *verdict = NULL;
    for (size_t i = 0; i < set->count; i++) {
        if (grade_failed(grade, set, i)) {
            return "fail";
        }
        if (set->items[i].has_threshold && grade->scores[i].outcome == OUTCOME_SCORE) {
            verdict = "pass";
        }
    }
    return verdict;
}

bool grade_has_score(const struct grade *grade, const struct evaluator_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (grade->scores[i].outcome == OUTCOME_SCORE) {
            return true;
        }
    }
    return false;
}

void grade_judge_id(const struct grade *grade, const struct evaluation_plan *plan, char out[160])
{
    out[0] = '\0';
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        if (grade->asked[i]) {
            grade_evaluator_id(plan, i, out);
            return;
        }
    }
}

void grade_evaluator_id(const struct evaluation_plan *plan, size_t index, char out[160])
{
    const struct evaluator *evaluator = &plan->evaluators.items[index];
    if (evaluator->judge >= 0) {
        (void)judge_id(&plan->judges[evaluator->judge], evaluator->epoch, out);
    } else {
        snprintf(out, 160, "sidejudge/%s@%s", evaluator->ops->type, evaluator->epoch);
    }
}
