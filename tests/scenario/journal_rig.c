// SPDX-License-Identifier: Apache-2.0
//
// Requests are made from numbers, so that no two spans are the same, and sent by the harness's
// client without waiting. The oracle hears of a request before it leaves and of its OK when that is
// here: what a kill swallowed was sent and never acknowledged, and may arrive or not. Refused:
// sending such a request again, which would make two decisions on one target legitimate.
//
// Bounds: JOURNAL_RIG_FLIGHTS requests in flight, patience of the harness. One thread.
#include "tests/scenario/journal_rig.h"

#include <dirent.h>
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
#include "base/file.h"
#include "proto/otlp_json.h"

#define REQUEST_BYTES_MAX ((size_t)8 << 20)

int journal_rig_setup(void **state)
{
    struct journal_rig *rig = calloc(1, sizeof(*rig));
    void *harness = NULL;
    CHECK(rig != NULL);
    harness_setup(&harness);
    rig->harness = harness;
    rig->oracle = oracle_new();
    rig->first = faulty_backend_open(rig->harness->loop, rig->oracle, JOURNAL_FIRST);
    rig->second = faulty_backend_open(rig->harness->loop, rig->oracle, JOURNAL_SECOND);
    rig->compressor = compressor_new();
    rig->number = 1;
    random_seed(&rig->random, 20261121);
    snprintf(rig->directory, sizeof(rig->directory), "%s/journal", rig->harness->folder);
    for (unsigned i = 0; i < JOURNAL_RIG_FLIGHTS; i++) {
        struct journal_flight *flight = &rig->flights[i];
        flight->rig = rig;
        buffer_init(&flight->packed, REQUEST_BYTES_MAX);
    }
    *state = rig;
    return 0;
}

int journal_rig_teardown(void **state)
{
    struct journal_rig *rig = *state;
    void *harness = rig->harness;
    faulty_backend_close(&rig->first);
    faulty_backend_close(&rig->second);
    harness_teardown(&harness);
    oracle_free(&rig->oracle);
    compressor_free(rig->compressor);
    for (unsigned i = 0; i < JOURNAL_RIG_FLIGHTS; i++) {
        buffer_fini(&rig->flights[i].packed);
    }
    free(rig);
    return 0;
}

// --- the program ---

static const char *text_or(const char *text, const char *fallback)
{
    return text != NULL ? text : fallback;
}

static void exporters_write(const struct journal_rig *rig, const struct journal_setup *setup,
                            struct buffer *yaml)
{
    static const char common[] = "compression: none, timeout: 2s, retry_on_failure: "
                                 "{initial_interval: 30ms, max_interval: 150ms";
    buffer_printf(
        yaml,
        "exporters:\n  otlp_http/first: {endpoint: \"%s\", %s%s}, sending_queue: {storage: "
        "file_storage%s}%s}\n",
        faulty_backend_url(rig->first), common, text_or(setup->retry, ""),
        text_or(setup->queue, ", batch: {flush_timeout: 10ms}"), text_or(setup->exporter, ""));
    if (setup->second != NULL) {
        buffer_printf(yaml, "  otlp_http/second: {endpoint: \"%s\", %s}, sending_queue: {%s}}\n",
                      faulty_backend_url(rig->second), common, setup->second);
    }
}

const char *journal_rig_configure(struct journal_rig *rig, const struct journal_setup *setup)
{
    struct buffer yaml;
    buffer_init(&yaml, (size_t)1 << 16);
    buffer_printf(
        &yaml,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "extensions:\n  health_check:\n"
        "  file_storage: {directory: \"%s\", create_directory: true%s}\n"
        "processors: {%s evaluation: {hold: 100ms, completion: {linger: 20ms, idle: 1s}%s}}\n",
        rig->directory, text_or(setup->storage, ""), text_or(setup->processors, ""),
        text_or(setup->evaluation, ""));
    exporters_write(rig, setup, &yaml);
    buffer_printf(&yaml,
                  "service:\n  extensions: [health_check, file_storage]\n  pipelines:\n"
                  "    traces: {receivers: [otlp], processors: [%s], exporters: "
                  "[otlp_http/first%s]}\n",
                  text_or(setup->chain, "evaluation"),
                  setup->second != NULL ? ", otlp_http/second" : "");
    const char *path = harness_file(rig->harness, "config.yaml", buffer_text(&yaml));
    buffer_fini(&yaml);
    return path;
}

void journal_rig_launch(struct journal_rig *rig, const struct journal_setup *setup)
{
    const char *path = journal_rig_configure(rig, setup);
    harness_launch(rig->harness, (const char *const[]){"--config", path, NULL});
}

