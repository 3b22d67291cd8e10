// SPDX-License-Identifier: Apache-2.0
//
// The thorough validator: one loop over the fields of a message, driven by the schema, recursing
// into nested messages at most 64 deep. It is the only judge of what is sound; the fast paths (the
// usual KeyValue in message.h, the span in item.c) only recognise shapes that it would accept. A
// known field with a wrong wire type is a fault, although canonical protobuf would keep it as
// unknown: other decoders refuse the whole message for it. Unknown fields are stepped over, groups
// among them. Refused: generated parsers (they allocate), and tables of functions per type. Bounds:
// 64 levels, so at most 64 frames of the C stack. Pure; any thread.
#include "proto/message.h"

enum scan_fault message_tag_slow(struct wire *wire, uint32_t *tag)
{
    uint64_t sum = 0;
    const uint8_t *ptr = wire->ptr;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (ptr == wire->end) {
            return SCAN_TRUNCATED;
        }
        uint8_t byte = *ptr++;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (sum >> 3 == 0 || sum > UINT32_MAX) {
                return SCAN_FIELD_NUMBER;
            }
            *tag = (uint32_t)sum;
            wire->ptr = ptr;
            return SCAN_OK;
        }
    }
    return SCAN_VARINT;
}

enum scan_fault message_length_slow(struct wire *wire, size_t *len)
{
    uint64_t sum = 0;
    const uint8_t *ptr = wire->ptr;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (ptr == wire->end) {
            return SCAN_TRUNCATED;
        }
        uint8_t byte = *ptr++;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (sum > (uint64_t)(wire->end - ptr)) {
                return SCAN_TRUNCATED;
            }
            *len = (size_t)sum;
            wire->ptr = ptr;
            return SCAN_OK;
        }
    }
    return SCAN_VARINT;
}

static enum scan_fault group_skip(struct wire *wire, uint32_t number, unsigned depth)
{
    if (depth > WIRE_DEPTH_MAX) {
        return SCAN_DEPTH;
    }
    for (;;) {
        uint32_t tag = 0;
        enum scan_fault fault = message_tag(wire, &tag);
        if (fault != SCAN_OK) {
            return fault;
        }
        if ((tag & 7) == WIRE_GROUP_END) {
            return tag >> 3 == number ? SCAN_OK : SCAN_WIRE_TYPE;
        }
        fault = message_skip(wire, tag, depth);
        if (fault != SCAN_OK) {
            return fault;
        }
    }
}

enum scan_fault message_skip(struct wire *wire, uint32_t tag, unsigned depth)
{
    uint64_t value = 0;
    uint32_t short_value = 0;
    struct bytes payload;
    switch (tag & 7) {
    case WIRE_VARINT:
        return message_varint(wire, &value);
    case WIRE_FIXED64:
        return message_fixed64(wire, &value);
    case WIRE_LEN:
        return message_payload(wire, &payload);
    case WIRE_GROUP:
        return group_skip(wire, tag >> 3, depth + 1);
    case WIRE_FIXED32:
        return message_fixed32(wire, &short_value);
    default:
        return SCAN_WIRE_TYPE;  // an end without a group, or types 6 and 7, which do not exist
    }
}

// Packed scalars (protobuf encoding guide, "Packed Repeated Fields"): parsers take both forms.
static enum scan_fault packed_validate(const struct schema_field *field, struct bytes payload)
{
    if (field->wire_type == WIRE_FIXED64) {
        return payload.len % 8 == 0 ? SCAN_OK : SCAN_NESTED;
    }
    struct wire wire = wire_of(payload);
    uint64_t value = 0;
    while (wire.ptr < wire.end) {
        if (!wire_varint(&wire, &value)) {
            return SCAN_NESTED;
        }
    }
    return SCAN_OK;
}

static enum scan_fault id_validate(enum schema_message type, size_t len, size_t len_wanted)
{
    if (len == 0 || len == len_wanted) {
        return SCAN_OK;
    }
    if (type == SCHEMA_LINK) {
        return SCAN_LINK_ID;
    }
    return len_wanted == 16 ? SCAN_TRACE_ID : SCAN_SPAN_ID;
}

static enum scan_fault nested_validate(enum schema_message type, struct bytes payload,
                                       unsigned flags, unsigned depth)
{
    if (type == SCHEMA_KEY_VALUE && depth < WIRE_DEPTH_MAX &&
        message_is_usual_pair(payload.ptr, payload.ptr + payload.len, flags)) {
        return SCAN_OK;
    }
    enum scan_fault fault = message_validate(type, payload, flags, depth);
    if (fault == SCAN_TRUNCATED || fault == SCAN_FIELD_NUMBER || fault == SCAN_VARINT) {
        return SCAN_NESTED;
    }
    return fault;
}

static enum scan_fault payload_validate(enum schema_message type, const struct schema_field *field,
                                        struct bytes payload, unsigned flags, unsigned depth)
{
    switch (field->kind) {
    case KIND_MESSAGE:
        return nested_validate(field->holds, payload, flags, depth + 1);
    case KIND_STRING:
        return (flags & SCAN_CHECK_UTF8) == 0 || message_text_is_sound(payload.ptr, payload.len)
                   ? SCAN_OK
                   : SCAN_UTF8;
    case KIND_TRACE_ID:
        return id_validate(type, payload.len, 16);
    case KIND_SPAN_ID:
        return id_validate(type, payload.len, 8);
    case KIND_BYTES:
        return SCAN_OK;
    default:
        return packed_validate(field, payload);
    }
}

enum scan_fault message_validate(enum schema_message type, struct bytes payload, unsigned flags,
                                 unsigned depth)
{
    if (depth > WIRE_DEPTH_MAX) {
        return SCAN_DEPTH;
    }
    struct wire wire = wire_of(payload);
    while (wire.ptr < wire.end) {
        uint32_t tag = 0;
        enum scan_fault fault = message_tag(&wire, &tag);
        if (fault != SCAN_OK) {
            return fault;
        }
        const struct schema_field *field = schema_field(type, tag >> 3);
        bool is_packed = field != NULL && (tag & 7) == WIRE_LEN &&
                         field->wire_type != WIRE_LEN && field->label == LABEL_MANY;
        if (field != NULL && (tag & 7) != field->wire_type && !is_packed) {
            return SCAN_WIRE_TYPE;
        }
        if (field == NULL || (tag & 7) != WIRE_LEN) {
            fault = message_skip(&wire, tag, depth);
        } else {
            struct bytes inner;
            fault = message_payload(&wire, &inner);
            if (fault == SCAN_OK) {
                fault = payload_validate(type, field, inner, flags, depth);
            }
        }
        if (fault != SCAN_OK) {
            return fault;
        }
    }
    return SCAN_OK;
}
