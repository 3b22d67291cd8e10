// SPDX-License-Identifier: Apache-2.0
// gRPC over HTTP/2 as bytes (grpc/doc/PROTOCOL-HTTP2.md): the 5-byte message prefix,
// grpc-timeout, the percent-encoding of grpc-message. No I/O, no nghttp2. Pure; any thread.
#pragma once

#include "base/buffer.h"

#define GRPC_PREFIX_BYTES 5

enum {  // google.rpc.Code, those that are used here
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

// Cuts a request stream into its one message: unary calls have exactly one (PROTOCOL-HTTP2.md,
// "Requests").
struct grpc_framer {
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint8_t prefix_len;
    uint32_t message_len;   // from the prefix; valid when prefix_len is 5
    uint32_t message_got;
};

enum grpc_frame {
    GRPC_FRAME_NEEDS_MORE,  // all of `data` is used
    GRPC_FRAME_PREFIX,      // the prefix is complete: check message_len, then go on
    GRPC_FRAME_PAYLOAD,     // *payload are message bytes
    GRPC_FRAME_EXTRA,       // bytes behind the one message
    GRPC_FRAME_BAD_FLAG,    // the compressed flag is neither 0 nor 1
};

// Takes a step: cuts what it used off the front of *data.
enum grpc_frame grpc_framer_step(struct grpc_framer *framer, struct bytes *data,
                                 struct bytes *payload);
bool grpc_framer_is_complete(const struct grpc_framer *framer);  // one whole message, no more
static inline bool grpc_framer_is_packed(const struct grpc_framer *framer)
{
    return framer->prefix[0] == 1;
}

// "1S", "250m": 1 to 8 digits and one of H M S m u n. False when malformed.
bool grpc_timeout_parse(struct bytes text, uint64_t *ns);
// Appends `text` with everything but printable ASCII, and '%', as %XX ("Responses",
// Percent-Encoded).
void grpc_message_encode(struct bytes text, struct buffer *out);

enum grpc_content { GRPC_CONTENT_NONE, GRPC_CONTENT_PROTO, GRPC_CONTENT_OTHER };
// "application/grpc" and "application/grpc+proto" with or without parameters; other
// "application/grpc..." are OTHER.
enum grpc_content grpc_content_of(struct bytes content_type);
