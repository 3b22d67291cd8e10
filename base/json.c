// SPDX-License-Identifier: Apache-2.0
//
// The JSON tree, on json-c. The text passes our own scanner first (json_scan.c), so json-c sees
// only sound JSON within the limits, and its leniencies do not matter. Two things are prepared for
// it: integers beyond int64, which it would saturate, get an exponent and become doubles; text
// that was cut off is closed at the last sound place.
//
// A json_value is a json_object of json-c's under another name, and null is NULL in both, which is
// why every accessor takes NULL. Bounds: json.h. One thread per document.
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define json_bool json_c_bool  // json-c's type of that name would hide our function
#include <json-c/json.h>
#undef json_bool

#include "base/check.h"
#include "base/json_scan.h"
#include "base/utf8.h"

struct json_document {
    struct json_object *root;
};

// json-c takes mutable pointers even to read.
static struct json_object *object_of(const struct json_value *value)
{
    return (struct json_object *)(uintptr_t)value;
}

static const struct json_value *value_of(const struct json_object *object)
{
    return (const struct json_value *)object;
}

static enum result fail(const char **why, enum result result, const char *sentence)
{
    if (why != NULL) {
        *why = sentence;
    }
    return result;
}

static bool is_number_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' ||
           byte == 'e' || byte == 'E';
}

// Copies scanned text, large integers with "e0" behind.
static void append_with_doubles(struct bytes text, struct buffer *out)
{
    bool in_string = false;
    for (size_t i = 0; i < text.len;) {
        uint8_t byte = text.ptr[i];
        if (in_string || !((byte >= '0' && byte <= '9') || byte == '-')) {
            size_t len = in_string && byte == '\\' ? 2 : 1;
            in_string = byte == '"' ? !in_string : in_string;
            buffer_append_bytes(out, bytes_slice(text, i, len));
            i += len;
            continue;
        }
        size_t end = i;
        while (end < text.len && is_number_byte(text.ptr[end])) {
            end++;
        }
        struct bytes number = bytes_slice(text, i, end - i);
        bool integer = memchr(number.ptr, '.', number.len) == NULL &&
                       memchr(number.ptr, 'e', number.len) == NULL &&
                       memchr(number.ptr, 'E', number.len) == NULL;
        buffer_append_bytes(out, number);
        if (integer && json_integer_is_large(number)) {
            buffer_append_text(out, "e0");
        }
        i = end;
    }
}

// Scanned text to a tree.
static enum result build(struct bytes text, struct json_document **document, const char **why)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
    struct json_document *made = calloc(1, sizeof *made);
    if (tokener == NULL || made == NULL) {
        free(made);
        if (tokener != NULL) {
            json_tokener_free(tokener);
        }
        return fail(why, RESULT_SHED, "no memory is left for the JSON tree");
    }
    made->root = json_tokener_parse_ex(tokener, (const char *)text.ptr, (int)text.len);
    if (json_tokener_get_error(tokener) == json_tokener_continue) {
        // A number at the very end wants to be told that nothing follows.
        made->root = json_tokener_parse_ex(tokener, "", 1);
    }
    enum json_tokener_error error = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (error != json_tokener_success) {
        free(made);
        return fail(why, RESULT_REJECT, "the JSON text cannot be read");
    }
    *document = made;
    return RESULT_OK;
}

static enum result build_prepared(struct bytes text, const struct json_scan *scan, bool close,
                                  struct json_document **document, const char **why)
{
    if (!scan->has_large_integer && !close) {
        return build(text, document, why);
    }
    struct buffer prepared;
    buffer_init(&prepared, 2 * JSON_BYTES_MAX);
    append_with_doubles(close ? bytes_slice(text, 0, scan->keep) : text, &prepared);
    if (close && scan->close_string) {
        buffer_append_byte(&prepared, '"');
    }
    for (unsigned level = scan->depth; close && level > 0; level--) {
        buffer_append_byte(&prepared, (scan->is_object >> (level - 1) & 1) != 0 ? '}' : ']');
    }
    enum result result = buffer_status(&prepared);
    if (result == RESULT_OK) {
        result = build(buffer_view(&prepared), document, why);
    } else {
        fail(why, result, "no memory is left for the JSON text");
    }
    buffer_fini(&prepared);
    return result;
}

