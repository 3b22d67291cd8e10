// SPDX-License-Identifier: Apache-2.0
//
// The first promise: whatever is wrong with the sidecar, the agent does not feel it. An agent whose
// exporter blocks its turn runs 200 turns against each fault: every turn is answered as the row
// says and none takes two seconds. And as a native sidecar: whatever is wrong with the
// configuration, the startup probe is answered, because a sidecar that exits keeps the agent from
// starting. Refused: an asynchronous agent, which would hide what is measured. Times are printed;
// only the two seconds are asserted. One thread beside the agent's.

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "tests/scenario/faulty_backend.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"

enum { TURNS = 200, TURN_SPANS = 3 };
#define TURN_MAX_NS (2 * NS_PER_S)
#define PROBE_PATIENCE_S 10  // for a start under sanitizers on a busy machine; the aim is 2

static struct stage {
    struct harness *harness;
    struct oracle *oracle;
    struct faulty_backend *backend, *judge;
} stage;

static int stage_setup(void **state)  // leaves the row where it is
{
    void *harness = NULL;
    (void)state;
    memset(&stage, 0, sizeof(stage));
    harness_setup(&harness);
    stage.harness = harness;
    stage.oracle = oracle_new();
    stage.backend = faulty_backend_open(stage.harness->loop, stage.oracle, 0);
    stage.judge = faulty_backend_open(stage.harness->loop, NULL, 1);
    return 0;
}

static int stage_teardown(void **state)
{
    void *harness = stage.harness;
    (void)state;
    faulty_backend_close(&stage.backend);
    faulty_backend_close(&stage.judge);
    harness_teardown(&harness);
    oracle_free(&stage.oracle);
    return 0;
}

// --- the agent ---

struct agent {
    uint16_t port;
    struct buffer requests[TURNS];
    int statuses[TURNS];  // 0: no answer
    uint64_t elapsed_ns[TURNS];
    int fd;  // < 0: not connected
    struct thread thread;
    atomic_bool is_done;
};

