// SPDX-License-Identifier: Apache-2.0
// The series of the evaluation processors: made once, one relaxed atomic each afterwards. Shared by
// all instances of the process. Any thread.
#pragma once

#include "base/metrics.h"
#include "processor/evaluator.h"
#include "processor/ledger.h"

struct evaluation_metrics {
    struct metric *targets, *own_attributes, *without_content, *late_spans, *stale_names;
    struct metric *carriers, *carriers_lost, *records, *records_lost, *unindexed;
    struct metric *decisions[DECISION_COUNT];
    struct metric *quality_signals[QUALITY_SIGNAL_COUNT];
    struct metric *hold_graded, *hold_ungraded;
    struct metric *open_traces, *evidence_bytes;
    struct metric *judge_calls[2];  // answered, failed
    struct metric *judge_cost;
};
void evaluation_metrics_init(struct evaluation_metrics *metrics);
// sidejudge_scores_total{evaluator,label}: labels are a closed set plus the rubric's own (bounded).
void evaluation_metrics_score(const char *evaluator, const char *label);
