// SPDX-License-Identifier: Apache-2.0
//
// What an export request is answered, over HTTP and gRPC, against the real receiver: media types,
// codings, paths, limits, partial success, refusals, hops, health.
#include "receiver/otlp_export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compression.h"
#include "base/metrics.h"
#include "base/process.h"
#include "proto/base64.h"
#include "proto/otlp_status.h"
#include "tests/unit/otlp_peer.h"

#define BOTH_YAML                                                                                  \
    "{protocols: {grpc: {endpoint: 'localhost:0'}, http: {endpoint: 'localhost:0'}}}"
#define ALL_SIGNALS 7u
#define TRACE_CALL  "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define PROTOBUF    "Content-Type: application/x-protobuf\r\n"
#define JSON        "Content-Type: application/json\r\n"

static struct peer peer;
static struct buffer request;

static int set_up(void **state)
{
    (void)state;
    peer_start(&peer, BOTH_YAML, ALL_SIGNALS, 0);
    buffer_init(&request, 64 << 20);
    make_request(&request, 3, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&request);
    peer_stop(&peer);
    return 0;
}

// Status of one post; the body is compared when `expected` is not NULL.
static int post(const char *path, const char *fields, struct bytes body, const char *expected)
{
    struct http_reply reply = http_once(peer.http_port, path, fields, body);
    if (expected) {
        assert_string_equal(buffer_text(&reply.body), expected);
    }
    buffer_fini(&reply.body);
    return reply.status;
}

static struct grpc_reply call(const char *path, const struct grpc_field *fields, size_t count,
                              bool is_packed, struct bytes message)
{
    struct grpc_reply reply;
    struct buffer wire;
    buffer_init(&wire, 64 << 20);
    grpc_frame_message(&wire, is_packed, message);
    struct grpc_client *client = grpc_open(stream_open(peer.grpc_port));
    assert_true(grpc_call(client, path, fields, count, buffer_view(&wire), &reply));
    grpc_close(&client);
    buffer_fini(&wire);
    return reply;
}

static struct buffer packed(enum codec codec, struct bytes plain)
{
    struct buffer out;
    struct compressor *compressor = compressor_new();
    buffer_init(&out, 64 << 20);
    assert_int_equal(codec_deflate(compressor, codec, &plain, 1, &out), RESULT_OK);
    compressor_free(compressor);
    return out;
}

static void success_is_empty_in_each_encoding(void **state)
{
    (void)state;
    struct http_reply reply = http_once(peer.http_port, "/v1/traces", PROTOBUF,
                                        buffer_view(&request));
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, 0);
    assert_non_null(strstr(reply.head, "Content-Type: application/x-protobuf\r\n"));
    buffer_fini(&reply.body);
    assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
    assert_int_equal(post("/v1/traces", JSON, BYTES_LITERAL("{\"resourceSpans\":[{}]}"),
                          "{\"partialSuccess\":{}}"), 200);
    struct grpc_reply grpc = call(TRACE_CALL, NULL, 0, false, buffer_view(&request));
    assert_int_equal(grpc.http_status, 200);
    assert_int_equal(grpc.grpc_status, 0);
    assert_int_equal(grpc.body_len, 5);
    assert_memory_equal(grpc.body, "\0\0\0\0\0", 5);
    assert_int_equal(atomic_load(&peer.fake.offers), 3);
}

static void each_signal_has_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum signal signal;
        bool is_grpc;
    } rows[] = {
        {"/v1/traces", SIGNAL_TRACES, false},
        {"/v1/metrics", SIGNAL_METRICS, false},
        {"/v1/logs", SIGNAL_LOGS, false},
        {"/api/public/otel/v1/traces", SIGNAL_TRACES, false},
        {"/otel/v1/traces", SIGNAL_TRACES, false},
        {"/api/otel/v1/traces", SIGNAL_TRACES, false},
        {"/api/v1/private/otel/v1/traces", SIGNAL_TRACES, false},
        {TRACE_CALL, SIGNAL_TRACES, true},
        {"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", SIGNAL_METRICS, true},
        {"/opentelemetry.proto.collector.logs.v1.LogsService/Export", SIGNAL_LOGS, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        peer.fake.last_signal = SIGNAL_OTLP_COUNT;
        if (rows[i].is_grpc) {
            assert_int_equal(call(rows[i].path, NULL, 0, false, buffer_view(&request)).grpc_status,
                             0);
        } else {
            assert_int_equal(post(rows[i].path, PROTOBUF, buffer_view(&request), NULL), 200);
        }
        assert_int_equal(peer.fake.last_signal, rows[i].signal);
    }
}

