// SPDX-License-Identifier: Apache-2.0
//
// The binary with a judge and every sink of scores behind it: one graded interaction arrives as
// scores at each backend, in the form that its interface publishes (score_server holds requests to
// the contracts), under the name that its place in the sample gives it. The trace is a recorded one
// moved to the present, since some backends turn away what is old. Refused: real backends, which
// the interoperation tests have. Bounds: those of the harness. One thread beside the servers'.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/attribute.h"
#include "proto/otlp_json.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/judge_server.h"
#include "tests/scenario/score_server.h"

static const struct judge_row script[] = {
    {.find = "45 days ago",
     .rubric = "is every claim",
     .score = 0,
     .reason = "The retrieved policy says 30 days.",
     .evidence = "within 60 days"},
};

struct stage {
    struct harness *harness;
    struct backend *backend;
    struct judge_server *judge;
    struct score_server *scores;
};

static int stage_setup(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    CHECK(stage != NULL);
    void *harness = NULL;
    harness_setup(&harness);
    stage->harness = harness;
    stage->backend = harness_backend(stage->harness);
    const struct judge_server_config config = {.rows = script, .row_count = 1};
    CHECK(judge_server_start(&config, &stage->judge) == RESULT_OK);
    stage->scores = score_server_start();
    *state = stage;
    return 0;
}

static int stage_teardown(void **state)
{
    struct stage *stage = *state;
    void *harness = stage->harness;
    harness_teardown(&harness);
    judge_server_stop(&stage->judge);
    score_server_stop(&stage->scores);
    free(stage);
    return 0;
}

// --- the trace ------------------------------------------------------------------------------

#define STAMP_DIGITS 19

static bool stamp_at(struct bytes json, size_t *at, uint64_t *stamp)
{
    *at = bytes_find(json, BYTES_LITERAL("UnixNano\":"), *at);
    if (*at == SIZE_MAX) {
        return false;
    }
    *at += 10;
    while (*at < json.len && (json.ptr[*at] == ' ' || json.ptr[*at] == '"')) {
        ++*at;
    }
    CHECK(bytes_to_u64(bytes_slice(json, *at, STAMP_DIGITS), stamp));
    return true;
}

// The last time in the text becomes the present, the others keep their distance.
static void move_to_present(struct buffer *json)
{
    uint64_t stamp, last = 0;
    for (size_t at = 0; stamp_at(buffer_view(json), &at, &stamp);) {
        last = stamp > last ? stamp : last;
    }
    uint64_t shift = clock_wall_ns() - last;
    for (size_t at = 0; stamp_at(buffer_view(json), &at, &stamp);) {
        char text[24];
        snprintf(text, sizeof(text), "%019llu", (unsigned long long)(stamp + shift));
        memcpy(json->ptr + at, text, STAMP_DIGITS);
    }
}

static void send_trace(struct stage *stage)
{
    struct buffer json, request;
    char why[256];
    harness_trace_json(0, &json);
    move_to_present(&json);
    buffer_init(&request, (size_t)1 << 22);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(&json), &request, why, sizeof(why)) ==
          RESULT_OK);
    harness_send(stage->harness, buffer_view(&request));
    buffer_fini(&json);
    buffer_fini(&request);
}

// --- the program ----------------------------------------------------------------------------

#define SINKS_MAX 4096

// `sinks`: YAML flow map with a %u for the server's port in each place of @.
static void start(struct stage *stage, const char *evaluation, const char *sinks, const char *names)
{
    struct buffer text;
    buffer_init(&text, SINKS_MAX);
    for (const char *at = sinks; *at != '\0'; at++) {
        if (*at == '@') {
            buffer_printf(&text, "http://127.0.0.1:%u", score_server_port(stage->scores));
        } else {
            buffer_append_byte(&text, (uint8_t)*at);
        }
    }
    harness_start_yaml(
        stage->harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "processors: {evaluation: {judges: {default: {api: openai, endpoint: \"%s\", model: ok, "
        "api_key: k, timeout: 3s, price: {input_per_mtok: 0, output_per_mtok: 0}}}%s}}\n"
        "exporters: {otlp_http: {endpoint: \"%s\"}, %s}\n"
        "service:\n"
        "  pipelines:\n"
        "    traces: {receivers: [otlp], processors: [evaluation], exporters: [otlp_http, %s]}\n",
        judge_server_openai_url(stage->judge), evaluation, backend_url(stage->backend),
        buffer_text(&text), names);
    buffer_fini(&text);
}

struct awaiting {
    struct stage *stage;
    const char *exporter;
    double count;
};

