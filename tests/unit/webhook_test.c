// SPDX-License-Identifier: Apache-2.0
// The exporter `webhook`: every field of a score as JSON.
#include "exporter/score/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/score_sink_stage.h"

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

static const char *const refused_yaml[][2] = {
    {"{}", "'endpoint' must be set"},
    {"{endpoint: 'x'}", "endpoint:"},
    {"{endpoint: 'http://x', headers: {content-type: a}}", "cannot be set here"},
};

static struct score_sink_stage stage = {
    .ops = &webhook_exporter,
    .backend = BACKEND_WEBHOOK,
    .yaml = "endpoint: '" SCORE_SINK_STAGE_URL "/hook'",
    .kept_count = 5,
    .golden = golden,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
};

static void all_sends_scores_of_code_under_the_plain_name(void **state)
{
    (void)state;
    struct exporter_status status;
    score_sink_stage_send_all(&stage, "send: all", &status);
    assert_int_equal(status.sent, 5);
    assert_non_null(score_server_find(stage.server, BACKEND_WEBHOOK, "no_loop"));
    assert_non_null(score_server_find(stage.server, BACKEND_WEBHOOK, "helpfulness_targeted"));
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
        SHARED(a_score_that_is_refused_does_not_take_others_with_it),
        OWN(all_sends_scores_of_code_under_the_plain_name),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
