// SPDX-License-Identifier: Apache-2.0
//
// Protobuf's wire format, read and written by hand: a tag is a varint of (number << 3 | type), and
// what follows is found from the type alone, so a cursor needs no schema. The one-byte varint is
// inline in the header, because OTLP's tags and most of its lengths are one byte. Refused: SIMD
// varints (nothing to gain at one byte), and writing nested messages twice, once for their size
// (wire_open leaves room instead). Bounds: varints of 10 bytes, tags and lengths of 5, groups 64
// deep. Pure; any thread.
#include "proto/wire.h"

#include "base/check.h"

enum { NUMBER_MAX = (1 << 29) - 1, SHORT_MAX = 5, VARINT_MAX = 10, MOVED_MAX = 16 * 1024 };

// A varint of at most `byte_max` bytes; moves the cursor only when it is sound.
static bool varint_bounded(struct wire *wire, unsigned byte_max, uint64_t *value)
{
    uint64_t sum = 0;
    const uint8_t *ptr = wire->ptr;
    for (unsigned i = 0; i < byte_max && ptr < wire->end; i++) {
        uint8_t byte = *ptr++;
        if (i == VARINT_MAX - 1 && byte > 1) {
            return false;  // more than 64 bits
        }
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            wire->ptr = ptr;
            *value = sum;
            return true;
        }
    }
    return false;
}

bool wire_varint_slow(struct wire *wire, uint64_t *value)
{
    return varint_bounded(wire, VARINT_MAX, value);
}

static bool tag_read(struct wire *wire, struct wire_field *field)
{
    uint64_t tag = 0;
    field->start = wire->ptr;
    if (!varint_bounded(wire, SHORT_MAX, &tag) || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX) {
        return false;
    }
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum wire_type)(tag & 7);
    return true;
}

// Little endian, `len` bytes.
static bool fixed_read(struct wire *wire, size_t len, uint64_t *value)
{
    if ((size_t)(wire->end - wire->ptr) < len) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum |= (uint64_t)wire->ptr[i] << (8 * i);
    }
    wire->ptr += len;
    *value = sum;
    return true;
}

static bool payload_read(struct wire *wire, struct bytes *payload)
{
    uint64_t len = 0;
    if (!varint_bounded(wire, SHORT_MAX, &len) || len > (uint64_t)(wire->end - wire->ptr)) {
        return false;
    }
    *payload = (struct bytes){wire->ptr, (size_t)len};
    wire->ptr += len;
    return true;
}

static bool value_read(struct wire *wire, struct wire_field *field, unsigned depth);

// Everything up to the end tag that belongs to `number`.
static bool group_read(struct wire *wire, uint32_t number, struct bytes *content, unsigned depth)
{
    const uint8_t *start = wire->ptr;
    struct wire_field inner = {0};
    while (depth < WIRE_DEPTH_MAX && tag_read(wire, &inner)) {
        if (inner.type == WIRE_GROUP_END) {
            *content = (struct bytes){start, (size_t)(inner.start - start)};
            return inner.number == number;
        }
        if (!value_read(wire, &inner, depth + 1)) {
            return false;
        }
    }
    return false;
}

static bool value_read(struct wire *wire, struct wire_field *field, unsigned depth)
{
    field->value = 0;
    field->bytes = BYTES_NONE;
    switch (field->type) {
    case WIRE_VARINT:
        return wire_varint(wire, &field->value);
    case WIRE_FIXED64:
        return fixed_read(wire, 8, &field->value);
    case WIRE_LEN:
        return payload_read(wire, &field->bytes);
    case WIRE_GROUP:
        return group_read(wire, field->number, &field->bytes, depth);
    case WIRE_FIXED32:
        return fixed_read(wire, 4, &field->value);
    case WIRE_GROUP_END:
    default:
        return false;
    }
}

bool wire_next(struct wire *wire, struct wire_field *field)
{
    if (wire->ptr == wire->end) {
        return false;
    }
    const uint8_t *start = wire->ptr;
    if (tag_read(wire, field) && value_read(wire, field, 0)) {
        return true;
    }
    wire->ptr = start;  // never the end: the caller tells malformed from finished by that
    return false;
}

bool wire_find(struct bytes message, uint32_t number, struct bytes *payload)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    bool found = false;
    while (wire_next(&wire, &field)) {
        if (field.number == number && field.type == WIRE_LEN) {
            *payload = field.bytes;
            found = true;
        }
    }
    return found;
}

size_t wire_varint_size(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

uint8_t *wire_put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static void varint_write(struct buffer *out, uint64_t value)
{
    uint8_t room[VARINT_MAX];
    buffer_append(out, room, (size_t)(wire_put_varint(room, value) - room));
}

void wire_write_tag(struct buffer *out, uint32_t number, enum wire_type type)
{
    CHECK(number > 0 && number <= NUMBER_MAX);
    varint_write(out, (uint64_t)number << 3 | type);
}

void wire_write_varint(struct buffer *out, uint32_t number, uint64_t value)
{
    wire_write_tag(out, number, WIRE_VARINT);
    varint_write(out, value);
}

static void fixed_write(struct buffer *out, uint64_t value, size_t len)
{
    uint8_t room[8];
    for (size_t i = 0; i < len; i++) {
        room[i] = (uint8_t)(value >> (8 * i));
    }
    buffer_append(out, room, len);
}

void wire_write_fixed64(struct buffer *out, uint32_t number, uint64_t value)
{
    wire_write_tag(out, number, WIRE_FIXED64);
    fixed_write(out, value, 8);
}

void wire_write_fixed32(struct buffer *out, uint32_t number, uint32_t value)
{
    wire_write_tag(out, number, WIRE_FIXED32);
    fixed_write(out, value, 4);
}

void wire_write_double(struct buffer *out, uint32_t number, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    wire_write_fixed64(out, number, bits);
}

void wire_write_bytes(struct buffer *out, uint32_t number, struct bytes payload)
{
    wire_write_tag(out, number, WIRE_LEN);
    varint_write(out, payload.len);
    buffer_append_bytes(out, payload);
}

void wire_write_text(struct buffer *out, uint32_t number, const char *text)
{
    wire_write_bytes(out, number, bytes_from_text(text));
}

size_t wire_open(struct buffer *out, uint32_t number)
{
    static const uint8_t room[SHORT_MAX] = {0};
    wire_write_tag(out, number, WIRE_LEN);
    buffer_append(out, room, sizeof room);
    return out->len;
}

void wire_close(struct buffer *out, size_t mark)
{
    if (buffer_status(out) != RESULT_OK) {
        return;  // `mark` may lie beyond what was written
    }
    CHECK(mark >= SHORT_MAX && mark <= out->len);
    uint8_t *length = out->ptr + mark - SHORT_MAX;
    size_t len = out->len - mark;
    CHECK(len <= UINT32_MAX);
    if (len < MOVED_MAX) {
        uint8_t *payload = wire_put_varint(length, len);
        memmove(payload, out->ptr + mark, len);
        out->len = (size_t)(payload - out->ptr) + len;
        return;
    }
    for (unsigned i = 0; i < SHORT_MAX; i++) {
        uint8_t more = i < SHORT_MAX - 1 ? 0x80 : 0;
        length[i] = (uint8_t)((len >> (7 * i) & 0x7f) | more);
    }
}
