// SPDX-License-Identifier: Apache-2.0
//
// What a backend can do wrong, a row each: how it answers, how often, and what has to become of the
// spans. The rows share one process, which has a second exporter to a backend that is well: there
// everything must arrive once, whatever the first one does. After each row the first backend is
// well again and gets what comes. Refused: a process for each row, which would prove less and take
// minutes. Bounds: those of the harness. One thread.

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/scenario/faulty_backend.h"
#include "tests/scenario/faulty_grpc.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"

enum { FAULTY, WELL };  // the backends' numbers at the oracle
enum { SPANS = 8 };     // of a request
#define POISON "poisoned"
#define REPLY_BYTES_MAX (UINT64_C(64) << 20)  // that an endless reply may have made us send

enum fate {
    ARRIVES,
    DROPPED,         // for good, counted; the backend is not asked again
    REJECTED,        // by a partial success: counted apart, not sent again
    BUT_THE_POISON,  // all arrive but the spans of that name
};

static struct stage {
    struct harness *harness;
    struct oracle *oracle;
    struct faulty_backend *faulty, *well;
    struct faulty_grpc *grpc;
    unsigned number;  // of the next span
    bool passed;      // the last row
} stage;

struct fault {
    const char *name;
    struct faulty_answer answer;
    unsigned times;     // requests that are answered so; 0: all
    unsigned requests;  // that are sent; 0: three
    enum fate fate;
    unsigned gap_ms;  // the least time before it may be asked again
};

