// SPDX-License-Identifier: Apache-2.0
// The exporter `langsmith_feedback`: parts of feedback on derived run ids.
#include "exporter/score/langsmith_feedback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/score_stage.h"

static const struct exporter_ops *const ops = &langsmith_feedback_exporter;
static struct score_server *server;

#define YAML "api_key: key-of-the-test, endpoint: 'http://127.0.0.1:%u'"
#define RETRY "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

static int set_up(void **state)
{
    (void)state;
    unsetenv("LANGSMITH_API_KEY");
    unsetenv("LANGSMITH_ENDPOINT");
    unsetenv("LANGCHAIN_API_KEY");
    unsetenv("LANGCHAIN_ENDPOINT");
    server = score_server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("LANGSMITH_API_KEY");
    unsetenv("LANGSMITH_ENDPOINT");
    unsetenv("LANGCHAIN_API_KEY");
    unsetenv("LANGCHAIN_ENDPOINT");
    score_server_stop(&server);
    return 0;
}

static void send_all(const char *yaml, struct exporter_status *status)
{
    struct score_record records[SCORE_STAGE_RECORDS];
    score_stage_records(records);
    score_stage_send(server, ops, yaml, records, SCORE_STAGE_RECORDS, status);
}

static const char *const golden[] = {
    "{\"id\":\"76821200-1824-5e88-8a05-b8d3fab280f2\",\"run_id\":\"00000000-0000"
    "-0000-00f0-67aa0ba90201\",\"trace_id\":\"4bf92f35-77b3-4da6-a3ce-929d0e0"
    "e4701\",\"session_id\":\"11111111-2222-3333-4444-555555555555\",\"key\":\"he"
    "lpfulness\",\"created_at\":\"2023-11-14T22:13:21.234Z\",\"modified_at\":\"20"
    "23-11-14T22:13:21.234Z\",\"feedback_source\":{\"type\":\"model\",\"metadata\""
    ":{\"identifier\":\"epoch-7\",\"baseline\":true,\"probability\":0.125}},\"scor"
    "e\":0.75,\"comment\":\"answers \\\"all\\\" of it\"}",
    "{\"id\":\"05c82477-6540-587a-8193-96c8b3d86be3\",\"run_id\":\"00000000-0000"
    "-0000-00f0-67aa0ba90201\",\"trace_id\":\"4bf92f35-77b3-4da6-a3ce-929d0e0"
    "e4701\",\"session_id\":\"11111111-2222-3333-4444-555555555555\",\"key\":\"js"
    "on_valid\",\"created_at\":\"2023-11-14T22:13:21.234Z\",\"modified_at\":\"202"
    "3-11-14T22:13:21.234Z\",\"feedback_source\":{\"type\":\"api\",\"metadata\":{\""
    "identifier\":\"code-1\",\"baseline\":true,\"probability\":0.125}},\"score\":1"
    "}",
    "{\"id\":\"7cfdb531-07c9-59f3-bd2b-7da685bce743\",\"run_id\":\"00000000-0000"
    "-0000-00f0-67aa0ba90201\",\"trace_id\":\"4bf92f35-77b3-4da6-a3ce-929d0e0"
    "e4701\",\"session_id\":\"11111111-2222-3333-4444-555555555555\",\"key\":\"to"
    "ne\",\"created_at\":\"2023-11-14T22:13:21.234Z\",\"modified_at\":\"2023-11-1"
    "4T22:13:21.234Z\",\"feedback_source\":{\"type\":\"model\",\"metadata\":{\"iden"
    "tifier\":\"epoch-7\",\"baseline\":true,\"probability\":0.125}},\"value\":\"fri"
    "endly\",\"comment\":\"warm words\"}",
    "{\"id\":\"1c177f39-7530-5a7c-9943-7ebe9f609ea5\",\"run_id\":\"00000000-0000"
    "-0000-00f0-67aa0ba90201\",\"trace_id\":\"4bf92f35-77b3-4da6-a3ce-929d0e0"
    "e4701\",\"session_id\":\"11111111-2222-3333-4444-555555555555\",\"key\":\"no"
    "_loop_targeted\",\"created_at\":\"2023-11-14T22:13:21.234Z\",\"modified_at"
    "\":\"2023-11-14T22:13:21.234Z\",\"feedback_source\":{\"type\":\"api\",\"metada"
    "ta\":{\"identifier\":\"code-1\",\"baseline\":false,\"probability\":1}},\"score"
    "\":0,\"comment\":\"same call 5 times\"}",
    "{\"id\":\"bddca88e-a3df-5c99-b629-85c7d3ef3975\",\"run_id\":\"00000000-0000"
    "-0000-00f0-67aa0ba90202\",\"trace_id\":\"4bf92f35-77b3-4da6-a3ce-929d0e0"
    "e4702\",\"session_id\":\"11111111-2222-3333-4444-555555555555\",\"key\":\"he"
    "lpfulness_targeted\",\"created_at\":\"2023-11-14T22:13:21.234Z\",\"modifie"
    "d_at\":\"2023-11-14T22:13:21.234Z\",\"feedback_source\":{\"type\":\"model\",\""
    "metadata\":{\"identifier\":\"epoch-7\",\"baseline\":false,\"probability\":1}}"
    ",\"score\":0.25,\"comment\":\"misses the point\"}"};

