// SPDX-License-Identifier: Apache-2.0
//
// What durability costs and how fast it is over: ready behind a large journal, the end under load,
// an acknowledgement against one fdatasync of the same disk, and what an outage of one backend does
// to the way to the other. The program itself, by the rig of the scenarios of the journal. Refused:
// assertions on time, which a busy machine breaks; the bounds are printed beside the figures.
// Bounds: about 60 s. One thread.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "proto/otlp_json.h"
#include "tests/scenario/journal_rig.h"

#define BIG_BYTES ((size_t)1 << 20)
#define BIG_COUNT 256
#define SAMPLES 600
#define WAYS 300

static double ms_since(uint64_t began_ns)
{
    return (double)(clock_mono_ns() - began_ns) / 1e6;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// The q-th quantile; sorts.
static double quantile(double *values, size_t count, double q)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[(size_t)(q * (double)(count - 1))];
}

// --- ready behind a journal of 256 MiB ---

// A span of a mebibyte; where its trace id stands.
static size_t big_request(struct buffer *request)
{
    struct buffer json;
    char why[256];
    buffer_init(&json, 2 * BIG_BYTES);
    buffer_init(request, 2 * BIG_BYTES);
    buffer_append_text(&json,
                       "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
                       "\"b19bb19bb19bb19bb19bb19b00000000\",\"spanId\":\"b19bb19bb19bb19b\","
                       "\"name\":\"big\",\"kind\":1,\"startTimeUnixNano\":\"1\","
                       "\"endTimeUnixNano\":\"2\",\"attributes\":[{\"key\":\"filler\",\"value\":"
                       "{\"stringValue\":\"");
    for (size_t i = 0; i < BIG_BYTES; i++) {
        buffer_append_byte(&json, (uint8_t)('a' + i * i % 26));
    }
    buffer_append_text(&json, "\"}}]}]}]}]}");
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(&json), request, why, sizeof(why)) ==
          RESULT_OK);
    buffer_fini(&json);
    size_t at = bytes_find(buffer_view(request), BYTES_LITERAL("\xb1\x9b\xb1\x9b"), 0);
    CHECK(at != SIZE_MAX);
    return at + 12;
}

static void ready_behind_256_mib(void **state)
{
    struct journal_rig *rig = *state;
    struct buffer request;
    const struct journal_setup setup = {.storage = ", fsync: false", .chain = ""};
    size_t at = big_request(&request);
    journal_rig_down(rig);
    journal_rig_start(rig, &setup);
    for (uint32_t i = 0; i < BIG_COUNT; i++) {
        memcpy(request.ptr + at, &i, sizeof(i));
        harness_send(rig->harness, buffer_view(&request));
    }
    buffer_fini(&request);
    double bytes = harness_metric(rig->harness, "sidejudge_journal_bytes", "");
    journal_rig_kill(rig);
    uint64_t began_ns = clock_mono_ns();
    journal_rig_launch(rig, &setup);
    while (!harness_said(rig->harness, "Everything is ready")) {
        CHECK(ms_since(began_ns) < 30000);
        loop_run_once(rig->harness->loop, 1);
    }
    harness_read_ports(rig->harness);
    int status = harness_get(rig->harness, rig->harness->health_port, "/").status;
    print_message("ready behind a journal of %.0f MiB: %.0f ms, health %d (at most 200 ms)\n",
                  bytes / 1048576, ms_since(began_ns), status);
    harness_signal(rig->harness, SIGTERM);
    (void)harness_wait_end(rig->harness);
    journal_rig_up(rig);
}

// --- the end under load ---