static const struct fault faults[] = {
    {.name = "status_500_is_dropped_and_counted", .answer = {.status = 500}, .fate = DROPPED},
    {.name = "status_502_is_sent_again", .answer = {.status = 502}, .times = 2},
    {.name = "status_503_is_sent_again", .answer = {.status = 503}, .times = 2},
    {.name = "status_504_is_sent_again", .answer = {.status = 504}, .times = 2},
    {.name = "status_401_is_dropped_and_counted", .answer = {.status = 401}, .fate = DROPPED},
    {.name = "status_404_is_dropped_and_counted", .answer = {.status = 404}, .fate = DROPPED},
    {.name = "status_429_waits_for_the_seconds_of_retry_after",
     .answer = {.status = 429, .headers = "Retry-After: 1\r\n"},
     .times = 1,
     .requests = 1,
     .gap_ms = 950},
    {.name = "status_429_waits_for_the_date_of_retry_after",
     .answer = {.status = 429, .says_date = true},
     .times = 1,
     .requests = 1,
     .gap_ms = 900},
    {.name = "status_503_with_a_nonsensical_retry_after_is_sent_again",
     .answer = {.status = 503, .headers = "Retry-After: soon\r\n"},
     .times = 2},
    {.name = "status_413_is_cut_until_it_fits",
     .answer = {.status = 413, .only_beyond = 700},
     .requests = 1},
    {.name = "status_413_for_a_single_span_is_dropped_and_counted",
     .answer = {.status = 413},
     .requests = 1,
     .fate = DROPPED},
    {.name = "status_400_for_one_span_costs_that_span_alone",
     .answer = {.status = 400, .only = POISON},
     .requests = 1,
     .fate = BUT_THE_POISON},
    {.name = "status_422_for_one_span_costs_that_span_alone",
     .answer = {.status = 422, .only = POISON},
     .requests = 1,
     .fate = BUT_THE_POISON},
    {.name = "status_400_for_everything_is_dropped_and_counted",
     .answer = {.status = 400},
     .requests = 1,
     .fate = DROPPED},
    {.name = "partial_success_is_counted_and_not_sent_again",
     .answer = {.status = 200,
                .headers = "Content-Type: application/x-protobuf\r\n",
                .body = "\x0a\x06\x08\x08\x12\x02no",
                .body_len = 8},
     .requests = 1,
     .fate = REJECTED},
    {.name = "slow_drip_is_given_up_and_sent_again",
     .answer = {.how = FAULTY_DRIPS, .keeps = true},
     .times = 1,
     .requests = 1},
    {.name = "half_open_backend_is_given_up_and_sent_again",
     .answer = {.how = FAULTY_SILENT},
     .times = 2},
    {.name = "half_open_after_taking_is_sent_again",
     .answer = {.how = FAULTY_SILENT, .keeps = true},
     .times = 1},
    {.name = "reset_instead_of_an_answer_is_sent_again",
     .answer = {.how = FAULTY_RESETS},
     .times = 3},
    {.name = "reset_while_the_body_comes_is_sent_again",
     .answer = {.how = FAULTY_RESETS_EARLY},
     .times = 3},
    {.name = "reset_amid_the_reply_is_sent_again",
     .answer = {.how = FAULTY_CUT, .keeps = true},
     .times = 2},
    {.name = "garbage_behind_200_is_a_success",
     .answer = {.headers = "Content-Type: application/x-protobuf\r\n",
                .body = "\xff\xff\xff\xff\x0a\x7f<html>",
                .keeps = true}},
    {.name = "wrong_content_type_behind_200_is_a_success",
     .answer = {.headers = "Content-Type: image/png\r\n", .body = "hello", .keeps = true}},
    {.name = "reply_of_5_gb_behind_200_is_not_read",
     .answer = {.how = FAULTY_CLAIMS_5_GB, .keeps = true, .closes = true},
     .requests = 1},
    {.name = "endless_reply_behind_200_is_not_read",
     .answer = {.how = FAULTY_ENDLESS, .keeps = true, .closes = true},
     .requests = 1},
    {.name = "endless_reply_behind_503_is_sent_again",
     .answer = {.status = 503, .how = FAULTY_ENDLESS, .closes = true},
     .times = 2},
    {.name = "redirect_301_is_not_followed",
     .answer = {.status = 301, .headers = "Location: /elsewhere\r\n"},
     .fate = DROPPED},
    {.name = "redirect_302_is_not_followed",
     .answer = {.status = 302, .headers = "Location: /elsewhere\r\n"},
     .fate = DROPPED},
    {.name = "redirect_307_is_not_followed",
     .answer = {.status = 307, .headers = "Location: /elsewhere\r\n"},
     .fate = DROPPED},
    {.name = "redirect_308_is_not_followed",
     .answer = {.status = 308, .headers = "Location: /elsewhere\r\n"},
     .fate = DROPPED},
    {.name = "connection_closed_after_each_reply_loses_nothing",
     .answer = {.keeps = true, .closes = true},
     .requests = 10},
    {.name = "switching_protocols_unasked_is_no_success",
     .answer = {.status = 101, .headers = "Upgrade: nonsense\r\nConnection: upgrade\r\n"},
     .times = 1},
    {.name = "http_0_9_and_worse_is_sent_again", .answer = {.status = 99999}, .times = 1},
};

// --- the stage ---

static const char pipelines[] =
    "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
    "extensions: {health_check: }\n"
    "exporters:\n"
    "  %s: {%s, compression: none, timeout: 1s, retry_on_failure: {initial_interval: "
    "50ms, max_interval: 200ms, max_elapsed_time: 60s}}\n"
    "  otlp_http/well: {endpoint: \"%s\", compression: none, timeout: 20s}\n"
    "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], exporters: "
    "[%s, otlp_http/well]}}}\n";

static void stage_open(void)
{
    void *harness = NULL;
    harness_setup(&harness);
    memset(&stage, 0, sizeof(stage));
    stage.passed = true;
    stage.harness = harness;
    stage.oracle = oracle_new();
    stage.faulty = faulty_backend_open(stage.harness->loop, stage.oracle, FAULTY);
    stage.well = faulty_backend_open(stage.harness->loop, stage.oracle, WELL);
}

static void stage_start(void)
{
    char endpoint[128];
    snprintf(endpoint, sizeof(endpoint), "endpoint: \"%s\"", faulty_backend_url(stage.faulty));
    harness_start_yaml(stage.harness, pipelines, "otlp_http/faulty", endpoint,
                       faulty_backend_url(stage.well), "otlp_http/faulty");
}

static void stage_close(void)
{
    void *harness = stage.harness;
    faulty_backend_close(&stage.faulty);
    faulty_backend_close(&stage.well);
    faulty_grpc_close(&stage.grpc);
    harness_teardown(&harness);
    oracle_free(&stage.oracle);
    stage.harness = NULL;
}

