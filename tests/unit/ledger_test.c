// SPDX-License-Identifier: Apache-2.0
// The decision ledger: what it tells of a row, that its bounds hold, that rows of one trace stay
// chained while old ones leave, and that a decision can be superseded.
#include "processor/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static struct sampling sampling = {
    .baseline = 0.1,
    .rules = {{.name = "failures", .probability = 1}, {.name = "gold", .probability = 0.2}},
    .rule_count = 2};

static struct ledger_row row_of(uint32_t trace, uint8_t target)
{
    struct ledger_row row = {
        .target = {{target}},
        .target_name = "invoke_agent support",
        .service_name = "shop",
        .agent_name = "support",
        .dialect = "genai",
        .decision = DECISION_NOT_SAMPLED,
        .choice = {.probability = 0.1, .baseline_probability = 0.1, .random = {.r = 0x00ab}},
        .decided_wall_ns = UINT64_C(1767225600000000000)};
    memcpy(row.trace_id.bytes, &trace, sizeof trace);
    row.trace_id.bytes[15] = 1;
    return row;
}

static struct trace_id id_of(uint32_t trace)
{
    return row_of(trace, 1).trace_id;
}

static bool has(struct ledger *ledger, uint32_t trace)
{
    struct buffer out;
    struct trace_id id = id_of(trace);
    buffer_init(&out, (size_t)1 << 20);
    bool found = ledger_explain(ledger, &id, &out);
    buffer_fini(&out);
    return found;
}

struct explained {
    struct buffer text;
    struct json_document *document;
    const struct json_value *root, *decisions;
};

static void explain(struct ledger *ledger, uint32_t trace, struct explained *explained)
{
    struct trace_id id = id_of(trace);
    const char *why = "";
    buffer_init(&explained->text, (size_t)1 << 20);
    assert_true(ledger_explain(ledger, &id, &explained->text));
    assert_int_equal(buffer_status(&explained->text), RESULT_OK);
    if (json_parse(buffer_view(&explained->text), &explained->document, &why) != RESULT_OK) {
        fail_msg("%s: %s", why, buffer_text(&explained->text));
    }
    explained->root = json_root(explained->document);
    explained->decisions = json_get(explained->root, "decisions");
}

static void forget(struct explained *explained)
{
    json_free(&explained->document);
    buffer_fini(&explained->text);
}

static void every_decision_has_a_label_and_a_sentence(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        assert_true(strlen(decision_label((enum decision)i)) > 3);
        assert_true(strlen(decision_text((enum decision)i)) > 10);
    }
    assert_string_equal(decision_label(DECISION_JUDGE_ERROR), "judge_error");
}

static void a_trace_without_rows_is_not_explained(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 10, 100000);
    assert_false(has(ledger, 1));
    ledger_free(ledger);
    ledger_free(NULL);
}

