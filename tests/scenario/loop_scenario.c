// SPDX-License-Identifier: Apache-2.0
//
// Exporters whose spans come back: to the program's own listener, and through others that lose the
// hop header, as Collectors do. What stands on the way is a backend here; the scenario posts what
// it got, round by round, cut or joined as the row says, and hears in each answer whether that goes
// on: so a round is complete when as much has arrived as was not held back, and the end of a loop
// is seen, not waited for. Refused: a proxy of its own thread. A real Collector is in
// tests/interop. Bounds: ROUNDS_MAX. One thread.

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/otlp.h"
#include "proto/wire.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"

#define ROUNDS_MAX 10
#define FEEDING_ROUNDS 4  // agents send new spans meanwhile
#define REQUESTS 5        // in each of these
#define SPANS 40          // each
#define PARTS_MAX 4096
#define REQUEST_BYTES_MAX ((size_t)16 << 20)
#define CAUGHT "sidejudge_loop_requests_total"

enum { AROUND, BESIDE };  // backends, at the oracle

enum way {
    WAY_AS_IT_CAME,
    WAY_CUT,       // a request for each span
    WAY_JOINED,    // one request for the round
    WAY_BY_TURNS,  // cut, then joined, and so on
};

struct part {
    struct bytes request;  // owned
    unsigned items;
};

static struct stage {
    struct harness *harness;
    struct oracle *oracle;
    struct backend *around, *beside;
    struct part parts[PARTS_MAX];  // of this round
    unsigned part_count;
    unsigned seen;      // items of `around` that are in earlier rounds
    unsigned expected;  // items that `around` gets
    unsigned held_back;
    unsigned numbers;  // of spans
} stage;

static int stage_setup(void **state)
{
    memset(&stage, 0, sizeof(stage));
    int result = harness_setup(state);
    stage.harness = *state;
    stage.oracle = oracle_new();
    stage.around = harness_backend(stage.harness);
    stage.beside = harness_backend(stage.harness);
    return result;
}

static int stage_teardown(void **state)
{
    oracle_free(&stage.oracle);
    return harness_teardown(state);
}

static void start(const char *processors, const char *chain)
{
    harness_start_yaml(stage.harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "processors: {%s}\n"
                       "exporters:\n"
                       "  otlp_http/around: {endpoint: \"%s\", compression: none}\n"
                       "  otlp_http/beside: {endpoint: \"%s\", compression: none}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], processors: [%s], "
                       "exporters: [otlp_http/around, otlp_http/beside]}}}\n",
                       processors, backend_url(stage.around), backend_url(stage.beside), chain);
}

// --- what stands on the way ---

static void part_add(struct bytes request, unsigned items)
{
    CHECK(stage.part_count < PARTS_MAX);
    uint8_t *copy = malloc(request.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, request.ptr, request.len);
    stage.parts[stage.part_count++] =
        (struct part){.request = bytes_from(copy, request.len), .items = items};
}

static void parts_drop(void)
{
    for (unsigned i = 0; i < stage.part_count; i++) {
        free((void *)(uintptr_t)stage.parts[i].request.ptr);
    }
    stage.part_count = 0;
}

// One span as a request of its own, written anew.
static void span_add(const struct item_view *view)
{
    struct buffer out;
    buffer_init(&out, REQUEST_BYTES_MAX);
    size_t resource = wire_open(&out, REQUEST_RESOURCES);
    wire_write_bytes(&out, RESOURCE_RESOURCE, view->resource);
    size_t scope = wire_open(&out, RESOURCE_SCOPES);
    wire_write_bytes(&out, SCOPE_SCOPE, view->scope);
    wire_write_bytes(&out, SCOPE_ITEMS, view->item);
    wire_close(&out, scope);
    wire_close(&out, resource);
    part_add(buffer_view(&out), 1);
    buffer_fini(&out);
}

struct collecting {
    enum way way;
    unsigned index;
    struct bytes last;  // request
    struct buffer joined;
};

static bool collect(void *arg, const struct backend_item *item)
{
    struct collecting *collecting = arg;
    bool is_new_request = collecting->last.ptr != item->request.ptr;
    collecting->last = item->request;
    if (collecting->index++ < stage.seen) {
        return true;
    }
    if (collecting->way == WAY_CUT) {
        span_add(&item->view);
    } else if (collecting->way == WAY_JOINED && is_new_request) {
        buffer_append_bytes(&collecting->joined, item->request);  // a merge, as protobuf has it
    } else if (is_new_request) {
        part_add(item->request, 0);
    }
    if (collecting->way == WAY_AS_IT_CAME) {
        stage.parts[stage.part_count - 1].items++;
    }
    return true;
}

// Takes what has come since the last round.
static void round_take(enum way way, unsigned round)
{
    struct collecting collecting = {.way = way};
    if (way == WAY_BY_TURNS) {
        collecting.way = round % 2 == 0 ? WAY_CUT : WAY_JOINED;
    }
    buffer_init(&collecting.joined, REQUEST_BYTES_MAX);
    parts_drop();
    backend_each(stage.around, SIGNAL_TRACES, collect, &collecting);
    if (collecting.joined.len > 0) {
        part_add(buffer_view(&collecting.joined), collecting.index - stage.seen);
    }
    stage.seen = collecting.index;
    buffer_fini(&collecting.joined);
}

