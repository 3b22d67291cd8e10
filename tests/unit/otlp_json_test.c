// SPDX-License-Identifier: Apache-2.0
//
// OTLP/JSON in, protobuf out: what the specification's mapping allows and what it does not, checked
// by protobuf-c and the scanner; then the memory that the worst bodies take.
#include "proto/otlp_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb-c.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

#include "proto/attribute.h"
#include "proto/scan.h"

#define OUT_BYTES_MAX ((size_t)64 << 20)
#define LIMIT_BYTES ((size_t)20 << 20)  // the largest body that receivers take

#define WITH_SPAN(members)                                                                         \
    "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" members "}]}]}]}"
#define WITH_VALUE(value) WITH_SPAN("\"attributes\":[{\"key\":\"k\",\"value\":" value "}]")
#define WITH_METRIC(members)                                                                       \
    "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{" members "}]}]}]}"

static enum result convert(enum signal signal, const char *json, struct buffer *out, char *why,
                           size_t why_len)
{
    buffer_init(out, OUT_BYTES_MAX);
    return otlp_json_to_protobuf(signal, bytes_from_text(json), out, why, why_len);
}

static bool view_keep(void *arg, const struct item_view *view)
{
    struct item_view *kept = arg;
    *kept = *view;
    return true;
}

// Converts a request of one item and shows it.
static void item_of(enum signal signal, const char *json, struct buffer *out,
                    struct item_view *view)
{
    char why[256];
    struct scan_report report;
    *view = (struct item_view){0};
    if (convert(signal, json, out, why, sizeof why) != RESULT_OK) {
        fail_msg("%s: %s", json, why);
    }
    assert_int_equal(
        scan_request(signal, buffer_view(out), SCAN_CHECK_UTF8, view_keep, view, &report),
        RESULT_OK);
    assert_int_equal(report.item_count, 1);
}

static void assert_refused(enum signal signal, const char *json, const char *expected)
{
    struct buffer out;
    char why[256];
    enum result result = convert(signal, json, &out, why, sizeof why);
    if (result != RESULT_REJECT || strstr(why, expected) == NULL) {
        fail_msg("%s: %s, \"%s\"", json, result_label(result), why);
    }
    assert_int_equal(out.len, 0);
    assert_int_equal(buffer_status(&out), RESULT_OK);
    buffer_fini(&out);
}

static void assert_value(const char *json, enum any_kind kind, const char *as_json)
{
    struct buffer out, text;
    struct item_view view;
    struct any_view value = {0};
    item_of(SIGNAL_TRACES, json, &out, &view);
    assert_int_equal(view.fault, SCAN_OK);
    assert_true(attribute_find(view.item, SPAN_ATTRIBUTES, "k", &value));
    assert_int_equal(value.kind, kind);
    buffer_init(&text, 4096);
    any_write_json(&value, &text);
    assert_string_equal(buffer_text(&text), as_json);
    buffer_fini(&text);
    buffer_fini(&out);
}

