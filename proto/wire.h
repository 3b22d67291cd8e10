// SPDX-License-Identifier: Apache-2.0
// Protobuf's wire format (protobuf.dev/programming-guides/encoding): a cursor over bytes that
// somebody else owns, and a writer into a buffer. Fields come in any order; over-long varints are
// accepted up to 10 bytes in values and up to 5 in tags and lengths, as all decoders do; groups are
// skipped with a depth bound; field number 0, numbers above 2^29 - 1 and lengths beyond the end are
// errors. Nothing here knows OTLP. Pure; any thread.
#pragma once

#include "base/buffer.h"

#include <string.h>

enum wire_type {
    WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5
};

#define WIRE_DEPTH_MAX 64

struct wire {               // cursor: bytes not yet read
    const uint8_t *ptr, *end;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;         // VARINT, FIXED64, FIXED32
    struct bytes bytes;     // LEN: payload; GROUP: everything between the tags
    const uint8_t *start;   // first byte of the tag
};

static inline struct wire wire_of(struct bytes view)
{
    // NULL and 0 is a view too, and adding even 0 to NULL is undefined.
    return (struct wire){view.ptr, view.len > 0 ? view.ptr + view.len : view.ptr};
}

// At most 10 bytes and 64 bits; false leaves the cursor where it was.
bool wire_varint_slow(struct wire *wire, uint64_t *value);

static inline bool wire_varint(struct wire *wire, uint64_t *value)
{
    if (wire->ptr < wire->end && *wire->ptr < 0x80) {
        *value = *wire->ptr++;
        return true;
    }
    return wire_varint_slow(wire, value);
}

// Reads the next field. False at the end (wire->ptr == wire->end) and on malformed bytes (wire->ptr
// != wire->end, at the field that cannot be read).
bool wire_next(struct wire *wire, struct wire_field *field);
static inline bool wire_is_done(const struct wire *wire)
{
    return wire->ptr == wire->end;
}

// The last LEN field `number` of a message (protobuf: last one wins); false when absent or
// malformed before it.
bool wire_find(struct bytes message, uint32_t number, struct bytes *payload);

size_t wire_varint_size(uint64_t value);                 // 1..10
uint8_t *wire_put_varint(uint8_t *out, uint64_t value);  // writes that many bytes; returns the end
void wire_write_tag(struct buffer *out, uint32_t number, enum wire_type type);
void wire_write_varint(struct buffer *out, uint32_t number, uint64_t value);
void wire_write_fixed64(struct buffer *out, uint32_t number, uint64_t value);
void wire_write_fixed32(struct buffer *out, uint32_t number, uint32_t value);
void wire_write_double(struct buffer *out, uint32_t number, double value);
void wire_write_bytes(struct buffer *out, uint32_t number, struct bytes payload);
void wire_write_text(struct buffer *out, uint32_t number, const char *text);
// A nested message of unknown length: open writes the tag and leaves room for the length, close
// puts it there. Payloads under 16 KiB are moved up behind a length of minimal size; larger ones
// keep a length padded to 5 bytes, which is legal and saves moving them. Nest at will, close in
// order.
size_t wire_open(struct buffer *out, uint32_t number);
void wire_close(struct buffer *out, size_t mark);
