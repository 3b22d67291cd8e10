// SPDX-License-Identifier: Apache-2.0
// The exporter `langwatch`: evaluation events on carriers, in time.
#include "exporter/score/langwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/unit/score_stage.h"

static const struct exporter_ops *const ops = &langwatch_exporter;
static struct score_server *server;
static uint64_t end_ns;  // of all targets

#define YAML "api_key: key-of-the-test, endpoint: 'http://127.0.0.1:%u'"
#define RETRY "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

static int set_up(void **state)
{
    (void)state;
    unsetenv("LANGWATCH_API_KEY");
    unsetenv("LANGWATCH_ENDPOINT");
    end_ns = clock_wall_ns();
    server = score_server_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("LANGWATCH_API_KEY");
    unsetenv("LANGWATCH_ENDPOINT");
    score_server_stop(&server);
    return 0;
}

static void send_all(const char *yaml, struct exporter_status *status)
{
    struct score_record records[SCORE_STAGE_RECORDS];
    score_stage_records(records);
    for (size_t i = 0; i < SCORE_STAGE_RECORDS; i++) {
        records[i].end_ns = end_ns;
    }
    score_stage_send(server, ops, yaml, records, SCORE_STAGE_RECORDS, status);
}

struct carriers {
    unsigned count;
    struct bytes items[4];
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
    carriers->items[at] = view->item;
    assert_true(attribute_find(view->resource, RES_ATTRIBUTES, "service.name", &value));
    assert_true(bytes_equal_text(value.bytes, "shop"));
    assert_int_equal(view->end_ns, end_ns);
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

// The verdict of event `index` of a carrier.
static struct bytes verdict_of(struct bytes item, unsigned index)
{
    struct wire wire = wire_of(item);
    struct wire_field field;
    struct any_view value;
    while (wire_next(&wire, &field)) {
        if (field.number == SPAN_EVENTS && index-- == 0) {
            assert_true(
                attribute_find(field.bytes, EVENT_ATTRIBUTES, "json_encoded_event", &value));
            return value.bytes;
        }
    }
    return BYTES_NONE;
}

static const char *const golden[] = {
    "{\"evaluation_id\":\"7682120018241e888a05b8d3fab280f2c8e5180c3cf417281f"
    "fc38c0287dd6ad\",\"evaluator_id\":\"helpfulness\",\"span_id\":\"00f067aa0ba9"
    "0201\",\"name\":\"helpfulness\",\"type\":\"llm_judge\",\"is_guardrail\":false,\""
    "status\":\"processed\",\"passed\":true,\"score\":0.75,\"label\":\"pass\",\"detai"
    "ls\":\"answers \\\"all\\\" of it\",\"timestamps\":{\"started_at\":@,\"finished"
    "_at\":@}}",
    "{\"evaluation_id\":\"05c824776540987a819396c8b3d86be33926a31f199128641a"
    "9987fecc1ca096\",\"evaluator_id\":\"json_valid\",\"span_id\":\"00f067aa0ba90"
    "201\",\"name\":\"json_valid\",\"type\":\"code\",\"is_guardrail\":false,\"status\""
    ":\"processed\",\"passed\":true,\"score\":1,\"label\":\"pass\",\"timestamps\":{\"s"
    "tarted_at\":@,\"finished_at\":@}}",
    "{\"evaluation_id\":\"7cfdb53107c9c9f3bd2b7da685bce74366f0bdd4e0c6ac40b4"
    "d556e665bd5584\",\"evaluator_id\":\"tone\",\"span_id\":\"00f067aa0ba90201\",\""
    "name\":\"tone\",\"type\":\"llm_judge\",\"is_guardrail\":false,\"status\":\"proce"
    "ssed\",\"passed\":true,\"label\":\"friendly\",\"details\":\"warm words\",\"times"
    "tamps\":{\"started_at\":@,\"finished_at\":@}}",
    "{\"evaluation_id\":\"1c177f3975301a7c99437ebe9f609ea55d188781056754c4a7"
    "3647564f1884da\",\"evaluator_id\":\"no_loop_targeted\",\"span_id\":\"00f067a"
    "a0ba90201\",\"name\":\"no_loop_targeted\",\"type\":\"code\",\"is_guardrail\":fa"
    "lse,\"status\":\"processed\",\"passed\":false,\"score\":0,\"label\":\"fail\",\"de"
    "tails\":\"same call 5 times\",\"timestamps\":{\"started_at\":@,\"finished_"
    "at\":@}}",
    "{\"evaluation_id\":\"bddca88ea3df8c99362985c7d3ef3975f5f9eabe9c07c25ff3"
    "005991d8880fd7\",\"evaluator_id\":\"helpfulness_targeted\",\"span_id\":\"00f"
    "067aa0ba90202\",\"name\":\"helpfulness_targeted\",\"type\":\"llm_judge\",\"is_"
    "guardrail\":false,\"status\":\"processed\",\"passed\":false,\"score\":0.25,\"l"
    "abel\":\"fail\",\"details\":\"misses the point\",\"timestamps\":{\"started_at\""
    ":@,\"finished_at\":@}}"};

// `golden` with the target's end in the place of each @.
static void expect(struct bytes verdict, const char *wanted)
{
    struct buffer text;
    buffer_init(&text, 4096);
    for (const char *at = wanted; *at != '\0'; at++) {
        if (*at == '@') {
            buffer_printf(&text, "%llu", (unsigned long long)(end_ns / NS_PER_MS));
        } else {
            buffer_append_byte(&text, (uint8_t)*at);
        }
    }
    assert_true(score_stage_same_json(verdict, buffer_text(&text)));
    buffer_fini(&text);
}

static void each_score_is_an_event_on_the_carrier_of_its_target(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{" YAML "}", &status);
    struct carriers carriers = read_carriers(buffer_view(&server->body));
    assert_int_equal(carriers.count, 2);
    for (unsigned i = 0; i < 4; i++) {
        expect(verdict_of(carriers.items[0], i), golden[i]);
    }
    expect(verdict_of(carriers.items[1], 0), golden[4]);
    assert_int_equal(server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(score_server_count(server, BACKEND_LANGWATCH), 5);
}

static void scores_of_more_than_an_hour_ago_are_left_out(void **state)
{
    (void)state;
    struct exporter_status status;
    end_ns = clock_wall_ns() - 3601 * NS_PER_S;
    send_all("{" YAML "}", &status);
    assert_int_equal(server->requests[BACKEND_LANGWATCH], 0);
    assert_int_equal(status.sent, 0);
    assert_int_equal(status.send_failed, 0);
    end_ns = clock_wall_ns() - 3500 * NS_PER_S;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
}

static void a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    send_all("{" YAML "}", &status);
    buffer_append_bytes(&first, buffer_view(&server->body));
    size_t count = score_server_count(server, BACKEND_LANGWATCH);
    send_all("{" YAML "}", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&server->body)));
    assert_int_equal(score_server_count(server, BACKEND_LANGWATCH), count);
    assert_int_equal(server->refused, 0);
    buffer_fini(&first);
}

