// SPDX-License-Identifier: Apache-2.0
// The exporter otlp_http against a scripted server on loopback: what is sent, and what it does with
// every kind of answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "exporter/exporters.h"
#include "proto/otlp_status.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/scripted_http.h"

#define SPANS_MAX 4096
static const struct exporter_ops *const ops = &otlp_http_exporter;

struct stage {
    struct scripted_http *server;
    struct exporter *exporter;
    scripted_fn answer;
    uint32_t fate[SPANS_MAX];      // how often each span came
    uint32_t accepted[SPANS_MAX];  // how often with an answer of 2xx
    unsigned parameter;
    char line[128], encoding[32], type[64], hop[32], agent[64], custom[64];
    size_t wire_bytes[256], body_bytes[256];
    uint32_t spans[256];
    uint64_t at_ns[256];
    struct bytes partial;
};

static void record(struct stage *stage, const struct scripted_request *request,
                   const struct scripted_reply *reply)
{
    const char *names[] = {"content-encoding", "content-type", "sidejudge-hop", "user-agent",
                           "x-custom"};
    char *fields[] = {stage->encoding, stage->type, stage->hop, stage->agent, stage->custom};
    const size_t sizes[] = {32, 64, 32, 64, 64};
    for (size_t i = 0; i < 5; i++) {
        snprintf(fields[i], sizes[i], "%.*s", BYTES_PRINTF(scripted_header(request, names[i])));
    }
    snprintf(stage->line, sizeof(stage->line), "%.*s", BYTES_PRINTF(request->line));
    stage->wire_bytes[request->index % 256] = request->wire.len;
    stage->body_bytes[request->index % 256] = request->body.len;
    stage->at_ns[request->index % 256] = clock_mono_ns();
    uint32_t fate[SPANS_MAX] = {0};
    if (!sample_mark(request->body, fate, SPANS_MAX)) {
        abort();
    }
    stage->spans[request->index % 256] = 0;
    for (unsigned i = 0; i < SPANS_MAX; i++) {
        stage->fate[i] += fate[i];
        stage->spans[request->index % 256] += fate[i];
    }
    if (reply->status == 0 || reply->status / 100 == 2) {
        (void)sample_mark(request->body, stage->accepted, SPANS_MAX);
    }
}

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    struct stage *stage = arg;
    stage->answer(stage, request, reply);
    record(stage, request, reply);
}

static const char quick_retry[] = "retry_on_failure: {initial_interval: 10ms, max_interval: 20ms, "
                                  "max_elapsed_time: 20s}";

// Starts server and exporter; `more` is YAML lines beside the endpoint.
static void stage_open(struct stage *stage, scripted_fn fn, const char *more)
{
    char yaml[2048], why[512] = "";
    memset(stage, 0, sizeof(*stage));
    stage->answer = fn;
    stage->server = scripted_http_start(answer, stage);
    snprintf(yaml, sizeof(yaml), "endpoint: http://127.0.0.1:%u\n%s\n",
             scripted_http_port(stage->server), more);
    stage->exporter = sample_start(ops, "otlp_http/test", yaml, why, sizeof(why));
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
    scripted_http_stop(&stage->server);
    free((void *)(uintptr_t)stage->partial.ptr);
}

static void fine(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    (void)reply;
}

// --- what is sent ---------------------------------------------------------------------------

static void a_request_arrives_with_its_headers_and_bytes(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine, "headers: {X-Custom: hello}");
    sample_push(ops, stage.exporter, sample_parcel(0, 100, 50));
    stage_status(&stage, &status);
    assert_string_equal(stage.line, "POST /v1/traces HTTP/1.1");
    assert_string_equal(stage.encoding, "gzip");
    assert_string_equal(stage.type, "application/x-protobuf");
    assert_string_equal(stage.agent, "sidejudge/test");
    assert_string_equal(stage.custom, "hello");
    assert_int_equal(strlen(stage.hop), 16);
    assert_int_equal(status.sent, 100);
    assert_string_equal(status.last_error, "");
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(stage.accepted[i], 1);
    }
    stage_close(&stage);
}

