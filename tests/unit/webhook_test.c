// SPDX-License-Identifier: Apache-2.0
// The exporter `webhook`: every field of a score as JSON.
#include "exporter/score/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/score_stage.h"

static const struct exporter_ops *const ops = &webhook_exporter;
static struct score_server *server;

#define YAML "endpoint: 'http://127.0.0.1:%u/hook'"
#define RETRY "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

static int set_up(void **state)
{
    (void)state;
    server = score_server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
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
    "{\"scores\":[{\"id\":\"7682120018241e888a05b8d3fab280f2c8e5180c3cf417281f"
    "fc38c0287dd6ad\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4701\",\"span_"
    "id\":\"00f067aa0ba90201\",\"time\":\"2023-11-14T22:13:21.234Z\",\"name\":\"hel"
    "pfulness\",\"evaluator\":\"helpfulness\",\"type\":\"numeric\",\"label\":\"pass\","
    "\"annotator\":\"llm\",\"identifier\":\"epoch-7\",\"picked\":true,\"baseline\":tr"
    "ue,\"failed\":false,\"probability\":0.125,\"span_name\":\"invoke_agent shop"
    "\",\"service_name\":\"shop\",\"environment\":\"Production\",\"session_id\":\"ses"
    "sion-1\",\"user_id\":\"user-1\",\"response_id\":\"resp-1\",\"value\":0.75,\"expl"
    "anation\":\"answers \\\"all\\\" of it\"},{\"id\":\"05c824776540987a819396c8b3d"
    "86be33926a31f199128641a9987fecc1ca096\",\"trace_id\":\"4bf92f3577b34da6a"
    "3ce929d0e0e4701\",\"span_id\":\"00f067aa0ba90201\",\"time\":\"2023-11-14T22:"
    "13:21.234Z\",\"name\":\"json_valid\",\"evaluator\":\"json_valid\",\"type\":\"boo"
    "lean\",\"label\":\"pass\",\"annotator\":\"code\",\"identifier\":\"code-1\",\"picke"
    "d\":true,\"baseline\":true,\"failed\":false,\"probability\":0.125,\"span_nam"
    "e\":\"invoke_agent shop\",\"service_name\":\"shop\",\"environment\":\"Producti"
    "on\",\"session_id\":\"session-1\",\"user_id\":\"user-1\",\"response_id\":\"resp-"
    "1\",\"value\":1},{\"id\":\"7cfdb53107c9c9f3bd2b7da685bce74366f0bdd4e0c6ac4"
    "0b4d556e665bd5584\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4701\",\"sp"
    "an_id\":\"00f067aa0ba90201\",\"time\":\"2023-11-14T22:13:21.234Z\",\"name\":\""
    "tone\",\"evaluator\":\"tone\",\"type\":\"categorical\",\"label\":\"friendly\",\"an"
    "notator\":\"llm\",\"identifier\":\"epoch-7\",\"picked\":true,\"baseline\":true,"
    "\"failed\":false,\"probability\":0.125,\"span_name\":\"invoke_agent shop\",\""
    "service_name\":\"shop\",\"environment\":\"Production\",\"session_id\":\"sessio"
    "n-1\",\"user_id\":\"user-1\",\"response_id\":\"resp-1\",\"explanation\":\"warm w"
    "ords\"},{\"id\":\"1c177f3975301a7c99437ebe9f609ea55d188781056754c4a73647"
    "564f1884da\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4701\",\"span_id\":"
    "\"00f067aa0ba90201\",\"time\":\"2023-11-14T22:13:21.234Z\",\"name\":\"no_loop"
    "_targeted\",\"evaluator\":\"no_loop\",\"type\":\"boolean\",\"label\":\"fail\",\"an"
    "notator\":\"code\",\"identifier\":\"code-1\",\"picked\":false,\"baseline\":fals"
    "e,\"failed\":true,\"probability\":1,\"span_name\":\"invoke_agent shop\",\"ser"
    "vice_name\":\"shop\",\"environment\":\"Production\",\"session_id\":\"session-1"
    "\",\"user_id\":\"user-1\",\"response_id\":\"resp-1\",\"value\":0,\"explanation\":"
    "\"same call 5 times\"},{\"id\":\"bddca88ea3df8c99362985c7d3ef3975f5f9eabe"
    "9c07c25ff3005991d8880fd7\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e47"
    "02\",\"span_id\":\"00f067aa0ba90202\",\"time\":\"2023-11-14T22:13:21.234Z\",\""
    "name\":\"helpfulness_targeted\",\"evaluator\":\"helpfulness\",\"type\":\"numer"
    "ic\",\"label\":\"fail\",\"annotator\":\"llm\",\"identifier\":\"epoch-7\",\"picked\""
    ":true,\"baseline\":false,\"failed\":true,\"probability\":1,\"span_name\":\"in"
    "voke_agent shop\",\"service_name\":\"shop\",\"environment\":\"Production\",\"s"
    "ession_id\":\"session-1\",\"user_id\":\"user-1\",\"response_id\":\"resp-1\",\"va"
    "lue\":0.25,\"explanation\":\"misses the point\"}]}";

static void each_sort_of_score_has_its_body(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{" YAML "}", &status);
    assert_true(score_stage_same_json(buffer_view(&server->body), golden));
    assert_int_equal(server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(status.send_failed, 0);
    assert_int_equal(score_server_count(server, BACKEND_WEBHOOK), 5);
    assert_null(score_server_find(server, BACKEND_WEBHOOK, "error"));
}

static void a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    send_all("{" YAML "}", &status);
    buffer_append_bytes(&first, buffer_view(&server->body));
    size_t count = score_server_count(server, BACKEND_WEBHOOK);
    send_all("{" YAML "}", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&server->body)));
    assert_int_equal(score_server_count(server, BACKEND_WEBHOOK), count);
    assert_int_equal(server->refused, 0);
    buffer_fini(&first);
}

