// SPDX-License-Identifier: Apache-2.0
// What is known of one interaction once its evidence may go: what attributes, carriers, log records
// and the ledger say of it. Heap, one per target while it is decided; holds bounded copies and no
// content but masked explanations. The shard's thread.
#pragma once

#include "processor/evaluation_config.h"
#include "processor/ledger.h"
#include "processor/trace_table.h"

#define GRADE_MAGIC MAGIC('G', 'R', 'A', 'D')

struct grade {
    uint32_t magic;
    struct trace_name trace;
    uint32_t serial;  // of the target within its trace
    struct trace_id trace_id;
    struct span_id target, content_source;
    char target_name[64], service_name[64], agent_name[64], dialect[24];
    char model[64], response_id[96], conversation_id[96];
    char finish_reason[16];
    char environment[64], session_id[208], user_id[208];  // of scores
    struct metadata *metadata;  // of the requests that brought the trace; a reference; NULL: none
    struct bytes resource;      // serialised Resource; heap, owned; may be empty
    uint64_t start_ns, end_ns;  // of the target, wall time
    uint64_t input_tokens, output_tokens;
    double interaction_cost_usd;
    char dimensions[DIMENSIONS_MAX][64];
    bool truncated, incomplete, has_content;
    struct sampling_choice choice;
    enum decision decision;
    char why[192];
    struct score scores[EVALUATORS_MAX];  // by index in the set
    bool asked[EVALUATORS_MAX];           // of a judge
    unsigned pending;                     // judge results that have not come
    unsigned asked_count, failed_count;
    bool budgeted;
    double estimate_usd, cost_usd;
    bool on_span;
    uint64_t held_ns;
};

struct grade *grade_new(const struct interaction *interaction, struct bytes resource);
void grade_free(struct grade **grade);
// pass, fail, or NULL when no evaluator with a threshold answered.
const char *grade_verdict(const struct grade *grade, const struct evaluator_set *set);
bool grade_failed(const struct grade *grade, const struct evaluator_set *set, size_t index);
// Some evaluator gave a score.
bool grade_has_score(const struct grade *grade, const struct evaluator_set *set);
// The judge of the first evaluator that was asked: "anthropic/claude-haiku-4-5@<epoch>"; "" when
// none.
void grade_judge_id(const struct grade *grade, const struct evaluation_plan *plan, char out[160]);
// OpenInference's identifier of one evaluator.
void grade_evaluator_id(const struct evaluation_plan *plan, size_t index, char out[160]);
