// SPDX-License-Identifier: Apache-2.0
//
// What a judge can do wrong, a row each: how it answers. Whatever it is, the span is there, bare,
// the decision is judge_error, and there is no score, neither 0 nor 1. The rows share one process
// and one judge; a sound answer follows each row, so that the breaker never hides the next fault
// and everything is seen to go on. Refused: a process for each row. Bounds: those of the harness.
// One thread.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "proto/attribute.h"
#include "tests/scenario/faulty_backend.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"

enum { BACKEND, JUDGE };  // the numbers at the oracle; nothing arrives at the judge
#define REPLY_BYTES_MAX (UINT64_C(64) << 20)

static struct stage {
    struct harness *harness;
    struct oracle *oracle;
    struct faulty_backend *backend, *judge;
    unsigned number;  // of the next interaction
    unsigned errors;  // decisions until now
    bool passed;      // the last row
} stage;

// A reply of chat completions whose message has this content (a JSON string) and this end.
#define COMPLETION(content, finish)                                                                \
    "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"    \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" content                         \
    ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"" finish                             \
    "\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}"
#define SCORED(score)                                                                              \
    COMPLETION("\"{\\\"reason\\\":\\\"so\\\",\\\"evidence\\\":\\\"\\\",\\\"score\\\":" score       \
               "}\"",                                                                              \
               "stop")

static const struct faulty_answer sound = {.body = SCORED("1")};