enum result json_parse(struct bytes text, struct json_document **document, const char **why)
{
    struct json_scan scan;
    if (text.len > JSON_BYTES_MAX) {
        return fail(why, RESULT_TOO_LARGE, "the JSON text is larger than 1 MiB");
    }
    if (!utf8_is_valid(text)) {
        return fail(why, RESULT_REJECT, "the JSON text is not UTF-8");
    }
    json_scan(text, &scan);
    if (scan.result != RESULT_OK) {
        return fail(why, scan.result, scan.why);
    }
    return build_prepared(text, &scan, false, document, why);
}

// A text that was cut by bytes may end inside a character.
static struct bytes without_partial_character(struct bytes text)
{
    size_t tail = 0;
    while (tail < 3 && tail < text.len && (text.ptr[text.len - 1 - tail] & 0xc0) == 0x80) {
        tail++;
    }
    if (tail == text.len) {
        return text;
    }
    uint8_t lead = text.ptr[text.len - 1 - tail];
    size_t len = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    return len > tail + 1 ? bytes_slice(text, 0, text.len - 1 - tail) : text;
}

enum result json_parse_prefix(struct bytes text, struct json_document **document, bool *truncated)
{
    struct json_scan scan;
    if (text.len > JSON_BYTES_MAX) {
        return RESULT_TOO_LARGE;
    }
    struct bytes whole = without_partial_character(text);
    if (!utf8_is_valid(whole)) {
        return RESULT_REJECT;
    }
    json_scan(whole, &scan);
    bool usable = scan.result == RESULT_OK ||
                  (scan.cut_off && scan.keep > 0 && (scan.depth > 0 || scan.close_string));
    if (!usable) {
        return scan.result;
    }
    bool close = scan.result != RESULT_OK;
    enum result result = build_prepared(whole, &scan, close, document, NULL);
    if (result == RESULT_OK) {
        *truncated = close || whole.len < text.len;
    }
    return result;
}

void json_free(struct json_document **document)
{
    if (*document != NULL) {
        json_object_put((*document)->root);
        free(*document);
        *document = NULL;
    }
}

const struct json_value *json_root(const struct json_document *document)
{
    return document != NULL ? value_of(document->root) : NULL;
}

bool json_is_valid(struct bytes text)
{
    struct json_scan scan;
    json_scan(text, &scan);
    return scan.result == RESULT_OK && utf8_is_valid(text);
}