static int http_setup(void **state)
{
    (void)state;
    stage_open();
    faulty_backend_down(stage.faulty);  // the first row begins so
    stage_start();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    stage_close();
    return 0;
}

// A row that failed leaves a process of which nothing is known: the next one gets a new one.
static int row_setup(void **state)
{
    (void)state;
    if (!stage.passed) {
        stage_close();
        stage_open();
        stage_start();
    }
    stage.passed = false;
    return 0;
}

static void post(struct buffer *request)
{
    assert_int_equal(oracle_post(stage.oracle, stage.harness, buffer_view(request)), 200);
}

// A request of new spans; one is called POISON.
static void request_make(struct buffer *request)
{
    buffer_init(request, (size_t)1 << 20);
    for (unsigned i = 0; i < SPANS; i++) {
        struct buffer span;
        harness_span(&span, stage.number++, i == 5 ? POISON : "telemetry of eight spans");
        buffer_append_bytes(request, buffer_view(&span));
        buffer_fini(&span);
    }
}

// What the faulty exporter counts for a fate.
static double refused_count(enum fate fate)
{
    double count = harness_metric(stage.harness,
                                  fate == REJECTED ? "sidejudge_exporter_partial_rejected_total"
                                                   : "otelcol_exporter_send_failed_spans",
                                  "faulty");
    return count < 0 ? 0 : count;
}

struct counting {
    enum fate fate;
    double least;
};

static bool is_counted(void *arg)
{
    const struct counting *counting = arg;
    return refused_count(counting->fate) >= counting->least;
}

// Everything is where it must be, the well backend had it once, and the process is well.
static void everything_holds(void)
{
    struct buffer request;
    request_make(&request);
    post(&request);
    buffer_fini(&request);
    oracle_await(stage.oracle, stage.harness, FAULTY);
    oracle_await(stage.oracle, stage.harness, WELL);
    oracle_holds(stage.oracle, FAULTY, UINT_MAX);
    oracle_holds(stage.oracle, WELL, 0);
    assert_int_equal(harness_get(stage.harness, stage.harness->health_port, "/").status, 200);
    harness_sanitizers_are_silent(stage.harness);
    stage.passed = true;
}

// The well backend's arrivals are awaited before what the faulty one refused is excused there too.
static void settle(enum fate fate, struct buffer *requests, unsigned count, double before)
{
    unsigned spans = fate == BUT_THE_POISON ? 1 : SPANS;
    struct counting counting = {fate, before + count * spans};
    oracle_await(stage.oracle, stage.harness, WELL);
    if (fate != ARRIVES) {
        harness_wait(stage.harness, is_counted, &counting, HARNESS_PATIENCE_S,
                     "the refused spans in the exporter's counter");
        assert_true(refused_count(fate) == counting.least);
    }
    for (unsigned i = 0; i < count; i++) {
        if (fate != ARRIVES) {
            oracle_excuse_named(stage.oracle, buffer_view(&requests[i]),
                                fate == BUT_THE_POISON ? POISON : NULL);
        }
    }
    oracle_await(stage.oracle, stage.harness, FAULTY);
}

static void faulty_row(void **state)
{
    const struct fault *fault = *state;
    unsigned count = fault->requests > 0 ? fault->requests : 3;
    struct buffer requests[16];
    double before = refused_count(fault->fate);
    faulty_backend_behave(stage.faulty, &fault->answer, fault->times);
    for (unsigned i = 0; i < count; i++) {
        request_make(&requests[i]);
        post(&requests[i]);
    }
    settle(fault->fate, requests, count, before);
    for (unsigned i = 0; i < count; i++) {
        buffer_fini(&requests[i]);
    }
    assert_true(faulty_backend_faults(stage.faulty) > 0);
    assert_int_equal(faulty_backend_strayed(stage.faulty), 0);
    assert_true(faulty_backend_sent_bytes(stage.faulty) < REPLY_BYTES_MAX);
    if (fault->gap_ms > 0) {
        uint64_t gap_ns =
            faulty_backend_at_ns(stage.faulty, 1) - faulty_backend_at_ns(stage.faulty, 0);
        assert_true(gap_ns >= fault->gap_ms * NS_PER_MS);
    }
    faulty_backend_behave(stage.faulty, NULL, 0);
    everything_holds();
}

