// SPDX-License-Identifier: Apache-2.0
// The exporter `datadog_evaluations`: external evaluations on decimal ids.
#include "exporter/score/datadog_evaluations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/score_stage.h"

static const struct exporter_ops *const ops = &datadog_evaluations_exporter;
static struct score_server *server;

#define YAML "api_key: key-of-the-test, endpoint: 'http://127.0.0.1:%u'"
#define RETRY "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

static int set_up(void **state)
{
    (void)state;
    unsetenv("DD_API_KEY");
    unsetenv("DD_SITE");
    unsetenv("DD_LLMOBS_ML_APP");
    server = score_server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("DD_API_KEY");
    unsetenv("DD_SITE");
    unsetenv("DD_LLMOBS_ML_APP");
    score_server_stop(&server);
    return 0;
}

static void send_all(const char *yaml, struct exporter_status *status)
{
    struct score_record records[SCORE_STAGE_RECORDS];
    score_stage_records(records);
    score_stage_send(server, ops, yaml, records, SCORE_STAGE_RECORDS, status);
}

static const char golden[] =
    "{\"data\":{\"type\":\"evaluation_metric\",\"attributes\":{\"metrics\":[{\"join_"
    "on\":{\"span\":{\"span_id\":\"67667974448284161\",\"trace_id\":\"1009859391110"
    "33328018442752961257817857\"}},\"ml_app\":\"shop\",\"timestamp_ms\":1700000"
    "001234,\"label\":\"helpfulness\",\"assessment\":\"pass\",\"tags\":[\"source:ote"
    "l\",\"annotator:llm\",\"baseline:true\"],\"metric_type\":\"score\",\"score_val"
    "ue\":0.75,\"reasoning\":\"answers \\\"all\\\" of it\"},{\"join_on\":{\"span\":{\"s"
    "pan_id\":\"67667974448284161\",\"trace_id\":\"1009859391110333280184427529"
    "61257817857\"}},\"ml_app\":\"shop\",\"timestamp_ms\":1700000001234,\"label\":"
    "\"json_valid\",\"assessment\":\"pass\",\"tags\":[\"source:otel\",\"annotator:co"
    "de\",\"baseline:true\"],\"metric_type\":\"boolean\",\"boolean_value\":true},{"
    "\"join_on\":{\"span\":{\"span_id\":\"67667974448284161\",\"trace_id\":\"1009859"
    "39111033328018442752961257817857\"}},\"ml_app\":\"shop\",\"timestamp_ms\":1"
    "700000001234,\"label\":\"tone\",\"assessment\":\"pass\",\"tags\":[\"source:otel"
    "\",\"annotator:llm\",\"baseline:true\"],\"metric_type\":\"categorical\",\"cate"
    "gorical_value\":\"friendly\",\"reasoning\":\"warm words\"},{\"join_on\":{\"spa"
    "n\":{\"span_id\":\"67667974448284161\",\"trace_id\":\"1009859391110333280184"
    "42752961257817857\"}},\"ml_app\":\"shop\",\"timestamp_ms\":1700000001234,\"l"
    "abel\":\"no_loop_targeted\",\"assessment\":\"fail\",\"tags\":[\"source:otel\",\""
    "annotator:code\",\"baseline:false\"],\"metric_type\":\"boolean\",\"boolean_v"
    "alue\":false,\"reasoning\":\"same call 5 times\"},{\"join_on\":{\"span\":{\"sp"
    "an_id\":\"67667974448284162\",\"trace_id\":\"10098593911103332801844275296"
    "1257817858\"}},\"ml_app\":\"shop\",\"timestamp_ms\":1700000001234,\"label\":\""
    "helpfulness_targeted\",\"assessment\":\"fail\",\"tags\":[\"source:otel\",\"ann"
    "otator:llm\",\"baseline:false\"],\"metric_type\":\"score\",\"score_value\":0."
    "25,\"reasoning\":\"misses the point\"}]}}}";

