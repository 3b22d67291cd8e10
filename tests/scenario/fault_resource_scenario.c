// SPDX-License-Identifier: Apache-2.0
//
// What the machine can refuse: descriptors, memory, names, certificates, a reader of the output,
// processors, time itself. The process degrades, says so, and recovers by itself; nothing that it
// acknowledged is lost. Refused: faults inside the process, which prove less than the kernel's own.
// Where the kernel lets no namespace be made, the case of names is left out. Bounds: those of the
// harness. One thread.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/faulty_backend.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"
#include "tests/unit/certificate.h"

enum { FIRST, SECOND };  // backends at the oracle
enum { SPANS = 8 };      // of a request
#define CROWD 200        // connections that pile up

struct stage {
    struct harness *harness;
    struct oracle *oracle;
    struct faulty_backend *first, *second;
    unsigned number;  // of the next span
};

static int stage_setup(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    void *harness = NULL;
    CHECK(stage != NULL);
    harness_setup(&harness);
    stage->harness = harness;
    stage->oracle = oracle_new();
    stage->first = faulty_backend_open(stage->harness->loop, stage->oracle, FIRST);
    stage->second = faulty_backend_open(stage->harness->loop, stage->oracle, SECOND);
    *state = stage;
    return 0;
}

static int stage_teardown(void **state)
{
    struct stage *stage = *state;
    void *harness = stage->harness;
    faulty_backend_close(&stage->first);
    faulty_backend_close(&stage->second);
    harness_teardown(&harness);
    oracle_free(&stage->oracle);
    free(stage);
    return 0;
}

#define RETRY "retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}"

// One exporter to `url` with `more` keys, behind evaluation.
static void start(struct stage *stage, const char *url, const char *more)
{
    harness_start_yaml(
        stage->harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "extensions: {health_check: }\n"
        "processors: {evaluation: {hold: 200ms, completion: {linger: 50ms}}}\n"
        "exporters: {otlp_http: {endpoint: \"%s\", compression: none, " RETRY "%s}}\n"
        "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], processors: "
        "[evaluation], exporters: [otlp_http]}}}\n",
        url, more);
}

static int post(struct stage *stage)
{
    struct buffer request;
    harness_agents(&request, stage->number, SPANS);
    stage->number += SPANS;
    int status = oracle_post(stage->oracle, stage->harness, buffer_view(&request));
    buffer_fini(&request);
    return status;
}

static void it_is_well(struct stage *stage)
{
    assert_int_equal(harness_get(stage->harness, stage->harness->health_port, "/").status, 200);
    assert_int_equal(post(stage), 200);
    oracle_await(stage->oracle, stage->harness, FIRST);
    oracle_holds(stage->oracle, FIRST, UINT_MAX);
    harness_stop(stage->harness);
}

// The process's line in /proc/<pid>/status, a number of KiB.
static size_t process_kib(const struct stage *stage, const char *what)
{
    char path[64];
    struct buffer text;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)stage->harness->pid);
    buffer_init(&text, (size_t)1 << 20);
    CHECK(file_read(path, &text) == RESULT_OK);
    const char *line = strstr(buffer_text(&text), what);
    size_t kib = line != NULL ? strtoul(line + strlen(what), NULL, 10) : 0;
    buffer_fini(&text);
    CHECK(kib > 0);
    return kib;
}

// --- descriptors ---

static void limit_descriptors(const struct stage *stage, unsigned count)
{
    struct rlimit old;
    CHECK(prlimit(stage->harness->pid, RLIMIT_NOFILE, NULL, &old) == 0);
    const struct rlimit wanted = {.rlim_cur = count, .rlim_max = old.rlim_max};
    CHECK(prlimit(stage->harness->pid, RLIMIT_NOFILE, &wanted, NULL) == 0);
}

static unsigned open_descriptors(const struct stage *stage)
{
    unsigned count = 0;
    for (unsigned fd = 0; fd < 1024; fd++) {
        char path[64], target[64];
        snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)stage->harness->pid, fd);
        count += readlink(path, target, sizeof(target)) > 0;
    }
    CHECK(count > 0);
    return count;
}

