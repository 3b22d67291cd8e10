// SPDX-License-Identifier: Apache-2.0
//
// What goes in comes out: the binary between an agent's requests and a backend, without a judge.
// Bytes are compared, never decoded values, because the promise is about bytes. Refused: counting
// alone. Bounds: those of the harness. One thread.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compression.h"
#include "proto/otlp_json.h"
#include "tests/sample_request.h"
#include "tests/scenario/harness.h"

static void recorded_traces_pass_byte_for_byte_as_protobuf_and_json(void **state)
{
    struct harness *harness = *state;
    for (int as_json = 0; as_json < 2; as_json++) {
        struct backend *backend = harness_backend(harness);
        harness_start_with(harness, backend, "evaluation: {hold: 300ms}", "evaluation");
        for (unsigned i = 0; i < HARNESS_TRACES; i++) {
            struct buffer json;
            struct buffer request;
            harness_trace_json(i, &json);
            harness_trace(i, &request);
            struct harness_reply reply =
                as_json ? harness_post(harness, "/v1/traces", "application/json", NULL,
                                       buffer_view(&json))
                        : harness_post(harness, "/v1/traces", "application/x-protobuf", NULL,
                                       buffer_view(&request));
            assert_int_equal(reply.status, 200);
            assert_string_equal(reply.content_type,
                                as_json ? "application/json" : "application/x-protobuf");
            buffer_fini(&json);
            buffer_fini(&request);
        }
        harness_stop(harness);
        for (unsigned i = 0; i < HARNESS_TRACES; i++) {
            struct buffer request;
            harness_trace(i, &request);
            harness_spans_arrived(harness, backend, buffer_view(&request));
            buffer_fini(&request);
        }
    }
}

static void held_spans_arrive_scored_by_the_deterministic_evaluators(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    unsigned scored = 0;
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    for (unsigned i = 0; i < HARNESS_TRACES; i++) {
        struct buffer request;
        harness_trace(i, &request);
        harness_send(harness, buffer_view(&request));
        buffer_fini(&request);
    }
    harness_turn(harness, 2500);  // linger is a second; nothing tells the end of ten traces
    harness_stop(harness);
    for (unsigned i = 0; i < HARNESS_TRACES; i++) {
        struct buffer request;
        harness_trace(i, &request);
        scored += harness_spans_arrived(harness, backend, buffer_view(&request));
        buffer_fini(&request);
    }
    assert_in_range(scored, HARNESS_TRACES, 2 * HARNESS_TRACES);
}

static void spans_are_forwarded_without_any_processor(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    harness_start_with(harness, backend, "", "");
    harness_trace(0, &request);
    harness_send(harness, buffer_view(&request));
    harness_stop(harness);
    assert_int_equal(harness_spans_arrived(harness, backend, buffer_view(&request)), 0);
    buffer_fini(&request);
}

struct comparing {
    struct bytes item;
    unsigned equal;
};

static bool item_compare(void *arg, const struct backend_item *item)
{
    struct comparing *comparing = arg;
    comparing->equal += bytes_equal(item->view.item, comparing->item);
    return true;
}

static bool item_is_there(void *arg, const struct item_view *view)
{
    struct comparing comparing = {view->item, 0};
    backend_each(arg, view->signal, item_compare, &comparing);
    assert_true(comparing.equal > 0);
    return true;
}

static void logs_and_metrics_pass_bit_for_bit(void **state)
{
    static const struct {
        enum signal signal;
        const char *path;
    } rows[] = {{SIGNAL_LOGS, "/v1/logs"}, {SIGNAL_METRICS, "/v1/metrics"}};
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct random random;
    struct buffer requests[2];
    const struct sample_options options = {.has_unknown_fields = true};
    random_seed(&random, 4711);
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    for (size_t i = 0; i < 2; i++) {
        buffer_init(&requests[i], (size_t)1 << 20);
        while (requests[i].len < 2000) {
            buffer_reset(&requests[i]);
            sample_request(&requests[i], rows[i].signal, &random, &options);
        }
        assert_int_equal(harness_post(harness, rows[i].path, "application/x-protobuf", NULL,
                                      buffer_view(&requests[i]))
                             .status,
                         200);
    }
    harness_stop(harness);
    for (size_t i = 0; i < 2; i++) {
        struct scan_report report;
        assert_int_equal(scan_request(rows[i].signal, buffer_view(&requests[i]), 0, item_is_there,
                                      backend, &report),
                         RESULT_OK);
        assert_int_equal(backend_items(backend, rows[i].signal), report.item_count);
        buffer_fini(&requests[i]);
    }
}

