// SPDX-License-Identifier: Apache-2.0
//
// The otlp receiver as a whole: hostile bodies, large ones beside small ones, clients that vanish,
// memory that runs out, TLS, the drain. Everything over loopback against the receiver's threads.
#include "receiver/otlp_receiver.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "receiver/receivers.h"
#include "tests/unit/certificate.h"
#include "tests/unit/otlp_peer.h"

#define BOTH_YAML                                                                                  \
    "{protocols: {grpc: {endpoint: 'localhost:0'}, http: {endpoint: 'localhost:0'}}}"
#define ALL_SIGNALS 7u
#define TRACE_CALL  "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define PROTOBUF    "Content-Type: application/x-protobuf\r\n"
#define JSON        "Content-Type: application/json\r\n"
#define GZIP        "Content-Encoding: gzip\r\n"
#define MIB         ((size_t)1 << 20)

static struct peer peer;
static struct buffer request;

static int set_up(void **state)
{
    (void)state;
    peer_start(&peer, BOTH_YAML, ALL_SIGNALS, 0);
    buffer_init(&request, 64 << 20);
    make_request(&request, 3, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&request);
    peer_stop(&peer);
    return 0;
}

static int post(const char *fields, struct bytes body)
{
    struct http_reply reply = http_once(peer.http_port, "/v1/traces", fields, body);
    buffer_fini(&reply.body);
    return reply.status;
}

static struct buffer packed(enum codec codec, struct bytes plain)
{
    struct buffer out;
    struct compressor *compressor = compressor_new();
    buffer_init(&out, 64 << 20);
    assert_int_equal(codec_deflate(compressor, codec, &plain, 1, &out), RESULT_OK);
    compressor_free(compressor);
    return out;
}

// Waits for a condition that another thread brings about.
#define AWAIT(condition)                                                                           \
    for (int turns = 0; turns < 20000 && !(condition); turns++) {                                  \
        (void)poll(NULL, 0, 1);                                                                    \
    }                                                                                              \
    assert_true(condition)

static void lying_isize_costs_nothing(void **state)
{
    (void)state;
    struct buffer body = packed(CODEC_GZIP, buffer_view(&request));
    static const uint8_t lies[][4] = {{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {1, 0, 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        memcpy(body.ptr + body.len - 4, lies[i], 4);
        assert_int_equal(post(PROTOBUF GZIP, buffer_view(&body)), 400);
    }
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
    buffer_fini(&body);
}

static void all_members_are_taken_or_none(void **state)
{
    (void)state;
    struct buffer body = packed(CODEC_GZIP, buffer_view(&request));
    struct buffer two;
    buffer_init(&two, MIB);
    buffer_append_bytes(&two, buffer_view(&body));
    buffer_append_bytes(&two, buffer_view(&body));
    assert_int_equal(post(PROTOBUF GZIP, buffer_view(&two)), 200);
    assert_int_equal(peer.fake.last_body.len, 2 * request.len);
    buffer_append_byte(&two, 'x');
    assert_int_equal(post(PROTOBUF GZIP, buffer_view(&two)), 400);
    two.ptr[body.len + 12] ^= 0x40;
    assert_int_equal(post(PROTOBUF GZIP, bytes_slice(buffer_view(&two), 0, two.len - 1)), 400);
    assert_int_equal(atomic_load(&peer.fake.offers), 1);
    buffer_fini(&two);
    buffer_fini(&body);
}

static void wide_zstd_window_is_refused(void **state)
{
    (void)state;
    size_t len = 40 << 10, room = ZSTD_compressBound(len);
    uint8_t *plain = calloc(1, len), *body = malloc(room);
    assert_true(plain && body);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);  // 128 MiB
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    ZSTD_inBuffer in = {plain, len, 0};
    ZSTD_outBuffer out = {body, room, 0};
    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush)));
    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end)));
    assert_int_equal(post(PROTOBUF "Content-Encoding: zstd\r\n", bytes_from(body, out.pos)), 400);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
    ZSTD_freeCCtx(context);
    free(plain);
    free(body);
}

