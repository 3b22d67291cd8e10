// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer born with a maximum, with a sticky error: append freely, ask once at the
// end. After the first failure (maximum reached: RESULT_TOO_LARGE, out of memory: RESULT_SHED)
// every append is a no-op and `len` stays at the last good length. One thread at a time.
#pragma once

#include <stdarg.h>

#include "base/bytes.h"
#include "base/result.h"

struct buffer {
    uint8_t *ptr;  // owned heap memory, `capacity` bytes
    size_t len;    // bytes in use
    size_t capacity;
    size_t len_max;      // never grows beyond
    enum result status;  // sticky
};

void buffer_init(struct buffer *buffer, size_t len_max);  // allocates nothing
// Accepts a zeroed struct; leaves it zeroed.
void buffer_fini(struct buffer *buffer);
void buffer_reset(struct buffer *buffer);  // len 0, status OK, memory kept
void buffer_append(struct buffer *buffer, const void *ptr, size_t len);
void buffer_append_bytes(struct buffer *buffer, struct bytes view);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, uint8_t byte);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *buffer, const char *format, va_list args);
// Makes room for `len` more bytes and returns where they go, or NULL (sticky). Follow with
// buffer_commit(<= len).
uint8_t *buffer_reserve(struct buffer *buffer, size_t len);
void buffer_commit(struct buffer *buffer, size_t len);
struct bytes buffer_view(const struct buffer *buffer);  // valid until the next append
// The text with a NUL behind it (not counted in len); "" after an error with nothing written.
const char *buffer_text(struct buffer *buffer);
enum result buffer_status(const struct buffer *buffer) MUST_USE;
