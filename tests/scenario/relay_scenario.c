// SPDX-License-Identifier: Apache-2.0
//
// An agent's SDK whose one change is its base URL, against the real binary: spans go by way of the
// pipeline, everything else below /api/public/ to the backend as it was, a bad score picks the
// interaction that it speaks of; and nothing of it where `relay` is off. Hostile requests are here
// once more, since the unit tests have a receiver of their own. Bounds: those of the harness.

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/scenario/harness.h"
#include "tests/unit/scripted_http.h"

#define KEY "Basic YWdlbnQ6c2VjcmV0"
#define TRACE "a9e7a9e7a9e7a9e7a9e7a9e700000001"

// Langfuse as far as the agent sees it.
static struct {
    struct scripted_http *http;
    char url[64];
    atomic_uint others, spans;  // requests
    char line[256], head[4096], spans_authorization[128];
    struct buffer bodies;  // of span requests
} langfuse;

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    reply->headers = "Content-Type: application/json\r\n";
    reply->body = BYTES_LITERAL("{\"id\":\"made-by-the-backend\"}");
    if (bytes_start_with(request->line, BYTES_LITERAL("POST /api/public/otel/v1/traces "))) {
        snprintf(langfuse.spans_authorization, sizeof(langfuse.spans_authorization), "%.*s",
                 BYTES_PRINTF(scripted_header(request, "authorization")));
        buffer_append_bytes(&langfuse.bodies, request->body);
        atomic_fetch_add(&langfuse.spans, 1);
        return;
    }
    snprintf(langfuse.line, sizeof(langfuse.line), "%.*s", BYTES_PRINTF(request->line));
    snprintf(langfuse.head, sizeof(langfuse.head), "%.*s", BYTES_PRINTF(request->head));
    if (bytes_find(request->line, BYTES_LITERAL("/moved"), 0) != SIZE_MAX) {
        reply->status = 307;
        reply->headers = "Location: http://127.0.0.1:9/api/public/elsewhere\r\n";
    } else if (bytes_find(request->line, BYTES_LITERAL("/large"), 0) != SIZE_MAX) {
        reply->filler_bytes = 6 << 20;
    }
    atomic_fetch_add(&langfuse.others, 1);
}

static int set_up(void **state)
{
    memset(&langfuse, 0, sizeof(langfuse));
    buffer_init(&langfuse.bodies, (size_t)16 << 20);
    langfuse.http = scripted_http_start(answer, NULL);
    snprintf(langfuse.url, sizeof(langfuse.url), "http://127.0.0.1:%u",
             scripted_http_port(langfuse.http));
    return harness_setup(state);
}

static int tear_down(void **state)
{
    int result = harness_teardown(state);
    scripted_http_stop(&langfuse.http);
    buffer_fini(&langfuse.bodies);
    return result;
}

static const char *yaml_of(uint16_t port, const char *more, const char *evaluation)
{
    static char yaml[4096];
    snprintf(yaml, sizeof(yaml),
             "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}\n"
             "processors: {evaluation: {%s}}\n"
             "exporters: {langfuse: {public_key: pk, secret_key: sk, endpoint: \"%s\", "
             "sending_queue: {batch: {flush_timeout: 10ms}}%s}}\n"
             "service:\n"
             "  pipelines:\n"
             "    traces: {receivers: [otlp], processors: [evaluation], exporters: [langfuse]}\n",
             port, evaluation, langfuse.url, more);
    return yaml;
}

static void start(struct harness *harness, const char *more, const char *evaluation)
{
    harness_start_yaml(harness, "%s", yaml_of(0, more, evaluation));
}

// Says bytes on a connection of its own; the status, 0: none.
static int say(const struct harness *harness, const char *text)
{
    char reply[4096];
    size_t have = 0;
    struct timeval limit = {.tv_sec = HARNESS_PATIENCE_S};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(harness->http_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    ssize_t got;
    while (have < 13 && (got = recv(fd, reply + have, sizeof(reply) - 1 - have, 0)) > 0) {
        have += (size_t)got;
    }
    reply[have] = '\0';
    close(fd);
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 ? (int)strtol(reply + 9, NULL, 10) : 0;
}

static int get(const struct harness *harness, const char *path)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "GET %s HTTP/1.1\r\nHost: localhost:4318\r\nAuthorization: " KEY "\r\n"
             "Connection: close\r\n\r\n",
             path);
    return say(harness, text);
}