static void bombs_stop_at_the_ceiling(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD};
    uint8_t *zeros = calloc(1, 60 * MIB);
    assert_non_null(zeros);
    for (size_t i = 0; i < 3; i++) {
        char fields[128];
        struct buffer body = packed(codecs[i], bytes_from(zeros, 60 * MIB));
        snprintf(fields, sizeof fields, PROTOBUF "Content-Encoding: %s\r\n", codec_name(codecs[i]));
        assert_true(body.len < MIB);
        assert_int_equal(post(fields, buffer_view(&body)), 413);
        buffer_fini(&body);
    }
    free(zeros);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
}

static void large_bodies_arrive_whole(void **state)
{
    (void)state;
    buffer_reset(&request);
    make_request(&request, 7, 600000);
    assert_int_equal(post(PROTOBUF, buffer_view(&request)), 200);
    assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
    struct buffer body = packed(CODEC_GZIP, buffer_view(&request));
    buffer_reset(&peer.fake.last_body);
    assert_int_equal(post(PROTOBUF GZIP, buffer_view(&body)), 200);
    assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
    buffer_fini(&body);
    struct buffer wire;
    struct grpc_reply reply;
    buffer_init(&wire, 64 << 20);
    grpc_frame_message(&wire, false, buffer_view(&request));
    struct grpc_client *client = grpc_open(stream_open(peer.grpc_port));
    buffer_reset(&peer.fake.last_body);
    for (int i = 0; i < 3; i++) {
        assert_true(grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &reply));
        assert_int_equal(reply.grpc_status, 0);
    }
    assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
    grpc_close(&client);
    buffer_fini(&wire);
}