static void either_protocol_works_on_either_port(void **state)
{
    (void)state;
    struct http_reply reply = http_once(peer.grpc_port, "/v1/traces", PROTOBUF,
                                        buffer_view(&request));
    assert_int_equal(reply.status, 200);
    buffer_fini(&reply.body);
    peer.grpc_port = peer.http_port;
    assert_int_equal(call(TRACE_CALL, NULL, 0, false, buffer_view(&request)).grpc_status, 0);
}

static void heads_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *fields;
        int status;
        const char *body;
    } rows[] = {
        {"/v1/traces", "", 415,
         "415 unsupported media type, supported: [application/json, application/x-protobuf]"},
        {"/v1/traces", "Content-Type: text/plain\r\n", 415, NULL},
        {"/v1/traces", "Content-Type: application/jsonx\r\n", 415, NULL},
        {"/v1/traces", "Content-Type: application/grpc\r\n", 415, NULL},
        {"/v1/traces", "Content-Type: Application/JSON; charset=utf-8\r\n", 400, NULL},
        {"/v1/traces", JSON "Content-Encoding: br\r\n", 415,
         "{\"code\":12,\"message\":\"unsupported Content-Encoding: br\"}"},
        {"/v1/traces", PROTOBUF "Content-Encoding: gzip, gzip\r\n", 415, NULL},
        {"/v1/traces", PROTOBUF "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", 415, NULL},
        {"/v1/traces", PROTOBUF "Content-Encoding: snappy\r\n", 415, NULL},
        {"/v1/traces/", PROTOBUF, 404, NULL},
        {"/v1/profiles", PROTOBUF, 404, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(post(rows[i].path, rows[i].fields, BYTES_LITERAL("{"), rows[i].body),
                         rows[i].status);
    }
    struct stream stream = stream_open(peer.http_port);
    struct http_reply reply;
    static const char get[] = "GET /v1/traces HTTP/1.1\r\nHost: h\r\n\r\n";
    stream_put(&stream, get, sizeof get - 1);
    http_read(&stream, &reply);
    assert_int_equal(reply.status, 405);
    assert_non_null(strstr(reply.head, "Allow: POST\r\n"));
    assert_string_equal(buffer_text(&reply.body), "405 method not allowed, supported: [POST]");
    buffer_fini(&reply.body);
    stream_close(&stream);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
}

static void unknown_grpc_encoding_names_the_known_ones(void **state)
{
    (void)state;
    const struct grpc_field fields[] = {{"grpc-encoding", "br"}};
    struct grpc_reply reply = call(TRACE_CALL, fields, 1, true, buffer_view(&request));
    assert_int_equal(reply.grpc_status, 12);
    assert_non_null(strstr(reply.message, "grpc-encoding \"br\""));
    assert_string_equal(reply.accept, "identity,gzip,deflate,zstd");
    reply = call(TRACE_CALL, NULL, 0, true, buffer_view(&request));
    assert_int_equal(reply.grpc_status, 13);  // flag without encoding
}

static void codings_are_undone_and_kept_beside(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD};
    for (size_t i = 0; i < 3; i++) {
        char fields[128];
        struct buffer body = packed(codecs[i], buffer_view(&request));
        snprintf(fields, sizeof fields, PROTOBUF "Content-Encoding: %s\r\n", codec_name(codecs[i]));
        assert_int_equal(post("/v1/traces", fields, buffer_view(&body), NULL), 200);
        assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
        assert_int_equal(peer.fake.last_codec, codecs[i]);
        assert_int_equal(peer.fake.last_packed_bytes, body.len);
        buffer_reset(&peer.fake.last_body);
        const struct grpc_field encoding[] = {{"grpc-encoding", codec_name(codecs[i])}};
        assert_int_equal(call(TRACE_CALL, encoding, 1, true, buffer_view(&body)).grpc_status, 0);
        assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
        // The encoding is announced, but this message came without.
        assert_int_equal(call(TRACE_CALL, encoding, 1, false, buffer_view(&request)).grpc_status,
                         0);
        assert_int_equal(peer.fake.last_codec, CODEC_NONE);
        buffer_fini(&body);
    }
}

