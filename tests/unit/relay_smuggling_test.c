// SPDX-License-Identifier: Apache-2.0
//
// What could be read in two ways, or lead elsewhere, never reaches the backend: one case for each
// sentence of what may be passed on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/process.h"
#include "tests/unit/relay_stage.h"

static void suspicious_paths_never_reach_the_backend(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
    } rows[] = {
        {"/api/public/x%2fy", 400},
        {"/api/public/x%2Fy", 400},
        {"/api/public/../admin", 400},
        {"/api/public/x/..", 400},
        {"/api/public//x", 400},
        {"/api/public/%2e%2e/x", 400},
        {"/api/public/%2E%2E%2fx", 400},
        {"/api/public/.%2e/x", 400},
        {"/api/public/./x", 400},
        {"/api/public/x\\y", 400},
        {"/api/public/..\\admin", 400},
        {"/api/public/x%5cy", 400},
        {"/api/public/\xC3\xA9", 400},
        {"/api/public/x%00", 400},
        {"/api/public/x%0d%0aa:b", 400},
        {"/api/public/x%zz", 400},
        {"/api/public/x y", 400},
        {"/api/public/x?a\\b", 400},
        {"/api/public/x?\xC3\xA9", 400},
        {"/api/public/x?a#b", 400},
        {"/api/public", 404},
        {"/api/public/", 404},
        {"/API/public/x", 404},
        {"/api/publicx", 404},
        {"/x/api/public/y", 404},
        {"/api%2fpublic/x", 404},
        {"/%61pi/public/x", 404},
        {"/api//public/x", 404},
        {"//api/public/x", 404},
        {"/./api/public/x", 404},
        {"/api/./public/x", 404},
        {"*", 404},
        {"api/public/x", 400},
        {"@evil/api/public/x", 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = relay_status(relay_get(rows[i].path, ""));
        if (status != rows[i].status && !(rows[i].status == 404 && status == 400)) {
            fail_msg("%s: %d", rows[i].path, status);
        }
    }
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static void an_authority_in_the_target_leads_nowhere_else(void **state)
{
    (void)state;
    assert_int_equal(relay_status(relay_get("http://evil.example/api/public/x?y=http://z/", "")),
                     200);
    assert_string_equal(relay_seen.line, "GET /api/public/x?y=http://z/ HTTP/1.1");
    assert_null(strstr(relay_seen.head, "evil"));
    assert_int_equal(relay_status(relay_get("http://user@evil.example/api/public/x", "")), 400);
    assert_int_equal(relay_status(relay_get("http://user:pw@127.0.0.1/api/public/x", "")), 400);
    assert_int_equal(relay_status(relay_get("http:///api/public/x", "")), 400);
    assert_int_equal(relay_status(relay_get("http://evil?x/api/public/x", "")), 400);
    assert_int_equal(relay_status(relay_get("http://evil#x/api/public/x", "")), 400);
    assert_int_equal(relay_status(relay_get("http://evil\\x/api/public/x", "")), 400);
    assert_int_equal(relay_status(relay_get("ftp://evil.example/api/public/x", "")), 400);
    assert_int_equal(scripted_http_count(relay_backend), 1);
}

static void the_host_is_the_configured_one(void **state)
{
    (void)state;
    char host[64];
    snprintf(host, sizeof host, "host: 127.0.0.1:%u\r\n", scripted_http_port(relay_backend));
    assert_int_equal(
        relay_status(relay_say("GET /api/public/x HTTP/1.1\r\nHost: evil.example\r\n" RELAY_CLOSE
                               "X-Host: evil.example\r\n\r\n")),
        200);
    assert_int_equal(relay_times(relay_seen.head, host), 1);
    assert_int_equal(relay_times(relay_seen.head, "evil"), 1);
    assert_int_equal(
        relay_status(
            relay_say("GET /api/public/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n" RELAY_CLOSE "\r\n")),
        400);
    assert_int_equal(
        relay_status(relay_say("GET /api/public/x HTTP/1.1\r\nHost: a@b\r\n" RELAY_CLOSE "\r\n")),
        400);
    assert_int_equal(scripted_http_count(relay_backend), 1);
}

static void fields_of_the_connection_stay_behind(void **state)
{
    (void)state;
    assert_int_equal(relay_status(relay_get(
                         "/api/public/x", "Connection: X-Drop, keep-alive\r\nconnection: x-Also\r\n"
                                          "X-Drop: 1\r\nx-also: 2\r\nX-Keep: 3\r\nTE: trailers\r\n"
                                          "Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nTrailer: x\r\n"
                                          "HTTP2-Settings: AAMAAABk\r\nProxy-Connection: close\r\n"
                                          "Proxy-Authorization: Basic Zm9v\r\n")),
                     200);
    static const char *const gone[] = {
        "x-drop",  "x-also",         "te:",    "keep-alive", "upgrade",
        "trailer", "http2-settings", "proxy-", "connection"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        if (strcasestr(relay_seen.head, gone[i])) {
            fail_msg("%s in: %s", gone[i], relay_seen.head);
        }
    }
    assert_non_null(strcasestr(relay_seen.head, "x-keep: 3"));
}

static void two_framings_of_one_body_are_refused(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4, 4\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 4\r\n Transfer-Encoding: chunked\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "POST /api/public/x HTTP/1.1\r\nHost: h\r\n%s\r\n4\r\nabcd\r\n0\r\n\r\n"
                 "GET /api/public/smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
                 heads[i]);
        assert_int_equal(relay_status(relay_say(text)), 400);
    }
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static void a_chunked_body_goes_on_with_a_length(void **state)
{
    (void)state;
    assert_int_equal(relay_status(relay_say("POST /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE
                                            "Transfer-Encoding: chunked\r\n\r\n"
                                            "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")),
                     200);
    assert_non_null(strcasestr(relay_seen.head, "content-length: 5\r\n"));
    assert_null(strcasestr(relay_seen.head, "transfer-encoding"));
    assert_null(strcasestr(relay_seen.head, "x-trailer"));
    assert_int_equal(relay_seen.last, 'e');
}