static void what_the_sink_does_not_send_makes_no_request(void **state)
{
    (void)state;
    struct exporter_status status;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    score_stage_send(server, ops, "{" YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_LANGWATCH], 0);
    assert_int_equal(status.send_failed, 0);
    record = score_sample(SAMPLE_NUMERIC, 1);
    record.end_ns = end_ns;
    score_stage_send(server, ops, "{send: failed, " YAML "}", &record, 1, &status);
    assert_int_equal(server->requests[BACKEND_LANGWATCH], 0);
}

static void failures_alone_carry_the_suffix(void **state)
{
    (void)state;
    struct exporter_status status;
    send_all("{send: failed, targeted_suffix: _bad, " YAML "}", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(score_server_count(server, BACKEND_LANGWATCH), 2);
    assert_non_null(score_server_find(server, BACKEND_LANGWATCH, "no_loop_bad"));
    assert_non_null(score_server_find(server, BACKEND_LANGWATCH, "helpfulness_bad"));
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
    assert_int_equal(server->requests[BACKEND_LANGWATCH], 4);
}

static void what_is_too_much_is_halved(void **state)
{
    (void)state;
    struct exporter_status status;
    server->fail_count = 1;
    server->fail_status = 413;
    send_all("{" YAML "}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->requests[BACKEND_LANGWATCH], 3);
    assert_int_equal(score_server_count(server, BACKEND_LANGWATCH), 5);
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
    assert_int_equal(server->requests[BACKEND_LANGWATCH], 1);
}

static void keys_come_from_the_variables_of_its_own_sdks(void **state)
{
    (void)state;
    struct exporter_status status;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", score_server_port(server));
    setenv("LANGWATCH_API_KEY", "key-of-the-test", 1);
    setenv("LANGWATCH_ENDPOINT", url, 1);
    send_all("{}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(server->refused, 0);
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "api_key must be set, or LANGWATCH_API_KEY"},
        {"{api_key: a, endpoint: x}", "endpoint:"},
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
        TEST(each_score_is_an_event_on_the_carrier_of_its_target),
        TEST(scores_of_more_than_an_hour_ago_are_left_out),
        TEST(a_repetition_is_the_same_bytes_and_replaces),
        TEST(what_the_sink_does_not_send_makes_no_request),
        TEST(failures_alone_carry_the_suffix),
        TEST(what_fails_for_now_is_sent_again),
        TEST(what_is_too_much_is_halved),
        TEST(a_wrong_key_is_final),
        TEST(keys_come_from_the_variables_of_its_own_sdks),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
