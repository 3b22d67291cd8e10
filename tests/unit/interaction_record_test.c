// SPDX-License-Identifier: Apache-2.0
// Log records of scores and decisions.
#include "processor/interaction_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/grade_sample.h"

struct seen {
    unsigned count, errors, scores;
    bool interaction;
};

static bool has(const struct item_view *view, const char *key)
{
    struct any_view value;
    return attribute_find(view->attributes, LOG_ATTRIBUTES, key, &value);
}

static bool see_record(void *arg, const struct item_view *view)
{
    struct seen *seen = arg;
    assert_int_equal(view->fault, SCAN_OK);
    assert_non_null(view->trace_id);
    assert_non_null(view->span_id);
    seen->count++;
    if (seen->interaction) {
        assert_true(bytes_equal_text(view->name, "sidejudge.interaction"));
        assert_true(has(view, "sidejudge.record.id"));
        assert_true(has(view, "sidejudge.sampling.r"));
        assert_true(has(view, "sidejudge.sampling.p.failures"));
        assert_true(has(view, "sidejudge.dimension.tenant.tier"));
        return true;
    }
    assert_true(bytes_equal_text(view->name, "gen_ai.evaluation.result"));
    assert_true(has(view, "gen_ai.evaluation.name"));
    assert_true(has(view, "gen_ai.response.id"));
    seen->errors += has(view, "error.type");
    seen->scores += has(view, "gen_ai.evaluation.score.value");
    assert_false(has(view, "error.type") && has(view, "gen_ai.evaluation.score.value"));
    return true;
}

static void one_record_per_score_and_an_error_has_no_score(void **arg)
{
    struct grade_sample sample;
    struct buffer out;
    struct scan_report report;
    struct seen seen = {0};
    (void)arg;
    grade_sample_open(&sample);
    buffer_init(&out, 1 << 20);
    assert_int_equal(record_write_scores(&out, sample.grade, &sample.plan, 300), 3);
    assert_int_equal(
        scan_request(SIGNAL_LOGS, buffer_view(&out), SCAN_CHECK_UTF8, see_record, &seen, &report),
        RESULT_OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(seen.scores, 2);
    buffer_fini(&out);
    grade_sample_close(&sample);
}

static void the_interactions_record_has_all_that_estimates_need(void **arg)
{
    struct grade_sample sample;
    struct buffer out;
    struct scan_report report;
    struct bytes names[] = {BYTES_LITERAL("tenant.tier")};
    const struct option_texts dimensions = {names, 1};
    struct seen seen = {.interaction = true};
    (void)arg;
    grade_sample_open(&sample);
    snprintf(sample.grade->dimensions[0], sizeof(sample.grade->dimensions[0]), "gold");
    buffer_init(&out, 1 << 20);
    assert_int_equal(record_write_interaction(&out, sample.grade, &sample.plan, &dimensions, 300),
                     1);
    assert_int_equal(
        scan_request(SIGNAL_LOGS, buffer_view(&out), SCAN_CHECK_UTF8, see_record, &seen, &report),
        RESULT_OK);
    assert_int_equal(seen.count, 1);
    buffer_fini(&out);
    grade_sample_close(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record_per_score_and_an_error_has_no_score),
        cmocka_unit_test(the_interactions_record_has_all_that_estimates_need),
    };
    return cmocka_run_group_tests_name("interaction_record", tests, NULL, NULL);
}
