// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 and gRPC without sockets: streams, windows, limits, ends.
#include "receiver/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/http2_peer.h"

static void request_is_answered_beside_calls(void **state)
{
    (void)state;
    int32_t get = h2_send("POST", "/s/Call?x=y", NULL, 0,
                               (struct h2_call){.body = BYTES_LITERAL("plain")});
    int32_t call = h2_call_grpc("/s/Call", BYTES_LITERAL("\1\0\0\0\1z"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(get)->status, "200");
    assert_string_equal(buffer_text(&h2_reply_of(get)->body), "ok");
    assert_string_equal(h2_reply_of(call)->grpc_status, "0");
    assert_string_equal(buffer_text(&h2.bodies), "plain|z|");
    assert_true(h2.last_packed);
}

static void malformed_calls_get_their_status(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        struct bytes wire;
        const char *status;
    } rows[] = {
        {"/s/Call", {(const uint8_t *)"\0\0\0\0", 4}, "13"},
        {"/s/Call", {(const uint8_t *)"\0\0\0\0\2a", 6}, "13"},
        {"/s/Call", {(const uint8_t *)"\0\0\0\0\1ab", 7}, "13"},
        {"/s/Call", {(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0", 10}, "13"},
        {"/s/Call", {(const uint8_t *)"\7\0\0\0\0", 5}, "13"},
        {"/s/Small", {(const uint8_t *)"\0\0\0\0\13aaaaaaaaaaa", 16}, "8"},
        {"/s/Small", {(const uint8_t *)"\0\xff\xff\xff\xff", 5}, "8"},
        {"/s/Nothing", {(const uint8_t *)"\0\0\0\0\0", 5}, "12"},
        {"/other.Service/Call", {(const uint8_t *)"\0\0\0\0\0", 5}, "12"},
        {"/s/Deny", {(const uint8_t *)"\0\0\0\0\0", 5}, "12"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t id = h2_call_grpc(rows[i].path, rows[i].wire);
        assert_int_equal(h2_exchange(), RESULT_OK);
        assert_string_equal(h2_reply_of(id)->status, "200");
        assert_string_equal(h2_reply_of(id)->grpc_status, rows[i].status);
        assert_true(h2_reply_of(id)->is_closed);
    }
    int32_t id = h2_send("POST", "/s/Call", (const struct h2_field[]){H2_GRPC_FIELDS}, 2,
                              (struct h2_call){.is_open = false});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->grpc_status, "13");  // no message at all
    assert_int_equal(h2.bodies.len, 0);
    assert_string_equal(h2_reply_of(id)->accept, "identity,gzip,deflate,zstd");
}

static void timeouts_become_deadlines(void **state)
{
    (void)state;
    const struct h2_field good[] = {H2_GRPC_FIELDS, {"grpc-timeout", "5S"}};
    const struct h2_field bad[] = {H2_GRPC_FIELDS, {"grpc-timeout", "5 seconds"}};
    struct h2_call call = {.body = BYTES_LITERAL("\0\0\0\0\0")};
    int32_t first = h2_send("POST", "/s/Call", good, 3, call);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(first)->grpc_status, "0");
    assert_int_equal(h2.last_deadline_ns, UINT64_C(5000000000));
    int32_t second = h2_send("POST", "/s/Call", bad, 3, call);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(second)->grpc_status, "13");
}

static void early_reply_arrives_before_the_stream_is_reset(void **state)
{
    (void)state;
    const struct h2_field fields[] = {H2_GRPC_FIELDS};
    int32_t id = h2_send("POST", "/s/Deny", fields, 2,
                              (struct h2_call){.body = BYTES_LITERAL("\0\0\0\0\5ab"),
                                               .is_open = true});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->grpc_status, "12");
    assert_false(h2_reply_of(id)->is_reset);
    assert_true(http2_sweep(&h2.http2, UINT64_C(2000000000)));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_true(h2_reply_of(id)->is_reset);
    assert_int_equal(h2_reply_of(id)->error_code, NGHTTP2_NO_ERROR);
    assert_true(http2_is_idle(&h2.http2));
}

