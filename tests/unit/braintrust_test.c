// SPDX-License-Identifier: Apache-2.0
// The exporter `braintrust`: scores on carriers of the targets' traces.
#include "exporter/score/braintrust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_sink_stage.h"

#define YAML                                                                                       \
    "api_key: key-of-the-test, parent: 'project_name:test', endpoint: '" SCORE_SINK_STAGE_URL "'"

static const char *const refused_yaml[][2] = {
    {"{}", "api_key must be set, or BRAINTRUST_API_KEY"},
    {"{api_key: a}", "parent must be"},
    {"{api_key: a, parent: 'project_name:'}", "parent must be"},
    {"{api_key: a, parent: 'x:y'}", "parent must be"},
    {"{api_key: a, parent: 'project_id:y', endpoint: x}", "endpoint:"},
};

static struct score_sink_stage stage = {
    .ops = &braintrust_exporter,
    .backend = BACKEND_BRAINTRUST,
    .yaml = YAML,
    .variables = {{"BRAINTRUST_API_KEY", "key-of-the-test"},
                  {"BRAINTRUST_API_URL", SCORE_SINK_STAGE_URL},
                  {"BRAINTRUST_PARENT", "project_name:test"}},
    .kept_count = 4,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
};

struct carriers {
    unsigned count;
    struct bytes scores[4], metadata[4];
    uint8_t ids[4][8];
};

static bool carrier_note(void *arg, const struct item_view *view)
{
    struct carriers *carriers = arg;
    struct any_view value;
    unsigned at = carriers->count++;
    assert_true(at < 4);
    assert_int_equal(view->fault, SCAN_OK);
    memcpy(carriers->ids[at], view->span_id, 8);
    if (attribute_find(view->attributes, SPAN_ATTRIBUTES, "braintrust.scores", &value)) {
        carriers->scores[at] = value.bytes;
    }
    if (attribute_find(view->attributes, SPAN_ATTRIBUTES, "braintrust.metadata", &value)) {
        carriers->metadata[at] = value.bytes;
    }
    assert_true(attribute_find(view->resource, RES_ATTRIBUTES, "service.name", &value));
    assert_true(bytes_equal_text(value.bytes, "shop"));
    assert_int_equal(view->end_ns, SCORE_SAMPLE_END_NS);
    return true;
}

static struct carriers read_carriers(struct bytes body)
{
    struct carriers carriers = {.count = 0};
    struct scan_report report;
    assert_int_equal(
        scan_request(SIGNAL_TRACES, body, SCAN_CHECK_UTF8, carrier_note, &carriers, &report),
        RESULT_OK);
    return carriers;
}

static const char *const golden_scores[] = {
    "{\"helpfulness\":0.75,\"json_valid\":1,\"no_loop_targeted\":0}",
    "{\"helpfulness_targeted\":0.25}"};
static const char *const golden_metadata[] = {
    "{\"helpfulness\":{\"id\":\"7682120018241e888a05b8d3fab280f2c8e5180c3cf417"
    "281ffc38c0287dd6ad\",\"annotator\":\"llm\",\"label\":\"pass\",\"identifier\":\"e"
    "poch-7\",\"baseline\":true,\"probability\":0.125,\"explanation\":\"answers \\"
    "\"all\\\" of it\"},\"json_valid\":{\"id\":\"05c824776540987a819396c8b3d86be33"
    "926a31f199128641a9987fecc1ca096\",\"annotator\":\"code\",\"label\":\"pass\",\""
    "identifier\":\"code-1\",\"baseline\":true,\"probability\":0.125},\"tone\":{\"i"
    "d\":\"7cfdb53107c9c9f3bd2b7da685bce74366f0bdd4e0c6ac40b4d556e665bd5584"
    "\",\"annotator\":\"llm\",\"label\":\"friendly\",\"identifier\":\"epoch-7\",\"basel"
    "ine\":true,\"probability\":0.125,\"explanation\":\"warm words\"},\"no_loop_t"
    "argeted\":{\"id\":\"1c177f3975301a7c99437ebe9f609ea55d188781056754c4a736"
    "47564f1884da\",\"annotator\":\"code\",\"label\":\"fail\",\"identifier\":\"code-1"
    "\",\"baseline\":false,\"probability\":1,\"explanation\":\"same call 5 times\""
    "}}",
    "{\"helpfulness_targeted\":{\"id\":\"bddca88ea3df8c99362985c7d3ef3975f5f9e"
    "abe9c07c25ff3005991d8880fd7\",\"annotator\":\"llm\",\"label\":\"fail\",\"ident"
    "ifier\":\"epoch-7\",\"baseline\":false,\"probability\":1,\"explanation\":\"mis"
    "ses the point\"}}"};

static void each_target_has_one_carrier_with_all_its_scores(void **state)
{
    (void)state;
    struct exporter_status status;
    score_sink_stage_send_all(&stage, "", &status);
    struct carriers carriers = read_carriers(buffer_view(&stage.server->body));
    assert_int_equal(carriers.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(score_stage_same_json(carriers.scores[i], golden_scores[i]));
        assert_true(score_stage_same_json(carriers.metadata[i], golden_metadata[i]));
    }
    assert_memory_not_equal(carriers.ids[0], carriers.ids[1], 8);
    assert_int_equal(stage.server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(score_server_count(stage.server, BACKEND_BRAINTRUST), 4);
}

static void labels_alone_make_a_carrier_without_scores(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_CATEGORICAL, 1);
    score_sink_stage_send(&stage, "", &record, 1, &status);
    struct carriers carriers = read_carriers(buffer_view(&stage.server->body));
    assert_int_equal(carriers.count, 1);
    assert_int_equal(carriers.scores[0].len, 0);
    assert_true(carriers.metadata[0].len > 0);
    assert_int_equal(stage.server->refused, 0);
}

static void spans_pass_as_they_are(void **state)
{
    (void)state;
    char yaml[256], why[256] = "";
    snprintf(yaml, sizeof(yaml), "{" YAML "}", score_server_port(stage.server));
    struct exporter *exporter = sample_start(stage.ops, "braintrust", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(stage.ops, exporter, sample_parcel(0, 50, 100));
    sample_finish(stage.ops, &exporter);
    score_server_sync(stage.server);
    assert_int_equal(stage.server->spans[BACKEND_BRAINTRUST], 1);
    assert_int_equal(stage.server->refused, 0);
}

#define SHARED(name) SCORE_SINK_STAGE_SHARED(&stage, name)
#define OWN(name) SCORE_SINK_STAGE_OWN(&stage, name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN(each_target_has_one_carrier_with_all_its_scores),
        OWN(labels_alone_make_a_carrier_without_scores),
        SHARED(a_repetition_is_the_same_bytes_and_replaces),
        SHARED(what_the_sink_does_not_send_makes_no_request),
        SHARED(failures_alone_carry_the_suffix),
        SHARED(what_fails_for_now_is_sent_again),
        SHARED(what_is_too_much_is_halved),
        SHARED(a_wrong_key_is_final),
        SHARED(keys_come_from_the_variables_of_its_own_sdks),
        OWN(spans_pass_as_they_are),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