static void small_bodies_go_uncompressed(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine, "");
    sample_push(ops, stage.exporter, sample_parcel(0, 1, 10));
    stage_status(&stage, &status);
    assert_string_equal(stage.encoding, "");
    assert_int_equal(status.sent, 1);
    stage_close(&stage);
}

static void every_codec_can_be_read_by_the_backend(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"gzip", "gzip"}, {"zstd", "zstd"}, {"deflate", "deflate"}, {"none", ""}};
    for (size_t i = 0; i < 4; i++) {
        struct stage stage;
        struct exporter_status status;
        char yaml[64];
        snprintf(yaml, sizeof(yaml), "compression: %s", names[i][0]);
        stage_open(&stage, fine, yaml);
        sample_push(ops, stage.exporter, sample_parcel(0, 200, 100));
        stage_status(&stage, &status);
        assert_string_equal(stage.encoding, names[i][1]);
        assert_int_equal(status.sent, 200);
        stage_close(&stage);
    }
}

static void a_whole_batch_leaves_as_the_bytes_it_came_in(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    struct batch_home *home = batch_home_new(NULL, 0);
    stage_open(&stage, fine, "");
    struct parcel *parcel = sample_parcel_packed(home, 0, 500, 100);
    size_t packed = parcel->batch->packed.len;
    assert_true(packed > 8192);
    sample_push(ops, stage.exporter, parcel);
    stage_status(&stage, &status);
    assert_int_equal(stage.wire_bytes[0], packed);
    assert_int_equal(status.sent, 500);
    stage_close(&stage);
    batch_home_close(home);
}

struct gate {
    struct stage stage;
    atomic_bool is_open;
};

static void hold_the_first(void *arg, const struct scripted_request *request,
                           struct scripted_reply *reply)
{
    struct gate *gate = arg;  // the stage is its first member
    (void)reply;
    for (int i = 0; request->index == 0 && !atomic_load(&gate->is_open) && i < 10000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void what_queues_while_a_request_is_in_flight_is_merged(void **state)
{
    (void)state;
    struct gate gate = {.is_open = false};
    struct exporter_status status;
    stage_open(&gate.stage, hold_the_first, "sending_queue: {num_consumers: 1}");
    sample_push(ops, gate.stage.exporter, sample_parcel(0, 1, 10));
    assert_true(scripted_http_await(gate.stage.server, 1));
    for (uint32_t i = 1; i < 100; i++) {
        sample_push(ops, gate.stage.exporter, sample_parcel(i, 1, 10));
    }
    atomic_store(&gate.is_open, true);
    stage_status(&gate.stage, &status);
    assert_int_equal(status.sent, 100);
    assert_int_equal(scripted_http_count(gate.stage.server), 2);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(gate.stage.accepted[i], 1);
    }
    stage_close(&gate.stage);
}

static void without_merging_each_parcel_is_a_request(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine, "sending_queue: {num_consumers: 1, merge: false}");
    for (uint32_t i = 0; i < 30; i++) {
        sample_push(ops, stage.exporter, sample_parcel(i, 1, 10));
    }
    stage_status(&stage, &status);
    assert_int_equal(scripted_http_count(stage.server), 30);
    stage_close(&stage);
}

static void a_batch_section_gathers_to_its_smallest_size(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine,
               "sending_queue: {batch: {flush_timeout: 60s, min_size: 20, max_size: 25, "
               "sizer: items}}");
    for (uint32_t i = 0; i < 40; i++) {
        sample_push(ops, stage.exporter, sample_parcel(i, 1, 10));
    }
    assert_true(scripted_http_await(stage.server, 1));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 40);
    assert_in_range(scripted_http_count(stage.server), 2, 4);
    stage_close(&stage);
}