static void spans_have_all_their_members(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(
        SIGNAL_TRACES,
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
        "\"value\":{\"stringValue\":\"agent\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"s\"},"
        "\"spans\":[{\"traceId\":\"5B8EFFF798038103D269B633813FC60C\","
        "\"spanId\":\"eee19b7ec3c1b174\",\"parentSpanId\":\"\",\"name\":\"chat\","
        "\"kind\":\"SPAN_KIND_CLIENT\",\"startTimeUnixNano\":\"1544712660000000000\","
        "\"endTimeUnixNano\":1544712661000000000,\"traceState\":\"a=b\",\"flags\":257,"
        "\"status\":{\"code\":2,\"message\":\"no\"},\"events\":[{\"name\":\"e\","
        "\"timeUnixNano\":\"5\"}],\"links\":[{\"traceId\":\"5b8efff798038103d269b633813fc60c\","
        "\"spanId\":\"eee19b7ec3c1b174\"}],\"droppedAttributesCount\":3}],\"schemaUrl\":\"u\"}]}"
        "]}",
        &out, &view);
    assert_int_equal(view.fault, SCAN_OK);
    assert_memory_equal(view.trace_id, "\x5b\x8e\xff\xf7\x98\x03\x81\x03", 8);
    assert_memory_equal(view.span_id, "\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74", 8);
    assert_null(view.parent_id);
    assert_true(bytes_equal_text(view.name, "chat"));
    assert_int_equal(view.kind, SPAN_KIND_CLIENT);
    assert_true(view.start_ns == UINT64_C(1544712660000000000));
    assert_true(view.end_ns == UINT64_C(1544712661000000000));
    assert_true(bytes_equal_text(view.trace_state, "a=b"));
    assert_int_equal(view.flags, 257);
    assert_int_equal(view.status, SPAN_STATUS_ERROR);
    assert_int_equal(view.event_count, 1);
    struct any_view service;
    assert_true(attribute_find(view.resource, RES_ATTRIBUTES, "service.name", &service));
    assert_true(bytes_equal_text(service.bytes, "agent"));
    buffer_fini(&out);
}

static void values_of_all_kinds_arrive(void **state)
{
    (void)state;
    assert_value(WITH_VALUE("{\"stringValue\":\"\"}"), ANY_KIND_STRING, "");
    assert_value(WITH_VALUE("{\"stringValue\":\"\\u00e9\\n\\ud83d\\ude00\"}"), ANY_KIND_STRING,
                 "\xc3\xa9\n\xf0\x9f\x98\x80");
    assert_value(WITH_VALUE("{\"boolValue\":false}"), ANY_KIND_BOOL, "false");
    assert_value(WITH_VALUE("{\"intValue\":\"9223372036854775807\"}"), ANY_KIND_INT,
                 "9223372036854775807");
    assert_value(WITH_VALUE("{\"intValue\":-9223372036854775808}"), ANY_KIND_INT,
                 "-9223372036854775808");
    assert_value(WITH_VALUE("{\"intValue\":5e3}"), ANY_KIND_INT, "5000");
    assert_value(WITH_VALUE("{\"intValue\":-0}"), ANY_KIND_INT, "0");
    assert_value(WITH_VALUE("{\"doubleValue\":1.5}"), ANY_KIND_DOUBLE, "1.5");
    assert_value(WITH_VALUE("{\"doubleValue\":\"2.5\"}"), ANY_KIND_DOUBLE, "2.5");
    assert_value(WITH_VALUE("{\"doubleValue\":3}"), ANY_KIND_DOUBLE, "3");
    assert_value(WITH_VALUE("{\"doubleValue\":\"NaN\"}"), ANY_KIND_DOUBLE, "null");
    assert_value(WITH_VALUE("{\"doubleValue\":\"-Infinity\"}"), ANY_KIND_DOUBLE, "null");
    assert_value(WITH_VALUE("{\"bytesValue\":\"aGk=\"}"), ANY_KIND_BYTES, "\"aGk=\"");
    assert_value(WITH_VALUE("{\"bytesValue\":\"__-_\"}"), ANY_KIND_BYTES, "\"//+/\"");
    assert_value(WITH_VALUE("{\"arrayValue\":{\"values\":[{\"intValue\":1},{\"stringValue\":\"x\"},"
                            "{}]}}"),
                 ANY_KIND_ARRAY, "[1,\"x\",null]");
    assert_value(WITH_VALUE("{\"kvlistValue\":{\"values\":[{\"key\":\"a\",\"value\":{\"boolValue\":"
                            "true}}]}}"),
                 ANY_KIND_KVLIST, "{\"a\":true}");
    assert_value(WITH_VALUE("{}"), ANY_KIND_NONE, "null");
    assert_value(WITH_VALUE("null"), ANY_KIND_NONE, "null");
}