// --- faults that are no answer ---

static void backend_that_is_down_at_the_start_gets_everything_when_it_comes(void **state)
{
    struct buffer request;
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        request_make(&request);
        post(&request);
        buffer_fini(&request);
    }
    oracle_await(stage.oracle, stage.harness, WELL);  // while the other is refused
    assert_false(oracle_is_whole(stage.oracle, FAULTY));
    faulty_backend_up(stage.faulty);
    everything_holds();
}

static void backend_that_goes_and_comes_back_gets_everything(void **state)
{
    struct buffer request;
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        request_make(&request);
        post(&request);
        buffer_fini(&request);
        if (i == 5 || i == 12) {
            faulty_backend_down(stage.faulty);
        } else if (i == 9 || i == 16) {
            faulty_backend_up(stage.faulty);
        }
    }
    everything_holds();
}

static void outage_of_one_backend_keeps_nothing_from_the_other(void **state)
{
    struct buffer request;
    (void)state;
    faulty_backend_down(stage.faulty);
    for (unsigned i = 0; i < 100; i++) {
        request_make(&request);
        post(&request);
        buffer_fini(&request);
    }
    oracle_await(stage.oracle, stage.harness, WELL);
    oracle_holds(stage.oracle, WELL, 0);
    faulty_backend_up(stage.faulty);
    everything_holds();
}

static void orderly_end_after_all_of_that(void **state)
{
    (void)state;
    harness_stop(stage.harness);
    assert_int_equal(oracle_report(stage.oracle, FAULTY).missing, 0);
}

// --- over gRPC ---

struct grpc_fault {
    const char *name;
    struct faulty_grpc_answer answer;
    unsigned times, requests;
    enum fate fate;
};

static const struct grpc_fault grpc_faults[] = {
    {.name = "grpc_unavailable_is_sent_again", .answer = {.status = 14}, .times = 3},
    {.name = "grpc_exhausted_with_retry_info_is_sent_again",
     .answer = {.status = 8, .retry_after_s = 1},
     .times = 1},
    {.name = "grpc_exhausted_without_retry_info_is_dropped_when_it_is_one_span",
     .answer = {.status = 8},
     .requests = 1,
     .fate = DROPPED},
    {.name = "grpc_unauthenticated_is_dropped_and_counted",
     .answer = {.status = 16},
     .fate = DROPPED},
    {.name = "grpc_unimplemented_is_dropped_and_counted",
     .answer = {.status = 12},
     .fate = DROPPED},
    {.name = "grpc_invalid_argument_for_everything_is_dropped",
     .answer = {.status = 3},
     .requests = 1,
     .fate = DROPPED},
    {.name = "grpc_partial_success_is_counted_and_not_sent_again",
     .answer = {.message = "\x0a\x06\x08\x08\x12\x02no", .message_len = 8},
     .requests = 1,
     .fate = REJECTED},
    {.name = "grpc_garbage_behind_ok_is_a_success",
     .answer = {.message = "\xff\xff\xff\xff", .message_len = 4, .keeps = true}},
    {.name = "grpc_silence_is_given_up_and_sent_again",
     .answer = {.how = FAULTY_GRPC_SILENT},
     .times = 2},
    {.name = "grpc_refused_stream_is_sent_again",
     .answer = {.how = FAULTY_GRPC_RESETS_STREAM, .status = 7},
     .times = 2},
    {.name = "grpc_cancelled_stream_is_sent_again",
     .answer = {.how = FAULTY_GRPC_RESETS_STREAM, .status = 8},
     .times = 2},
    {.name = "grpc_goaway_that_takes_the_stream_back_loses_nothing",
     .answer = {.how = FAULTY_GRPC_GOES_AWAY},
     .times = 3},
    {.name = "grpc_goaway_behind_each_stream_loses_nothing",
     .answer = {.how = FAULTY_GRPC_GOES_SOON, .keeps = true},
     .times = 5,
     .requests = 10},
    {.name = "grpc_connection_reset_is_sent_again",
     .answer = {.how = FAULTY_GRPC_RESETS},
     .times = 3},
    {.name = "grpc_proxy_page_with_503_is_sent_again",
     .answer = {.how = FAULTY_GRPC_HTTP, .status = 503},
     .times = 2},
};

