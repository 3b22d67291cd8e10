// SPDX-License-Identifier: Apache-2.0
//
// The configuration changes while requests come: what was acknowledged arrives, and arrives once;
// what had begun ends as it began; what is bad changes nothing. And the end: announced (drain), and
// by signal, within its time, with everything accepted delivered.
//
// Bounds: those of the harness.

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/ids.h"
#include "proto/otlp_json.h"
#include "tests/scenario/harness.h"

#define CONFIG_MAX 8192

struct rig {
    struct harness *harness;
    uint16_t port;
    const char *path;  // of the configuration
    unsigned sent;     // spans acknowledged, numbered from 0
    unsigned retried;  // requests sent again, because they were refused or got no answer
};

struct wanted {
    const char *endpoint, *evaluation;  // flow map's content
    uint16_t port;
};

static void config_write(struct rig *rig, const struct wanted *wanted)
{
    char yaml[CONFIG_MAX];
    snprintf(yaml, sizeof(yaml),
             "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}\n"
             "processors: {evaluation: {%s}}\n"
             "exporters: {otlp_http: {endpoint: \"%s\", retry_on_failure: {initial_interval: "
             "100ms, max_interval: 100ms}, sending_queue: {batch: {flush_timeout: 10ms}}}}\n"
             "extensions: {health_check: }\n"
             "service:\n"
             "  extensions: [health_check]\n"
             "  pipelines:\n"
             "    traces: {receivers: [otlp], processors: [evaluation], exporters: [otlp_http]}\n",
             wanted->port, wanted->evaluation, wanted->endpoint);
    rig->path = harness_file(rig->harness, "config.yaml", yaml);
}

static void rig_start(struct rig *rig, struct harness *harness, const struct wanted *wanted)
{
    *rig = (struct rig){.harness = harness};
    config_write(rig, wanted);
    harness_start(harness, (const char *const[]){"--config", rig->path, NULL});
}

static void send_spans(struct rig *rig, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct buffer request;
        harness_span(&request, rig->sent++, "load");
        harness_send(rig->harness, buffer_view(&request));
        buffer_fini(&request);
    }
}

// --- several requests at a time ---

#define LANES 8
#define NUMBERS_MAX 4096

struct load {
    struct rig *rig;
    bool is_ending;  // nobody answers any more: what is refused is not sent again
    bool acknowledged[NUMBERS_MAX];
    struct lane {
        struct load *load;
        unsigned number;
        struct buffer request;
        char url[64];
        bool is_busy;
    } lanes[LANES];
};

static void lane_send(struct lane *lane);

static void lane_answered(void *arg, const struct http_response *response)
{
    struct lane *lane = arg;
    lane->is_busy = false;
    if (response->result != RESULT_OK || response->status != 200) {
        if (!lane->load->is_ending) {
            lane->load->rig->retried++;  // as an SDK does
            lane_send(lane);
            return;
        }
    } else {
        lane->load->acknowledged[lane->number] = true;
    }
    buffer_fini(&lane->request);
}

static void lane_send(struct lane *lane)
{
    static const struct http_header headers[] = {{"Content-Type", "application/x-protobuf"}};
    snprintf(lane->url, sizeof(lane->url), "http://127.0.0.1:%u/v1/traces",
             lane->load->rig->harness->http_port);
    lane->is_busy = true;
    http_client_send(lane->load->rig->harness->client,
                     &(struct http_request){.method = "POST",
                                            .url = lane->url,
                                            .headers = headers,
                                            .header_count = 1,
                                            .body = buffer_view(&lane->request),
                                            .timeout_ns = 25 * NS_PER_S},
                     lane_answered, lane);
}

// Lanes that have been answered send their next span.
static void load_pump(struct load *load, struct rig *rig)
{
    load->rig = rig;
    for (unsigned i = 0; i < LANES; i++) {
        struct lane *lane = &load->lanes[i];
        if (!lane->is_busy) {
            lane->load = load;
            lane->number = rig->sent++;
            CHECK(lane->number < NUMBERS_MAX);
            harness_span(&lane->request, lane->number, "load");
            lane_send(lane);
        }
    }
}