static void original_field_names_are_taken_too(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(SIGNAL_TRACES,
            "{\"resource_spans\":[{\"scope_spans\":[{\"spans\":[{\"trace_id\":"
            "\"5b8efff798038103d269b633813fc60c\",\"start_time_unix_nano\":7,\"attributes\":[{"
            "\"key\":\"k\",\"value\":{\"string_value\":\"v\"}}]}]}]}]}",
            &out, &view);
    assert_non_null(view.trace_id);
    assert_true(view.start_ns == 7);
    struct any_view value;
    assert_true(attribute_find(view.item, SPAN_ATTRIBUTES, "k", &value));
    assert_true(bytes_equal_text(value.bytes, "v"));
    buffer_fini(&out);
}

static void unknown_names_and_null_are_passed_over(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(SIGNAL_TRACES,
            WITH_SPAN("\"unknown\":{\"name\":\"inner\",\"a\":[[{}],1,null,true,\"x\"]},"
                      "\"name\":\"outer\",\"kind\":null,\"TraceId\":\"zz\",\"events\":null,"
                      "\"status\":null,\"traceID\":7,\"\":1"),
            &out, &view);
    assert_true(bytes_equal_text(view.name, "outer"));
    assert_int_equal(view.kind, 0);
    assert_null(view.trace_id);
    buffer_fini(&out);
}

static void of_keys_that_come_twice_the_last_wins(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(SIGNAL_TRACES,
            WITH_SPAN("\"name\":\"a\",\"status\":{\"code\":2},\"attributes\":[{}],\"name\":\"b\","
                      "\"status\":{\"message\":\"m\"},\"attributes\":[{}]"),
            &out, &view);
    assert_true(bytes_equal_text(view.name, "b"));
    assert_int_equal(view.status, 2);            // messages merge
    assert_int_equal(view.attribute_count, 2);   // lists concatenate
    buffer_fini(&out);
}

static void enums_are_names_or_numbers(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        WITH_SPAN("\"kind\":2"), WITH_SPAN("\"kind\":\"SPAN_KIND_SERVER\""),
        WITH_SPAN("\"kind\":\"2\""), WITH_SPAN("\"kind\":2.0")};
    for (unsigned i = 0; i < 4; i++) {
        struct buffer out;
        struct item_view view;
        item_of(SIGNAL_TRACES, kinds[i], &out, &view);
        assert_int_equal(view.kind, SPAN_KIND_SERVER);
        buffer_fini(&out);
    }
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"kind\":\"SERVER\""), "kind: not an enum value");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"kind\":\"SPAN_KIND_OTHER\""), "not an enum value");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"kind\":2.5"), "not an enum value");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"kind\":4294967296"), "out of range");
}

static void ids_of_a_wrong_length_cost_only_their_span(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(SIGNAL_TRACES, WITH_SPAN("\"traceId\":\"abcd\",\"name\":\"n\""), &out, &view);
    assert_int_equal(view.fault, SCAN_TRACE_ID);
    buffer_fini(&out);
}

static void log_records_arrive(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(SIGNAL_LOGS,
            "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"3\","
            "\"severityNumber\":\"SEVERITY_NUMBER_WARN2\",\"body\":{\"stringValue\":\"text\"},"
            "\"eventName\":\"e\",\"spanId\":\"eee19b7ec3c1b174\"}]}]}]}",
            &out, &view);
    assert_int_equal(view.kind, 14);
    assert_true(view.start_ns == 3);
    assert_true(bytes_equal_text(any_decode(view.events).bytes, "text"));
    assert_non_null(view.span_id);
    buffer_fini(&out);
}

typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest metrics_request;

