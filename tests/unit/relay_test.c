// SPDX-License-Identifier: Apache-2.0
//
// The relay as a client and a backend see it, in a whole receiver: what goes on byte for byte, what
// is refused before the backend hears of it, and how answers come back.
#include "receiver/relay.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/authenticator.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "tests/unit/relay_stage.h"

#define TRACE "\"traceId\":\"0123456789abcdef0123456789abcdef\""

static void path_query_and_credentials_go_on_byte_for_byte(void **state)
{
    (void)state;
    const char *reply =
        relay_get("/api/public/v2/prompts/a%20b.c?x=%2F..//&y={\"a\"}",
                  "Authorization: Basic cGs6c2s=\r\nX-Langfuse-Sdk-Name: py thon\r\nCookie: a=b\r\n"
                  "Accept-Encoding: gzip\r\nUser-Agent: sdk/1\r\nX-Empty:\r\n");
    assert_int_equal(relay_status(reply), 200);
    assert_string_equal(relay_seen.line,
                        "GET /api/public/v2/prompts/a%20b.c?x=%2F..//&y={\"a\"} HTTP/1.1");
    assert_non_null(strcasestr(relay_seen.head, "\r\nauthorization: Basic cGs6c2s=\r\n"));
    assert_non_null(strcasestr(relay_seen.head, "x-langfuse-sdk-name: py thon\r\n"));
    assert_non_null(strcasestr(relay_seen.head, "cookie: a=b\r\n"));
    assert_non_null(strcasestr(relay_seen.head, "accept-encoding: gzip\r\n"));
    assert_non_null(strcasestr(relay_seen.head, "user-agent: sdk/1\r\n"));
    assert_non_null(strcasestr(relay_seen.head, "x-empty:"));
    assert_non_null(strcasestr(relay_seen.head, "via: 1.1 sidejudge"));
    assert_null(strcasestr(relay_seen.head, "\r\naccept: "));
    assert_null(strcasestr(relay_seen.head, "content-type"));
}

static void where_the_agent_sends_no_credentials_none_are_added(void **state)
{
    (void)state;
    assert_int_equal(relay_status(relay_get("/api/public/health", "")), 200);
    assert_null(strcasestr(relay_seen.head, "authorization"));
    assert_null(strcasestr(relay_seen.head, "cookie"));
    assert_null(strcasestr(relay_seen.head, "user-agent"));
}

static void each_method_of_the_api_is_passed_on(void **state)
{
    (void)state;
    static const char *const rows[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512], line[64];
        bool has_body = strcmp(rows[i], "GET") != 0;
        snprintf(text, sizeof text,
                 "%s /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE
                 "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 rows[i], has_body ? 4 : 0, has_body ? "[12]" : "");
        assert_int_equal(relay_status(relay_say(text)), 200);
        snprintf(line, sizeof line, "%s /api/public/x HTTP/1.1", rows[i]);
        assert_string_equal(relay_seen.line, line);
        assert_int_equal(relay_seen.body_len, has_body ? 4 : 0);
    }
}

