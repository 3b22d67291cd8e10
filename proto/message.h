// SPDX-License-Identifier: Apache-2.0
// Validates one OTLP message, nested ones included, against the schema: framing, wire types of
// known fields, lengths of ids, UTF-8 of strings, depth. Also the scanner's readers of tags and
// lengths, which say what is wrong where wire.h's cursor only says that something is. Pure; any
// thread.
#pragma once

#include <endian.h>

#include "base/utf8.h"
#include "proto/scan.h"
#include "proto/schema.h"

// SCAN_OK, or the first fault in order of the bytes. `depth` is 1 for a span, log record, metric,
// Resource or Scope; a message at depth 65 is SCAN_DEPTH. Faults of framing inside nested messages
// are SCAN_NESTED. `flags` as in scan_request.
enum scan_fault message_validate(enum schema_message type, struct bytes payload, unsigned flags,
                                 unsigned depth);

// A field whose tag has been read: steps over its value. Groups count as depth.
enum scan_fault message_skip(struct wire *wire, uint32_t tag, unsigned depth);

// Tag and length by varints of up to five bytes; message_tag also refuses field numbers that cannot
// be, message_length lengths beyond the end.
enum scan_fault message_tag_slow(struct wire *wire, uint32_t *tag);
enum scan_fault message_length_slow(struct wire *wire, size_t *len);

#define MESSAGE_TAG(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))

static inline enum scan_fault message_tag(struct wire *wire, uint32_t *tag)
{
    if (wire->ptr < wire->end && *wire->ptr < 0x80 && *wire->ptr >= MESSAGE_TAG(1, 0)) {
        *tag = *wire->ptr++;
        return SCAN_OK;
    }
    return message_tag_slow(wire, tag);
}

static inline enum scan_fault message_length(struct wire *wire, size_t *len)
{
    if (wire->ptr < wire->end && *wire->ptr < 0x80 &&
        *wire->ptr < (size_t)(wire->end - wire->ptr)) {
        *len = *wire->ptr++;
        return SCAN_OK;
    }
    return message_length_slow(wire, len);
}

static inline enum scan_fault message_payload(struct wire *wire, struct bytes *payload)
{
    size_t len = 0;
    enum scan_fault fault = message_length(wire, &len);
    if (fault == SCAN_OK) {
        *payload = (struct bytes){wire->ptr, len};
        wire->ptr += len;
    }
    return fault;
}

static inline enum scan_fault message_varint(struct wire *wire, uint64_t *value)
{
    if (wire_varint(wire, value)) {
        return SCAN_OK;
    }
    return wire->end - wire->ptr < 10 ? SCAN_TRUNCATED : SCAN_VARINT;
}

static inline enum scan_fault message_fixed64(struct wire *wire, uint64_t *value)
{
    if (wire->end - wire->ptr < 8) {
        return SCAN_TRUNCATED;
    }
    memcpy(value, wire->ptr, 8);
    *value = le64toh(*value);
    wire->ptr += 8;
    return SCAN_OK;
}

static inline enum scan_fault message_fixed32(struct wire *wire, uint32_t *value)
{
    if (wire->end - wire->ptr < 4) {
        return SCAN_TRUNCATED;
    }
    memcpy(value, wire->ptr, 4);
    *value = le32toh(*value);
    wire->ptr += 4;
    return SCAN_OK;
}

// UTF-8, with the usual short ASCII string decided inline by two loads.
static inline bool message_text_is_sound(const uint8_t *ptr, size_t len)
{
    if (len >= 8 && len <= 16) {
        uint64_t head, tail;
        memcpy(&head, ptr, 8);
        memcpy(&tail, ptr + len - 8, 8);
        if (((head | tail) & UINT64_C(0x8080808080808080)) == 0) {
            return true;
        }
    } else if (len > 16 && len <= 32) {
        uint64_t words[4];
        memcpy(words, ptr, 16);
        memcpy(words + 2, ptr + len - 16, 16);
        if (((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080)) == 0) {
            return true;
        }
    } else if (len >= 4 && len < 8) {
        uint32_t head, tail;
        memcpy(&head, ptr, 4);
        memcpy(&tail, ptr + len - 4, 4);
        if (((head | tail) & UINT32_C(0x80808080)) == 0) {
            return true;
        }
    } else if (len == 0) {
        return true;
    }
    return utf8_is_valid((struct bytes){ptr, len});
}

// A length of up to three bytes; NULL leaves the rest to the thorough reader.
static inline const uint8_t *message_short_length(const uint8_t *ptr, const uint8_t *end,
                                                  size_t *len)
{
    if (end - ptr >= 1 && ptr[0] < 0x80) {
        *len = ptr[0];
        return ptr + 1;
    }
    if (end - ptr >= 2 && ptr[1] < 0x80) {
        *len = (size_t)(ptr[0] & 0x7f) | (size_t)ptr[1] << 7;
        return ptr + 2;
    }
    if (end - ptr >= 3 && ptr[2] < 0x80) {
        *len = (size_t)(ptr[0] & 0x7f) | (size_t)(ptr[1] & 0x7f) << 7 | (size_t)ptr[2] << 14;
        return ptr + 3;
    }
    return NULL;
}

// Is this an AnyValue of exactly one sound scalar?
static inline bool message_is_scalar(const uint8_t *ptr, const uint8_t *end, unsigned flags)
{
    size_t len = (size_t)(end - ptr);
    if (len < 2) {
        return false;
    }
    switch (ptr[0]) {
    case MESSAGE_TAG(ANY_STRING, WIRE_LEN): {
        size_t text_len = 0;
        const uint8_t *text = message_short_length(ptr + 1, end, &text_len);
        return text != NULL && text_len == (size_t)(end - text) &&
               ((flags & SCAN_CHECK_UTF8) == 0 || message_text_is_sound(text, text_len));
    }
    case MESSAGE_TAG(ANY_BOOL, WIRE_VARINT):
        return len == 2 && ptr[1] < 0x80;
    case MESSAGE_TAG(ANY_INT, WIRE_VARINT): {
        const uint8_t *at = ptr + 1;
        while (at < end && *at >= 0x80) {
            at++;
        }
        return at == end - 1 && len <= 10;
    }
    case MESSAGE_TAG(ANY_DOUBLE, WIRE_FIXED64):
        return len == 9;
    default:
        return false;
    }
}

// Is this the usual KeyValue: a short key, then a value of one scalar, nothing else, all sound?
// False says nothing: message_validate decides.
static inline bool message_is_usual_pair(const uint8_t *ptr, const uint8_t *end, unsigned flags)
{
    size_t len = (size_t)(end - ptr);
    if (len < 4 || ptr[0] != MESSAGE_TAG(KEYVALUE_KEY, WIRE_LEN) || ptr[1] >= 0x80 ||
        (size_t)ptr[1] + 4 > len) {
        return false;
    }
    size_t key_len = ptr[1];
    const uint8_t *value = ptr + 2 + key_len;
    size_t value_len = 0;
    if (value[0] != MESSAGE_TAG(KEYVALUE_VALUE, WIRE_LEN)) {
        return false;
    }
    value = message_short_length(value + 1, end, &value_len);
    return value != NULL && value_len == (size_t)(end - value) &&
           message_is_scalar(value, end, flags) &&
           ((flags & SCAN_CHECK_UTF8) == 0 || message_text_is_sound(ptr + 2, key_len));
}
