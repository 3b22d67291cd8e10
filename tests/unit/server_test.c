// SPDX-License-Identifier: Apache-2.0
//
// The server as a whole: the drain, the date, what is recycled.
#include "receiver/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "receiver/server_state.h"
#include "tests/unit/server_peer.h"

static bool is_drained;

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

static void drain_answers_what_is_in_hand(void **state)
{
    (void)state;
    bool has_ended;
    peer_begin(&(struct server_config){.home = NULL});
    int idle = peer_dial();
    peer_put(idle, PEER_GET);
    peer_take(idle, 1, &has_ended);
    int busy = peer_dial();
    peer_put(busy, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
    for (int i = 0; i < PEER_TURNS_MAX && !peer_deferred; i++) {
        peer_turn();
    }
    is_drained = false;
    server_drain(peer_server, clock_mono_ns() + 60 * NS_PER_S, on_drained, &is_drained);
    peer_take(idle, 0, &has_ended);
    assert_true(has_ended);
    peer_await_connections(1);
    assert_false(is_drained);
    peer_answer(peer_deferred);
    peer_deferred = NULL;
    peer_take(busy, 0, &has_ended);
    assert_non_null(strstr(peer_input, "Connection: close\r\n"));
    close(idle);
    close(busy);
    for (int i = 0; i < PEER_TURNS_MAX && !is_drained; i++) {
        peer_turn();
    }
    assert_true(is_drained);
}

static void drain_cuts_what_is_left_at_the_deadline(void **state)
{
    (void)state;
    peer_begin(&(struct server_config){.home = NULL});
    int fd = peer_dial();
    peer_put(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\na");
    peer_await_connections(1);
    peer_turn();
    is_drained = false;
    server_drain(peer_server, clock_mono_ns() + 30 * NS_PER_MS, on_drained, &is_drained);
    for (int i = 0; i < PEER_TURNS_MAX && !is_drained; i++) {
        peer_turn();
    }
    assert_true(is_drained);
    assert_int_equal(peer_connections(), 0);
    close(fd);
}

static void requests_are_recycled_clean(void **state)
{
    (void)state;
    peer_begin(&(struct server_config){.home = NULL});
    struct request *first = server_take_request(peer_server);
    first->stage = REQUEST_REPLIED;
    first->head_only = true;
    assert_true(request_add_header(first, BYTES_LITERAL("a"), BYTES_LITERAL("b")));
    memset(first->scratch, 0xff, sizeof first->scratch);
    server_give_request(peer_server, first);
    struct request *second = server_take_request(peer_server);
    assert_ptr_equal(second, first);
    assert_int_equal(second->stage, REQUEST_HEAD);
    assert_false(second->head_only);
    assert_int_equal(second->header_count, 0);
    assert_int_equal(second->text.len, 0);
    for (size_t i = 0; i < sizeof second->scratch; i++) {
        assert_int_equal(second->scratch[i], 0);
    }
    server_give_request(peer_server, second);
    server_give_request(peer_server, NULL);
}

static void date_has_the_form_of_http(void **state)
{
    (void)state;
    peer_begin(&(struct server_config){.home = NULL});
    const char *date = server_date(peer_server);
    assert_int_equal(strlen(date), 29);
    assert_string_equal(date + 25, " GMT");
    assert_int_equal(date[3], ',');
    assert_ptr_equal(server_date(peer_server), date);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_teardown(name, peer_end)
    const struct CMUnitTest tests[] = {
        ROW(drain_answers_what_is_in_hand),
        ROW(drain_cuts_what_is_left_at_the_deadline),
        ROW(requests_are_recycled_clean),
        ROW(date_has_the_form_of_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
