// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP client against a small server in threads of this program, on loopback. The path of a
 * request says how the server behaves; one thread serves one connection. Tests wait for events
 * (callbacks, counters of the server) in a bounded number of turns, never for time as such.
 */
#include "base/http_client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define CONNECTIONS_MAX 64
#define HEAD_MAX 16384
#define TURNS_MAX 3000
#define UPLOAD_BYTES ((size_t)32 << 20)

// ---- the server

struct server {
    int fd;
    uint16_t port;
    pthread_t acceptor;
    pthread_t threads[CONNECTIONS_MAX];
    atomic_int fds[CONNECTIONS_MAX];  // -1: closed by its thread
    int count;
    atomic_int connections, requests, ended;
};

struct connection {
    struct server *server;
    atomic_int *slot;
    int fd;
    char head[HEAD_MAX];
    size_t have;      // bytes in head, body's first ones included
    size_t head_len;  // with the empty line
    size_t body_len;
    unsigned sum;  // of the body's bytes
};

static void send_text(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        text += sent;
        len -= (size_t)sent;
    }
}

static void reply(int fd, const char *status, const char *headers, const char *body)
{
    char text[HEAD_MAX * 2];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
             strlen(body), body);
    send_text(fd, text);
}

// Reads one request; false at the connection's end.
static bool read_request(struct connection *connection)
{
    connection->have = connection->head_len = connection->body_len = 0;
    connection->sum = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t got = recv(connection->fd, connection->head + connection->have,
                           HEAD_MAX - 1 - connection->have, 0);
        if (got <= 0) {
            return false;
        }
        connection->have += (size_t)got;
        connection->head[connection->have] = '\0';
        end = strstr(connection->head, "\r\n\r\n");
    }
    connection->head_len = (size_t)(end - connection->head) + 4;
    const char *length = strcasestr(connection->head, "content-length: ");
    size_t left = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    size_t here = connection->have - connection->head_len;
    connection->body_len = left;
    for (size_t i = connection->head_len; i < connection->have; i++) {
        connection->sum += (unsigned char)connection->head[i];
    }
    left -= here < left ? here : left;
    while (left > 0) {
        unsigned char chunk[65536];
        ssize_t got = recv(connection->fd, chunk, left < sizeof chunk ? left : sizeof chunk, 0);
        if (got <= 0) {
            return false;
        }
        for (ssize_t i = 0; i < got; i++) {
            connection->sum += chunk[i];
        }
        left -= (size_t)got;
    }
    connection->head[connection->head_len] = '\0';
    return true;
}

static void wait_for_end(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    }
}

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void send_big_body(int fd)
{
    static const char zeros[1 << 16];
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    while (send(fd, zeros, sizeof zeros, MSG_NOSIGNAL) > 0) {
    }
}

static void send_big_head(int fd)
{
    send_text(fd, "HTTP/1.1 200 OK\r\n");
    char line[1024];
    memset(line, 'x', sizeof line);
    line[1] = ':';
    line[sizeof line - 2] = '\r';
    line[sizeof line - 1] = '\n';
    while (send(fd, line, sizeof line, MSG_NOSIGNAL) > 0) {
    }
}

static void reply_with_date(int fd, int64_t seconds)
{
    char date[64];
    char header[128];
    time_t at = (time_t)((int64_t)(clock_wall_ns() / NS_PER_S) + seconds);
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    snprintf(header, sizeof header, "Retry-After: %s\r\n", date);
    reply(fd, "503 Service Unavailable", header, "{}");
}

static bool path_is(const struct connection *connection, const char *path)
{
    const char *space = strchr(connection->head, ' ');
    const char *end = space != NULL ? strchr(space + 1, ' ') : NULL;
    size_t len = strlen(path);
    return end != NULL && (size_t)(end - space - 1) >= len && memcmp(end - len, path, len) == 0;
}