static void metrics_arrive_with_their_packed_numbers(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(
        SIGNAL_METRICS,
        WITH_METRIC("\"name\":\"h\",\"histogram\":{\"aggregationTemporality\":2,\"dataPoints\":[{"
                    "\"count\":\"6\",\"sum\":1.5,\"bucketCounts\":[\"1\",2,\"3\"],"
                    "\"explicitBounds\":[0.5,\"10\"],\"min\":0}]}"),
        &out, &view);
    assert_int_equal(view.point_count, 1);
    metrics_request *request =
        opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__unpack(
            NULL, out.len, out.ptr);
    assert_non_null(request);
    const Opentelemetry__Proto__Metrics__V1__Histogram *histogram =
        request->resource_metrics[0]->scope_metrics[0]->metrics[0]->histogram;
    assert_int_equal(histogram->aggregation_temporality, 2);
    const Opentelemetry__Proto__Metrics__V1__HistogramDataPoint *point = histogram->data_points[0];
    assert_int_equal(point->count, 6);
    assert_int_equal(point->n_bucket_counts, 3);
    assert_int_equal(point->bucket_counts[2], 3);
    assert_int_equal(point->n_explicit_bounds, 2);
    assert_true(point->explicit_bounds[1] == 10.0);
    opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__free_unpacked(
        request, NULL);
    buffer_fini(&out);
}

static void exponential_histograms_have_signed_numbers(void **state)
{
    (void)state;
    struct buffer out;
    struct item_view view;
    item_of(SIGNAL_METRICS,
            WITH_METRIC("\"exponentialHistogram\":{\"dataPoints\":[{\"scale\":-3,\"positive\":{"
                        "\"offset\":2147483647,\"bucketCounts\":[\"18446744073709551615\"]},"
                        "\"negative\":{\"offset\":\"-2147483648\"}}]}"),
            &out, &view);
    metrics_request *request =
        opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__unpack(
            NULL, out.len, out.ptr);
    assert_non_null(request);
    const Opentelemetry__Proto__Metrics__V1__ExponentialHistogramDataPoint *point =
        request->resource_metrics[0]->scope_metrics[0]->metrics[0]->exponential_histogram
            ->data_points[0];
    assert_int_equal(point->scale, -3);
    assert_int_equal(point->positive->offset, INT32_MAX);
    assert_int_equal(point->negative->offset, INT32_MIN);
    assert_true(point->positive->bucket_counts[0] == UINT64_MAX);
    opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__free_unpacked(
        request, NULL);
    buffer_fini(&out);
}

static void errors_say_what_and_where(void **state)
{
    (void)state;
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"name\":7"),
                   "resourceSpans[0].scopeSpans[0].spans[0].name: not a string (at byte ");
    assert_refused(SIGNAL_TRACES,
                   WITH_SPAN("\"attributes\":[{},{\"value\":{\"intValue\":\"x\"}}]"),
                   "spans[0].attributes[1].value.intValue: not an integer");
}

static void values_of_a_wrong_kind_are_refused(void **state)
{
    (void)state;
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"name\":true"), "not a string");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"name\":{}"), "an object where a plain value");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"name\":[]"), "an array where a single value");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"status\":7"), "not an object");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"status\":[{}]"), "an array where a single value");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"attributes\":{}"), "not an array");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"attributes\":[[]]"), "an array where a single");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"attributes\":[0]"), "not an object");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"traceId\":\"xyz0\""), "not hexadecimal");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"traceId\":\"abc\""), "not hexadecimal");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"traceId\":5"), "not a string");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"bytesValue\":\"%%%%\"}"), "not base64");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"boolValue\":\"true\"}"), "not true or false");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"boolValue\":1}"), "not true or false");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"intValue\":1.5}"), "not an integer");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"intValue\":true}"), "not a number");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"intValue\":\"\"}"), "not an integer");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"intValue\":9223372036854775808}"), "out of range");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"doubleValue\":\"inf\"}"), "not a number");
    assert_refused(SIGNAL_TRACES, WITH_VALUE("{\"doubleValue\":1e999}"), "out of range");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"startTimeUnixNano\":-1"), "out of range");
    assert_refused(SIGNAL_TRACES, WITH_SPAN("\"droppedAttributesCount\":4294967296"),
                   "out of range");
    assert_refused(SIGNAL_METRICS,
                   WITH_METRIC("\"histogram\":{\"dataPoints\":[{\"bucketCounts\":3}]}"),
                   "not an array");
}