static bool load_is_done(void *arg)
{
    const struct load *load = arg;
    bool is_busy = false;
    for (unsigned i = 0; i < LANES; i++) {
        is_busy = is_busy || load->lanes[i].is_busy;
    }
    return !is_busy;
}

static void load_end(struct load *load)
{
    harness_wait(load->rig->harness, load_is_done, load, HARNESS_PATIENCE_S, "the last answers");
}

struct outcome {
    struct harness *harness;
    const char *label;
    double count;
};

static bool has_outcome(void *arg)
{
    const struct outcome *outcome = arg;
    return harness_metric(outcome->harness, "sidejudge_config_reloads_total", outcome->label) >=
           outcome->count;
}

static void wait_outcome(struct harness *harness, const char *label, unsigned count)
{
    struct outcome outcome = {harness, label, count};
    harness_wait(harness, has_outcome, &outcome, HARNESS_PATIENCE_S, label);
}

struct shares {
    const struct backend *a, *b;
    unsigned count;
};

static bool have_all(void *arg)
{
    const struct shares *shares = arg;
    unsigned at_b = shares->b != shares->a ? backend_items(shares->b, SIGNAL_TRACES) : 0;
    return backend_items(shares->a, SIGNAL_TRACES) + at_b >= shares->count;
}

static unsigned span_count(unsigned number, const struct backend *a, const struct backend *b)
{
    uint8_t ids[24];
    char hex[64];
    struct backend_item item;
    snprintf(hex, sizeof(hex), "5cec5cec5cec5cec5cec5cec%08x5cec5cec%08x", number, number);
    CHECK(hex_decode(bytes_from_text(hex), ids, sizeof(ids)));
    return backend_find_span(a, ids, ids + 16, &item) +
           (b != a ? backend_find_span(b, ids, ids + 16, &item) : 0);
}

// Every acknowledged span is at one of the two, once; what was sent again may have come again.
static void nothing_lost_nothing_twice(struct rig *rig, const struct backend *a,
                                       const struct backend *b)
{
    struct shares shares = {a, b, rig->sent};
    harness_wait(rig->harness, have_all, &shares, HARNESS_PATIENCE_S, "all spans");
    for (unsigned i = 0; i < rig->sent; i++) {
        unsigned count = span_count(i, a, b);
        if (count != 1 && !(count == 2 && rig->retried > 0)) {
            fail_msg("span %u is there %u times", i, count);
        }
    }
}

static void exporter_endpoint_changes_under_load(void **state)
{
    struct harness *harness = *state;
    struct backend *a = harness_backend(harness);
    struct backend *b = harness_backend(harness);
    struct wanted wanted = {backend_url(a), "", 0};
    struct rig rig;
    struct load load = {0};
    rig_start(&rig, harness, &wanted);
    send_spans(&rig, 100);
    wanted.endpoint = backend_url(b);
    config_write(&rig, &wanted);
    load_pump(&load, &rig);
    harness_signal(harness, SIGHUP);
    for (unsigned i = 0; i < 400 && !harness_said(harness, "the new configuration is in force");
         i++) {
        load_pump(&load, &rig);
        harness_turn(harness, 1);
    }
    harness_wait_said(harness, "the new configuration is in force");
    load_pump(&load, &rig);
    load_end(&load);
    send_spans(&rig, 100);
    struct shares shares = {a, b, rig.sent};
    harness_wait(harness, have_all, &shares, HARNESS_PATIENCE_S, "all spans");
    assert_true(backend_items(b, SIGNAL_TRACES) >= 100);
    nothing_lost_nothing_twice(&rig, a, b);
    assert_int_equal(rig.retried, 0);
    assert_true(harness_metric(harness, "sidejudge_config_reload_success", "") == 1);
    harness_stop(harness);
}

// --- an evaluation rule changes while interactions are open ---

