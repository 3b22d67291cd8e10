// SPDX-License-Identifier: Apache-2.0
// The exporter `langfuse_scores`: the batch of score-create events and its verdicts.
#include "exporter/score/langfuse_scores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/score_sink_stage.h"

static const char golden[] =
    "{\"batch\":[{\"id\":\"7682120018241e888a05b8d3fab280f2c8e5180c3cf417281ff"
    "c38c0287dd6ad\",\"timestamp\":\"2023-11-14T22:13:21.234Z\",\"type\":\"score-"
    "create\",\"body\":{\"id\":\"7682120018241e888a05b8d3fab280f2c8e5180c3cf417"
    "281ffc38c0287dd6ad\",\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4701\",\"ob"
    "servationId\":\"00f067aa0ba90201\",\"name\":\"helpfulness\",\"value\":0.75,\"d"
    "ataType\":\"NUMERIC\",\"environment\":\"production\",\"comment\":\"answers \\\"a"
    "ll\\\" of it\",\"metadata\":{\"annotator\":\"llm\",\"label\":\"pass\",\"identifier"
    "\":\"epoch-7\",\"session_id\":\"session-1\",\"baseline\":true,\"probability\":0"
    ".125}}},{\"id\":\"05c824776540987a819396c8b3d86be33926a31f199128641a998"
    "7fecc1ca096\",\"timestamp\":\"2023-11-14T22:13:21.234Z\",\"type\":\"score-cr"
    "eate\",\"body\":{\"id\":\"05c824776540987a819396c8b3d86be33926a31f19912864"
    "1a9987fecc1ca096\",\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4701\",\"obse"
    "rvationId\":\"00f067aa0ba90201\",\"name\":\"json_valid\",\"value\":1,\"dataTyp"
    "e\":\"BOOLEAN\",\"environment\":\"production\",\"metadata\":{\"annotator\":\"cod"
    "e\",\"label\":\"pass\",\"identifier\":\"code-1\",\"session_id\":\"session-1\",\"ba"
    "seline\":true,\"probability\":0.125}}},{\"id\":\"7cfdb53107c9c9f3bd2b7da68"
    "5bce74366f0bdd4e0c6ac40b4d556e665bd5584\",\"timestamp\":\"2023-11-14T22:"
    "13:21.234Z\",\"type\":\"score-create\",\"body\":{\"id\":\"7cfdb53107c9c9f3bd2b"
    "7da685bce74366f0bdd4e0c6ac40b4d556e665bd5584\",\"traceId\":\"4bf92f3577b"
    "34da6a3ce929d0e0e4701\",\"observationId\":\"00f067aa0ba90201\",\"name\":\"to"
    "ne\",\"value\":\"friendly\",\"dataType\":\"CATEGORICAL\",\"environment\":\"produ"
    "ction\",\"comment\":\"warm words\",\"metadata\":{\"annotator\":\"llm\",\"label\":"
    "\"friendly\",\"identifier\":\"epoch-7\",\"session_id\":\"session-1\",\"baseline"
    "\":true,\"probability\":0.125}}},{\"id\":\"1c177f3975301a7c99437ebe9f609ea"
    "55d188781056754c4a73647564f1884da\",\"timestamp\":\"2023-11-14T22:13:21."
    "234Z\",\"type\":\"score-create\",\"body\":{\"id\":\"1c177f3975301a7c99437ebe9f"
    "609ea55d188781056754c4a73647564f1884da\",\"traceId\":\"4bf92f3577b34da6a"
    "3ce929d0e0e4701\",\"observationId\":\"00f067aa0ba90201\",\"name\":\"no_loop_"
    "targeted\",\"value\":0,\"dataType\":\"BOOLEAN\",\"environment\":\"production\","
    "\"comment\":\"same call 5 times\",\"metadata\":{\"annotator\":\"code\",\"label\""
    ":\"fail\",\"identifier\":\"code-1\",\"session_id\":\"session-1\",\"baseline\":fa"
    "lse,\"probability\":1}}},{\"id\":\"bddca88ea3df8c99362985c7d3ef3975f5f9ea"
    "be9c07c25ff3005991d8880fd7\",\"timestamp\":\"2023-11-14T22:13:21.234Z\",\""
    "type\":\"score-create\",\"body\":{\"id\":\"bddca88ea3df8c99362985c7d3ef3975f"
    "5f9eabe9c07c25ff3005991d8880fd7\",\"traceId\":\"4bf92f3577b34da6a3ce929d"
    "0e0e4702\",\"observationId\":\"00f067aa0ba90202\",\"name\":\"helpfulness_tar"
    "geted\",\"value\":0.25,\"dataType\":\"NUMERIC\",\"environment\":\"production\","
    "\"comment\":\"misses the point\",\"metadata\":{\"annotator\":\"llm\",\"label\":\""
    "fail\",\"identifier\":\"epoch-7\",\"session_id\":\"session-1\",\"baseline\":fal"
    "se,\"probability\":1}}}]}";