// Posts it back, without the hop header.
static void round_post(void)
{
    for (unsigned i = 0; i < stage.part_count; i++) {
        struct harness_reply reply = harness_post(
            stage.harness, "/v1/traces", "application/x-protobuf", NULL, stage.parts[i].request);
        assert_int_equal(reply.status, 200);
        bool is_held_back = strstr(reply.body, "third time") != NULL;
        assert_true(is_held_back || reply.body[0] == '\0');
        stage.held_back += is_held_back;
        stage.expected += is_held_back ? 0 : stage.parts[i].items;
    }
}

static void agents_send(unsigned requests)
{
    for (unsigned i = 0; i < requests; i++) {
        struct buffer request;
        harness_agents(&request, stage.numbers, SPANS);
        stage.numbers += SPANS;
        stage.expected += SPANS;
        assert_int_equal(oracle_post(stage.oracle, stage.harness, buffer_view(&request)), 200);
        buffer_fini(&request);
    }
}

// --- loops ---

// User and system time, fields 14 and 15 of proc(5); the name in field 2 may hold blanks.
static uint64_t cpu_ticks(void)
{
    char path[64];
    struct buffer text;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)stage.harness->pid);
    buffer_init(&text, 4096);
    CHECK(file_read(path, &text) == RESULT_OK);
    char *field = strrchr(buffer_text(&text), ')');
    for (unsigned i = 2; i < 14; i++) {
        CHECK(field != NULL);
        field = strchr(field + 1, ' ');
    }
    CHECK(field != NULL);
    uint64_t user = strtoul(field, &field, 10);
    uint64_t system_ticks = strtoul(field, &field, 10);
    buffer_fini(&text);
    return user + system_ticks;
}

static void it_is_quiet(void)
{
    double requests = harness_metric(stage.harness, "sidejudge_receiver_requests_total", "");
    uint64_t ticks = cpu_ticks();
    harness_turn(stage.harness, 1000);
    assert_true(cpu_ticks() - ticks < (uint64_t)sysconf(_SC_CLK_TCK) / 2);
    assert_true(harness_metric(stage.harness, "sidejudge_receiver_requests_total", "") == requests);
    assert_int_equal(backend_items(stage.around, SIGNAL_TRACES), stage.expected);
}

static void loop_dies_out(enum way way, const char *processors, const char *chain)
{
    unsigned round = 0;
    start(processors, chain);
    do {
        assert_true(round < ROUNDS_MAX);
        agents_send(round < FEEDING_ROUNDS ? REQUESTS : 0);
        harness_wait_items(stage.harness, stage.around, SIGNAL_TRACES, stage.expected);
        round_take(way, round);
        round_post();
        round++;
    } while (backend_items(stage.around, SIGNAL_TRACES) < stage.expected || round < FEEDING_ROUNDS);
    parts_drop();
    print_message("ended after %u rounds, %u requests held back, %u spans sent, %u forwarded\n",
                  round, stage.held_back, stage.numbers, stage.expected);
    assert_true(stage.held_back > 0);
    assert_true(harness_metric(stage.harness, CAUGHT, "receiver=\"otlp\"") == stage.held_back);
    harness_wait_said(stage.harness, "third time within 60 s");
    it_is_quiet();
    agents_send(REQUESTS);  // those of agents still go through
    harness_wait_items(stage.harness, stage.beside, SIGNAL_TRACES, stage.expected);
    harness_stop(stage.harness);
    oracle_arrived_at(stage.oracle, BESIDE, stage.beside);
    oracle_holds(stage.oracle, BESIDE, UINT_MAX);
}

static void loop_through_another_dies_out(void **state)
{
    (void)state;
    loop_dies_out(WAY_AS_IT_CAME, "", "");
}

static void loop_through_another_that_cuts_requests_dies_out(void **state)
{
    (void)state;
    loop_dies_out(WAY_CUT, "", "");
}

static void loop_through_another_that_joins_requests_dies_out(void **state)
{
    (void)state;
    loop_dies_out(WAY_JOINED, "", "");
}

static void loop_through_another_that_does_both_dies_out(void **state)
{
    (void)state;
    loop_dies_out(WAY_BY_TURNS, "", "");
}

static void loop_of_held_spans_dies_out(void **state)
{
    (void)state;
    loop_dies_out(WAY_JOINED, "evaluation: {hold: 200ms, completion: {linger: 50ms}}",
                  "evaluation");
}

static void exporter_that_points_at_its_own_listener_is_refused(void **state)
{
    (void)state;
    struct buffer request;
    uint16_t port = harness_free_port();
    harness_start_yaml(stage.harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}\n"
                       "exporters: {otlp_http: {endpoint: \"http://localhost:%u\"}}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], "
                       "exporters: [otlp_http]}}}\n",
                       port, port);
    harness_agents(&request, 0, 1);
    struct harness_reply reply = harness_post(stage.harness, "/v1/traces", "application/x-protobuf",
                                              NULL, buffer_view(&request));
    assert_int_equal(reply.status, 503);
    assert_true(harness_metric(stage.harness, "otelcol_receiver_accepted_spans", "") == 0);
    buffer_fini(&request);
    harness_stop(stage.harness);
}

