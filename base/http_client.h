// SPDX-License-Identifier: Apache-2.0
// HTTP client on a loop: libcurl's multi interface driven by base/loop. HTTP/1.1 with keep-alive,
// HTTP/2 where TLS ALPN offers it; never h2c (libcurl 7.88 breaks it on reuse). Request bodies are
// borrowed until the callback; response bodies and headers are capped. Proxy variables are honoured
// as libcurl does; loopback is exempt unless http_client_config.proxy_url says otherwise. No
// redirects are followed, no cookies are kept. All functions on the loop's thread. The process
// must ignore SIGPIPE. The only file that includes curl.
#pragma once

#include "base/http_url.h"
#include "base/loop.h"
#include "base/tls_client.h"

#define HTTP_HEADER_BYTES_MAX ((size_t)64 << 10)  // of a response, interim ones included
#define HTTP_RETRY_AFTER_NS_MAX (UINT64_C(3600) * 1000000000)

struct http_client;

struct http_client_config {
    const char *user_agent;               // NULL: none
    int64_t connections_max;              // in all and per host; default 8
    int64_t idle_timeout_ns;              // kept connections are closed after; default 90 s
    size_t response_bytes_max;            // default 4 MiB
    const struct tls_client_config *tls;  // borrowed until new returns; may be NULL
    struct bytes proxy_url;               // empty: from the environment
    bool http2;                           // offer h2 by ALPN
    struct bytes unix_socket;             // not empty: connect to this path whatever the URL says
};

struct http_header {
    const char *name, *value;  // a line feed in one fails the request
};

// Takes a response as it comes; response.body is then empty and response_bytes_max does not count.
// All called before `done`, never after http_client_cancel. None may send, cancel or resume.
struct http_reader {
    void (*begin)(void *arg);  // a head begins; what came before it was of an interim response
    void (*field)(void *arg, struct bytes name, struct bytes value);  // also of trailers
    void (*head)(void *arg, int status);  // the final head is complete
    // Part of the body, transfer coding undone, content coding not. False: takes nothing now; the
    // same bytes come again after http_client_resume.
    bool (*data)(void *arg, struct bytes part);
};

struct http_request {    // all borrowed until `done` is called
    const char *method;  // "POST", "GET", ...
    const char *url;
    const struct http_header *headers;
    size_t header_count;
    struct bytes body;    // sent with every method but GET and HEAD
    uint64_t timeout_ns;  // whole transfer, waiting for a connection included
    const struct http_reader *reader;  // NULL: the body is kept whole
    // Somebody else's request: the path goes as it stands, no field is added but Host and
    // Content-Length, and it is not sent a second time where a kept connection proves to be dead.
    bool is_passed_on;
};

struct http_response {  // valid during the callback
    // OK: a status line and body arrived, whatever the status. RETRY: connection, time-out or
    // protocol failure. TOO_LARGE: response beyond a cap. FAIL: bad URL or header, certificate
    // refused. STOP: the client was freed.
    enum result result;
    const char *error;  // sentence when result is not OK
    int status;         // 0 when no status line arrived
    struct bytes body;
    struct bytes content_type;  // empty when absent
    bool has_retry_after;
    uint64_t retry_after_ns;  // both forms (RFC 9110 10.2.3), from now on; at most 1 h
    uint64_t elapsed_ns;
};
typedef void (*http_done_fn)(void *arg, const struct http_response *response);

struct http_call;  // one request in flight

// RESULT_FAIL: bad TLS material or proxy, with a sentence in `why`.
enum result http_client_new(struct loop *loop, const struct http_client_config *config,
                            struct http_client **client, char *why, size_t why_len) MUST_USE;
// Calls `done` with RESULT_STOP for what is in flight. Allowed inside `done`. Accepts NULL.
void http_client_free(struct http_client *client);
// Starts a request; `done` is called exactly once, from the loop, never from inside this call. The
// call is gone when `done` is entered. `done` may send and cancel.
struct http_call *http_client_send(struct http_client *client, const struct http_request *request,
                                   http_done_fn done, void *arg);
void http_client_cancel(struct http_client *client, struct http_call *call);  // no `done`
// Asks a reader that has refused data again, some of it from inside this call; also calls `done` of
// whatever has ended. Not from within callbacks of a client.
void http_client_resume(struct http_client *client, struct http_call *call);
size_t http_client_in_flight(const struct http_client *client);
