// SPDX-License-Identifier: Apache-2.0
// One HTTP request or gRPC call from its head to its reply, whatever transport it came by, and
// the routes that say who handles it. Requests are recycled by their server: a steady stream of
// them allocates nothing.
//
// Life: the transport (http1.c, http2.c) takes a request when a head begins, looks its route up,
// asks route->admit, receives the body into `body`, and calls route->handle once. The handler
// answers exactly once with request_reply, at once or later; from then on the request is not its
// own any more. It may also answer in parts: request_reply_begin, request_reply_data as there is
// room, request_reply_end. A client that goes away meanwhile only cuts the request's link to its
// transport: the late reply is then dropped. All on the server's thread; a handler may hand the
// request's memory to another thread between handle and reply.
#pragma once

#include "base/buffer.h"
#include "proto/batch.h"
#include "receiver/grpc.h"

enum request_protocol { REQUEST_HTTP1, REQUEST_HTTP2, REQUEST_GRPC };
enum {
    REQUEST_ANY_HTTP = 1 << REQUEST_HTTP1 | 1 << REQUEST_HTTP2,
    REQUEST_ONLY_GRPC = 1 << REQUEST_GRPC,
};

enum request_stage {
    REQUEST_HEAD,     // the transport fills it
    REQUEST_BODY,     // the transport receives the body
    REQUEST_HANDLED,  // the handler has it and owes the reply
    REQUEST_PARTS,    // the handler has begun to reply and owes the end
    REQUEST_REPLIED,  // the transport sends the reply
};

#define REQUEST_HEADERS_MAX   100
#define REQUEST_SCRATCH_BYTES 768

struct request;
struct server;
struct http1;
struct http2;

struct http_route {
    const char *method;    // "GET" (answers HEAD too), "POST"; NULL with gRPC, always POST
    const char *path;      // exact; one that ends in "/*" takes everything under it
    unsigned protocols;    // set of 1 << enum request_protocol
    size_t body_max;       // bytes of the body as sent; beyond: 413 / RESOURCE_EXHAUSTED
    void (*handle)(struct request *request);  // the body is complete: answer now or later
    // The head is complete, no byte of the body was kept yet. False: it has answered, and the body
    // is thrown away. Optional.
    bool (*admit)(struct request *request);
    // The transport cannot receive the body (TOO_LARGE, SHED, REJECT): must answer. NULL: plain
    // text.
    void (*refuse)(struct request *request, enum result result, const char *sentence);
    void *arg;             // the handler's own
    bool is_open;          // asked for no credential, whatever the listener's policy says
};

struct request_header {    // offsets into request->text
    uint32_t name_at, name_len;
    uint32_t value_at, value_len;
};

struct request {
    uint32_t magic;
    // What handlers read.
    enum request_protocol protocol;
    const struct http_route *route;
    struct server *server;
    uint64_t received_ns;      // loop time when the head was complete
    uint64_t deadline_ns;      // from grpc-timeout; UINT64_MAX: none
    struct slab body;          // as sent; gRPC: the message without prefix. May be moved out
    bool message_is_packed;    // gRPC: the message's compressed flag
    _Alignas(16) uint8_t scratch[REQUEST_SCRATCH_BYTES];  // the handler's, zeroed at first

    // What the transports keep.
    enum request_stage stage;
    bool head_only;            // HEAD: the reply has no body
    struct bytes method, path, query;  // into text
    struct buffer text;        // the head's bytes
    unsigned header_count;
    struct http1 *http1;       // one of both while the client is there
    struct http2 *http2;
    struct request *next, **prev;      // the server's free list, or the streams of a connection
    int32_t stream_id;         // HTTP/2
    // Set by a handler that answers in parts or waits long: called when there is room for more, and
    // when the client has gone (request_is_alone). Must not be answered from within: the handler
    // does what it likes but give the request back twice. Optional.
    void (*notify)(struct request *request);
    bool in_parts;             // HTTP/2: the body is not complete yet
    uint64_t parts_left;       // HTTP/2: bytes of it still to come; UINT64_MAX: not known
    bool wants_room;           // HTTP/2: all of the body so far is taken
    bool body_ended;           // HTTP/2: END_STREAM came
    bool reply_ended;          // HTTP/2: our END_STREAM went
    bool is_overlong;          // HTTP/2: the head is beyond its bounds
    uint64_t heard_ns;         // HTTP/2: last sign of progress
    bool is_watch;             // gRPC: a stream of messages that stays open
    bool is_ending;            // gRPC: trailers follow what is in `reply`
    int grpc_status;           // trailers
    struct grpc_framer framer;
    struct buffer reply;       // HTTP/2: body bytes not yet taken by the session
    size_t reply_sent;
    struct request_header headers[REQUEST_HEADERS_MAX];  // last: zeroed up to here
};

