// SPDX-License-Identifier: Apache-2.0
//
// Attributes read where they lie and written as the bytes they will be. A walk is a cursor that
// stops at the KeyValue fields and decodes two tags of each; values stay views into the request.
// KeyValue.value may come before its key and AnyValue is a oneof, so both are read to their end.
// Refused: an index of keys (few are looked up, and it would have to live somewhere). Values are
// nested at most 64 deep, which the scanner has checked before; any_write_json checks again,
// because it recurses. Pure; any thread.
#include "proto/attribute.h"

#include "base/check.h"
#include "base/json.h"
#include "proto/base64.h"

void attribute_walk_begin(struct attribute_walk *walk, struct bytes fields, uint32_t number)
{
    walk->wire = wire_of(fields);
    walk->number = number;
}

static void pair_decode(struct bytes pair, struct attribute_view *attribute)
{
    struct wire wire = wire_of(pair);
    struct wire_field field;
    attribute->key = BYTES_NONE;
    attribute->value = (struct any_view){0};
    while (wire_next(&wire, &field)) {
        if (field.type == WIRE_LEN && field.number == KEYVALUE_KEY) {
            attribute->key = field.bytes;
        } else if (field.type == WIRE_LEN && field.number == KEYVALUE_VALUE) {
            struct any_view value = any_decode(field.bytes);
            if (value.kind != ANY_KIND_NONE) {  // merging an empty message changes nothing
                attribute->value = value;
            }
        }
    }
}

bool attribute_walk_next(struct attribute_walk *walk, struct attribute_view *attribute)
{
    struct wire_field field;
    while (wire_next(&walk->wire, &field)) {
        if (field.number == walk->number && field.type == WIRE_LEN) {
            pair_decode(field.bytes, attribute);
            attribute->field =
                (struct bytes){field.start, (size_t)(walk->wire.ptr - field.start)};
            return true;
        }
    }
    return false;
}

bool attribute_walk_key_slow(struct attribute_walk *walk, struct bytes *key, struct bytes *pair)
{
    struct wire_field field;
    struct attribute_view attribute;
    while (wire_next(&walk->wire, &field)) {
        if (field.number == walk->number && field.type == WIRE_LEN) {
            pair_decode(field.bytes, &attribute);
            *key = attribute.key;
            *pair = field.bytes;
            return true;
        }
    }
    return false;
}

struct any_view attribute_decode(struct bytes pair)
{
    struct attribute_view attribute;
    pair_decode(pair, &attribute);
    return attribute.value;
}

bool attribute_find(struct bytes fields, uint32_t number, const char *key, struct any_view *value)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    struct bytes wanted = bytes_from_text(key);
    bool found = false;
    attribute_walk_begin(&walk, fields, number);
    while (attribute_walk_next(&walk, &attribute)) {
        if (bytes_equal(attribute.key, wanted)) {
            *value = attribute.value;
            found = true;
        }
    }
    return found;
}

static void any_member(const struct wire_field *field, struct any_view *value)
{
    static const struct {
        enum wire_type type;
        enum any_kind kind;
    } members[] = {
        [ANY_STRING] = {WIRE_LEN, ANY_KIND_STRING}, [ANY_BOOL] = {WIRE_VARINT, ANY_KIND_BOOL},
        [ANY_INT] = {WIRE_VARINT, ANY_KIND_INT},    [ANY_DOUBLE] = {WIRE_FIXED64, ANY_KIND_DOUBLE},
        [ANY_ARRAY] = {WIRE_LEN, ANY_KIND_ARRAY},   [ANY_KVLIST] = {WIRE_LEN, ANY_KIND_KVLIST},
        [ANY_BYTES] = {WIRE_LEN, ANY_KIND_BYTES},
    };
    if (field->number < ANY_STRING || field->number > ANY_BYTES ||
        members[field->number].type != field->type) {
        return;  // unknown, string_value_strindex among them
    }
    *value = (struct any_view){.kind = members[field->number].kind, .bytes = field->bytes};
    if (value->kind == ANY_KIND_DOUBLE) {
        memcpy(&value->real, &field->value, sizeof value->real);
    } else if (value->kind == ANY_KIND_BOOL) {
        value->number = field->value != 0;
    } else {
        value->number = (int64_t)field->value;
    }
}

struct any_view any_decode(struct bytes any_value)
{
    struct wire wire = wire_of(any_value);
    struct wire_field field;
    struct any_view value = {0};
    while (wire_next(&wire, &field)) {
        any_member(&field, &value);
    }
    return value;
}

