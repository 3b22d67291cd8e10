// SPDX-License-Identifier: Apache-2.0
//
// The growing byte buffer. Memory doubles from 256 bytes up and never passes len_max + 1: the one
// byte more is for the NUL of buffer_text, which therefore always has room and cannot fail. The
// error is sticky, so that a writer of many parts asks once; a refused append writes nothing, so
// `len` always ends between two appends. Refused: a chain of chunks (readers want one view) and
// shrinking (buffers are reset and used again). One thread at a time.
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { CAPACITY_MIN = 256 };

void buffer_init(struct buffer *buffer, size_t len_max)
{
    CHECK(len_max < SIZE_MAX / 2);
    *buffer = (struct buffer){.len_max = len_max};
}

void buffer_fini(struct buffer *buffer)
{
    free(buffer->ptr);
    *buffer = (struct buffer){0};
}

void buffer_reset(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->status = RESULT_OK;
}

// Makes room for `len` bytes and a NUL behind them.
static bool buffer_grow(struct buffer *buffer, size_t len)
{
    CHECK(buffer->len <= buffer->len_max);
    if (buffer->status != RESULT_OK) {
        return false;
    }
    if (len > buffer->len_max - buffer->len) {
        buffer->status = RESULT_TOO_LARGE;
        return false;
    }
    size_t need = buffer->len + len + 1;
    if (need <= buffer->capacity) {
        return true;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : CAPACITY_MIN;
    while (capacity < need) {
        capacity *= 2;
    }
    if (capacity > buffer->len_max + 1) {
        capacity = buffer->len_max + 1;
    }
    uint8_t *ptr = realloc(buffer->ptr, capacity);
    if (!ptr) {
        buffer->status = RESULT_SHED;
        return false;
    }
    buffer->ptr = ptr;
    buffer->capacity = capacity;
    CHECK(buffer->capacity >= need);
    return true;
}

void buffer_append(struct buffer *buffer, const void *ptr, size_t len)
{
    if (len > 0 && buffer_grow(buffer, len)) {
        memcpy(buffer->ptr + buffer->len, ptr, len);
        buffer->len += len;
    }
}

void buffer_append_bytes(struct buffer *buffer, struct bytes view)
{
    buffer_append(buffer, view.ptr, view.len);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    if (buffer_grow(buffer, 1)) {
        buffer->ptr[buffer->len++] = byte;
    }
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buffer_vprintf(buffer, format, args);
    va_end(args);
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
{
    if (buffer->status != RESULT_OK) {
        return;
    }
    va_list again;
    va_copy(again, args);
    size_t room = buffer->capacity - buffer->len;
    char *at = room ? (char *)buffer->ptr + buffer->len : NULL;
    int len = vsnprintf(at, room, format, args);
    CHECK(len >= 0);  // only a bad format or conversion fails
    if ((size_t)len < room && (size_t)len <= buffer->len_max - buffer->len) {
        buffer->len += (size_t)len;
    } else if (buffer_grow(buffer, (size_t)len)) {
        int len_again =
            vsnprintf((char *)buffer->ptr + buffer->len, (size_t)len + 1, format, again);
        CHECK(len_again == len);
        buffer->len += (size_t)len;
    }
    va_end(again);
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t len)
{
    return buffer_grow(buffer, len) ? buffer->ptr + buffer->len : NULL;
}

void buffer_commit(struct buffer *buffer, size_t len)
{
    CHECK(buffer->status == RESULT_OK);
    CHECK(len <= buffer->len_max - buffer->len);
    CHECK(len == 0 || len < buffer->capacity - buffer->len);
    buffer->len += len;
}

struct bytes buffer_view(const struct buffer *buffer)
{
    return (struct bytes){buffer->ptr, buffer->len};
}

const char *buffer_text(struct buffer *buffer)
{
    if (!buffer->ptr) {
        return "";
    }
    CHECK(buffer->len < buffer->capacity);
    buffer->ptr[buffer->len] = '\0';
    return (const char *)buffer->ptr;
}

enum result buffer_status(const struct buffer *buffer)
{
    return buffer->status;
}