static void json_is_transcoded_and_not_kept(void **state)
{
    (void)state;
    static const char json[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"chat\"}]}]}]}";
    struct buffer body = packed(CODEC_GZIP, bytes_from_text(json));
    assert_int_equal(post("/v1/traces", JSON "Content-Encoding: gzip\r\n", buffer_view(&body),
                          "{\"partialSuccess\":{}}"), 200);
    assert_int_equal(peer.fake.last_packed_bytes, 0);
    assert_true(bytes_find(buffer_view(&peer.fake.last_body), BYTES_LITERAL("chat"), 0) !=
                SIZE_MAX);
    buffer_fini(&body);
}

static void empty_requests_succeed_without_an_offer(void **state)
{
    (void)state;
    assert_int_equal(post("/v1/traces", PROTOBUF, BYTES_NONE, ""), 200);
    assert_int_equal(post("/v1/traces", JSON, BYTES_LITERAL("{}"), "{\"partialSuccess\":{}}"), 200);
    assert_int_equal(call(TRACE_CALL, NULL, 0, false, BYTES_NONE).grpc_status, 0);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
    assert_int_equal(post("/v1/traces", JSON, BYTES_NONE, NULL), 400);
}

static void malformed_bodies_are_400_with_a_status(void **state)
{
    (void)state;
    struct http_reply reply = http_once(peer.http_port, "/v1/traces", JSON,
                                        BYTES_LITERAL("{\"resourceSpans\":[{\"scopeSpans\":7}]}"));
    assert_int_equal(reply.status, 400);
    assert_non_null(strstr(reply.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(buffer_text(&reply.body), "\"code\":3"));
    assert_non_null(strstr(buffer_text(&reply.body), "resourceSpans[0]"));
    buffer_fini(&reply.body);
    peer.fake.result = RESULT_REJECT;
    snprintf(peer.fake.reply.message, sizeof peer.fake.reply.message, "bad span");
    reply = http_once(peer.http_port, "/v1/traces", PROTOBUF, buffer_view(&request));
    assert_int_equal(reply.status, 400);
    struct otlp_refusal refusal;
    assert_int_equal(otlp_refusal_read(OTLP_PROTOBUF, buffer_view(&reply.body), &refusal),
                     RESULT_OK);
    assert_int_equal(refusal.code, 3);
    assert_string_equal(refusal.message, "bad span");
    buffer_fini(&reply.body);
    struct grpc_reply grpc = call(TRACE_CALL, NULL, 0, false, buffer_view(&request));
    assert_int_equal(grpc.grpc_status, 3);
    assert_string_equal(grpc.message, "bad span");
}

static void overload_says_when_to_come_again(void **state)
{
    (void)state;
    struct otlp_refusal refusal;
    struct buffer details;
    peer.fake.result = RESULT_SHED;
    peer.fake.reply.retry_after_s = 7;
    struct http_reply reply = http_once(peer.http_port, "/v1/traces", PROTOBUF,
                                        buffer_view(&request));
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.head, "Retry-After: 7\r\n"));
    assert_int_equal(otlp_refusal_read(OTLP_PROTOBUF, buffer_view(&reply.body), &refusal),
                     RESULT_OK);
    assert_int_equal(refusal.code, 14);
    assert_true(refusal.has_retry_delay);
    assert_int_equal(refusal.retry_delay_ms, 7000);
    buffer_fini(&reply.body);
    struct grpc_reply grpc = call(TRACE_CALL, NULL, 0, false, buffer_view(&request));
    assert_int_equal(grpc.grpc_status, 14);
    buffer_init(&details, 4096);
    assert_true(base64_decode(bytes_from_text(grpc.details), &details));
    assert_int_equal(otlp_refusal_read(OTLP_PROTOBUF, buffer_view(&details), &refusal), RESULT_OK);
    assert_int_equal(refusal.retry_delay_ms, 7000);
    buffer_fini(&details);
}

static void partial_success_says_how_many_and_why(void **state)
{
    (void)state;
    struct otlp_partial partial;
    peer.fake.reply.rejected_count = 2;
    snprintf(peer.fake.reply.message, sizeof peer.fake.reply.message, "span \"x\": trace_id");
    assert_int_equal(post("/v1/traces", JSON, BYTES_LITERAL("{\"resourceSpans\":[{}]}"),
                          "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":"
                          "\"span \\\"x\\\": trace_id\"}}"), 200);
    struct grpc_reply reply = call(TRACE_CALL, NULL, 0, false, buffer_view(&request));
    assert_int_equal(reply.grpc_status, 0);
    assert_int_equal(otlp_response_read(OTLP_PROTOBUF, SIGNAL_TRACES,
                                        bytes_from(reply.body + 5, reply.body_len - 5), &partial),
                     RESULT_OK);
    assert_int_equal(partial.rejected_count, 2);
}

static void request_that_came_back_is_not_forwarded(void **state)
{
    (void)state;
    char fields[160], id[40];
    unsigned long long own = process_instance_id();
    snprintf(fields, sizeof fields, JSON "Sidejudge-Hop: 00000000000000aa, %016llX\r\n", own);
    struct http_reply reply = http_once(peer.http_port, "/v1/traces", fields,
                                        BYTES_LITERAL("{\"resourceSpans\":[{}]}"));
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(buffer_text(&reply.body), "came back"));
    buffer_fini(&reply.body);
    snprintf(id, sizeof id, "%016llx", own);
    const struct grpc_field hop[] = {{"sidejudge-hop", id}};
    struct grpc_reply grpc = call(TRACE_CALL, hop, 1, false, buffer_view(&request));
    assert_int_equal(grpc.grpc_status, 0);
    assert_true(grpc.body_len > 5);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
    const struct grpc_field other[] = {{"sidejudge-hop", "00000000000000aa"}};
    assert_int_equal(call(TRACE_CALL, other, 1, false, buffer_view(&request)).body_len, 5);
    assert_int_equal(atomic_load(&peer.fake.offers), 1);
}

