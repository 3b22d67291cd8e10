// SPDX-License-Identifier: Apache-2.0
// The server's half of HTTP/2 and an nghttp2 client in one memory: no sockets, no clock. For the
// tests of http2, http2_reply and health.
#pragma once

#include <nghttp2/nghttp2.h>

#include "receiver/http2.h"
#include "receiver/server_state.h"

#define H2_BODY_MAX    ((size_t)8 << 20)
#define H2_STREAMS_MAX 64

struct h2_reply {                 // what the client saw of one stream
    char status[8], grpc_status[8], content_type[64];
    char grpc_message[256], details[256], accept[64];
    struct buffer body;
    bool is_closed, is_reset;
    uint32_t error_code;
};

struct h2_call {                  // what the client sends
    struct bytes body;
    size_t sent;
    bool is_open;              // no END_STREAM behind the body
};

struct h2_peer {
    struct server server;
    struct http2 http2;
    struct buffer out;         // server to client
    nghttp2_session *client;
    struct h2_reply replies[H2_STREAMS_MAX];
    struct h2_call calls[H2_STREAMS_MAX];
    unsigned goaways;
    int32_t goaway_last;
    struct request *deferred;
    struct buffer bodies;
    bool last_packed;
    uint64_t last_deadline_ns;
    struct http_route routes[8];
};

struct h2_field {
    const char *name, *value;
};

#define H2_GRPC_FIELDS {"content-type", "application/grpc"}, {"te", "trailers"}

extern struct h2_peer h2;

// Routes: /s/Call answers "ok", /s/Later waits in h2.deferred, /s/Error answers 503, /s/Small takes
// 10 bytes, /s/Deny refuses at the head; and the health service.
int h2_set_up(void **state);
int h2_tear_down(void **state);
void h2_answer(struct request *request);
struct h2_reply *h2_reply_of(int32_t stream_id);
int32_t h2_send(const char *method, const char *path, const struct h2_field *fields, size_t count,
                struct h2_call call);
int32_t h2_call_grpc(const char *path, struct bytes wire);
// Moves bytes both ways until nothing moves any more.
enum result h2_exchange(void);
