// SPDX-License-Identifier: Apache-2.0
//
// `./dev bench`: the figures of DESIGN 9, one line each: name value unit. Every row runs a fixed
// amount of work through each server in turn, several rounds interleaved, and prints the median CPU
// per span of the server's own process (user + system) and the median of the rounds' ratios to
// Sidejudge's. Refused: rates (on a shared machine they measure the neighbours). What a row needs
// and cannot find (a peer) is a line that says so.
//
// Environment: BENCH_SIDEJUDGE, BENCH_FORWARDER, BENCH_GRPC_FORWARDER, BENCH_NGHTTPX,
// BENCH_COLLECTOR: programs; BENCH_ROUNDS (5); BENCH_WORK (1): times as many requests, for
// a profiler.

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compression.h"
#include "tests/bench/load.h"
#include "tests/bench/sink.h"
#include "tests/bench/subject.h"

#define ROUNDS_MAX 15
#define SETTLE_NS (10 * NS_PER_S)

static unsigned rounds = 5, work = 1;
static struct sink *sink;

static void line(const char *name, double value, const char *unit)
{
    printf("%-58s %12.4g %s\n", name, value, unit);
    fflush(stdout);
}

static void note(const char *text)
{
    printf("# %s\n", text);
    fflush(stdout);
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(double), compare_double);
    return count == 0 ? NAN : values[count / 2];
}

static void print_goal(const char *text)
{
    if (text != NULL) {
        printf("# goal %s\n", text);
        fflush(stdout);
    }
}

struct row {
    const char *name;
    enum workload_kind kind;
    unsigned spans;
    uint64_t requests;
    unsigned connections, window;
    const char *encoding;
    bool gzip_out, merge;
    bool grpc_in, grpc_out;
    const char *processors;
    unsigned subjects;  // set of 1 << enum subject_kind
    bool per_request;   // the figure is per request, not per span
    const char *goal;   // of DESIGN 9, printed behind the figures; NULL: none
};

#define EVERYBODY                                                                                  \
    (1U << SUBJECT_SIDEJUDGE | 1U << SUBJECT_FORWARDER | 1U << SUBJECT_NGHTTPX |                   \
     1U << SUBJECT_COLLECTOR)

// Waits until the sink has `requests` requests, or, where they are merged (0), until nothing has
// reached it for longer than a target is held at most while its fragment completes.
static void settle(uint64_t requests)
{
    uint64_t last = sink_bytes(sink), quiet_ns = clock_mono_ns(), give_up_ns = quiet_ns + SETTLE_NS;
    while (clock_mono_ns() < give_up_ns && clock_mono_ns() - quiet_ns < 2500 * NS_PER_MS &&
           (requests == 0 || sink_requests(sink) < requests)) {
        usleep(20000);
        if (sink_bytes(sink) != last) {
            last = sink_bytes(sink);
            quiet_ns = clock_mono_ns();
        }
    }
}

// CPU microseconds per unit of one round; NAN when the peer is missing or failed requests.
static double measure(const struct row *row, const struct workload *workload,
                      enum subject_kind kind)
{
    struct subject subject;
    const struct subject_config config = {.sink_port = sink_port(sink),
                                          .merge = row->merge,
                                          .gzip = row->gzip_out,
                                          .grpc_in = row->grpc_in,
                                          .grpc_out = row->grpc_out,
                                          .processors = row->processors};
    struct load_config load = {.workload = workload,
                               .grpc = row->grpc_in,
                               .encoding = row->encoding,
                               .connections = row->connections,
                               .window = row->window,
                               .sink = row->encoding == NULL ? sink : NULL};
    struct load_result result;
    if (!subject_start(kind, &config, &subject)) {
        return NAN;
    }
    load.port = subject.port;
    load.requests = row->requests / 10 + row->connections;
    sink_reset(sink);
    sink_reset(sink);
    load_run(&load, &result);  // warm
    settle(row->merge ? 0 : result.ok);
    sink_reset(sink);
    uint64_t before = subject_cpu_ns(&subject);
    load.requests = row->requests * work;
    load_run(&load, &result);
    settle(row->merge ? 0 : result.ok);
    double cpu_us = (double)(subject_cpu_ns(&subject) - before) / 1e3;
    uint64_t expected = result.body_bytes;
    bool complete = result.failed == 0 &&
                    (row->merge || row->encoding != NULL || sink_requests(sink) >= result.ok);
    if (!complete) {
        printf("# %s: %s: %lu of %lu requests failed, %lu of %lu bytes arrived\n", row->name,
               subject_name(kind), (unsigned long)result.failed, (unsigned long)load.requests,
               (unsigned long)sink_bytes(sink), (unsigned long)expected);
    }
    subject_stop(&subject);
    double units = (double)result.ok * (row->per_request ? 1 : row->spans);
    return complete ? cpu_us / units : NAN;
}