// False: close the connection.
static bool serve(struct connection *connection)
{
    int fd = connection->fd;
    char text[128];
    if (path_is(connection, "/ok")) {
        reply(fd, "200 OK", "Content-Type: application/json\r\n", "{\"ok\":true}");
    } else if (path_is(connection, "/head")) {
        reply(fd, "200 OK", "", connection->head);
    } else if (path_is(connection, "/length")) {
        snprintf(text, sizeof text, "%zu %u", connection->body_len, connection->sum);
        reply(fd, "200 OK", "", text);
    } else if (path_is(connection, "/seconds")) {
        reply(fd, "429 Too Many Requests", "retry-after:  7 \r\n", "{}");
    } else if (path_is(connection, "/date")) {
        reply_with_date(fd, 120);
    } else if (path_is(connection, "/past")) {
        reply_with_date(fd, -120);
    } else if (path_is(connection, "/year")) {
        reply(fd, "503 Service Unavailable", "Retry-After: 31536000\r\n", "{}");
    } else if (path_is(connection, "/nonsense")) {
        reply(fd, "503 Service Unavailable", "Retry-After: soon enough\r\n", "{}");
    } else if (path_is(connection, "/interim")) {
        send_text(fd, "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n");
        reply(fd, "200 OK", "", "late");
    } else if (path_is(connection, "/redirect")) {
        reply(fd, "307 Temporary Redirect", "Location: /ok\r\n", "");
    } else if (path_is(connection, "/chunked")) {
        send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    } else if (path_is(connection, "/big")) {
        send_big_body(fd);
        return false;
    } else if (path_is(connection, "/bighead")) {
        send_big_head(fd);
        return false;
    } else if (path_is(connection, "/garbage")) {
        send_text(fd, "220 mail.example.test ESMTP\r\n\r\n");
        return false;
    } else if (path_is(connection, "/half")) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
        return false;
    } else if (path_is(connection, "/reset")) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
        reset(fd);
        return false;
    } else if (path_is(connection, "/silent")) {
        wait_for_end(fd);
        return false;
    } else {
        return false;  // "/nothing": no answer at all
    }
    return true;
}

static void *run_connection(void *arg)
{
    struct connection *connection = arg;
    struct server *server = connection->server;
    bool more = true;
    while (more && read_request(connection)) {
        atomic_fetch_add(&server->requests, 1);
        more = serve(connection);
    }
    shutdown(connection->fd, SHUT_WR);
    atomic_fetch_add(&server->ended, 1);
    struct linger linger;
    socklen_t len = sizeof linger;
    getsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, &len);
    if (linger.l_onoff != 0) {
        atomic_store(connection->slot, -1);
        close(connection->fd);  // sends the reset
    }
    free(connection);
    return NULL;
}

static void *run_acceptor(void *arg)
{
    struct server *server = arg;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0 || server->count == CONNECTIONS_MAX) {
            return NULL;
        }
        struct connection *connection = calloc(1, sizeof *connection);
        connection->server = server;
        connection->fd = fd;
        connection->slot = &server->fds[server->count];
        atomic_store(connection->slot, fd);
        atomic_fetch_add(&server->connections, 1);
        pthread_create(&server->threads[server->count], NULL, run_connection, connection);
        server->count++;
    }
}

