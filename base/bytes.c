// SPDX-License-Identifier: Apache-2.0
//
// Views of other people's bytes. Everything here is a pure function of pointer and length, leans on
// the C library's vectorised memory functions and never reads beyond `len`. Numbers are parsed
// whole or not at all: a view that is a number with something behind it is not a number. Refused:
// strtol on the view itself, which is not NUL-terminated and would skip white space, take signs and
// read on. Bounds: a double's text is at most DOUBLE_TEXT_MAX bytes.
#include "base/bytes.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE_TEXT_MAX = 128 };

struct bytes bytes_from(const void *ptr, size_t len)
{
    return (struct bytes){ptr, len};
}

struct bytes bytes_from_text(const char *text)
{
    return text ? bytes_from(text, strlen(text)) : BYTES_NONE;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal_text(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_from_text(text));
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool bytes_equal_nocase(struct bytes a, const char *text)
{
    struct bytes b = bytes_from_text(text);
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool bytes_start_with(struct bytes a, struct bytes prefix)
{
    return a.len >= prefix.len && bytes_equal(bytes_slice(a, 0, prefix.len), prefix);
}

bool bytes_end_with(struct bytes a, struct bytes suffix)
{
    return a.len >= suffix.len &&
           bytes_equal(bytes_slice(a, a.len - suffix.len, suffix.len), suffix);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    if (order == 0) {
        order = (a.len > b.len) - (a.len < b.len);
    }
    return order;
}

struct bytes bytes_slice(struct bytes a, size_t offset, size_t len)
{
    if (offset >= a.len) {
        return a.ptr ? (struct bytes){a.ptr + a.len, 0} : BYTES_NONE;
    }
    size_t rest = a.len - offset;
    return (struct bytes){a.ptr + offset, len < rest ? len : rest};
}

size_t bytes_find(struct bytes a, struct bytes needle, size_t from)
{
    if (from > a.len) {
        return SIZE_MAX;
    }
    if (needle.len == 0) {
        return from;
    }
    if (from == a.len) {
        return SIZE_MAX;
    }
    const uint8_t *found = memmem(a.ptr + from, a.len - from, needle.ptr, needle.len);
    return found ? (size_t)(found - a.ptr) : SIZE_MAX;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

struct bytes bytes_trim(struct bytes a)
{
    while (a.len > 0 && is_space(a.ptr[0])) {
        a.ptr++;
        a.len--;
    }
    while (a.len > 0 && is_space(a.ptr[a.len - 1])) {
        a.len--;
    }
    return a;
}

bool bytes_to_u64(struct bytes a, uint64_t *value)
{
    uint64_t sum = 0;
    if (a.len == 0) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        uint8_t digit = (uint8_t)(a.ptr[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
            __builtin_add_overflow(sum, (uint64_t)digit, &sum)) {
            return false;
        }
    }
    *value = sum;
    return true;
}

bool bytes_to_i64(struct bytes a, int64_t *value)
{
    bool negative = a.len > 0 && a.ptr[0] == '-';
    uint64_t magnitude;
    if (!bytes_to_u64(bytes_slice(a, negative, SIZE_MAX), &magnitude)) {
        return false;
    }
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    // Two's complement of the magnitude, so that INT64_MIN needs no case of its own.
    *value = (int64_t)(negative ? UINT64_C(0) - magnitude : magnitude);
    return true;
}

bool bytes_to_double(struct bytes a, double *value)
{
    char text[DOUBLE_TEXT_MAX + 1];
    if (a.len == 0 || a.len > DOUBLE_TEXT_MAX) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        // Keeps out what strtod would take besides decimals: space, hexadecimal, inf, nan.
        if (!(a.ptr[i] >= '0' && a.ptr[i] <= '9') && !memchr("+-.eE", a.ptr[i], 5)) {
            return false;
        }
    }
    memcpy(text, a.ptr, a.len);
    text[a.len] = '\0';
    char *end = NULL;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);  // a constant of the C library
    if (!c_locale) {
        return false;
    }
    double number = strtod_l(text, &end, c_locale);
    freelocale(c_locale);
    if (end != text + a.len || !isfinite(number)) {
        return false;
    }
    *value = number;
    return true;
}