static void a_large_parcel_is_cut_to_the_limit(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, fine,
               "sending_queue: {sizer: bytes, batch: {max_size: 100000, min_size: 1}}");
    sample_push(ops, stage.exporter, sample_parcel(0, 1000, 1000));
    stage_status(&stage, &status);
    unsigned count = scripted_http_count(stage.server);
    assert_in_range(count, 10, 14);
    for (unsigned i = 0; i < count; i++) {
        assert_true(stage.body_bytes[i] <= 100000);
    }
    assert_int_equal(status.sent, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(stage.accepted[i], 1);
    }
    stage_close(&stage);
}

// --- answers --------------------------------------------------------------------------------

static void once_503(void *arg, const struct scripted_request *request,
                     struct scripted_reply *reply)
{
    (void)arg;
    reply->status = request->index == 0 ? 503 : 200;
}

static void a_503_is_sent_again(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, once_503, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    assert_true(scripted_http_await(stage.server, 2));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    assert_int_equal(status.send_failed, 0);
    assert_int_equal(stage.fate[0], 2);
    stage_close(&stage);
}

static void retry_after_seconds(void *arg, const struct scripted_request *request,
                                struct scripted_reply *reply)
{
    (void)arg;
    if (request->index == 0) {
        *reply = (struct scripted_reply){.status = 429, .headers = "Retry-After: 1\r\n"};
    }
}

static void retry_after_date(void *arg, const struct scripted_request *request,
                             struct scripted_reply *reply)
{
    static char header[128];
    (void)arg;
    if (request->index == 0) {
        time_t at = time(NULL) + 2;
        struct tm tm;
        strftime(header, sizeof(header), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
                 gmtime_r(&at, &tm));
        *reply = (struct scripted_reply){.status = 503, .headers = header};
    }
}

static void retry_after_is_honoured_in_both_forms(void **state)
{
    (void)state;
    const scripted_fn forms[] = {retry_after_seconds, retry_after_date};
    for (size_t i = 0; i < 2; i++) {
        struct stage stage;
        struct exporter_status status;
        stage_open(&stage, forms[i], quick_retry);
        sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
        assert_true(scripted_http_await(stage.server, 2));
        stage_status(&stage, &status);
        assert_int_equal(status.sent, 10);
        assert_true(stage.at_ns[1] - stage.at_ns[0] >= 900 * NS_PER_MS);
        stage_close(&stage);
    }
}

static void too_large_above(void *arg, const struct scripted_request *request,
                            struct scripted_reply *reply)
{
    struct stage *stage = arg;
    reply->status = request->body.len > stage->parameter ? 413 : 200;
}

static void a_413_is_halved_and_sent_again(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, too_large_above, quick_retry);
    stage.parameter = 60000;
    sample_push(ops, stage.exporter, sample_parcel(0, 200, 1000));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 200);
    assert_int_equal(status.send_failed, 0);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(stage.accepted[i], 1);
    }
    stage_close(&stage);
}

static void after_a_413_what_follows_is_cut_beforehand(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, too_large_above, "sending_queue: {num_consumers: 1}");
    stage.parameter = 60000;
    sample_push(ops, stage.exporter, sample_parcel(0, 200, 1000));
    assert_true(scripted_http_await(stage.server, 7));
    unsigned before = scripted_http_count(stage.server);
    sample_push(ops, stage.exporter, sample_parcel(200, 200, 1000));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 400);
    for (unsigned i = before; i < scripted_http_count(stage.server); i++) {
        assert_true(stage.body_bytes[i] <= 60000);
    }
    stage_close(&stage);
}

static void refuse_span_7(void *arg, const struct scripted_request *request,
                          struct scripted_reply *reply)
{
    uint32_t fate[SPANS_MAX] = {0};
    (void)arg;
    (void)sample_mark(request->body, fate, SPANS_MAX);
    if (fate[7] > 0) {
        reply->status = 400;
        reply->body = BYTES_LITERAL("bad span secret-token");
    }
}