struct exhausting {
    const struct stage *stage;
    unsigned limit;
};

static bool is_exhausted(void *arg)
{
    const struct exhausting *exhausting = arg;
    return open_descriptors(exhausting->stage) >= exhausting->limit;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EINPROGRESS);
    return fd;
}

// Connects until the process, which may open `more` descriptors, has no other left.
static void crowd_in(struct stage *stage, unsigned more, int crowd[CROWD])
{
    struct exhausting exhausting = {stage, open_descriptors(stage) + more};
    limit_descriptors(stage, exhausting.limit);
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i] = connect_to(stage->harness->http_port);
    }
    harness_wait(stage->harness, is_exhausted, &exhausting, HARNESS_PATIENCE_S,
                 "the last descriptor");
}

static void crowd_out(const int crowd[CROWD])
{
    for (unsigned i = 0; i < CROWD; i++) {
        close(crowd[i]);
    }
}

static void descriptors_run_out_while_connections_pile_up(void **state)
{
    struct stage *stage = *state;
    int crowd[CROWD];
    start(stage, faulty_backend_url(stage->first), "");
    assert_int_equal(post(stage), 200);
    oracle_await(stage->oracle, stage->harness, FIRST);
    crowd_in(stage, 4, crowd);
    for (unsigned i = 0; i < 10; i++) {  // on the connection that is open already
        assert_int_equal(post(stage), 200);
    }
    oracle_await(stage->oracle, stage->harness, FIRST);
    crowd_out(crowd);
    it_is_well(stage);  // with the limit as low as it is
}

static void descriptors_run_out_for_the_exporter(void **state)
{
    static const struct faulty_answer closing = {.keeps = true, .closes = true};
    struct stage *stage = *state;
    int crowd[CROWD];
    faulty_backend_sound(stage->first, &closing);  // so that each request needs a descriptor
    start(stage, faulty_backend_url(stage->first), "");
    assert_int_equal(post(stage), 200);
    oracle_await(stage->oracle, stage->harness, FIRST);
    crowd_in(stage, 2, crowd);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(post(stage), 200);
    }
    harness_turn(stage->harness, 500);  // time for some attempts that fail
    crowd_out(crowd);
    it_is_well(stage);
}

// --- memory ---

// A hundred requests of 500 interactions each, whatever is answered; how many were refused.
static unsigned flood(struct stage *stage)
{
    unsigned refused = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct buffer request;
        harness_agents(&request, stage->number, 500);
        stage->number += 500;
        oracle_sent(stage->oracle, buffer_view(&request));
        struct harness_reply reply = harness_post(
            stage->harness, "/v1/traces", "application/x-protobuf", NULL, buffer_view(&request));
        if (reply.status == 200) {
            oracle_acknowledged(stage->oracle, buffer_view(&request));
        } else {
            assert_int_equal(reply.status, 503);
            assert_true(reply.has_retry_after);
            refused++;
        }
        buffer_fini(&request);
        harness_turn(stage->harness, 20);
    }
    return refused;
}

static void memory_runs_out_behind_a_backend_that_hangs(void **state)
{
    static const struct faulty_answer silent = {.how = FAULTY_SILENT};
    struct stage *stage = *state;
    harness_variable(stage->harness, "GOMEMLIMIT", "64MiB");
    faulty_backend_behave(stage->first, &silent, 0);
    start(stage, faulty_backend_url(stage->first), ", timeout: 5s");
    unsigned refused = flood(stage);
    assert_in_range(refused, 1, 99);
    assert_int_equal(harness_get(stage->harness, stage->harness->health_port, "/").status, 200);
    size_t peak_kib = process_kib(stage, "VmHWM:");
    print_message("refused %u of 100 requests, peak of the resident set %zu MiB\n", refused,
                  peak_kib >> 10);
#ifndef __SANITIZE_ADDRESS__
    assert_true(peak_kib <= (size_t)64 << 10);
#endif
    faulty_backend_behave(stage->first, NULL, 0);
    oracle_await(stage->oracle, stage->harness, FIRST);
    it_is_well(stage);
}

