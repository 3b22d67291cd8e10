// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes behind the HTTP/2 preface, as one connection with requests and gRPC calls. The first
 * byte chooses the portions and whether handlers answer at once or when the connection is over.
 * Besides memory safety: a session that refused its peer takes nothing more, no stream outlives its
 * connection, and every request that a handler had is given back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receiver/health.h"
#include "receiver/http2.h"
#include "receiver/server_state.h"

#define DEFERRED_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct server server;
static struct request *deferred[DEFERRED_MAX];
static unsigned deferred_count;
static bool is_deferring;

static void answer(struct request *request)
{
    request_reply(request, &(struct response){.status = 200,
                                              .grpc_status = request->body.len % 3 ? 3 : 0,
                                              .content_type = "application/json",
                                              .body = BYTES_LITERAL("{}"),
                                              .message = BYTES_LITERAL("why"),
                                              .details = BYTES_LITERAL("\x08\x03")});
}

static void handle(struct request *request)
{
    if (is_deferring && deferred_count < DEFERRED_MAX) {
        deferred[deferred_count++] = request;
        return;
    }
    answer(request);
}

static void feed(const uint8_t *data, size_t size, size_t step)
{
    struct http2 http2;
    struct buffer out;
    buffer_init(&out, (size_t)64 << 20);
    CHECK(http2_init(&http2, &server, &out, NULL, NULL) == RESULT_OK);
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    enum result result = http2_feed(&http2, bytes_from(preface, sizeof preface - 1));
    CHECK(result == RESULT_OK);
    for (size_t at = 0; at < size && result == RESULT_OK; at += step) {
        result = http2_feed(&http2, bytes_slice(bytes_from(data, size), at, step));
        while (result == RESULT_OK && http2_flush(&http2) == RESULT_OK && out.len > 0) {
            buffer_reset(&out);
        }
    }
    if (result == RESULT_OK && size % 2 == 0) {
        http2_drain_notice(&http2);
        http2_drain_goaway(&http2);
        (void)http2_sweep(&http2, UINT64_C(100000000000));
        (void)!http2_flush(&http2);
    }
    http2_fini(&http2);
    CHECK(http2.stream_count == 0);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_route routes[2 + HEALTH_ROUTES] = {
        {.path = "/", .protocols = REQUEST_ANY_HTTP | REQUEST_ONLY_GRPC, .body_max = 4096,
         .handle = handle},
        {.path = "/s/Call", .protocols = REQUEST_ANY_HTTP | REQUEST_ONLY_GRPC, .body_max = 4096,
         .handle = handle},
    };
    if (size == 0) {
        return 0;
    }
    health_routes(routes + 2);
    server_init_core(&server, &(struct server_config){.head_bytes_max = 2048});
    server.routes = routes;
    server.route_count = sizeof routes / sizeof routes[0];
    is_deferring = data[0] & 0x80;
    feed(data + 1, size - 1, (size_t)data[0] % 61 + 1);
    while (deferred_count > 0) {
        answer(deferred[--deferred_count]);
    }
    server_fini_core(&server);
    return 0;
}