static void one_bad_span_does_not_cost_the_good_ones(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, refuse_span_7, "headers: {authorization: secret-token}");
    sample_push(ops, stage.exporter, sample_parcel(0, 512, 20));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 511);
    assert_int_equal(status.send_failed, 1);
    for (unsigned i = 0; i < 512; i++) {
        assert_int_equal(stage.accepted[i], i == 7 ? 0 : 1);
    }
    assert_true(scripted_http_count(stage.server) <= 1 + 26);
    stage_close(&stage);
}

static void errors_name_status_and_body_but_no_header_value(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, refuse_span_7, "headers: {authorization: secret-token}");
    sample_push(ops, stage.exporter, sample_parcel(7, 1, 20));
    stage_status(&stage, &status);
    assert_string_equal(status.last_error, "HTTP status 400: bad span ************");
    stage_close(&stage);
}

static void refuse_all(void *arg, const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    reply->status = 422;
}

static void a_systematic_fault_drops_the_batch_after_seven_requests(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, refuse_all, "");
    sample_push(ops, stage.exporter, sample_parcel(0, 512, 20));
    stage_status(&stage, &status);
    assert_int_equal(scripted_http_count(stage.server), 7);
    assert_int_equal(status.send_failed, 512);
    stage_close(&stage);
}

static void hold_the_first_refuse_span_4(void *arg, const struct scripted_request *request,
                                         struct scripted_reply *reply)
{
    uint32_t fate[SPANS_MAX] = {0};
    hold_the_first(arg, request, reply);
    (void)sample_mark(request->body, fate, SPANS_MAX);
    reply->status = fate[4] > 0 ? 400 : 200;
}

static void merged_requests_are_parted_at_their_borders_first(void **state)
{
    (void)state;
    static const uint32_t spans[] = {1, 13, 5, 8, 2, 3, 1, 2, 1, 1};
    struct gate gate = {.is_open = false};
    struct exporter_status status;
    stage_open(&gate.stage, hold_the_first_refuse_span_4, "sending_queue: {num_consumers: 1}");
    sample_push(ops, gate.stage.exporter, sample_parcel(1000, 1, 10));
    assert_true(scripted_http_await(gate.stage.server, 1));
    sample_push(ops, gate.stage.exporter, sample_parcel(0, 2, 10));
    sample_push(ops, gate.stage.exporter, sample_parcel(2, 3, 10));
    sample_push(ops, gate.stage.exporter, sample_parcel(5, 8, 10));
    atomic_store(&gate.is_open, true);
    stage_status(&gate.stage, &status);
    assert_int_equal(status.sent, 13);
    assert_int_equal(status.send_failed, 1);
    assert_int_equal(scripted_http_count(gate.stage.server), 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(gate.stage.spans[i], spans[i]);
    }
    stage_close(&gate.stage);
}

static void unauthorised(void *arg, const struct scripted_request *request,
                         struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    reply->status = 401;
    reply->body = BYTES_LITERAL("no such key\r\n\x1b[31m");
}

static void what_is_not_retryable_is_dropped_at_once_and_named(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, unauthorised, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(scripted_http_count(stage.server), 1);
    assert_int_equal(status.send_failed, 10);
    assert_string_equal(status.last_error, "HTTP status 401: no such key   [31m");
    stage_close(&stage);
}

static void redirect(void *arg, const struct scripted_request *request,
                     struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    *reply = (struct scripted_reply){.status = 307, .headers = "Location: /elsewhere\r\n"};
}

static void redirects_are_not_followed(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, redirect, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(scripted_http_count(stage.server), 1);
    assert_int_equal(status.send_failed, 10);
    stage_close(&stage);
}

static void partial(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    struct stage *stage = arg;
    (void)request;
    *reply = (struct scripted_reply){.headers = "Content-Type: application/x-protobuf\r\n",
                                     .body = stage->partial};
}

