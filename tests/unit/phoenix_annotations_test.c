// SPDX-License-Identifier: Apache-2.0
// The exporter `phoenix_annotations`: span annotations, and spans that are not known yet.
#include "exporter/score/phoenix_annotations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/score_sink_stage.h"

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

static const char *const refused_yaml[][2] = {
    {"{endpoint: 'localhost:6006'}", "endpoint:"},
};

static struct score_sink_stage stage = {
    .ops = &phoenix_annotations_exporter,
    .backend = BACKEND_PHOENIX,
    .yaml = "api_key: key-of-the-test, endpoint: '" SCORE_SINK_STAGE_URL "/v1/traces'",
    .variables = {{"PHOENIX_API_KEY", "key-of-the-test"},
                  {"PHOENIX_COLLECTOR_ENDPOINT", SCORE_SINK_STAGE_URL}},
    .kept_count = 5,
    .golden = golden,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
};

static void an_unknown_span_is_waited_for(void **state)
{
    (void)state;
    struct exporter_status status;
    stage.server->fail_count = 2;
    stage.server->fail_status = 404;
    stage.server->fail_body = "Spans with IDs 00f067aa0ba90201 do not exist.";
    score_sink_stage_send_all(&stage, SCORE_SINK_STAGE_RETRY, &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(stage.server->requests[BACKEND_PHOENIX], 3);
}

static void an_interface_that_is_not_there_is_final(void **state)
{
    (void)state;
    struct exporter_status status;
    stage.server->fail_count = 1;
    stage.server->fail_status = 404;
    stage.server->fail_body = "{\"detail\":\"Not Found\"}";
    score_sink_stage_send_all(&stage, SCORE_SINK_STAGE_RETRY, &status);
    assert_int_equal(status.sent, 0);
    assert_int_equal(stage.server->requests[BACKEND_PHOENIX], 1);
}

static void the_reserved_name_is_changed(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    record.name = BYTES_LITERAL("note");
    score_sink_stage_send(&stage, "", &record, 1, &status);
    assert_non_null(score_server_find(stage.server, BACKEND_PHOENIX, "note_score"));
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
        SHARED(keys_come_from_the_variables_of_its_own_sdks),
        OWN(an_unknown_span_is_waited_for),
        OWN(an_interface_that_is_not_there_is_final),
        OWN(the_reserved_name_is_changed),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