// 20 MiB of OTLP/JSON: empty spans, which make much work of few bytes.
static struct buffer large_json(void)
{
    static const char head[] = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[";
    static const char span[] = "{\"name\":\"chat\",\"kind\":3},";
    static const char tail[] = "{}]}]}]}";
    struct buffer json;
    buffer_init(&json, 20 * MIB);
    buffer_append_text(&json, head);
    while (json.len + sizeof span + sizeof tail < 20 * MIB - 1024) {
        buffer_append_text(&json, span);
    }
    buffer_append_text(&json, tail);
    assert_int_equal(buffer_status(&json), RESULT_OK);
    return json;
}

static void slow_large_json_does_not_delay_small_requests(void **state)
{
    (void)state;
    struct buffer json = large_json();
    peer.fake.hold_bytes = MIB;
    atomic_store(&peer.fake.is_held, true);
    struct stream slow = stream_open(peer.http_port);
    http_post(&slow, "/v1/traces", JSON, buffer_view(&json));
    struct stream quick = stream_open(peer.http_port);
    for (int i = 0; i < 1000; i++) {
        struct http_reply reply;
        http_post(&quick, "/v1/traces", PROTOBUF, buffer_view(&request));
        http_read(&quick, &reply);
        assert_int_equal(reply.status, 200);
        buffer_fini(&reply.body);
    }
    AWAIT(atomic_load(&peer.fake.waiting) == 1);  // all 1,000 were answered while this one was not
    assert_int_equal(atomic_load(&peer.fake.offers), 1000);
    atomic_store(&peer.fake.is_held, false);
    struct http_reply reply;
    http_read(&slow, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(buffer_text(&reply.body), "{\"partialSuccess\":{}}");
    buffer_fini(&reply.body);
    stream_close(&slow);
    stream_close(&quick);
    buffer_fini(&json);
}

static void replies_leave_in_request_order(void **state)
{
    (void)state;
    struct buffer large;
    buffer_init(&large, 4 * MIB);
    make_request(&large, 1, MIB);
    peer.fake.hold_bytes = MIB / 2;
    atomic_store(&peer.fake.is_held, true);
    struct stream stream = stream_open(peer.http_port);
    http_post(&stream, "/v1/traces", PROTOBUF, buffer_view(&large));
    http_post(&stream, "/v1/traces", JSON, BYTES_LITERAL("{\"resourceSpans\":[{}]}"));
    http_post(&stream, "/nowhere", PROTOBUF, BYTES_NONE);
    AWAIT(atomic_load(&peer.fake.waiting) == 1);
    atomic_store(&peer.fake.is_held, false);
    static const int statuses[] = {200, 200, 404};
    for (int i = 0; i < 3; i++) {
        struct http_reply reply;
        http_read(&stream, &reply);
        assert_int_equal(reply.status, statuses[i]);
        assert_int_equal(strstr(reply.head, "application/json") != NULL, i == 1);
        buffer_fini(&reply.body);
    }
    stream_close(&stream);
    buffer_fini(&large);
}

static void client_may_vanish_while_a_worker_has_its_body(void **state)
{
    (void)state;
    struct buffer large, wire;
    struct grpc_field none[] = {{"x", "y"}};
    buffer_init(&large, 4 * MIB);
    buffer_init(&wire, 4 * MIB);
    make_request(&large, 1, MIB);
    grpc_frame_message(&wire, false, buffer_view(&large));
    peer.fake.hold_bytes = MIB / 2;
    atomic_store(&peer.fake.is_held, true);
    struct stream http = stream_open(peer.http_port);
    http_post(&http, "/v1/traces", PROTOBUF, buffer_view(&large));
    AWAIT(atomic_load(&peer.fake.waiting) == 1);
    stream_close(&http);
    struct stream grpc = stream_open(peer.grpc_port);
    struct timeval brief = {.tv_usec = 50000};
    setsockopt(grpc.fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief);
    struct grpc_client *client = grpc_open(grpc);
    struct grpc_reply reply;
    assert_false(grpc_call(client, TRACE_CALL, none, 1, buffer_view(&wire), &reply));
    grpc_close(&client);
    AWAIT(atomic_load(&peer.fake.waiting) == 2);
    atomic_store(&peer.fake.is_held, false);
    AWAIT(atomic_load(&peer.fake.offers) == 2);
    assert_int_equal(post(PROTOBUF, buffer_view(&request)), 200);
    buffer_fini(&large);
    buffer_fini(&wire);
}

static void client_may_vanish_mid_body(void **state)
{
    (void)state;
    static const char half[] = "POST /v1/traces HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n"
                               PROTOBUF "\r\nhalf";
    for (int i = 0; i < 20; i++) {
        struct stream stream = stream_open(peer.http_port);
        stream_put(&stream, half, sizeof half - 1);
        stream_close(&stream);
    }
    assert_int_equal(post(PROTOBUF, buffer_view(&request)), 200);
    AWAIT(metrics_sum("sidejudge_receiver_connections") == 0);
    assert_int_equal(atomic_load(&peer.fake.offers), 1);
}

static void stop_with_bodies_at_workers_is_clean(void **state)
{
    (void)state;
    struct buffer json = large_json();
    struct stream streams[6];
    peer.fake.hold_bytes = MIB;  // the sink does not look at bodies that come side by side
    for (int i = 0; i < 6; i++) {
        streams[i] = stream_open(peer.http_port);
        http_post(&streams[i], "/v1/traces", JSON, buffer_view(&json));
    }
    peer_stop(&peer);
    for (int i = 0; i < 6; i++) {
        stream_close(&streams[i]);
    }
    peer_start(&peer, BOTH_YAML, ALL_SIGNALS, 0);
    buffer_fini(&json);
}

static void chunked_and_continue_reach_the_sink(void **state)
{
    (void)state;
    char wire[512];
    struct http_reply reply;
    struct stream stream = stream_open(peer.http_port);
    int len = snprintf(wire, sizeof wire,
                       "POST /v1/traces HTTP/1.1\r\nHost: h\r\n" JSON
                       "Transfer-Encoding: chunked\r\n\r\n12\r\n{\"resourceSpans\":[\r\n"
                       "4\r\n{}]}\r\n0\r\n\r\n");
    stream_put(&stream, wire, (size_t)len);
    http_read(&stream, &reply);
    assert_int_equal(reply.status, 200);
    buffer_fini(&reply.body);
    len = snprintf(wire, sizeof wire,
                   "POST /v1/traces HTTP/1.1\r\nHost: h\r\n" PROTOBUF
                   "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n", request.len);
    stream_put(&stream, wire, (size_t)len);
    http_read(&stream, &reply);
    assert_int_equal(reply.status, 100);
    buffer_fini(&reply.body);
    stream_put(&stream, request.ptr, request.len);
    http_read(&stream, &reply);
    assert_int_equal(reply.status, 200);
    buffer_fini(&reply.body);
    stream_close(&stream);
    assert_int_equal(atomic_load(&peer.fake.offers), 2);
}

static void oversize_is_413_on_both_ways(void **state)
{
    (void)state;
    size_t len = 20 * MIB + 1;
    uint8_t *body = calloc(1, len);
    assert_non_null(body);
    assert_int_equal(post(PROTOBUF, bytes_from(body, len)), 413);
    struct buffer wire;
    struct grpc_reply reply;
    buffer_init(&wire, 64 << 20);
    grpc_frame_message(&wire, false, bytes_from(body, len));
    struct grpc_client *client = grpc_open(stream_open(peer.grpc_port));
    assert_true(grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &reply));
    assert_int_equal(reply.grpc_status, 8);
    grpc_close(&client);
    buffer_fini(&wire);
    free(body);
}

static void limits_follow_the_memory_cap(void **state)
{
    (void)state;
    peer_stop(&peer);
    peer_start(&peer, BOTH_YAML, ALL_SIGNALS, 8 * MIB);  // a quarter is 2 MiB
    uint8_t *body = calloc(1, 3 * MIB);
    assert_non_null(body);
    assert_int_equal(post(PROTOBUF, bytes_from(body, 2 * MIB + 1)), 413);
    // Half-received bodies hold what memory there is: 35 % of 8 MiB.
    static const char head[] = "POST /v1/traces HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n"
                               PROTOBUF "\r\n";
    struct stream streams[4];
    for (int i = 0; i < 4; i++) {
        streams[i] = stream_open(peer.http_port);
        stream_put(&streams[i], head, sizeof head - 1);
        stream_put(&streams[i], body, 900000);
    }
    AWAIT(account_refused(peer.account, POOL_REQUESTS) > 0);
    struct http_reply reply = http_once(peer.http_port, "/v1/traces", PROTOBUF,
                                        bytes_from(body, 1500000));
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.head, "Retry-After: 1\r\n"));
    buffer_fini(&reply.body);
    for (int i = 0; i < 4; i++) {
        stream_close(&streams[i]);
    }
    AWAIT(account_used(peer.account, POOL_REQUESTS) == 0);
    assert_int_equal(post(PROTOBUF, buffer_view(&request)), 200);
    account_set_refuse(peer.account, true);
    assert_int_equal(post(PROTOBUF, buffer_view(&request)), 503);
    struct buffer wire;
    struct grpc_reply grpc;
    buffer_init(&wire, MIB);
    grpc_frame_message(&wire, false, buffer_view(&request));
    struct grpc_client *client = grpc_open(stream_open(peer.grpc_port));
    assert_true(grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &grpc));
    assert_int_equal(grpc.grpc_status, 14);
    assert_true(grpc.details[0] != '\0');
    grpc_close(&client);
    account_set_refuse(peer.account, false);
    buffer_fini(&wire);
    free(body);
}