static void partial_success_is_counted_and_never_repeated(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    struct buffer body;
    double before = metrics_sum("sidejudge_exporter_partial_rejected_total");
    buffer_init(&body, 4096);
    otlp_response_write(OTLP_PROTOBUF, SIGNAL_TRACES, 3, BYTES_LITERAL("three are odd"), &body);
    stage_open(&stage, partial, quick_retry);
    stage.partial = bytes_from(body.ptr, body.len);  // freed by stage_close
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(scripted_http_count(stage.server), 1);
    assert_int_equal(status.sent, 7);
    assert_int_equal(status.send_failed, 0);
    assert_true(metrics_sum("sidejudge_exporter_partial_rejected_total") - before == 3);
    stage_close(&stage);
}

static void garbage(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    reply->body = BYTES_LITERAL("\xff\xff{\"queued\": true");
}

static void a_200_with_garbage_is_a_success(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, garbage, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    assert_int_equal(scripted_http_count(stage.server), 1);
    stage_close(&stage);
}

static void reset_once(void *arg, const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    (void)arg;
    reply->filler_bytes = 1000;
    reply->send_bytes = request->index == 0 ? 100 : 0;
    reply->status = request->index == 0 ? 503 : 200;
}

static void a_reset_in_the_middle_of_a_reply_is_sent_again(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, reset_once, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    assert_true(scripted_http_await(stage.server, 2));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    assert_int_equal(status.send_failed, 0);
    stage_close(&stage);
}

static void drip(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    reply->drip = true;
    reply->filler_bytes = 300;
}

static void a_reply_that_comes_byte_by_byte_is_understood(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, drip, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    stage_close(&stage);
}

static void flood(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    reply->filler_bytes = (size_t)5 << 20;
}

static void a_200_with_too_large_a_body_is_still_a_success(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, flood, quick_retry);
    sample_push(ops, stage.exporter, sample_parcel(0, 10, 10));
    stage_status(&stage, &status);
    assert_int_equal(status.sent, 10);
    assert_int_equal(scripted_http_count(stage.server), 1);
    stage_close(&stage);
}

// --- queue and end --------------------------------------------------------------------------

static void a_full_queue_sheds_and_counts_the_items(void **state)
{
    (void)state;
    struct gate gate = {.is_open = false};
    struct exporter_status status;
    stage_open(&gate.stage, hold_the_first,
               "sending_queue: {num_consumers: 1, sizer: bytes, queue_size: 100000}");
    struct parcel *parcel = sample_parcel(0, 80, 1000);
    sample_push(ops, gate.stage.exporter, parcel);
    assert_int_equal(ops->reserve(gate.stage.exporter, SIGNAL_TRACES, 33, 20000, false),
                     RESULT_SHED);
    assert_int_equal(ops->reserve(gate.stage.exporter, SIGNAL_TRACES, 1, 9000, true), RESULT_OK);
    ops->release(gate.stage.exporter, 9000, true);
    atomic_store(&gate.is_open, true);
    stage_status(&gate.stage, &status);
    assert_int_equal(status.enqueue_failed, 33);
    assert_int_equal(status.sent, 80);
    stage_close(&gate.stage);
}

static void down(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    (void)request;
    reply->status = 503;
}

static void what_is_left_at_the_deadline_is_dropped_and_counted(void **state)
{
    (void)state;
    struct stage stage;
    struct exporter_status status;
    stage_open(&stage, down, quick_retry);
    for (uint32_t i = 0; i < 20; i++) {
        sample_push(ops, stage.exporter, sample_parcel(i * 10, 10, 10));
    }
    assert_true(scripted_http_await(stage.server, 1));
    ops->drain(stage.exporter, clock_mono_ns() + 100 * NS_PER_MS);
    ops->status(stage.exporter, &status);
    assert_int_equal(status.sent, 0);
    assert_int_equal(status.send_failed, 200);
    assert_int_equal(status.queue_bytes, 0);
    stage_close(&stage);
}

