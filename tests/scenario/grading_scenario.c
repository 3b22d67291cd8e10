// SPDX-License-Identifier: Apache-2.0
//
// The binary with a judge: which interactions are graded, what arrives on the span, what is said
// about those that are not, and that nothing a judge does keeps telemetry from flowing. The judge
// is scripted and on loopback. Refused: a judge inside the program. Bounds: those of the harness.
// One thread beside the judge's.

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "proto/attribute.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/judge_server.h"

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
    *state = stage;
    return 0;
}

static int stage_teardown(void **state)
{
    struct stage *stage = *state;
    void *harness = stage->harness;
    harness_teardown(&harness);
    judge_server_stop(&stage->judge);
    free(stage);
    return 0;
}

// A start without a file, as an operator with a key would make it.
static void start_from_environment(struct stage *stage)
{
    struct harness *harness = stage->harness;
    harness_variable(harness, "SIDEJUDGE_LISTEN", "127.0.0.1:0,127.0.0.1:0");
    harness_variable(harness, "SIDEJUDGE_EXPORTER_OTLP_ENDPOINT", backend_url(stage->backend));
    harness_variable(harness, "SIDEJUDGE_JUDGE", "anthropic/claude-haiku-4-5");
    harness_variable(harness, "ANTHROPIC_API_KEY", "sk-scenario");
    harness_variable(harness, "ANTHROPIC_BASE_URL", judge_server_anthropic_url(stage->judge));
    harness_start(harness, (const char *const[]){NULL});
}

// `judge`: model of the scripted judge; `rest`: further keys of evaluation.
static void start_with_judge(struct stage *stage, const char *model, const char *rest)
{
    char processors[1024];
    snprintf(processors, sizeof(processors),
             "evaluation: {judges: {default: {api: openai, endpoint: \"%s\", model: %s, "
             "api_key: k, timeout: 3s, price: {input_per_mtok: 0, output_per_mtok: 0}}}%s}",
             judge_server_openai_url(stage->judge), model, rest);
    harness_start_with(stage->harness, stage->backend, processors, "evaluation");
}

struct scored {
    const char *key;
    struct any_view value;
    struct bytes span_id;
    unsigned count;
};

static bool find_key(void *arg, const struct backend_item *item)
{
    struct scored *scored = arg;
    struct any_view value;
    if (attribute_find(item->view.attributes, SPAN_ATTRIBUTES, scored->key, &value)) {
        scored->value = value;
        scored->count++;
    }
    return true;
}

// How many spans at the backend carry `key`; the last one's value.
static unsigned spans_with(const struct stage *stage, const char *key, struct any_view *value)
{
    struct scored scored = {.key = key};
    backend_each(stage->backend, SIGNAL_TRACES, find_key, &scored);
    *value = scored.value;
    return scored.count;
}

struct awaiting {
    const struct stage *stage;
    const char *key;
    unsigned count;
};

static bool key_is_there(void *arg)
{
    const struct awaiting *awaiting = arg;
    struct any_view value;
    return spans_with(awaiting->stage, awaiting->key, &value) >= awaiting->count;
}

static void wait_key(struct stage *stage, const char *key, unsigned count, unsigned seconds)
{
    struct awaiting awaiting = {stage, key, count};
    harness_wait(stage->harness, key_is_there, &awaiting, seconds, key);
}

static void send_trace(struct stage *stage, unsigned index)
{
    struct buffer request;
    harness_trace(index, &request);
    harness_send(stage->harness, buffer_view(&request));
    buffer_fini(&request);
}

struct first_id {
    char text[33];
};

static bool note_id(void *arg, const struct item_view *view)
{
    hex_encode(view->trace_id, 16, ((struct first_id *)arg)->text);
    return false;
}

static struct first_id trace_id_of(unsigned index)
{
    struct first_id id = {""};
    struct buffer request;
    struct scan_report report;
    harness_trace(index, &request);
    assert_int_equal(scan_request(SIGNAL_TRACES, buffer_view(&request), 0, note_id, &id, &report),
                     RESULT_STOP);
    buffer_fini(&request);
    return id;
}