static void a_head_request_has_the_length_and_no_body(void **state)
{
    (void)state;
    relay_seen.reply.headers = "Content-Type: application/json\r\n";
    const char *reply = relay_say("HEAD /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "\r\n");
    assert_int_equal(relay_status(reply), 200);
    assert_string_equal(relay_seen.line, "HEAD /api/public/x HTTP/1.1");
    assert_int_equal(relay_times(reply, "content-length: 2\r\n"), 1);
    assert_int_equal(strlen(strstr(reply, "\r\n\r\n")), 4);
}

static void a_large_body_arrives_whole(void **state)
{
    (void)state;
    size_t len = 3 << 20;
    uint8_t *body = malloc(len);
    assert_non_null(body);
    memset(body, 'm', len);
    body[0] = 'a';
    body[len - 1] = 'z';
    struct http_reply reply =
        http_once(relay_peer.http_port, "/api/public/ingestion", "", bytes_from(body, len));
    free(body);
    assert_int_equal(reply.status, 200);
    assert_int_equal(relay_seen.body_len, len);
    assert_int_equal(relay_seen.first, 'a');
    assert_int_equal(relay_seen.last, 'z');
    buffer_fini(&reply.body);
}

static void a_body_beyond_the_receivers_limit_is_refused(void **state)
{
    (void)state;
    peer_stop(&relay_peer);
    scripted_http_stop(&relay_backend);
    relay_open("{protocols: {http: {endpoint: 'localhost:0', max_request_body_size: 1000}}}");
    const char *reply =
        relay_say("POST /api/public/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
    assert_int_equal(relay_status(reply), 413);
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static void redirects_are_answers(void **state)
{
    (void)state;
    relay_seen.reply.status = 302;
    relay_seen.reply.headers = "Location: http://127.0.0.1:1/elsewhere\r\n";
    const char *reply = relay_get("/api/public/x", "");
    assert_int_equal(relay_status(reply), 302);
    assert_non_null(strcasestr(reply, "location: http://127.0.0.1:1/elsewhere\r\n"));
    assert_int_equal(scripted_http_count(relay_backend), 1);
}

static void status_fields_and_body_come_back(void **state)
{
    (void)state;
    relay_seen.reply.status = 207;
    relay_seen.reply.headers = "Content-Type: application/json; charset=utf-8\r\nX-Id: 7\r\n"
                               "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\n"
                               "Retry-After: 9\r\n";
    relay_seen.reply.body = BYTES_LITERAL("not gzip at all");
    const char *reply = relay_get("/api/public/x", "");
    assert_int_equal(relay_status(reply), 207);
    assert_int_equal(relay_times(reply, "content-type: application/json; charset=utf-8\r\n"), 1);
    assert_int_equal(relay_times(reply, "x-id: 7\r\n"), 1);
    assert_int_equal(relay_times(reply, "set-cookie: "), 2);
    assert_int_equal(relay_times(reply, "retry-after: 9\r\n"), 1);
    assert_int_equal(relay_times(reply, "content-length: 15\r\n"), 1);
    assert_string_equal(strstr(reply, "\r\n\r\n") + 4, "not gzip at all");
}

static void fields_of_the_backends_connection_stay_behind(void **state)
{
    (void)state;
    relay_seen.reply.headers =
        "Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=9\r\n"
        "Upgrade: h2c\r\nProxy-Authenticate: Basic\r\nX-Open: 2\r\n";
    const char *reply = relay_get("/api/public/x", "");
    assert_int_equal(relay_status(reply), 200);
    assert_null(strcasestr(reply, "x-secret"));
    assert_null(strcasestr(reply, "keep-alive"));
    assert_null(strcasestr(reply, "upgrade"));
    assert_null(strcasestr(reply, "proxy-"));
    assert_non_null(strcasestr(reply, "x-open: 2\r\n"));
    assert_int_equal(relay_times(reply, "connection: close\r\n"), 1);
}

static void an_answer_has_at_most_64_fields(void **state)
{
    (void)state;
    static char fields[4096];
    size_t len = 0;
    for (int i = 0; i < 63; i++) {  // and Content-Length
        len += (size_t)snprintf(fields + len, sizeof fields - len, "X-%d: v\r\n", i);
    }
    relay_seen.reply.headers = fields;
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 200);
    snprintf(fields + len, sizeof fields - len, "X-64: v\r\n");
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 502);
}

static void chunks_of_the_backend_are_undone_and_made_anew(void **state)
{
    (void)state;
    relay_seen.reply.headers = "Transfer-Encoding: chunked\r\n";
    relay_seen.reply.body = BYTES_LITERAL("5\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: evil\r\n\r\n");
    const char *reply = relay_get("/api/public/x", "");
    assert_int_equal(relay_status(reply), 200);
    assert_int_equal(relay_times(reply, "transfer-encoding: chunked\r\n"), 1);
    assert_null(strcasestr(reply, "content-length"));
    assert_null(strcasestr(reply, "trailer"));
    assert_non_null(strstr(reply, "hello"));
    assert_string_equal(reply + strlen(reply) - 5, "0\r\n\r\n");
    // Who speaks HTTP/1.0 does not know chunks.
    reply = relay_say("GET /api/public/x HTTP/1.0\r\nHost: h\r\n\r\n");
    assert_int_equal(relay_status(reply), 200);
    assert_null(strcasestr(reply, "transfer-encoding"));
    assert_string_equal(strstr(reply, "\r\n\r\n") + 4, "hello!");
}

static void a_large_answer_waits_for_a_slow_reader(void **state)
{
    (void)state;
    size_t expected = 24 << 20, have = 0;
    static char part[1 << 16];
    relay_seen.reply.filler_bytes = expected;
    struct stream stream = stream_open(relay_peer.http_port);
    static const char request[] = "GET /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "\r\n";
    stream_put(&stream, request, sizeof request - 1);
    (void)poll(NULL, 0, 200);  // nothing is read: the pipe fills up
    ssize_t got = stream_get(&stream, part, sizeof part - 1);
    assert_true(got > 0);
    part[got] = '\0';
    char *body = strstr(part, "\r\n\r\n");
    assert_non_null(body);
    have = (size_t)(part + got - body - 4);
    while ((got = stream_get(&stream, part, sizeof part)) > 0) {
        have += (size_t)got;
    }
    stream_close(&stream);
    assert_int_equal(have, expected);
}

static void an_answer_that_breaks_off_is_seen_to_break_off(void **state)
{
    (void)state;
    relay_seen.reply.body = BYTES_LITERAL("0123456789012345678901234567890123456789");
    relay_seen.reply.send_bytes = 75;
    const char *reply = relay_get("/api/public/x", "");
    assert_in_range(relay_status(reply) / 100, 2, 5);
    if (relay_status(reply) == 200) {
        assert_true(strlen(strstr(reply, "\r\n\r\n") + 4) < 40);
    }
    // The connection of a chunked answer ends without the last chunk.
    relay_seen.reply.headers = "Transfer-Encoding: chunked\r\n";
    relay_seen.reply.body = BYTES_LITERAL("5\r\nhello\r\n");
    relay_seen.reply.send_bytes = 0;
    struct stream stream = stream_open(relay_peer.http_port);
    static const char request[] = "GET /api/public/y HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "\r\n";
    static char text[4096];
    stream_put(&stream, request, sizeof request - 1);
    size_t have = 0;
    while (have < sizeof text - 1 && !strstr(text, "hello")) {
        ssize_t got = stream_get(&stream, text + have, sizeof text - 1 - have);
        assert_true(got > 0);
        have += (size_t)got;
        text[have] = '\0';
    }
    scripted_http_stop(&relay_backend);
    ssize_t got;
    while ((got = stream_get(&stream, text + have, sizeof text - 1 - have)) > 0) {
        have += (size_t)got;
    }
    text[have] = '\0';
    stream_close(&stream);
    assert_null(strstr(text, "0\r\n\r\n"));
}

static void a_backend_that_is_away_is_502(void **state)
{
    (void)state;
    scripted_http_stop(&relay_backend);
    const char *reply = relay_get("/api/public/x", "Authorization: Basic c2VjcmV0\r\n");
    assert_int_equal(relay_status(reply), 502);
    assert_null(strstr(reply, "c2VjcmV0"));
}

static void a_backend_that_is_silent_is_504(void **state)
{
    (void)state;
    peer_stop(&relay_peer);
    relay_to.timeout_ns = 100 * NS_PER_MS;
    peer_relay = &relay_to;
    peer_start(&relay_peer, RELAY_YAML, 7, 0);
    peer_relay = NULL;
    atomic_store(&relay_seen.is_held, true);
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 504);
}