static void a_row_is_told_whole(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 10, 100000);
    const struct ledger_score scores[] = {
        {.name = "faithfulness",
         .asked_judge = true,
         .score = {.outcome = OUTCOME_SCORE,
                   .value = 0.25,
                   .label = "fail",
                   .explanation = "Says \"90 days\"\n",
                   .evidence = "You have 90 days."}},
        {.name = "valid_json",
         .score = {.outcome = OUTCOME_NOT_APPLICABLE, .label = "not_applicable"}}};
    struct ledger_row row = row_of(7, 2);
    row.decision = DECISION_JUDGED;
    row.choice = (struct sampling_choice){.probability = 1,
                                          .baseline_probability = 0.1,
                                          .rules_fired = 3,
                                          .rules_picked = 1,
                                          .picked = true,
                                          .quality_signals = 1U << QUALITY_SIGNAL_TOOL_ERROR,
                                          .random = {.r = 0xff, .threshold_in = 1, .has_th = true}};
    row.held_ns = 1234567;
    row.cost_usd = 0.002;
    row.on_span = row.truncated = true;
    row.scores = scores;
    row.score_count = 2;
    ledger_add(ledger, &row);
    struct explained explained;
    explain(ledger, 7, &explained);
    const struct json_value *told = json_at(explained.decisions, 0);
    assert_true(bytes_equal_text(json_get_text(told, "decision"), "judged"));
    assert_true(bytes_equal_text(json_get_text(told, "target_span_id"), "0200000000000000"));
    assert_true(bytes_equal_text(json_get_text(told, "service"), "shop"));
    assert_true(bytes_equal_text(json_get_text(told, "decided"), "2026-01-01T00:00:00.000Z"));
    assert_true(json_bool(json_get(told, "truncated")) && json_bool(json_get(told, "on_span")));
    assert_true(json_double(json_get(told, "held_ms"), 0) == 1.234);
    const struct json_value *chosen = json_get(told, "sampling");
    assert_true(json_double(json_get(chosen, "probability"), 0) == 1);
    assert_true(bytes_equal_text(json_get_text(chosen, "random"), "000000000000ff"));
    assert_true(bytes_equal_text(json_get_text(chosen, "threshold_in"), "00000000000001"));
    const struct json_value *rules = json_get(chosen, "rules");
    assert_int_equal(json_count(rules), 3);  // every p_k, the baseline first
    assert_true(bytes_equal_text(json_get_text(json_at(rules, 1), "rule"), "failures"));
    assert_true(json_bool(json_get(json_at(rules, 1), "picked")));
    assert_true(json_double(json_get(json_at(rules, 2), "probability"), 0) == 0.2);
    assert_false(json_bool(json_get(json_at(rules, 2), "picked")));
    assert_true(bytes_equal_text(
        json_get_text(json_at(json_get(chosen, "quality_signals"), 0), "signal"), "tool_error"));
    const struct json_value *told_scores = json_get(told, "scores");
    assert_int_equal(json_count(told_scores), 2);
    assert_true(json_double(json_get(json_at(told_scores, 0), "score"), 0) == 0.25);
    assert_true(bytes_equal_text(json_get_text(json_at(told_scores, 0), "explanation"),
                                 "Says \"90 days\"\n"));
    assert_null(json_get(json_at(told_scores, 1), "score"));  // no value where there is none
    forget(&explained);
    ledger_free(ledger);
}

static void rows_of_one_trace_are_told_newest_first(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 200, 1000000);
    for (uint8_t i = 1; i <= 3; i++) {
        struct ledger_row row = row_of(1, i), other = row_of(2, i);
        ledger_add(ledger, &row);
        ledger_add(ledger, &other);
    }
    struct explained explained;
    explain(ledger, 1, &explained);
    assert_int_equal(json_count(explained.decisions), 3);
    assert_true(bytes_equal_text(json_get_text(json_at(explained.decisions, 0), "target_span_id"),
                                 "0300000000000000"));
    assert_false(json_bool(json_get(explained.root, "more")));
    forget(&explained);
    for (uint8_t i = 0; i < 100; i++) {
        struct ledger_row row = row_of(1, i);
        ledger_add(ledger, &row);
    }
    explain(ledger, 1, &explained);
    assert_int_equal(json_count(explained.decisions), 64);
    assert_true(json_bool(json_get(explained.root, "more")));
    forget(&explained);
    ledger_free(ledger);
}

static void the_oldest_row_leaves_at_the_bound_of_rows(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 3, 1000000);
    for (uint32_t i = 1; i <= 5; i++) {
        struct ledger_row row = row_of(i, 1);
        ledger_add(ledger, &row);
    }
    assert_false(has(ledger, 1) || has(ledger, 2));
    assert_true(has(ledger, 3) && has(ledger, 4) && has(ledger, 5));
    assert_int_equal(ledger_count(ledger, DECISION_NOT_SAMPLED), 5);  // counts stay
    ledger_free(ledger);
}

static void the_bound_of_bytes_holds(void **state)
{
    (void)state;
    const size_t bytes_max = 20000;
    struct ledger *ledger = ledger_new(&sampling, 1000, bytes_max);
    struct ledger_score score = {.name = "faithfulness", .score = {.outcome = OUTCOME_ERROR}};
    memset(score.score.explanation, 1, EXPLANATION_BYTES_MAX - 1);  // escaped: six bytes each
    for (uint32_t i = 1; i <= 50; i++) {
        struct ledger_row row = row_of(i, 1);
        row.scores = &score;
        row.score_count = 1;
        ledger_add(ledger, &row);
        struct buffer out;
        struct json_writer writer;
        struct json_document *document;
        buffer_init(&out, (size_t)1 << 20);
        json_writer_init(&writer, &out);
        ledger_summary(ledger, 2, &writer);
        assert_int_equal(json_parse(buffer_view(&out), &document, NULL), RESULT_OK);
        const struct json_value *root = json_root(document);
        assert_true(json_int(json_get(root, "bytes"), -1) <= (int64_t)bytes_max);
        assert_true(json_int(json_get(root, "rows"), -1) <= 3);
        json_free(&document);
        buffer_fini(&out);
    }
    assert_true(has(ledger, 50));
    ledger_free(ledger);
}

