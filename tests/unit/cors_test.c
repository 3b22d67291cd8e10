// SPDX-License-Identifier: Apache-2.0
//
// Preflights and cross-origin requests against a whole receiver, as a browser sends them; what an
// origin that is not allowed must not get.
#include "receiver/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "tests/unit/otlp_peer.h"

static struct peer peer;

static int tear_down(void **state)
{
    (void)state;
    peer_stop(&peer);
    return 0;
}

static void open_with(const char *cors)
{
    char yaml[512];
    snprintf(yaml, sizeof yaml, "{protocols: {http: {endpoint: 'localhost:0', cors: %s}}}", cors);
    peer_start(&peer, yaml, 7, 0);
}

static struct http_reply send_request(const char *method, const char *path, const char *fields)
{
    char head[1024];
    struct stream stream = stream_open(peer.http_port);
    struct http_reply reply;
    int len = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: h\r\n%s%s\r\n", method, path,
                       strcmp(method, "POST") == 0
                           ? "Content-Type: application/x-protobuf\r\nContent-Length: 0\r\n"
                           : "",
                       fields);
    stream_put(&stream, head, (size_t)len);
    http_read(&stream, &reply);
    buffer_fini(&reply.body);
    stream_close(&stream);
    return reply;
}

static bool has(const struct http_reply *reply, const char *line)
{
    char text[256];
    snprintf(text, sizeof text, "\r\n%s\r\n", line);
    return strcasestr(reply->head, text) != NULL;
}

#define PREFLIGHT "Origin: https://a.example.com\r\nAccess-Control-Request-Method: POST\r\n"
#define ORIGINS "{allowed_origins: ['https://*.example.com', 'http://Exact:3000']"

static void a_preflight_of_an_allowed_origin_is_granted(void **state)
{
    (void)state;
    open_with(ORIGINS ", max_age: 600, allowed_headers: [X-Key, content-type]}");
    struct http_reply reply =
        send_request("OPTIONS", "/v1/traces",
                     PREFLIGHT "Access-Control-Request-Headers: content-type,x-key\r\n");
    assert_int_equal(reply.status, 204);
    assert_true(has(&reply, "access-control-allow-origin: https://a.example.com"));
    assert_true(has(&reply, "access-control-allow-methods: POST"));
    assert_true(has(&reply, "access-control-allow-headers: content-type,x-key"));
    assert_true(has(&reply, "access-control-allow-credentials: true"));
    assert_true(has(&reply, "access-control-max-age: 600"));
    assert_null(strcasestr(reply.head, "content-length"));
    assert_non_null(strcasestr(reply.head, "\r\nvary: Origin, Access-Control-Request-Method"));
}

static void what_is_not_allowed_gets_204_without_permission(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "Origin: https://example.org\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: https://example.com\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: http://a.example.com\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: https://a.example.com.evil.org\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: https://.example.co\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: null\r\nAccess-Control-Request-Method: POST\r\n",
        "Access-Control-Request-Method: POST\r\n",
        "Origin: https://a.example.com\r\nAccess-Control-Request-Method: DELETE\r\n",
        PREFLIGHT "Access-Control-Request-Headers: authorization\r\n",
        PREFLIGHT "Access-Control-Request-Headers: content-type, x-evil\r\n",
    };
    open_with(ORIGINS "}");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct http_reply reply = send_request("OPTIONS", "/v1/traces", fields[i]);
        assert_int_equal(reply.status, 204);
        if (strcasestr(reply.head, "access-control-allow") != NULL) {
            fail_msg("granted: %s", fields[i]);
        }
        assert_non_null(strcasestr(reply.head, "\r\nvary: Origin"));
    }
    struct http_reply reply =
        send_request("OPTIONS", "/v1/traces", "Origin: http://EXACT:3000\r\n");
    assert_int_equal(reply.status, 405);  // no preflight
}

static void replies_carry_the_permission_whatever_they_say(void **state)
{
    (void)state;
    open_with(ORIGINS ", exposed_headers: [X-One, X-Two]}");
    static const struct {
        const char *method, *path;
        int status;
    } rows[] = {{"POST", "/v1/traces", 200}, {"POST", "/nothing", 404}, {"GET", "/v1/traces", 405}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_reply reply =
            send_request(rows[i].method, rows[i].path, "Origin: http://exact:3000\r\n");
        assert_int_equal(reply.status, rows[i].status);
        assert_true(has(&reply, "access-control-allow-origin: http://exact:3000"));
        assert_true(has(&reply, "access-control-expose-headers: X-One, X-Two"));
        assert_true(has(&reply, "access-control-allow-credentials: true"));
        assert_true(has(&reply, "vary: Origin"));
        reply = send_request(rows[i].method, rows[i].path, "Origin: http://other:3000\r\n");
        assert_int_equal(reply.status, rows[i].status);
        assert_null(strcasestr(reply.head, "access-control"));
        assert_true(has(&reply, "vary: Origin"));
    }
}

static void a_star_allows_every_page_and_header(void **state)
{
    (void)state;
    open_with("{allowed_origins: ['*'], allowed_headers: ['*']}");
    struct http_reply reply =
        send_request("OPTIONS", "/any", PREFLIGHT "Access-Control-Request-Headers: x-a, x-b\r\n");
    assert_int_equal(reply.status, 204);
    assert_true(has(&reply, "access-control-allow-origin: *"));
    assert_true(has(&reply, "access-control-allow-headers: x-a, x-b"));
}

static void without_origins_there_is_no_cors(void **state)
{
    (void)state;
    open_with("{max_age: 5}");
    struct http_reply reply = send_request("OPTIONS", "/v1/traces", PREFLIGHT);
    assert_int_equal(reply.status, 405);
    assert_null(strcasestr(reply.head, "access-control"));
    assert_null(strcasestr(reply.head, "vary"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_preflight_of_an_allowed_origin_is_granted, tear_down),
        cmocka_unit_test_teardown(what_is_not_allowed_gets_204_without_permission, tear_down),
        cmocka_unit_test_teardown(replies_carry_the_permission_whatever_they_say, tear_down),
        cmocka_unit_test_teardown(a_star_allows_every_page_and_header, tear_down),
        cmocka_unit_test_teardown(without_origins_there_is_no_cors, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