static void while_the_backend_is_down_one_request_probes_it(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, down,
               "retry_on_failure: {initial_interval: 60s, max_interval: 60s}\n"
               "sending_queue: {merge: false}");
    sample_push(ops, stage.exporter, sample_parcel(0, 1, 10));
    assert_true(scripted_http_await(stage.server, 1));
    struct exporter_status status = {0};
    while (status.last_error[0] == '\0') {  // the answer has been seen
        ops->status(stage.exporter, &status);
    }
    for (uint32_t i = 1; i < 20; i++) {
        sample_push(ops, stage.exporter, sample_parcel(i, 1, 10));
    }
    ops->drain(stage.exporter, clock_mono_ns() + 50 * NS_PER_MS);
    assert_int_equal(scripted_http_count(stage.server), 1);
    stage_close(&stage);
}

// --- configuration --------------------------------------------------------------------------

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "at least one endpoint must be specified"},
        {"{endpoint: 'ftp://x'}", "endpoint:"},
        {"{endpoint: 'http://u:p@x'}", "endpoint:"},
        {"{endpoint: 'http://x', encoding: json}", "encoding: json is not offered"},
        {"{endpoint: 'http://x', compression: snappy}", "'compression' must be one of"},
        {"{endpoint: 'http://x', headers: {Content-Type: a}}", "cannot be set here"},
        {"{endpoint: 'http://x', headers: {a: \"b\\r\\nc: d\"}}", "cannot be set here"},
        {"{endpoint: 'http://x', sending_queue: {num_consumers: 0}}", "num_consumers"},
        {"{endpoint: 'http://x', sending_queue: {wait_for_result: true}}", "wait_for_result"},
        {"{endpoint: 'http://x', sending_queue: {batch: {min_size: 10, max_size: 5}}}", "max_size"},
        {"{endpoint: 'http://x', retry_on_failure: {multiplier: 0.5}}", "multiplier"},
        {"{endpoint: 'http://x', timeouts: 3s}", "timeouts"},
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

static void our_own_listener_is_refused(void **state)
{
    (void)state;
    char why[256] = "";
    assert_null(
        sample_start(ops, "otlp_http/test", "endpoint: http://localhost:1", why, sizeof(why)));
    assert_non_null(strstr(why, "own listeners"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_with_its_headers_and_bytes),
        cmocka_unit_test(small_bodies_go_uncompressed),
        cmocka_unit_test(every_codec_can_be_read_by_the_backend),
        cmocka_unit_test(a_whole_batch_leaves_as_the_bytes_it_came_in),
        cmocka_unit_test(what_queues_while_a_request_is_in_flight_is_merged),
        cmocka_unit_test(without_merging_each_parcel_is_a_request),
        cmocka_unit_test(a_batch_section_gathers_to_its_smallest_size),
        cmocka_unit_test(a_large_parcel_is_cut_to_the_limit),
        cmocka_unit_test(a_503_is_sent_again),
        cmocka_unit_test(retry_after_is_honoured_in_both_forms),
        cmocka_unit_test(a_413_is_halved_and_sent_again),
        cmocka_unit_test(after_a_413_what_follows_is_cut_beforehand),
        cmocka_unit_test(one_bad_span_does_not_cost_the_good_ones),
        cmocka_unit_test(errors_name_status_and_body_but_no_header_value),
        cmocka_unit_test(a_systematic_fault_drops_the_batch_after_seven_requests),
        cmocka_unit_test(merged_requests_are_parted_at_their_borders_first),
        cmocka_unit_test(what_is_not_retryable_is_dropped_at_once_and_named),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(partial_success_is_counted_and_never_repeated),
        cmocka_unit_test(a_200_with_garbage_is_a_success),
        cmocka_unit_test(a_reset_in_the_middle_of_a_reply_is_sent_again),
        cmocka_unit_test(a_reply_that_comes_byte_by_byte_is_understood),
        cmocka_unit_test(a_200_with_too_large_a_body_is_still_a_success),
        cmocka_unit_test(a_full_queue_sheds_and_counts_the_items),
        cmocka_unit_test(what_is_left_at_the_deadline_is_dropped_and_counted),
        cmocka_unit_test(while_the_backend_is_down_one_request_probes_it),
        cmocka_unit_test(wrong_configurations_are_refused_with_a_sentence),
        cmocka_unit_test(our_own_listener_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