static void one_bad_span_is_refused_and_the_others_arrive(void **state)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":["
        "{\"traceId\":\"5cec0000000000000000000000000001\",\"spanId\":\"5cec000000000001\","
        "\"name\":\"good one\"},"
        "{\"traceId\":\"5cec00\",\"spanId\":\"5cec000000000002\",\"name\":\"bad one\"},"
        "{\"traceId\":\"5cec0000000000000000000000000001\",\"spanId\":\"5cec000000000003\","
        "\"name\":\"good two\"}]}]}]}";
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    struct harness_reply reply =
        harness_post(harness, "/v1/traces", "application/json", NULL, bytes_from_text(json));
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "partialSuccess"));
    assert_non_null(strstr(reply.body, "\"rejectedSpans\":\"1\""));
    assert_non_null(strstr(reply.body, "bad one"));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 2);
    assert_true(harness_metric(harness, "otelcol_receiver_accepted_spans", "") == 2);
    harness_stop(harness);
}

static void malformed_requests_are_refused_and_the_next_one_is_served(void **state)
{
    static const struct {
        const char *type, *body;
        size_t len;
        int status;
    } rows[] = {
        {"application/x-protobuf", "\x0a\xff\xff\xff\xff\x7f", 6, 400},
        {"application/json", "{\"resourceSpans\": [", 19, 400},
        {"application/json", "[]", 2, 400},
        {"text/plain", "hello", 5, 415},
    };
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct harness_reply reply = harness_post(harness, "/v1/traces", rows[i].type, NULL,
                                                  bytes_from(rows[i].body, rows[i].len));
        assert_int_equal(reply.status, rows[i].status);
    }
    assert_int_equal(harness_post(harness, "/v1/traces", "application/x-protobuf", "gzip",
                                  BYTES_LITERAL("no gzip"))
                         .status,
                     400);
    harness_span(&request, 1, "still served");
    harness_send(harness, buffer_view(&request));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1);
    harness_stop(harness);
    buffer_fini(&request);
}

static void several_pipelines_on_one_receiver_each_get_everything(void **state)
{
    struct harness *harness = *state;
    struct backend *first = harness_backend(harness);
    struct backend *second = harness_backend(harness);
    struct buffer request;
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "processors: {evaluation: , sidejudge_test: {append_key: seen, "
                       "append_value: by second}}\n"
                       "exporters:\n  otlp_http/1: {endpoint: \"%s\"}\n"
                       "  otlp_http/2: {endpoint: \"%s\"}\n"
                       "service:\n  pipelines:\n"
                       "    traces/1: {receivers: [otlp], exporters: [otlp_http/1]}\n"
                       "    traces/2: {receivers: [otlp], processors: [sidejudge_test], "
                       "exporters: [otlp_http/2]}\n",
                       backend_url(first), backend_url(second));
    harness_span(&request, 1, "twice");
    harness_send(harness, buffer_view(&request));
    harness_wait_items(harness, first, SIGNAL_TRACES, 1);
    harness_wait_items(harness, second, SIGNAL_TRACES, 1);
    harness_stop(harness);
    assert_int_equal(harness_spans_arrived(harness, first, buffer_view(&request)), 0);
    buffer_fini(&request);
}

static void one_exporter_down_does_not_keep_spans_from_the_other(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters:\n  otlp_http/up: {endpoint: \"%s\"}\n"
                       "  otlp_http/down: {endpoint: \"http://127.0.0.1:%u\", sending_queue: "
                       "{sizer: bytes, queue_size: 4000}, retry_on_failure: "
                       "{initial_interval: 100ms}}\n"
                       "service:\n  pipelines:\n"
                       "    traces: {receivers: [otlp], exporters: [otlp_http/up, "
                       "otlp_http/down]}\n",
                       backend_url(backend), harness_free_port());
    for (unsigned i = 0; i < 200; i++) {
        struct buffer request;
        harness_span(&request, i, "for the one that is up");
        harness_send(harness, buffer_view(&request));
        buffer_fini(&request);
    }
    harness_wait_items(harness, backend, SIGNAL_TRACES, 200);
    assert_true(harness_metric(harness, "otelcol_exporter_sent_spans", "otlp_http/up") == 200);
    assert_true(harness_metric(harness, "otelcol_exporter_enqueue_failed_spans", "otlp_http/down") >
                0);
    harness_stop(harness);
}