// What is reserved for scores while a span is held is given back when it leaves without them.
static void held_spans_fill_a_queue_by_their_own_size(void **state)
{
    struct stage *stage = *state;
    faulty_backend_down(stage->first);
    start(stage, faulty_backend_url(stage->first),
          ", sending_queue: {sizer: bytes, queue_size: 1000000}");
    for (unsigned i = 0; i < 100; i++) {  // 320 KB; reserved for each request: 68 KB
        int status = post(stage);
        for (unsigned tries = 0; status == 503 && tries < 500; tries++) {
            harness_turn(stage->harness, 10);
            status = post(stage);
        }
        assert_int_equal(status, 200);
    }
    faulty_backend_up(stage->first);
    oracle_await(stage->oracle, stage->harness, FIRST);
    it_is_well(stage);
}

static void memory_is_no_more_than_a_slow_agents_body(void **state)
{
    struct stage *stage = *state;
    static const char head[] = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: "
                               "application/x-protobuf\r\nContent-Length: 8000000\r\n\r\n";
    int crowd[32];
    harness_variable(stage->harness, "GOMEMLIMIT", "64MiB");
    start(stage, faulty_backend_url(stage->first), "");
    char *filler = calloc(1, 1 << 20);
    CHECK(filler != NULL);
    for (unsigned i = 0; i < 32; i++) {  // 256 MB that never end
        crowd[i] = connect_to(stage->harness->http_port);
        harness_turn(stage->harness, 5);
        assert_true(send(crowd[i], head, strlen(head), MSG_NOSIGNAL) > 0);
        for (unsigned k = 0; k < 7; k++) {
            (void)!send(crowd[i], filler, 1 << 20, MSG_NOSIGNAL);
            harness_turn(stage->harness, 1);
        }
    }
    free(filler);
    assert_int_equal(harness_get(stage->harness, stage->harness->health_port, "/").status, 200);
    size_t peak_kib = process_kib(stage, "VmHWM:");
    print_message("peak of the resident set %zu MiB\n", peak_kib >> 10);
#ifndef __SANITIZE_ADDRESS__
    assert_true(peak_kib <= (size_t)64 << 10);
#endif
    for (unsigned i = 0; i < 32; i++) {
        close(crowd[i]);
    }
    harness_turn(stage->harness, 50);
    it_is_well(stage);
}

// --- names ---

static void name_that_never_resolves_keeps_nothing_from_the_other_backend(void **state)
{
    struct stage *stage = *state;
    harness_start_yaml(stage->harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters:\n"
                       "  otlp_http/lost: {endpoint: \"http://nowhere.invalid:4318\", " RETRY "}\n"
                       "  otlp_http/well: {endpoint: \"%s\", compression: none}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], exporters: "
                       "[otlp_http/lost, otlp_http/well]}}}\n",
                       faulty_backend_url(stage->first));
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(post(stage), 200);
    }
    oracle_await(stage->oracle, stage->harness, FIRST);
    oracle_holds(stage->oracle, FIRST, 0);
    harness_wait_said(stage->harness, "nowhere.invalid");
    harness_stop(stage->harness);
}

// Whether a namespace of mounts can be made here.
static bool mounts_are_allowed(void)
{
    static const char *const words[] = {"unshare", "-rm", "true", NULL};
    int status = 1;
    pid_t pid = 0;
    return posix_spawnp(&pid, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ) ==
               0 &&
           waitpid(pid, &status, 0) == pid && status == 0;
}