static uint16_t bind_loopback(int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static void server_start(struct server *server)
{
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    server->port = bind_loopback(server->fd);
    assert_int_equal(listen(server->fd, 32), 0);
    assert_int_equal(pthread_create(&server->acceptor, NULL, run_acceptor, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->acceptor, NULL);
    close(server->fd);
    for (int i = 0; i < server->count; i++) {
        if (server->fds[i] >= 0) {
            shutdown(server->fds[i], SHUT_RDWR);
        }
    }
    for (int i = 0; i < server->count; i++) {
        pthread_join(server->threads[i], NULL);
        if (server->fds[i] >= 0) {
            close(server->fds[i]);
        }
    }
}

// ---- the client's side

struct outcome {
    unsigned count;
    enum result result;
    int status;
    char body[HEAD_MAX];
    char type[64];
    bool has_retry_after, has_error;
    uint64_t retry_after_ns;
    struct http_client **free_in_done;
};

struct fixture {
    struct server server;
    struct loop *loop;
    struct http_client *client;
};

static void on_done(void *arg, const struct http_response *response)
{
    struct outcome *outcome = arg;
    outcome->count++;
    outcome->result = response->result;
    outcome->status = response->status;
    outcome->has_retry_after = response->has_retry_after;
    outcome->retry_after_ns = response->retry_after_ns;
    outcome->has_error = response->error != NULL;
    snprintf(outcome->body, sizeof outcome->body, "%.*s",
             BYTES_PRINTF(bytes_slice(response->body, 0, HEAD_MAX - 1)));
    snprintf(outcome->type, sizeof outcome->type, "%.*s", BYTES_PRINTF(response->content_type));
    if (outcome->free_in_done != NULL) {
        http_client_free(*outcome->free_in_done);
        *outcome->free_in_done = NULL;
    }
}

static void client_open(struct fixture *fixture, const struct http_client_config *config)
{
    char why[256] = "";
    http_client_free(fixture->client);
    fixture->client = NULL;
    if (http_client_new(fixture->loop, config, &fixture->client, why, sizeof why) != RESULT_OK) {
        fail_msg("%s", why);
    }
}

static int set_up(void **state)
{
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    struct fixture *fixture = calloc(1, sizeof *fixture);
    server_start(&fixture->server);
    fixture->loop = loop_new();
    client_open(fixture, &(struct http_client_config){.user_agent = "test/1"});
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http_client_free(fixture->client);
    loop_free(fixture->loop);
    server_stop(&fixture->server);
    free(fixture);
    unsetenv("http_proxy");
    return 0;
}

static struct http_call *send_to(struct fixture *fixture, uint16_t port, const char *method,
                                 const char *path, struct bytes body, struct outcome *outcome)
{
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    const struct http_header headers[] = {{"content-type", "text/test"}, {"x-empty", ""}};
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .headers = headers,
                                         .header_count = 2,
                                         .body = body,
                                         .timeout_ns = 60 * NS_PER_S};
    return http_client_send(fixture->client, &request, on_done, outcome);
}

static struct http_call *send_path(struct fixture *fixture, const char *path,
                                   struct outcome *outcome)
{
    return send_to(fixture, fixture->server.port, "POST", path, BYTES_LITERAL("body"), outcome);
}

static void run_until(struct fixture *fixture, const unsigned *value, unsigned target)
{
    for (int turn = 0; turn < TURNS_MAX && *value < target; turn++) {
        loop_run_once(fixture->loop, 20);
    }
    assert_int_equal(*value, target);
}

static void run_until_atomic(struct fixture *fixture, atomic_int *value, int target)
{
    for (int turn = 0; turn < TURNS_MAX && atomic_load(value) < target; turn++) {
        loop_run_once(fixture->loop, 20);
    }
    assert_true(atomic_load(value) >= target);
}

static struct outcome fetch(struct fixture *fixture, const char *path)
{
    struct outcome outcome = {0};
    send_path(fixture, path, &outcome);
    assert_int_equal(outcome.count, 0);
    run_until(fixture, &outcome.count, 1);
    assert_int_equal(http_client_in_flight(fixture->client), 0);
    assert_true(outcome.has_error == (outcome.result != RESULT_OK));
    return outcome;
}

static void an_answer_arrives_with_status_type_and_body(void **state)
{
    struct outcome outcome = fetch(*state, "/ok");
    assert_int_equal(outcome.result, RESULT_OK);
    assert_int_equal(outcome.status, 200);
    assert_string_equal(outcome.type, "application/json");
    assert_string_equal(outcome.body, "{\"ok\":true}");
    assert_false(outcome.has_retry_after);
}

static void connections_are_kept_and_used_again(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fetch(fixture, i % 2 == 0 ? "/ok" : "/chunked").result, RESULT_OK);
    }
    assert_int_equal(atomic_load(&fixture->server.connections), 1);
}

static void idle_connections_are_closed(void **state)
{
    struct fixture *fixture = *state;
    client_open(fixture, &(struct http_client_config){.idle_timeout_ns = NS_PER_MS});
    assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
    run_until_atomic(fixture, &fixture->server.ended, 1);
    assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
    assert_int_equal(atomic_load(&fixture->server.connections), 2);
}