static const char *const refused_yaml[][2] = {
    {"{}", "public_key must be set, or LANGFUSE_PUBLIC_KEY"},
    {"{public_key: a}", "secret_key must be set"},
    {"{public_key: pk-test, secret_key: sk-test, compression: deflate}", "does not take deflate"},
    {"{public_key: pk-test, secret_key: sk-test, endpoint: x, base_url: y}", "mean the same"},
    {"{public_key: pk-test, secret_key: sk-test, endpoint: langfuse.com}", "endpoint:"},
    {"{public_key: pk-test, secret_key: sk-test, scores: true}", "invalid keys: scores"},
};

static struct score_sink_stage stage = {
    .ops = &langfuse_scores_exporter,
    .backend = BACKEND_LANGFUSE,
    .yaml = "public_key: pk-test, secret_key: sk-test, endpoint: '" SCORE_SINK_STAGE_URL "'",
    .variables = {{"LANGFUSE_PUBLIC_KEY", "pk-test"},
                  {"LANGFUSE_SECRET_KEY", "sk-test"},
                  {"LANGFUSE_BASE_URL", NULL},
                  {"LANGFUSE_HOST", SCORE_SINK_STAGE_URL}},
    .kept_count = 5,
    .golden = golden,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
};

static void refused_events_are_counted_and_the_others_arrive(void **state)
{
    (void)state;
    struct exporter_status status;
    stage.server->poison = "json_valid";
    stage.server->poison_status = 400;
    score_sink_stage_send_all(&stage, "", &status);
    assert_int_equal(status.sent, 4);
    assert_int_equal(status.send_failed, 0);
    assert_int_equal(stage.server->requests[BACKEND_LANGFUSE], 1);
}

static void an_event_that_fails_for_now_is_owed_again(void **state)
{
    (void)state;
    static const int later[] = {429, 500, 503};
    for (size_t i = 0; i < 3; i++) {
        struct exporter_status status;
        stage.server->poison = "json_valid";
        stage.server->poison_status = later[i];
        stage.server->requests[BACKEND_LANGFUSE] = 0;
        score_sink_stage_send_all(&stage,
                                  "retry_on_failure: {initial_interval: 1ms, max_interval: 1ms, "
                                  "max_elapsed_time: 100ms}",
                                  &status);
        assert_true(stage.server->requests[BACKEND_LANGFUSE] > 1);
        assert_int_equal(status.sent, 0);
        assert_non_null(strstr(status.last_error, "Invalid request data: poison"));
    }
}

static void a_multi_status_that_is_no_json_is_a_success(void **state)
{
    (void)state;
    struct exporter_status status;
    stage.server->fail_count = 1;
    stage.server->fail_status = 207;
    stage.server->fail_body = "<html>";
    score_sink_stage_send_all(&stage, "", &status);
    assert_int_equal(status.sent, 5);
}

static void environments_are_what_langfuse_takes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Production", "\"environment\":\"production\""},
        {"langfuse-eu_1", "\"environment\":\"-eu_1\""},
        {"LangfuseLANGFUSEx", "\"environment\":\"x\""},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "\"environment\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""},
        {"langfuse", NULL},
        {"prod eu", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct exporter_status status;
        struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
        record.environment = bytes_from_text(rows[i][0]);
        score_sink_stage_send(&stage, "", &record, 1, &status);
        assert_int_equal(status.sent, 1);
        assert_int_equal(stage.server->refused, 0);
        const char *wanted = rows[i][1] != NULL ? rows[i][1] : "environment";
        assert_int_equal(strstr(buffer_text(&stage.server->body), wanted) != NULL,
                         rows[i][1] != NULL);
    }
}

static void a_batch_above_the_limit_is_cut_before_it_is_sent(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct score_record records[COUNT];
    static char text[1024];
    struct exporter_status status;
    memset(text, 1, sizeof(text));  // six bytes each in JSON
    for (unsigned i = 0; i < COUNT; i++) {
        records[i] = score_sample(SAMPLE_NUMERIC, (uint8_t)(i % 250 + 1));
        records[i].explanation = bytes_from(text, sizeof(text));
        score_record_id(&records[i].trace_id, &records[i].span_id, records[i].name,
                        records[i].identifier, i, records[i].id);
    }
    score_sink_stage_send(&stage, "", records, COUNT, &status);
    assert_int_equal(status.sent, COUNT);
    assert_int_equal(score_server_count(stage.server, BACKEND_LANGFUSE), COUNT);
    assert_true(stage.server->requests[BACKEND_LANGFUSE] >= 4);
    assert_int_equal(stage.server->refused, 0);
}

#define SHARED(name) SCORE_SINK_STAGE_SHARED(&stage, name)
#define OWN(name) SCORE_SINK_STAGE_OWN(&stage, name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(each_sort_of_score_has_its_body),
        SHARED(a_repetition_is_the_same_bytes_and_replaces),
        SHARED(what_the_sink_does_not_send_makes_no_request),
        SHARED(failures_alone_carry_the_suffix),
        SHARED(what_fails_for_now_is_sent_again),
        SHARED(what_is_too_much_is_halved),
        SHARED(a_wrong_key_is_final),
        SHARED(keys_come_from_the_variables_of_its_own_sdks),
        OWN(refused_events_are_counted_and_the_others_arrive),
        OWN(an_event_that_fails_for_now_is_owed_again),
        OWN(a_multi_status_that_is_no_json_is_a_success),
        OWN(environments_are_what_langfuse_takes),
        OWN(a_batch_above_the_limit_is_cut_before_it_is_sent),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