enum json_kind json_kind(const struct json_value *value)
{
    switch (json_object_get_type(object_of(value))) {
    case json_type_boolean:
        return JSON_BOOL;
    case json_type_int:
        return JSON_INT;
    case json_type_double:
        return JSON_DOUBLE;
    case json_type_string:
        return JSON_TEXT;
    case json_type_array:
        return JSON_ARRAY;
    case json_type_object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

bool json_bool(const struct json_value *value)
{
    return json_kind(value) == JSON_BOOL && json_object_get_boolean(object_of(value));
}

int64_t json_int(const struct json_value *value, int64_t otherwise)
{
    return json_kind(value) == JSON_INT ? json_object_get_int64(object_of(value)) : otherwise;
}

double json_double(const struct json_value *value, double otherwise)
{
    enum json_kind kind = json_kind(value);
    return kind == JSON_INT      ? (double)json_object_get_int64(object_of(value))
           : kind == JSON_DOUBLE ? json_object_get_double(object_of(value))
                                 : otherwise;
}

struct bytes json_text(const struct json_value *value)
{
    if (json_kind(value) != JSON_TEXT) {
        return BYTES_NONE;
    }
    struct json_object *object = object_of(value);
    return bytes_from(json_object_get_string(object), (size_t)json_object_get_string_len(object));
}

size_t json_count(const struct json_value *value)
{
    switch (json_kind(value)) {
    case JSON_ARRAY:
        return json_object_array_length(object_of(value));
    case JSON_OBJECT:
        return (size_t)json_object_object_length(object_of(value));
    default:
        return 0;
    }
}

const struct json_value *json_at(const struct json_value *array, size_t index)
{
    if (json_kind(array) != JSON_ARRAY || index >= json_count(array)) {
        return NULL;
    }
    return value_of(json_object_array_get_idx(object_of(array), index));
}

const struct json_value *json_get(const struct json_value *object, const char *key)
{
    struct json_object *found = NULL;
    if (json_kind(object) == JSON_OBJECT) {
        json_object_object_get_ex(object_of(object), key, &found);
    }
    return value_of(found);
}

bool json_has(const struct json_value *object, const char *key)
{
    return json_kind(object) == JSON_OBJECT &&
           json_object_object_get_ex(object_of(object), key, NULL);
}

struct bytes json_get_text(const struct json_value *object, const char *key)
{
    return json_text(json_get(object, key));
}

void json_each(const struct json_value *object,
               bool (*visit)(void *arg, struct bytes key, const struct json_value *value),
               void *arg)
{
    if (json_kind(object) != JSON_OBJECT) {
        return;
    }
    struct json_object_iterator at = json_object_iter_begin(object_of(object));
    struct json_object_iterator end = json_object_iter_end(object_of(object));
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        struct bytes key = bytes_from_text(json_object_iter_peek_name(&at));
        if (!visit(arg, key, value_of(json_object_iter_peek_value(&at)))) {
            return;
        }
    }
}

static bool write_member(void *arg, struct bytes key, const struct json_value *value);

static void write_value(struct json_writer *writer, const struct json_value *value)
{
    switch (json_kind(value)) {
    case JSON_NULL:
        json_put_null(writer);
        break;
    case JSON_BOOL:
        json_put_bool(writer, json_bool(value));
        break;
    case JSON_INT:
        json_put_int(writer, json_int(value, 0));
        break;
    case JSON_DOUBLE:
        json_put_double(writer, json_double(value, 0));
        break;
    case JSON_TEXT:
        json_put_text(writer, json_text(value));
        break;
    case JSON_ARRAY:
        json_begin_array(writer);
        for (size_t i = 0; i < json_count(value); i++) {
            write_value(writer, json_at(value, i));
        }
        json_end_array(writer);
        break;
    case JSON_OBJECT:
        json_begin_object(writer);
        json_each(value, write_member, writer);
        json_end_object(writer);
        break;
    }
}

static bool write_member(void *arg, struct bytes key, const struct json_value *value)
{
    struct json_writer *writer = arg;
    json_key_bytes(writer, key);
    write_value(writer, value);
    return true;
}

void json_write_value(const struct json_value *value, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    write_value(&writer, value);
}

struct comparison {
    const struct json_value *other;
    bool equal;
};

static bool compare_member(void *arg, struct bytes key, const struct json_value *value)
{
    struct comparison *comparison = arg;
    const char *name = (const char *)key.ptr;  // json-c's keys are NUL-terminated
    comparison->equal =
        json_has(comparison->other, name) && json_equal(value, json_get(comparison->other, name));
    return comparison->equal;
}

static bool is_number(enum json_kind kind)
{
    return kind == JSON_INT || kind == JSON_DOUBLE;
}

bool json_equal(const struct json_value *a, const struct json_value *b)
{
    enum json_kind kind = json_kind(a);
    if (is_number(kind) && is_number(json_kind(b)) && kind != json_kind(b)) {
        return !islessgreater(json_double(a, 0), json_double(b, 0));
    }
    if (kind != json_kind(b) || json_count(a) != json_count(b)) {
        return false;
    }
    struct comparison comparison = {.other = b, .equal = true};
    switch (kind) {
    case JSON_BOOL:
        return json_bool(a) == json_bool(b);
    case JSON_INT:
        return json_int(a, 0) == json_int(b, 0);
    case JSON_DOUBLE:
        return !islessgreater(json_double(a, 0), json_double(b, 0));
    case JSON_TEXT:
        return bytes_equal(json_text(a), json_text(b));
    case JSON_ARRAY:
        for (size_t i = 0; comparison.equal && i < json_count(a); i++) {
            comparison.equal = json_equal(json_at(a, i), json_at(b, i));
        }
        return comparison.equal;
    case JSON_OBJECT:
        json_each(a, compare_member, &comparison);
        return comparison.equal;
    default:
        return true;
    }
}