static void run_row(const struct row *row)
{
    struct workload workload;
    double cpu[SUBJECT_COUNT][ROUNDS_MAX], ratio[ROUNDS_MAX];
    workload_init(&workload, row->kind, row->spans);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned kind = 0; kind < SUBJECT_COUNT; kind++) {
            cpu[kind][round] = (row->subjects & 1U << kind) != 0
                                   ? measure(row, &workload, (enum subject_kind)kind)
                                   : NAN;
        }
    }
    const char *unit = row->per_request ? "us/request" : "us/span";
    for (unsigned kind = 0; kind < SUBJECT_COUNT; kind++) {
        char name[128];
        double values[ROUNDS_MAX];
        unsigned count = 0, ratios = 0;
        if ((row->subjects & 1U << kind) == 0) {
            continue;
        }
        for (unsigned round = 0; round < rounds; round++) {
            if (!isnan(cpu[kind][round])) {
                values[count++] = cpu[kind][round];
                if (!isnan(cpu[0][round])) {
                    ratio[ratios++] = cpu[kind][round] / cpu[0][round];
                }
            }
        }
        snprintf(name, sizeof(name), "%s.%s", row->name, subject_name((enum subject_kind)kind));
        if (count == 0) {
            printf("# %s: not measured (no such program here, or it failed)\n", name);
            continue;
        }
        line(name, median(values, count), unit);
        if (kind != SUBJECT_SIDEJUDGE && ratios > 0) {
            snprintf(name, sizeof(name), "%s.%s_over_sidejudge", row->name,
                     subject_name((enum subject_kind)kind));
            line(name, median(ratio, ratios), "ratio");
        }
    }
    print_goal(row->goal);
    workload_fini(&workload);
}

