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
    struct metric *evaluation_scores, *evaluation_scores_lost;
    struct metric *decisions[DECISION_COUNT];  // at first; SUPERSEDED: NULL
    struct metric *superseded;
    struct metric *plain_graded, *plain_refused;
    struct metric *quality_signals[QUALITY_SIGNAL_COUNT];
    struct metric *feedback_taken, *feedback_decided, *feedback_early;
    struct metric *hold_graded, *hold_ungraded;
    struct metric *open_traces, *evidence_bytes;
    struct metric *shed_evidence, *shed_traces, *shed_judging, *shed_judge_queue, *shed_holding;
    struct metric *judge_calls[2];  // answered, failed
    struct metric *judge_cost;
};
void evaluation_metrics_init(struct evaluation_metrics *metrics);
// sidejudge_scores_total{evaluator,label}: labels are a closed set plus the rubric's own (bounded).
void evaluation_metrics_score(const char *evaluator, const char *label);