static void line_breaks_in_fields_are_refused(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "X-A: b\rX-Evil: 1\r\n", "X-A: b\nX-Evil: 1\r\n", "X-A: b\r\n X-Evil: 1\r\n",
        "X-A\r\n: b\r\n",        "X-A : b\r\n",           ": b\r\n",
        "X-A: \x01\r\n",         "X\xC3\xA9: b\r\n",
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int status = relay_status(relay_get("/api/public/x", fields[i]));
        if (status != 400) {
            fail_msg("%s: %d", fields[i], status);
        }
    }
    static const char nul[] = "GET /api/public/x HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\n\r\n";
    assert_int_equal(relay_status(relay_exchange(nul, sizeof nul - 1)), 400);
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static void other_methods_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"TRACE /api/public/x",    "OPTIONS /api/public/x",
                                        "PROPFIND /api/public/x", "CONNECT 127.0.0.1:443",
                                        "CONNECT /api/public/x",  "PURGE /api/public/x",
                                        "get /api/public/x"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "\r\n", lines[i]);
        assert_in_range(relay_status(relay_say(text)), 400, 405);
    }
    assert_int_equal(
        relay_status(relay_say("TRACE /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE "\r\n")),
        405);
    assert_int_equal(relay_status(relay_say("GET /api/public/x HTTP/1.1\r\nHost: h\r\n" RELAY_CLOSE
                                            "Content-Length: 1\r\n\r\nx")),
                     400);
    assert_int_equal(scripted_http_count(relay_backend), 0);
}

static void what_comes_round_is_508(void **state)
{
    (void)state;
    char fields[128];
    snprintf(fields, sizeof fields, "Sidejudge-Hop: aa, %016llx\r\n",
             (unsigned long long)process_instance_id());
    assert_int_equal(relay_status(relay_get("/api/public/x", fields)), 508);
    assert_int_equal(scripted_http_count(relay_backend), 0);
    assert_int_equal(relay_status(relay_get("/api/public/x", "Sidejudge-Hop: aa\r\n")), 200);
    assert_int_equal(relay_times(relay_seen.head, "sidejudge-hop: "), 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, relay_set_up, relay_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(suspicious_paths_never_reach_the_backend),
        CASE(an_authority_in_the_target_leads_nowhere_else),
        CASE(the_host_is_the_configured_one),
        CASE(fields_of_the_connection_stay_behind),
        CASE(two_framings_of_one_body_are_refused),
        CASE(a_chunked_body_goes_on_with_a_length),
        CASE(line_breaks_in_fields_are_refused),
        CASE(other_methods_are_refused),
        CASE(what_comes_round_is_508),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
