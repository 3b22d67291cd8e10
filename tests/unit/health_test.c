// SPDX-License-Identifier: Apache-2.0
//
// The gRPC health service: which services serve, and watches that end with the drain.
#include "receiver/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/http2_peer.h"

static void health_is_checked_by_service(void **state)
{
    (void)state;
    int32_t all = h2_call_grpc("/grpc.health.v1.Health/Check", BYTES_LITERAL("\0\0\0\0\0"));
    int32_t known = h2_call_grpc("/grpc.health.v1.Health/Check",
                              BYTES_LITERAL("\0\0\0\0\3\x0a\1s"));
    int32_t unknown = h2_call_grpc("/grpc.health.v1.Health/Check",
                                BYTES_LITERAL("\0\0\0\0\4\x0a\2xy"));
    int32_t packed = h2_call_grpc("/grpc.health.v1.Health/Check", BYTES_LITERAL("\1\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_memory_equal(h2_reply_of(all)->body.ptr, "\0\0\0\0\2\x08\1", 7);
    assert_memory_equal(h2_reply_of(known)->body.ptr, "\0\0\0\0\2\x08\1", 7);
    assert_string_equal(h2_reply_of(unknown)->grpc_status, "5");
    assert_string_equal(h2_reply_of(packed)->grpc_status, "12");
    h2.server.draining = true;
    int32_t late = h2_call_grpc("/grpc.health.v1.Health/Check", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_memory_equal(h2_reply_of(late)->body.ptr, "\0\0\0\0\2\x08\2", 7);
}

static void watch_stays_open_until_the_drain(void **state)
{
    (void)state;
    int32_t id = h2_call_grpc("/grpc.health.v1.Health/Watch", BYTES_LITERAL("\0\0\0\0\0"));
    int32_t other = h2_call_grpc("/grpc.health.v1.Health/Watch",
                              BYTES_LITERAL("\0\0\0\0\4\x0a\2xy"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_memory_equal(h2_reply_of(id)->body.ptr, "\0\0\0\0\2\x08\1", 7);
    assert_memory_equal(h2_reply_of(other)->body.ptr, "\0\0\0\0\2\x08\3", 7);
    assert_false(h2_reply_of(id)->is_closed);
    http2_drain_notice(&h2.http2);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_true(h2_reply_of(id)->is_closed);
    assert_string_equal(h2_reply_of(id)->grpc_status, "14");
    assert_true(http2_is_idle(&h2.http2));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, h2_set_up, h2_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(health_is_checked_by_service),
        ROW(watch_stays_open_until_the_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