static void signal_without_a_pipeline_is_unknown(void **state)
{
    (void)state;
    peer_stop(&peer);
    peer_start(&peer, BOTH_YAML, 1u << SIGNAL_LOGS, 0);
    assert_int_equal(post("/v1/traces", PROTOBUF, buffer_view(&request), "404 page not found\n"),
                     404);
    struct grpc_reply reply = call(TRACE_CALL, NULL, 0, false, buffer_view(&request));
    assert_int_equal(reply.grpc_status, 12);
    assert_string_equal(reply.message,
                        "unknown service opentelemetry.proto.collector.trace.v1.TraceService");
    assert_int_equal(post("/v1/logs", PROTOBUF, buffer_view(&request), NULL), 200);
}

static void configured_limits_and_paths_hold(void **state)
{
    (void)state;
    peer_stop(&peer);
    peer_start(&peer,
               "{protocols: {grpc: {endpoint: 'localhost:0', max_recv_msg_size_mib: 1}, http: "
               "{endpoint: 'localhost:0', max_request_body_size: 1000, traces_url_path: spans}}}",
               ALL_SIGNALS, 0);
    assert_int_equal(post("/spans", PROTOBUF, buffer_view(&request), NULL), 200);
    assert_int_equal(post("/v1/traces", PROTOBUF, buffer_view(&request), NULL), 404);
    buffer_reset(&request);
    make_request(&request, 1, 1 << 20);
    struct http_reply reply = http_once(peer.http_port, "/spans", JSON, buffer_view(&request));
    assert_int_equal(reply.status, 413);
    assert_string_equal(buffer_text(&reply.body),
                        "{\"code\":8,\"message\":\"request body too large\"}");
    buffer_fini(&reply.body);
    struct grpc_reply grpc = call(TRACE_CALL, NULL, 0, false, buffer_view(&request));
    assert_int_equal(grpc.grpc_status, 8);
    assert_non_null(strstr(grpc.message, "grpc: received message larger than max ("));
    struct buffer body = packed(CODEC_GZIP, buffer_view(&request));  // small, and inflates to 1 MiB
    assert_int_equal(post("/spans", PROTOBUF "Content-Encoding: gzip\r\n",
                          bytes_slice(buffer_view(&body), 0, 900), NULL), 413);
    const struct grpc_field gzip[] = {{"grpc-encoding", "gzip"}};
    assert_int_equal(call(TRACE_CALL, gzip, 1, true, buffer_view(&body)).grpc_status, 8);
    buffer_fini(&body);
    assert_int_equal(atomic_load(&peer.fake.offers), 1);
}

static void requests_are_counted(void **state)
{
    (void)state;
    double accepted = metrics_sum("otelcol_receiver_accepted_spans");
    double refused = metrics_sum("otelcol_receiver_refused_spans");
    double requests = metrics_sum("sidejudge_receiver_requests_total");
    assert_int_equal(post("/v1/traces", PROTOBUF, buffer_view(&request), NULL), 200);
    assert_true(metrics_sum("otelcol_receiver_accepted_spans") == accepted + 3);
    peer.fake.result = RESULT_SHED;
    assert_int_equal(post("/v1/traces", PROTOBUF, buffer_view(&request), NULL), 503);
    assert_true(metrics_sum("otelcol_receiver_refused_spans") == refused + 3);
    assert_true(metrics_sum("sidejudge_receiver_requests_total") == requests + 2);
    struct buffer text;
    buffer_init(&text, 1 << 20);
    metrics_write(&text);
    assert_non_null(strstr(buffer_text(&text), "transport=\"http\""));
    buffer_fini(&text);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(success_is_empty_in_each_encoding),
        ROW(each_signal_has_its_path),
        ROW(either_protocol_works_on_either_port),
        ROW(heads_that_do_not_fit_are_refused),
        ROW(unknown_grpc_encoding_names_the_known_ones),
        ROW(codings_are_undone_and_kept_beside),
        ROW(json_is_transcoded_and_not_kept),
        ROW(empty_requests_succeed_without_an_offer),
        ROW(malformed_bodies_are_400_with_a_status),
        ROW(overload_says_when_to_come_again),
        ROW(partial_success_says_how_many_and_why),
        ROW(request_that_came_back_is_not_forwarded),
        ROW(signal_without_a_pipeline_is_unknown),
        ROW(configured_limits_and_paths_hold),
        ROW(requests_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
