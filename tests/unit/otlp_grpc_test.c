// SPDX-License-Identifier: Apache-2.0
// The exporter otlp_grpc against a scripted gRPC server on loopback: what is sent, and what it does
// with every kind of status.
#include "exporter/otlp_grpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "proto/otlp_status.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/scripted_grpc.h"

#define SPANS_MAX 4096
static const struct exporter_ops *const ops = &otlp_grpc_exporter;

struct stage {
    struct scripted_grpc *server;
    struct exporter *exporter;
    scripted_grpc_fn answer;
    uint32_t accepted[SPANS_MAX];
    size_t message_bytes[256];
    uint64_t at_ns[256];
    size_t limit;
    struct buffer details;
    char hop[32], agent[128], custom[64];
    int64_t time_left_ms;
    enum signal signal;
};

static void answer(void *arg, const struct scripted_call *call, struct scripted_status *status)
{
    struct stage *stage = arg;
    stage->answer(stage, call, status);
    snprintf(stage->hop, sizeof(stage->hop), "%.*s",
             BYTES_PRINTF(scripted_metadata(call, "sidejudge-hop")));
    snprintf(stage->agent, sizeof(stage->agent), "%.*s",
             BYTES_PRINTF(scripted_metadata(call, "user-agent")));
    snprintf(stage->custom, sizeof(stage->custom), "%.*s",
             BYTES_PRINTF(scripted_metadata(call, "x-custom")));
    stage->time_left_ms = call->time_left_ms;
    stage->message_bytes[call->index % 256] = call->message.len;
    stage->at_ns[call->index % 256] = clock_mono_ns();
    stage->signal = call->signal;
    if (call->signal == SIGNAL_TRACES && status->code == 0 && !status->hang &&
        !sample_mark(call->message, stage->accepted, SPANS_MAX)) {
        abort();
    }
}

static const char quick_retry[] = "retry_on_failure: {initial_interval: 10ms, max_interval: 20ms, "
                                  "max_elapsed_time: 20s}";

static void stage_open(struct stage *stage, scripted_grpc_fn fn, const char *more)
{
    char yaml[2048], why[512] = "";
    memset(stage, 0, sizeof(*stage));
    buffer_init(&stage->details, 4096);
    stage->answer = fn;
    stage->server = scripted_grpc_start(answer, stage, NULL);
    snprintf(yaml, sizeof(yaml), "endpoint: 127.0.0.1:%u\ntls: {insecure: true}\n%s\n",
             scripted_grpc_port(stage->server), more);
    stage->exporter = sample_start(ops, "otlp_grpc/test", yaml, why, sizeof(why));
    if (stage->exporter == NULL) {
        print_error("%s\n", why);
    }
    assert_non_null(stage->exporter);
}

static void stage_status(struct stage *stage, struct exporter_status *status)
{
    ops->drain(stage->exporter, clock_mono_ns() + 20 * NS_PER_S);
    ops->status(stage->exporter, status);
    assert_int_equal(status->queue_bytes, 0);
}

static void stage_close(struct stage *stage)
{
    ops->free(&stage->exporter);
    scripted_grpc_stop(&stage->server);
    buffer_fini(&stage->details);
}

static void fine(void *arg, const struct scripted_call *call, struct scripted_status *status)
{
    (void)arg;
    (void)call;
    (void)status;
}

// --- what is sent ---------------------------------------------------------------------------

static void a_request_arrives_with_its_metadata_and_deadline(void **state)
{
    (void)state;
    static const char *const codecs[] = {"gzip", "none"};
    for (size_t i = 0; i < 2; i++) {
        struct stage stage;
        struct exporter_status status;
        char yaml[128];
        snprintf(yaml, sizeof(yaml), "headers: {X-Custom: hello}\ncompression: %s", codecs[i]);
        stage_open(&stage, fine, yaml);
        sample_push(ops, stage.exporter, sample_parcel(0, 100, 100));
        stage_status(&stage, &status);
        assert_int_equal(status.sent, 100);
        assert_int_equal(strlen(stage.hop), 16);
        assert_string_equal(stage.custom, "hello");
        assert_non_null(strstr(stage.agent, "sidejudge/test"));
        assert_in_range(stage.time_left_ms, 1, 5100);
        for (unsigned at = 0; at < 100; at++) {
            assert_int_equal(stage.accepted[at], 1);
        }
        stage_close(&stage);
    }
}

