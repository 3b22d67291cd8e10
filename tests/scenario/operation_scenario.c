// SPDX-License-Identifier: Apache-2.0
//
// Running it: metrics under the Collector's names, health, the memory limiter at the door, chains
// of processors, exporters to files and to the screen, `doctor`, and one large request beside many
// small ones. Refused: reading anything but what an operator can read. Bounds: those of the
// harness. One thread.

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/attribute.h"
#include "tests/scenario/harness.h"

static void metrics_have_the_collectors_names(void **state)
{
    static const char *const names[] = {
        "otelcol_receiver_accepted_spans", "otelcol_exporter_sent_spans",
        "otelcol_exporter_queue_size",     "otelcol_exporter_queue_capacity",
        "otelcol_process_uptime",          "otelcol_process_memory_rss",
        "otelcol_process_cpu_seconds",     "sidejudge_decisions_total"};
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    for (unsigned i = 0; i < 7; i++) {
        struct buffer request;
        harness_span(&request, i, "counted");
        harness_send(harness, buffer_view(&request));
        buffer_fini(&request);
    }
    harness_wait_items(harness, backend, SIGNAL_TRACES, 7);
    assert_int_equal(
        harness_post(harness, "/v1/traces", "application/json", NULL, BYTES_LITERAL("{")).status,
        400);
    harness_turn(harness, 100);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (harness_metric(harness, names[i], "") < 0) {
            fail_msg("there is no %s", names[i]);
        }
    }
    assert_true(harness_metric(harness, "otelcol_receiver_accepted_spans", "receiver=\"otlp\"") ==
                7);
    assert_true(harness_metric(harness, "otelcol_exporter_sent_spans", "exporter=\"otlp_http\"") ==
                7);
    harness_stop(harness);
}

static void health_check_answers_while_the_backend_is_down(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    backend_answer(backend, 500, 0);
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    harness_span(&request, 1, "dropped by the backend");
    harness_send(harness, buffer_view(&request));
    struct harness_reply reply = harness_get(harness, harness->health_port, "/");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "Server available"));
    assert_int_equal(harness_get(harness, harness->health_port, "/any/path").status, 200);
    assert_int_equal(harness_get(harness, harness->api_port, "/nothing/here").status, 404);
    harness_stop(harness);
    buffer_fini(&request);
}

static void what_a_backend_refuses_for_good_is_dropped_and_named(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    backend_answer(backend, 401, 0);
    harness_start_with(harness, backend, "", "");
    harness_span(&request, 1, "not authorised");
    harness_send(harness, buffer_view(&request));
    harness_wait_said(harness, "the scenario says no");
    assert_true(harness_said(harness, "HTTP status 401"));
    assert_true(harness_metric(harness, "otelcol_exporter_send_failed_spans", "") == 1);
    assert_int_equal(backend_requests(backend), 1);
    harness_stop(harness);
    buffer_fini(&request);
}

static bool limiter_has_counted(void *arg)
{
    return harness_metric(arg, "otelcol_processor_memory_limiter_refused_spans", "") == 1;
}

static void memory_limiter_refuses_at_the_door(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    harness_start_with(harness, backend,
                       "evaluation: , memory_limiter: {check_interval: 100ms, limit_mib: 2, "
                       "spike_limit_mib: 1}",
                       "evaluation, memory_limiter");
    harness_span(&request, 1, "too much");
    harness_wait_said(harness, "memory is above the soft limit");
    struct harness_reply reply =
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL, buffer_view(&request));
    assert_int_equal(reply.status, 503);
    assert_true(reply.has_retry_after);
    harness_wait(harness, limiter_has_counted, harness, HARNESS_PATIENCE_S, "the limiter's count");
    assert_int_equal(harness_get(harness, harness->health_port, "/").status, 200);
    harness_stop(harness);
    assert_int_equal(backend_items(backend, SIGNAL_TRACES), 0);
    buffer_fini(&request);
}

static bool has_attribute(void *arg, const struct backend_item *item)
{
    struct any_view value;
    *(unsigned *)arg += attribute_find(item->view.attributes, SPAN_ATTRIBUTES, "added", &value) &&
                        bytes_equal_text(value.bytes, "by the chain");
    return true;
}

static void a_chain_edits_drops_and_delays_before_and_behind_evaluation(void **state)
{
    static const char *const chains[] = {"sidejudge_test/edit, sidejudge_test/drop, evaluation",
                                         "evaluation, sidejudge_test/drop, sidejudge_test/edit",
                                         "sidejudge_test/delay, sidejudge_test/edit, evaluation, "
                                         "sidejudge_test/drop",
                                         "sidejudge_test/drop, evaluation, sidejudge_test/edit, "
                                         "sidejudge_test/delay"};
    struct harness *harness = *state;
    for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        struct backend *backend = harness_backend(harness);
        struct buffer request;
        unsigned edited = 0;
        harness_start_with(harness, backend,
                           "evaluation: {hold: 300ms}, sidejudge_test/edit: {append_key: added, "
                           "append_value: by the chain}, sidejudge_test/drop: {drop_name: gone}, "
                           "sidejudge_test/delay: {delay: 300ms}",
                           chains[i]);
        for (unsigned k = 0; k < 20; k++) {
            harness_span(&request, k, k % 4 == 0 ? "gone" : "kept");
            harness_send(harness, buffer_view(&request));
            buffer_fini(&request);
        }
        harness_trace(0, &request);
        harness_send(harness, buffer_view(&request));
        buffer_fini(&request);
        harness_stop(harness);
        assert_int_equal(backend_items(backend, SIGNAL_TRACES), 15 + 3);
        backend_each(backend, SIGNAL_TRACES, has_attribute, &edited);
        assert_int_equal(edited, 15 + 3);
    }
}