// The agent's root and a child of it, as two requests of one trace.
static void send_child(struct rig *rig, unsigned number)
{
    char json[1536], why[256];
    struct buffer request;
    snprintf(json, sizeof(json),
             "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{"
             "\"traceId\":\"a9e7a9e7a9e7a9e7a9e7a9e7%08x\",\"spanId\":\"c01dc01d%08x\","
             "\"parentSpanId\":\"a9e7a9e7%08x\",\"flags\":256,"
             "\"name\":\"chat\",\"kind\":1,\"startTimeUnixNano\":\"1795255623854972540\","
             "\"endTimeUnixNano\":\"1795255623855293736\",\"attributes\":["
             "{\"key\":\"openinference.span.kind\",\"value\":{\"stringValue\":\"LLM\"}},"
             "{\"key\":\"input.value\",\"value\":{\"stringValue\":\"How long is delivery?\"}},"
             "{\"key\":\"output.value\",\"value\":{\"stringValue\":\"Two days.\"}}]}]}]}]}",
             number, number, number);
    buffer_init(&request, (size_t)1 << 20);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, bytes_from_text(json), &request, why, sizeof(why)) ==
          RESULT_OK);
    harness_send(rig->harness, buffer_view(&request));
    buffer_fini(&request);
}

struct explained {
    struct harness *harness;
    unsigned number;
    char body[4096];
};

static bool is_explained(void *arg)
{
    struct explained *explained = arg;
    char path[128];
    snprintf(path, sizeof(path), "/v1/decisions/a9e7a9e7a9e7a9e7a9e7a9e7%08x", explained->number);
    struct harness_reply reply =
        harness_get(explained->harness, explained->harness->api_port, path);
    snprintf(explained->body, sizeof(explained->body), "%s", reply.body);
    return reply.status == 200;
}

static void open_interactions_finish_under_the_rule_they_began_with(void **state)
{
    static const char rules[] =
        "hold: 8s, completion: {linger: 2s, idle: 4s}, sampling: {baseline: 0, rules: {%s: "
        "{probability: 1, match: {openinference.span.kind: AGENT}}}}";
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    char old_rules[512], new_rules[512];
    struct wanted wanted = {backend_url(backend), old_rules, 0};
    struct rig rig;
    struct buffer request;
    snprintf(old_rules, sizeof(old_rules), rules, "the_old_rule");
    snprintf(new_rules, sizeof(new_rules), rules, "the_new_rule");
    rig_start(&rig, harness, &wanted);
    send_child(&rig, 1);  // trace 1 is open: its agent has not ended
    wanted.evaluation = new_rules;
    config_write(&rig, &wanted);
    harness_signal(harness, SIGHUP);
    harness_wait_said(harness, "the new configuration is in force");
    harness_agents(&request, 1, 2);  // the agents of traces 1 and 2, in one request: it is split
    harness_send(harness, buffer_view(&request));
    struct explained first = {.harness = harness, .number = 1};
    struct explained second = {.harness = harness, .number = 2};
    harness_wait(harness, is_explained, &first, HARNESS_PATIENCE_S, "the decision of trace 1");
    harness_wait(harness, is_explained, &second, HARNESS_PATIENCE_S, "the decision of trace 2");
    assert_non_null(strstr(first.body, "the_old_rule"));
    assert_null(strstr(first.body, "the_new_rule"));
    assert_non_null(strstr(second.body, "the_new_rule"));
    assert_null(strstr(second.body, "the_old_rule"));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 3);
    (void)harness_spans_arrived(harness, backend, buffer_view(&request));
    buffer_fini(&request);
    harness_stop(harness);
}

static bool no_generation_retires(void *arg)
{
    return harness_metric(arg, "sidejudge_config_retiring_generations", "") == 0;
}

static void the_old_generation_goes_when_its_traces_are_decided(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "hold: 600ms, completion: {linger: 300ms}", 0};
    struct rig rig;
    struct buffer request;
    rig_start(&rig, harness, &wanted);
    harness_agents(&request, 1, 3);
    harness_send(harness, buffer_view(&request));
    wanted.evaluation = "hold: 700ms, completion: {linger: 300ms}";
    config_write(&rig, &wanted);
    harness_signal(harness, SIGHUP);
    harness_wait_said(harness, "the new configuration is in force");
    harness_wait_items(harness, backend, SIGNAL_TRACES, 3);
    harness_wait(harness, no_generation_retires, harness, HARNESS_PATIENCE_S,
                 "the end of the old generation");
    struct harness_reply reply = harness_get(harness, harness->api_port, "/debug/pipelines");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"generation\":2"));
    assert_non_null(strstr(reply.body, "\"retiring\":[]"));
    assert_true(harness_metric(harness, "sidejudge_targets_total", "") == 3);
    buffer_fini(&request);
    harness_stop(harness);
}