static void requests_carry_what_was_asked_and_no_more(void **state)
{
    struct outcome outcome = fetch(*state, "/head");
    assert_non_null(strstr(outcome.body, "POST /head HTTP/1.1\r\n"));
    assert_non_null(strstr(outcome.body, "\r\ncontent-type: text/test\r\n"));
    assert_non_null(strstr(outcome.body, "\r\nx-empty:\r\n"));
    assert_non_null(strstr(outcome.body, "\r\nUser-Agent: test/1\r\n"));
    assert_non_null(strstr(outcome.body, "\r\nContent-Length: 4\r\n"));
    assert_null(strcasestr(outcome.body, "expect"));
    assert_null(strcasestr(outcome.body, "upgrade"));
}

static void other_methods_are_sent(void **state)
{
    struct fixture *fixture = *state;
    static const char *const methods[] = {"GET", "PUT", "DELETE", "PATCH"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct outcome outcome = {0};
        send_to(fixture, fixture->server.port, methods[i], "/head", BYTES_LITERAL("body"),
                &outcome);
        run_until(fixture, &outcome.count, 1);
        assert_int_equal(strncmp(outcome.body, methods[i], strlen(methods[i])), 0);
        assert_true((strstr(outcome.body, "Content-Length: 4") == NULL) == (i == 0));
    }
}

static void large_bodies_are_uploaded_whole(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *body = malloc(UPLOAD_BYTES);
    unsigned sum = 0;
    for (size_t i = 0; i < UPLOAD_BYTES; i++) {
        body[i] = (uint8_t)(i * 31 + (i >> 13));
        sum += body[i];
    }
    struct outcome outcome = {0};
    send_to(fixture, fixture->server.port, "POST", "/length", bytes_from(body, UPLOAD_BYTES),
            &outcome);
    run_until(fixture, &outcome.count, 1);
    char expected[64];
    snprintf(expected, sizeof expected, "%zu %u", UPLOAD_BYTES, sum);
    assert_string_equal(outcome.body, expected);
    free(body);
}

static void requests_run_in_parallel(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[5] = {{0}};
    struct outcome silent[5] = {{0}};
    client_open(fixture, &(struct http_client_config){.connections_max = 5});
    struct http_call *calls[4];
    for (int i = 0; i < 4; i++) {
        calls[i] = send_path(fixture, "/silent", &silent[i]);
    }
    for (int i = 0; i < 5; i++) {
        send_path(fixture, "/ok", &outcomes[i]);  // all through the one connection that is left
    }
    for (int i = 0; i < 5; i++) {
        run_until(fixture, &outcomes[i].count, 1);
        assert_int_equal(outcomes[i].result, RESULT_OK);
    }
    assert_int_equal(http_client_in_flight(fixture->client), 4);
    for (int i = 0; i < 4; i++) {
        http_client_cancel(fixture->client, calls[i]);
        assert_int_equal(silent[i].count, 0);
    }
    assert_true(atomic_load(&fixture->server.connections) <= 5);
}

static void retry_after_is_understood_in_both_forms(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = fetch(fixture, "/seconds");
    assert_int_equal(outcome.result, RESULT_OK);
    assert_int_equal(outcome.status, 429);
    assert_true(outcome.has_retry_after);
    assert_int_equal(outcome.retry_after_ns, 7 * NS_PER_S);
    outcome = fetch(fixture, "/date");
    assert_true(outcome.has_retry_after);
    assert_in_range(outcome.retry_after_ns, 1 * NS_PER_S, 120 * NS_PER_S);
    outcome = fetch(fixture, "/past");
    assert_true(outcome.has_retry_after);
    assert_int_equal(outcome.retry_after_ns, 0);
}

static void retry_after_is_capped_and_nonsense_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = fetch(fixture, "/year");
    assert_int_equal(outcome.retry_after_ns, HTTP_RETRY_AFTER_NS_MAX);
    assert_false(fetch(fixture, "/nonsense").has_retry_after);
}

static void interim_responses_are_passed_over(void **state)
{
    struct outcome outcome = fetch(*state, "/interim");
    assert_int_equal(outcome.status, 200);
    assert_string_equal(outcome.body, "late");
    assert_false(outcome.has_retry_after);
}