static void nothing_is_sent_a_second_time(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "%s /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "Content-Length: 0\r\n\r\n",
                 methods[i]);
        unsigned before = atomic_load(&relay_seen.count);
        relay_seen.reply.is_silent = false;
        assert_int_equal(relay_status(relay_say(text)), 200);  // leaves a kept connection behind
        relay_seen.reply.is_silent = true;
        assert_int_equal(relay_status(relay_say(text)), 502);
        assert_int_equal(atomic_load(&relay_seen.count), before + 2);
    }
    relay_seen.reply = (struct scripted_reply){.status = 503};
    unsigned before = atomic_load(&relay_seen.count);
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 503);
    assert_int_equal(atomic_load(&relay_seen.count), before + 1);
}

static void the_seventeenth_at_a_time_is_told_to_come_again(void **state)
{
    (void)state;
    static const char request[] = "GET /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "\r\n";
    struct stream streams[RELAY_IN_FLIGHT_MAX];
    atomic_store(&relay_seen.is_held, true);
    for (int i = 0; i < RELAY_IN_FLIGHT_MAX; i++) {
        streams[i] = stream_open(relay_peer.http_port);
        stream_put(&streams[i], request, sizeof request - 1);
    }
    // Which one is refused is not told by their order; one of them is.
    const char *reply = "";
    for (int i = 0; i < 1000 && relay_status(reply) != 503; i++) {
        struct stream stream = stream_open(relay_peer.http_port);
        static char text[4096];
        stream_put(&stream, request, sizeof request - 1);
        struct pollfd wait = {.fd = stream.fd, .events = POLLIN};
        ssize_t got = poll(&wait, 1, 100) > 0 ? stream_get(&stream, text, sizeof text - 1) : 0;
        text[got > 0 ? got : 0] = '\0';
        reply = text;
        stream_close(&stream);
    }
    assert_int_equal(relay_status(reply), 503);
    assert_non_null(strcasestr(reply, "retry-after: 1\r\n"));
    atomic_store(&relay_seen.is_held, false);
    unsigned passed = 0;
    for (int i = 0; i < RELAY_IN_FLIGHT_MAX; i++) {
        static char text[4096];
        ssize_t got = stream_get(&streams[i], text, sizeof text - 1);
        text[got > 0 ? got : 0] = '\0';
        passed += relay_status(text) == 200;
        stream_close(&streams[i]);
    }
    assert_true(passed >= RELAY_IN_FLIGHT_MAX - 1);
}

