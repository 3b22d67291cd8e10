// SPDX-License-Identifier: Apache-2.0
// What the debug exporter prints in its three verbosities.
#include "exporter/debug_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_sample.h"

static struct buffer request, text;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&request, 1 << 20);
    buffer_init(&text, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&request);
    buffer_fini(&text);
    return 0;
}

static const char *print(enum debug_verbosity verbosity, enum signal signal)
{
    buffer_reset(&text);
    debug_text_write(verbosity, signal, buffer_view(&request), &text);
    return buffer_text(&text);
}

static void contains(const char *all, const char *part)
{
    if (strstr(all, part) == NULL) {
        print_error("\"%s\" is missing in:\n%s\n", part, all);
    }
    assert_non_null(strstr(all, part));
}

// A span with a verdict and hostile text.
static void graded_request(const char *verdict)
{
    static const struct bytes failed[] = {{(const uint8_t *)"faithfulness", 12}};
    size_t resource = wire_open(&request, REQUEST_RESOURCES);
    size_t scope = wire_open(&request, RESOURCE_SCOPES);
    size_t span = wire_open(&request, SCOPE_ITEMS);
    wire_write_bytes(&request, SPAN_TRACE_ID, BYTES_LITERAL("0123456789abcdef"));
    wire_write_bytes(&request, SPAN_SPAN_ID, BYTES_LITERAL("01234567"));
    wire_write_text(&request, SPAN_NAME, "agent\x1b[2J\nrun\xc2\x9b");
    attribute_write_text(&request, SPAN_ATTRIBUTES, "sidejudge.verdict", bytes_from_text(verdict));
    attribute_write_texts(&request, SPAN_ATTRIBUTES, "sidejudge.failed", failed, 1);
    attribute_write_double(&request, SPAN_ATTRIBUTES, "sidejudge.score.faithfulness", 0.25);
    size_t event = wire_open(&request, SPAN_EVENTS);
    wire_write_text(&request, EVENT_NAME, "tool call");
    attribute_write_int(&request, EVENT_ATTRIBUTES, "attempt", 2);
    wire_close(&request, event);
    size_t status = wire_open(&request, SPAN_STATUS);
    wire_write_text(&request, STATUS_MESSAGE, "it broke");
    wire_write_varint(&request, STATUS_CODE, SPAN_STATUS_ERROR);
    wire_close(&request, status);
    wire_close(&request, span);
    wire_close(&request, scope);
    wire_close(&request, resource);
}

static void basic_is_one_line_of_counts(void **state)
{
    (void)state;
    sample_spans(&request, 0, 7, 10);
    assert_string_equal(print(DEBUG_BASIC, SIGNAL_TRACES), "Traces\tresource spans: 1, spans: 7\n");
}

static void normal_is_a_line_for_each_span(void **state)
{
    (void)state;
    sample_spans(&request, 5, 2, 10);
    const char *all = print(DEBUG_NORMAL, SIGNAL_TRACES);
    contains(all, "ResourceTraces #0 service.name=sample\n");
    contains(all, "Scope #0 @\n");
    contains(all, "\nspan-5 5a000000000000000500000000000000 5a00000005000000 number=5 text=");
    contains(all, "\nspan-6 ");
}

static void a_graded_span_shows_its_verdict(void **state)
{
    (void)state;
    graded_request("fail");
    contains(print(DEBUG_NORMAL, SIGNAL_TRACES),
             "\n  !! VERDICT FAIL failed=[\"faithfulness\"] faithfulness=0.25\n");
    contains(print(DEBUG_DETAILED, SIGNAL_TRACES), "  !! VERDICT FAIL");
    assert_null(strstr(print(DEBUG_BASIC, SIGNAL_TRACES), "VERDICT"));
    buffer_reset(&request);
    graded_request("pass");
    contains(print(DEBUG_NORMAL, SIGNAL_TRACES), "\n  ok VERDICT pass");
}