static void small_and_packed_bodies_both_arrive(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    struct batch_home *home = batch_home_new(NULL, 0);
    stage_open(&stage, fine, "");
    sample_push(ops, stage.exporter, sample_parcel(0, 1, 10));
    sample_push(ops, stage.exporter, sample_parcel_packed(home, 1, 400, 100));
    sample_push(ops, stage.exporter, sample_parcel(401, 1, 10));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 402);
    for (unsigned at = 0; at < 402; at++) {
        assert_int_equal(stage.accepted[at], 1);
    }
    stage_close(&stage);
    batch_home_close(home);
}

static void metrics_go_to_their_own_service(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine, "");
    sample_push(ops, stage.exporter, sample_metrics(3, 5));
    stage_status(&stage, &status);
    assert_int_equal(stage.signal, SIGNAL_METRICS);
    assert_int_equal(status.sent, 15);
    stage_close(&stage);
}

static void requests_stay_below_four_mebibytes(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine, "");
    sample_push(ops, stage.exporter, sample_parcel(0, 100, 100000));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 100);
    assert_in_range(scripted_grpc_count(stage.server), 3, 4);
    for (unsigned i = 0; i < scripted_grpc_count(stage.server); i++) {
        assert_true(stage.message_bytes[i] <= (size_t)4 << 20);
    }
    stage_close(&stage);
}

// --- answers --------------------------------------------------------------------------------

static void unavailable_once(void *arg, const struct scripted_call *call,
                             struct scripted_status *status)
{
    (void)arg;
    status->code = call->index == 0 ? 14 : 0;
}

static void unavailable_is_sent_again(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, unavailable_once, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    assert_true(scripted_grpc_await(stage.server, 2));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    stage_close(&stage);
}

static void exhausted_once(void *arg, const struct scripted_call *call,
                           struct scripted_status *status)
{
    struct stage *stage = arg;
    if (call->index == 0) {
        status->code = 8;
        status->text = "slow down";
        status->details = buffer_view(&stage->details);
    }
}

static void retry_info_in_the_trailers_is_honoured(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    struct otlp_error error = {.code = 8, .message = BYTES_LITERAL("slow"), .retry_after_s = 1};
    stage_open(&stage, exhausted_once, quick_retry);
    otlp_error_write(OTLP_PROTOBUF, &error, &stage.details);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    assert_true(scripted_grpc_await(stage.server, 2));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    assert_int_equal(scripted_grpc_count(stage.server), 2);
    assert_true(stage.at_ns[1] - stage.at_ns[0] >= 900 * NS_PER_MS);
    stage_close(&stage);
}

static void exhausted_above(void *arg, const struct scripted_call *call,
                            struct scripted_status *status)
{
    struct stage *stage = arg;
    status->code = call->message.len > stage->limit ? 8 : 0;
}

static void exhausted_without_retry_info_is_halved(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, exhausted_above, quick_retry);
    stage.limit = 60000;
    sample_push(ops, stage.exporter, sample_parcel(0, 200, 1000));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 200);
    assert_int_equal(status.send_failed, 0);
    stage_close(&stage);
}

static void refuse_span_7(void *arg, const struct scripted_call *call,
                          struct scripted_status *status)
{
    uint32_t fate[SPANS_MAX] = {0};
    (void)arg;
    (void)sample_mark(call->message, fate, SPANS_MAX);
    status->code = fate[7] > 0 ? 3 : 0;
    status->text = "bad span";
}

static void one_bad_span_does_not_cost_the_good_ones(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, refuse_span_7, "");
    sample_push(ops, stage.exporter, sample_parcel(0, 256, 20));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 255);
    assert_int_equal(status.send_failed, 1);
    assert_int_equal(stage.accepted[7], 0);
    stage_close(&stage);
}

static void unauthenticated(void *arg, const struct scripted_call *call,
                            struct scripted_status *status)
{
    (void)arg;
    (void)call;
    status->code = 16;
    status->text = "no such key";
}

