// SPDX-License-Identifier: Apache-2.0
// The deterministic evaluators, one by one, and what all scores share.
#include "processor/evaluator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct evaluator_ops *ops_of(const char *type)
{
    for (size_t i = 0; deterministic_evaluators[i] != NULL; i++) {
        if (strcmp(deterministic_evaluators[i]->type, type) == 0) {
            return deterministic_evaluators[i];
        }
    }
    fail_msg("no evaluator %s", type);
    return NULL;
}

static struct score grade(const char *type, const struct interaction *interaction)
{
    struct score score = {.outcome = OUTCOME_SCORE};
    ops_of(type)->grade(NULL, interaction, &score);
    assert_true(score.outcome != OUTCOME_SCORE || (score.value >= 0 && score.value <= 1));
    return score;
}

static void check_value(const char *type, const struct interaction *interaction, double value)
{
    struct score score = grade(type, interaction);
    assert_int_equal(score.outcome, OUTCOME_SCORE);
    assert_true(score.value > value - 0.001 && score.value < value + 0.001);
}

static void check_not_applicable(const char *type, const struct interaction *interaction)
{
    assert_int_equal(grade(type, interaction).outcome, OUTCOME_NOT_APPLICABLE);
}

static void all_have_type_and_doc(void **state)
{
    (void)state;
    size_t count = 0;
    for (; deterministic_evaluators[count] != NULL; count++) {
        assert_true(strlen(deterministic_evaluators[count]->type) > 2);
        assert_true(strlen(deterministic_evaluators[count]->doc) > 10);
        assert_non_null(deterministic_evaluators[count]->grade);
    }
    assert_int_equal(count, 4);
}

static void nothing_captured_is_not_applicable(void **state)
{
    (void)state;
    const struct interaction nothing = {.has_content = false};
    for (size_t i = 0; deterministic_evaluators[i] != NULL; i++) {
        check_not_applicable(deterministic_evaluators[i]->type, &nothing);
    }
}

// --- context_overlap ---

static void context_overlap_is_the_share_of_content_words(void **state)
{
    (void)state;
    struct interaction interaction = {
        .response = BYTES_LITERAL("Parcels arrive within three days."),
        .contexts = {BYTES_LITERAL("Every parcel: parcels ARRIVE in three days")},
        .context_count = 1};
    check_value("context_overlap", &interaction, 0.8);  // not "within"
    interaction.response = BYTES_LITERAL("Nothing like it");
    check_value("context_overlap", &interaction, 0);
}

static void context_overlap_counts_numbers_double_and_names_missing_ones(void **state)
{
    (void)state;
    struct interaction interaction = {.response = BYTES_LITERAL("Refunds take 14 days, fee 7"),
                                      .contexts = {BYTES_LITERAL("refunds take 30 days, fee 7")},
                                      .context_count = 1};
    struct score score = grade("context_overlap", &interaction);
    assert_true(score.value > 0.74 && score.value < 0.76);  // 6 of 8
    assert_non_null(strstr(score.explanation, "1 number(s)"));
}

static void context_overlap_reads_tool_results_too(void **state)
{
    (void)state;
    struct interaction interaction = {
        .response = BYTES_LITERAL("Order 10024 was shipped"),
        .tool_calls = {{.result =
                            BYTES_LITERAL("{\"order\": \"10024\", \"status\": \"shipped\"}")}},
        .tool_call_count = 1};
    check_value("context_overlap", &interaction, 1);
}

static void context_overlap_needs_contexts_and_words(void **state)
{
    (void)state;
    struct interaction interaction = {.response = BYTES_LITERAL("Refunds take 14 days")};
    check_not_applicable("context_overlap", &interaction);
    interaction.context_count = 2;  // both empty
    check_not_applicable("context_overlap", &interaction);
    interaction.contexts[1] = BYTES_LITERAL("refunds");
    interaction.response = BYTES_LITERAL("It is on the ...");  // common words only
    check_not_applicable("context_overlap", &interaction);
}

// --- question_overlap ---

