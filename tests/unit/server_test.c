// SPDX-License-Identifier: Apache-2.0
//
// The server on real sockets, its loop turned by the test itself: accepting under limits, telling
// protocols apart, deadlines, ends of connections, the drain.
#include "receiver/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define TURNS_MAX 2000
#define GET       "GET /g HTTP/1.1\r\nHost: h\r\n\r\n"

static struct loop *loop;
static struct server *server;
static struct request *deferred;
static bool is_drained;
static char input[1 << 16];

static void answer(struct request *request)
{
    request_reply(request, &(struct response){.status = 200,
                                              .content_type = "text/plain",
                                              .body = BYTES_LITERAL("ok")});
}

static void answer_large(struct request *request)
{
    static uint8_t body[4 << 20];
    request_reply(request, &(struct response){.status = 200,
                                              .content_type = "text/plain",
                                              .body = bytes_from(body, sizeof body)});
}

static void handle_later(struct request *request)
{
    deferred = request;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/g", .protocols = REQUEST_ANY_HTTP, .handle = answer},
    {.method = "GET", .path = "/large", .protocols = REQUEST_ANY_HTTP, .handle = answer_large},
    {.method = "POST", .path = "/p", .protocols = REQUEST_ANY_HTTP, .body_max = 1 << 20,
     .handle = answer},
    {.method = "POST", .path = "/later", .protocols = REQUEST_ANY_HTTP, .body_max = 1 << 20,
     .handle = handle_later},
};

static void begin(const struct server_config *config)
{
    char why[256];
    loop = loop_new();
    assert_non_null(loop);
    server = server_new(loop, config);
    server_route(server, routes, sizeof routes / sizeof routes[0]);
    struct listen_config listen = {.endpoint = BYTES_LITERAL("localhost:0")};
    assert_int_equal(server_listen(server, &listen, why, sizeof why), RESULT_OK);
    deferred = NULL;
    is_drained = false;
}