// PEM as a double-quoted YAML scalar.
static void append_quoted(struct buffer *out, const char *pem)
{
    buffer_append_byte(out, '"');
    for (const char *at = pem; *at; at++) {
        if (*at == '\n') {
            buffer_append_text(out, "\\n");
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
    }
    buffer_append_byte(out, '"');
}

// `more`: further keys of the tls section, each after a comma.
static void start_with_tls(const char *more)
{
    struct certificate certificate;
    struct buffer yaml;
    peer_stop(&peer);
    certificate_make(&certificate);
    buffer_init(&yaml, 1 << 16);
    buffer_append_text(&yaml, "{protocols: {grpc: {endpoint: 'localhost:0', tls: {cert_pem: ");
    append_quoted(&yaml, certificate.cert);
    buffer_append_text(&yaml, ", key_pem: ");
    append_quoted(&yaml, certificate.key);
    buffer_append_text(&yaml, more);
    buffer_append_text(&yaml, "}}}}");
    peer_start(&peer, buffer_text(&yaml), ALL_SIGNALS, 0);
    buffer_fini(&yaml);
}

static void alpn_decides_between_h2_and_http1(void **state)
{
    (void)state;
    start_with_tls("");
    struct buffer wire;
    struct grpc_reply reply;
    struct http_reply http;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    buffer_init(&wire, MIB);
    grpc_frame_message(&wire, false, buffer_view(&request));
    struct grpc_client *client = grpc_open(stream_open_tls(peer.grpc_port, context, "\x02h2"));
    for (int i = 0; i < 3; i++) {
        assert_true(grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &reply));
        assert_int_equal(reply.grpc_status, 0);
    }
    grpc_close(&client);
    static const char *const alpns[] = {"\x08http/1.1", ""};
    for (int i = 0; i < 2; i++) {
        struct stream stream = stream_open_tls(peer.grpc_port, context, alpns[i]);
        for (int k = 0; k < 2; k++) {
            http_post(&stream, "/v1/traces", PROTOBUF, buffer_view(&request));
            http_read(&stream, &http);
            assert_int_equal(http.status, 200);
            buffer_fini(&http.body);
        }
        stream_close(&stream);
    }
    struct stream both = stream_open_tls(peer.grpc_port, context, "\x08http/1.1\x02h2");
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(both.ssl, &chosen, &len);
    assert_int_equal(len, 2);  // h2 is preferred
    stream_close(&both);
    assert_int_equal(stream_open_tls(peer.grpc_port, context, "\x03smb").fd, -1);
    SSL_CTX_free(context);
    buffer_fini(&wire);
}