static void redirects_are_not_followed(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = fetch(fixture, "/redirect");
    assert_int_equal(outcome.result, RESULT_OK);
    assert_int_equal(outcome.status, 307);
    assert_int_equal(atomic_load(&fixture->server.requests), 1);
}

static void oversize_responses_are_cut_off(void **state)
{
    struct fixture *fixture = *state;
    client_open(fixture, &(struct http_client_config){.response_bytes_max = 1000});
    assert_int_equal(fetch(fixture, "/big").result, RESULT_TOO_LARGE);
    assert_int_equal(fetch(fixture, "/bighead").result, RESULT_TOO_LARGE);
    assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
}

static void broken_connections_may_be_tried_again(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"/reset", "/half", "/garbage", "/nothing"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(fetch(fixture, paths[i]).result, RESULT_RETRY);
        assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
    }
}

static void refused_connections_may_be_tried_again(void **state)
{
    struct fixture *fixture = *state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);  // bound, never listening
    struct outcome outcome = {0};
    send_to(fixture, bind_loopback(fd), "GET", "/ok", BYTES_NONE, &outcome);
    run_until(fixture, &outcome.count, 1);
    assert_int_equal(outcome.result, RESULT_RETRY);
    assert_int_equal(outcome.status, 0);
    close(fd);
}

static void silence_ends_at_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    struct outcome outcome = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/silent", fixture->server.port);
    const struct http_request request = {.method = "GET", .url = url, .timeout_ns = 30 * NS_PER_MS};
    http_client_send(fixture->client, &request, on_done, &outcome);
    run_until(fixture, &outcome.count, 1);
    assert_int_equal(outcome.result, RESULT_RETRY);
    run_until_atomic(fixture, &fixture->server.ended, 1);  // and closes the connection
}

static void the_deadline_covers_the_wait_for_a_connection(void **state)
{
    struct fixture *fixture = *state;
    client_open(fixture, &(struct http_client_config){.connections_max = 1});
    struct outcome first = {0};
    struct outcome second = {0};
    struct http_call *call = send_path(fixture, "/silent", &first);
    run_until_atomic(fixture, &fixture->server.requests, 1);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/ok", fixture->server.port);
    const struct http_request request = {.method = "GET", .url = url, .timeout_ns = 30 * NS_PER_MS};
    http_client_send(fixture->client, &request, on_done, &second);
    run_until(fixture, &second.count, 1);
    assert_int_equal(second.result, RESULT_RETRY);
    assert_int_equal(first.count, 0);
    http_client_cancel(fixture->client, call);
    assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
}

static void cancelled_calls_are_never_heard_of(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    struct http_call *call = send_path(fixture, "/silent", &outcome);
    http_client_cancel(fixture->client, call);  // at once
    call = send_path(fixture, "/silent", &outcome);
    run_until_atomic(fixture, &fixture->server.requests, 1);
    http_client_cancel(fixture->client, call);  // on its way
    assert_int_equal(http_client_in_flight(fixture->client), 0);
    assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
    assert_int_equal(outcome.count, 0);
}

static void freeing_stops_what_is_in_flight(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        send_path(fixture, "/silent", &outcomes[i]);
    }
    run_until_atomic(fixture, &fixture->server.requests, 3);
    http_client_free(fixture->client);
    fixture->client = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].count, 1);
        assert_int_equal(outcomes[i].result, RESULT_STOP);
    }
}

static void the_client_may_be_freed_inside_done(void **state)
{
    struct fixture *fixture = *state;
    struct outcome silent = {0};
    struct outcome outcome = {.free_in_done = &fixture->client};
    send_path(fixture, "/silent", &silent);
    send_path(fixture, "/ok", &outcome);
    run_until(fixture, &outcome.count, 1);
    assert_null(fixture->client);
    assert_int_equal(silent.result, RESULT_STOP);
}

static void assert_fails(struct fixture *fixture, const struct http_request *request)
{
    struct outcome outcome = {0};
    http_client_send(fixture->client, request, on_done, &outcome);
    assert_int_equal(outcome.count, 0);
    run_until(fixture, &outcome.count, 1);
    assert_int_equal(outcome.result, RESULT_FAIL);
    assert_true(outcome.has_error);
}

