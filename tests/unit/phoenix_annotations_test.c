// SPDX-License-Identifier: Apache-2.0
// The exporter `phoenix_annotations`: span annotations, and spans that are not known yet.
#include "exporter/score/phoenix_annotations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/score_stage.h"

static const struct exporter_ops *const ops = &phoenix_annotations_exporter;
static struct score_server *server;

#define YAML "api_key: key-of-the-test, endpoint: 'http://127.0.0.1:%u/v1/traces'"
#define RETRY "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

static int set_up(void **state)
{
    (void)state;
    unsetenv("PHOENIX_API_KEY");
    unsetenv("PHOENIX_COLLECTOR_ENDPOINT");
    server = score_server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("PHOENIX_API_KEY");
    unsetenv("PHOENIX_COLLECTOR_ENDPOINT");
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
    "{\"data\":[{\"span_id\":\"00f067aa0ba90201\",\"name\":\"helpfulness\",\"annotat"
    "or_kind\":\"LLM\",\"result\":{\"label\":\"pass\",\"score\":0.75,\"explanation\":\""
    "answers \\\"all\\\" of it\"},\"metadata\":{\"sidejudge_id\":\"7682120018241e88"
    "8a05b8d3fab280f2c8e5180c3cf417281ffc38c0287dd6ad\",\"baseline\":true,\"p"
    "robability\":0.125},\"identifier\":\"epoch-7\"},{\"span_id\":\"00f067aa0ba90"
    "201\",\"name\":\"json_valid\",\"annotator_kind\":\"CODE\",\"result\":{\"label\":\""
    "pass\",\"score\":1},\"metadata\":{\"sidejudge_id\":\"05c824776540987a819396c"
    "8b3d86be33926a31f199128641a9987fecc1ca096\",\"baseline\":true,\"probabil"
    "ity\":0.125},\"identifier\":\"code-1\"},{\"span_id\":\"00f067aa0ba90201\",\"na"
    "me\":\"tone\",\"annotator_kind\":\"LLM\",\"result\":{\"label\":\"friendly\",\"expl"
    "anation\":\"warm words\"},\"metadata\":{\"sidejudge_id\":\"7cfdb53107c9c9f3b"
    "d2b7da685bce74366f0bdd4e0c6ac40b4d556e665bd5584\",\"baseline\":true,\"pr"
    "obability\":0.125},\"identifier\":\"epoch-7\"},{\"span_id\":\"00f067aa0ba902"
    "01\",\"name\":\"no_loop_targeted\",\"annotator_kind\":\"CODE\",\"result\":{\"lab"
    "el\":\"fail\",\"score\":0,\"explanation\":\"same call 5 times\"},\"metadata\":{"
    "\"sidejudge_id\":\"1c177f3975301a7c99437ebe9f609ea55d188781056754c4a736"
    "47564f1884da\",\"baseline\":false,\"probability\":1},\"identifier\":\"code-1"
    "\"},{\"span_id\":\"00f067aa0ba90202\",\"name\":\"helpfulness_targeted\",\"anno"
    "tator_kind\":\"LLM\",\"result\":{\"label\":\"fail\",\"score\":0.25,\"explanation"
    "\":\"misses the point\"},\"metadata\":{\"sidejudge_id\":\"bddca88ea3df8c9936"
    "2985c7d3ef3975f5f9eabe9c07c25ff3005991d8880fd7\",\"baseline\":false,\"pr"
    "obability\":1},\"identifier\":\"epoch-7\"}]}";

static void each_sort_of_score_has_its_body(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{" YAML "}", &status);
    assert_true(score_stage_same_json(buffer_view(&server->body), golden));
    assert_int_equal(server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(status.send_failed, 0);
    assert_int_equal(score_server_count(server, BACKEND_PHOENIX), 5);
    assert_null(score_server_find(server, BACKEND_PHOENIX, "error"));
}

static void a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    send_all("{" YAML "}", &status);
    buffer_append_bytes(&first, buffer_view(&server->body));
    size_t count = score_server_count(server, BACKEND_PHOENIX);
    send_all("{" YAML "}", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&server->body)));
    assert_int_equal(score_server_count(server, BACKEND_PHOENIX), count);
    assert_int_equal(server->refused, 0);
    buffer_fini(&first);
}

static void what_the_sink_does_not_send_makes_no_request(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_PHOENIX], 0);
    assert_int_equal(status.send_failed, 0);
    record = score_sample(SAMPLE_NUMERIC, 1);
    score_stage_send(server, ops, "{send: failed, " YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_PHOENIX], 0);
}

static void failures_alone_carry_the_suffix(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: failed, targeted_suffix: _bad, " YAML "}", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(score_server_count(server, BACKEND_PHOENIX), 2);
    assert_non_null(score_server_find(server, BACKEND_PHOENIX, "no_loop_bad"));
    assert_non_null(score_server_find(server, BACKEND_PHOENIX, "helpfulness_bad"));
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
    assert_int_equal(server->requests[BACKEND_PHOENIX], 4);
}

static void what_is_too_much_is_halved(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 413;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_PHOENIX], 3);
    assert_int_equal(score_server_count(server, BACKEND_PHOENIX), 5);
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
    assert_int_equal(server->requests[BACKEND_PHOENIX], 1);
}

static void a_score_that_is_refused_does_not_take_others_with_it(void **state)
{
    (void)state;
    struct exporter_status status;
    server->poison = "json_valid";
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 4);
    assert_int_equal(status.send_failed, 1);
    assert_null(score_server_find(server, BACKEND_PHOENIX, "json_valid"));
    assert_non_null(score_server_find(server, BACKEND_PHOENIX, "helpfulness_targeted"));
}

static void keys_come_from_the_variables_of_its_own_sdks(void **state)
{
    (void)state;
    struct exporter_status status;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", score_server_port(server));
    setenv("PHOENIX_API_KEY", "key-of-the-test", 1);
    setenv("PHOENIX_COLLECTOR_ENDPOINT", url, 1);
    send_all("{}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->refused, 0);
}

static void an_unknown_span_is_waited_for(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 2;
    server->fail_status = 404;
    server->fail_body = "Spans with IDs 00f067aa0ba90201 do not exist.";
    send_all("{" YAML ", " RETRY "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_PHOENIX], 3);
}

static void an_interface_that_is_not_there_is_final(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 404;
    server->fail_body = "{\"detail\":\"Not Found\"}";
    send_all("{" YAML ", " RETRY "}", &status);
    assert_int_equal(status.sent, 0);
    assert_int_equal(server->requests[BACKEND_PHOENIX], 1);
}

static void the_reserved_name_is_changed(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    record.name = BYTES_LITERAL("note");
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_non_null(score_server_find(server, BACKEND_PHOENIX, "note_score"));
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{endpoint: 'localhost:6006'}", "endpoint:"},
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
        TEST(an_unknown_span_is_waited_for),
        TEST(an_interface_that_is_not_there_is_final),
        TEST(the_reserved_name_is_changed),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