// `sidejudge explain` or `status` of the running process.
static int ask(struct stage *stage, const char *command, const char *operand, bool as_json,
               struct buffer *out)
{
    char api[64];
    const char *arguments[6] = {command};
    size_t count = 1;
    snprintf(api, sizeof(api), "--api=127.0.0.1:%u", stage->harness->api_port);
    arguments[count++] = api;
    if (operand != NULL) {
        arguments[count++] = operand;
    }
    if (as_json) {
        arguments[count++] = "--json";
    }
    arguments[count] = NULL;
    return harness_command(stage->harness, arguments, out);
}

static bool has_decision(void *arg)
{
    const struct awaiting *awaiting = arg;
    char label[96];
    snprintf(label, sizeof(label), "reason=\"%s\"", awaiting->key);
    return harness_metric(awaiting->stage->harness, "sidejudge_decisions", label) >=
               awaiting->count ||
           harness_metric(awaiting->stage->harness, "sidejudge_decisions_total", label) >=
               awaiting->count;
}

static void wait_decision(struct stage *stage, const char *reason, unsigned count)
{
    struct awaiting awaiting = {stage, reason, count};
    harness_wait(stage->harness, has_decision, &awaiting, HARNESS_PATIENCE_S, reason);
}

static void first_interaction_is_graded_within_ten_seconds_of_a_default_start(void **state)
{
    struct stage *stage = *state;
    struct any_view value;
    judge_server_force(stage->judge, JUDGE_MODE_OK);  // whatever the model is called
    start_from_environment(stage);
    send_trace(stage, 0);
    wait_key(stage, "sidejudge.score.faithfulness", 1, 10);
    assert_int_equal(spans_with(stage, "sidejudge.score.faithfulness", &value), 1);
    assert_true(value.kind == ANY_KIND_DOUBLE && value.real == 0);
    assert_int_equal(spans_with(stage, "sidejudge.verdict", &value), 1);
    assert_true(bytes_equal_text(value.bytes, "fail"));
    assert_int_equal(judge_server_refused(stage->judge), 0);
    harness_stop(stage->harness);
    struct buffer request;
    harness_trace(0, &request);
    assert_int_equal(harness_spans_arrived(stage->harness, stage->backend, buffer_view(&request)),
                     1);
    buffer_fini(&request);
}

static void judged_interaction_is_explained_and_stands_in_status(void **state)
{
    struct stage *stage = *state;
    struct buffer out;
    struct json_document *document = NULL;
    struct first_id id = trace_id_of(0);
    start_with_judge(stage, "ok", "");
    send_trace(stage, 0);
    wait_key(stage, "sidejudge.verdict", 1, 10);
    wait_decision(stage, "judged", 1);
    assert_int_equal(ask(stage, "explain", id.text, false, &out), 0);
    assert_non_null(strstr(buffer_text(&out), "judged"));
    assert_non_null(strstr(buffer_text(&out), "faithfulness"));
    assert_non_null(strstr(buffer_text(&out), "30 days"));
    buffer_fini(&out);
    assert_int_equal(ask(stage, "explain", id.text, true, &out), 0);
    assert_int_equal(json_parse(buffer_view(&out), &document, NULL), RESULT_OK);
    assert_int_equal(json_count(json_get(json_root(document), "decisions")), 1);
    json_free(&document);
    buffer_fini(&out);
    assert_int_equal(ask(stage, "status", NULL, false, &out), 0);
    assert_non_null(strstr(buffer_text(&out), "graded       1"));
    assert_non_null(strstr(buffer_text(&out), "received     "));
    buffer_fini(&out);
    assert_int_equal(ask(stage, "status", NULL, true, &out), 0);
    assert_int_equal(json_parse(buffer_view(&out), &document, NULL), RESULT_OK);
    json_free(&document);
    buffer_fini(&out);
    harness_wait_items(stage->harness, stage->backend, SIGNAL_LOGS,
                       backend_items(stage->backend, SIGNAL_LOGS));
    assert_true(backend_items(stage->backend, SIGNAL_LOGS) > 0);  // gen_ai.evaluation.result
    assert_true(harness_said(stage->harness, "first interaction graded"));
    assert_true(harness_said(stage->harness, id.text));
    harness_stop(stage->harness);
}

