// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 without sockets: what is taken, what is refused, and in which portions. The smuggling
// table runs against whichever llhttp the build found; each row is fed whole and byte by byte.
#include "receiver/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/server_state.h"

#define BODY_MAX 4096

struct fixture {
    struct server server;
    struct http1 http1;
    struct buffer out;
    struct buffer bodies;      // of all handled requests, each followed by '|'
    unsigned handled;
    unsigned woken;
    struct request *deferred;  // the last request of /later
};

static struct fixture fixture;

static void answer(struct request *request)
{
    request_reply(request, &(struct response){.status = 200,
                                              .content_type = "text/plain",
                                              .body = BYTES_LITERAL("ok")});
}

static void handle(struct request *request)
{
    fixture.handled++;
    buffer_append(&fixture.bodies, request->body.ptr, request->body.len);
    buffer_append_byte(&fixture.bodies, '|');
    answer(request);
}

static void handle_later(struct request *request)
{
    fixture.handled++;
    fixture.deferred = request;
}

static bool deny(struct request *request)
{
    request_reply_text(request, 415, 12, "no");
    return false;
}

static const struct http_route routes[] = {
    {.method = "POST", .path = "/p", .protocols = REQUEST_ANY_HTTP, .body_max = BODY_MAX,
     .handle = handle},
    {.method = "POST", .path = "/later", .protocols = REQUEST_ANY_HTTP, .body_max = BODY_MAX,
     .handle = handle_later},
    {.method = "POST", .path = "/deny", .protocols = REQUEST_ANY_HTTP, .body_max = 1 << 20,
     .handle = handle, .admit = deny},
    {.method = "POST", .path = "/large", .protocols = REQUEST_ANY_HTTP, .body_max = 1 << 20,
     .handle = handle},
    {.method = "GET", .path = "/g", .protocols = REQUEST_ANY_HTTP, .handle = handle},
};

static void on_wake(void *arg)
{
    ((struct fixture *)arg)->woken++;
}

static void end(void)
{
    if (fixture.server.magic != 0) {
        http1_fini(&fixture.http1);
        server_fini_core(&fixture.server);
        buffer_fini(&fixture.out);
        buffer_fini(&fixture.bodies);
        fixture.server.magic = 0;
    }
}

static void begin(void)
{
    end();
    memset(&fixture, 0, sizeof fixture);
    server_init_core(&fixture.server, &(struct server_config){.head_bytes_max = 8192});
    fixture.server.routes = routes;
    fixture.server.route_count = sizeof routes / sizeof routes[0];
    buffer_init(&fixture.out, 1 << 20);
    buffer_init(&fixture.bodies, 1 << 21);
    http1_init(&fixture.http1, &fixture.server, &fixture.out, on_wake, &fixture);
}

static int set_up(void **state)
{
    (void)state;
    begin();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end();
    return 0;
}

// Feeds everything that is taken, in portions; returns how many bytes were.
static size_t feed(struct bytes input, size_t step)
{
    size_t used = 0;
    while (used < input.len) {
        struct bytes portion = bytes_slice(input, used, step);
        size_t taken = http1_feed(&fixture.http1, portion);
        used += taken;
        if (taken < portion.len) {
            break;
        }
    }
    return used;
}

static void feed_text(const char *text)
{
    feed(bytes_from_text(text), SIZE_MAX);
}

// The status of the n-th reply in `out` (0: the first); 0 when there is none.
static int status_at(unsigned n)
{
    struct bytes out = buffer_view(&fixture.out);
    size_t at = 0;
    for (unsigned i = 0;; i++) {
        at = bytes_find(out, BYTES_LITERAL("HTTP/1.1 "), at);
        if (at == SIZE_MAX) {
            return 0;
        }
        if (i == n) {
            return (int)strtol((const char *)out.ptr + at + 9, NULL, 10);
        }
        at++;
    }
}