static bool agent_connect(struct agent *agent)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(agent->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 5};
    agent->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(agent->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(agent->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return connect(agent->fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

// The status of the answer, read to the end of its body; 0: there is none.
static int agent_read(const struct agent *agent, bool *is_kept)
{
    char text[8192];
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(agent->fd, text + len, sizeof(text) - 1 - len, 0);
        if (got <= 0) {
            return 0;
        }
        len += (size_t)got;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strcasestr(text, "content-length:");
        if (end != NULL) {
            size_t body = length != NULL ? strtoul(length + 15, NULL, 10) : 0;
            if (len >= (size_t)(end + 4 - text) + body) {
                *is_kept = strcasestr(text, "connection: close") == NULL;
                return (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
            }
        }
        CHECK(len + 1 < sizeof(text));
    }
}

static int agent_export(struct agent *agent, struct bytes body)
{
    char head[256];
    bool is_kept = false;
    if (agent->fd < 0 && !agent_connect(agent)) {
        return 0;
    }
    int len = snprintf(head, sizeof(head),
                       "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                       "application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
                       body.len);
    int status = 0;
    if (send(agent->fd, head, (size_t)len, MSG_NOSIGNAL | MSG_MORE) == len &&
        send(agent->fd, body.ptr, body.len, MSG_NOSIGNAL) == (ssize_t)body.len) {
        status = agent_read(agent, &is_kept);
    }
    if (!is_kept) {
        close(agent->fd);
        agent->fd = -1;
    }
    return status;
}

static void agent_run(void *arg)
{
    struct agent *agent = arg;
    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t from_ns = clock_mono_ns();
        agent->statuses[i] = agent_export(agent, buffer_view(&agent->requests[i]));
        agent->elapsed_ns[i] = clock_mono_ns() - from_ns;
    }
    if (agent->fd >= 0) {
        close(agent->fd);
    }
    atomic_store(&agent->is_done, true);
}

static bool is_done(void *arg)
{
    return atomic_load(&((struct agent *)arg)->is_done);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

// 200 turns; each must be answered with `status`, or with 200 or `other`.
static void agent_turns(int status, int other)
{
    static struct agent agent;
    memset(&agent, 0, sizeof(agent));
    agent.port = stage.harness->http_port;
    agent.fd = -1;
    for (unsigned i = 0; i < TURNS; i++) {
        harness_agents(&agent.requests[i], i * TURN_SPANS, TURN_SPANS);
        oracle_sent(stage.oracle, buffer_view(&agent.requests[i]));
    }
    assert_int_equal(thread_start(&agent.thread, "agent", agent_run, &agent), RESULT_OK);
    harness_wait(stage.harness, is_done, &agent, 120, "the agent's turns");
    thread_join(&agent.thread);
    for (unsigned i = 0; i < TURNS; i++) {
        assert_true(agent.statuses[i] == status || agent.statuses[i] == other);
        if (agent.statuses[i] == 200) {
            oracle_acknowledged(stage.oracle, buffer_view(&agent.requests[i]));
        }
        buffer_fini(&agent.requests[i]);
    }
    qsort(agent.elapsed_ns, TURNS, sizeof(agent.elapsed_ns[0]), compare);
    print_message("turns: p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n",
                  (double)agent.elapsed_ns[TURNS / 2] / 1e6,
                  (double)agent.elapsed_ns[TURNS * 99 / 100] / 1e6,
                  (double)agent.elapsed_ns[TURNS - 1] / 1e6);
    assert_true(agent.elapsed_ns[TURNS - 1] < TURN_MAX_NS);
}

// --- what is wrong ---

enum place { NOTHING, JUDGE, BACKEND };

#define SILENT                                                                                     \
    {                                                                                              \
        .how = FAULTY_SILENT                                                                       \
    }
#define EVALUATE "sampling: {baseline: \"1\"}, evaluators: {answer_relevance: {judge: default}}"
#define EXPORT                                                                                     \
    "otlp_http: {endpoint: \"%s\", compression: none, retry_on_failure: {initial_interval: 50ms, " \
    "max_interval: 100ms}}"

static const struct fault {
    const char *name;
    const char *evaluation;       // keys besides `judges`
    const char *judge;            // keys of the judge besides its endpoint
    const char *exporters;        // NULL: one to the backend
    const char *chain;            // of exporters; NULL: that one
    enum place place;             // where it is wrong
    bool is_down;                 // it is not there at all
    struct faulty_answer answer;  // else it answers so
    int status, other;            // of turns; 0: 200
    bool recovers;                // and everything arrives
} faults[] = {
    {.name = "agent_beside_a_sidecar_that_is_well", .evaluation = EVALUATE, .recovers = true},
    {.name = "agent_beside_a_budget_of_nothing",
     .evaluation = EVALUATE ", budget: {usd_per_day: 0}",
     .judge = ", price: {input_per_mtok: 1000, output_per_mtok: 1000}",
     .recovers = true},
    {.name = "agent_beside_one_judge_call_per_second",
     .evaluation = EVALUATE ", budget: {calls_per_second: 1}",
     .recovers = true},
    {.name = "agent_beside_a_judge_that_is_gone",
     .evaluation = EVALUATE,
     .place = JUDGE,
     .is_down = true,
     .recovers = true},
    {.name = "agent_beside_a_judge_that_hangs",
     .evaluation = EVALUATE,
     .place = JUDGE,
     .answer = SILENT,
     .recovers = true},
    {.name = "agent_beside_a_judge_that_never_ends",
     .evaluation = EVALUATE,
     .place = JUDGE,
     .answer = {.how = FAULTY_ENDLESS},
     .recovers = true},
    {.name = "agent_beside_a_backend_that_is_gone", .place = BACKEND, .is_down = true},
    {.name = "agent_beside_a_backend_that_hangs", .place = BACKEND, .answer = SILENT},
    {.name = "agent_beside_a_backend_that_drips",
     .place = BACKEND,
     .answer = {.how = FAULTY_DRIPS, .keeps = true}},
    {.name = "agent_beside_a_backend_that_refuses_all",
     .place = BACKEND,
     .answer = {.status = 400}},
    {.name = "agent_beside_a_full_queue",
     .exporters = "otlp_http: {endpoint: \"%s\", compression: none, sending_queue: {sizer: bytes, "
                  "queue_size: 200000}}",
     .place = BACKEND,
     .is_down = true,
     .status = 503,
     .other = 200},
    {.name = "agent_beside_a_broken_rubric",
     .evaluation = "evaluators: {tone: {judge: default, rubric: \"file:/nonexistent.md\"}}",
     .recovers = true},
    {.name = "agent_beside_an_unknown_evaluator",
     .evaluation = "evaluators: {cleverness: {threshold: 0.5}}",
     .recovers = true},
    {.name = "agent_beside_a_judge_of_an_unknown_api",
     .evaluation = EVALUATE,
     .judge = ", api: telepathy",
     .recovers = true},
    {.name = "agent_beside_an_unknown_key", .evaluation = "holdd: 4s", .recovers = true},
    {.name = "agent_beside_one_broken_exporter_of_two",
     .exporters = EXPORT ", otlp_http/broken: {endpoint: \"ftp://nowhere\"}",
     .chain = "otlp_http, otlp_http/broken",
     .recovers = true},
    {.name = "agent_beside_broken_exporters_alone",
     .exporters = EXPORT ", otlp_http/broken: {endpoint: \"ftp://nowhere\"}",
     .chain = "otlp_http/broken",
     .status = 503},
};

static void fault_start(const struct fault *fault)
{
    char exporters[1024];
    const char *text = fault->exporters != NULL ? fault->exporters : EXPORT;
    const char *hole = strstr(text, "%s");
    snprintf(exporters, sizeof(exporters), "%.*s%s%s", (int)(hole - text), text,
             faulty_backend_url(stage.backend), hole + 2);
    harness_start_yaml(
        stage.harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "extensions: {health_check: }\n"
        "processors: {evaluation: {judges: {default: {endpoint: \"%s/v1\", model: m, api_key: k, "
        "timeout: 1s%s}}%s%s}}\n"
        "exporters: {%s}\n"
        "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], processors: "
        "[evaluation], exporters: [%s]}}}\n",
        faulty_backend_url(stage.judge),
        fault->judge != NULL ? fault->judge : ", price: {input_per_mtok: 0, output_per_mtok: 0}",
        fault->evaluation != NULL ? ", " : "", fault->evaluation != NULL ? fault->evaluation : "",
        exporters, fault->chain != NULL ? fault->chain : "otlp_http");
}

static void agent_row(void **state)
{
    const struct fault *fault = *state;
    struct faulty_backend *wrong = fault->place == JUDGE ? stage.judge : stage.backend;
    if (fault->is_down) {
        faulty_backend_down(wrong);
    } else if (fault->place != NOTHING) {
        faulty_backend_behave(wrong, &fault->answer, 0);
    }
    fault_start(fault);
    agent_turns(fault->status > 0 ? fault->status : 200, fault->other);
    assert_int_equal(harness_get(stage.harness, stage.harness->health_port, "/").status, 200);
    if (fault->recovers) {
        oracle_await(stage.oracle, stage.harness, 0);
        harness_stop(stage.harness);
        oracle_holds(stage.oracle, 0, 0);
    }
    harness_sanitizers_are_silent(stage.harness);
}

// --- a native sidecar ---

#define RECEIVERS "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
#define EXPORTERS "exporters: {debug: }\n"
#define SERVICE "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"
#define JUDGED(evaluators, judge)                                                                  \
    RECEIVERS EXPORTERS                                                                            \
        "processors: {evaluation: {evaluators: {" evaluators "}, judges: {default: {" judge        \
        "}}}}\n"                                                                                   \
        "service: {pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "  \
        "[debug]}}}\n"
#define EXPORTER(keys)                                                                             \
    RECEIVERS "exporters: {otlp_http: {" keys "}}\n"                                               \
              "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}\n"

static const struct mistake {
    const char *name, *yaml;
} mistakes[] = {
    {"probe_beside_an_unknown_key_at_the_top", RECEIVERS EXPORTERS SERVICE "exporterz: {}\n"},
    {"probe_beside_an_unknown_key_of_the_receiver",
     "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\", endpiont: x}}}}\n" EXPORTERS
         SERVICE},
    {"probe_beside_an_unknown_key_of_a_processor",
     JUDGED("valid_json: {treshold: 1}", "api: openai, model: m")},
    {"probe_beside_an_unknown_key_of_an_exporter",
     EXPORTER("endpoint: \"http://127.0.0.1:1\", compresion: gzip")},
    {"probe_beside_a_broken_rubric",
     JUDGED("tone: {judge: default, rubric: \"file:/nonexistent.md\"}",
            "api: openai, endpoint: \"http://127.0.0.1:1/v1\", model: m, price: {input_per_mtok: "
            "0, output_per_mtok: 0}")},
    {"probe_beside_a_missing_secret_of_a_judge",
     JUDGED("faithfulness: {judge: default}", "api: anthropic, model: claude-haiku-4-5")},
    {"probe_beside_a_missing_secret_of_an_exporter",
     RECEIVERS "exporters: {langfuse: }\n"
               "service: {pipelines: {traces: {receivers: [otlp], exporters: [langfuse]}}}\n"},
    {"probe_beside_a_missing_variable",
     EXPORTER("endpoint: \"${env:NOT_THERE_AT_ALL}\", headers: {x-key: \"${env:NOR_THIS}\"}")},
    {"probe_beside_an_unknown_processor", RECEIVERS EXPORTERS
     "processors: {nonsense: }\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [nonsense], exporters: "
     "[debug]}}}\n"},
    {"probe_beside_an_unknown_exporter",
     RECEIVERS "exporters: {nonsense: }\n"
               "service: {pipelines: {traces: {receivers: [otlp], exporters: [nonsense]}}}\n"},
    {"probe_beside_an_unknown_receiver",
     "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}, nonsense: }\n" EXPORTERS
     "service: {pipelines: {traces: {receivers: [otlp, nonsense], exporters: [debug]}}}\n"},
    {"probe_beside_an_unknown_extension", RECEIVERS EXPORTERS SERVICE "extensions: {nonsense: }\n"},
    {"probe_beside_a_bad_endpoint_of_an_exporter", EXPORTER("endpoint: \"::not a url::\"")},
    {"probe_beside_no_endpoint_of_an_exporter", EXPORTER("compression: gzip")},
    {"probe_beside_an_unknown_evaluator",
     JUDGED("cleverness: {threshold: 0.5}", "api: openai, model: m")},
    {"probe_beside_an_evaluator_of_a_judge_that_is_none",
     JUDGED("faithfulness: {judge: nobody}", "api: openai, model: m")},
    {"probe_beside_a_value_of_another_type",
     RECEIVERS EXPORTERS "processors: {evaluation: {hold: banana, budget: [1, 2]}}\n"
                         "service: {pipelines: {traces: {receivers: [otlp], processors: "
                         "[evaluation], exporters: [debug]}}}\n"},
    {"probe_beside_a_value_out_of_bounds",
     RECEIVERS EXPORTERS "processors: {evaluation: {hold: 100h}}\n"
                         "service: {pipelines: {traces: {receivers: [otlp], processors: "
                         "[evaluation], exporters: [debug]}}}\n"},
    {"probe_beside_a_file_of_authorities_that_is_not_there",
     EXPORTER("endpoint: \"https://127.0.0.1:1\", tls: {ca_file: /nonexistent.pem}")},
    {"probe_beside_a_schema_that_is_not_there",
     JUDGED("valid_json: {schema: \"file:/nonexistent.json\"}", "api: openai, model: m")},
    {"probe_beside_a_certificate_of_the_receiver_that_is_not_there",
     "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\", tls: {cert_file: "
     "/nonexistent.pem, key_file: /nonexistent.key}}}}}\n" EXPORTERS SERVICE},
    {"probe_beside_references_to_nothing",
     RECEIVERS EXPORTERS "service: {pipelines: {traces: {receivers: [otlp], processors: [ghost], "
                         "exporters: [debug, phantom]}}}\n"},
    {"probe_beside_no_pipelines", RECEIVERS EXPORTERS "service: {}\n"},
    {"probe_beside_a_pipeline_of_nothing",
     RECEIVERS EXPORTERS "service: {pipelines: {traces: }}\n"},
    {"probe_beside_an_unknown_signal",
     RECEIVERS EXPORTERS "service: {pipelines: {smells: {receivers: [otlp], exporters: "
                         "[debug]}}}\n"},
    {"probe_beside_an_unknown_level_of_logs",
     RECEIVERS EXPORTERS "service: {telemetry: {logs: {level: shouting}}, pipelines: {traces: "
                         "{receivers: [otlp], exporters: [debug]}}}\n"},
    {"probe_beside_a_listener_of_another_host",
     "receivers: {otlp: {protocols: {http: {endpoint: \"192.0.2.1:4318\"}}}}\n" EXPORTERS SERVICE},
};

static bool probe_passes(void *arg)
{
    struct harness *harness = arg;
    harness_said(harness, "");  // reads what there is
    harness_read_ports(harness);
    return harness->health_port != 0 &&
           harness_get(harness, harness->health_port, "/").status == 200;
}

static void probe_row(void **state)
{
    const struct mistake *mistake = *state;
    const char *path = harness_file(stage.harness, "config.yaml", mistake->yaml);
    uint64_t from_ns = clock_mono_ns();
    harness_launch(stage.harness, (const char *const[]){
                                      "--config", path,
                                      "--config=yaml:service::extensions: [health_check]", NULL});
    harness_wait(stage.harness, probe_passes, stage.harness, PROBE_PATIENCE_S, "the startup probe");
    print_message("startup probe: %.0f ms\n", (double)(clock_mono_ns() - from_ns) / 1e6);
    harness_signal(stage.harness, SIGTERM);
    assert_true(harness_wait_end(stage.harness) < 128);
    harness_sanitizers_are_silent(stage.harness);
}

#define AGENTS (sizeof(faults) / sizeof(faults[0]))
#define PROBES (sizeof(mistakes) / sizeof(mistakes[0]))

int main(void)
{
    struct CMUnitTest tests[AGENTS + PROBES];
    for (size_t i = 0; i < AGENTS; i++) {
        tests[i] = (struct CMUnitTest){faults[i].name, agent_row, stage_setup, stage_teardown,
                                       (void *)(uintptr_t)&faults[i]};
    }
    for (size_t i = 0; i < PROBES; i++) {
        tests[AGENTS + i] = (struct CMUnitTest){mistakes[i].name, probe_row, stage_setup,
                                                stage_teardown, (void *)(uintptr_t)&mistakes[i]};
    }
    return cmocka_run_group_tests_name("agent faults", tests, NULL, NULL);
}