static bool spans_have_come(void *arg)
{
    return atomic_load(&langfuse.spans) >= *(unsigned *)arg;
}

static void send_agent(struct harness *harness, unsigned number)
{
    struct buffer request;
    harness_agents(&request, number, 1);
    assert_int_equal(harness_post(harness, "/api/public/otel/v1/traces", "application/x-protobuf",
                                  NULL, buffer_view(&request))
                         .status,
                     200);
    buffer_fini(&request);
}

static void the_base_url_is_the_whole_change(void **state)
{
    struct harness *harness = *state;
    unsigned one = 1;
    start(harness, ", relay: true", "hold: 100ms");
    send_agent(harness, 1);
    harness_wait(harness, spans_have_come, &one, HARNESS_PATIENCE_S, "the span");
    assert_string_equal(langfuse.spans_authorization, "Basic cGs6c2s=");  // ours
    assert_int_equal(get(harness, "/api/public/v2/prompts/my%20prompt?label=production"), 200);
    assert_string_equal(langfuse.line,
                        "GET /api/public/v2/prompts/my%20prompt?label=production HTTP/1.1");
    assert_non_null(strcasestr(langfuse.head, "authorization: " KEY "\r\n"));  // the agent's
    assert_null(strstr(langfuse.head, "4318"));
    assert_int_equal(get(harness, "/api/public/moved"), 307);
    assert_int_equal(get(harness, "/api/public/large"), 200);
    assert_int_equal(atomic_load(&langfuse.others), 3);
    assert_true(harness_metric(harness, "sidejudge_relay_requests_total", "passed") >= 2);
    assert_false(harness_said(harness, "YWdlbnQ6c2VjcmV0"));
    harness_stop(harness);
    assert_false(harness_said(harness, "YWdlbnQ6c2VjcmV0"));
}

static void nothing_that_reads_in_two_ways_is_passed_on(void **state)
{
    struct harness *harness = *state;
    static const char *const paths[] = {
        "/api/public/x%2fy",     "/api/public/../x", "/api/public//x",
        "/api/public/%2e%2e/x",  "/api/public/x\\y", "/api/public/\xC3\xA9",
        "/api/public/x%0d%0aX:", "/api/public/x%00", "http://u@evil/api/public/x",
        "/api/public",           "/api/publicx",     "/API/public/x",
        "/x/../api/public/y",    "//api/public/x",
    };
    static const char *const requests[] = {
        "POST /api/public/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/public/y HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /api/public/x HTTP/1.1\r\nHost: h\r\nX-A: b\nX-B: c\r\n\r\n",
        "GET /api/public/x HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        "TRACE /api/public/x HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS /api/public/x HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    start(harness, ", relay: true", "");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_in_range(get(harness, paths[i]), 400, 404);
    }
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        assert_in_range(say(harness, requests[i]), 400, 405);
    }
    assert_int_equal(get(harness, "http://evil.example/api/public/x"), 200);
    assert_string_equal(langfuse.line, "GET /api/public/x HTTP/1.1");
    assert_null(strstr(langfuse.head, "evil"));
    assert_int_equal(atomic_load(&langfuse.others), 1);
    harness_stop(harness);
}

static void a_bad_score_picks_its_interaction(void **state)
{
    struct harness *harness = *state;
    static const char score[] = "{\"traceId\":\"" TRACE "\",\"name\":\"thumb\",\"value\":0}";
    unsigned one = 1;
    start(harness, ", relay: true", "hold: 20s, sampling: {baseline: 0}, completion: {linger: 2s}");
    send_agent(harness, 1);
    struct harness_reply reply = harness_post(harness, "/api/public/scores", "application/json",
                                              NULL, bytes_from_text(score));
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "made-by-the-backend"));
    harness_wait(harness, spans_have_come, &one, HARNESS_PATIENCE_S, "the span");
    assert_true(harness_metric(harness, "sidejudge_feedback_total", "taken") == 1);
    assert_true(harness_metric(harness, "sidejudge_quality_signals_total", "feedback") == 1);
    assert_true(harness_metric(harness, "sidejudge_decisions_total", "judged") == 1);
    // What is decided stays decided.
    assert_int_equal(harness_post(harness, "/api/public/scores", "application/json", NULL,
                                  bytes_from_text(score))
                         .status,
                     200);
    harness_turn(harness, 100);
    assert_true(harness_metric(harness, "sidejudge_feedback_total", "decided") == 1);
    harness_stop(harness);
    assert_true(bytes_find(buffer_view(&langfuse.bodies), BYTES_LITERAL("sidejudge.decision"), 0) !=
                SIZE_MAX);
}