static void what_is_no_json_object_is_refused(void **state)
{
    (void)state;
    assert_refused(SIGNAL_TRACES, "", "not JSON");
    assert_refused(SIGNAL_TRACES, "[]", "not an object");
    assert_refused(SIGNAL_TRACES, "7", "not an object");
    assert_refused(SIGNAL_TRACES, "\"x\"", "not an object");
    assert_refused(SIGNAL_TRACES, "null", "not an object");
    assert_refused(SIGNAL_TRACES, "true", "not an object");
    assert_refused(SIGNAL_TRACES, "{", "not JSON");
    assert_refused(SIGNAL_TRACES, "{}}", "not JSON");
    assert_refused(SIGNAL_TRACES, "{} {}", "not JSON");
    assert_refused(SIGNAL_TRACES, "{\"resourceSpans\":[}", "not JSON");
    assert_refused(SIGNAL_TRACES, "{\"a\":\"\xff\"}", "not JSON");
    assert_refused(SIGNAL_TRACES, "\n\x0a\x02\x12\x00", "not JSON");
}

static void an_empty_object_is_an_empty_request(void **state)
{
    (void)state;
    struct buffer out;
    char why[64];
    assert_int_equal(convert(SIGNAL_LOGS, " {} ", &out, why, sizeof why), RESULT_OK);
    assert_int_equal(out.len, 0);
    assert_string_equal(why, "");
    buffer_fini(&out);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct buffer json;
    buffer_init(&json, 1 << 20);
    buffer_append_text(&json, "{\"unknown\":");
    for (unsigned i = 0; i < 300; i++) {
        buffer_append_text(&json, "[");
    }
    assert_refused(SIGNAL_TRACES, buffer_text(&json), "nested deeper than");
    buffer_reset(&json);
    buffer_append_text(&json, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"attributes\":[{"
                              "\"value\":");
    for (unsigned i = 0; i < 100; i++) {
        buffer_append_text(&json, "{\"arrayValue\":{\"values\":[");
    }
    assert_refused(SIGNAL_TRACES, buffer_text(&json), "nested deeper than");
    buffer_fini(&json);
}

static void a_full_buffer_is_too_large_and_left_as_it_was(void **state)
{
    (void)state;
    struct buffer out;
    char why[64];
    buffer_init(&out, 30);
    buffer_append_text(&out, "before");
    assert_int_equal(otlp_json_to_protobuf(SIGNAL_TRACES,
                                           BYTES_LITERAL(WITH_SPAN("\"name\":\"a name that is far "
                                                                   "longer than the buffer\"")),
                                           &out, why, sizeof why),
                     RESULT_TOO_LARGE);
    assert_true(bytes_equal_text(buffer_view(&out), "before"));
    assert_int_equal(buffer_status(&out), RESULT_OK);
    assert_non_null(strstr(why, "too large"));
    buffer_fini(&out);
}

// head, then as many of `element` as fit into the limit, then tail.
static void body_fill(struct buffer *json, const char *head, const char *element, const char *tail)
{
    size_t element_len = strlen(element);
    buffer_init(json, LIMIT_BYTES + 1024);
    buffer_append_text(json, head);
    while (json->len + 2 * element_len + 1 < LIMIT_BYTES) {
        buffer_append(json, element, element_len);
    }
    buffer_append(json, element, element_len - 1);  // without the comma
    buffer_append_text(json, tail);
}