static const struct row rows[] = {
    {.name = "forward_512x383B",
     .kind = WORKLOAD_SMALL,
     .spans = 512,
     .requests = 2000,
     .connections = 4,
     .window = 1,
     .goal = "0.45 us/span, and 2.2 x the forwarder (forwarder_over_sidejudge 0.45)",
     .subjects = EVERYBODY},
    {.name = "forward_llm_20KB",
     .kind = WORKLOAD_LLM,
     .spans = 1,
     .requests = 8000,
     .connections = 4,
     .window = 1,
     .goal = "15 us/span without grading; here each span is a target that the deterministic "
             "evaluators grade",
     .subjects = EVERYBODY},
    {.name = "forward_llm_20KB_ungraded",
     .kind = WORKLOAD_LLM,
     .spans = 1,
     .requests = 8000,
     .connections = 4,
     .window = 1,
     .processors = "{evaluation: {evaluators: {valid_json: }, sampling: {baseline: 0}}}",
     .goal = "15 us/span; the content is read for the quality signals all the same",
     .subjects = 1U << SUBJECT_SIDEJUDGE},
    {.name = "forward_512x383B_grpc",
     .kind = WORKLOAD_SMALL,
     .spans = 512,
     .requests = 2000,
     .connections = 4,
     .window = 1,
     .grpc_in = true,
     .grpc_out = true,
     .goal = "0.45 us/span, and 2.2 x the forwarder (forwarder_over_sidejudge 0.45)",
     .subjects = EVERYBODY},
    {.name = "forward_llm_20KB_grpc",
     .kind = WORKLOAD_LLM,
     .spans = 1,
     .requests = 8000,
     .connections = 4,
     .window = 1,
     .grpc_in = true,
     .grpc_out = true,
     .goal = "15 us/span without grading",
     .subjects = EVERYBODY},
    {.name = "forward_512x383B_grpc_to_http",
     .kind = WORKLOAD_SMALL,
     .spans = 512,
     .requests = 2000,
     .connections = 4,
     .window = 1,
     .grpc_in = true,
     .subjects = 1U << SUBJECT_SIDEJUDGE | 1U << SUBJECT_COLLECTOR},
    {.name = "one_span_serial",
     .kind = WORKLOAD_SMALL,
     .spans = 1,
     .requests = 8000,
     .connections = 1,
     .window = 1,
     .goal = "75 us/request",
     .subjects = EVERYBODY,
     .per_request = true},
    {.name = "one_span_serial_merged",
     .kind = WORKLOAD_SMALL,
     .spans = 1,
     .requests = 8000,
     .connections = 1,
     .window = 1,
     .merge = true,
     .goal = "40 us/request",
     .subjects = 1U << SUBJECT_SIDEJUDGE,
     .per_request = true},
    {.name = "one_span_pipelined_merged",
     .kind = WORKLOAD_SMALL,
     .spans = 1,
     .requests = 200000,
     .connections = 4,
     .window = 64,
     .merge = true,
     .goal = "2.5 us/request",
     .subjects = 1U << SUBJECT_SIDEJUDGE,
     .per_request = true},
    {.name = "gzip_whole_512x383B",
     .kind = WORKLOAD_SMALL,
     .spans = 512,
     .requests = 2000,
     .connections = 4,
     .window = 1,
     .encoding = "gzip",
     .gzip_out = true,
     .goal = "0.5 us/span",
     .subjects = 1U << SUBJECT_SIDEJUDGE | 1U << SUBJECT_COLLECTOR},
    {.name = "gzip_agent_64x20KB_2pc_picked",
     .kind = WORKLOAD_AGENT,
     .spans = 64,
     .requests = 200,
     .connections = 2,
     .window = 1,
     .encoding = "gzip",
     .gzip_out = true,
     .processors = "{evaluation: {sampling: {baseline: 0.02}, completion: {linger: 100ms}}}",
     .goal = "35 us/span where inflating alone takes 21: 1.7 x inflate_alone_64x20KB",
     .subjects = 1U << SUBJECT_SIDEJUDGE | 1U << SUBJECT_COLLECTOR},
};

static void run_idle(enum subject_kind kind)
{
    double start[ROUNDS_MAX], rss[ROUNDS_MAX], anon[ROUNDS_MAX];
    unsigned count = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct subject subject;
        const struct subject_config config = {.sink_port = sink_port(sink)};
        if (subject_start(kind, &config, &subject)) {
            usleep(500000);
            start[count] = (double)subject.start_ns / 1e6;
            rss[count] = (double)subject_rss_bytes(&subject) / 1048576;
            anon[count++] = (double)subject_rss_anon_bytes(&subject) / 1048576;
            subject_stop(&subject);
        }
    }
    char name[64];
    if (count == 0) {
        printf("# idle.%s: not measured (no such program here)\n", subject_name(kind));
        return;
    }
    snprintf(name, sizeof(name), "idle_rss.%s", subject_name(kind));
    line(name, median(rss, count), "MiB");
    snprintf(name, sizeof(name), "idle_rss_anon.%s", subject_name(kind));
    line(name, median(anon, count), "MiB");
    snprintf(name, sizeof(name), "start_to_accept.%s", subject_name(kind));
    line(name, median(start, count), "ms");
    print_goal(kind == SUBJECT_SIDEJUDGE ? "RssAnon 3 MiB, RSS 14 MiB, start 20 ms" : NULL);
}

struct latency {
    double ack_p50_us, ack_p99_us, sink_p50_us, sink_p99_us;
};

// One round of paced requests into `port`.
static struct latency latency_of(struct load_config *load, uint16_t port)
{
    struct load_result result;
    load->port = port;
    sink_reset(sink);
    load_run(load, &result);
    settle(result.ok);
    return (struct latency){(double)result.ack_p50_ns / 1e3, (double)result.ack_p99_ns / 1e3,
                            (double)sink_latency(sink, 0.5) / 1e3,
                            (double)sink_latency(sink, 0.99) / 1e3};
}