static void what_is_not_retryable_is_dropped_at_once_and_named(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, unauthenticated, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(scripted_grpc_count(stage.server), 1);
    assert_int_equal(status.send_failed, 10);
    assert_string_equal(status.last_error, "gRPC status 16: no such key");
    stage_close(&stage);
}

static void partly(void *arg, const struct scripted_call *call, struct scripted_status *status)
{
    struct stage *stage = arg;
    (void)call;
    status->message = buffer_view(&stage->details);
}

static void partial_success_is_counted_and_never_repeated(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    double before = metrics_sum("sidejudge_exporter_partial_rejected_total");
    stage_open(&stage, partly, quick_retry);
    otlp_response_write(OTLP_PROTOBUF, SIGNAL_TRACES, 4, BYTES_LITERAL("odd"), &stage.details);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 6);
    assert_int_equal(scripted_grpc_count(stage.server), 1);
    assert_true(metrics_sum("sidejudge_exporter_partial_rejected_total") - before == 4);
    stage_close(&stage);
}

static void hang(void *arg, const struct scripted_call *call, struct scripted_status *status)
{
    (void)arg;
    status->hang = call->index == 0;
}

static void a_call_that_hangs_ends_at_its_deadline_and_is_sent_again(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, hang,
               "timeout: 100ms\nretry_on_failure: {initial_interval: 10ms, max_interval: 20ms}");
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    assert_true(scripted_grpc_await(stage.server, 2));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    stage_close(&stage);
}

static void always_hang(void *arg, const struct scripted_call *call, struct scripted_status *status)
{
    (void)arg;
    (void)call;
    status->hang = true;
}

static void a_call_in_flight_at_the_deadline_is_cancelled_and_counted(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, always_hang, "timeout: 60s");
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    assert_true(scripted_grpc_await(stage.server, 1));
    ops->drain(stage.exporter, clock_mono_ns() + 50 * NS_PER_MS);
    ops->status(stage.exporter, &status);
    assert_int_equal(status.send_failed, 10);
    assert_int_equal(status.queue_bytes, 0);
    stage_close(&stage);
}

static void a_backend_that_is_not_there_is_a_failure_for_now(void **state)
{
    (void)state;
    char why[256] = "";
    struct exporter_status status;
    struct exporter *exporter = sample_start(ops, "otlp_grpc/test",
                                             "endpoint: 127.0.0.1:9\ntls: {insecure: true}\n"
                                             "retry_on_failure: {enabled: false}",
                                             why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, sample_parcel(0, 10, 10));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, &status);
    assert_int_equal(status.send_failed, 10);
    assert_non_null(strstr(status.last_error, "gRPC status 14"));
    ops->free(&exporter);
}

// --- TLS ------------------------------------------------------------------------------------

// The certificate as a double-quoted scalar of YAML.
static void pem_quote(const char *pem, char *out)
{
    for (; *pem != '\0'; pem++) {
        if (*pem == '\n') {
            *out++ = '\\';
            *out++ = 'n';
        } else {
            *out++ = *pem;
        }
    }
    *out = '\0';
}

static void tls_run(const struct certificate *trusted, const char *host,
                    struct exporter_status *status)
{
    static struct stage stage;
    struct certificate certificate;
    char pem[4096], yaml[8192], why[512] = "";
    certificate_make_for(host, &certificate);
    memset(&stage, 0, sizeof(stage));
    stage.answer = fine;
    stage.server = scripted_grpc_start(answer, &stage, &certificate);
    pem_quote(trusted != NULL ? trusted->cert : certificate.cert, pem);
    snprintf(yaml, sizeof(yaml),
             "endpoint: 127.0.0.1:%u\ntls: {ca_pem: \"%s\", server_name_override: localhost}\n"
             "retry_on_failure: {enabled: false}",
             scripted_grpc_port(stage.server), pem);
    stage.exporter = sample_start(ops, "otlp_grpc/tls", yaml, why, sizeof(why));
    assert_non_null(stage.exporter);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 100));
    stage_status(&stage, status);
    stage_close(&stage);
}

static void tls_is_on_unless_switched_off(void **state)
{
    (void)state;
    struct exporter_status status;
    tls_run(NULL, "localhost", &status);
    assert_int_equal(status.sent, 10);
}