static void question_overlap_is_the_share_taken_up(void **state)
{
    (void)state;
    struct interaction interaction = {
        .question = BYTES_LITERAL("When does my green parcel arrive?"),
        .response = BYTES_LITERAL("Your parcel will arrive tomorrow.")};
    check_value("question_overlap", &interaction, 2.0 / 3);  // green, parcel, arrive
    interaction.question = BYTES_LITERAL("parcel parcel parcel arrive green");
    check_value("question_overlap", &interaction, 2.0 / 3);  // each once
}

static void question_overlap_needs_a_question_of_three_words(void **state)
{
    (void)state;
    struct interaction interaction = {.question = BYTES_LITERAL("And my parcel?"),
                                      .response = BYTES_LITERAL("It arrives.")};
    check_not_applicable("question_overlap", &interaction);
    interaction.question = BYTES_LITERAL("Green parcel arrival date");
    check_value("question_overlap", &interaction, 0);
    interaction.response = BYTES_NONE;
    check_not_applicable("question_overlap", &interaction);
}

// --- degenerate ---

static void degenerate_grades_the_response(void **state)
{
    (void)state;
    struct interaction interaction = {.question = BYTES_LITERAL("Where is my parcel?"),
                                      .response = BYTES_LITERAL("It arrives tomorrow.")};
    check_value("degenerate", &interaction, 1);
    interaction.response = interaction.question;
    struct score score = grade("degenerate", &interaction);
    assert_true(score.value == 0);
    assert_true(strlen(score.explanation) > 10);
    interaction.response = BYTES_NONE;
    check_not_applicable("degenerate", &interaction);
}

// --- valid_json ---

static void valid_json_applies_where_json_was_asked_for(void **state)
{
    (void)state;
    struct interaction interaction = {.response = BYTES_LITERAL("{\"a\": 1}")};
    check_not_applicable("valid_json", &interaction);
    interaction.json_requested = true;
    check_value("valid_json", &interaction, 1);
    interaction.response = BYTES_LITERAL("```json\n{\"a\": 1}\n```");
    check_value("valid_json", &interaction, 1);
    interaction.response = BYTES_LITERAL("{\"a\": }");
    struct score score = grade("valid_json", &interaction);
    assert_true(score.value == 0);
    assert_non_null(strstr(score.explanation, "not JSON"));
    interaction.truncated = true;
    check_not_applicable("valid_json", &interaction);
}

static enum result prepare(const char *schema, void **prepared, char *why, size_t why_len)
{
    const struct evaluator_ops *ops = ops_of("valid_json");
    struct bytes config = bytes_from_text(schema);
    assert_int_equal(ops->config_size, sizeof config);
    return ops->prepare(&config, prepared, why, why_len);
}

static double graded_with(void *prepared, const char *response, char *explanation)
{
    const struct interaction interaction = {.response = bytes_from_text(response)};
    struct score score = {.outcome = OUTCOME_ERROR};
    ops_of("valid_json")->grade(prepared, &interaction, &score);
    assert_int_equal(score.outcome, OUTCOME_SCORE);
    snprintf(explanation, EXPLANATION_BYTES_MAX, "%s", score.explanation);
    return score.value;
}

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"eta\":{\"type\":\"integer\",\"minimum\":0}},"          \
    "\"required\":[\"eta\"],\"additionalProperties\":false}"

static void valid_json_checks_a_schema_always(void **state)
{
    (void)state;
    char why[256] = "", explanation[EXPLANATION_BYTES_MAX];
    void *prepared = NULL;
    assert_int_equal(prepare(SCHEMA, &prepared, why, sizeof why), RESULT_OK);
    assert_non_null(prepared);
    assert_true(graded_with(prepared, "{\"eta\": 3}", explanation) == 1);
    assert_string_equal(explanation, "");
    assert_true(graded_with(prepared, "{\"eta\": -3}", explanation) == 0);
    assert_non_null(strstr(explanation, "eta"));
    assert_true(graded_with(prepared, "{\"eta\": \"soon\"}", explanation) == 0);
    assert_true(graded_with(prepared, "{}", explanation) == 0);
    assert_true(graded_with(prepared, "{\"eta\": 1, \"x\": 1}", explanation) == 0);
    assert_true(graded_with(prepared, "words", explanation) == 0);
    ops_of("valid_json")->release(prepared);
}