static void print_latency(enum subject_kind kind, const struct latency *through,
                          const struct latency *direct)
{
    const struct {
        const char *name;
        double us;
    } values[] = {{"ack_p50", through->ack_p50_us},
                  {"ack_p99", through->ack_p99_us},
                  {"added_p50", through->sink_p50_us - direct->sink_p50_us},
                  {"added_p99", through->sink_p99_us - direct->sink_p99_us}};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char name[96];
        snprintf(name, sizeof(name), "latency_30pc_load.%s.%s", subject_name(kind), values[i].name);
        line(name, values[i].us, "us");
    }
}

// Requests a second that the server takes, closed loop.
static double capacity_of(struct load_config *load, uint16_t port)
{
    struct load_result result;
    load->port = port;
    load_run(load, &result);
    settle(result.ok);
    return (double)result.ok * 1e9 / (double)result.elapsed_ns;
}

// Paced requests: when the sink has them, with the server in between and without it, and when the
// client heard OK. The bare forwarder beside it shows what the machine's scheduling adds to both.
static void run_latency(void)
{
    static const enum subject_kind kinds[] = {SUBJECT_SIDEJUDGE, SUBJECT_FORWARDER};
    const struct subject_config config = {.sink_port = sink_port(sink)};
    struct workload workload;
    workload_init(&workload, WORKLOAD_SMALL, 64);
    struct load_config load = {
        .workload = &workload, .connections = 2, .window = 1, .requests = 4000};
    double per_second = 0;  // for all the same: of Sidejudge, which is first
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct subject subject;
        if (!subject_start(kinds[i], &config, &subject)) {
            printf("# latency: %s did not start\n", subject_name(kinds[i]));
            continue;
        }
        load.per_second = 0;
        per_second = per_second > 0 ? per_second : 0.3 * capacity_of(&load, subject.port);
        load.per_second = per_second;
        sink_watch(sink, workload.ids[0] + 8);
        struct latency through = latency_of(&load, subject.port);
        struct latency direct = latency_of(&load, sink_port(sink));
        print_latency(kinds[i], &through, &direct);
        sink_watch(sink, SIZE_MAX);
        subject_stop(&subject);
    }
    print_goal("ack p99 2 ms, added p50 40 us, added p99 250 us");
    workload_fini(&workload);
}

// What inflating the agents' requests costs by itself, in this run, on this machine.
static void run_inflate(void)
{
    struct workload workload;
    struct buffer packed, plain;
    double us[ROUNDS_MAX];
    const char *why = "";
    struct compressor *compressor = compressor_new();
    workload_init(&workload, WORKLOAD_AGENT, 64);
    struct bytes body = buffer_view(&workload.body);
    buffer_init(&packed, body.len + 65536);
    buffer_init(&plain, body.len);
    CHECK(codec_deflate(compressor, CODEC_GZIP, &body, 1, &packed) == RESULT_OK);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t before_ns = clock_process_cpu_ns();
        for (unsigned i = 0; i < 50; i++) {
            buffer_reset(&plain);
            CHECK(codec_inflate(compressor, CODEC_GZIP, buffer_view(&packed), &plain, NULL, NULL,
                                &why) == RESULT_OK);
        }
        us[round] = (double)(clock_process_cpu_ns() - before_ns) / 1e3 / (50 * 64);
    }
    line("inflate_alone_64x20KB", median(us, rounds), "us/span");
    buffer_fini(&packed);
    buffer_fini(&plain);
    compressor_free(compressor);
    workload_fini(&workload);
}

// One GET of the metrics endpoint, whole, into `text`.
static bool scrape(uint16_t port, char *text, size_t len)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t have = 0;
    ssize_t n = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0
                    ? send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL)
                    : -1;
    while (n > 0 && have + 1 < len && (n = recv(fd, text + have, len - 1 - have, 0)) > 0) {
        have += (size_t)n;
    }
    text[have] = '\0';
    close(fd);
    return have > 0;
}

