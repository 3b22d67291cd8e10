// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as an HTTP/1.1 connection, fed in portions that the first byte chooses. What must hold
 * besides memory safety: never more is taken than was given, a closed connection takes nothing,
 * every handled request was answered, and the portions do not matter: the same bytes in one piece
 * lead to the same replies (which is what request smuggling would break).
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receiver/http1.h"
#include "receiver/server_state.h"

#define OUT_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct server server;
    struct http1 http1;
    struct buffer out;
    unsigned handled;
};

static struct run *current;

static void handle(struct request *request)
{
    current->handled++;
    request_reply(request, &(struct response){.status = 200,
                                              .content_type = "application/json",
                                              .body = bytes_from(request->body.ptr,
                                                                 request->body.len)});
}

static bool deny(struct request *request)
{
    request_reply_text(request, 415, 12, "no");
    return false;
}

static const struct http_route routes[] = {
    {.method = "POST", .path = "/v1/traces", .protocols = REQUEST_ANY_HTTP, .body_max = 4096,
     .handle = handle},
    {.method = "POST", .path = "/d", .protocols = REQUEST_ANY_HTTP, .body_max = 4096,
     .handle = handle, .admit = deny},
    {.method = "GET", .path = "/g/*", .protocols = REQUEST_ANY_HTTP, .handle = handle},
};

static void run_begin(struct run *run)
{
    memset(run, 0, sizeof *run);
    server_init_core(&run->server, &(struct server_config){.head_bytes_max = 2048});
    run->server.routes = routes;
    run->server.route_count = sizeof routes / sizeof routes[0];
    buffer_init(&run->out, OUT_MAX);
    http1_init(&run->http1, &run->server, &run->out, NULL, NULL);
    current = run;
}

static void run_end(struct run *run)
{
    http1_fini(&run->http1);
    server_fini_core(&run->server);
    buffer_fini(&run->out);
}

static void run_feed(struct run *run, struct bytes data, size_t step, struct buffer *sent)
{
    for (size_t at = 0; at < data.len;) {
        struct bytes portion = bytes_slice(data, at, step);
        size_t taken = http1_feed(&run->http1, portion);
        CHECK(taken <= portion.len);
        at += taken;
        buffer_append_bytes(sent, buffer_view(&run->out));
        buffer_reset(&run->out);  // the peer takes everything at once
        if (taken < portion.len && run->http1.state == HTTP1_CLOSED) {
            CHECK(http1_feed(&run->http1, portion) == 0);
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    struct buffer sent_whole, sent_cut;
    if (size == 0) {
        return 0;
    }
    struct bytes input = bytes_from(data + 1, size - 1);
    buffer_init(&sent_whole, OUT_MAX);
    buffer_init(&sent_cut, OUT_MAX);
    run_begin(&whole);
    run_feed(&whole, input, SIZE_MAX, &sent_whole);
    run_end(&whole);
    run_begin(&cut);
    run_feed(&cut, input, (size_t)data[0] % 61 + 1, &sent_cut);
    run_end(&cut);
    CHECK(whole.handled == cut.handled);
    CHECK(sent_whole.len == sent_cut.len);
    buffer_fini(&sent_whole);
    buffer_fini(&sent_cut);
    return 0;
}