static const struct fault {
    const char *name;
    struct faulty_answer answer;
    bool is_asked_again;  // the answer calls for another attempt
    unsigned gap_ms;      // the least time before it
} faults[] = {
    {.name = "judge_that_never_answers", .answer = {.how = FAULTY_SILENT}},
    {.name = "judge_that_drips", .answer = {.how = FAULTY_DRIPS, .body = SCORED("1")}},
    {.name = "judge_with_status_500", .answer = {.status = 500}, .is_asked_again = true},
    {.name = "judge_with_status_502", .answer = {.status = 502}, .is_asked_again = true},
    {.name = "judge_with_status_503", .answer = {.status = 503}, .is_asked_again = true},
    {.name = "judge_with_status_529", .answer = {.status = 529}, .is_asked_again = true},
    {.name = "judge_with_status_429_and_seconds",
     .answer = {.status = 429, .headers = "Retry-After: 1\r\n"},
     .is_asked_again = true,
     .gap_ms = 950},
    {.name = "judge_with_status_429_and_a_date",
     .answer = {.status = 429, .says_date = true},
     .is_asked_again = true,
     .gap_ms = 900},
    {.name = "judge_with_status_429_for_longer_than_its_deadline",
     .answer = {.status = 429, .headers = "Retry-After: 3600\r\n"}},
    {.name = "judge_with_status_400", .answer = {.status = 400}},
    {.name = "judge_with_status_401", .answer = {.status = 401}},
    {.name = "judge_whose_model_was_removed",
     .answer = {.status = 404,
                .body = "{\"error\":{\"message\":\"The model does not exist\",\"type\":"
                        "\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}"}},
    {.name = "judge_with_status_413", .answer = {.status = 413}},
    {.name = "judge_that_redirects",
     .answer = {.status = 307, .headers = "Location: /elsewhere\r\n", .body = SCORED("1")}},
    {.name = "judge_with_garbage", .answer = {.body = "<html>upstream connect error</html>"}},
    {.name = "judge_with_an_empty_body", .answer = {.status = 200}},
    {.name = "judge_with_status_204", .answer = {.status = 204}},
    {.name = "judge_with_json_of_another_api", .answer = {.body = "{\"ok\":true}"}},
    {.name = "judge_with_an_empty_list_of_choices", .answer = {.body = "{\"choices\":[]}"}},
    {.name = "judge_with_torn_json",
     .answer = {.body = "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"{"}},
    {.name = "judge_with_a_torn_answer",
     .answer = {.body = COMPLETION("\"{\\\"reason\\\":\\\"so\\\",\\\"score\\\":\"", "stop")}},
    {.name = "judge_cut_at_its_tokens",
     .answer = {.body = COMPLETION("\"{\\\"reason\\\":\\\"so on and\"", "length")}},
    {.name = "judge_with_a_sound_answer_cut_at_its_tokens",
     .answer = {.body = COMPLETION("\"{\\\"reason\\\":\\\"so\\\",\\\"evidence\\\":\\\"\\\","
                                   "\\\"score\\\":1}\"",
                                   "length")}},
    {.name = "judge_with_another_schema",
     .answer = {.body = COMPLETION("\"{\\\"verdict\\\":\\\"good\\\"}\"", "stop")}},
    {.name = "judge_with_prose",
     .answer = {.body = COMPLETION("\"I would give this a 1.\"", "stop")}},
    {.name = "judge_with_a_number_alone", .answer = {.body = COMPLETION("\"1\"", "stop")}},
    {.name = "judge_with_null_content", .answer = {.body = COMPLETION("null", "stop")}},
    {.name = "judge_that_refuses",
     .answer = {.body = "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                        "\"content\":null,\"refusal\":\"I cannot help with that.\"},"
                        "\"finish_reason\":\"stop\"}]}"}},
    {.name = "judge_with_a_filtered_answer",
     .answer = {.body = COMPLETION("\"\"", "content_filter")}},
    {.name = "judge_with_a_score_above_1", .answer = {.body = SCORED("7")}},
    {.name = "judge_with_a_negative_score", .answer = {.body = SCORED("-0.5")}},
    {.name = "judge_with_nan", .answer = {.body = SCORED("NaN")}},
    {.name = "judge_with_infinity", .answer = {.body = SCORED("1e999")}},
    {.name = "judge_with_a_score_in_words", .answer = {.body = SCORED("\\\"high\\\"")}},
    {.name = "judge_with_a_null_score", .answer = {.body = SCORED("null")}},
    {.name = "judge_with_a_true_score", .answer = {.body = SCORED("true")}},
    {.name = "judge_with_endless_tokens", .answer = {.how = FAULTY_ENDLESS}},
    {.name = "judge_with_5_gb", .answer = {.how = FAULTY_CLAIMS_5_GB}},
    {.name = "judge_that_resets", .answer = {.how = FAULTY_RESETS}, .is_asked_again = true},
    {.name = "judge_that_resets_while_the_body_comes",
     .answer = {.how = FAULTY_RESETS_EARLY},
     .is_asked_again = true},
    {.name = "judge_that_resets_amid_the_reply",
     .answer = {.how = FAULTY_CUT, .body = SCORED("1")},
     .is_asked_again = true},
};

static void stage_open(void)
{
    void *harness = NULL;
    harness_setup(&harness);
    memset(&stage, 0, sizeof(stage));
    stage.passed = true;
    stage.harness = harness;
    stage.oracle = oracle_new();
    stage.backend = faulty_backend_open(stage.harness->loop, stage.oracle, BACKEND);
    stage.judge = faulty_backend_open(stage.harness->loop, NULL, JUDGE);
    faulty_backend_sound(stage.judge, &sound);
    harness_start_yaml(
        stage.harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "extensions: {health_check: }\n"
        "processors: {evaluation: {hold: 300ms, completion: {linger: 50ms}, sampling: {baseline: "
        "\"1\"}, budget: {calls_per_second: 0}, evaluators: {answer_relevance: {judge: "
        "default}}, judges: {default: {api: openai, endpoint: \"%s/v1\", model: m, api_key: k, "
        "timeout: 3s, max_retries: 1, price: {input_per_mtok: 0, output_per_mtok: 0}}}}}\n"
        "exporters: {otlp_http: {endpoint: \"%s\", compression: none}}\n"
        "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], processors: "
        "[evaluation], exporters: [otlp_http]}}}\n",
        faulty_backend_url(stage.judge), faulty_backend_url(stage.backend));
}

static void stage_close(void)
{
    void *harness = stage.harness;
    faulty_backend_close(&stage.backend);
    faulty_backend_close(&stage.judge);
    harness_teardown(&harness);
    oracle_free(&stage.oracle);
}

static int group_setup(void **state)
{
    (void)state;
    stage_open();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    stage_close();
    return 0;
}

// A row that failed leaves a process of which nothing is known: the next one gets a new one.
static int row_setup(void **state)
{
    (void)state;
    if (!stage.passed) {
        stage_close();
        stage_open();
    }
    stage.passed = false;
    return 0;
}

static bool is_scored(void *arg)
{
    return faulty_backend_found(arg) > 0;
}

struct awaiting {
    const char *decision;
    unsigned count;
};

static double decisions(const char *decision)
{
    char label[64];
    snprintf(label, sizeof(label), "reason=\"%s\"", decision);
    double count = harness_metric(stage.harness, "sidejudge_decisions_total", label);
    return count < 0 ? 0 : count;
}

static bool is_decided(void *arg)
{
    const struct awaiting *awaiting = arg;
    return decisions(awaiting->decision) >= awaiting->count;
}

static void await_decision(const char *decision, unsigned count)
{
    struct awaiting awaiting = {decision, count};
    harness_wait(stage.harness, is_decided, &awaiting, HARNESS_PATIENCE_S, decision);
}

// One interaction goes in and its span comes out; its number.
static unsigned interaction(void)
{
    struct buffer request;
    unsigned number = stage.number++;
    harness_agents(&request, number, 1);
    assert_int_equal(oracle_post(stage.oracle, stage.harness, buffer_view(&request)), 200);
    buffer_fini(&request);
    oracle_await(stage.oracle, stage.harness, BACKEND);  // whether it is decided or not
    return number;
}

static void explanation_says_judge_error(unsigned number)
{
    char path[96];
    snprintf(path, sizeof(path), "/v1/decisions/a9e7a9e7a9e7a9e7a9e7a9e7%08x", number);
    struct harness_reply reply = harness_get(stage.harness, stage.harness->api_port, path);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "judge_error"));
    assert_null(strstr(reply.body, "\"score\":0"));
    assert_null(strstr(reply.body, "\"score\":1"));
}

static void faulty_row(void **state)
{
    const struct fault *fault = *state;
    double judged = decisions("judged");
    faulty_backend_behave(stage.judge, &fault->answer, 0);
    faulty_backend_look_for(stage.backend, "sidejudge.score.");
    unsigned number = interaction();
    await_decision("judge_error", ++stage.errors);
    explanation_says_judge_error(number);
    assert_true(decisions("judged") == judged);
    assert_int_equal(faulty_backend_found(stage.backend), 0);  // neither on span nor carrier
    // libcurl itself asks once more where a kept connection turns out to be dead
    assert_in_range(faulty_backend_faults(stage.judge), fault->is_asked_again ? 2 : 1,
                    fault->is_asked_again ? 4 : 1);
    assert_int_equal(faulty_backend_strayed(stage.judge), 0);
    assert_true(faulty_backend_sent_bytes(stage.judge) < REPLY_BYTES_MAX);
    if (fault->gap_ms > 0) {
        uint64_t gap_ns =
            faulty_backend_at_ns(stage.judge, 1) - faulty_backend_at_ns(stage.judge, 0);
        assert_true(gap_ns >= fault->gap_ms * NS_PER_MS);
    }
    faulty_backend_behave(stage.judge, NULL, 0);
    interaction();
    await_decision("judged", (unsigned)judged + 1);
    harness_wait(stage.harness, is_scored, stage.backend, HARNESS_PATIENCE_S, "a sound score");
    oracle_holds(stage.oracle, BACKEND, 0);
    assert_int_equal(harness_get(stage.harness, stage.harness->health_port, "/").status, 200);
    harness_sanitizers_are_silent(stage.harness);
    stage.passed = true;
}

// The breaker opens: interactions are decided without the judge, and none of them waits for it.
static void judge_that_is_gone_is_left_alone_and_delays_nothing(void **state)
{
    (void)state;
    faulty_backend_down(stage.judge);
    for (unsigned i = 0; i < 30; i++) {
        interaction();
    }
    stage.errors += 30;
    await_decision("judge_error", stage.errors);
    faulty_backend_up(stage.judge);
    oracle_holds(stage.oracle, BACKEND, 0);
    harness_stop(stage.harness);
    stage.passed = true;
}

#define ROWS (sizeof(faults) / sizeof(faults[0]))

int main(void)
{
    struct CMUnitTest tests[ROWS + 1];
    for (size_t i = 0; i < ROWS; i++) {
        tests[i] = (struct CMUnitTest){faults[i].name, faulty_row, row_setup, NULL,
                                       (void *)(uintptr_t)&faults[i]};
    }
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
        judge_that_is_gone_is_left_alone_and_delays_nothing, row_setup, NULL);
    return cmocka_run_group_tests_name("judge faults", tests, group_setup, group_teardown);
}
