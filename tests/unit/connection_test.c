// SPDX-License-Identifier: Apache-2.0
//
// A connection's I/O on real sockets: detection in portions, kept and half-closed connections,
// silence, clients that vanish or stop reading.
#include "receiver/connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/server_peer.h"

static void connection_is_kept_for_the_next_request(void **state)
{
    (void)state;
    bool has_ended;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    for (int i = 0; i < 3; i++) {
        peer_put(fd, PEER_GET);
        assert_non_null(strstr(peer_take(fd, 1, &has_ended), "HTTP/1.1 200 OK\r\n"));
        assert_false(has_ended);
    }
    peer_put(fd, PEER_GET PEER_GET PEER_GET);
    peer_take(fd, 3, &has_ended);
    assert_int_equal(peer_connections(), 1);
    close(fd);
    peer_await_connections(0);
}

static void portions_of_a_byte_make_a_request(void **state)
{
    (void)state;
    static const char wire[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    bool has_ended;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    for (size_t i = 0; i < sizeof wire - 1; i++) {
        assert_int_equal(send(fd, wire + i, 1, MSG_NOSIGNAL), 1);
        peer_turn();
    }
    assert_non_null(strstr(peer_take(fd, 1, &has_ended), " 200 OK"));
    close(fd);
}

static void preface_in_portions_is_http2(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    for (size_t i = 0; i < sizeof preface - 1; i++) {
        assert_int_equal(send(fd, preface + i, 1, MSG_NOSIGNAL), 1);
        peer_turn();
    }
    ssize_t got = -1;
    for (int i = 0; i < PEER_TURNS_MAX && got <= 9; i++) {
        peer_turn();
        got = recv(fd, peer_input, sizeof peer_input, 0);
    }
    assert_true(got > 9);
    assert_int_equal(peer_input[3], 4);  // SETTINGS come first (RFC 9113 3.4)
    close(fd);
    peer_await_connections(0);
}

static void almost_a_preface_is_http1(void **state)
{
    (void)state;
    bool has_ended;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    peer_put(fd, "PRI * HT");
    peer_turn();
    peer_put(fd, "ML/1.0\r\n\r\n");
    assert_non_null(strstr(peer_take(fd, 0, &has_ended), " 400 "));
    assert_true(has_ended);
    close(fd);
}

static void last_reply_survives_unread_input(void **state)
{
    (void)state;
    bool has_ended;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    peer_put(fd, "BAD\r\n\r\n");
    peer_turn();
    char junk[1000];
    memset(junk, 'x', sizeof junk);
    for (int i = 0; i < 100; i++) {
        if (send(fd, junk, sizeof junk, MSG_NOSIGNAL) < 0) {
            break;
        }
        peer_turn();
    }
    assert_non_null(strstr(peer_take(fd, 0, &has_ended), " 400 "));
    assert_true(has_ended);
    close(fd);
    peer_await_connections(0);
}

static void client_that_half_closes_gets_its_reply(void **state)
{
    (void)state;
    bool has_ended;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    peer_put(fd, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na" PEER_GET);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < PEER_TURNS_MAX && !peer_deferred; i++) {
        peer_turn();
    }
    assert_non_null(peer_deferred);
    peer_turn();
    peer_answer(peer_deferred);
    peer_deferred = NULL;
    peer_take(fd, 2, &has_ended);
    assert_non_null(strstr(peer_input, "ok"));
    assert_non_null(strstr(strstr(peer_input, "ok"), "HTTP/1.1 200"));
    close(fd);
    peer_await_connections(0);
}

static void client_that_vanishes_leaves_the_request_to_its_handler(void **state)
{
    (void)state;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    peer_put(fd, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
    for (int i = 0; i < PEER_TURNS_MAX && !peer_deferred; i++) {
        peer_turn();
    }
    assert_non_null(peer_deferred);
    struct linger abort_it = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it);
    close(fd);
    peer_turn();
    peer_answer(peer_deferred);
    peer_deferred = NULL;
    peer_await_connections(0);
}

static void large_replies_leave_in_portions(void **state)
{
    (void)state;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    peer_put(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    size_t total = 0;
    for (int i = 0; i < PEER_TURNS_MAX && total < 4 << 20; i++) {
        loop_run_once(peer_loop, 0);
        ssize_t got = recv(fd, peer_input, sizeof peer_input, 0);
        total += got > 0 ? (size_t)got : 0;
    }
    assert_true(total > 4 << 20);
    close(fd);
}

static void silence_ends_connections(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *reply;
    } rows[] = {
        {"", NULL},
        {PEER_GET, " 200 OK"},
        {"GET /g HTTP/1.1\r\nHos", " 408 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na", " 408 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na", " 408 "},
        {"PRI * HTTP/2", NULL},
    };
    struct server_config config = {.head_timeout_ns = 50 * NS_PER_MS,
                                   .body_timeout_ns = 50 * NS_PER_MS,
                                   .idle_timeout_ns = 50 * NS_PER_MS};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool has_ended;
        peer_begin(&config);
        int fd = peer_dial();
        peer_put(fd, rows[i].wire);
        peer_take(fd, 0, &has_ended);
        assert_true(has_ended);
        if (rows[i].reply) {
            assert_non_null(strstr(peer_input, rows[i].reply));
        } else {
            assert_string_equal(peer_input, "");
        }
        close(fd);
        peer_end(NULL);
    }
    peer_begin(&config);
}

static void reader_that_stops_reading_is_ended(void **state)
{
    (void)state;
    peer_begin(&(struct server_config){.write_timeout_ns = 50 * NS_PER_MS});
    int fd = peer_dial();
    peer_put(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < PEER_TURNS_MAX && peer_connections() == 0; i++) {
        peer_turn();
    }
    peer_await_connections(0);
    close(fd);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_teardown(name, peer_end)
    const struct CMUnitTest tests[] = {
        ROW(connection_is_kept_for_the_next_request),
        ROW(portions_of_a_byte_make_a_request),
        ROW(preface_in_portions_is_http2),
        ROW(almost_a_preface_is_http1),
        ROW(last_reply_survives_unread_input),
        ROW(client_that_half_closes_gets_its_reply),
        ROW(client_that_vanishes_leaves_the_request_to_its_handler),
        ROW(large_replies_leave_in_portions),
        ROW(silence_ends_connections),
        ROW(reader_that_stops_reading_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
