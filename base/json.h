// SPDX-License-Identifier: Apache-2.0
// JSON of modest size (at most 1 MiB: message attributes, judge replies, schemas) as a tree, and a writer. Hides json-c: exact
// 64-bit integers, depth at most 64, strict UTF-8. Truncated text can be read as a prefix. JSON from the network in bulk never comes
// here (proto/otlp_json.h streams it). Values are borrowed from the document and die with it. One thread per document.
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_BYTES_MAX ((size_t)1 << 20)
#define JSON_DEPTH_MAX 64

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json_document;
struct json_value;

// RESULT_REJECT: malformed, too deep, invalid UTF-8, or bytes behind the value; RESULT_TOO_LARGE beyond JSON_BYTES_MAX. `why` (may be
// NULL) gets a static sentence.
enum result json_parse(struct bytes text, struct json_document **document, const char **why) MUST_USE;
// As json_parse, but text that ends too early yields what was complete up to there, `*truncated` set.
enum result json_parse_prefix(struct bytes text, struct json_document **document, bool *truncated) MUST_USE;
void json_free(struct json_document **document);  // takes; accepts NULL inside
const struct json_value *json_root(const struct json_document *document);
// Cheap test without a tree: is the whole text one JSON value (strict; trailing white space allowed)?
bool json_is_valid(struct bytes text);

enum json_kind json_kind(const struct json_value *value);  // NULL reads as JSON_NULL, everywhere below
bool json_bool(const struct json_value *value);            // false unless JSON_BOOL true
int64_t json_int(const struct json_value *value, int64_t otherwise);
double json_double(const struct json_value *value, double otherwise);  // ints convert
struct bytes json_text(const struct json_value *value);    // empty unless JSON_TEXT
size_t json_count(const struct json_value *value);         // elements or members, 0 for others
const struct json_value *json_at(const struct json_value *array, size_t index);
const struct json_value *json_get(const struct json_value *object, const char *key);
struct bytes json_get_text(const struct json_value *object, const char *key);
// Visits members in order of the text; stops when `visit` returns false.
void json_each(const struct json_value *object, bool (*visit)(void *arg, struct bytes key, const struct json_value *value), void *arg);
void json_write_value(const struct json_value *value, struct buffer *out);  // compact text

// Writer: punctuation is kept right by the calls' order; text is escaped, invalid UTF-8 becomes U+FFFD.
struct json_writer {
    struct buffer *out;
    unsigned depth;
    bool comma[JSON_DEPTH_MAX];
    bool after_key;
};
void json_writer_init(struct json_writer *writer, struct buffer *out);
void json_begin_object(struct json_writer *writer);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer);
void json_end_array(struct json_writer *writer);
void json_key(struct json_writer *writer, const char *key);
void json_key_bytes(struct json_writer *writer, struct bytes key);
void json_put_text(struct json_writer *writer, struct bytes text);
void json_put_literal(struct json_writer *writer, const char *text);
void json_put_int(struct json_writer *writer, int64_t value);
void json_put_double(struct json_writer *writer, double value);  // shortest that reads back; null for NaN and infinities
void json_put_bool(struct json_writer *writer, bool value);
void json_put_null(struct json_writer *writer);
void json_put_raw(struct json_writer *writer, struct bytes json);  // already JSON