static bool has_sent(void *arg)
{
    struct awaiting *awaiting = arg;
    char label[96];
    snprintf(label, sizeof(label), "exporter=\"%s\"", awaiting->exporter);
    return harness_metric(awaiting->stage->harness, "sidejudge_exporter_sent_scores_total",
                          label) >= awaiting->count;
}

static void wait_sent(struct stage *stage, const char *exporter, double count)
{
    struct awaiting awaiting = {stage, exporter, count};
    harness_wait(stage->harness, has_sent, &awaiting, HARNESS_PATIENCE_S, exporter);
}

static bool has_decision(void *arg)
{
    struct awaiting *awaiting = arg;
    return harness_metric(awaiting->stage->harness, "sidejudge_decisions_total",
                          awaiting->exporter) >= awaiting->count;
}

static void expect_faithfulness(struct stage *stage, enum score_backend backend, const char *name)
{
    const struct score_kept *kept = score_server_find(stage->scores, backend, name);
    assert_non_null(kept);
    assert_true(kept->has_value && kept->value == 0);
    assert_int_equal(kept->writes, 1);
}

static void contracts_were_kept(const struct stage *stage)
{
    score_server_sync(stage->scores);
    if (stage->scores->refused > 0) {
        print_error("%s\n", stage->scores->refusal);
    }
    assert_int_equal(stage->scores->refused, 0);
}

#define KEY "api_key: " SCORE_SERVER_KEY
#define LANGFUSE_KEYS "public_key: pk-test, secret_key: sk-test, endpoint: '@'"

static void each_backend_gets_the_scores_of_an_interaction_in_its_own_form(void **state)
{
    static const char *const names[] = {"langfuse",
                                        "phoenix",
                                        "braintrust",
                                        "langwatch",
                                        "langsmith_feedback",
                                        "datadog_evaluations",
                                        "webhook"};
    static const enum score_backend backends[] = {
        BACKEND_LANGFUSE,  BACKEND_PHOENIX, BACKEND_BRAINTRUST, BACKEND_LANGWATCH,
        BACKEND_LANGSMITH, BACKEND_DATADOG, BACKEND_WEBHOOK};
    struct stage *stage = *state;
    start(stage, ", sampling: {baseline: 1}",
          "langfuse: {" LANGFUSE_KEYS "}, phoenix: {" KEY ", endpoint: '@'}, "
          "braintrust: {" KEY ", endpoint: '@', parent: 'project_name:test'}, "
          "langwatch: {" KEY ", endpoint: '@'}, langsmith_feedback: {" KEY ", endpoint: '@'}, "
          "datadog_evaluations: {" KEY ", endpoint: '@'}, webhook: {endpoint: '@/hook'}",
          "langfuse, phoenix, braintrust, langwatch, langsmith_feedback, datadog_evaluations, "
          "webhook");
    send_trace(stage);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        wait_sent(stage, names[i], 1);
    }
    harness_stop(stage->harness);
    contracts_were_kept(stage);
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        expect_faithfulness(stage, backends[i], "faithfulness");
        assert_int_equal(score_server_count(stage->scores, backends[i]),
                         score_server_count(stage->scores, BACKEND_WEBHOOK));
    }
    for (enum score_backend i = BACKEND_LANGFUSE; i < BACKEND_COUNT; i++) {
        bool takes_spans = i == BACKEND_LANGFUSE || i == BACKEND_PHOENIX ||
                           i == BACKEND_BRAINTRUST || i == BACKEND_LANGWATCH;
        assert_int_equal(stage->scores->spans[i] > 0, takes_spans);
    }
}

static void sinks_of_scores_alone_get_no_spans(void **state)
{
    struct stage *stage = *state;
    start(stage, ", sampling: {baseline: 1}",
          "langfuse_scores: {" LANGFUSE_KEYS "}, phoenix_annotations: {" KEY ", endpoint: '@'}",
          "langfuse_scores, phoenix_annotations");
    send_trace(stage);
    wait_sent(stage, "langfuse_scores", 1);
    wait_sent(stage, "phoenix_annotations", 1);
    harness_stop(stage->harness);
    contracts_were_kept(stage);
    expect_faithfulness(stage, BACKEND_LANGFUSE, "faithfulness");
    expect_faithfulness(stage, BACKEND_PHOENIX, "faithfulness");
    assert_int_equal(stage->scores->spans[BACKEND_LANGFUSE], 0);
    assert_int_equal(stage->scores->spans[BACKEND_PHOENIX], 0);
}

