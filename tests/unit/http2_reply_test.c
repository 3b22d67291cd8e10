// SPDX-License-Identifier: Apache-2.0
//
// What a peer sees of responses: messages, trailers, errors, late replies.
#include "receiver/http2_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/http2_peer.h"

static void call_has_message_and_trailers(void **state)
{
    (void)state;
    int32_t id = h2_call_grpc("/s/Call", BYTES_LITERAL("\0\0\0\0\3abc"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    struct h2_reply *reply = h2_reply_of(id);
    assert_string_equal(reply->status, "200");
    assert_string_equal(reply->content_type, "application/grpc");
    assert_string_equal(reply->grpc_status, "0");
    assert_int_equal(reply->body.len, 7);
    assert_memory_equal(reply->body.ptr, "\0\0\0\0\2ok", 7);
    assert_true(reply->is_closed && !reply->is_reset);
    assert_string_equal(buffer_text(&h2.bodies), "abc|");
}

static void errors_are_trailers_only(void **state)
{
    (void)state;
    int32_t id = h2_call_grpc("/s/Error", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    struct h2_reply *reply = h2_reply_of(id);
    assert_string_equal(reply->status, "200");
    assert_string_equal(reply->grpc_status, "14");
    assert_string_equal(reply->grpc_message, "50%25 full%0A");
    assert_string_equal(reply->details, "CA4");  // unpadded base64 of 08 0e
    assert_int_equal(reply->body.len, 0);
}

static void other_grpc_media_types_are_refused(void **state)
{
    (void)state;
    const struct h2_field json[] = {{"content-type", "application/grpc+json"}};
    int32_t id = h2_send("POST", "/s/Call", json, 1, (struct h2_call){.is_open = false});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "415");
}

static void unknown_service_and_method_are_named(void **state)
{
    (void)state;
    int32_t method = h2_call_grpc("/s/Nothing", BYTES_LITERAL("\0\0\0\0\0"));
    int32_t service = h2_call_grpc("/x.Y/Z", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(method)->grpc_message, "unknown method Nothing for service s");
    assert_string_equal(h2_reply_of(service)->grpc_message, "unknown service x.Y");
}

static void late_reply_reaches_its_stream_or_nobody(void **state)
{
    (void)state;
    int32_t id = h2_call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "");
    h2_answer(h2.deferred);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->grpc_status, "0");
    int32_t gone = h2_call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    nghttp2_submit_rst_stream(h2.client, 0, gone, NGHTTP2_CANCEL);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_true(http2_is_idle(&h2.http2));
    unsigned free_before = h2.server.free_count;
    h2_answer(h2.deferred);
    assert_int_equal(h2.server.free_count, free_before + 1);
    assert_int_equal(h2_exchange(), RESULT_OK);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, h2_set_up, h2_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(call_has_message_and_trailers),
        ROW(errors_are_trailers_only),
        ROW(other_grpc_media_types_are_refused),
        ROW(unknown_service_and_method_are_named),
        ROW(late_reply_reaches_its_stream_or_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
