// SPDX-License-Identifier: Apache-2.0
//
// The binary with a judge: which interactions are graded, what arrives on the span, what is said
// about those that are not, and that nothing a judge does keeps telemetry from flowing. The judge
// is scripted and on loopback. Refused: a judge inside the program. Bounds: those of the harness.
// One thread beside the judge's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
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
             "evaluation: {judge: j, judges: {j: {api: openai, endpoint: \"%s\", model: %s, "
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_interaction_is_graded_within_ten_seconds_of_a_default_start),
    };
    (void)ask;
    (void)trace_id_of;
    (void)wait_decision;
    (void)start_with_judge;
    return cmocka_run_group_tests_name("grading", tests, NULL, NULL);
}
