// SPDX-License-Identifier: Apache-2.0
// The exporter `langsmith_feedback`: parts of feedback on derived run ids.
#include "exporter/score/langsmith_feedback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/score_sink_stage.h"

static const char *const refused_yaml[][2] = {
    {"{}", "api_key must be set, or LANGSMITH_API_KEY"},
    {"{api_key: a, session_id: 12}", "session_id must be a UUID"},
    {"{api_key: a, endpoint: 'x'}", "endpoint:"},
};

static struct score_sink_stage stage = {
    .ops = &langsmith_feedback_exporter,
    .backend = BACKEND_LANGSMITH,
    .yaml = "api_key: key-of-the-test, endpoint: '" SCORE_SINK_STAGE_URL "'",
    .variables = {{"LANGSMITH_API_KEY", "key-of-the-test"},
                  {"LANGSMITH_ENDPOINT", SCORE_SINK_STAGE_URL},
                  {"LANGCHAIN_API_KEY", NULL},
                  {"LANGCHAIN_ENDPOINT", NULL}},
    .kept_count = 5,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
};

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
    score_sink_stage_send_all(&stage, "session_id: 11111111-2222-3333-4444-555555555555", &status);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(score_stage_same_json(part_of(buffer_view(&stage.server->body), i), golden[i]));
    }
    assert_int_equal(stage.server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(score_server_count(stage.server, BACKEND_LANGSMITH), 5);
}

static void a_conflict_says_that_it_is_there_already(void **state)
{
    (void)state;
    struct exporter_status status;
    stage.server->fail_count = 1;
    stage.server->fail_status = 409;
    stage.server->fail_body = "conflict";
    score_sink_stage_send_all(&stage, "", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(stage.server->requests[BACKEND_LANGSMITH], 1);
}

#define SHARED(name) SCORE_SINK_STAGE_SHARED(&stage, name)
#define OWN(name) SCORE_SINK_STAGE_OWN(&stage, name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN(each_sort_of_score_has_its_body),
        SHARED(a_repetition_is_the_same_bytes_and_replaces),
        SHARED(what_the_sink_does_not_send_makes_no_request),
        SHARED(failures_alone_carry_the_suffix),
        SHARED(what_fails_for_now_is_sent_again),
        SHARED(what_is_too_much_is_halved),
        SHARED(a_wrong_key_is_final),
        SHARED(a_score_that_is_refused_does_not_take_others_with_it),
        SHARED(keys_come_from_the_variables_of_its_own_sdks),
        OWN(a_conflict_says_that_it_is_there_already),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