static bool out_has(const char *text)
{
    return strstr(buffer_text(&fixture.out), text) != NULL;
}

#define HEAD "POST /p HTTP/1.1\r\nHost: h\r\n"

// What an intermediary might read as another request than we do. Every row but the first block
// must be refused, the connection closed, and nothing behind it be taken for a request.
static const struct smuggling {
    const char *wire;
    int status;        // of the first reply
    unsigned handled;  // requests that reached a handler
    bool is_closed;
} smuggling[] = {
    // Legal, for comparison.
    {HEAD "Content-Length: 2\r\n\r\nab", 200, 1, false},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, 1, false},
    {HEAD "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, 1, false},
    {HEAD "\r\n", 200, 1, false},
    // Lengths.
    {HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400, 0, true},
    {HEAD "Content-Length: 2, 2\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length: +2\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length: -2\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length: 0x2\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length: 2 2\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length: \r\n\r\n", 400, 0, true},
    {HEAD "Content-Length: 99999999999999999999999\r\n\r\nab", 400, 0, true},
    {HEAD "Content-Length : 2\r\n\r\nab", 400, 0, true},
    {HEAD "Content_Length: 2\r\n\r\nPOST /p HTTP/1.1\r\n\r\n", 200, 1, true},  // an unknown name
    // Transfer codings.
    {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: identity\r\n\r\nab", 400, 0, true},
    {HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 0,
     true},
    {HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {HEAD " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 0, true},
    // Chunks.
    {HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n 2\r\nab\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nab\r\n0\r\n\r\n", 400, 0, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n\r\nab\r\n0\r\n\r\n", 400, 0, true},
    // Names, lines and folding.
    {"POST /p HTTP/1.1\r\nHost : h\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nA:\r\n\tc\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\n Host: h\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\nHost: h\n\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nA(: b\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: h\r\nA: b\x01\r\n\r\n", 400, 0, true},
    // Host.
    {"POST /p HTTP/1.1\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, 0, true},
    // Request lines.
    {"POST p HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0, true},
    {"POST  /p HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0, true},
    {"POST /p x HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0, true},
    {"POST /p\r\nHost: h\r\n\r\n", 505, 0, true},
    {"post /p HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0, true},
    {" POST /p HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/1.2\r\nHost: h\r\n\r\n", 400, 0, true},
    {"POST /p HTTP/2.0\r\nHost: h\r\n\r\n", 505, 0, true},
    {"POST /p HTTP/11\r\nHost: h\r\n\r\n", 400, 0, true},
    {"POST /p http/1.1\r\nHost: h\r\n\r\n", 400, 0, true},
    {"GET /p HTTP/0.9\r\nHost: h\r\n\r\n", 505, 0, true},
    {"\x16\x03\x01\x02\r\n\r\n", 400, 0, true},
    {HEAD "Expect: 200-maybe\r\nContent-Length: 2\r\n\r\nab", 417, 0, true},
};

static void check_smuggling(const struct smuggling *row, size_t step)
{
    static const char follower[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nz";
    struct buffer wire;
    begin();
    buffer_init(&wire, 1 << 16);
    buffer_append_text(&wire, row->wire);
    buffer_append_text(&wire, follower);
    feed(buffer_view(&wire), step);
    unsigned expected = row->handled + !row->is_closed;
    int status = status_at(0);
    if (status != row->status || fixture.handled != expected ||
        (fixture.http1.state == HTTP1_CLOSED) != row->is_closed) {
        fail_msg("step %zu: status %d (want %d), handled %u (want %u), state %d: %s", step, status,
                 row->status, fixture.handled, expected, fixture.http1.state, row->wire);
    }
    buffer_fini(&wire);
    end();
}

static void ambiguous_requests_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof smuggling / sizeof smuggling[0]; i++) {
        for (size_t step = 1; step <= 1024; step = step * 4 - 1) {
            check_smuggling(&smuggling[i], step);
        }
    }
}

static void nul_in_a_value_is_refused(void **state)
{
    (void)state;
    static const char wire[] = "POST /p HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n";
    feed(bytes_from(wire, sizeof wire - 1), SIZE_MAX);
    assert_int_equal(status_at(0), 400);
    assert_int_equal(fixture.http1.state, HTTP1_CLOSED);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    for (size_t step = 1; step < 200; step += 13) {
        begin();
        feed(BYTES_LITERAL(HEAD "Content-Length: 1\r\n\r\na" HEAD
                                "Transfer-Encoding: chunked\r\n\r\n1;x=y\r\nb\r\n1\r\nB\r\n0\r\n"
                                "Trailer: t\r\n\r\n\r\n\r\n" HEAD "Content-Length: 1\r\n\r\nc"
                                "GET /g HTTP/1.1\r\nHost: h\r\n\r\n"), step);
        assert_string_equal(buffer_text(&fixture.bodies), "a|bB|c||");
        assert_int_equal(status_at(3), 200);
        assert_int_equal(fixture.http1.state, HTTP1_IDLE);
        end();
    }
    begin();
}

static void request_behind_an_unanswered_one_waits(void **state)
{
    (void)state;
    static const char wire[] = "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" HEAD
                               "Content-Length: 1\r\n\r\ny";
    size_t used = feed(bytes_from_text(wire), SIZE_MAX);
    assert_int_equal(fixture.handled, 1);
    assert_true(used < sizeof wire - 1);
    assert_false(http1_takes_input(&fixture.http1));
    assert_int_equal(http1_feed(&fixture.http1, BYTES_LITERAL("more")), 0);
    assert_int_equal(fixture.woken, 0);
    answer(fixture.deferred);
    assert_int_equal(fixture.woken, 1);
    feed(bytes_from_text(wire + used), SIZE_MAX);
    assert_int_equal(fixture.handled, 2);
    assert_string_equal(buffer_text(&fixture.bodies), "y|");
}

static void reply_to_a_client_that_has_gone_is_dropped(void **state)
{
    (void)state;
    feed_text("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    assert_non_null(fixture.deferred);
    http1_fini(&fixture.http1);
    answer(fixture.deferred);
    assert_int_equal(fixture.out.len, 0);
    assert_int_equal(fixture.server.free_count, 1);
}

static void client_that_goes_mid_body_leaves_nothing(void **state)
{
    (void)state;
    feed_text(HEAD "Content-Length: 100\r\n\r\nhalf");
    http1_fini(&fixture.http1);
    assert_int_equal(fixture.handled, 0);
    assert_int_equal(fixture.server.free_count, 1);
}

static void expectation_is_met_before_the_body(void **state)
{
    (void)state;
    feed_text(HEAD "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(status_at(0), 100);
    assert_int_equal(fixture.handled, 0);
    feed_text("ab");
    assert_int_equal(status_at(1), 200);
    assert_int_equal(fixture.http1.state, HTTP1_IDLE);
}

static void expectation_without_a_body_is_not_answered(void **state)
{
    (void)state;
    feed_text(HEAD "Expect: 100-continue\r\n\r\n");
    assert_int_equal(status_at(0), 200);
    assert_int_equal(status_at(1), 0);
}

static void refused_expectation_ends_the_connection(void **state)
{
    (void)state;
    feed_text("POST /deny HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
              "Content-Length: 2\r\n\r\n");
    assert_int_equal(status_at(0), 415);
    assert_true(out_has("Connection: close\r\n"));
    assert_int_equal(fixture.http1.state, HTTP1_CLOSED);
}

static void refused_bodies_are_thrown_away_and_the_connection_lives(void **state)
{
    (void)state;
    feed_text("POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"
              "POST /deny HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nabc\r\n0\r\n\r\n" HEAD "Content-Length: 1\r\n\r\nz");
    assert_int_equal(status_at(0), 415);
    assert_int_equal(status_at(1), 415);
    assert_int_equal(status_at(2), 200);
    assert_string_equal(buffer_text(&fixture.bodies), "z|");
}

static void large_refused_body_ends_the_connection(void **state)
{
    (void)state;
    feed_text("POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
    assert_int_equal(status_at(0), 415);
    assert_int_equal(fixture.http1.state, HTTP1_CLOSED);
}

static void oversize_is_told_before_the_body(void **state)
{
    (void)state;
    feed_text(HEAD "Content-Length: 4097\r\n\r\n");
    assert_int_equal(status_at(0), 413);
    assert_int_equal(fixture.handled, 0);
}

static void chunks_that_add_up_to_too_much_are_refused(void **state)
{
    (void)state;
    feed_text(HEAD "Transfer-Encoding: chunked\r\n\r\n");
    char chunk[1200];
    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "400\r\n", 5);
    memcpy(chunk + 5 + 1024, "\r\n", 2);
    for (int i = 0; i < 5; i++) {
        feed(bytes_from(chunk, 5 + 1024 + 2), SIZE_MAX);
    }
    assert_int_equal(status_at(0), 413);
    assert_int_equal(fixture.handled, 0);
    feed_text("0\r\n\r\n" HEAD "\r\n");
    assert_int_equal(status_at(1), 200);
}

static void chunk_framing_out_of_proportion_is_refused(void **state)
{
    (void)state;
    char extension[8192];
    memset(extension, 'e', sizeof extension);
    memcpy(extension, "1;", 2);
    memcpy(extension + sizeof extension - 5, "\r\nx\r\n", 5);
    feed_text(HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 200 && fixture.http1.state != HTTP1_CLOSED; i++) {
        feed(bytes_from(extension, sizeof extension), SIZE_MAX);
    }
    assert_int_equal(status_at(0), 400);
}

static void heads_beyond_their_bounds_are_refused(void **state)
{
    (void)state;
    char line[128];
    feed_text(HEAD);
    for (int i = 0; i < 200 && fixture.http1.state != HTTP1_CLOSED; i++) {
        snprintf(line, sizeof line, "Name-%d: %080d\r\n", i, i);
        feed_text(line);
    }
    assert_int_equal(status_at(0), 431);
    end();
    begin();
    feed_text(HEAD);
    for (int i = 0; i < REQUEST_HEADERS_MAX; i++) {
        feed_text("A: b\r\n");
    }
    feed_text("\r\n");
    assert_int_equal(status_at(0), 431);
    assert_int_equal(fixture.http1.state, HTTP1_CLOSED);
}

static void connection_option_and_version_decide_its_life(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        bool is_closed;
        const char *field;
    } rows[] = {
        {"GET /g HTTP/1.1\r\nHost: h\r\n\r\n", false, NULL},
        {"GET /g HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true, "Connection: close"},
        {"GET /g HTTP/1.0\r\n\r\n", true, "Connection: close"},
        {"GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, "Connection: keep-alive"},
        {"GET /g HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", false, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin();
        feed_text(rows[i].wire);
        assert_int_equal(status_at(0), 200);
        assert_int_equal(fixture.http1.state, rows[i].is_closed ? HTTP1_CLOSED : HTTP1_IDLE);
        if (rows[i].field) {
            assert_true(out_has(rows[i].field));
        } else {
            assert_false(out_has("Connection:"));
        }
        end();
    }
    begin();
}

static void draining_server_ends_connections_with_the_reply(void **state)
{
    (void)state;
    fixture.server.draining = true;
    feed_text("GET /g HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(status_at(0), 200);
    assert_true(out_has("Connection: close\r\n"));
}

static void unknown_paths_and_methods_are_told_apart(void **state)
{
    (void)state;
    feed_text("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\nGET /p HTTP/1.1\r\nHost: h\r\n\r\n"
              "HEAD /g HTTP/1.1\r\nHost: h\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(status_at(0), 404);
    assert_int_equal(status_at(1), 405);
    assert_true(out_has("Allow: POST\r\n"));
    assert_true(out_has("405 method not allowed, supported: [POST]"));
    assert_int_equal(status_at(2), 200);
    assert_int_equal(status_at(3), 404);
    assert_int_equal(fixture.http1.state, HTTP1_IDLE);
}

static void reply_to_head_has_no_body(void **state)
{
    (void)state;
    feed_text("HEAD /g HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(out_has("Content-Length: 2\r\n"));
    assert_true(bytes_end_with(buffer_view(&fixture.out), BYTES_LITERAL("\r\n\r\n")));
}

static void absolute_targets_are_taken(void **state)
{
    (void)state;
    feed_text("GET http://h/g?x=y HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(status_at(0), 200);
}

static void large_bodies_go_past_the_parser(void **state)
{
    (void)state;
    static char body[100000];
    size_t len, taken = 0;
    memset(body, 'b', sizeof body);
    feed_text("POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nb");
    taken = 1;
    uint8_t *room;
    while ((room = http1_body_room(&fixture.http1, &len)) != NULL) {
        len = len < 30000 ? len : 30000;
        memcpy(room, body, len);
        http1_commit(&fixture.http1, len);
        taken += len;
    }
    assert_true(taken > 90000);
    feed(bytes_from(body, sizeof body - taken), SIZE_MAX);
    assert_int_equal(fixture.handled, 1);
    assert_int_equal(fixture.bodies.len, sizeof body + 1);
    assert_true(fixture.http1.is_large);
    assert_int_equal(fixture.http1.state, HTTP1_IDLE);
}

static void time_out_says_408_once(void **state)
{
    (void)state;
    http1_time_out(&fixture.http1);
    assert_int_equal(fixture.out.len, 0);  // nothing is awaited
    feed_text("POST /p HTTP/1.1\r\nHost");
    http1_time_out(&fixture.http1);
    http1_time_out(&fixture.http1);
    assert_int_equal(status_at(0), 408);
    assert_int_equal(status_at(1), 0);
    assert_int_equal(fixture.http1.state, HTTP1_CLOSED);
}

static void output_that_nobody_takes_stops_the_input(void **state)
{
    (void)state;
    static const char get[] = "GET /g HTTP/1.1\r\nHost: h\r\n\r\n";
    size_t taken = sizeof get - 1;
    for (int i = 0; i < 10000 && taken == sizeof get - 1; i++) {
        taken = http1_feed(&fixture.http1, bytes_from_text(get));
    }
    assert_int_equal(taken, 0);
    assert_true(fixture.out.len < SERVER_OUT_HIGH + 1024);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_requests_end_the_connection),
        ROW(nul_in_a_value_is_refused),
        ROW(pipelined_requests_are_answered_in_order),
        ROW(request_behind_an_unanswered_one_waits),
        ROW(reply_to_a_client_that_has_gone_is_dropped),
        ROW(client_that_goes_mid_body_leaves_nothing),
        ROW(expectation_is_met_before_the_body),
        ROW(expectation_without_a_body_is_not_answered),
        ROW(refused_expectation_ends_the_connection),
        ROW(refused_bodies_are_thrown_away_and_the_connection_lives),
        ROW(large_refused_body_ends_the_connection),
        ROW(oversize_is_told_before_the_body),
        ROW(chunks_that_add_up_to_too_much_are_refused),
        ROW(chunk_framing_out_of_proportion_is_refused),
        ROW(heads_beyond_their_bounds_are_refused),
        ROW(connection_option_and_version_decide_its_life),
        ROW(draining_server_ends_connections_with_the_reply),
        ROW(unknown_paths_and_methods_are_told_apart),
        ROW(reply_to_head_has_no_body),
        ROW(absolute_targets_are_taken),
        ROW(large_bodies_go_past_the_parser),
        ROW(time_out_says_408_once),
        ROW(output_that_nobody_takes_stops_the_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