static void large_bodies_pass_through_tls(void **state)
{
    (void)state;
    start_with_tls("");
    struct http_reply reply;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    buffer_reset(&request);
    make_request(&request, 1, 3 * MIB);
    struct stream stream = stream_open_tls(peer.grpc_port, context, "\x08http/1.1");
    http_post(&stream, "/v1/traces", PROTOBUF, buffer_view(&request));
    http_post(&stream, "/v1/traces", PROTOBUF, buffer_view(&request));
    for (int i = 0; i < 2; i++) {
        http_read(&stream, &reply);
        assert_int_equal(reply.status, 200);
        buffer_fini(&reply.body);
    }
    assert_true(bytes_equal(buffer_view(&peer.fake.last_body), buffer_view(&request)));
    stream_close(&stream);
    SSL_CTX_free(context);
}

static void clients_must_show_a_certificate_where_a_ca_is_named(void **state)
{
    (void)state;
    char directory[] = "/tmp/sidejudge-ca-XXXXXX", path[64], field[128];
    struct certificate client, stranger;
    struct http_reply reply;
    certificate_make(&client);
    certificate_make(&stranger);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/ca", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(client.cert, file) >= 0);
    assert_int_equal(fclose(file), 0);
    snprintf(field, sizeof field, ", client_ca_file: %s", path);
    start_with_tls(field);
    const struct certificate *const shown[] = {NULL, &stranger, &client};
    for (int i = 0; i < 3; i++) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        if (shown[i]) {
            certificate_use(shown[i], context);
        }
        struct stream stream = stream_open_tls(peer.grpc_port, context, "\x08http/1.1");
        int status = 0;
        if (stream.fd >= 0) {  // with TLS 1.3 the refusal comes with the first read
            http_post(&stream, "/v1/traces", PROTOBUF, buffer_view(&request));
            http_read(&stream, &reply);
            status = reply.status;
            buffer_fini(&reply.body);
            stream_close(&stream);
        }
        assert_int_equal(status, shown[i] == &client ? 200 : 0);
        SSL_CTX_free(context);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void plain_text_on_a_tls_port_is_ended(void **state)
{
    (void)state;
    start_with_tls("");
    struct http_reply reply = http_once(peer.grpc_port, "/v1/traces", PROTOBUF, BYTES_NONE);
    assert_int_equal(reply.status, 0);
    assert_true(reply.has_ended);
    buffer_fini(&reply.body);
}

static void drain_runs(void *arg)
{
    struct receiver *receiver = arg;
    otlp_receiver.drain(receiver, clock_mono_ns() + 20 * NS_PER_S);
}

static void drain_answers_what_is_in_flight(void **state)
{
    (void)state;
    struct buffer large;
    struct grpc_reply reply;
    struct thread thread = {0};
    buffer_init(&large, 4 * MIB);
    make_request(&large, 1, MIB);
    struct grpc_client *client = grpc_open(stream_open(peer.grpc_port));
    struct buffer wire;
    buffer_init(&wire, MIB);
    grpc_frame_message(&wire, false, buffer_view(&request));
    assert_true(grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &reply));
    struct stream idle = stream_open(peer.http_port);
    peer.fake.hold_bytes = MIB / 2;
    atomic_store(&peer.fake.is_held, true);
    struct stream busy = stream_open(peer.http_port);
    http_post(&busy, "/v1/traces", PROTOBUF, buffer_view(&large));
    AWAIT(atomic_load(&peer.fake.waiting) == 1);
    assert_int_equal(thread_start(&thread, "drain", drain_runs, peer.receiver), RESULT_OK);
    char byte;
    assert_int_equal(stream_get(&idle, &byte, 1), 0);  // idle ones are ended at once
    assert_false(grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &reply) &&
                 grpc_goaways(client) == 0);
    atomic_store(&peer.fake.is_held, false);
    struct http_reply http;
    http_read(&busy, &http);
    assert_int_equal(http.status, 200);
    assert_non_null(strstr(http.head, "Connection: close\r\n"));
    buffer_fini(&http.body);
    stream_close(&busy);
    stream_close(&idle);
    grpc_close(&client);
    thread_join(&thread);
    buffer_fini(&large);
    buffer_fini(&wire);
}