// --- bad ones ---

static bool is_mended(void *arg)
{
    return harness_metric(arg, "sidejudge_config_reload_success", "") == 1;
}

static void what_is_bad_keeps_the_old_one(void **state)
{
    static const char *const bad[] = {
        "receivers: {otlp: {protocols: {http: {endpoi",  // half-written
        "",
        "receivers: {otlp: {protocols: {http: }}}\nexporters: {nothing: }\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [nothing]}}}\n",
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "exporters: {otlp_http: {endpoint: \"http://127.0.0.1:1\", misspelt: 1}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}\n",
    };
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", 0};
    struct rig rig;
    rig_start(&rig, harness, &wanted);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)harness_file(harness, "config.yaml", bad[i]);  // told by the file's change
        wait_outcome(harness, "rejected", i + 1);
        assert_true(harness_metric(harness, "sidejudge_config_reload_success", "") == 0);
        send_spans(&rig, 5);
    }
    assert_true(harness_said(harness, "the one in force stays"));
    config_write(&rig, &wanted);  // mended
    harness_wait(harness, is_mended, harness, HARNESS_PATIENCE_S, "the mended configuration");
    send_spans(&rig, 5);
    nothing_lost_nothing_twice(&rig, backend, backend);
    assert_true(harness_metric(harness, "sidejudge_config_reloads_total", "applied") == 0);
    harness_stop(harness);
}

static void port_that_is_taken_keeps_the_old_one(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", harness_free_port()};
    struct rig rig;
    rig_start(&rig, harness, &wanted);
    wanted.port = backend_port(backend);
    config_write(&rig, &wanted);
    harness_signal(harness, SIGHUP);
    wait_outcome(harness, "rejected", 1);
    assert_true(harness_said(harness, "Address already in use"));
    send_spans(&rig, 20);
    nothing_lost_nothing_twice(&rig, backend, backend);
    harness_stop(harness);
}

// --- storms ---

static long resident_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

static unsigned descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void storm_of_signals_costs_neither_memory_nor_descriptors(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    char evaluation[128];
    struct wanted wanted = {backend_url(backend), evaluation, 0};
    struct rig rig;
    struct load load = {0};
    snprintf(evaluation, sizeof(evaluation), "hold: 200ms, completion: {linger: 100ms}");
    rig_start(&rig, harness, &wanted);
    send_spans(&rig, 50);
    unsigned descriptors_before = 0;
    long resident_before = 0;
    for (unsigned i = 0; i < 240; i++) {
        snprintf(evaluation, sizeof(evaluation), "hold: %ums, completion: {linger: 100ms}",
                 200 + i);
        config_write(&rig, &wanted);
        harness_signal(harness, SIGHUP);
        load_pump(&load, &rig);
        harness_turn(harness, 50);
        if (i == 60) {
            descriptors_before = descriptors(harness->pid);
            resident_before = resident_kib(harness->pid);
        }
    }
    load_end(&load);
    harness_wait(harness, no_generation_retires, harness, HARNESS_PATIENCE_S,
                 "the end of the old generations");
    double applied = harness_metric(harness, "sidejudge_config_reloads_total", "applied");
    print_message(
        "[   INFO   ] %.0f changes, %u spans, %u retried; descriptors %u -> %u; RSS %ld -> %ld "
        "KiB\n",
        applied, rig.sent, rig.retried, descriptors_before, descriptors(harness->pid),
        resident_before, resident_kib(harness->pid));
    assert_true(applied >= 5);
    assert_true(descriptors(harness->pid) <= descriptors_before + 8);
    assert_true(resident_kib(harness->pid) < resident_before + 24 * 1024);
    nothing_lost_nothing_twice(&rig, backend, backend);
    harness_stop(harness);
}