bool any_walk_next(struct wire *wire, struct any_view *value)
{
    struct wire_field field;
    while (wire_next(wire, &field)) {
        if (field.number == LIST_VALUES && field.type == WIRE_LEN) {
            *value = any_decode(field.bytes);
            return true;
        }
    }
    return false;
}

static void value_write(const struct any_view *value, struct json_writer *writer);

static void list_write(const struct any_view *list, struct json_writer *writer)
{
    struct wire wire = wire_of(list->bytes);
    struct any_view element;
    json_begin_array(writer);
    while (any_walk_next(&wire, &element)) {
        value_write(&element, writer);
    }
    json_end_array(writer);
}

static void map_write(const struct any_view *map, struct json_writer *writer)
{
    struct attribute_walk walk;
    struct attribute_view entry;
    attribute_walk_begin(&walk, map->bytes, LIST_VALUES);
    json_begin_object(writer);
    while (attribute_walk_next(&walk, &entry)) {
        json_key_bytes(writer, entry.key);
        value_write(&entry.value, writer);
    }
    json_end_object(writer);
}

static void base64_write(struct bytes data, struct json_writer *writer)
{
    struct buffer text;
    buffer_init(&text, data.len / 3 * 4 + 4);
    base64_encode(data, true, &text);
    json_put_text(writer, buffer_view(&text));
    buffer_fini(&text);
}

static void value_write(const struct any_view *value, struct json_writer *writer)
{
    bool too_deep = writer->depth >= JSON_DEPTH_MAX - 1;
    switch (too_deep ? ANY_KIND_NONE : value->kind) {
    case ANY_KIND_STRING:
        json_put_text(writer, value->bytes);
        return;
    case ANY_KIND_BOOL:
        json_put_bool(writer, value->number != 0);
        return;
    case ANY_KIND_INT:
        json_put_int(writer, value->number);
        return;
    case ANY_KIND_DOUBLE:
        json_put_double(writer, value->real);
        return;
    case ANY_KIND_ARRAY:
        list_write(value, writer);
        return;
    case ANY_KIND_KVLIST:
        map_write(value, writer);
        return;
    case ANY_KIND_BYTES:
        base64_write(value->bytes, writer);
        return;
    case ANY_KIND_NONE:
        json_put_null(writer);
        return;
    }
}

void any_write_json(const struct any_view *value, struct buffer *out)
{
    if (value->kind == ANY_KIND_STRING) {
        buffer_append_bytes(out, value->bytes);
        return;
    }
    struct json_writer writer;
    json_writer_init(&writer, out);
    value_write(value, &writer);
}

// A KeyValue up to the AnyValue's member; attribute_close ends both messages.
struct open_attribute {
    size_t pair, value;
};

static struct open_attribute attribute_open(struct buffer *out, uint32_t number, const char *key)
{
    struct open_attribute open;
    open.pair = wire_open(out, number);
    wire_write_text(out, KEYVALUE_KEY, key);
    open.value = wire_open(out, KEYVALUE_VALUE);
    return open;
}

static void attribute_close(struct buffer *out, struct open_attribute open)
{
    wire_close(out, open.value);
    wire_close(out, open.pair);
}

void attribute_write_text(struct buffer *out, uint32_t number, const char *key, struct bytes value)
{
    struct open_attribute open = attribute_open(out, number, key);
    wire_write_bytes(out, ANY_STRING, value);
    attribute_close(out, open);
}

void attribute_write_bool(struct buffer *out, uint32_t number, const char *key, bool value)
{
    struct open_attribute open = attribute_open(out, number, key);
    wire_write_varint(out, ANY_BOOL, value);
    attribute_close(out, open);
}

void attribute_write_int(struct buffer *out, uint32_t number, const char *key, int64_t value)
{
    struct open_attribute open = attribute_open(out, number, key);
    wire_write_varint(out, ANY_INT, (uint64_t)value);
    attribute_close(out, open);
}

void attribute_write_double(struct buffer *out, uint32_t number, const char *key, double value)
{
    struct open_attribute open = attribute_open(out, number, key);
    wire_write_double(out, ANY_DOUBLE, value);
    attribute_close(out, open);
}

void attribute_write_texts(struct buffer *out, uint32_t number, const char *key,
                           const struct bytes *values, size_t count)
{
    CHECK(values != NULL || count == 0);
    struct open_attribute open = attribute_open(out, number, key);
    size_t array = wire_open(out, ANY_ARRAY);
    for (size_t i = 0; i < count; i++) {
        size_t element = wire_open(out, LIST_VALUES);
        wire_write_bytes(out, ANY_STRING, values[i]);
        wire_close(out, element);
    }
    wire_close(out, array);
    attribute_close(out, open);
}
