// SPDX-License-Identifier: Apache-2.0
//
// Writing JSON straight into a buffer: no tree, no allocation but the buffer's own. A level knows
// whether it has a value already, which is all that commas need.
//
// Doubles are printed with the fewest of 15 to 17 digits that read back to the same number, so that
// 0.1 stays 0.1. Text is checked as a whole first: valid UTF-8, the common case, is only escaped.
// Bounds: JSON_DEPTH_MAX levels, the buffer's len_max. One thread.
#include "base/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/utf8.h"

void json_writer_init(struct json_writer *writer, struct buffer *out)
{
    *writer = (struct json_writer){.out = out};
}

static bool in_object(const struct json_writer *writer)
{
    return writer->depth > 0 && writer->is_object[writer->depth - 1];
}

static void put_comma(struct json_writer *writer)
{
    if (writer->depth > 0) {
        bool *comma = &writer->comma[writer->depth - 1];
        if (*comma) {
            buffer_append_byte(writer->out, ',');
        }
        *comma = true;
    }
}

static void before_value(struct json_writer *writer)
{
    if (in_object(writer)) {
        CHECK(writer->after_key);
        writer->after_key = false;
    } else {
        put_comma(writer);
    }
}

static void begin(struct json_writer *writer, bool is_object)
{
    before_value(writer);
    CHECK(writer->depth < JSON_DEPTH_MAX);
    writer->comma[writer->depth] = false;
    writer->is_object[writer->depth] = is_object;
    writer->depth++;
    buffer_append_byte(writer->out, is_object ? '{' : '[');
}

static void end(struct json_writer *writer, bool is_object)
{
    CHECK(writer->depth > 0 && in_object(writer) == is_object && !writer->after_key);
    writer->depth--;
    buffer_append_byte(writer->out, is_object ? '}' : ']');
}

void json_begin_object(struct json_writer *writer)
{
    begin(writer, true);
}

void json_end_object(struct json_writer *writer)
{
    end(writer, true);
}

void json_begin_array(struct json_writer *writer)
{
    begin(writer, false);
}

void json_end_array(struct json_writer *writer)
{
    end(writer, false);
}

static const char *escape_of(uint8_t byte)
{
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

// Valid UTF-8.
static void put_valid(struct buffer *out, struct bytes text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        buffer_append_bytes(out, bytes_slice(text, from, i - from));
        from = i + 1;
        if (escape_of(byte) != NULL) {
            buffer_append_text(out, escape_of(byte));
        } else {
            buffer_printf(out, "\\u%04x", byte);
        }
    }
    buffer_append_bytes(out, bytes_slice(text, from, text.len));
}

// The length of the whole character at `at`; 0 if there is none.
static size_t character_len(struct bytes text, size_t at)
{
    uint8_t lead = text.ptr[at];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    struct bytes character = bytes_slice(text, at, len);
    return character.len == len && utf8_is_valid(character) ? len : 0;
}

static void put_repaired(struct buffer *out, struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = character_len(text, at);
        if (len > 0) {
            put_valid(out, bytes_slice(text, at, len));
        } else {
            buffer_append_text(out, "\xef\xbf\xbd");
        }
        at += len > 0 ? len : 1;
    }
}

static void put_quoted(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '"');
    if (utf8_is_valid(text)) {
        put_valid(out, text);
    } else {
        put_repaired(out, text);
    }
    buffer_append_byte(out, '"');
}

void json_key_bytes(struct json_writer *writer, struct bytes key)
{
    CHECK(in_object(writer) && !writer->after_key);
    put_comma(writer);
    put_quoted(writer->out, key);
    buffer_append_byte(writer->out, ':');
    writer->after_key = true;
}

void json_key(struct json_writer *writer, const char *key)
{
    json_key_bytes(writer, bytes_from_text(key));
}

void json_put_text(struct json_writer *writer, struct bytes text)
{
    before_value(writer);
    put_quoted(writer->out, text);
}

void json_put_literal(struct json_writer *writer, const char *text)
{
    json_put_text(writer, bytes_from_text(text));
}

void json_put_int(struct json_writer *writer, int64_t value)
{
    before_value(writer);
    buffer_printf(writer->out, "%" PRId64, value);
}

void json_put_double(struct json_writer *writer, double value)
{
    before_value(writer);
    if (!isfinite(value)) {
        buffer_append_text(writer->out, "null");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (!(back < value) && !(back > value)) {
            break;
        }
    }
    buffer_append_text(writer->out, text);
}

void json_put_bool(struct json_writer *writer, bool value)
{
    before_value(writer);
    buffer_append_text(writer->out, value ? "true" : "false");
}

void json_put_null(struct json_writer *writer)
{
    before_value(writer);
    buffer_append_text(writer->out, "null");
}

void json_put_raw(struct json_writer *writer, struct bytes json)
{
    before_value(writer);
    buffer_append_bytes(writer->out, json);
}
