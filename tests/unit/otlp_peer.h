// SPDX-License-Identifier: Apache-2.0
// A real otlp receiver in this process with a sink that only counts, and clients that talk to it
// over loopback: HTTP/1.1 on a blocking socket, gRPC on a raw nghttp2 session, both with TLS when
// asked. For the receiver's tests. Every wait is bounded by a socket timeout.
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "proto/component.h"

struct fake_sink {
    struct sink sink;             // first member
    atomic_uint offers;
    atomic_uint waiting;          // offers that wait for `is_held` to be cleared
    atomic_bool is_held;          // offers of more than hold_bytes wait
    size_t hold_bytes;
    enum result result;           // what offers are answered
    struct offer_reply reply;
    uint32_t item_count;
    enum signal last_signal;
    struct buffer last_body;      // of the last offer; read it after its reply only
    enum codec last_codec;
    size_t last_packed_bytes;
    struct metadata *last_metadata;  // a reference
    atomic_uint feedbacks;
    struct feedback last_feedback;  // written before feedbacks
};

struct peer {
    struct fake_sink fake;
    struct receiver *receiver;
    struct config *config;
    struct arena arena;
    struct buffer errors;
    void *settings;
    struct account *account;
    uint16_t grpc_port, http_port;
};

// Starts a receiver from YAML ("protocols: {...}"); ports should be 0. `signals`: set of
// 1 << signal that have a sink. cap_bytes 0: no account. Fails the test when it does not start.
extern unsigned peer_processors_max;  // of receivers started from now on; 2
extern struct authenticator *const *peer_authenticators;  // of the same; NULL
extern const struct relay_target *peer_relay;             // of the same; NULL
void peer_start(struct peer *peer, const char *yaml, unsigned signals, size_t cap_bytes);
void peer_stop(struct peer *peer);

struct stream {
    int fd;
    SSL *ssl;                     // NULL: plain
};

struct stream stream_open(uint16_t port);
// With TLS and the ALPN list `alpn` (wire form; empty: none).
struct stream stream_open_tls(uint16_t port, SSL_CTX *context, const char *alpn);
void stream_close(struct stream *stream);
void stream_put(struct stream *stream, const void *ptr, size_t len);
// Bytes, 0 at the end, -1 on an error or after 20 s.
ssize_t stream_get(struct stream *stream, void *out, size_t len);

struct http_reply {
    int status;                   // 0: the connection ended without a reply
    char head[2048];
    struct buffer body;           // buffer_fini is the caller's
    bool has_ended;               // the connection ended where another reply could begin
};

// Sends "POST path" with the fields ("Name: value\r\n" each) and the body.
void http_post(struct stream *stream, const char *path, const char *fields, struct bytes body);
// Reads one reply (100 Continue included, as a reply of its own).
void http_read(struct stream *stream, struct http_reply *reply);
// Both on a connection of its own.
struct http_reply http_once(uint16_t port, const char *path, const char *fields, struct bytes body);

struct grpc_reply {
    int http_status;
    int grpc_status;              // -1: none
    char message[512], details[1024], accept[64];
    uint8_t body[256];
    size_t body_len;
};

struct grpc_field {
    const char *name, *value;
};

struct grpc_client;
struct grpc_client *grpc_open(struct stream stream);  // takes the stream
void grpc_close(struct grpc_client **client);
// One call; waits for its end. False: the connection ended before.
bool grpc_call(struct grpc_client *client, const char *path, const struct grpc_field *fields,
               size_t field_count, struct bytes wire, struct grpc_reply *reply);
// Frames as one message; `out` must be initialised.
void grpc_frame_message(struct buffer *out, bool is_packed, struct bytes message);
unsigned grpc_goaways(const struct grpc_client *client);

// A serialised ExportTraceServiceRequest with `spans` small spans, or one with a name of
// `name_bytes` when that is not 0.
void make_request(struct buffer *out, unsigned spans, size_t name_bytes);
