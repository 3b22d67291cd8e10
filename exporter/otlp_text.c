// SPDX-License-Identifier: Apache-2.0
// JSON wants the elements of a repeated field together, the wire may scatter them: a first pass
// over a message notes which fields are there, then each of these gets a pass of its own. Payloads
// are stepped over by their lengths, so that the passes are cheap. Of a field that is not repeated
// the last one counts; of AnyValue, a oneof, the last member.
//
// Bounds: TEXT_DEPTH_MAX levels of messages; deeper ones are written as {}. Pure; any thread.
#include "exporter/otlp_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "proto/base64.h"

#define TEXT_DEPTH_MAX (WIRE_DEPTH_MAX + 8)

static void message_write(enum schema_message type, struct bytes message, unsigned depth,
                          struct buffer *out);

static void text_write(struct bytes text, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_put_text(&writer, text);
}

static void double_write(double value, struct buffer *out)
{
    if (isnan(value)) {
        buffer_append_text(out, "\"NaN\"");
    } else if (isinf(value)) {
        buffer_append_text(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else {
        struct json_writer writer;
        json_writer_init(&writer, out);
        json_put_double(&writer, value);
    }
}

static void hex_write(struct bytes id, struct buffer *out)
{
    char hex[2 * 64 + 1] = "";
    hex_encode(id.ptr, id.len < 64 ? id.len : 64, hex);
    buffer_printf(out, "\"%s\"", hex);
}

static void base64_write(struct bytes data, struct buffer *out)
{
    buffer_append_byte(out, '"');
    base64_encode(data, true, out);
    buffer_append_byte(out, '"');
}

// One value: a scalar from `value`, everything else from `bytes`.
static void value_write(const struct schema_field *field, uint64_t value, struct bytes bytes,
                        unsigned depth, struct buffer *out)
{
    double real;
    switch ((enum schema_kind)field->kind) {
    case KIND_BOOL:
        buffer_append_text(out, value != 0 ? "true" : "false");
        return;
    case KIND_ENUM:
        buffer_printf(out, "%" PRId32, (int32_t)value);
        return;
    case KIND_UINT32:
    case KIND_FIXED32:
        buffer_printf(out, "%" PRIu32, (uint32_t)value);
        return;
    case KIND_SINT32:
        buffer_printf(out, "%" PRId32, (int32_t)((uint32_t)value >> 1) ^ -(int32_t)(value & 1));
        return;
    case KIND_INT64:
    case KIND_SFIXED64:
        buffer_printf(out, "\"%" PRId64 "\"", (int64_t)value);
        return;
    case KIND_UINT64:
    case KIND_FIXED64:
        buffer_printf(out, "\"%" PRIu64 "\"", value);
        return;
    case KIND_DOUBLE:
        memcpy(&real, &value, sizeof(real));
        double_write(real, out);
        return;
    case KIND_STRING:
        text_write(bytes, out);
        return;
    case KIND_BYTES:
        base64_write(bytes, out);
        return;
    case KIND_TRACE_ID:
    case KIND_SPAN_ID:
        hex_write(bytes, out);
        return;
    case KIND_MESSAGE:
        message_write((enum schema_message)field->holds, bytes, depth + 1, out);
        return;
    case KIND_NONE:
    case KIND_COUNT:
        break;
    }
    buffer_append_text(out, "null");
}

static bool packed_next(const struct schema_field *field, struct wire *wire, uint64_t *value)
{
    if (field->wire_type == WIRE_VARINT) {
        return wire->ptr < wire->end && wire_varint(wire, value);
    }
    size_t len = field->wire_type == WIRE_FIXED64 ? 8 : 4;
    if ((size_t)(wire->end - wire->ptr) < len) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        *value |= (uint64_t)wire->ptr[i] << (8 * i);
    }
    wire->ptr += len;
    return true;
}

static void array_write(const struct schema_field *field, uint32_t number, struct bytes message,
                        unsigned depth, struct buffer *out)
{
    struct wire wire = wire_of(message);
    struct wire_field found;
    bool comma = false;
    buffer_append_byte(out, '[');
    while (wire_next(&wire, &found)) {
        if (found.number != number) {
            continue;
        }
        bool is_packed = found.type == WIRE_LEN && field->wire_type != WIRE_LEN;
        struct wire packed = wire_of(found.bytes);
        uint64_t value = found.value;
        while (!is_packed || packed_next(field, &packed, &value)) {
            if (comma) {
                buffer_append_byte(out, ',');
            }
            comma = true;
            value_write(field, value, found.bytes, depth, out);
            if (!is_packed) {
                break;
            }
        }
    }
    buffer_append_byte(out, ']');
}

static void one_write(const struct schema_field *field, uint32_t number, struct bytes message,
                      unsigned depth, struct buffer *out)
{
    struct wire wire = wire_of(message);
    struct wire_field found;
    struct wire_field last = {.value = 0};
    while (wire_next(&wire, &found)) {
        if (found.number == number && found.type == field->wire_type) {
            last = found;
        }
    }
    value_write(field, last.value, last.bytes, depth, out);
}

// Bit n: field n is there with a wire type that fits.
static uint32_t fields_present(enum schema_message type, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field found;
    uint32_t present = 0;
    while (wire_next(&wire, &found)) {
        const struct schema_field *field = schema_field(type, found.number);
        if (field == NULL) {
            continue;
        }
        bool fits = found.type == field->wire_type ||
                    (field->label == LABEL_MANY && found.type == WIRE_LEN);
        uint32_t bit = UINT32_C(1) << found.number;
        if (fits) {
            present = type == SCHEMA_ANY_VALUE ? bit : present | bit;
        }
    }
    return present;
}

static void name_write(const char *name, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (const char *at = name; *at != '\0'; at++) {
        bool starts_word = *at == '_' && at[1] >= 'a' && at[1] <= 'z';
        if (starts_word) {
            at++;
        }
        buffer_append_byte(out, (uint8_t)(starts_word ? *at - 'a' + 'A' : *at));
    }
    buffer_append_text(out, "\":");
}

static void message_write(enum schema_message type, struct bytes message, unsigned depth,
                          struct buffer *out)
{
    uint32_t present = depth < TEXT_DEPTH_MAX ? fields_present(type, message) : 0;
    bool comma = false;
    buffer_append_byte(out, '{');
    for (uint32_t number = 1; number <= SCHEMA_NUMBER_MAX; number++) {
        if ((present & UINT32_C(1) << number) == 0) {
            continue;
        }
        const struct schema_field *field = schema_field(type, number);
        if (comma) {
            buffer_append_byte(out, ',');
        }
        comma = true;
        name_write(field->name, out);
        if (field->label == LABEL_MANY) {
            array_write(field, number, message, depth, out);
        } else {
            one_write(field, number, message, depth, out);
        }
    }
    buffer_append_byte(out, '}');
}

void otlp_text_write_message(enum schema_message type, struct bytes message, struct buffer *out)
{
    message_write(type, message, 0, out);
}

void otlp_text_write(enum signal signal, struct bytes request, struct buffer *out)
{
    message_write(schema_request(signal), request, 0, out);
}
