// SPDX-License-Identifier: Apache-2.0
// The exporter `langwatch`: evaluation events on carriers, in time.
#include "exporter/score/langwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/unit/score_sink_stage.h"

static const char *const refused_yaml[][2] = {
    {"{}", "api_key must be set, or LANGWATCH_API_KEY"},
    {"{api_key: a, endpoint: x}", "endpoint:"},
};

static struct score_sink_stage stage = {
    .ops = &langwatch_exporter,
    .backend = BACKEND_LANGWATCH,
    .yaml = "api_key: key-of-the-test, endpoint: '" SCORE_SINK_STAGE_URL "'",
    .variables = {{"LANGWATCH_API_KEY", "key-of-the-test"},
                  {"LANGWATCH_ENDPOINT", SCORE_SINK_STAGE_URL}},
    .kept_count = 5,
    .refused_yaml = refused_yaml,
    .refused_count = sizeof(refused_yaml) / sizeof(refused_yaml[0]),
    .ends_now = true,
};

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
    assert_int_equal(view->end_ns, stage.end_ns);
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
            buffer_printf(&text, "%llu", (unsigned long long)(stage.end_ns / NS_PER_MS));
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
    score_sink_stage_send_all(&stage, "", &status);
    struct carriers carriers = read_carriers(buffer_view(&stage.server->body));
    assert_int_equal(carriers.count, 2);
    for (unsigned i = 0; i < 4; i++) {
        expect(verdict_of(carriers.items[0], i), golden[i]);
    }
    expect(verdict_of(carriers.items[1], 0), golden[4]);
    assert_int_equal(stage.server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(score_server_count(stage.server, BACKEND_LANGWATCH), 5);
}

static void scores_of_more_than_an_hour_ago_are_left_out(void **state)
{
    (void)state;
    struct exporter_status status;
    stage.end_ns = clock_wall_ns() - 3601 * NS_PER_S;
    score_sink_stage_send_all(&stage, "", &status);
    assert_int_equal(stage.server->requests[BACKEND_LANGWATCH], 0);
    assert_int_equal(status.sent, 0);
    assert_int_equal(status.send_failed, 0);
    stage.end_ns = clock_wall_ns() - 3500 * NS_PER_S;
    score_sink_stage_send_all(&stage, "", &status);
    assert_int_equal(status.sent, 5);
}

#define SHARED(name) SCORE_SINK_STAGE_SHARED(&stage, name)
#define OWN(name) SCORE_SINK_STAGE_OWN(&stage, name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN(each_score_is_an_event_on_the_carrier_of_its_target),
        OWN(scores_of_more_than_an_hour_ago_are_left_out),
        SHARED(a_repetition_is_the_same_bytes_and_replaces),
        SHARED(what_the_sink_does_not_send_makes_no_request),
        SHARED(failures_alone_carry_the_suffix),
        SHARED(what_fails_for_now_is_sent_again),
        SHARED(what_is_too_much_is_halved),
        SHARED(a_wrong_key_is_final),
        SHARED(keys_come_from_the_variables_of_its_own_sdks),
        SHARED(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
