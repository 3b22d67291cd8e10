// SPDX-License-Identifier: Apache-2.0
// A JSON writer into a buffer. Punctuation is kept right by the calls' order; text is escaped,
// invalid UTF-8 becomes U+FFFD. Failures are the buffer's, asked once at the end; misuse (a value
// without a key in an object, unbalanced ends, depth beyond 64) is a programmer's error. One
// thread.
#pragma once

#include "base/buffer.h"

#define JSON_DEPTH_MAX 64

struct json_writer {
    struct buffer *out;  // borrowed
    unsigned depth;
    bool comma[JSON_DEPTH_MAX];  // by level: a value stands there already
    bool is_object[JSON_DEPTH_MAX];
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
// As short as reads back to the same number; null for NaN and infinities.
void json_put_double(struct json_writer *writer, double value);
void json_put_bool(struct json_writer *writer, bool value);
void json_put_null(struct json_writer *writer);
void json_put_raw(struct json_writer *writer, struct bytes json);  // already JSON