// --- as Kubernetes does it ---

static void write_at(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void map_publish(struct rig *rig, const char *version)
{
    char folder[256], link_path[256], swap_path[256], config[256];
    struct buffer text;
    snprintf(folder, sizeof(folder), "%s/%s", rig->harness->folder, version);
    snprintf(link_path, sizeof(link_path), "%s/..data", rig->harness->folder);
    snprintf(swap_path, sizeof(swap_path), "%s/..data_tmp", rig->harness->folder);
    snprintf(config, sizeof(config), "%s/config.yaml", rig->harness->folder);
    CHECK(mkdir(folder, 0700) == 0);
    buffer_init(&text, (size_t)1 << 20);
    CHECK(file_read(config, &text) == RESULT_OK);
    write_at(folder, "mounted.yaml", buffer_text(&text));
    buffer_fini(&text);
    CHECK(symlink(version, swap_path) == 0 && rename(swap_path, link_path) == 0);
}

static void map_remove(struct rig *rig, const char *version)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s/mounted.yaml", rig->harness->folder, version);
    unlink(path);
    snprintf(path, sizeof(path), "%s/%s", rig->harness->folder, version);
    rmdir(path);
}

static void config_map_swap_is_noticed(void **state)
{
    struct harness *harness = *state;
    struct backend *a = harness_backend(harness);
    struct backend *b = harness_backend(harness);
    struct wanted wanted = {backend_url(a), "", 0};
    struct rig rig = {.harness = harness};
    char path[256], swap_path[256];
    config_write(&rig, &wanted);
    map_publish(&rig, "v1");
    snprintf(path, sizeof(path), "%s/mounted.yaml", harness->folder);
    CHECK(symlink("..data/mounted.yaml", path) == 0);
    harness_start(harness, (const char *const[]){"--config", path, NULL});
    send_spans(&rig, 10);
    wanted.endpoint = backend_url(b);
    config_write(&rig, &wanted);
    map_publish(&rig, "v2");
    harness_wait_said(harness, "the new configuration is in force");
    send_spans(&rig, 10);
    nothing_lost_nothing_twice(&rig, a, b);
    assert_int_equal(backend_items(b, SIGNAL_TRACES), 10);
    harness_stop(harness);
    map_remove(&rig, "v1");
    map_remove(&rig, "v2");
    snprintf(swap_path, sizeof(swap_path), "%s/..data", harness->folder);
    unlink(swap_path);
}

static void receiver_moves_to_another_port_and_changes_on_its_own(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", harness_free_port()};
    struct rig rig;
    rig_start(&rig, harness, &wanted);
    send_spans(&rig, 10);
    struct load load = {0};
    uint16_t old_port = wanted.port;
    wanted.port = harness_free_port();
    config_write(&rig, &wanted);
    harness_signal(harness, SIGHUP);
    harness_wait_said(harness, "the new configuration is in force");
    harness->http_port = wanted.port;
    send_spans(&rig, 10);
    assert_int_equal(harness_get(harness, old_port, "/").status, 0);
    // the same port with another option: no connection is refused meanwhile
    char yaml[CONFIG_MAX];
    snprintf(yaml, sizeof(yaml),
             "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\", "
             "max_request_body_size: 65536}}}}\n"
             "exporters: {otlp_http: {endpoint: \"%s\"}}\n"
             "extensions: {health_check: }\n"
             "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], "
             "exporters: [otlp_http]}}}\n",
             wanted.port, backend_url(backend));
    (void)harness_file(harness, "config.yaml", yaml);
    harness_signal(harness, SIGHUP);
    struct outcome outcome = {harness, "applied", 2};
    for (unsigned i = 0; i < 200 && !has_outcome(&outcome); i++) {
        load_pump(&load, &rig);
        harness_turn(harness, 2);
    }
    harness_wait(harness, has_outcome, &outcome, HARNESS_PATIENCE_S, "the second change");
    load_pump(&load, &rig);
    load_end(&load);
    send_spans(&rig, 20);
    print_message("[   INFO   ] same port: %u retried\n", rig.retried);
    nothing_lost_nothing_twice(&rig, backend, backend);
    harness_stop(harness);
}

