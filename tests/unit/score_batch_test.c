// SPDX-License-Identifier: Apache-2.0
// Which scores of an interaction leave for exporters of scores, and what they say.
#include "processor/score_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/scan.h"
#include "proto/score.h"
#include "tests/grade_sample.h"

enum {
    JUDGED = 1 << SCORE_SEND_JUDGED,
    FAILED = 1 << SCORE_SEND_FAILED,
    ALL = 1 << SCORE_SEND_ALL
};

// The sample: degenerate 1 (code, no threshold), faithfulness 0.25 (judge, under 0.85),
// answer_relevance an error, valid_json not applicable.
struct written {
    struct grade_sample sample;
    struct buffer out;
    struct score_record records[EVALUATORS_MAX];
    size_t count;
};

static void open_sample(struct written *written)
{
    memset(written, 0, sizeof(*written));
    grade_sample_open(&written->sample);
    buffer_init(&written->out, 1 << 20);
}

static bool keep(void *arg, const struct item_view *view)
{
    struct written *written = arg;
    assert_int_equal(view->fault, SCAN_OK);
    assert_true(score_record_read(view->item, &written->records[written->count++]));
    assert_true(view->resource.len > 0);
    return true;
}

static uint32_t write_sends(struct written *written, unsigned sends)
{
    struct scan_report report;
    buffer_reset(&written->out);
    written->count = 0;
    uint32_t count =
        score_batch_write(&written->out, written->sample.grade, &written->sample.plan, sends);
    if (count == 0) {
        assert_int_equal(buffer_view(&written->out).len, 0);
        return 0;
    }
    assert_int_equal(scan_request(SIGNAL_SCORES, buffer_view(&written->out), SCAN_CHECK_UTF8, keep,
                                  written, &report),
                     RESULT_OK);
    assert_int_equal(written->count, count);
    return count;
}

static void close_sample(struct written *written)
{
    grade_sample_close(&written->sample);
    buffer_fini(&written->out);
}

static void a_graded_one_sends_all_its_scores_but_errors(void **state)
{
    struct written written;
    (void)state;
    open_sample(&written);
    assert_int_equal(write_sends(&written, JUDGED), 2);
    const struct score_record *code = &written.records[0], *judge = &written.records[1];
    assert_true(bytes_equal_text(code->name, "degenerate"));
    assert_false(code->by_judge || code->failed);
    assert_true(code->has_value && code->value == 1 && code->type == SCORE_NUMERIC);
    assert_true(bytes_equal_text(judge->name, "faithfulness"));
    assert_true(judge->by_judge && judge->failed && judge->picked && judge->plain);
    assert_true(judge->value == 0.25 && judge->probability == 0.5 && judge->end_ns == 200);
    assert_true(bytes_equal_text(judge->explanation, "says 60 days, the policy says 30"));
    assert_true(bytes_equal_text(judge->identifier, "0123456789abcdef"));
    assert_true(bytes_equal_text(judge->service_name, "shop"));
    assert_true(bytes_equal_text(judge->response_id, "resp-1"));
    assert_string_not_equal(code->id, judge->id);
    close_sample(&written);
}

static void failed_only_is_less(void **state)
{
    struct written written;
    (void)state;
    open_sample(&written);
    assert_int_equal(write_sends(&written, FAILED), 1);
    assert_true(bytes_equal_text(written.records[0].name, "faithfulness"));
    close_sample(&written);
}

static void nobody_who_sends_is_nothing(void **state)
{
    struct written written;
    (void)state;
    open_sample(&written);
    assert_int_equal(write_sends(&written, 0), 0);
    close_sample(&written);
}

static void of_an_unpicked_one_only_codes_failures_leave(void **state)
{
    struct written written;
    (void)state;
    open_sample(&written);
    struct grade *grade = written.sample.grade;
    grade->decision = DECISION_NOT_SAMPLED;
    grade->choice.picked = grade->choice.plain = false;
    grade->scores[1].outcome = OUTCOME_NOT_APPLICABLE;
    grade->scores[2].outcome = OUTCOME_NOT_APPLICABLE;
    assert_int_equal(write_sends(&written, JUDGED | FAILED), 0);
    assert_int_equal(write_sends(&written, ALL), 1);
    written.sample.plan.evaluators.items[0].has_threshold = true;
    written.sample.plan.evaluators.items[0].threshold = 0.5;
    assert_int_equal(write_sends(&written, JUDGED | FAILED), 0);  // 1 is not below
    grade->scores[0].value = 0.1;
    assert_int_equal(write_sends(&written, JUDGED), 1);
    assert_true(written.records[0].failed && !written.records[0].picked);
    assert_false(written.records[0].plain);
    assert_int_equal(write_sends(&written, FAILED), 1);
    close_sample(&written);
}

static void picked_but_not_graded_counts_as_not_picked(void **state)
{
    static const enum decision decisions[] = {DECISION_OVER_BUDGET, DECISION_THROTTLED,
                                              DECISION_OVERLOAD, DECISION_JUDGE_ERROR};
    struct written written;
    (void)state;
    open_sample(&written);
    written.sample.grade->scores[1].outcome = OUTCOME_ERROR;
    for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
        written.sample.grade->decision = decisions[i];
        assert_int_equal(write_sends(&written, JUDGED | FAILED), 0);
        assert_int_equal(write_sends(&written, ALL), 1);
        assert_false(written.records[0].picked || written.records[0].plain);
    }
    close_sample(&written);
}

static void what_was_not_looked_at_sends_nothing(void **state)
{
    static const enum decision decisions[] = {DECISION_NO_CONTENT, DECISION_INCOMPLETE,
                                              DECISION_OWN_EVALUATION, DECISION_SUPERSEDED};
    struct written written;
    (void)state;
    open_sample(&written);
    for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
        written.sample.grade->decision = decisions[i];
        assert_int_equal(write_sends(&written, JUDGED | FAILED | ALL), 0);
    }
    close_sample(&written);
}

static void valid_json_is_boolean_and_ids_repeat(void **state)
{
    struct written written;
    char id[65];
    (void)state;
    open_sample(&written);
    written.sample.grade->scores[3].outcome = OUTCOME_SCORE;
    written.sample.grade->scores[3].value = 1;
    snprintf(written.sample.grade->session_id, sizeof(written.sample.grade->session_id), "s");
    assert_int_equal(write_sends(&written, JUDGED), 3);
    assert_int_equal(written.records[2].type, SCORE_BOOLEAN);
    assert_true(bytes_equal_text(written.records[2].session_id, "s"));
    memcpy(id, written.records[2].id, sizeof(id));
    assert_int_equal(write_sends(&written, JUDGED), 3);
    assert_string_equal(written.records[2].id, id);
    close_sample(&written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graded_one_sends_all_its_scores_but_errors),
        cmocka_unit_test(failed_only_is_less),
        cmocka_unit_test(nobody_who_sends_is_nothing),
        cmocka_unit_test(of_an_unpicked_one_only_codes_failures_leave),
        cmocka_unit_test(picked_but_not_graded_counts_as_not_picked),
        cmocka_unit_test(what_was_not_looked_at_sends_nothing),
        cmocka_unit_test(valid_json_is_boolean_and_ids_repeat),
    };
    return cmocka_run_group_tests_name("score_batch", tests, NULL, NULL);
}