static void file_and_debug_exporters_write_what_passes(void **state)
{
    struct harness *harness = *state;
    struct buffer request;
    struct buffer file;
    const char *path = harness_file(harness, "out.jsonl", "");
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters: {file: {path: \"%s\"}, debug: {verbosity: detailed}}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], exporters: [file, "
                       "debug]}}}\n",
                       path);
    harness_span(&request, 1, "written down");
    harness_send(harness, buffer_view(&request));
    harness_wait_said(harness, "written down");
    harness_stop(harness);
    buffer_init(&file, (size_t)1 << 20);
    assert_int_equal(file_read(path, &file), RESULT_OK);
    assert_non_null(strstr(buffer_text(&file), "\"resourceSpans\""));
    assert_non_null(strstr(buffer_text(&file), "written down"));
    buffer_fini(&file);
    buffer_fini(&request);
}

static void doctor_says_a_line_for_each_thing_with_the_remedy(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer out;
    char yaml[1024];
    snprintf(yaml, sizeof(yaml),
             "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
             "processors: {evaluation: {judges: {default: {api: openai, endpoint: "
             "\"http://127.0.0.1:%u/v1\", model: m, api_key: k, timeout: 1s, price: "
             "{input_per_mtok: 0, output_per_mtok: 0}}}}}\n"
             "exporters: {otlp_http: {endpoint: \"%s\"}}\n"
             "service: {pipelines: {traces: {receivers: [otlp], processors: [evaluation], "
             "exporters: [otlp_http]}}}\n",
             harness_free_port(), backend_url(backend));
    const char *path = harness_file(harness, "config.yaml", yaml);
    const char *const arguments[] = {"doctor", "--config", path, "--api=127.0.0.1:1", NULL};
    assert_int_equal(harness_command(harness, arguments, &out), 1);
    assert_non_null(strstr(buffer_text(&out), "ok    configuration"));
    assert_non_null(strstr(buffer_text(&out), "ok    exporters::otlp_http"));
    assert_non_null(strstr(buffer_text(&out), "WRONG judge default"));
    assert_non_null(strstr(buffer_text(&out), "check key, model and endpoint"));
    buffer_fini(&out);
    backend_answer(backend, 401, 0);
    assert_int_equal(harness_command(harness, arguments, &out), 1);
    assert_non_null(strstr(buffer_text(&out), "WRONG exporters::otlp_http"));
    assert_non_null(strstr(buffer_text(&out), "check endpoint, headers and keys"));
    buffer_fini(&out);
}

static void doctor_is_content_with_a_sound_running_process(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    struct buffer out;
    char api[64];
    harness_start_with(harness, backend, "evaluation: ", "evaluation");
    harness_span(&request, 1, "seen");
    harness_send(harness, buffer_view(&request));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1);
    char path[128];
    snprintf(path, sizeof(path), "%s/config.yaml", harness->folder);
    snprintf(api, sizeof(api), "--api=127.0.0.1:%u", harness->api_port);
    const char *const arguments[] = {
        "doctor", "--config", path, api, "--set=extensions.health_check.endpoint=127.0.0.1:0",
        NULL};
    int status = harness_command(harness, arguments, &out);
    if (status != 0) {
        fail_msg("%s", buffer_text(&out));
    }
    assert_non_null(strstr(buffer_text(&out), "1 received"));
    assert_non_null(strstr(buffer_text(&out), "all well"));
    harness_stop(harness);
    buffer_fini(&out);
    buffer_fini(&request);
}

// --- one slow large request beside many small ones ---

struct slow_body {
    int fd;
    size_t left;
};

