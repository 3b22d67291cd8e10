// SPDX-License-Identifier: Apache-2.0
// Rows of the metric families and the series made from them. All labels but those of scores are
// closed sets and their series are made at start, so that a counter that never moved reads 0
// instead of being absent, and the data path touches one atomic.
//
// Bounds: base/metrics.h's 2,000 series per family; evaluators are at most 16, their labels are cut
// by the judges' reply parser. Any thread.
#include "processor/evaluation_metrics.h"

#include <math.h>
#include <stddef.h>

#include "base/overload.h"

static const double hold_bounds[] = {0.005, 0.025, 0.1, 0.25, 0.5, 1,  1.5,     2,
                                     3,     4,     5,   10,   30,  60, INFINITY};

#define COUNTER(name_text, help_text)                                                              \
    {                                                                                              \
        .name = (name_text), .type = METRIC_COUNTER, .help = (help_text)                           \
    }
static const struct metric_family
    targets = COUNTER("sidejudge_targets_total", "Interactions that were decided."),
    own_attributes = COUNTER("sidejudge_incoming_own_attributes_total",
                             "Spans that came with sidejudge.* attributes."),
    without_content = COUNTER("sidejudge_spans_without_content_total",
                              "Model and agent spans without captured content."),
    late_spans = COUNTER("sidejudge_late_spans_total", "Spans of fragments that were decided."),
    stale_names = COUNTER("sidejudge_stale_names_total", "Results for traces that are gone."),
    carriers = COUNTER("sidejudge_carriers_total", "Carrier spans made for late scores."),
    carriers_lost =
        COUNTER("sidejudge_carriers_lost_total", "Carrier spans that found no room in the queues."),
    records = COUNTER("sidejudge_records_total", "Log records made of scores and decisions."),
    records_lost =
        COUNTER("sidejudge_records_lost_total", "Log records that found no room in the queues."),
    evaluation_scores =
        COUNTER("sidejudge_evaluation_scores_total", "Scores handed to exporters of scores."),
    evaluation_scores_lost = COUNTER("sidejudge_evaluation_scores_lost_total",
                                     "Scores that found no room in the queues."),
    superseded = COUNTER("sidejudge_superseded_total",
                         "Decided interactions over which another one was decided later."),
    plain_sample = {.name = "sidejudge_plain_sample_total",
                    .type = METRIC_COUNTER,
                    .help = "Interactions of the equal-probability sample, and whether they were "
                            "graded or refused after they were picked (budget, overload, judge).",
                    .labels = {"outcome"}},
    unindexed = COUNTER("sidejudge_unindexed_spans_total",
                        "Spans that were not looked at because a trace or table was full."),
    judge_cost = {.name = "sidejudge_judge_cost_usd",
                  .type = METRIC_GAUGE,
                  .help = "Spent on judge calls since start."},
    open_traces = {.name = "sidejudge_open_traces",
                   .type = METRIC_GAUGE,
                   .help = "Traces that are being assembled."},
    evidence_bytes = {.name = "sidejudge_evidence_bytes",
                      .type = METRIC_GAUGE,
                      .help = "Memory of open traces."},
    judge_calls = {.name = "sidejudge_judge_gradings_total",
                   .type = METRIC_COUNTER,
                   .help = "Gradings by judges.",
                   .labels = {"outcome"}},
    decisions = {.name = "sidejudge_decisions_total",
                 .type = METRIC_COUNTER,
                 .help = "Interactions by the reason for grading them or not.",
                 .labels = {"reason"}},
    quality_signals = {.name = "sidejudge_quality_signals_total",
                       .type = METRIC_COUNTER,
                       .help = "Quality signals that fired.",
                       .labels = {"signal"}},
    feedback = {.name = "sidejudge_feedback_total",
                .type = METRIC_COUNTER,
                .help = "Bad scores that an agent posted, by where their trace stood.",
                .labels = {"trace"}},
    scores = {.name = "sidejudge_scores_total",
              .type = METRIC_COUNTER,
              .help = "Scores by evaluator and label.",
              .labels = {"evaluator", "label"}},
    hold = {.name = "sidejudge_hold_seconds",
            .type = METRIC_HISTOGRAM,
            .help = "How long possible targets waited.",
            .labels = {"graded"},
            .bounds = hold_bounds};
#undef COUNTER

static struct metric *labelled(const struct metric_family *family, const char *value)
{
    const char *const values[] = {value};
    return metric_series(family, values);
}

void evaluation_metrics_init(struct evaluation_metrics *metrics)
{
    metrics->targets = metric_plain(&targets);
    metrics->own_attributes = metric_plain(&own_attributes);
    metrics->without_content = metric_plain(&without_content);
    metrics->late_spans = metric_plain(&late_spans);
    metrics->stale_names = metric_plain(&stale_names);
    metrics->carriers = metric_plain(&carriers);
    metrics->carriers_lost = metric_plain(&carriers_lost);
    metrics->records = metric_plain(&records);
    metrics->records_lost = metric_plain(&records_lost);
    metrics->evaluation_scores = metric_plain(&evaluation_scores);
    metrics->evaluation_scores_lost = metric_plain(&evaluation_scores_lost);
    metrics->unindexed = metric_plain(&unindexed);
    metrics->judge_cost = metric_plain(&judge_cost);
    metrics->open_traces = metric_plain(&open_traces);
    metrics->evidence_bytes = metric_plain(&evidence_bytes);
    metrics->judge_calls[0] = labelled(&judge_calls, "answered");
    metrics->judge_calls[1] = labelled(&judge_calls, "failed");
    for (size_t i = 0; i < DECISION_COUNT; i++) {
        if (i != DECISION_SUPERSEDED) {
            metrics->decisions[i] = labelled(&decisions, decision_label((enum decision)i));
        }
    }
    metrics->superseded = metric_plain(&superseded);
    metrics->plain_graded = labelled(&plain_sample, "graded");
    metrics->plain_refused = labelled(&plain_sample, "refused");
    for (size_t i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        metrics->quality_signals[i] =
            labelled(&quality_signals, quality_signal_label((enum quality_signal)i));
    }
    metrics->feedback_taken = labelled(&feedback, "taken");
    metrics->feedback_decided = labelled(&feedback, "decided");
    metrics->feedback_early = labelled(&feedback, "early");
    metrics->shed_evidence = overload_shed(OVERLOAD_EVIDENCE, "evidence_limit");
    metrics->shed_traces = overload_shed(OVERLOAD_EVIDENCE, "trace_table");
    metrics->shed_judging = overload_shed(OVERLOAD_JUDGING, "memory");
    metrics->shed_judge_queue = overload_shed(OVERLOAD_JUDGING, "judge_queue");
    metrics->shed_holding = overload_shed(OVERLOAD_HOLDING, "memory");
    metrics->hold_graded = labelled(&hold, "true");
    metrics->hold_ungraded = labelled(&hold, "false");
}

void evaluation_metrics_score(const char *evaluator, const char *label)
{
    const char *const values[] = {evaluator, label};
    metric_add(metric_series(&scores, values), 1);
}