static void name_that_resolves_later_gets_everything(void **state)
{
    static char mount[256];
    static const char *const wrapper[] = {"unshare", "-rm", "sh", "-c", mount, NULL};
    struct stage *stage = *state;
    char url[96];
    if (!mounts_are_allowed()) {
        skip();
    }
    const char *hosts = harness_file(stage->harness, "hosts", "127.0.0.1 localhost\n");
    snprintf(mount, sizeof(mount), "mount --bind %s /etc/hosts && exec \"$0\" \"$@\"", hosts);
    snprintf(url, sizeof(url), "http://backend.sidejudge-test.invalid%s",
             strrchr(faulty_backend_url(stage->first), ':'));
    stage->harness->wrapper = wrapper;
    start(stage, url, "");
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(post(stage), 200);
    }
    harness_wait_said(stage->harness, "backend.sidejudge-test.invalid");
    assert_false(oracle_is_whole(stage->oracle, FIRST));
    harness_file(stage->harness, "hosts",
                 "127.0.0.1 localhost\n127.0.0.1 backend.sidejudge-test.invalid\n");
    oracle_await(stage->oracle, stage->harness, FIRST);
    it_is_well(stage);
}

// --- certificates ---

struct gathering {
    const struct backend *backend;
    unsigned least;
};

static bool has_spans(void *arg)
{
    const struct gathering *gathering = arg;
    return backend_items(gathering->backend, SIGNAL_TRACES) >= gathering->least;
}

// The backend shows `bad` and then, rotated, one that is right.
static void certificate_is_refused_until_it_is_rotated(struct stage *stage,
                                                       const struct certificate *bad,
                                                       const struct certificate *authority)
{
    struct certificate good;
    char ca[5000], more[256];
    certificate_make(&good);
    snprintf(ca, sizeof(ca), "%s%s", authority->cert, good.cert);
    const char *ca_file = harness_file(stage->harness, "ca.pem", ca);
    const char *cert_file = harness_file(stage->harness, "cert.pem", bad->cert);
    const char *key_file = harness_file(stage->harness, "key.pem", bad->key);
    struct backend *backend = backend_open_tls(stage->harness->loop, cert_file, key_file);
    snprintf(more, sizeof(more), ", tls: {ca_file: \"%s\"}", ca_file);
    stage->harness->backends[stage->harness->backend_count++] = backend;
    start(stage, backend_url(backend), more);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(post(stage), 200);
    }
    harness_wait_said(stage->harness, "certificate");  // the reason, in a warning
    assert_int_equal(backend_requests(backend), 0);
    harness_file(stage->harness, "cert.pem", good.cert);
    harness_file(stage->harness, "key.pem", good.key);
    backend_reload(backend);
    struct gathering gathering = {backend, 3 * SPANS};
    harness_wait(stage->harness, has_spans, &gathering, HARNESS_PATIENCE_S,
                 "the spans behind the rotated certificate");
    assert_int_equal(harness_get(stage->harness, stage->harness->health_port, "/").status, 200);
    harness_stop(stage->harness);
    oracle_arrived_at(stage->oracle, SECOND, backend);
    oracle_holds(stage->oracle, SECOND, 0);
}

static void expired_certificate_is_refused_until_it_is_rotated(void **state)
{
    struct certificate bad;
    certificate_make_expired("localhost", &bad);
    certificate_is_refused_until_it_is_rotated(*state, &bad, &bad);
}

static void certificate_of_another_name_is_refused_until_it_is_rotated(void **state)
{
    struct certificate bad;
    certificate_make_for("elsewhere.example", &bad);
    certificate_is_refused_until_it_is_rotated(*state, &bad, &bad);
}

static void certificate_of_nobody_known_is_refused_until_it_is_rotated(void **state)
{
    struct certificate bad;
    struct certificate other;
    certificate_make(&bad);
    certificate_make_for("other.example", &other);
    certificate_is_refused_until_it_is_rotated(*state, &bad, &other);
}

// --- output that nobody reads ---