static void a_client_that_goes_away_gives_its_place_back(void **state)
{
    (void)state;
    static const char request[] = "GET /api/public/x HTTP/1.1\r\nHost: h\r\n\r\n";
    relay_seen.reply.filler_bytes = 24 << 20;
    for (int i = 0; i < 3 * RELAY_IN_FLIGHT_MAX; i++) {
        struct linger cut = {.l_onoff = 1, .l_linger = 0};
        struct stream stream = stream_open(relay_peer.http_port);
        char byte;
        stream_put(&stream, request, sizeof request - 1);
        assert_int_equal(stream_get(&stream, &byte, 1), 1);
        setsockopt(stream.fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
        stream_close(&stream);
    }
    relay_seen.reply.filler_bytes = 0;
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 200);
    assert_true(metrics_sum("sidejudge_relay_requests_total") > 0);
}

static void without_a_relay_there_is_nothing(void **state)
{
    (void)state;
    peer_stop(&relay_peer);
    peer_start(&relay_peer, RELAY_YAML, 7, 0);
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 404);
    assert_int_equal(
        relay_status(relay_say("POST /api/public/scores HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE
                               "Content-Length: 2\r\n\r\n{}")),
        404);
    peer_stop(&relay_peer);
    peer_relay = &relay_to;
    peer_start(&relay_peer, "{protocols: {grpc: {endpoint: 'localhost:0'}}}", 7, 0);
    peer_relay = NULL;
    relay_peer.http_port = relay_peer.grpc_port;
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 404);
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static void spans_stay_here(void **state)
{
    (void)state;
    struct buffer request;
    buffer_init(&request, 1 << 20);
    make_request(&request, 3, 0);
    struct http_reply reply =
        http_once(relay_peer.http_port, "/api/public/otel/v1/traces",
                  "Content-Type: application/x-protobuf\r\n", buffer_view(&request));
    assert_int_equal(reply.status, 200);
    assert_int_equal(atomic_load(&relay_peer.fake.offers), 1);
    assert_int_equal(relay_status(relay_get("/api/public/otel/v1/traces", "")), 405);
    buffer_fini(&reply.body);
    peer_stop(&relay_peer);
    peer_relay = &relay_to;
    peer_start(&relay_peer, RELAY_YAML, 1 << SIGNAL_LOGS, 0);
    peer_relay = NULL;
    reply = http_once(relay_peer.http_port, "/api/public/otel/v1/traces",
                      "Content-Type: application/x-protobuf\r\n", buffer_view(&request));
    assert_int_equal(reply.status, 404);
    buffer_fini(&reply.body);
    buffer_fini(&request);
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static int post_score(const char *fields, const char *body)
{
    struct http_reply reply =
        http_once(relay_peer.http_port, "/api/public/scores", fields, bytes_from_text(body));
    buffer_fini(&reply.body);
    return reply.status;
}

static void scores_that_the_backend_took_are_heard(void **state)
{
    (void)state;
    assert_int_equal(post_score("", "{" TRACE ",\"name\":\"thumb\",\"value\":0}"), 200);
    assert_int_equal(atomic_load(&relay_peer.fake.feedbacks), 1);
    assert_true(relay_peer.fake.last_feedback.is_bad);
    assert_int_equal(relay_peer.fake.last_feedback.trace_id.bytes[15], 0xEF);
    assert_int_equal(post_score("", "{" TRACE ",\"name\":\"thumb\",\"value\":1}"), 200);
    assert_int_equal(post_score("", "{" TRACE ",\"name\":"), 200);  // the backend's to refuse
    assert_int_equal(post_score("Content-Encoding: identity\r\n", "{" TRACE ",\"value\":0}"), 200);
    assert_int_equal(atomic_load(&relay_peer.fake.feedbacks), 2);
    relay_seen.reply.status = 401;
    assert_int_equal(post_score("", "{" TRACE ",\"name\":\"thumb\",\"value\":0}"), 401);
    assert_int_equal(atomic_load(&relay_peer.fake.feedbacks), 2);
}

static void strangers_are_turned_away_before_the_backend_hears_of_them(void **state)
{
    (void)state;
    struct authenticator *list[2] = {NULL, NULL};
    static _Alignas(16) uint8_t memory[1024];
    const char *sources[] = {"yaml:{htpasswd: {inline: 'user:secret'}}"};
    struct config *config;
    struct arena arena;
    struct buffer text;
    peer_stop(&relay_peer);
    buffer_init(&text, 1 << 16);
    arena_init(&arena, 1 << 20);
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, &text, NULL), RESULT_OK);
    struct option_errors errors = {.out = &text};
    const struct authenticator_kind *kind = authenticator_kind_find(BYTES_LITERAL("basicauth"));
    option_bind(kind->options, config_root(config), "basicauth", memory, kind->config_size, &arena,
                &errors);
    list[0] = authenticator_new(kind, "basicauth", memory);
    peer_authenticators = list;
    peer_relay = &relay_to;
    peer_start(&relay_peer,
               "{protocols: {http: {endpoint: 'localhost:0', auth: {authenticator: basicauth}}}}",
               7, 0);
    peer_relay = NULL;
    peer_authenticators = NULL;
    assert_int_equal(relay_status(relay_get("/api/public/x", "")), 401);
    assert_int_equal(
        relay_status(relay_get("/api/public/x", "Authorization: Basic d3Jvbmc6eA==\r\n")), 401);
    assert_int_equal(scripted_http_count(relay_backend), 0);
    assert_int_equal(
        relay_status(relay_get("/api/public/x", "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n")), 200);
    assert_non_null(strcasestr(relay_seen.head, "authorization: Basic dXNlcjpzZWNyZXQ=\r\n"));
    authenticator_release(&list[0]);
    config_free(&config);
    arena_fini(&arena);
    buffer_fini(&text);
}