static void wrong_requests_fail_from_the_loop(void **state)
{
    struct fixture *fixture = *state;
    const struct http_header split = {"x-a", "b\r\nx-evil: c"};
    const struct http_header spaced = {"x a", "b"};
    assert_fails(fixture, &(struct http_request){.method = "GET", .url = "ftp://127.0.0.1/"});
    assert_fails(fixture, &(struct http_request){.method = "GET", .url = ""});
    assert_fails(fixture, &(struct http_request){.method = "GET", .url = "http://a:b@c/"});
    assert_fails(fixture, &(struct http_request){.method = "GET",
                                                 .url = "http://127.0.0.1/",
                                                 .headers = &split,
                                                 .header_count = 1});
    assert_fails(fixture, &(struct http_request){.method = "GET",
                                                 .url = "http://127.0.0.1/",
                                                 .headers = &spaced,
                                                 .header_count = 1});
}

static void loopback_is_exempt_from_the_environments_proxy(void **state)
{
    struct fixture *fixture = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    client_open(fixture, &(struct http_client_config){0});
    assert_int_equal(fetch(fixture, "/ok").result, RESULT_OK);
}

static void a_configured_proxy_is_asked_for_loopback_too(void **state)
{
    struct fixture *fixture = *state;
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", fixture->server.port);
    client_open(fixture, &(struct http_client_config){.proxy_url = bytes_from_text(proxy)});
    struct outcome outcome = {0};
    send_to(fixture, 9, "GET", "/head", BYTES_NONE, &outcome);
    run_until(fixture, &outcome.count, 1);
    assert_non_null(strstr(outcome.body, "GET http://127.0.0.1:9/head HTTP/1.1"));
}

static void bad_configuration_is_told_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct http_client *client = NULL;
    char why[256] = "";
    const struct tls_client_config tls = {.ca_pem = BYTES_LITERAL("no certificate")};
    assert_int_equal(http_client_new(fixture->loop, &(struct http_client_config){.tls = &tls},
                                     &client, why, sizeof why),
                     RESULT_FAIL);
    assert_string_equal(why, "ca: not a PEM certificate");
    const struct http_client_config config = {.proxy_url = BYTES_LITERAL("socks5://a")};
    assert_int_equal(http_client_new(fixture->loop, &config, &client, why, sizeof why),
                     RESULT_FAIL);
    assert_non_null(strstr(why, "proxy_url: "));
    assert_null(client);
}

int main(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        HTTP_TEST(an_answer_arrives_with_status_type_and_body),
        HTTP_TEST(connections_are_kept_and_used_again),
        HTTP_TEST(idle_connections_are_closed),
        HTTP_TEST(requests_carry_what_was_asked_and_no_more),
        HTTP_TEST(other_methods_are_sent),
        HTTP_TEST(large_bodies_are_uploaded_whole),
        HTTP_TEST(requests_run_in_parallel),
        HTTP_TEST(retry_after_is_understood_in_both_forms),
        HTTP_TEST(retry_after_is_capped_and_nonsense_is_none),
        HTTP_TEST(interim_responses_are_passed_over),
        HTTP_TEST(redirects_are_not_followed),
        HTTP_TEST(oversize_responses_are_cut_off),
        HTTP_TEST(broken_connections_may_be_tried_again),
        HTTP_TEST(refused_connections_may_be_tried_again),
        HTTP_TEST(silence_ends_at_the_deadline),
        HTTP_TEST(the_deadline_covers_the_wait_for_a_connection),
        HTTP_TEST(cancelled_calls_are_never_heard_of),
        HTTP_TEST(freeing_stops_what_is_in_flight),
        HTTP_TEST(the_client_may_be_freed_inside_done),
        HTTP_TEST(wrong_requests_fail_from_the_loop),
        HTTP_TEST(loopback_is_exempt_from_the_environments_proxy),
        HTTP_TEST(a_configured_proxy_is_asked_for_loopback_too),
        HTTP_TEST(bad_configuration_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