static void reload_while_the_backend_is_down_loses_nothing(void **state)
{
    struct harness *harness = *state;
    struct backend *a = harness_backend(harness);
    struct backend *b = harness_backend(harness);
    struct wanted wanted = {backend_url(a), "", 0};
    struct rig rig;
    backend_answer(a, 503, 0);
    rig_start(&rig, harness, &wanted);
    send_spans(&rig, 20);
    wanted.endpoint = backend_url(b);
    config_write(&rig, &wanted);
    harness_signal(harness, SIGHUP);
    harness_wait_said(harness, "the new configuration is in force");
    send_spans(&rig, 20);
    harness_wait_items(harness, b, SIGNAL_TRACES, 20);
    assert_true(harness_metric(harness, "sidejudge_config_retiring_exporters", "") == 1);
    backend_answer(a, 200, 0);  // it has kept what it was given before
    harness_wait_items(harness, a, SIGNAL_TRACES, 20);
    nothing_lost_nothing_twice(&rig, a, b);
    harness_wait(harness, no_generation_retires, harness, HARNESS_PATIENCE_S,
                 "the end of the old exporter");
    harness_stop(harness);
}

// --- probes, drain, end ---

static bool has_come(void *arg)
{
    const struct shares *shares = arg;
    return backend_items(shares->a, SIGNAL_TRACES) >= shares->count;
}

static void drain_hurries_and_goes_on_accepting(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "hold: 60s, completion: {linger: 30s, idle: 40s}",
                            0};
    struct rig rig;
    struct buffer request;
    rig_start(&rig, harness, &wanted);
    assert_int_equal(harness_get(harness, harness->health_port, "/readyz").status, 200);
    assert_int_equal(harness_get(harness, harness->health_port, "/livez").status, 200);
    harness_agents(&request, 1, 3);
    harness_send(harness, buffer_view(&request));
    assert_int_equal(backend_items(backend, SIGNAL_TRACES), 0);
    for (unsigned i = 0; i < 2; i++) {  // twice is once
        assert_int_equal(harness_get(harness, harness->health_port, "/-/drain").status, 200);
    }
    struct shares shares = {backend, NULL, 3};
    harness_wait(harness, has_come, &shares, 10, "what was held");
    assert_int_equal(harness_get(harness, harness->health_port, "/readyz").status, 503);
    assert_int_equal(harness_get(harness, harness->health_port, "/livez").status, 200);
    send_spans(&rig, 5);
    shares.count = 8;
    harness_wait(harness, has_come, &shares, 10, "what came afterwards");
    assert_true(harness_metric(harness, "sidejudge_targets_total", "") == 3);
    buffer_fini(&request);
    harness_stop(harness);
}

static void pipelines_are_shown_to_people_and_machines(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", 0};
    struct rig rig;
    rig_start(&rig, harness, &wanted);
    struct harness_reply reply = harness_get(harness, harness->api_port, "/debug/pipelines");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/json");
    assert_non_null(strstr(reply.body, "\"receivers\":[\"otlp\"]"));
    assert_non_null(strstr(reply.body, "\"queue_bytes_max\""));
    harness_stop(harness);
}

static void signal_ends_it_in_time_with_everything_delivered(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "hold: 60s, completion: {linger: 30s, idle: 40s}",
                            0};
    struct rig rig;
    struct buffer request;
    rig_start(&rig, harness, &wanted);
    harness_agents(&request, 1, 50);  // held until the signal
    harness_send(harness, buffer_view(&request));
    send_spans(&rig, 300);
    uint64_t from_ns = clock_mono_ns();
    harness_signal(harness, SIGTERM);
    assert_int_equal(harness_wait_end(harness), 0);
    uint64_t took_ns = clock_mono_ns() - from_ns;
    print_message("[   INFO   ] SIGTERM to exit: %u ms\n", (unsigned)(took_ns / NS_PER_MS));
    assert_true(took_ns < 20 * NS_PER_S);
    (void)harness_spans_arrived(harness, backend, buffer_view(&request));
    nothing_lost_nothing_twice(&rig, backend, backend);
    harness_sanitizers_are_silent(harness);
    buffer_fini(&request);
}

