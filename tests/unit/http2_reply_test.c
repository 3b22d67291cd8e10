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

// --- answers in parts

static unsigned notified;

static void on_notify(struct request *request)
{
    (void)request;
    notified++;
}

static int32_t begin_parts(const char *method, int status, uint64_t length)
{
    static const struct response_field fields[] = {{"content-type", {(const uint8_t *)"a/b", 3}}};
    int32_t id = h2_send(method, "/s/Later", NULL, 0, (struct h2_call){.is_open = false});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_non_null(h2.deferred);
    notified = 0;
    h2.deferred->notify = on_notify;
    request_reply_begin(h2.deferred, &(struct response_head){.status = status,
                                                             .fields = fields,
                                                             .field_count = 1,
                                                             .length = length});
    return id;
}

static void an_answer_in_parts_waits_for_room(void **state)
{
    (void)state;
    static uint8_t part[SERVER_OUT_HIGH];
    int32_t id = begin_parts("GET", 200, UINT64_MAX);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(request_reply_room(h2.deferred), sizeof part);
        request_reply_data(h2.deferred, bytes_from(part, sizeof part));
        assert_int_equal(request_reply_room(h2.deferred), 0);
        assert_int_equal(h2_exchange(), RESULT_OK);
        http2_tell_room(&h2.http2);
        assert_int_equal(notified, i + 1);
    }
    http2_tell_room(&h2.http2);
    assert_int_equal(notified, 5);
    request_reply_data(h2.deferred, BYTES_LITERAL("end"));
    request_reply_end(h2.deferred, true);
    assert_int_equal(h2_exchange(), RESULT_OK);
    struct h2_reply *reply = h2_reply_of(id);
    assert_string_equal(reply->status, "200");
    assert_string_equal(reply->content_type, "a/b");
    assert_int_equal(reply->body.len, 5 * sizeof part + 3);
    assert_true(reply->is_closed && !reply->is_reset);
}

static void an_answer_that_is_not_whole_is_broken_off(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        bool is_whole, is_broken;
    } rows[] = {
        {UINT64_MAX, true, false}, {UINT64_MAX, false, true}, {3, true, false}, {3, false, true},
        {4, true, true},           {2, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t id = begin_parts("GET", 200, rows[i].length);
        request_reply_data(h2.deferred, BYTES_LITERAL("abc"));
        assert_int_equal(h2_exchange(), RESULT_OK);
        request_reply_end(h2.deferred, rows[i].is_whole);
        assert_int_equal(h2_exchange(), RESULT_OK);
        assert_true(h2_reply_of(id)->is_closed);
        assert_int_equal(h2_reply_of(id)->is_reset, rows[i].is_broken);
        assert_int_equal(h2_reply_of(id)->body.len, rows[i].length == 2 ? 2 : 3);
    }
}

static void what_has_no_body_is_over_at_once(void **state)
{
    (void)state;
    int32_t ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = begin_parts(i == 0 ? "HEAD" : "GET", i == 0 ? 200 : 304, 7);
        request_reply_data(h2.deferred, BYTES_LITERAL("dropped"));
        request_reply_end(h2.deferred, true);
        assert_int_equal(h2_exchange(), RESULT_OK);
        assert_int_equal(h2_reply_of(ids[i])->body.len, 0);
        assert_true(h2_reply_of(ids[i])->is_closed && !h2_reply_of(ids[i])->is_reset);
    }
}

static void a_client_that_breaks_off_is_told(void **state)
{
    (void)state;
    int32_t id = begin_parts("GET", 200, UINT64_MAX);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_int_equal(nghttp2_submit_rst_stream(h2.client, 0, id, NGHTTP2_CANCEL), 0);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_int_equal(notified, 1);
    assert_true(request_is_alone(h2.deferred));
    request_reply_data(h2.deferred, BYTES_LITERAL("for nobody"));
    request_reply_end(h2.deferred, true);
    // The same before it has begun.
    id = h2_send("GET", "/s/Later", NULL, 0, (struct h2_call){.is_open = false});
    assert_int_equal(h2_exchange(), RESULT_OK);
    h2.deferred->notify = on_notify;
    assert_int_equal(nghttp2_submit_rst_stream(h2.client, 0, id, NGHTTP2_CANCEL), 0);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_int_equal(notified, 2);
    request_reply_begin(h2.deferred, &(struct response_head){.status = 200, .length = 0});
    request_reply_end(h2.deferred, true);
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
        ROW(an_answer_in_parts_waits_for_room),
        ROW(an_answer_that_is_not_whole_is_broken_off),
        ROW(what_has_no_body_is_over_at_once),
        ROW(a_client_that_breaks_off_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