static void valid_json_reads_a_schema_from_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/evaluator_test_XXXXXX", source[64], why[256] = "";
    char explanation[EXPLANATION_BYTES_MAX];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, SCHEMA, sizeof(SCHEMA) - 1), sizeof(SCHEMA) - 1);
    close(fd);
    snprintf(source, sizeof source, "file:%s", path);
    void *prepared = NULL;
    assert_int_equal(prepare(source, &prepared, why, sizeof why), RESULT_OK);
    assert_true(graded_with(prepared, "{\"eta\": 0}", explanation) == 1);
    ops_of("valid_json")->release(prepared);
    unlink(path);
    assert_int_equal(prepare(source, &prepared, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, "cannot read the schema"));
    assert_null(prepared);
}

static void valid_json_refuses_a_schema_that_it_cannot_check(void **state)
{
    (void)state;
    char why[256] = "";
    void *prepared = NULL;
    assert_int_equal(prepare("{\"oneOf\": []}", &prepared, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, "oneOf"));
    assert_int_equal(prepare("{", &prepared, why, sizeof why), RESULT_FAIL);
    assert_null(prepared);
    assert_int_equal(prepare("", &prepared, why, sizeof why), RESULT_OK);
    assert_null(prepared);
    ops_of("valid_json")->release(NULL);
}

// --- scores ---

static void labels_follow_outcome_and_threshold(void **state)
{
    (void)state;
    struct evaluator evaluator = {.has_threshold = true, .threshold = 0.85};
    struct score score = {.outcome = OUTCOME_SCORE, .value = 0.85};
    score_settle(&evaluator, &score);
    assert_string_equal(score.label, "pass");
    score = (struct score){.outcome = OUTCOME_SCORE, .value = 0.84};
    score_settle(&evaluator, &score);
    assert_string_equal(score.label, "fail");
    score = (struct score){.outcome = OUTCOME_SCORE, .value = 0.2, .label = "polite"};
    score_settle(&evaluator, &score);
    assert_string_equal(score.label, "polite");
    evaluator.has_threshold = false;
    score = (struct score){.outcome = OUTCOME_SCORE, .value = 0.2};
    score_settle(&evaluator, &score);
    assert_string_equal(score.label, "");
}

static void errors_are_never_pass_or_fail(void **state)
{
    (void)state;
    const struct evaluator evaluator = {.has_threshold = true, .threshold = 0};
    struct score score = {.outcome = OUTCOME_ERROR, .value = 0.9, .label = "pass"};
    score_settle(&evaluator, &score);
    assert_string_equal(score.label, "error");
    score = (struct score){.outcome = OUTCOME_NOT_APPLICABLE, .label = "fail"};
    score_settle(&evaluator, &score);
    assert_string_equal(score.label, "not_applicable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_have_type_and_doc),
        cmocka_unit_test(nothing_captured_is_not_applicable),
        cmocka_unit_test(context_overlap_is_the_share_of_content_words),
        cmocka_unit_test(context_overlap_counts_numbers_double_and_names_missing_ones),
        cmocka_unit_test(context_overlap_reads_tool_results_too),
        cmocka_unit_test(context_overlap_needs_contexts_and_words),
        cmocka_unit_test(question_overlap_is_the_share_taken_up),
        cmocka_unit_test(question_overlap_needs_a_question_of_three_words),
        cmocka_unit_test(degenerate_grades_the_response),
        cmocka_unit_test(valid_json_applies_where_json_was_asked_for),
        cmocka_unit_test(valid_json_checks_a_schema_always),
        cmocka_unit_test(valid_json_reads_a_schema_from_a_file),
        cmocka_unit_test(valid_json_refuses_a_schema_that_it_cannot_check),
        cmocka_unit_test(labels_follow_outcome_and_threshold),
        cmocka_unit_test(errors_are_never_pass_or_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