// The JSON of part `index`.
static struct bytes part_of(struct bytes body, unsigned index)
{
    size_t at = 0;
    for (unsigned i = 0; i <= index; i++) {
        at = bytes_find(body, BYTES_LITERAL("\r\n\r\n"), at);
        assert_int_not_equal(at, SIZE_MAX);
        at += 4;
    }
    return bytes_slice(body, at, bytes_find(body, BYTES_LITERAL("\r\n--"), at) - at);
}

static void each_sort_of_score_has_its_body(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{session_id: 11111111-2222-3333-4444-555555555555, " YAML "}", &status);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(score_stage_same_json(part_of(buffer_view(&server->body), i), golden[i]));
    }
    assert_int_equal(server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(score_server_count(server, BACKEND_LANGSMITH), 5);
}

static void a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    send_all("{" YAML "}", &status);
    buffer_append_bytes(&first, buffer_view(&server->body));
    size_t count = score_server_count(server, BACKEND_LANGSMITH);
    send_all("{" YAML "}", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&server->body)));
    assert_int_equal(score_server_count(server, BACKEND_LANGSMITH), count);
    assert_int_equal(server->refused, 0);
    buffer_fini(&first);
}

static void what_the_sink_does_not_send_makes_no_request(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_LANGSMITH], 0);
    assert_int_equal(status.send_failed, 0);
    record = score_sample(SAMPLE_NUMERIC, 1);
    score_stage_send(server, ops, "{send: failed, " YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_LANGSMITH], 0);
}

static void failures_alone_carry_the_suffix(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: failed, targeted_suffix: _bad, " YAML "}", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(score_server_count(server, BACKEND_LANGSMITH), 2);
    assert_non_null(score_server_find(server, BACKEND_LANGSMITH, "no_loop_bad"));
    assert_non_null(score_server_find(server, BACKEND_LANGSMITH, "helpfulness_bad"));
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
    assert_int_equal(server->requests[BACKEND_LANGSMITH], 4);
}

static void what_is_too_much_is_halved(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 413;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_LANGSMITH], 3);
    assert_int_equal(score_server_count(server, BACKEND_LANGSMITH), 5);
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
    assert_int_equal(server->requests[BACKEND_LANGSMITH], 1);
}

static void a_score_that_is_refused_does_not_take_others_with_it(void **state)
{
    (void)state;
    struct exporter_status status;
    server->poison = "json_valid";
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 4);
    assert_int_equal(status.send_failed, 1);
    assert_null(score_server_find(server, BACKEND_LANGSMITH, "json_valid"));
    assert_non_null(score_server_find(server, BACKEND_LANGSMITH, "helpfulness_targeted"));
}

static void keys_come_from_the_variables_of_its_own_sdks(void **state)
{
    (void)state;
    struct exporter_status status;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", score_server_port(server));
    setenv("LANGSMITH_API_KEY", "key-of-the-test", 1);
    setenv("LANGSMITH_ENDPOINT", url, 1);
    send_all("{}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->refused, 0);
}

static void a_conflict_says_that_it_is_there_already(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 409;
    server->fail_body = "conflict";
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_LANGSMITH], 1);
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "api_key must be set, or LANGSMITH_API_KEY"},
        {"{api_key: a, session_id: 12}", "session_id must be a UUID"},
        {"{api_key: a, endpoint: 'x'}", "endpoint:"},
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
        TEST(keys_come_from_the_variables_of_its_own_sdks),
        TEST(a_conflict_says_that_it_is_there_already),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