static void chains_survive_eviction(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 7, 1000000);
    for (uint32_t i = 0; i < 5000; i++) {
        struct ledger_row row = row_of(i * i % 4, (uint8_t)i);
        ledger_add(ledger, &row);
        assert_true(has(ledger, i * i % 4));
    }
    size_t told = 0;
    for (uint32_t trace = 0; trace < 4; trace++) {
        if (has(ledger, trace)) {
            struct explained explained;
            explain(ledger, trace, &explained);
            told += json_count(explained.decisions);
            forget(&explained);
        }
    }
    assert_int_equal(told, 7);
    ledger_free(ledger);
}

static void a_target_can_be_superseded(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 10, 100000);
    struct ledger_row row = row_of(1, 1), other = row_of(1, 2);
    row.decision = DECISION_JUDGED;
    ledger_add(ledger, &row);
    ledger_add(ledger, &other);
    ledger_supersede(ledger, &row.trace_id, &row.target);
    ledger_supersede(ledger, &row.trace_id, &row.target);  // once is enough
    const struct trace_id unknown = id_of(9);
    ledger_supersede(ledger, &unknown, &row.target);
    struct explained explained;
    explain(ledger, 1, &explained);
    assert_true(
        bytes_equal_text(json_get_text(json_at(explained.decisions, 1), "decision"), "superseded"));
    assert_true(bytes_equal_text(json_get_text(json_at(explained.decisions, 0), "decision"),
                                 "not_sampled"));
    forget(&explained);
    assert_int_equal(ledger_count(ledger, DECISION_JUDGED), 0);
    assert_int_equal(ledger_count(ledger, DECISION_SUPERSEDED), 1);
    ledger_free(ledger);
}

static void the_summary_counts_and_lists_the_newest(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(&sampling, 10, 100000);
    for (uint32_t i = 0; i < 4; i++) {
        struct ledger_row row = row_of(i, (uint8_t)i);
        row.decision = i == 0 ? DECISION_JUDGED : DECISION_OVER_BUDGET;
        row.cost_usd = i == 0 ? 0.5 : 0;
        ledger_add(ledger, &row);
    }
    struct buffer out;
    struct json_writer writer;
    struct json_document *document;
    buffer_init(&out, (size_t)1 << 20);
    json_writer_init(&writer, &out);
    ledger_summary(ledger, 2, &writer);
    assert_int_equal(json_parse(buffer_view(&out), &document, NULL), RESULT_OK);
    const struct json_value *root = json_root(document);
    const struct json_value *counts = json_get(root, "decisions");
    assert_int_equal(json_count(counts), DECISION_COUNT);
    assert_int_equal(json_int(json_get(counts, "over_budget"), 0), 3);
    assert_int_equal(json_count(json_get(root, "recent")), 2);
    assert_true(bytes_equal_text(
        json_get_text(json_at(json_get(root, "recent"), 0), "target_span_id"), "0300000000000000"));
    assert_true(json_double(json_get(root, "cost_usd"), 0) == 0.5);
    json_free(&document);
    buffer_fini(&out);
    ledger_free(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_decision_has_a_label_and_a_sentence),
        cmocka_unit_test(a_trace_without_rows_is_not_explained),
        cmocka_unit_test(a_row_is_told_whole),
        cmocka_unit_test(rows_of_one_trace_are_told_newest_first),
        cmocka_unit_test(the_oldest_row_leaves_at_the_bound_of_rows),
        cmocka_unit_test(the_bound_of_bytes_holds),
        cmocka_unit_test(chains_survive_eviction),
        cmocka_unit_test(a_target_can_be_superseded),
        cmocka_unit_test(the_summary_counts_and_lists_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