// The value of header `name` (lower case); empty when absent. The first of several.
struct bytes request_header(const struct request *request, const char *name);
bool request_has_header(const struct request *request, const char *name);
// How often `name` stands in the head.
unsigned request_header_count(const struct request *request, const char *name);
// The value of `key` in the query, not percent-decoded; false when absent.
bool request_query(const struct request *request, const char *key, struct bytes *value);
// The path behind a "/*" route's prefix; empty for exact routes.
struct bytes request_rest(const struct request *request);

struct listen_policy;
// The rules of the listener that the request came by; NULL: none. While the client is there.
const struct listen_policy *request_policy(const struct request *request);

struct response_field {
    const char *name;            // lower case
    struct bytes value;
};

struct response {
    int status;                  // HTTP; gRPC calls are always 200
    int grpc_status;             // google.rpc.Code; HTTP ignores it
    const char *content_type;    // HTTP; NULL when there is no body
    struct bytes body;           // copied; gRPC: the message, sent when grpc_status is 0
    struct bytes message;        // gRPC: grpc-message, percent-encoded here; copied
    struct bytes details;        // gRPC: google.rpc.Status for grpc-status-details-bin; copied
    uint32_t retry_after_s;      // HTTP: Retry-After; 0: none
    const char *allow;           // HTTP: Allow, with 405
    const char *accept_encoding; // HTTP: Accept-Encoding, with 415
    const char *authenticate;    // HTTP: WWW-Authenticate, with 401
    bool close;                  // HTTP/1.1: the connection ends with this reply
    bool watch;                  // gRPC: the stream stays open until the server drains
};

// Answers; exactly once. Copies everything. The request belongs to its transport (or to nobody)
// afterwards.
void request_reply(struct request *request, const struct response *response);
// Answers with a sentence as text/plain, over gRPC as grpc-message.
void request_reply_text(struct request *request, int status, int grpc_status, const char *text);

struct response_head {
    int status;
    const struct response_field *fields;  // names are tokens in lower case; no field of the
    size_t field_count;                   // connection's, no content-length; RESPONSE_FIELDS_MAX
    uint64_t length;  // of the body, or what it would be (HEAD); UINT64_MAX: not known
};
#define RESPONSE_FIELDS_MAX 72
// Begins to answer in parts; once, instead of request_reply. Copies. HTTP only.
void request_reply_begin(struct request *request, const struct response_head *head);
// How much of the body is taken now; 0: wait for notify.
size_t request_reply_room(const struct request *request);
// A part of the body, at most as long as there is room. Copies. What no client would see (HEAD,
// 204, 304, beyond the length that was told) is dropped.
void request_reply_data(struct request *request, struct bytes part);
// Ends the answer; the request is not the handler's any more. Not whole, or shorter than was told:
// the client sees that the connection or the stream breaks off.
void request_reply_end(struct request *request, bool is_whole);
// The client has gone: whatever is answered is dropped.
bool request_is_alone(const struct request *request);
// What the transports call when the body cannot be received: route->refuse, or text.
void request_refuse(struct request *request, enum result result, const char *sentence);

// Transports only: adds a header to the head being received; false at REQUEST_HEADERS_MAX or
// when text is full.
bool request_add_header(struct request *request, struct bytes name, struct bytes value);
// Splits a request target into path and query; false for one that no server here can mean (RFC
// 9112 3.2).
bool request_set_target(struct request *request, struct bytes target);
// The route of (protocol, method, path), or NULL; *allow gets the method of a route with the
// same path, or NULL.
const struct http_route *route_find(const struct http_route *routes, size_t count,
                                    const struct request *request, const char **allow);
// Makes room for `need` body bytes, and while at it for `want` >= need of them, but not for more
// than 1 MiB ahead: a declared length is only a claim. RESULT_TOO_LARGE (body_max), RESULT_SHED.
enum result request_grow(struct request *request, size_t need, uint64_t want) MUST_USE;
// Transports only: the fields that the listener's policy adds to any reply; returns how many.
#define REQUEST_FIELDS_MAX 6
size_t request_policy_fields(const struct request *request,
                             struct response_field fields[REQUEST_FIELDS_MAX]);
const char *http_reason(int status);  // "Not Found"