static void several_io_threads_share_the_ports(void **state)
{
    (void)state;
    peer_stop(&peer);
    peer_processors_max = 12;
    peer_start(&peer, BOTH_YAML, ALL_SIGNALS, 0);
    peer_processors_max = 2;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(post(PROTOBUF, buffer_view(&request)), 200);
    }
    assert_int_equal(atomic_load(&peer.fake.offers), 40);
    otlp_receiver.drain(peer.receiver, clock_mono_ns() + 20 * NS_PER_S);
    assert_true(metrics_sum("sidejudge_receiver_connections") == 0);
}

static void aged_connections_are_told_to_go(void **state)
{
    (void)state;
    peer_stop(&peer);
    peer_start(&peer,
               "{protocols: {grpc: {endpoint: 'localhost:0', keepalive: {server_parameters: "
               "{max_connection_age: 50ms}}}}}", ALL_SIGNALS, 0);
    struct buffer wire;
    struct grpc_reply reply;
    buffer_init(&wire, MIB);
    grpc_frame_message(&wire, false, buffer_view(&request));
    struct grpc_client *client = grpc_open(stream_open(peer.grpc_port));
    bool has_ended = false;
    for (int i = 0; i < 20000 && !has_ended; i++) {
        // A call that crosses the GOAWAY is one that its client may repeat elsewhere.
        has_ended = !grpc_call(client, TRACE_CALL, NULL, 0, buffer_view(&wire), &reply) ||
                    reply.grpc_status == -1;
        assert_true(has_ended || reply.grpc_status == 0);
    }
    assert_true(has_ended);
    assert_true(grpc_goaways(client) > 0);
    grpc_close(&client);
    buffer_fini(&wire);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(lying_isize_costs_nothing),
        ROW(all_members_are_taken_or_none),
        ROW(wide_zstd_window_is_refused),
        ROW(bombs_stop_at_the_ceiling),
        ROW(large_bodies_arrive_whole),
        ROW(slow_large_json_does_not_delay_small_requests),
        ROW(replies_leave_in_request_order),
        ROW(client_may_vanish_while_a_worker_has_its_body),
        ROW(client_may_vanish_mid_body),
        ROW(stop_with_bodies_at_workers_is_clean),
        ROW(chunked_and_continue_reach_the_sink),
        ROW(oversize_is_413_on_both_ways),
        ROW(limits_follow_the_memory_cap),
        ROW(alpn_decides_between_h2_and_http1),
        ROW(large_bodies_pass_through_tls),
        ROW(clients_must_show_a_certificate_where_a_ca_is_named),
        ROW(plain_text_on_a_tls_port_is_ended),
        ROW(drain_answers_what_is_in_flight),
        ROW(several_io_threads_share_the_ports),
        ROW(aged_connections_are_told_to_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