void journal_rig_start(struct journal_rig *rig, const struct journal_setup *setup)
{
    journal_rig_launch(rig, setup);
    harness_wait_said(rig->harness, "Everything is ready");
    harness_read_ports(rig->harness);
}

static bool is_settled(void *arg)
{
    const struct journal_rig *rig = arg;
    for (unsigned i = 0; i < JOURNAL_RIG_FLIGHTS; i++) {
        if (rig->flights[i].is_used) {
            return false;
        }
    }
    return true;
}

void journal_rig_settle(struct journal_rig *rig)
{
    harness_wait(rig->harness, is_settled, rig, HARNESS_PATIENCE_S, "the answers in flight");
}

void journal_rig_kill(struct journal_rig *rig)
{
    harness_signal(rig->harness, SIGKILL);
    assert_int_equal(harness_wait_end(rig->harness), 128 + SIGKILL);
    harness_sanitizers_are_silent(rig->harness);
    journal_rig_settle(rig);
}

// --- requests ---

static void request_of_json(struct buffer *json, struct buffer *request)
{
    char why[256];
    buffer_init(request, REQUEST_BYTES_MAX);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(json), request, why, sizeof(why)) ==
          RESULT_OK);
    buffer_fini(json);
}

static void json_begin(struct buffer *json)
{
    buffer_init(json, REQUEST_BYTES_MAX);
    buffer_append_text(json, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":"
                             "\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]},"
                             "\"scopeSpans\":[{\"spans\":[");
}

// The part of a conversation that ends first: what was retrieved, and a call of a model.
static void children_write(struct buffer *request, unsigned number)
{
    struct buffer json;
    json_begin(&json);
    for (unsigned i = 0; i < 2; i++) {
        buffer_printf(&json,
                      "%s{\"traceId\":\"c0dec0dec0dec0dec0dec0de%08x\",\"spanId\":\"%08x%08x\","
                      "\"parentSpanId\":\"c0dec0de%08x\",\"name\":\"%s\",\"kind\":1,"
                      "\"startTimeUnixNano\":\"1795255623854972540\","
                      "\"endTimeUnixNano\":\"1795255623855293736\",\"attributes\":["
                      "{\"key\":\"openinference.span.kind\",\"value\":{\"stringValue\":\"%s\"}},"
                      "{\"key\":\"%s\",\"value\":{\"stringValue\":\"Delivery takes two days, order "
                      "%u.\"}}]}",
                      i > 0 ? "," : "", number, i + 1, number, number,
                      i == 0 ? "retrieve" : "model", i == 0 ? "RETRIEVER" : "LLM",
                      i == 0 ? "retrieval.documents.0.document.content" : "output.value", number);
    }
    buffer_append_text(&json, "]}]}]}");
    request_of_json(&json, request);
}

static void root_write(struct buffer *request, unsigned number)
{
    struct buffer json;
    json_begin(&json);
    buffer_printf(&json,
                  "{\"traceId\":\"c0dec0dec0dec0dec0dec0de%08x\",\"spanId\":\"c0dec0de%08x\","
                  "\"name\":\"agent\",\"kind\":1,\"startTimeUnixNano\":\"1795255623854972540\","
                  "\"endTimeUnixNano\":\"1795255623855293736\",\"attributes\":["
                  "{\"key\":\"openinference.span.kind\",\"value\":{\"stringValue\":\"AGENT\"}},"
                  "{\"key\":\"input.value\",\"value\":{\"stringValue\":\"How long is delivery of "
                  "order %u?\"}},{\"key\":\"output.value\",\"value\":{\"stringValue\":\"Delivery "
                  "takes two days, order %u.\"}}]}]}]}]}",
                  number, number, number, number);
    request_of_json(&json, request);
}

static void request_make(struct journal_rig *rig, struct buffer *request)
{
    unsigned kind = (unsigned)random_below(&rig->random, 100);
    if (kind < 45) {
        unsigned count = 1 + (unsigned)random_below(&rig->random, 20);
        harness_agents(request, rig->number, count);
        rig->number += count;
    } else if (kind < 60) {
        harness_span(request, rig->number++, "plain");
    } else if (kind < 95 && rig->pending == 0) {
        rig->pending = rig->number++;
        children_write(request, rig->pending);
    } else if (kind < 95) {
        root_write(request, rig->pending);
        rig->pending = 0;
    } else {
        harness_agents(request, rig->number, 150);
        rig->number += 150;
    }
}

// --- sending ---

static void flight_landed(void *arg, const struct http_response *response)
{
    struct journal_flight *flight = arg;
    struct journal_rig *rig = flight->rig;
    if (response->result == RESULT_OK && response->status == 200) {
        oracle_acknowledged(rig->oracle, buffer_view(&flight->request));
        rig->acknowledged++;
    } else if (response->result == RESULT_OK) {
        assert_int_equal(response->status, 503);
        assert_true(response->has_retry_after);
        rig->refused++;
    } else {
        rig->unanswered++;
    }
    buffer_fini(&flight->request);
    flight->is_used = false;
}