static void end_under_load(void **state)
{
    static const struct faulty_answer silent = {.how = FAULTY_SILENT};
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    double worst = 0;
    for (unsigned i = 0; i < 5; i++) {
        faulty_backend_behave(rig->first, i % 2 == 0 ? NULL : &silent, 0);
        journal_rig_start(rig, &setup);
        journal_rig_traffic(rig, 500);
        uint64_t began_ns = clock_mono_ns();
        harness_signal(rig->harness, SIGTERM);
        (void)harness_wait_end(rig->harness);
        double ms = ms_since(began_ns);
        worst = ms > worst ? ms : worst;
        journal_rig_settle(rig);
    }
    print_message("SIGTERM to exit under load, worst of 5: %.2f s (at most 1.8 s)\n", worst / 1e3);
}

// --- acknowledgements ---

static void acknowledgement_against_fdatasync(void **state)
{
    static double syncs[SAMPLES], answers[SAMPLES];
    static uint8_t block[4096];
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {.storage = ""};
    char path[256];
    journal_rig_start(rig, &setup);
    snprintf(path, sizeof(path), "%s/../probe", rig->directory);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    for (unsigned i = 0; i < SAMPLES; i++) {  // by turns, so that both see the same disk
        struct buffer request;
        uint64_t began_ns = clock_mono_ns();
        CHECK(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block) && fdatasync(fd) == 0);
        syncs[i] = ms_since(began_ns);
        harness_span(&request, rig->number++, "plain");
        began_ns = clock_mono_ns();
        harness_send(rig->harness, buffer_view(&request));
        answers[i] = ms_since(began_ns);
        buffer_fini(&request);
    }
    close(fd);
    unlink(path);
    double sync = quantile(syncs, SAMPLES, 0.99), answer = quantile(answers, SAMPLES, 0.99);
    print_message("acknowledgement p99 %.2f ms (p50 %.2f), fdatasync p99 %.2f ms (p50 %.2f): "
                  "%.1f x (at most 5 x)\n",
                  answer, answers[SAMPLES / 2], sync, syncs[SAMPLES / 2], answer / sync);
    harness_stop(rig->harness);
}

// --- an outage of the other ---

static void ways_measure(struct journal_rig *rig, double ways[WAYS])
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct buffer request;
        harness_span(&request, rig->number++, "plain");
        uint64_t began_ns = clock_mono_ns();
        CHECK(oracle_post(rig->oracle, rig->harness, buffer_view(&request)) == 200);
        while (!oracle_is_whole(rig->oracle, JOURNAL_SECOND)) {
            CHECK(ms_since(began_ns) < 30000);
            loop_run_once(rig->harness->loop, 1);
        }
        ways[i] = ms_since(began_ns);
        buffer_fini(&request);
    }
}

static void outage_of_the_other_backend(void **state)
{
    static double before[WAYS], during[WAYS];
    struct journal_rig *rig = *state;
    const struct journal_setup setup = {
        .queue = ", sizer: bytes, queue_size: 60000, batch: {flush_timeout: 10ms}",
        .second = "storage: file_storage, batch: {flush_timeout: 10ms}"};
    journal_rig_start(rig, &setup);
    ways_measure(rig, before);
    journal_rig_down(rig);
    for (unsigned i = 0; i < 100; i++) {  // its queue is full from here on
        CHECK(journal_rig_post(rig, 10) == 200);
    }
    ways_measure(rig, during);
    double calm = quantile(before, WAYS, 0.99), outage = quantile(during, WAYS, 0.99);
    double waiting = harness_metric(rig->harness, "sidejudge_journal_backlog_entries", "first");
    print_message("way to the other backend p99 %.2f ms, during the outage %.2f ms: %+.0f %% (at "
                  "most 10 %%); %.0f entries on disk\n",
                  calm, outage, (outage / calm - 1) * 100, waiting);
    journal_rig_up(rig);
    journal_rig_await(rig, JOURNAL_FIRST);
    harness_stop(rig->harness);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, journal_rig_setup, journal_rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(ready_behind_256_mib),
        CASE(end_under_load),
        CASE(acknowledgement_against_fdatasync),
        CASE(outage_of_the_other_backend),
    };
    return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