static void slow_body_begin(struct slow_body *slow, const struct harness *harness, size_t bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(harness->http_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char head[256];
    slow->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    slow->left = bytes;
    assert_int_equal(connect(slow->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int len = snprintf(head, sizeof(head),
                       "POST /v1/traces HTTP/1.1\r\nHost: scenario\r\nContent-Type: "
                       "application/json\r\nContent-Length: %zu\r\n\r\n{\"resourceSpans\":[{}",
                       bytes);
    assert_int_equal(send(slow->fd, head, (size_t)len, MSG_NOSIGNAL), len);
    slow->left -= strlen("{\"resourceSpans\":[{}");
}

// Sends up to `bytes` more of ",{},{}...", and what ends the JSON when nothing else is left.
static void slow_body_send(struct slow_body *slow, size_t bytes)
{
    static const char unit[] = ",{}";
    char chunk[3 * 4096];
    for (size_t i = 0; i < sizeof(chunk); i++) {
        chunk[i] = unit[i % 3];
    }
    while (bytes > 0 && slow->left > 2 + 2) {
        size_t len = bytes < sizeof(chunk) ? bytes / 3 * 3 : sizeof(chunk);
        len = len < slow->left - 2 ? len : (slow->left - 2) / 3 * 3;
        if (len == 0) {
            return;
        }
        assert_int_equal(send(slow->fd, chunk, len, MSG_NOSIGNAL), len);
        slow->left -= len;
        bytes -= bytes < len ? bytes : len;
    }
}

static void a_slow_20_mib_json_does_not_keep_small_requests_waiting(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct slow_body slow;
    char answer[512];
    // what 20 MiB of empty messages become is small, but they are 7 million of them
    size_t bytes = ((size_t)20 << 20) / 3 * 3;
    bytes -= (bytes - strlen("{\"resourceSpans\":[{}") - 2) % 3;
    harness_start_with(harness, backend, "", "");
    slow_body_begin(&slow, harness, bytes);
    for (unsigned i = 0; i < 1000; i++) {
        struct buffer request;
        slow_body_send(&slow, bytes / 1000);
        harness_span(&request, i, "small");
        harness_send(harness, buffer_view(&request));
        buffer_fini(&request);
    }
    slow_body_send(&slow, bytes);
    assert_int_equal(slow.left, 2);
    assert_int_equal(send(slow.fd, "]}", 2, MSG_NOSIGNAL), 2);
    struct pollfd watch = {.fd = slow.fd, .events = POLLIN};
    uint64_t give_up_ns = clock_mono_ns() + HARNESS_PATIENCE_S * NS_PER_S;
    while (poll(&watch, 1, 10) == 0 && clock_mono_ns() < give_up_ns) {
        loop_run_once(harness->loop, 0);
    }
    ssize_t got = recv(slow.fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
    assert_true(got > 0);
    answer[got] = '\0';
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    close(slow.fd);
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1000);
    harness_stop(harness);
}

static void a_body_beyond_the_limit_is_refused_with_413(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer body;
    harness_start_with(harness, backend, "", "");
    buffer_init(&body, (size_t)32 << 20);
    assert_non_null(buffer_reserve(&body, (size_t)21 << 20));
    memset(buffer_reserve(&body, (size_t)21 << 20), ' ', (size_t)21 << 20);
    buffer_commit(&body, (size_t)21 << 20);
    int status =
        harness_post(harness, "/v1/traces", "application/json", NULL, buffer_view(&body)).status;
    assert_true(status == 413 || status == 0);  // it may close before the client has sent all
    harness_stop(harness);
    buffer_fini(&body);
}

static const char *two_receivers(struct harness *harness, const struct backend *backend,
                                 uint16_t port, const char *names)
{
    char yaml[1024];
    snprintf(yaml, sizeof(yaml),
             "receivers:\n"
             "  otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}\n"
             "  otlp/two: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}\n"
             "exporters: {otlp_http: {endpoint: \"%s\"}}\n"
             "service: {pipelines: {traces: {receivers: [%s], exporters: [otlp_http]}}}\n",
             port, backend_url(backend), names);
    return harness_file(harness, "config.yaml", yaml);
}

// It has seconds to finish its requests, but the end of the process does not wait for them.
static void a_receiver_that_was_removed_does_not_hold_up_the_end(void **state)
{
    static const char half[] = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: "
                               "application/x-protobuf\r\nContent-Length: 1000\r\n\r\nhalf";
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    uint16_t port = harness_free_port();
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *path = two_receivers(harness, backend, port, "otlp, otlp/two");
    harness_start(harness, (const char *const[]){"--config", path, NULL});
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, half, sizeof(half) - 1, 0), sizeof(half) - 1);
    harness_turn(harness, 200);
    (void)two_receivers(harness, backend, port, "otlp");
    harness_signal(harness, SIGHUP);
    harness_wait_said(harness, "the new configuration is in force");
    uint64_t from_ns = clock_mono_ns();
    harness_stop(harness);
    uint64_t took_ns = clock_mono_ns() - from_ns;
    print_message("[   INFO   ] half a request at a removed receiver: %u ms to the exit\n",
                  (unsigned)(took_ns / NS_PER_MS));
    assert_true(took_ns < 4 * NS_PER_S);  // it would be 5 s
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(metrics_have_the_collectors_names),
        TEST(health_check_answers_while_the_backend_is_down),
        TEST(what_a_backend_refuses_for_good_is_dropped_and_named),
        TEST(memory_limiter_refuses_at_the_door),
        TEST(a_chain_edits_drops_and_delays_before_and_behind_evaluation),
        TEST(file_and_debug_exporters_write_what_passes),
        TEST(doctor_says_a_line_for_each_thing_with_the_remedy),
        TEST(doctor_is_content_with_a_sound_running_process),
        TEST(a_slow_20_mib_json_does_not_keep_small_requests_waiting),
        TEST(a_body_beyond_the_limit_is_refused_with_413),
        TEST(a_receiver_that_was_removed_does_not_hold_up_the_end),
    };
    return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