static void grpc_start(unsigned streams_max)
{
    char endpoint[128];
    stage.grpc = faulty_grpc_open(stage.harness->loop, stage.oracle, FAULTY, streams_max);
    snprintf(endpoint, sizeof(endpoint), "endpoint: \"127.0.0.1:%u\", tls: {insecure: true}",
             faulty_grpc_port(stage.grpc));
    harness_start_yaml(stage.harness, pipelines, "otlp_grpc/faulty", endpoint,
                       faulty_backend_url(stage.well), "otlp_grpc/faulty");
}

static int grpc_setup(void **state)
{
    (void)state;
    stage_open();
    grpc_start(0);
    return 0;
}

static int grpc_row_setup(void **state)
{
    (void)state;
    if (!stage.passed) {
        stage_close();
        stage_open();
        grpc_start(0);
    }
    stage.passed = false;
    return 0;
}

static void grpc_row(void **state)
{
    const struct grpc_fault *row = *state;
    unsigned count = row->requests > 0 ? row->requests : 3;
    struct buffer requests[16];
    double before = refused_count(row->fate);
    faulty_grpc_behave(stage.grpc, &row->answer, row->times);
    for (unsigned i = 0; i < count; i++) {
        request_make(&requests[i]);
        post(&requests[i]);
    }
    settle(row->fate, requests, count, before);
    for (unsigned i = 0; i < count; i++) {
        buffer_fini(&requests[i]);
    }
    assert_true(faulty_grpc_faults(stage.grpc) > 0);
    faulty_grpc_behave(stage.grpc, NULL, 0);
    everything_holds();
}

static void grpc_one_stream_at_a_time_loses_nothing(void **state)
{
    struct buffer request;
    (void)state;
    harness_stop(stage.harness);
    faulty_grpc_close(&stage.grpc);
    grpc_start(1);
    for (unsigned i = 0; i < 50; i++) {
        request_make(&request);
        post(&request);
        buffer_fini(&request);
    }
    everything_holds();
    assert_int_equal(faulty_grpc_streams_peak(stage.grpc), 1);
    harness_stop(stage.harness);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, row_setup, NULL)
#define ROWS(rows) (sizeof(rows) / sizeof(rows[0]))

int main(void)
{
    struct CMUnitTest http[ROWS(faults) + 4] = {
        TEST(backend_that_is_down_at_the_start_gets_everything_when_it_comes),
        TEST(backend_that_goes_and_comes_back_gets_everything),
        TEST(outage_of_one_backend_keeps_nothing_from_the_other),
    };
    struct CMUnitTest grpc[ROWS(grpc_faults) + 1];
    for (size_t i = 0; i < ROWS(faults); i++) {
        http[3 + i] = (struct CMUnitTest){faults[i].name, faulty_row, row_setup, NULL,
                                          (void *)(uintptr_t)&faults[i]};
    }
    http[ROWS(faults) + 3] = (struct CMUnitTest)TEST(orderly_end_after_all_of_that);
    for (size_t i = 0; i < ROWS(grpc_faults); i++) {
        grpc[i] = (struct CMUnitTest){grpc_faults[i].name, grpc_row, grpc_row_setup, NULL,
                                      (void *)(uintptr_t)&grpc_faults[i]};
    }
    grpc[ROWS(grpc_faults)] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
        grpc_one_stream_at_a_time_loses_nothing, grpc_row_setup, NULL);
    int failed = cmocka_run_group_tests_name("backend faults", http, http_setup, group_teardown);
    if (SIDEJUDGE_WITH_GRPC) {
        failed += cmocka_run_group_tests_name("backend faults over gRPC", grpc, grpc_setup,
                                              group_teardown);
    }
    return failed;
}