static void interaction_that_is_not_picked_leaves_untouched_and_says_why(void **state)
{
    struct stage *stage = *state;
    struct buffer out;
    struct any_view value;
    struct first_id id = trace_id_of(1);
    start_with_judge(stage, "ok", ", sampling: {baseline: 0}");
    send_trace(stage, 1);
    wait_decision(stage, "not_sampled", 1);
    assert_int_equal(ask(stage, "explain", id.text, false, &out), 0);
    assert_non_null(strstr(buffer_text(&out), "not_sampled"));
    assert_non_null(strstr(buffer_text(&out), "random number"));
    buffer_fini(&out);
    harness_stop(stage->harness);
    assert_int_equal(judge_server_requests(stage->judge), 0);
    assert_int_equal(spans_with(stage, "sidejudge.decision", &value), 0);
    struct buffer request;
    harness_trace(1, &request);
    assert_int_equal(harness_spans_arrived(stage->harness, stage->backend, buffer_view(&request)),
                     0);
    buffer_fini(&request);
}

static void trace_that_never_came_is_not_explained(void **state)
{
    struct stage *stage = *state;
    struct buffer out;
    start_with_judge(stage, "ok", "");
    assert_int_equal(ask(stage, "explain", "00000000000000000000000000000abc", false, &out), 1);
    assert_non_null(strstr(buffer_text(&out), "no decision about this trace"));
    buffer_fini(&out);
    assert_int_equal(ask(stage, "explain", "xyz", false, &out), 1);
    assert_non_null(strstr(buffer_text(&out), "32 hexadecimal digits"));
    buffer_fini(&out);
    assert_int_equal(ask(stage, "explain", "zz000000000000000000000000000abc", false, &out), 1);
    assert_non_null(strstr(buffer_text(&out), "32 hexadecimal digits"));
    buffer_fini(&out);
    harness_stop(stage->harness);
}

static void judge_that_misbehaves_is_an_error_and_never_a_score(void **state)
{
    static const enum judge_mode modes[] = {
        JUDGE_MODE_FAIL,    JUDGE_MODE_GARBAGE,  JUDGE_MODE_CUT,   JUDGE_MODE_WRONG_SCHEMA,
        JUDGE_MODE_REFUSAL, JUDGE_MODE_OVERSIZE, JUDGE_MODE_RESET, JUDGE_MODE_LIMIT};
    struct stage *stage = *state;
    struct any_view value;
    start_with_judge(stage, "ok", ", hold: 500ms");
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct buffer out;
        struct first_id id = trace_id_of(i);
        judge_server_force(stage->judge, (int)modes[i]);
        send_trace(stage, i);
        wait_decision(stage, "judge_error", i + 1);
        assert_int_equal(ask(stage, "explain", id.text, false, &out), 0);
        assert_non_null(strstr(buffer_text(&out), "judge_error"));
        buffer_fini(&out);
    }
    harness_stop(stage->harness);
    assert_int_equal(spans_with(stage, "sidejudge.score.faithfulness", &value), 0);
    assert_int_equal(spans_with(stage, "sidejudge.score.answer_relevance", &value), 0);
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct buffer request;
        harness_trace(i, &request);
        harness_spans_arrived(stage->harness, stage->backend, buffer_view(&request));
        buffer_fini(&request);
    }
}