static void flight_start(struct journal_rig *rig, struct journal_flight *flight)
{
    char url[64];
    bool is_packed = random_below(&rig->random, 2) == 0;
    request_make(rig, &flight->request);
    struct bytes body = buffer_view(&flight->request);
    oracle_sent(rig->oracle, body);
    if (is_packed) {
        buffer_reset(&flight->packed);
        CHECK(codec_deflate(rig->compressor, CODEC_GZIP, &body, 1, &flight->packed) == RESULT_OK);
        body = buffer_view(&flight->packed);
    }
    flight->is_used = true;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/traces", rig->harness->http_port);
    const struct http_header headers[] = {{"Content-Type", "application/x-protobuf"},
                                          {"Content-Encoding", is_packed ? "gzip" : "identity"}};
    http_client_send(rig->harness->client,
                     &(struct http_request){.method = "POST",
                                            .url = url,
                                            .headers = headers,
                                            .header_count = 2,
                                            .body = body,
                                            .timeout_ns = 25 * NS_PER_S},
                     flight_landed, flight);
}

void journal_rig_traffic(struct journal_rig *rig, unsigned ms)
{
    uint64_t until_ns = clock_mono_ns() + ms * NS_PER_MS;
    while (clock_mono_ns() < until_ns) {
        for (unsigned i = 0; i < JOURNAL_RIG_FLIGHTS; i++) {
            if (!rig->flights[i].is_used) {
                flight_start(rig, &rig->flights[i]);
            }
        }
        loop_run_once(rig->harness->loop, 1);
    }
}

int journal_rig_post(struct journal_rig *rig, unsigned count)
{
    struct buffer request;
    harness_agents(&request, rig->number, count);
    rig->number += count;
    int status = oracle_post(rig->oracle, rig->harness, buffer_view(&request));
    buffer_fini(&request);
    return status;
}

void journal_rig_down(struct journal_rig *rig)
{
    if (!rig->is_down) {
        faulty_backend_down(rig->first);
    }
    rig->is_down = true;
}

void journal_rig_up(struct journal_rig *rig)
{
    if (rig->is_down) {
        faulty_backend_up(rig->first);
    }
    rig->is_down = false;
}

static void excuse_file(struct journal_rig *rig, const char *path)
{
    struct buffer body, plain;
    const char *why = "";
    buffer_init(&body, REQUEST_BYTES_MAX);
    buffer_init(&plain, REQUEST_BYTES_MAX);
    CHECK(file_read(path, &body) == RESULT_OK && body.len > 2);
    bool is_packed = body.ptr[0] == 0x1f && body.ptr[1] == 0x8b;
    if (is_packed) {
        CHECK(codec_inflate(rig->compressor, CODEC_GZIP, buffer_view(&body), &plain, NULL, NULL,
                            &why) == RESULT_OK);
    }
    oracle_excuse(rig->oracle, buffer_view(is_packed ? &plain : &body));
    buffer_fini(&body);
    buffer_fini(&plain);
}

unsigned journal_rig_excuse_quarantined(struct journal_rig *rig)
{
    char path[512];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/quarantine", rig->directory);
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/quarantine/%.200s", rig->directory, entry->d_name);
            excuse_file(rig, path);
            count++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

// --- waiting ---

double journal_rig_await_metric(struct journal_rig *rig, const char *name, const char *label,
                                double least, double most)
{
    uint64_t give_up_ns = clock_mono_ns() + HARNESS_PATIENCE_S * NS_PER_S;
    double value = harness_metric(rig->harness, name, label);
    while ((value < least || value > most) && clock_mono_ns() < give_up_ns) {
        harness_turn(rig->harness, 20);
        value = harness_metric(rig->harness, name, label);
    }
    if (value < least || value > most) {
        fail_msg("%s is %g, not within %g and %g (entries %g, failing %g, not stored %g)", name,
                 value, least, most, harness_metric(rig->harness, "sidejudge_journal_entries", ""),
                 harness_metric(rig->harness, "sidejudge_journal_failing", ""),
                 harness_metric(rig->harness, "sidejudge_journal_unstored_requests_total", ""));
    }
    return value;
}

void journal_rig_await_empty(struct journal_rig *rig)
{
    journal_rig_await_metric(rig, "sidejudge_journal_entries", "", 0, 0);
}

void journal_rig_await(struct journal_rig *rig, unsigned backend)
{
    oracle_await(rig->oracle, rig->harness, backend);
    journal_rig_await_empty(rig);
}