static void a_full_queue_refuses_with_503_and_retry_after(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    backend_answer(backend, 503, 1);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters: {otlp_http: {endpoint: \"%s\", sending_queue: {sizer: bytes, "
                       "queue_size: 4000}, retry_on_failure: {initial_interval: 50ms}}}\n"
                       "service:\n  pipelines:\n"
                       "    traces: {receivers: [otlp], exporters: [otlp_http]}\n",
                       backend_url(backend));
    unsigned accepted = 0;
    struct harness_reply reply = {.status = 200};
    while (reply.status == 200) {
        struct buffer request;
        assert_true(accepted < 100);
        harness_span(&request, accepted, "queued");
        reply = harness_post(harness, "/v1/traces", "application/x-protobuf", NULL,
                             buffer_view(&request));
        accepted += reply.status == 200;
        buffer_fini(&request);
    }
    assert_int_equal(reply.status, 503);
    assert_true(reply.has_retry_after);
    assert_true(accepted > 0);
    backend_answer(backend, 200, 0);
    harness_wait_items(harness, backend, SIGNAL_TRACES, accepted);
    harness_stop(harness);
}

static void sigterm_drains_everything_that_was_acknowledged(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    for (unsigned i = 0; i < HARNESS_TRACES; i++) {
        struct buffer request;
        harness_trace(i, &request);
        harness_send(harness, buffer_view(&request));
        buffer_fini(&request);
    }
    harness_stop(harness);  // targets are still held: linger is a second
    for (unsigned i = 0; i < HARNESS_TRACES; i++) {
        struct buffer request;
        harness_trace(i, &request);
        harness_spans_arrived(harness, backend, buffer_view(&request));
        buffer_fini(&request);
    }
}

static void sigterm_under_load_drains_what_waits_in_every_stage(void **state)
{
    enum { REQUESTS = 60, AGENTS = 50 };
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer requests[REQUESTS];
    harness_start_with(harness, backend, "evaluation: {hold: 4s}, sidejudge_test: {delay: 400ms}",
                       "sidejudge_test, evaluation");
    for (unsigned i = 0; i < REQUESTS; i++) {
        harness_agents(&requests[i], i * AGENTS, AGENTS);
        harness_send(harness, buffer_view(&requests[i]));
    }
    harness_stop(harness);
    assert_int_equal(backend_items(backend, SIGNAL_TRACES), REQUESTS * AGENTS);
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (i % 20 == 0) {
            harness_spans_arrived(harness, backend, buffer_view(&requests[i]));
        }
        buffer_fini(&requests[i]);
    }
}

static void spans_go_out_over_grpc_in_both_encodings(void **state)
{
    static const char *const codecs[] = {"none", "gzip"};
    struct harness *harness = *state;
    for (size_t c = 0; c < 2; c++) {
        struct backend *backend = harness_backend(harness);
        harness_start_yaml(harness,
                           "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                           "processors: {evaluation: {hold: 300ms, completion: {linger: 100ms}}}\n"
                           "exporters: {otlp_grpc: {endpoint: \"127.0.0.1:%u\", tls: {insecure: "
                           "true}, compression: %s, headers: {x-scenario: here}}}\n"
                           "service: {pipelines: {traces: {receivers: [otlp], processors: "
                           "[evaluation], exporters: [otlp_grpc]}}}\n",
                           backend_port(backend), codecs[c]);
        for (unsigned i = 0; i < HARNESS_TRACES; i++) {
            struct buffer request;
            harness_trace(i, &request);
            harness_send(harness, buffer_view(&request));
            buffer_fini(&request);
        }
        harness_stop(harness);
        for (unsigned i = 0; i < HARNESS_TRACES; i++) {
            struct buffer request;
            harness_trace(i, &request);
            harness_spans_arrived(harness, backend, buffer_view(&request));
            buffer_fini(&request);
        }
        assert_string_equal(backend_header(backend, "x-scenario"), "here");
        assert_int_equal(backend_packed_requests(backend) > 0, c == 1);
    }
}

static void second_sigterm_stops_at_once(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    backend_answer(backend, 503, 30);
    harness_start_with(harness, backend, "", "");
    harness_span(&request, 1, "cannot be delivered");
    harness_send(harness, buffer_view(&request));
    harness_signal(harness, SIGTERM);
    harness_wait_said(harness, "draining");
    harness_turn(harness, 100);
    uint64_t from_ns = clock_mono_ns();
    harness_signal(harness, SIGTERM);
    assert_int_equal(harness_wait_end(harness), 1);
    assert_true(clock_mono_ns() - from_ns < 3 * NS_PER_S);  // the drain would take five
    assert_true(harness_said(harness, "second signal"));
    harness_sanitizers_are_silent(harness);
    buffer_fini(&request);
}