static void a_certificate_of_somebody_else_is_refused(void **state)
{
    (void)state;
    struct exporter_status status;
    struct certificate other;
    certificate_make(&other);
    tls_run(&other, "localhost", &status);
    assert_int_equal(status.sent, 0);
    assert_int_equal(status.send_failed, 10);
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    (void)state;
    struct exporter_status status;
    tls_run(NULL, "elsewhere.example", &status);
    assert_int_equal(status.sent, 0);
    assert_int_equal(status.send_failed, 10);
}

// --- configuration --------------------------------------------------------------------------

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "'endpoint' must be set"},
        {"{endpoint: 'localhost'}", "a port is missing"},
        {"{endpoint: 'localhost:99999'}", "expected host:port"},
        {"{endpoint: 'http://localhost:4317/v1/traces'}", "gRPC has no path"},
        {"{endpoint: 'localhost:4317', compression: zstd}", "use gzip, or otlp_http"},
        {"{endpoint: 'localhost:4317', compression: snappy}", "use gzip, or otlp_http"},
        {"{endpoint: 'localhost:4317', compression: lz4}", "'compression' must be one of"},
        {"{endpoint: 'localhost:4317', tls: {insecure_skip_verify: true}}", "ca_file"},
        {"{endpoint: 'localhost:4317', headers: {'a b': c}}", "cannot be set here"},
        {"{endpoint: 'localhost:4317', headers: {grpc-timeout: 1S}}", "cannot be set here"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer errors;
        buffer_init(&errors, 65536);
        sample_errors(ops, rows[i][0], &errors);
        if (strstr(buffer_text(&errors), rows[i][1]) == NULL) {
            print_error("%s: got \"%s\"\n", rows[i][0], buffer_text(&errors));
        }
        assert_non_null(strstr(buffer_text(&errors), rows[i][1]));
        buffer_fini(&errors);
    }
}

static void right_configurations_pass(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{endpoint: 'localhost:4317', tls: {insecure: true}}",
        "{endpoint: 'https://otlp.example.com:443', headers: {Authorization: Bearer x}}",
        "{endpoint: 'dns:///collector.svc:4317', balancer_name: round_robin}",
        "{endpoint: 'unix:///tmp/otlp.sock', compression: none}",
        "{endpoint: '[::1]:4317', keepalive: {time: 30s}, wait_for_ready: true}",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer errors;
        buffer_init(&errors, 65536);
        sample_errors(ops, rows[i], &errors);
        assert_string_equal(buffer_text(&errors), "");
        buffer_fini(&errors);
    }
}

static void a_certificate_that_cannot_be_read_fails_the_start(void **state)
{
    (void)state;
    char why[256] = "";
    assert_null(sample_start(ops, "otlp_grpc/test",
                             "endpoint: localhost:4317\ntls: {ca_file: /nowhere/ca.pem}", why,
                             sizeof(why)));
    assert_non_null(strstr(why, "/nowhere/ca.pem"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_with_its_metadata_and_deadline),
        cmocka_unit_test(small_and_packed_bodies_both_arrive),
        cmocka_unit_test(metrics_go_to_their_own_service),
        cmocka_unit_test(requests_stay_below_four_mebibytes),
        cmocka_unit_test(unavailable_is_sent_again),
        cmocka_unit_test(retry_info_in_the_trailers_is_honoured),
        cmocka_unit_test(exhausted_without_retry_info_is_halved),
        cmocka_unit_test(one_bad_span_does_not_cost_the_good_ones),
        cmocka_unit_test(what_is_not_retryable_is_dropped_at_once_and_named),
        cmocka_unit_test(partial_success_is_counted_and_never_repeated),
        cmocka_unit_test(a_call_that_hangs_ends_at_its_deadline_and_is_sent_again),
        cmocka_unit_test(a_call_in_flight_at_the_deadline_is_cancelled_and_counted),
        cmocka_unit_test(a_backend_that_is_not_there_is_a_failure_for_now),
        cmocka_unit_test(tls_is_on_unless_switched_off),
        cmocka_unit_test(a_certificate_of_somebody_else_is_refused),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(wrong_configurations_are_refused_with_a_sentence),
        cmocka_unit_test(right_configurations_pass),
        cmocka_unit_test(a_certificate_that_cannot_be_read_fails_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