static void each_sort_of_score_has_its_body(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{" YAML "}", &status);
    assert_true(score_stage_same_json(buffer_view(&server->body), golden));
    assert_int_equal(server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(status.send_failed, 0);
    assert_int_equal(score_server_count(server, BACKEND_DATADOG), 5);
    assert_null(score_server_find(server, BACKEND_DATADOG, "error"));
}

static void a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    send_all("{" YAML "}", &status);
    buffer_append_bytes(&first, buffer_view(&server->body));
    size_t count = score_server_count(server, BACKEND_DATADOG);
    send_all("{" YAML "}", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&server->body)));
    assert_int_equal(score_server_count(server, BACKEND_DATADOG), count);
    assert_int_equal(server->refused, 0);
    buffer_fini(&first);
}

static void what_the_sink_does_not_send_makes_no_request(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_DATADOG], 0);
    assert_int_equal(status.send_failed, 0);
    record = score_sample(SAMPLE_NUMERIC, 1);
    score_stage_send(server, ops, "{send: failed, " YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_DATADOG], 0);
}

static void failures_alone_carry_the_suffix(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: failed, targeted_suffix: _bad, " YAML "}", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(score_server_count(server, BACKEND_DATADOG), 2);
    assert_non_null(score_server_find(server, BACKEND_DATADOG, "no_loop_bad"));
    assert_non_null(score_server_find(server, BACKEND_DATADOG, "helpfulness_bad"));
}

static void what_fails_for_now_is_sent_again(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 3;
    server->fail_status = 503;
    server->fail_body = "later";
    send_all("{" YAML ", " RETRY "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_DATADOG], 4);
}

static void what_is_too_much_is_halved(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 413;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_DATADOG], 3);
    assert_int_equal(score_server_count(server, BACKEND_DATADOG), 5);
    assert_int_equal(server->refused, 0);
}

static void a_wrong_key_is_final(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 401;
    server->fail_body = "no such key";
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 0);
    assert_true(status.send_failed > 0);
    assert_int_equal(server->requests[BACKEND_DATADOG], 1);
}

static void a_score_that_is_refused_does_not_take_others_with_it(void **state)
{
    (void)state;
    struct exporter_status status;
    server->poison = "json_valid";
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 4);
    assert_int_equal(status.send_failed, 1);
    assert_null(score_server_find(server, BACKEND_DATADOG, "json_valid"));
    assert_non_null(score_server_find(server, BACKEND_DATADOG, "helpfulness_targeted"));
}

static void the_application_is_the_key_or_the_variable(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{ml_app: weather, " YAML "}", &status);
    assert_non_null(strstr(buffer_text(&server->body), "\"ml_app\":\"weather\""));
    setenv("DD_LLMOBS_ML_APP", "from-variable", 1);
    send_all("{" YAML "}", &status);
    assert_non_null(strstr(buffer_text(&server->body), "\"ml_app\":\"from-variable\""));
}

static void labels_are_what_datadog_takes(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_TARGETED, 1);
    score_stage_send(server, ops, "{targeted_suffix: '.x-1', " YAML "}", &record, 1, &status);
    assert_non_null(score_server_find(server, BACKEND_DATADOG, "helpfulness_x_1"));
    record.name = BYTES_LITERAL("9lives");
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_non_null(score_server_find(server, BACKEND_DATADOG, "s9lives_targeted"));
    assert_int_equal(server->refused, 0);
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "api_key must be set, or DD_API_KEY"},
        {"{api_key: a, site: 'https://x'}", "site must be"},
        {"{api_key: a, endpoint: 'x'}", "endpoint:"},
        {"{api_key: a, ml_app: "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaa}",
         "ml_app must be"},
        {"{api_key: k, targeted_suffix: ''}", "targeted_suffix must be"},
        {"{api_key: k, targeted_suffix: 'a b'}", "targeted_suffix must be"},
        {"{api_key: k, send: some}", "'send' must be one of"},
        {"{api_key: k, compression: zstd}", "does not take zstd"},
    };
    assert_true(score_stage_refuses(ops, rows, sizeof(rows) / sizeof(rows[0])));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_sort_of_score_has_its_body),
        TEST(a_repetition_is_the_same_bytes_and_replaces),
        TEST(what_the_sink_does_not_send_makes_no_request),
        TEST(failures_alone_carry_the_suffix),
        TEST(what_fails_for_now_is_sent_again),
        TEST(what_is_too_much_is_halved),
        TEST(a_wrong_key_is_final),
        TEST(a_score_that_is_refused_does_not_take_others_with_it),
        TEST(the_application_is_the_key_or_the_variable),
        TEST(labels_are_what_datadog_takes),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