// Starts with its own receiver as the endpoint, under the name `host`.
static void start_in_a_circle(struct harness *harness, const char *host)
{
    uint16_t port = harness_free_port();
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}\n"
                       "exporters: {otlp_http: {endpoint: \"http://%s:%u\"}}\n"
                       "service:\n  pipelines:\n"
                       "    traces: {receivers: [otlp], exporters: [otlp_http]}\n",
                       port, host, port);
}

static void own_receiver_as_endpoint_is_refused_by_name(void **state)
{
    struct harness *harness = *state;
    struct buffer request;
    start_in_a_circle(harness, "localhost");
    harness_wait_said(harness, "one of Sidejudge's own listeners");
    harness_span(&request, 1, "has nowhere to go");
    struct harness_reply reply =
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL, buffer_view(&request));
    assert_int_equal(reply.status, 503);
    assert_true(reply.has_retry_after);
    harness_stop(harness);
    buffer_fini(&request);
}

static void own_receiver_under_another_name_is_cut_by_the_hop_header(void **state)
{
    struct harness *harness = *state;
    struct buffer request;
    start_in_a_circle(harness, "[::ffff:127.0.0.1]");
    harness_span(&request, 1, "goes round once");
    harness_send(harness, buffer_view(&request));
    harness_wait_said(harness, "came back to the process that sent it");
    harness_turn(harness, 1500);
    assert_true(harness_metric(harness, "otelcol_receiver_accepted_spans", "") <= 2);
    harness_stop(harness);
    buffer_fini(&request);
}

static void backend_paths_of_other_sdks_are_served(void **state)
{
    static const char *const paths[] = {"/api/public/otel/v1/traces", "/otel/v1/traces",
                                        "/api/otel/v1/traces", "/api/v1/private/otel/v1/traces"};
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    harness_start_with(harness, backend, "", "");
    for (unsigned i = 0; i < 4; i++) {
        struct buffer request;
        harness_span(&request, i, "another path");
        assert_int_equal(
            harness_post(harness, paths[i], "application/x-protobuf", NULL, buffer_view(&request))
                .status,
            200);
        buffer_fini(&request);
    }
    assert_int_equal(
        harness_post(harness, "/v1/nothing", "application/x-protobuf", NULL, BYTES_NONE).status,
        404);
    harness_wait_items(harness, backend, SIGNAL_TRACES, 4);
    harness_stop(harness);
}

static void compressed_requests_leave_in_their_own_compressed_bytes(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    struct buffer packed;
    struct compressor *compressor = compressor_new();
    buffer_init(&request, (size_t)1 << 20);
    buffer_init(&packed, (size_t)1 << 20);
    sample_small_spans(&request, 200, 42);
    struct bytes part = buffer_view(&request);
    assert_int_equal(codec_deflate(compressor, CODEC_GZIP, &part, 1, &packed), RESULT_OK);
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    assert_int_equal(
        harness_post(harness, "/v1/traces", "application/x-protobuf", "gzip", buffer_view(&packed))
            .status,
        200);
    harness_wait_items(harness, backend, SIGNAL_TRACES, 200);
    assert_int_equal(backend_packed_requests(backend), 1);
    harness_stop(harness);
    harness_spans_arrived(harness, backend, buffer_view(&request));
    compressor_free(compressor);
    buffer_fini(&packed);
    buffer_fini(&request);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(recorded_traces_pass_byte_for_byte_as_protobuf_and_json),
        TEST(held_spans_arrive_scored_by_the_deterministic_evaluators),
        TEST(spans_are_forwarded_without_any_processor),
        TEST(logs_and_metrics_pass_bit_for_bit),
        TEST(one_bad_span_is_refused_and_the_others_arrive),
        TEST(malformed_requests_are_refused_and_the_next_one_is_served),
        TEST(several_pipelines_on_one_receiver_each_get_everything),
        TEST(one_exporter_down_does_not_keep_spans_from_the_other),
        TEST(a_full_queue_refuses_with_503_and_retry_after),
        TEST(sigterm_drains_everything_that_was_acknowledged),
        TEST(sigterm_under_load_drains_what_waits_in_every_stage),
        TEST(spans_go_out_over_grpc_in_both_encodings),
        TEST(second_sigterm_stops_at_once),
        TEST(own_receiver_as_endpoint_is_refused_by_name),
        TEST(own_receiver_under_another_name_is_cut_by_the_hop_header),
        TEST(backend_paths_of_other_sdks_are_served),
        TEST(compressed_requests_leave_in_their_own_compressed_bytes),
    };
    return cmocka_run_group_tests_name("forwarding", tests, NULL, NULL);
}