static int tear_down(void **state)
{
    (void)state;
    if (deferred) {
        answer(deferred);
        deferred = NULL;
    }
    server_free(&server);
    loop_free(loop);
    loop = NULL;
    return 0;
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(server_port(server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void turn(void)
{
    loop_run_once(loop, 10);
}

// What `fd` has received within bounded turns, once it has `count` replies or has ended.
static const char *take(int fd, unsigned count, bool *has_ended)
{
    size_t len = 0;
    *has_ended = false;
    for (int i = 0; i < TURNS_MAX; i++) {
        turn();
        ssize_t got = recv(fd, input + len, sizeof input - 1 - len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            *has_ended = true;
            break;
        }
        len += got > 0 ? (size_t)got : 0;
        input[len] = '\0';
        unsigned seen = 0;
        for (const char *at = input; (at = strstr(at, "\r\n\r\nok")) != NULL; at++) {
            seen++;
        }
        if (count > 0 && seen >= count) {
            break;
        }
    }
    input[len] = '\0';
    return input;
}

static unsigned connections(void)
{
    struct server_counts counts;
    server_counts(server, &counts);
    assert_int_equal(counts.connections, server_connection_count(server));
    return counts.connections;
}

static void await_connections(unsigned count)
{
    for (int i = 0; i < TURNS_MAX && connections() != count; i++) {
        turn();
    }
    assert_int_equal(connections(), count);
}

static void connection_is_kept_for_the_next_request(void **state)
{
    (void)state;
    bool has_ended;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        put(fd, GET);
        assert_non_null(strstr(take(fd, 1, &has_ended), "HTTP/1.1 200 OK\r\n"));
        assert_false(has_ended);
    }
    put(fd, GET GET GET);
    take(fd, 3, &has_ended);
    assert_int_equal(connections(), 1);
    close(fd);
    await_connections(0);
}

static void portions_of_a_byte_make_a_request(void **state)
{
    (void)state;
    static const char wire[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    bool has_ended;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    for (size_t i = 0; i < sizeof wire - 1; i++) {
        assert_int_equal(send(fd, wire + i, 1, MSG_NOSIGNAL), 1);
        turn();
    }
    assert_non_null(strstr(take(fd, 1, &has_ended), " 200 OK"));
    close(fd);
}

static void preface_in_portions_is_http2(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    for (size_t i = 0; i < sizeof preface - 1; i++) {
        assert_int_equal(send(fd, preface + i, 1, MSG_NOSIGNAL), 1);
        turn();
    }
    ssize_t got = -1;
    for (int i = 0; i < TURNS_MAX && got <= 9; i++) {
        turn();
        got = recv(fd, input, sizeof input, 0);
    }
    assert_true(got > 9);
    assert_int_equal(input[3], 4);  // SETTINGS come first (RFC 9113 3.4)
    close(fd);
    await_connections(0);
}

static void almost_a_preface_is_http1(void **state)
{
    (void)state;
    bool has_ended;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    put(fd, "PRI * HT");
    turn();
    put(fd, "ML/1.0\r\n\r\n");
    assert_non_null(strstr(take(fd, 0, &has_ended), " 400 "));
    assert_true(has_ended);
    close(fd);
}

static void last_reply_survives_unread_input(void **state)
{
    (void)state;
    bool has_ended;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    put(fd, "BAD\r\n\r\n");
    turn();
    char junk[1000];
    memset(junk, 'x', sizeof junk);
    for (int i = 0; i < 100; i++) {
        if (send(fd, junk, sizeof junk, MSG_NOSIGNAL) < 0) {
            break;
        }
        turn();
    }
    assert_non_null(strstr(take(fd, 0, &has_ended), " 400 "));
    assert_true(has_ended);
    close(fd);
    await_connections(0);
}

static void client_that_half_closes_gets_its_reply(void **state)
{
    (void)state;
    bool has_ended;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    put(fd, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na" GET);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < TURNS_MAX && !deferred; i++) {
        turn();
    }
    assert_non_null(deferred);
    turn();
    answer(deferred);
    deferred = NULL;
    take(fd, 2, &has_ended);
    assert_non_null(strstr(input, "ok"));
    assert_non_null(strstr(strstr(input, "ok"), "HTTP/1.1 200"));
    close(fd);
    await_connections(0);
}

static void client_that_vanishes_leaves_the_request_to_its_handler(void **state)
{
    (void)state;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    put(fd, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
    for (int i = 0; i < TURNS_MAX && !deferred; i++) {
        turn();
    }
    assert_non_null(deferred);
    struct linger abort_it = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it);
    close(fd);
    turn();
    answer(deferred);
    deferred = NULL;
    await_connections(0);
}

static void large_replies_leave_in_portions(void **state)
{
    (void)state;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    put(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    size_t total = 0;
    for (int i = 0; i < TURNS_MAX && total < 4 << 20; i++) {
        loop_run_once(loop, 0);
        ssize_t got = recv(fd, input, sizeof input, 0);
        total += got > 0 ? (size_t)got : 0;
    }
    assert_true(total > 4 << 20);
    close(fd);
}

static void exhausted_descriptors_do_not_end_accepting(void **state)
{
    (void)state;
    struct rlimit before, tight;
    struct server_counts counts;
    bool has_ended;
    int fds[64];
    int count = 0;
    begin(&(struct server_config){.home = NULL});
    int probe = dup(0);
    assert_true(probe > 0);
    close(probe);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)probe + 20;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (count < 64 && (fds[count] = dial()) >= 0) {
        count++;  // none is accepted: the loop does not turn
    }
    for (int i = 0; i < 20; i++) {
        loop_run_once(loop, 5);
    }
    server_counts(server, &counts);
    assert_true(counts.accept_failures > 0);
    assert_true(counts.accept_failures <= 10);  // disarmed, not spinning
    assert_int_equal(counts.connections, 0);
    for (int i = 1; i < count; i++) {
        close(fds[i]);
    }
    put(fds[0], GET);  // has waited in the backlog
    assert_non_null(strstr(take(fds[0], 1, &has_ended), " 200 OK"));
    close(fds[0]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = dial();
    put(fd, GET);
    assert_non_null(strstr(take(fd, 1, &has_ended), " 200 OK"));
    close(fd);
}

static void longest_idle_connection_makes_room(void **state)
{
    (void)state;
    struct server_counts counts;
    bool has_ended;
    begin(&(struct server_config){.connections_max = 3});
    int fds[4];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial();
        put(fds[i], GET);
        take(fds[i], 1, &has_ended);
    }
    put(fds[0], GET);  // the oldest, but not the longest idle
    take(fds[0], 1, &has_ended);
    fds[3] = dial();
    put(fds[3], GET);
    assert_non_null(strstr(take(fds[3], 1, &has_ended), " 200 OK"));
    server_counts(server, &counts);
    assert_int_equal(counts.evicted, 1);
    assert_int_equal(counts.connections, 3);
    take(fds[1], 0, &has_ended);
    assert_true(has_ended);
    put(fds[0], GET);
    assert_non_null(strstr(take(fds[0], 1, &has_ended), " 200 OK"));
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void busy_connections_are_not_evicted(void **state)
{
    (void)state;
    bool has_ended;
    begin(&(struct server_config){.connections_max = 1});
    int busy = dial();
    put(busy, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
    for (int i = 0; i < TURNS_MAX && !deferred; i++) {
        turn();
    }
    int waiting = dial();
    put(waiting, GET);
    for (int i = 0; i < 30; i++) {
        turn();
    }
    assert_int_equal(recv(waiting, input, sizeof input, 0), -1);
    answer(deferred);
    deferred = NULL;
    take(busy, 1, &has_ended);
    close(busy);
    assert_non_null(strstr(take(waiting, 1, &has_ended), " 200 OK"));
    close(waiting);
}

static void silence_ends_connections(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *reply;
    } rows[] = {
        {"", NULL},
        {GET, " 200 OK"},
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
        begin(&config);
        int fd = dial();
        put(fd, rows[i].wire);
        take(fd, 0, &has_ended);
        assert_true(has_ended);
        if (rows[i].reply) {
            assert_non_null(strstr(input, rows[i].reply));
        } else {
            assert_string_equal(input, "");
        }
        close(fd);
        tear_down(NULL);
    }
    begin(&config);
}

static void reader_that_stops_reading_is_ended(void **state)
{
    (void)state;
    begin(&(struct server_config){.write_timeout_ns = 50 * NS_PER_MS});
    int fd = dial();
    put(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < TURNS_MAX && connections() == 0; i++) {
        turn();
    }
    await_connections(0);
    close(fd);
}

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

static void drain_answers_what_is_in_hand(void **state)
{
    (void)state;
    bool has_ended;
    begin(&(struct server_config){.home = NULL});
    int idle = dial();
    put(idle, GET);
    take(idle, 1, &has_ended);
    int busy = dial();
    put(busy, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
    for (int i = 0; i < TURNS_MAX && !deferred; i++) {
        turn();
    }
    server_drain(server, clock_mono_ns() + 60 * NS_PER_S, on_drained, &is_drained);
    take(idle, 0, &has_ended);
    assert_true(has_ended);
    await_connections(1);
    assert_false(is_drained);
    answer(deferred);
    deferred = NULL;
    take(busy, 0, &has_ended);
    assert_non_null(strstr(input, "Connection: close\r\n"));
    close(idle);
    close(busy);
    for (int i = 0; i < TURNS_MAX && !is_drained; i++) {
        turn();
    }
    assert_true(is_drained);
}

static void drain_cuts_what_is_left_at_the_deadline(void **state)
{
    (void)state;
    begin(&(struct server_config){.home = NULL});
    int fd = dial();
    put(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\na");
    await_connections(1);
    turn();
    server_drain(server, clock_mono_ns() + 30 * NS_PER_MS, on_drained, &is_drained);
    for (int i = 0; i < TURNS_MAX && !is_drained; i++) {
        turn();
    }
    assert_true(is_drained);
    assert_int_equal(connections(), 0);
    close(fd);
}

static void taken_port_is_named(void **state)
{
    (void)state;
    char why[256], endpoint[64];
    begin(&(struct server_config){.home = NULL});
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", server_port(server, 0));
    struct listen_config listen = {.endpoint = bytes_from_text(endpoint)};
    assert_int_equal(server_listen(server, &listen, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, endpoint));
    assert_non_null(strstr(why, "in use"));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(connection_is_kept_for_the_next_request),
        ROW(portions_of_a_byte_make_a_request),
        ROW(preface_in_portions_is_http2),
        ROW(almost_a_preface_is_http1),
        ROW(last_reply_survives_unread_input),
        ROW(client_that_half_closes_gets_its_reply),
        ROW(client_that_vanishes_leaves_the_request_to_its_handler),
        ROW(large_replies_leave_in_portions),
        ROW(exhausted_descriptors_do_not_end_accepting),
        ROW(longest_idle_connection_makes_room),
        ROW(busy_connections_are_not_evicted),
        ROW(silence_ends_connections),
        ROW(reader_that_stops_reading_is_ended),
        ROW(drain_answers_what_is_in_hand),
        ROW(drain_cuts_what_is_left_at_the_deadline),
        ROW(taken_port_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