static void failures_alone_stand_under_targeted_names(void **state)
{
    struct stage *stage = *state;
    start(stage, ", sampling: {baseline: 1}",
          "webhook: {endpoint: '@/hook', send: failed, targeted_suffix: _bad}", "webhook");
    send_trace(stage);
    wait_sent(stage, "webhook", 1);
    harness_stop(stage->harness);
    contracts_were_kept(stage);
    expect_faithfulness(stage, BACKEND_WEBHOOK, "faithfulness_bad");
    for (size_t i = 0; i < stage->scores->kept_count; i++) {
        assert_non_null(strstr(stage->scores->kept[i].name, "_bad"));
        assert_int_not_equal(stage->scores->kept[i].value, 1);
    }
}

static void what_was_not_picked_is_sent_by_code_alone_and_only_where_all_is_asked_for(void **state)
{
    struct stage *stage = *state;
    start(stage, ", sampling: {baseline: 0}",
          "webhook: {endpoint: '@/hook', send: all}, "
          "datadog_evaluations: {" KEY ", endpoint: '@'}",
          "webhook, datadog_evaluations");
    send_trace(stage);
    wait_sent(stage, "webhook", 1);
    struct awaiting awaiting = {stage, "reason=\"not_sampled\"", 1};
    harness_wait(stage->harness, has_decision, &awaiting, HARNESS_PATIENCE_S, "not_sampled");
    harness_stop(stage->harness);
    contracts_were_kept(stage);
    assert_true(score_server_count(stage->scores, BACKEND_WEBHOOK) > 0);
    assert_null(score_server_find(stage->scores, BACKEND_WEBHOOK, "faithfulness"));
    for (size_t i = 0; i < stage->scores->kept_count; i++) {
        const struct score_kept *kept = &stage->scores->kept[i];
        bool is_targeted = strstr(kept->name, "_targeted") != NULL;
        assert_int_equal(is_targeted, kept->backend == BACKEND_DATADOG);
    }
    assert_int_equal(judge_server_requests(stage->judge), 0);
}

static void a_backend_that_is_down_for_a_while_gets_its_scores_once(void **state)
{
    struct stage *stage = *state;
    stage->scores->fail_count = 3;
    stage->scores->fail_status = 503;
    stage->scores->fail_body = "";
    score_server_sync(stage->scores);
    start(stage, ", sampling: {baseline: 1}",
          "langfuse: {" LANGFUSE_KEYS
          ", retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}}",
          "langfuse");
    send_trace(stage);
    wait_sent(stage, "langfuse", 1);
    harness_stop(stage->harness);
    contracts_were_kept(stage);
    assert_true(stage->scores->requests[BACKEND_LANGFUSE] >= 4);
    expect_faithfulness(stage, BACKEND_LANGFUSE, "faithfulness");
}

static void scores_can_be_switched_off_beside_spans(void **state)
{
    struct stage *stage = *state;
    start(stage, ", sampling: {baseline: 1}",
          "langfuse: {" LANGFUSE_KEYS ", scores: false}, webhook: {endpoint: '@/hook'}",
          "langfuse, webhook");
    send_trace(stage);
    wait_sent(stage, "webhook", 1);
    harness_stop(stage->harness);
    contracts_were_kept(stage);
    assert_int_equal(stage->scores->requests[BACKEND_LANGFUSE], 0);
    assert_true(stage->scores->spans[BACKEND_LANGFUSE] > 0);
}

static void a_file_has_scores_as_lines(void **state)
{
    struct stage *stage = *state;
    struct buffer content;
    char sink[256];
    char *path = strdup(harness_file(stage->harness, "scores.jsonl", ""));
    snprintf(sink, sizeof(sink), "file: {path: \"%s\"}", path);
    start(stage, ", sampling: {baseline: 1}", sink, "file");
    send_trace(stage);
    wait_sent(stage, "file", 1);
    harness_stop(stage->harness);
    buffer_init(&content, (size_t)1 << 22);
    assert_int_equal(file_read(path, &content), RESULT_OK);
    assert_non_null(strstr(buffer_text(&content), "{\"score\":{\"id\":\""));
    assert_non_null(strstr(buffer_text(&content), "\"name\":\"faithfulness\""));
    buffer_fini(&content);
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_backend_gets_the_scores_of_an_interaction_in_its_own_form),
        TEST(sinks_of_scores_alone_get_no_spans),
        TEST(failures_alone_stand_under_targeted_names),
        TEST(what_was_not_picked_is_sent_by_code_alone_and_only_where_all_is_asked_for),
        TEST(a_backend_that_is_down_for_a_while_gets_its_scores_once),
        TEST(scores_can_be_switched_off_beside_spans),
        TEST(a_file_has_scores_as_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
