// SPDX-License-Identifier: Apache-2.0
// The exporter `datadog_evaluations`: external evaluations on decimal ids.
#include "exporter/score/datadog_evaluations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/score_sink_stage.h"

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

static const char *const refused_yaml[][2] = {
    {"{}", "api_key must be set, or DD_API_KEY"},
    {"{api_key: a, site: 'https://x'}", "site must be"},
    {"{api_key: a, endpoint: 'x'}", "endpoint:"},
    {"{api_key: a, ml_app: "
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaa}",
     "ml_app must be"},
};

static struct score_sink_stage stage = {
    .ops = &datadog_evaluations_exporter,
    .backend = BACKEND_DATADOG,
    .yaml = "api_key: key-of-the-test, endpoint: '" SCORE_SINK_STAGE_URL "'",
    .variables = {{"DD_API_KEY", NULL}, {"DD_SITE", NULL}, {"DD_LLMOBS_ML_APP", NULL}},
    .kept_count = 5,
    .golden = golden,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
};

static void the_application_is_the_key_or_the_variable(void **state)
{
    (void)state;
    struct exporter_status status;
    score_sink_stage_send_all(&stage, "ml_app: weather", &status);
    assert_non_null(strstr(buffer_text(&stage.server->body), "\"ml_app\":\"weather\""));
    setenv("DD_LLMOBS_ML_APP", "from-variable", 1);
    score_sink_stage_send_all(&stage, "", &status);
    assert_non_null(strstr(buffer_text(&stage.server->body), "\"ml_app\":\"from-variable\""));
}

static void labels_are_what_datadog_takes(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_TARGETED, 1);
    score_sink_stage_send(&stage, "targeted_suffix: '.x-1'", &record, 1, &status);
    assert_non_null(score_server_find(stage.server, BACKEND_DATADOG, "helpfulness_x_1"));
    record.name = BYTES_LITERAL("9lives");
    score_sink_stage_send(&stage, "", &record, 1, &status);
    assert_non_null(score_server_find(stage.server, BACKEND_DATADOG, "s9lives_targeted"));
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
        SHARED(a_score_that_is_refused_does_not_take_others_with_it),
        OWN(the_application_is_the_key_or_the_variable),
        OWN(labels_are_what_datadog_takes),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