// The quantile of a histogram's buckets whose line begins with `prefix`.
static double bucket_quantile(const char *text, const char *prefix, double q)
{
    double bounds[64], counts[64];
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, prefix)) != NULL && count < 64; at++) {
        const char *le = strstr(at, "le=\"");
        const char *end = strchr(at, '\n');
        if ((at == text || at[-1] == '\n') && le != NULL && end != NULL && le < end) {
            bounds[count] = strncmp(le + 4, "+Inf", 4) == 0 ? INFINITY : strtod(le + 4, NULL);
            counts[count++] = strtod(strchr(le, '}') + 1, NULL);
        }
    }
    for (unsigned i = 0; count > 0 && i < count; i++) {
        if (counts[i] >= q * counts[count - 1] && counts[count - 1] > 0) {
            double below = i > 0 ? bounds[i - 1] : 0, before = i > 0 ? counts[i - 1] : 0;
            double inside =
                counts[i] > before ? (q * counts[count - 1] - before) / (counts[i] - before) : 1;
            return isinf(bounds[i]) ? below : below + (bounds[i] - below) * inside;
        }
    }
    return NAN;
}

static void run_hold(void)
{
    static char text[1 << 20];
    struct workload workload;
    struct subject subject;
    struct load_result result;
    workload_init(&workload, WORKLOAD_AGENT, 4);
    const struct subject_config config = {
        .sink_port = sink_port(sink), .processors = "{evaluation: {sampling: {baseline: 0.5}}}"};
    if (!subject_start(SUBJECT_SIDEJUDGE, &config, &subject)) {
        note("hold: sidejudge did not start");
        return;
    }
    struct load_config load = {.workload = &workload,
                               .connections = 2,
                               .window = 1,
                               .port = subject.port,
                               .requests = 1000,
                               .per_second = 250};
    load_run(&load, &result);
    usleep(3000000);
    if (scrape(subject.metrics_port, text, sizeof(text))) {
        line("hold_graded.p50",
             bucket_quantile(text, "sidejudge_hold_seconds_bucket{graded=\"true\"", 0.5) * 1e3,
             "ms");
        line("hold_graded.p99",
             bucket_quantile(text, "sidejudge_hold_seconds_bucket{graded=\"true\"", 0.99) * 1e3,
             "ms");
        line("hold_other.p50",
             bucket_quantile(text, "sidejudge_hold_seconds_bucket{graded=\"false\"", 0.5) * 1e3,
             "ms");
        line("hold_other.p99",
             bucket_quantile(text, "sidejudge_hold_seconds_bucket{graded=\"false\"", 0.99) * 1e3,
             "ms");
    }
    subject_stop(&subject);
    workload_fini(&workload);
}

static void print_machine(void)
{
    char text[64] = "unknown\n";
    FILE *in = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "r");
    if (in != NULL) {
        if (fgets(text, sizeof(text), in) == NULL) {
            text[0] = '\0';
        }
        fclose(in);
    }
    printf("# CPU of the server's own process; medians of %u interleaved rounds; congestion "
           "control %s",
           rounds, text);
    printf("# %ld processors; loopback; the sink and the load generator share them\n",
           sysconf(_SC_NPROCESSORS_ONLN));
}

// A row by its whole name, or, where none has that name, each one that contains it.
static bool is_wanted(const char *name, const char *asked)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, asked) == 0) {
            return strcmp(name, asked) == 0;
        }
    }
    return strstr(name, asked) != NULL;
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("BENCH_ROUNDS");
    rounds = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : rounds;
    CHECK(rounds > 0 && rounds <= ROUNDS_MAX);
    wanted = getenv("BENCH_WORK");
    work = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : work;
    sink = sink_start();
    print_machine();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (argc < 2 || is_wanted(rows[i].name, argv[1])) {
            run_row(&rows[i]);
        }
    }
    if (argc < 2 || strcmp(argv[1], "inflate") == 0) {
        run_inflate();
    }
    if (argc < 2 || strcmp(argv[1], "idle") == 0) {
        run_idle(SUBJECT_SIDEJUDGE);
        run_idle(SUBJECT_COLLECTOR);
    }
    if (argc < 2 || strcmp(argv[1], "latency") == 0) {
        run_latency();
    }
    if (argc < 2 || strcmp(argv[1], "hold") == 0) {
        run_hold();
    }
    sink_stop(&sink);
    return 0;
}
