// SPDX-License-Identifier: Apache-2.0
// The exporter `braintrust`: scores on carriers of the targets' traces.
#include "exporter/score/braintrust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_stage.h"

static const struct exporter_ops *const ops = &braintrust_exporter;
static struct score_server *server;

#define YAML                                                                                       \
    "api_key: key-of-the-test, parent: 'project_name:test', endpoint: 'http://127.0.0.1:%u'"
#define RETRY "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

static int set_up(void **state)
{
    (void)state;
    unsetenv("BRAINTRUST_API_KEY");
    unsetenv("BRAINTRUST_API_URL");
    unsetenv("BRAINTRUST_PARENT");
    server = score_server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("BRAINTRUST_API_KEY");
    unsetenv("BRAINTRUST_API_URL");
    unsetenv("BRAINTRUST_PARENT");
    score_server_stop(&server);
    return 0;
}

static void send_all(const char *yaml, struct exporter_status *status)
{
    struct score_record records[SCORE_STAGE_RECORDS];
    score_stage_records(records);
    score_stage_send(server, ops, yaml, records, SCORE_STAGE_RECORDS, status);
}

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
    send_all("{" YAML "}", &status);
    struct carriers carriers = read_carriers(buffer_view(&server->body));
    assert_int_equal(carriers.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(score_stage_same_json(carriers.scores[i], golden_scores[i]));
        assert_true(score_stage_same_json(carriers.metadata[i], golden_metadata[i]));
    }
    assert_memory_not_equal(carriers.ids[0], carriers.ids[1], 8);
    assert_int_equal(server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(score_server_count(server, BACKEND_BRAINTRUST), 4);
}

static void labels_alone_make_a_carrier_without_scores(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_CATEGORICAL, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    struct carriers carriers = read_carriers(buffer_view(&server->body));
    assert_int_equal(carriers.count, 1);
    assert_int_equal(carriers.scores[0].len, 0);
    assert_true(carriers.metadata[0].len > 0);
    assert_int_equal(server->refused, 0);
}

static void a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    send_all("{" YAML "}", &status);
    buffer_append_bytes(&first, buffer_view(&server->body));
    size_t count = score_server_count(server, BACKEND_BRAINTRUST);
    send_all("{" YAML "}", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&server->body)));
    assert_int_equal(score_server_count(server, BACKEND_BRAINTRUST), count);
    assert_int_equal(server->refused, 0);
    buffer_fini(&first);
}

static void what_the_sink_does_not_send_makes_no_request(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_BRAINTRUST], 0);
    assert_int_equal(status.send_failed, 0);
    record = score_sample(SAMPLE_NUMERIC, 1);
    score_stage_send(server, ops, "{send: failed, " YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_BRAINTRUST], 0);
}

static void failures_alone_carry_the_suffix(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: failed, targeted_suffix: _bad, " YAML "}", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(score_server_count(server, BACKEND_BRAINTRUST), 2);
    assert_non_null(score_server_find(server, BACKEND_BRAINTRUST, "no_loop_bad"));
    assert_non_null(score_server_find(server, BACKEND_BRAINTRUST, "helpfulness_bad"));
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
    assert_int_equal(server->requests[BACKEND_BRAINTRUST], 4);
}

static void what_is_too_much_is_halved(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 413;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_BRAINTRUST], 3);
    assert_int_equal(score_server_count(server, BACKEND_BRAINTRUST), 4);
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
    assert_int_equal(server->requests[BACKEND_BRAINTRUST], 1);
}

static void keys_come_from_the_variables_of_its_own_sdks(void **state)
{
    (void)state;
    struct exporter_status status;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", score_server_port(server));
    setenv("BRAINTRUST_API_KEY", "key-of-the-test", 1);
    setenv("BRAINTRUST_API_URL", url, 1);
    setenv("BRAINTRUST_PARENT", "project_name:test", 1);
    send_all("{}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->refused, 0);
}

static void spans_pass_as_they_are(void **state)
{
    (void)state;
    char yaml[256], why[256] = "";
    snprintf(yaml, sizeof(yaml), "{" YAML "}", score_server_port(server));
    struct exporter *exporter = sample_start(ops, "braintrust", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, sample_parcel(0, 50, 100));
    sample_finish(ops, &exporter);
    score_server_sync(server);
    assert_int_equal(server->spans[BACKEND_BRAINTRUST], 1);
    assert_int_equal(server->refused, 0);
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "api_key must be set, or BRAINTRUST_API_KEY"},
        {"{api_key: a}", "parent must be"},
        {"{api_key: a, parent: 'project_name:'}", "parent must be"},
        {"{api_key: a, parent: 'x:y'}", "parent must be"},
        {"{api_key: a, parent: 'project_id:y', endpoint: x}", "endpoint:"},
        {"{api_key: k, parent: 'project_id:y', targeted_suffix: ''}", "targeted_suffix must be"},
        {"{api_key: k, parent: 'project_id:y', targeted_suffix: 'a b'}", "targeted_suffix must be"},
        {"{api_key: k, parent: 'project_id:y', send: some}", "'send' must be one of"},
        {"{api_key: k, parent: 'project_id:y', compression: zstd}", "does not take zstd"},
    };
    assert_true(score_stage_refuses(ops, rows, sizeof(rows) / sizeof(rows[0])));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_target_has_one_carrier_with_all_its_scores),
        TEST(labels_alone_make_a_carrier_without_scores),
        TEST(a_repetition_is_the_same_bytes_and_replaces),
        TEST(what_the_sink_does_not_send_makes_no_request),
        TEST(failures_alone_carry_the_suffix),
        TEST(what_fails_for_now_is_sent_again),
        TEST(what_is_too_much_is_halved),
        TEST(a_wrong_key_is_final),
        TEST(keys_come_from_the_variables_of_its_own_sdks),
        TEST(spans_pass_as_they_are),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
