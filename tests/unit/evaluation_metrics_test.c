// SPDX-License-Identifier: Apache-2.0
// Every decision, signal and score has its series.
#include "processor/evaluation_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void series_are_there_from_the_start(void **arg)
{
    struct evaluation_metrics metrics;
    struct buffer out;
    (void)arg;
    evaluation_metrics_init(&metrics);
    metric_add(metrics.decisions[DECISION_JUDGE_ERROR], 2);
    metric_add(metrics.quality_signals[QUALITY_SIGNAL_TOOL_ERROR], 1);
    metric_observe(metrics.hold_graded, 1.5);
    evaluation_metrics_score("faithfulness", "fail");
    buffer_init(&out, 1 << 20);
    metrics_write(&out);
    const char *text = buffer_text(&out);
    assert_non_null(strstr(text, "sidejudge_decisions_total{reason=\"judge_error\"} 2"));
    assert_non_null(strstr(text, "sidejudge_decisions_total{reason=\"not_sampled\"} 0"));
    assert_non_null(strstr(text, "sidejudge_quality_signals_total{signal=\"tool_error\"} 1"));
    assert_non_null(
        strstr(text, "sidejudge_scores_total{evaluator=\"faithfulness\",label=\"fail\"} 1"));
    assert_non_null(strstr(text, "sidejudge_hold_seconds_count{graded=\"true\"} 1"));
    assert_non_null(strstr(text, "sidejudge_open_traces"));
    buffer_fini(&out);
}

static void instances_share_their_series(void **arg)
{
    struct evaluation_metrics first, second;
    (void)arg;
    evaluation_metrics_init(&first);
    evaluation_metrics_init(&second);
    assert_ptr_equal(first.targets, second.targets);
    assert_ptr_equal(first.decisions[0], second.decisions[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_are_there_from_the_start),
        cmocka_unit_test(instances_share_their_series),
    };
    return cmocka_run_group_tests_name("evaluation_metrics", tests, NULL, NULL);
}