// --- what is none ---

static struct harness_reply send_again(const struct buffer *request)
{
    return harness_post(stage.harness, "/v1/traces", "application/x-protobuf", NULL,
                        buffer_view(request));
}

static void request_that_was_refused_twice_is_no_loop(void **state)
{
    (void)state;
    struct harness *harness = stage.harness;
    struct buffer request;
    unsigned accepted = 0, status = 200;
    backend_answer(stage.beside, 503, 1);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters: {otlp_http: {endpoint: \"%s\", sending_queue: {sizer: bytes, "
                       "queue_size: 4000}, retry_on_failure: {initial_interval: 50ms}}}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], "
                       "exporters: [otlp_http]}}}\n",
                       backend_url(stage.beside));
    while (status == 200) {  // until the queue is full
        assert_true(accepted < 100);
        harness_span(&request, accepted, "queued");
        status = (unsigned)send_again(&request).status;
        accepted += status == 200;
        if (status == 200) {
            buffer_fini(&request);
        }
    }
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(send_again(&request).status, 503);
    }
    backend_answer(stage.beside, 200, 0);
    harness_wait_items(harness, stage.beside, SIGNAL_TRACES, accepted);
    struct harness_reply reply = send_again(&request);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "");
    harness_wait_items(harness, stage.beside, SIGNAL_TRACES, accepted + 1);
    assert_true(harness_metric(harness, CAUGHT, "") == 0);
    buffer_fini(&request);
    harness_stop(harness);
}

static void request_that_is_sent_twice_arrives_twice_and_then_no_more(void **state)
{
    (void)state;
    struct buffer request;
    start("", "");
    harness_agents(&request, 0, SPANS);
    for (unsigned i = 1; i <= 2; i++) {
        struct harness_reply reply = send_again(&request);
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, "");
        harness_wait_items(stage.harness, stage.beside, SIGNAL_TRACES, i * SPANS);
    }
    struct harness_reply reply = send_again(&request);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "third time"));
    assert_true(harness_metric(stage.harness, "otelcol_receiver_accepted_spans", "") == 2 * SPANS);
    assert_true(harness_metric(stage.harness, CAUGHT, "") == 1);
    buffer_fini(&request);
    harness_stop(stage.harness);
    assert_int_equal(backend_items(stage.beside, SIGNAL_TRACES), 2 * SPANS);
}

static unsigned entries_wanted;

static bool has_entries(void *arg)
{
    return harness_metric(arg, "sidejudge_journal_entries", "") == entries_wanted;
}

static void wait_entries(unsigned count)
{
    entries_wanted = count;
    harness_wait(stage.harness, has_entries, stage.harness, HARNESS_PATIENCE_S, "journal entries");
}

static void what_is_held_back_is_not_journalled(void **state)
{
    (void)state;
    struct buffer request;
    backend_answer(stage.beside, 503, 1);
    harness_start_yaml(
        stage.harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "extensions: {file_storage: {directory: \"%s/store\", create_directory: true}}\n"
        "exporters: {otlp_http: {endpoint: \"%s\", retry_on_failure: {initial_interval: 50ms}, "
        "sending_queue: {storage: file_storage}}}\n"
        "service: {extensions: [file_storage], pipelines: {traces: {receivers: [otlp], "
        "exporters: [otlp_http]}}}\n",
        stage.harness->folder, backend_url(stage.beside));
    harness_agents(&request, 0, SPANS);
    for (unsigned i = 1; i <= 4; i++) {
        struct harness_reply reply = send_again(&request);
        assert_int_equal(reply.status, 200);
        assert_true((strstr(reply.body, "third time") != NULL) == (i > 2));
    }
    buffer_fini(&request);
    harness_agents(&request, SPANS, SPANS);
    harness_send(stage.harness, buffer_view(&request));
    buffer_fini(&request);
    wait_entries(3);
    backend_answer(stage.beside, 200, 0);
    harness_wait_items(stage.harness, stage.beside, SIGNAL_TRACES, 3 * SPANS);
    wait_entries(0);
    harness_stop(stage.harness);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exporter_that_points_at_its_own_listener_is_refused),
        TEST(loop_through_another_dies_out),
        TEST(loop_through_another_that_cuts_requests_dies_out),
        TEST(loop_through_another_that_joins_requests_dies_out),
        TEST(loop_through_another_that_does_both_dies_out),
        TEST(loop_of_held_spans_dies_out),
        TEST(request_that_was_refused_twice_is_no_loop),
        TEST(request_that_is_sent_twice_arrives_twice_and_then_no_more),
        TEST(what_is_held_back_is_not_journalled),
    };
    return cmocka_run_group_tests_name("loops", tests, NULL, NULL);
}
