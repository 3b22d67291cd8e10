// SPDX-License-Identifier: Apache-2.0
/*
 * The server of the server's tests: one thread, so that the order of everything is the test's own.
 * A test turns the loop until what it waits for has happened, at most PEER_TURNS_MAX times; a turn
 * without an event lasts 10 ms. Nothing listens beyond loopback.
 */
#include "tests/unit/server_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct loop *peer_loop;
struct server *peer_server;
struct request *peer_deferred;
char peer_input[1 << 16];

void peer_answer(struct request *request)
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
    peer_deferred = request;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/g", .protocols = REQUEST_ANY_HTTP, .handle = peer_answer},
    {.method = "GET", .path = "/large", .protocols = REQUEST_ANY_HTTP, .handle = answer_large},
    {.method = "POST", .path = "/p", .protocols = REQUEST_ANY_HTTP, .body_max = 1 << 20,
     .handle = peer_answer},
    {.method = "POST", .path = "/later", .protocols = REQUEST_ANY_HTTP, .body_max = 1 << 20,
     .handle = handle_later},
};

void peer_begin(const struct server_config *config)
{
    char why[256];
    peer_loop = loop_new();
    assert_non_null(peer_loop);
    peer_server = server_new(peer_loop, config);
    server_route(peer_server, routes, sizeof routes / sizeof routes[0]);
    struct listen_config listen = {.endpoint = BYTES_LITERAL("localhost:0")};
    assert_int_equal(server_listen(peer_server, &listen, why, sizeof why), RESULT_OK);
    peer_deferred = NULL;
}

int peer_end(void **state)
{
    (void)state;
    if (peer_deferred) {
        peer_answer(peer_deferred);
        peer_deferred = NULL;
    }
    server_free(&peer_server);
    loop_free(peer_loop);
    peer_loop = NULL;
    return 0;
}

int peer_dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(server_port(peer_server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void peer_put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void peer_turn(void)
{
    loop_run_once(peer_loop, 10);
}

const char *peer_take(int fd, unsigned count, bool *has_ended)
{
    size_t len = 0;
    *has_ended = false;
    for (int i = 0; i < PEER_TURNS_MAX; i++) {
        peer_turn();
        ssize_t got = recv(fd, peer_input + len, sizeof peer_input - 1 - len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            *has_ended = true;
            break;
        }
        len += got > 0 ? (size_t)got : 0;
        peer_input[len] = '\0';
        unsigned seen = 0;
        for (const char *at = peer_input; (at = strstr(at, "\r\n\r\nok")) != NULL; at++) {
            seen++;
        }
        if (count > 0 && seen >= count) {
            break;
        }
    }
    peer_input[len] = '\0';
    return peer_input;
}

unsigned peer_connections(void)
{
    struct server_counts counts;
    server_counts(peer_server, &counts);
    assert_int_equal(counts.connections, server_connection_count(peer_server));
    return counts.connections;
}

void peer_await_connections(unsigned count)
{
    for (int i = 0; i < PEER_TURNS_MAX && peer_connections() != count; i++) {
        peer_turn();
    }
    assert_int_equal(peer_connections(), count);
}