static void expectation_is_met_before_the_body(void **state)
{
    (void)state;
    const struct h2_field fields[] = {{"expect", "100-continue"}};
    int32_t id = h2_send("POST", "/s/Call", fields, 1, (struct h2_call){.is_open = true});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "100");
    h2.calls[id / 2].body = BYTES_LITERAL("abc");
    h2.calls[id / 2].is_open = false;
    assert_int_equal(nghttp2_session_resume_data(h2.client, id), 0);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "200");
    assert_string_equal(buffer_text(&h2.bodies), "abc|");
}

static void declared_length_beyond_the_limit_is_refused_at_once(void **state)
{
    (void)state;
    const struct h2_field fields[] = {{"content-length", "100"}};
    int32_t id = h2_send("POST", "/s/Small", fields, 1, (struct h2_call){.is_open = true});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "413");
}

static void body_larger_than_the_windows_arrives(void **state)
{
    (void)state;
    size_t len = 5 << 20;
    uint8_t *wire = calloc(1, len + 5);
    assert_non_null(wire);
    wire[1] = (uint8_t)(len >> 24);
    wire[2] = (uint8_t)(len >> 16);
    int32_t id = h2_call_grpc("/s/Call", bytes_from(wire, len + 5));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->grpc_status, "0");
    assert_int_equal(h2.bodies.len, len + 1);
    free(wire);
}

static void refused_body_keeps_its_window_and_gives_the_connections_back(void **state)
{
    (void)state;
    uint8_t *wire = calloc(1, 3 << 20);
    assert_non_null(wire);
    for (int i = 0; i < 12; i++) {  // 12 x 1 MiB is more than the connection's window
        int32_t id = h2_send("POST", "/s/Deny", NULL, 0,
                                  (struct h2_call){.body = bytes_from(wire, 3 << 20)});
        assert_int_equal(h2_exchange(), RESULT_OK);
        assert_string_equal(h2_reply_of(id)->status, "415");
        assert_true(h2.calls[id / 2].sent <= (size_t)1 << 20);
    }
    int32_t id = h2_call_grpc("/s/Call", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->grpc_status, "0");
    free(wire);
}

static void heads_beyond_their_bounds_are_refused(void **state)
{
    (void)state;
    struct h2_field fields[REQUEST_HEADERS_MAX];
    for (int i = 0; i < REQUEST_HEADERS_MAX; i++) {
        fields[i] = (struct h2_field){"name", "value"};
    }
    int32_t id = h2_send("POST", "/s/Call", fields, REQUEST_HEADERS_MAX,
                              (struct h2_call){.is_open = false});
    static char big[9000];
    memset(big, 'a', sizeof big - 1);
    fields[0].value = big;
    int32_t second = h2_send("POST", "/s/Call", fields, 1, (struct h2_call){.is_open = false});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "431");
    assert_string_equal(h2_reply_of(second)->status, "431");
}

static void connection_that_goes_leaves_requests_to_their_handlers(void **state)
{
    (void)state;
    h2_call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    h2_send("POST", "/s/Call", NULL, 0,
                 (struct h2_call){.body = BYTES_LITERAL("half"), .is_open = true});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_int_equal(h2.http2.stream_count, 2);
    http2_fini(&h2.http2);
    assert_int_equal(h2.server.free_count, 1);
    h2_answer(h2.deferred);
    assert_int_equal(h2.server.free_count, 2);
}

static void streams_broken_off_in_a_row_end_the_connection(void **state)
{
    (void)state;
    enum result result = RESULT_OK;
    unsigned sent = 0;
    uint8_t frames[9 + 8 + 13];
    assert_int_equal(h2_exchange(), RESULT_OK);
    // POST http / by the static table, then RST_STREAM, without waiting for anything.
    static const uint8_t block[] = {0x83, 0x86, 0x84, 0x41, 1, 'h'};
    for (int32_t id = 1; id < 10000 && result == RESULT_OK && !http2_is_done(&h2.http2);
         id += 2) {
        memset(frames, 0, sizeof frames);
        frames[2] = sizeof block;
        frames[3] = NGHTTP2_HEADERS;
        frames[4] = NGHTTP2_FLAG_END_HEADERS;
        frames[7] = (uint8_t)(id >> 8);
        frames[8] = (uint8_t)id;
        memcpy(frames + 9, block, sizeof block);
        uint8_t *reset = frames + 9 + sizeof block;
        reset[2] = 4;
        reset[3] = NGHTTP2_RST_STREAM;
        reset[7] = (uint8_t)(id >> 8);
        reset[8] = (uint8_t)id;
        reset[12] = NGHTTP2_CANCEL;
        h2.routes[4].path = "/";
        h2.routes[4].admit = NULL;
        result = http2_feed(&h2.http2, bytes_from(frames, 9 + sizeof block + 13));
        assert_int_equal(http2_flush(&h2.http2), RESULT_OK);
        buffer_reset(&h2.out);
        sent++;
    }
    assert_in_range(sent, 900, 1200);
}