static void spans_keep_flowing_when_the_judge_is_gone(void **state)
{
    struct stage *stage = *state;
    struct any_view value;
    start_with_judge(stage, "ok", ", hold: 2s, budget: {calls_per_second: 0}");
    judge_server_stop(&stage->judge);
    for (unsigned i = 0; i < HARNESS_TRACES; i++) {
        send_trace(stage, i);
    }
    wait_decision(stage, "judge_error", HARNESS_TRACES);
    assert_int_equal(harness_get(stage->harness, stage->harness->health_port, "/").status, 200);
    harness_stop(stage->harness);
    for (unsigned i = 0; i < HARNESS_TRACES; i++) {
        struct buffer request;
        harness_trace(i, &request);
        harness_spans_arrived(stage->harness, stage->backend, buffer_view(&request));
        buffer_fini(&request);
    }
    assert_int_equal(spans_with(stage, "sidejudge.score.faithfulness", &value), 0);
}

static void score_that_comes_after_the_hold_follows_on_a_carrier(void **state)
{
    struct stage *stage = *state;
    struct any_view value;
    struct buffer request;
    start_with_judge(stage, "slow", ", hold: 200ms, completion: {linger: 100ms}");
    send_trace(stage, 0);
    wait_key(stage, "sidejudge.score.faithfulness", 1, 10);
    harness_stop(stage->harness);
    assert_int_equal(spans_with(stage, "sidejudge.score.faithfulness", &value), 1);
    harness_trace(0, &request);
    assert_int_equal(harness_spans_arrived(stage->harness, stage->backend, buffer_view(&request)),
                     0);  // the target itself left bare
    buffer_fini(&request);
}

static void judge_that_recovers_within_its_deadline_gives_a_score(void **state)
{
    struct stage *stage = *state;
    start_with_judge(stage, "flaky", ", hold: 4s");
    send_trace(stage, 0);
    wait_key(stage, "sidejudge.score.faithfulness", 1, 15);
    harness_stop(stage->harness);
}

static atomic_int secrets_seen;

static void look_for_secrets(void *arg, struct bytes body)
{
    (void)arg;
    static const char *const secrets[] = {"jane.doe@example.com", "4111 1111 1111 1111",
                                          "DE89 3704 0044 0532 0130 00"};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (bytes_find(body, bytes_from_text(secrets[i]), 0) != SIZE_MAX) {
            atomic_fetch_add(&secrets_seen, 1);
        }
    }
}

static void personal_data_never_reaches_the_judge(void **state)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
        "{\"stringValue\":\"bank\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5cec0000000000000000000000000009\",\"spanId\":\"5cec000000000009\",\"name\":\"agent\","
        "\"kind\":1,\"startTimeUnixNano\":\"1795255623854972540\",\"endTimeUnixNano\":"
        "\"1795255623855293736\",\"attributes\":["
        "{\"key\":\"openinference.span.kind\",\"value\":{\"stringValue\":\"AGENT\"}},"
        "{\"key\":\"input.value\",\"value\":{\"stringValue\":\"My mail is jane.doe@example.com "
        "and my card 4111 1111 1111 1111, was I charged?\"}},"
        "{\"key\":\"output.value\",\"value\":{\"stringValue\":\"Yes, to DE89 3704 0044 0532 0130 "
        "00, and jane.doe@example.com got the invoice.\"}}]}]}]}]}";
    struct stage *stage = *state;
    judge_server_stop(&stage->judge);
    const struct judge_server_config config = {.on_request = look_for_secrets};
    assert_int_equal(judge_server_start(&config, &stage->judge), RESULT_OK);
    atomic_store(&secrets_seen, 0);
    start_with_judge(stage, "ok", "");
    assert_int_equal(
        harness_post(stage->harness, "/v1/traces", "application/json", NULL, bytes_from_text(json))
            .status,
        200);
    wait_key(stage, "sidejudge.verdict", 1, 10);
    harness_stop(stage->harness);
    assert_true(judge_server_requests(stage->judge) > 0);
    assert_int_equal(atomic_load(&secrets_seen), 0);
}

