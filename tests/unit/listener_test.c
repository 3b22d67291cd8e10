// SPDX-License-Identifier: Apache-2.0
//
// Accepting: exhausted descriptors, the cap on connections, ports that are taken.
#include "receiver/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/server_peer.h"

static void exhausted_descriptors_do_not_end_accepting(void **state)
{
    (void)state;
    struct rlimit before, tight;
    struct server_counts counts;
    bool has_ended;
    int fds[64];
    int count = 0;
    peer_begin(&(struct server_config){.home = NULL});
    int probe = dup(0);
    assert_true(probe > 0);
    close(probe);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)probe + 20;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (count < 64 && (fds[count] = peer_dial()) >= 0) {
        count++;  // none is accepted: the loop does not turn
    }
    for (int i = 0; i < 20; i++) {
        loop_run_once(peer_loop, 5);
    }
    server_counts(peer_server, &counts);
    assert_true(counts.accept_failures > 0);
    assert_true(counts.accept_failures <= 10);  // disarmed, not spinning
    assert_int_equal(counts.connections, 0);
    for (int i = 1; i < count; i++) {
        close(fds[i]);
    }
    peer_put(fds[0], PEER_GET);  // has waited in the backlog
    assert_non_null(strstr(peer_take(fds[0], 1, &has_ended), " 200 OK"));
    close(fds[0]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = peer_dial();
    peer_put(fd, PEER_GET);
    assert_non_null(strstr(peer_take(fd, 1, &has_ended), " 200 OK"));
    close(fd);
}

static void longest_idle_connection_makes_room(void **state)
{
    (void)state;
    struct server_counts counts;
    bool has_ended;
    peer_begin(&(struct server_config){.connections_max = 3});
    int fds[4];
    for (int i = 0; i < 3; i++) {
        fds[i] = peer_dial();
        peer_put(fds[i], PEER_GET);
        peer_take(fds[i], 1, &has_ended);
    }
    peer_put(fds[0], PEER_GET);  // the oldest, but not the longest idle
    peer_take(fds[0], 1, &has_ended);
    fds[3] = peer_dial();
    peer_put(fds[3], PEER_GET);
    assert_non_null(strstr(peer_take(fds[3], 1, &has_ended), " 200 OK"));
    server_counts(peer_server, &counts);
    assert_int_equal(counts.evicted, 1);
    assert_int_equal(counts.connections, 3);
    peer_take(fds[1], 0, &has_ended);
    assert_true(has_ended);
    peer_put(fds[0], PEER_GET);
    assert_non_null(strstr(peer_take(fds[0], 1, &has_ended), " 200 OK"));
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void busy_connections_are_not_evicted(void **state)
{
    (void)state;
    bool has_ended;
    peer_begin(&(struct server_config){.connections_max = 1});
    int busy = peer_dial();
    peer_put(busy, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
    for (int i = 0; i < PEER_TURNS_MAX && !peer_deferred; i++) {
        peer_turn();
    }
    int waiting = peer_dial();
    peer_put(waiting, PEER_GET);
    for (int i = 0; i < 30; i++) {
        peer_turn();
    }
    assert_int_equal(recv(waiting, peer_input, sizeof peer_input, 0), -1);
    peer_answer(peer_deferred);
    peer_deferred = NULL;
    peer_take(busy, 1, &has_ended);
    close(busy);
    assert_non_null(strstr(peer_take(waiting, 1, &has_ended), " 200 OK"));
    close(waiting);
}

static void taken_port_is_named(void **state)
{
    (void)state;
    char why[256], endpoint[64];
    peer_begin(&(struct server_config){.home = NULL});
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", server_port(peer_server, 0));
    struct listen_config listen = {.endpoint = bytes_from_text(endpoint)};
    assert_int_equal(server_listen(peer_server, &listen, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, endpoint));
    assert_non_null(strstr(why, "in use"));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_teardown(name, peer_end)
    const struct CMUnitTest tests[] = {
        ROW(exhausted_descriptors_do_not_end_accepting),
        ROW(longest_idle_connection_makes_room),
        ROW(busy_connections_are_not_evicted),
        ROW(taken_port_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
