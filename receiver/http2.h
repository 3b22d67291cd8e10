// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 connection's protocol state without its I/O (RFC 9113, by nghttp2), with gRPC calls on
// the same streams: bytes go in by http2_feed, frames come out by http2_flush into the buffer that
// the owner sends, so that all replies of a turn leave in one write. All on the server's thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include "receiver/request.h"

struct http2 {
    struct server *server;     // borrowed
    struct buffer *out;        // borrowed: frames are appended
    void (*wake)(void *arg);   // a reply was submitted outside http2_feed
    void *wake_arg;
    const struct listen_policy *policy;  // borrowed; set after http2_init; NULL: none
    nghttp2_session *session;
    struct request *streams;   // open ones, newest first
    unsigned stream_count;
    bool feeding;
    bool notice_sent, goaway_sent;
    bool has_taken;            // all that some answer in parts had: http2_tell_room looks
    double reset_tokens;       // streams that may still be broken off before they were answered
    uint64_t reset_refill_ns;
};

struct http2_setup;            // nghttp2's callbacks and options: made once for a server
struct http2_setup *http2_setup_new(void);
void http2_setup_free(struct http2_setup **setup);

// RESULT_SHED: no memory.
enum result http2_init(struct http2 *http2, struct server *server, struct buffer *out,
                       void (*wake)(void *arg), void *wake_arg) MUST_USE;
// The client has gone: requests that handlers have are cut loose, the others are given back.
void http2_fini(struct http2 *http2);
// Takes in all of `data`. RESULT_REJECT: the peer broke the protocol; flush what is left and close.
enum result http2_feed(struct http2 *http2, struct bytes data) MUST_USE;
// Appends pending frames to `out` until it holds SERVER_OUT_HIGH. RESULT_REJECT: close.
enum result http2_flush(struct http2 *http2) MUST_USE;
// Output has been sent: who answers in parts hears of it.
void http2_tell_room(struct http2 *http2);
bool http2_is_idle(const struct http2 *http2);  // no stream is open
bool http2_is_done(const struct http2 *http2);  // nothing will be read or written any more
// Drain, in two steps (RFC 9113 6.8): the notice, which still lets requests under way arrive, then,
// a round trip later, the GOAWAY that names the last stream served. Ends watches.
void http2_drain_notice(struct http2 *http2);
void http2_drain_goaway(struct http2 *http2);
void http2_ping(struct http2 *http2);
// Once a sweep: refuses bodies that do not arrive, breaks off replies that are not taken. False:
// close the connection.
bool http2_sweep(struct http2 *http2, uint64_t now_ns);
