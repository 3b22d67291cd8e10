// SPDX-License-Identifier: Apache-2.0
// JSON of modest size (at most 1 MiB: message attributes, judge replies, schemas) as a tree, and a
// writer (base/json_writer.h). Hides json-c: exact 64-bit integers, larger ones as doubles, depth
// at most 64, strict UTF-8, a bounded number of values, since a tree costs a hundred times its
// text at worst. Truncated text can be read as a prefix. Keys end at an escaped NUL; of members
// with the same key the last one counts. JSON from the network in bulk never comes here
// (proto/otlp_json.h streams it). Values are borrowed from the document and die with it. One
// thread per document.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/json_writer.h"

#define JSON_BYTES_MAX ((size_t)1 << 20)
#define JSON_VALUES_MAX 65536   // of one document ...
#define JSON_OBJECTS_MAX 16384  // ... and objects among them

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json_document;
struct json_value;

// RESULT_REJECT: malformed, too deep, invalid UTF-8, or bytes behind the value; RESULT_TOO_LARGE
// beyond JSON_BYTES_MAX, _VALUES_MAX or _OBJECTS_MAX; RESULT_SHED out of memory. `why` (may be
// NULL) gets a static sentence.
enum result json_parse(struct bytes text, struct json_document **document,
                       const char **why) MUST_USE;
// As json_parse, but text that ends too early yields what was complete up to there, `*truncated`
// set. A string value at the cut is kept as far as it goes; a number there is not.
enum result json_parse_prefix(struct bytes text, struct json_document **document,
                              bool *truncated) MUST_USE;
void json_free(struct json_document **document);  // takes; accepts NULL inside
const struct json_value *json_root(const struct json_document *document);
// Cheap test without a tree: is the whole text one JSON value (strict; white space around it
// allowed), within the limits above but for the length?
bool json_is_valid(struct bytes text);

// NULL reads as JSON_NULL, everywhere below.
enum json_kind json_kind(const struct json_value *value);
bool json_bool(const struct json_value *value);  // false unless JSON_BOOL true
int64_t json_int(const struct json_value *value, int64_t otherwise);
double json_double(const struct json_value *value, double otherwise);  // ints convert
struct bytes json_text(const struct json_value *value);  // empty unless JSON_TEXT; NUL behind
size_t json_count(const struct json_value *value);       // elements or members, 0 for others
const struct json_value *json_at(const struct json_value *array, size_t index);
const struct json_value *json_get(const struct json_value *object, const char *key);
bool json_has(const struct json_value *object, const char *key);  // true for a null member too
struct bytes json_get_text(const struct json_value *object, const char *key);
// Visits members in order of the text; stops when `visit` returns false.
void json_each(const struct json_value *object,
               bool (*visit)(void *arg, struct bytes key, const struct json_value *value),
               void *arg);
void json_write_value(const struct json_value *value, struct buffer *out);  // compact text
// Are both the same value? Numbers by value, objects whatever the order of members.
bool json_equal(const struct json_value *a, const struct json_value *b);