static void off_is_off_and_reloads_turn_it_on(void **state)
{
    struct harness *harness = *state;
    uint16_t port = harness_free_port();
    const char *path = harness_file(harness, "config.yaml", yaml_of(port, "", ""));
    harness_start(harness, (const char *const[]){"--config", path, NULL});
    assert_int_equal(get(harness, "/api/public/x"), 404);
    for (int i = 0; i < 2; i++) {
        bool is_on = i == 0;
        int status = 0;
        harness_file(harness, "config.yaml", yaml_of(port, is_on ? ", relay: true" : "", ""));
        harness_signal(harness, SIGHUP);
        for (int turn = 0; turn < 300 && status != (is_on ? 200 : 404); turn++) {
            harness_turn(harness, 50);
            status = get(harness, "/api/public/x");
        }
        assert_int_equal(status, is_on ? 200 : 404);
    }
    harness_stop(harness);
}

static void what_points_at_ourselves_is_not_passed_on(void **state)
{
    struct harness *harness = *state;
    uint16_t port = harness_free_port();
    snprintf(langfuse.url, sizeof(langfuse.url), "http://localhost:%u", port);
    const char *path = harness_file(harness, "config.yaml", yaml_of(port, ", relay: true", ""));
    harness_start(harness, (const char *const[]){"--config", path, NULL});
    assert_int_equal(get(harness, "/api/public/x"), 404);
    harness_stop(harness);
}

static void what_cannot_be_meant_is_said_by_validate(void **state)
{
    struct harness *harness = *state;
    static const char *const rows[][2] = {
        {"langfuse: {public_key: a, secret_key: b, endpoint: \"http://h/folder\", relay: true}, "
         "langfuse/2: {public_key: a, secret_key: b, endpoint: \"http://h\"}",
         "must not have a path of its own"},
        {"langfuse: {public_key: a, secret_key: b, endpoint: \"http://h\", relay: true}, "
         "langfuse/2: {public_key: a, secret_key: b, endpoint: \"http://i\", relay: true}",
         "one exporter can have it"},
        {"langfuse: {public_key: a, secret_key: b, endpoint: \"http://h\", relay: maybe}, "
         "langfuse/2: {public_key: a, secret_key: b, endpoint: \"http://h\"}",
         "relay"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char yaml[2048];
        struct buffer out;
        buffer_init(&out, 1 << 20);
        snprintf(yaml, sizeof(yaml),
                 "receivers: {otlp: {protocols: {http: }}}\nexporters: {%s}\n"
                 "service: {pipelines: {traces: {receivers: [otlp], exporters: [langfuse, "
                 "langfuse/2]}}}\n",
                 rows[i][0]);
        const char *path = harness_file(harness, "bad.yaml", yaml);
        const char *const arguments[] = {"validate", "--config", path, NULL};
        assert_int_not_equal(harness_command(harness, arguments, &out), 0);
        if (strstr(buffer_text(&out), rows[i][1]) == NULL) {
            fail_msg("%s", buffer_text(&out));
        }
        buffer_fini(&out);
    }
}

static void an_end_under_way_is_orderly(void **state)
{
    struct harness *harness = *state;
    static const char request[] = "GET /api/public/large HTTP/1.1\r\nHost: h\r\n\r\n";
    start(harness, ", relay: true", "");
    int fds[8];
    for (size_t i = 0; i < 8; i++) {  // nobody reads the answers
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(harness->http_port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
        assert_int_equal(send(fds[i], request, sizeof(request) - 1, MSG_NOSIGNAL),
                         sizeof(request) - 1);
    }
    harness_turn(harness, 200);
    harness_stop(harness);
    for (size_t i = 0; i < 8; i++) {
        close(fds[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_base_url_is_the_whole_change),
        CASE(nothing_that_reads_in_two_ways_is_passed_on),
        CASE(a_bad_score_picks_its_interaction),
        CASE(off_is_off_and_reloads_turn_it_on),
        CASE(what_points_at_ourselves_is_not_passed_on),
        CASE(what_cannot_be_meant_is_said_by_validate),
        CASE(an_end_under_way_is_orderly),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
