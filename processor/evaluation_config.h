// SPDX-License-Identifier: Apache-2.0
// The keys of `evaluation` (DESIGN 6) and what they amount to: evaluators with their judges and
// rubrics, sampling rules, thresholds by default. The configuration's texts and nodes must outlive
// the processor. Start only.
#pragma once

#include "processor/budget.h"
#include "processor/judge.h"
#include "processor/sampling.h"
#include "processor/target.h"

enum carriers_mode { CARRIERS_AUTO, CARRIERS_ALWAYS, CARRIERS_NEVER };
enum inner_mode { INNER_COUNT, INNER_IGNORE };
enum redaction_mode { REDACTION_MASK, REDACTION_OFF };

struct evaluation_config {
    int target;  // enum target_mode
    struct {
        int64_t linger_ns, idle_ns, max_age_ns;
    } completion;
    int64_t hold_ns;
    int inner;  // enum inner_mode
    struct option_texts dimensions;
    struct sampling_config sampling;
    struct budget_config budget;
    const struct config_node *evaluators;
    struct bytes judge;            // shorthand
    struct option_entries judges;  // of struct judge_config
    struct {
        int mode;
    } redaction;
    bool trust_upstream;
    struct {
        bool export_records;
    } ledger;
    int carriers;  // enum carriers_mode
    int64_t shards;
};
extern const struct option evaluation_options[];

struct evaluation_plan {  // resolved; immutable after start
    struct arena memory;  // rubrics, names
    struct judge_config judges[JUDGES_MAX];
    size_t judge_count;
    struct evaluator_set evaluators;
    struct sampling sampling;
};
// Resolves; errors name their place, which is under `node`, the processor's section (borrowed; may
// be NULL). On errors the plan may be finished but not used.
void evaluation_plan_init(struct evaluation_plan *plan, const struct evaluation_config *config,
                          const char *path, const struct config_node *node,
                          struct option_errors *errors);
void evaluation_plan_fini(struct evaluation_plan *plan);
// component_kind.validate
void evaluation_validate(const void *config, const struct config_node *node, const char *path,
                         struct option_errors *errors);