static void resets_after_the_reply_are_no_offence(void **state)
{
    (void)state;
    assert_int_equal(h2_exchange(), RESULT_OK);
    static const uint8_t block[] = {0x83, 0x86, 0x84, 0x41, 1, 'h'};
    h2.routes[4].path = "/";
    h2.routes[4].admit = NULL;
    for (int32_t id = 1; id < 6000; id += 2) {
        uint8_t frames[9 + sizeof block + 13] = {0};
        frames[2] = sizeof block;
        frames[3] = NGHTTP2_HEADERS;
        frames[4] = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM;
        frames[7] = (uint8_t)(id >> 8);
        frames[8] = (uint8_t)id;
        memcpy(frames + 9, block, sizeof block);
        assert_int_equal(http2_feed(&h2.http2, bytes_from(frames, 9 + sizeof block)),
                         RESULT_OK);
        assert_int_equal(http2_flush(&h2.http2), RESULT_OK);
        uint8_t reset[13] = {0, 0, 4, NGHTTP2_RST_STREAM};
        memcpy(reset + 7, frames + 7, 2);
        reset[12] = NGHTTP2_STREAM_CLOSED;
        assert_int_equal(http2_feed(&h2.http2, bytes_from(reset, sizeof reset)), RESULT_OK);
        buffer_reset(&h2.out);
    }
    assert_false(http2_is_done(&h2.http2));
}

static void drain_lets_calls_finish(void **state)
{
    (void)state;
    int32_t id = h2_call_grpc("/s/Later", BYTES_LITERAL("\0\0\0\0\0"));
    assert_int_equal(h2_exchange(), RESULT_OK);
    http2_drain_notice(&h2.http2);
    http2_drain_notice(&h2.http2);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_int_equal(h2.goaways, 1);
    assert_int_equal(h2.goaway_last, INT32_MAX);
    http2_drain_goaway(&h2.http2);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_int_equal(h2.goaways, 2);
    assert_int_equal(h2.goaway_last, id);
    assert_false(http2_is_idle(&h2.http2));
    h2_answer(h2.deferred);
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->grpc_status, "0");
    assert_true(http2_is_idle(&h2.http2));
}

static void garbage_is_refused(void **state)
{
    (void)state;
    assert_int_equal(http2_feed(&h2.http2, BYTES_LITERAL("GET / HTTP/1.1\r\n\r\n........")),
                     RESULT_REJECT);
}

static void silent_bodies_are_refused_by_the_sweep(void **state)
{
    (void)state;
    int32_t id = h2_send("POST", "/s/Call", NULL, 0,
                              (struct h2_call){.body = BYTES_LITERAL("half"), .is_open = true});
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_true(http2_sweep(&h2.http2, UINT64_C(1000000000)));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "");
    assert_true(http2_sweep(&h2.http2, UINT64_C(31000000000)));
    assert_int_equal(h2_exchange(), RESULT_OK);
    assert_string_equal(h2_reply_of(id)->status, "408");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, h2_set_up, h2_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(request_is_answered_beside_calls),
        ROW(malformed_calls_get_their_status),
        ROW(timeouts_become_deadlines),
        ROW(early_reply_arrives_before_the_stream_is_reset),
        ROW(expectation_is_met_before_the_body),
        ROW(declared_length_beyond_the_limit_is_refused_at_once),
        ROW(body_larger_than_the_windows_arrives),
        ROW(refused_body_keeps_its_window_and_gives_the_connections_back),
        ROW(heads_beyond_their_bounds_are_refused),
        ROW(connection_that_goes_leaves_requests_to_their_handlers),
        ROW(streams_broken_off_in_a_row_end_the_connection),
        ROW(resets_after_the_reply_are_no_offence),
        ROW(drain_lets_calls_finish),
        ROW(garbage_is_refused),
        ROW(silent_bodies_are_refused_by_the_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