static void output_that_nobody_reads_stops_nothing(void **state)
{
    struct stage *stage = *state;
    struct harness *harness = stage->harness;
    harness->output_is_pipe = true;
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "extensions: {health_check: }\n"
                       "processors: {evaluation: {hold: 200ms, completion: {linger: 50ms}}}\n"
                       "exporters:\n"
                       "  debug: {verbosity: detailed}\n"
                       "  otlp_http/lost: {endpoint: \"http://127.0.0.1:%u\", retry_on_failure: "
                       "{initial_interval: 1ms, max_interval: 2ms}}\n"
                       "  otlp_http/well: {endpoint: \"%s\", compression: none}\n"
                       "service: {telemetry: {logs: {level: debug}}, extensions: [health_check], "
                       "pipelines: {traces: {receivers: [otlp], processors: [evaluation], "
                       "exporters: [debug, otlp_http/lost, otlp_http/well]}}}\n",
                       harness_free_port(), faulty_backend_url(stage->first));
    int unread_fd = harness->output_fd;
    harness->output_fd = -1;
    for (unsigned i = 0; i < 300; i++) {  // far more than the pipe holds, of every kind
        assert_int_equal(post(stage), 200);
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL,
                     BYTES_LITERAL("\xff\xff"));
    }
    oracle_await(stage->oracle, harness, FIRST);
    oracle_holds(stage->oracle, FIRST, 0);
    harness_turn(harness, 6000);  // longer than the watchdog's patience: nothing tells of its end
    assert_int_equal(harness_get(harness, harness->health_port, "/").status, 200);
    harness->output_fd = unread_fd;
    it_is_well(stage);
}

static void output_that_is_closed_stops_nothing(void **state)
{
    struct stage *stage = *state;
    struct harness *harness = stage->harness;
    harness->output_is_pipe = true;
    start(stage, faulty_backend_url(stage->first), "");
    close(harness->output_fd);  // EPIPE from now on
    harness->output_fd = -1;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(post(stage), 200);
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL,
                     BYTES_LITERAL("\xff\xff"));
    }
    it_is_well(stage);
}

// --- processors and time ---

static void one_processor_and_gomaxprocs_of_one(void **state)
{
    static const char *const wrapper[] = {"taskset", "-c", "0", NULL};
    struct stage *stage = *state;
    harness_variable(stage->harness, "GOMAXPROCS", "1");
    stage->harness->wrapper = wrapper;
    start(stage, faulty_backend_url(stage->first), "");
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(post(stage), 200);
    }
    it_is_well(stage);
}

static void process_that_was_suspended_goes_on(void **state)
{
    struct stage *stage = *state;
    start(stage, faulty_backend_url(stage->first), "");
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(post(stage), 200);
    }
    harness_signal(stage->harness, SIGSTOP);
    harness_turn(stage->harness, 7000);  // longer than the watchdog's patience
    harness_signal(stage->harness, SIGCONT);
    it_is_well(stage);
}

static void ignored_and_repeated_signals_change_nothing(void **state)
{
    struct stage *stage = *state;
    start(stage, faulty_backend_url(stage->first), "");
    for (unsigned i = 0; i < 20; i++) {
        harness_signal(stage->harness, SIGPIPE);
        harness_signal(stage->harness, SIGWINCH);
        harness_signal(stage->harness, SIGCHLD);
        assert_int_equal(post(stage), 200);
    }
    it_is_well(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(descriptors_run_out_while_connections_pile_up),
        TEST(descriptors_run_out_for_the_exporter),
        TEST(memory_runs_out_behind_a_backend_that_hangs),
        TEST(held_spans_fill_a_queue_by_their_own_size),
        TEST(memory_is_no_more_than_a_slow_agents_body),
        TEST(name_that_never_resolves_keeps_nothing_from_the_other_backend),
        TEST(name_that_resolves_later_gets_everything),
        TEST(expired_certificate_is_refused_until_it_is_rotated),
        TEST(certificate_of_another_name_is_refused_until_it_is_rotated),
        TEST(certificate_of_nobody_known_is_refused_until_it_is_rotated),
        TEST(output_that_nobody_reads_stops_nothing),
        TEST(output_that_is_closed_stops_nothing),
        TEST(one_processor_and_gomaxprocs_of_one),
        TEST(process_that_was_suspended_goes_on),
        TEST(ignored_and_repeated_signals_change_nothing),
    };
    return cmocka_run_group_tests_name("resource faults", tests, NULL, NULL);
}