static void what_the_sink_does_not_send_makes_no_request(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_WEBHOOK], 0);
    assert_int_equal(status.send_failed, 0);
    record = score_sample(SAMPLE_NUMERIC, 1);
    score_stage_send(server, ops, "{send: failed, " YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_WEBHOOK], 0);
}

static void failures_alone_carry_the_suffix(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: failed, targeted_suffix: _bad, " YAML "}", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(score_server_count(server, BACKEND_WEBHOOK), 2);
    assert_non_null(score_server_find(server, BACKEND_WEBHOOK, "no_loop_bad"));
    assert_non_null(score_server_find(server, BACKEND_WEBHOOK, "helpfulness_bad"));
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
    assert_int_equal(server->requests[BACKEND_WEBHOOK], 4);
}

static void what_is_too_much_is_halved(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 413;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_WEBHOOK], 3);
    assert_int_equal(score_server_count(server, BACKEND_WEBHOOK), 5);
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
    assert_int_equal(server->requests[BACKEND_WEBHOOK], 1);
}

static void a_score_that_is_refused_does_not_take_others_with_it(void **state)
{
    (void)state;
    struct exporter_status status;
    server->poison = "json_valid";
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 4);
    assert_int_equal(status.send_failed, 1);
    assert_null(score_server_find(server, BACKEND_WEBHOOK, "json_valid"));
    assert_non_null(score_server_find(server, BACKEND_WEBHOOK, "helpfulness_targeted"));
}

static void all_sends_scores_of_code_under_the_plain_name(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: all, " YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_non_null(score_server_find(server, BACKEND_WEBHOOK, "no_loop"));
    assert_non_null(score_server_find(server, BACKEND_WEBHOOK, "helpfulness_targeted"));
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "'endpoint' must be set"},
        {"{endpoint: 'x'}", "endpoint:"},
        {"{endpoint: 'http://x', headers: {content-type: a}}", "cannot be set here"},
        {"{endpoint: 'http://x', targeted_suffix: ''}", "targeted_suffix must be"},
        {"{endpoint: 'http://x', targeted_suffix: 'a b'}", "targeted_suffix must be"},
        {"{endpoint: 'http://x', send: some}", "'send' must be one of"},
        {"{endpoint: 'http://x', compression: zstd}", "does not take zstd"},
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
        TEST(all_sends_scores_of_code_under_the_plain_name),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