static void control_characters_never_reach_the_terminal(void **state)
{
    (void)state;
    graded_request("fail\x1b]0;x\x07");
    for (int verbosity = DEBUG_BASIC; verbosity <= DEBUG_DETAILED; verbosity++) {
        const char *all = print((enum debug_verbosity)verbosity, SIGNAL_TRACES);
        for (const char *at = all; *at != '\0'; at++) {
            assert_true((unsigned char)*at >= ' ' || *at == '\n' || *at == '\t');
        }
        assert_null(strstr(all, "\xc2\x9b"));
    }
    contains(print(DEBUG_NORMAL, SIGNAL_TRACES), "agent\\x1b[2J\\nrun\\x9b ");
}

static void detailed_shows_every_part_of_a_span(void **state)
{
    (void)state;
    graded_request("fail");
    const char *all = print(DEBUG_DETAILED, SIGNAL_TRACES);
    contains(all, "Trace ID       : 30313233343536373839616263646566");
    contains(all, "Status code    : Error");
    contains(all, "Status message : it broke");
    contains(all, "SpanEvent #0");
    contains(all, "-> Name: tool call");
    contains(all, "     -> attempt: Int(2)");
    contains(all, "     -> sidejudge.score.faithfulness: Double(0.25)");
}

static void metrics_and_their_points_are_counted(void **state)
{
    (void)state;
    struct parcel *parcel = sample_metrics(3, 4);
    buffer_append_bytes(&request, parcel->batch->body);
    assert_string_equal(print(DEBUG_BASIC, SIGNAL_METRICS),
                        "Metrics\tresource metrics: 1, metrics: 3, data points: 12\n");
    contains(print(DEBUG_NORMAL, SIGNAL_METRICS), "gauge points=4\n");
    contains(print(DEBUG_DETAILED, SIGNAL_METRICS), "\"name\":\"gauge\"");
    parcel_unref(&parcel);
}

static void long_values_are_cut_and_say_so(void **state)
{
    (void)state;
    sample_spans(&request, 0, 1, 5000);
    assert_true(strlen(print(DEBUG_NORMAL, SIGNAL_TRACES)) < 1000);
    contains(print(DEBUG_NORMAL, SIGNAL_TRACES), "... (");
    assert_true(strlen(print(DEBUG_DETAILED, SIGNAL_TRACES)) > 5000);
}

static void what_does_not_scan_prints_nothing(void **state)
{
    (void)state;
    buffer_append_text(&request, "\x0a\xff\xff");
    assert_string_equal(print(DEBUG_DETAILED, SIGNAL_TRACES), "");
}

static void scores_are_printed_as_what_they_are(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    struct buffer scores, printed;
    buffer_init(&scores, 65536);
    buffer_init(&printed, 65536);
    score_sample_request(&scores, &record, 1);
    debug_text_write(DEBUG_BASIC, SIGNAL_SCORES, buffer_view(&scores), &printed);
    assert_string_equal(buffer_text(&printed), "Scores\tresources: 1, scores: 1\n");
    buffer_reset(&printed);
    debug_text_write(DEBUG_DETAILED, SIGNAL_SCORES, buffer_view(&scores), &printed);
    assert_non_null(strstr(buffer_text(&printed), "gen_ai.evaluation.score.value"));
    assert_non_null(strstr(buffer_text(&printed), "helpfulness"));
    buffer_fini(&scores);
    buffer_fini(&printed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(basic_is_one_line_of_counts),
        TEST(normal_is_a_line_for_each_span),
        TEST(a_graded_span_shows_its_verdict),
        TEST(control_characters_never_reach_the_terminal),
        TEST(detailed_shows_every_part_of_a_span),
        TEST(metrics_and_their_points_are_counted),
        TEST(long_values_are_cut_and_say_so),
        TEST(what_does_not_scan_prints_nothing),
        TEST(scores_are_printed_as_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
