// SPDX-License-Identifier: Apache-2.0
// Attributes on the wire: walking the KeyValues of a validated span, log record, resource or scope
// without decoding them, and writing new ones. Values stay views. Pure; any thread.
#pragma once

#include "proto/otlp.h"
#include "proto/wire.h"

enum any_kind {
    ANY_KIND_NONE, ANY_KIND_STRING, ANY_KIND_BOOL, ANY_KIND_INT, ANY_KIND_DOUBLE, ANY_KIND_ARRAY,
    ANY_KIND_KVLIST, ANY_KIND_BYTES
};

struct any_view {            // a decoded AnyValue; the last member of the oneof wins
    enum any_kind kind;
    struct bytes bytes;      // STRING, BYTES: content; ARRAY, KVLIST: message payload
    int64_t number;          // INT, BOOL
    double real;             // DOUBLE
};

struct attribute_view {
    struct bytes key;
    struct any_view value;
    struct bytes field;      // the whole field, tag included: what a delete leaves out
};

struct attribute_walk {
    struct wire wire;
    uint32_t number;         // field number of the KeyValue entries
};

// Walks the fields `number` of `fields` (a whole message, or the `attributes` range of an
// item_view; other fields are skipped).
void attribute_walk_begin(struct attribute_walk *walk, struct bytes fields, uint32_t number);
bool attribute_walk_next(struct attribute_walk *walk, struct attribute_view *attribute);
// The next attribute's key alone, and its whole KeyValue message for attribute_decode when the key
// is of interest: most keys are looked at and passed by, so this reads two tags and two lengths of
// the usual form (key first) and decodes nothing. Of a KeyValue with two keys it may give the
// first.
bool attribute_walk_key_slow(struct attribute_walk *walk, struct bytes *key, struct bytes *pair);
static inline bool attribute_walk_key(struct attribute_walk *walk, struct bytes *key,
                                      struct bytes *pair)
{
    const uint8_t *at = walk->wire.ptr, *end = walk->wire.end;
    if (end - at > 6 && walk->number < 16 && at[0] == (walk->number << 3 | WIRE_LEN)) {
        size_t len = at[1] & 0x7f;
        size_t head = at[1] < 0x80 ? 2 : 3;
        len |= head == 3 ? (size_t)at[2] << 7 : 0;
        const uint8_t *inside = at + head;
        if (len > 2 && len < 1 << 14 && len <= (size_t)(end - inside) &&
            inside[0] == (KEYVALUE_KEY << 3 | WIRE_LEN) && (size_t)inside[1] + 2 <= len &&
            inside[1] < 0x80) {
            *key = (struct bytes){inside + 2, inside[1]};
            *pair = (struct bytes){inside, len};
            walk->wire.ptr = inside + len;
            return true;
        }
    }
    return attribute_walk_key_slow(walk, key, pair);
}
// The value of a KeyValue message.
struct any_view attribute_decode(struct bytes pair);
// The last attribute with this key; false when absent.
bool attribute_find(struct bytes fields, uint32_t number, const char *key, struct any_view *value);
struct any_view any_decode(struct bytes any_value);
// Elements of an ARRAY / entries of a KVLIST: same walk, over any.bytes with number LIST_VALUES.
bool any_walk_next(struct wire *wire, struct any_view *value);
// Text for people and for evaluators: strings as they are, others as compact JSON. Appends; depth
// at most 64.
void any_write_json(const struct any_view *value, struct buffer *out);

// Writers: one KeyValue as field `number` (SPAN_ATTRIBUTES, LOG_ATTRIBUTES ...).
void attribute_write_text(struct buffer *out, uint32_t number, const char *key, struct bytes value);
void attribute_write_bool(struct buffer *out, uint32_t number, const char *key, bool value);
void attribute_write_int(struct buffer *out, uint32_t number, const char *key, int64_t value);
void attribute_write_double(struct buffer *out, uint32_t number, const char *key, double value);
void attribute_write_texts(struct buffer *out, uint32_t number, const char *key,
                           const struct bytes *values, size_t count);