static void the_end_of_the_receiver_breaks_off_what_is_under_way(void **state)
{
    (void)state;
    static const char request[] = "GET /api/public/x HTTP/1.1\r\nHost: h\r\n\r\n";
    static char text[4096];
    atomic_store(&relay_seen.is_held, true);
    struct stream streams[4];
    for (int i = 0; i < 4; i++) {
        streams[i] = stream_open(relay_peer.http_port);
        stream_put(&streams[i], request, sizeof request - 1);
    }
    assert_true(scripted_http_await(relay_backend, 1));
    peer_stop(&relay_peer);
    for (int i = 0; i < 4; i++) {
        ssize_t got = stream_get(&streams[i], text, sizeof text - 1);
        text[got > 0 ? got : 0] = '\0';
        assert_int_not_equal(relay_status(text), 200);
        stream_close(&streams[i]);
    }
    atomic_store(&relay_seen.is_held, false);
    peer_start(&relay_peer, RELAY_YAML, 7, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, relay_set_up, relay_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(path_query_and_credentials_go_on_byte_for_byte),
        CASE(where_the_agent_sends_no_credentials_none_are_added),
        CASE(each_method_of_the_api_is_passed_on),
        CASE(a_head_request_has_the_length_and_no_body),
        CASE(a_large_body_arrives_whole),
        CASE(a_body_beyond_the_receivers_limit_is_refused),
        CASE(redirects_are_answers),
        CASE(status_fields_and_body_come_back),
        CASE(fields_of_the_backends_connection_stay_behind),
        CASE(an_answer_has_at_most_64_fields),
        CASE(chunks_of_the_backend_are_undone_and_made_anew),
        CASE(a_large_answer_waits_for_a_slow_reader),
        CASE(an_answer_that_breaks_off_is_seen_to_break_off),
        CASE(a_backend_that_is_away_is_502),
        CASE(a_backend_that_is_silent_is_504),
        CASE(nothing_is_sent_a_second_time),
        CASE(the_seventeenth_at_a_time_is_told_to_come_again),
        CASE(a_client_that_goes_away_gives_its_place_back),
        CASE(without_a_relay_there_is_nothing),
        CASE(spans_stay_here),
        CASE(scores_that_the_backend_took_are_heard),
        CASE(strangers_are_turned_away_before_the_backend_hears_of_them),
        CASE(the_end_of_the_receiver_breaks_off_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
