// SPDX-License-Identifier: Apache-2.0
// Verdicts and identities of a graded interaction.
#include "processor/grade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/grade_sample.h"

static void one_failed_threshold_fails_the_whole(void **arg)
{
    struct grade_sample sample;
    (void)arg;
    grade_sample_open(&sample);
    assert_string_equal(grade_verdict(sample.grade, &sample.plan.evaluators), "fail");
    assert_true(grade_failed(sample.grade, &sample.plan.evaluators, 1));
    assert_false(grade_failed(sample.grade, &sample.plan.evaluators, 2));  // an error is no failure
    sample.grade->scores[1].value = 0.85;
    assert_string_equal(grade_verdict(sample.grade, &sample.plan.evaluators), "pass");
    sample.grade->scores[1].outcome = OUTCOME_ERROR;
    assert_null(grade_verdict(sample.grade, &sample.plan.evaluators));
    assert_true(grade_has_score(sample.grade, &sample.plan.evaluators));
    sample.grade->scores[0].outcome = OUTCOME_NOT_APPLICABLE;
    assert_false(grade_has_score(sample.grade, &sample.plan.evaluators));
    grade_sample_close(&sample);
}

static void identities_name_judge_and_epoch(void **arg)
{
    struct grade_sample sample;
    char id[160];
    (void)arg;
    grade_sample_open(&sample);
    grade_evaluator_id(&sample.plan, 0, id);
    assert_string_equal(id, "sidejudge/degenerate@0123456789abcdef");
    grade_judge_id(sample.grade, &sample.plan, id);
    assert_string_equal(id, "anthropic/some-model@0123456789abcdef");
    memset(sample.grade->asked, 0, sizeof(sample.grade->asked));
    grade_judge_id(sample.grade, &sample.plan, id);
    assert_string_equal(id, "");
    grade_sample_close(&sample);
}

static void long_texts_are_cut_on_characters(void **arg)
{
    struct interaction interaction = {0};
    char text[200];
    (void)arg;
    memset(text, 'a', sizeof(text));
    memcpy(text + 62, "\xc3\xa4\xc3\xa4", 4);
    interaction.target_name = bytes_from(text, sizeof(text));
    struct grade *grade = grade_new(&interaction, bytes_from(text, 100000));  // beyond: left out
    assert_int_equal(strlen(grade->target_name), 62);
    assert_int_equal(grade->resource.len, 0);
    grade_free(&grade);
    grade_free(&grade);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failed_threshold_fails_the_whole),
        cmocka_unit_test(identities_name_judge_and_epoch),
        cmocka_unit_test(long_texts_are_cut_on_characters),
    };
    return cmocka_run_group_tests_name("grade", tests, NULL, NULL);
}