static void broken_rubric_leaves_a_plain_forwarder(void **state)
{
    struct stage *stage = *state;
    struct buffer request;
    start_with_judge(
        stage, "ok",
        ", evaluators: {tone: {judge: default, rubric: \"file:/nonexistent/tone.md\"}}");
    assert_true(harness_said(stage->harness, "degraded"));
    assert_true(harness_said(stage->harness, "tone.md"));
    assert_true(harness_metric(stage->harness, "sidejudge_degraded", "processors::evaluation") ==
                1);
    send_trace(stage, 0);
    assert_int_equal(harness_get(stage->harness, stage->harness->health_port, "/").status, 200);
    harness_stop(stage->harness);
    harness_trace(0, &request);
    assert_int_equal(harness_spans_arrived(stage->harness, stage->backend, buffer_view(&request)),
                     0);
    buffer_fini(&request);
}

static void incoming_sidejudge_attributes_are_not_believed(void **state)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5cec0000000000000000000000000007\",\"spanId\":\"5cec000000000007\",\"name\":\"agent\","
        "\"kind\":1,\"startTimeUnixNano\":\"1795255623854972540\",\"endTimeUnixNano\":"
        "\"1795255623855293736\",\"attributes\":["
        "{\"key\":\"openinference.span.kind\",\"value\":{\"stringValue\":\"AGENT\"}},"
        "{\"key\":\"sidejudge.verdict\",\"value\":{\"stringValue\":\"forged\"}},"
        "{\"key\":\"input.value\",\"value\":{\"stringValue\":\"How long is delivery?\"}},"
        "{\"key\":\"output.value\",\"value\":{\"stringValue\":\"Delivery takes two "
        "days.\"}}]}]}]}]}";
    struct stage *stage = *state;
    struct any_view value;
    start_with_judge(stage, "ok", "");
    assert_int_equal(
        harness_post(stage->harness, "/v1/traces", "application/json", NULL, bytes_from_text(json))
            .status,
        200);
    wait_key(stage, "sidejudge.score.answer_relevance", 1, 10);
    harness_stop(stage->harness);
    assert_int_equal(spans_with(stage, "sidejudge.verdict", &value), 1);
    assert_true(bytes_equal_text(value.bytes, "pass"));
}

static void model_span_without_content_is_named_with_the_remedy(void **state)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
        "{\"stringValue\":\"mute\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5cec0000000000000000000000000006\",\"spanId\":\"5cec000000000006\",\"name\":\"chat "
        "gpt\",\"kind\":3,\"startTimeUnixNano\":\"1795255623854972540\",\"endTimeUnixNano\":"
        "\"1795255623855293736\",\"attributes\":["
        "{\"key\":\"gen_ai.operation.name\",\"value\":{\"stringValue\":\"chat\"}},"
        "{\"key\":\"gen_ai.request.model\",\"value\":{\"stringValue\":\"gpt\"}}]}]}]}]}";
    struct stage *stage = *state;
    start_with_judge(stage, "ok", "");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(harness_post(stage->harness, "/v1/traces", "application/json", NULL,
                                      bytes_from_text(json))
                             .status,
                         200);
    }
    wait_decision(stage, "no_content", 1);
    assert_true(harness_said(stage->harness, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"));
    harness_stop(stage->harness);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_interaction_is_graded_within_ten_seconds_of_a_default_start),
        TEST(judged_interaction_is_explained_and_stands_in_status),
        TEST(interaction_that_is_not_picked_leaves_untouched_and_says_why),
        TEST(trace_that_never_came_is_not_explained),
        TEST(judge_that_misbehaves_is_an_error_and_never_a_score),
        TEST(spans_keep_flowing_when_the_judge_is_gone),
        TEST(score_that_comes_after_the_hold_follows_on_a_carrier),
        TEST(judge_that_recovers_within_its_deadline_gives_a_score),
        TEST(personal_data_never_reaches_the_judge),
        TEST(broken_rubric_leaves_a_plain_forwarder),
        TEST(incoming_sidejudge_attributes_are_not_believed),
        TEST(model_span_without_content_is_named_with_the_remedy),
    };
    return cmocka_run_group_tests_name("grading", tests, NULL, NULL);
}