// Peak memory of the conversion beside the body, from outside: the child's largest resident set.
static size_t peak_beside(struct bytes json, enum signal signal, enum result *result)
{
    int pipe_fds[2];
    struct rusage usage;
    int status = 0;
    long before = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct buffer out;
        char why[128];
        getrusage(RUSAGE_SELF, &usage);
        long at_start = usage.ru_maxrss;
        buffer_init(&out, (size_t)256 << 20);
        int code = (int)otlp_json_to_protobuf(signal, json, &out, why, sizeof why);
        bool sent = write(pipe_fds[1], &at_start, sizeof at_start) == sizeof at_start;
        _exit(sent ? code : 255);
    }
    assert_int_equal(read(pipe_fds[0], &before, sizeof before), sizeof before);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 255);
    *result = (enum result)WEXITSTATUS(status);
    return (size_t)(usage.ru_maxrss - before) * 1024;
}

static void the_worst_bodies_stay_within_three_times_their_size(void **state)
{
    (void)state;
    static const struct {
        enum signal signal;
        const char *head, *element, *tail;
        enum result result;
    } cases[] = {
        {SIGNAL_TRACES, "{\"resourceSpans\":[", "{},", "]}", RESULT_OK},
        {SIGNAL_TRACES, "{\"unknown\":[", "{},", "]}", RESULT_OK},
        {SIGNAL_TRACES, "{\"unknown\":[", "0,", "]}", RESULT_OK},
        {SIGNAL_TRACES, "{\"resourceSpans\":[", "0,", "]}", RESULT_REJECT},
        {SIGNAL_TRACES,
         "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"attributes\":[{\"value\":{"
         "\"arrayValue\":{\"values\":[",
         "{},", "]}}}]}]}]}]}", RESULT_OK},
        {SIGNAL_METRICS,
         "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"histogram\":{\"dataPoints\":[{"
         "\"bucketCounts\":[",
         "0,", "]}]}}]}]}]}", RESULT_TOO_LARGE},
        {SIGNAL_METRICS,
         "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"exponentialHistogram\":{"
         "\"dataPoints\":[{\"positive\":{\"bucketCounts\":[",
         "0,", "]}}]}}]}]}]}", RESULT_OK},
        {SIGNAL_TRACES, "{\"resourceSpans\":[{\"schemaUrl\":\"", "\\u0041\\\",", "\"}]}",
         RESULT_OK},
        {SIGNAL_TRACES, "{\"resourceSpans\":[{\"schemaUrl\":\"", "\\\"a,", "", RESULT_REJECT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer json;
        enum result result = RESULT_OK;
        body_fill(&json, cases[i].head, cases[i].element, cases[i].tail);
        size_t peak = peak_beside(buffer_view(&json), cases[i].signal, &result);
        assert_string_equal(result_label(result), result_label(cases[i].result));
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory
        if (peak > 2 * json.len + (1U << 20)) {
            fail_msg("case %zu: %zu bytes beside a body of %zu", i, peak, json.len);
        }
#endif
        (void)peak;
        buffer_fini(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_have_all_their_members),
        cmocka_unit_test(values_of_all_kinds_arrive),
        cmocka_unit_test(original_field_names_are_taken_too),
        cmocka_unit_test(unknown_names_and_null_are_passed_over),
        cmocka_unit_test(of_keys_that_come_twice_the_last_wins),
        cmocka_unit_test(enums_are_names_or_numbers),
        cmocka_unit_test(ids_of_a_wrong_length_cost_only_their_span),
        cmocka_unit_test(log_records_arrive),
        cmocka_unit_test(metrics_arrive_with_their_packed_numbers),
        cmocka_unit_test(exponential_histograms_have_signed_numbers),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(values_of_a_wrong_kind_are_refused),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(an_empty_object_is_an_empty_request),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_full_buffer_is_too_large_and_left_as_it_was),
        cmocka_unit_test(the_worst_bodies_stay_within_three_times_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