// The backend is down when the signal comes, and up again a little later.
static void signal_under_load_loses_nothing_acknowledged(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", 0};
    struct rig rig;
    struct load load = {0};
    unsigned acknowledged = 0;
    backend_answer(backend, 503, 0);
    rig_start(&rig, harness, &wanted);
    for (unsigned i = 0; i < 60; i++) {
        load_pump(&load, &rig);
        harness_turn(harness, 2);
    }
    load_pump(&load, &rig);
    load.is_ending = true;
    uint64_t from_ns = clock_mono_ns();
    harness_signal(harness, SIGTERM);
    harness_turn(harness, 400);
    backend_answer(backend, 200, 0);
    assert_int_equal(harness_wait_end(harness), 0);
    uint64_t took_ns = clock_mono_ns() - from_ns;
    load_end(&load);
    for (unsigned i = 0; i < rig.sent; i++) {
        if (load.acknowledged[i]) {
            acknowledged++;
            assert_true(span_count(i, backend, backend) == 1);
        }
    }
    print_message("[   INFO   ] SIGTERM to exit, backend away for 400 ms: %u ms; %u of %u "
                  "acknowledged, all there\n",
                  (unsigned)(took_ns / NS_PER_MS), acknowledged, rig.sent);
    assert_true(acknowledged > 100 && took_ns < 20 * NS_PER_S);
    harness_sanitizers_are_silent(harness);
}

static bool probe_says_no(void *arg)
{
    struct harness *harness = arg;
    return harness_get(harness, harness->health_port, "/readyz").status == 503;
}

static void probes_answer_while_the_end_waits_for_a_dead_backend(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", 0};
    struct rig rig;
    backend_answer(backend, 503, 0);
    rig_start(&rig, harness, &wanted);
    send_spans(&rig, 20);
    uint64_t from_ns = clock_mono_ns();
    harness_signal(harness, SIGTERM);
    harness_wait(harness, probe_says_no, harness, HARNESS_PATIENCE_S, "readyz during the end");
    assert_true(harness_metric(harness, "otelcol_receiver_accepted_spans", "") == 20);
    assert_int_equal(harness_wait_end(harness), 0);
    uint64_t took_ns = clock_mono_ns() - from_ns;
    print_message("[   INFO   ] SIGTERM to exit, backend down: %u ms\n",
                  (unsigned)(took_ns / NS_PER_MS));
    assert_true(took_ns < 20 * NS_PER_S);
    harness_sanitizers_are_silent(harness);
}

static void second_signal_ends_it_at_once(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct wanted wanted = {backend_url(backend), "", 0};
    struct rig rig;
    backend_answer(backend, 503, 0);
    rig_start(&rig, harness, &wanted);
    send_spans(&rig, 20);
    harness_signal(harness, SIGTERM);
    harness_wait_said(harness, "draining");
    harness_signal(harness, SIGTERM);
    assert_int_equal(harness_wait_end(harness), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exporter_endpoint_changes_under_load),
        TEST(open_interactions_finish_under_the_rule_they_began_with),
        TEST(the_old_generation_goes_when_its_traces_are_decided),
        TEST(what_is_bad_keeps_the_old_one),
        TEST(port_that_is_taken_keeps_the_old_one),
        TEST(config_map_swap_is_noticed),
        TEST(receiver_moves_to_another_port_and_changes_on_its_own),
        TEST(reload_while_the_backend_is_down_loses_nothing),
        TEST(drain_hurries_and_goes_on_accepting),
        TEST(pipelines_are_shown_to_people_and_machines),
        TEST(signal_ends_it_in_time_with_everything_delivered),
        TEST(probes_answer_while_the_end_waits_for_a_dead_backend),
        TEST(signal_under_load_loses_nothing_acknowledged),
        TEST(second_signal_ends_it_at_once),
        TEST(storm_of_signals_costs_neither_memory_nor_descriptors),
    };
    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
