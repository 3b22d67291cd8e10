// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 connection's protocol state without its I/O (RFC 9112): bytes go in by http1_feed,
// replies come out in the buffer that the owner sends. Requests are taken one at a time, so replies
// leave in request order; what a client pipelines behind a request that is still being answered
// waits unread. All on the server's thread.
#pragma once

#include <llhttp.h>

#include "receiver/request.h"

enum http1_state {
    HTTP1_IDLE,     // between requests
    HTTP1_HEAD,     // part of a head has come
    HTTP1_BODY,     // a body of declared length
    HTTP1_CHUNKED,  // a chunked body
    HTTP1_WAIT,     // the handler has the request; nothing is taken in
    HTTP1_CLOSED,   // the last reply is in `out`; nothing is taken in
};

struct http1 {
    struct server *server;     // borrowed
    struct buffer *out;        // borrowed: replies are appended
    void (*wake)(void *arg);   // a reply was appended outside http1_feed
    void *wake_arg;
    const struct listen_policy *policy;  // borrowed; set after http1_init; NULL: none
    enum http1_state state;
    struct request *request;   // being received or handled; NULL when idle or answered already
    llhttp_t parser;
    uint64_t body_left;        // HTTP1_BODY: bytes still to come
    uint64_t discarded;        // body bytes thrown away since the reply
    uint64_t chunk_bytes;      // HTTP1_CHUNKED: raw bytes so far, framing included
    unsigned trailer_count;
    uint64_t since_ns;         // head began, or body began
    uint64_t body_heard_ns;    // last byte of the body
    uint8_t blank_state;       // search for the blank line, across reads
    bool is_folded;            // an obs-fold or a bare LF was seen in the head
    bool has_value;            // the header being parsed has its value
    bool head_ended;           // on_headers_complete ran
    bool message_ended;        // on_message_complete ran
    bool is_chunked, is_close; // of the request in hand
    bool expects_continue;     // 100 has not been sent
    bool feeding;              // inside http1_feed
    bool is_last;              // of a reply in parts: the connection ends with it
    enum http1_framing {       // of the body of a reply in parts
        HTTP1_NO_BODY,
        HTTP1_LENGTH,
        HTTP1_CHUNKS,
        HTTP1_UNTIL_END,
    } framing;
    uint64_t reply_left;       // HTTP1_LENGTH: bytes still to be sent
    bool is_large;             // the last body was over 64 KiB: read heads in small portions
    const char *fault;         // why the head is refused
    int fault_status;
};

void http1_init(struct http1 *http1, struct server *server, struct buffer *out,
                void (*wake)(void *arg), void *wake_arg);
// The client has gone: a request that a handler has is cut loose, everything else is given back.
void http1_fini(struct http1 *http1);
// Takes in bytes; returns how many. Fewer than all: the rest must come again after a wake (WAIT,
// or too much unsent output), or never (CLOSED).
size_t http1_feed(struct http1 *http1, struct bytes data);
// Large bodies past the parser: where up to *len next body bytes may be received to directly; NULL
// when http1_feed is the way. http1_commit says how many came.
uint8_t *http1_body_room(struct http1 *http1, size_t *len);
void http1_commit(struct http1 *http1, size_t len);
// No request is begun or owed.
bool http1_is_idle(const struct http1 *http1);
bool http1_takes_input(const struct http1 *http1);
// Ends the connection with a status that no handler chose (408). No-op unless a head or body is
// awaited.
void http1_time_out(struct http1 *http1);
// When what is awaited from the client must have come; UINT64_MAX: nothing is awaited.
uint64_t http1_deadline_ns(const struct http1 *http1);
// request_reply's way in.
void http1_reply(struct http1 *http1, struct request *request, const struct response *response);
// The same in parts.
void http1_reply_begin(struct http1 *http1, struct request *request,
                       const struct response_head *head);
size_t http1_reply_room(const struct http1 *http1);
void http1_reply_data(struct http1 *http1, struct request *request, struct bytes part);
void http1_reply_end(struct http1 *http1, struct request *request, bool is_whole);
// Output has been sent: who answers in parts hears of it.
void http1_tell_room(struct http1 *http1);
