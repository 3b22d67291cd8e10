// SPDX-License-Identifier: Apache-2.0
// A view: pointer and length of bytes owned by somebody else (a batch, an arena, a literal). Never
// NUL-terminated, never freed through the view. {NULL, 0} is the empty view. Pure functions; any
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

#define BYTES_NONE ((struct bytes){NULL, 0})
// View of a string literal, without its NUL.
#define BYTES_LITERAL(text) ((struct bytes){(const uint8_t *)("" text), sizeof(text) - 1})
// Arguments for a "%.*s" conversion.
#define BYTES_PRINTF(view)                                                                         \
    (int)(view).len, (const char *)((view).ptr ? (view).ptr : (const uint8_t *)"")

struct bytes bytes_from(const void *ptr, size_t len);
struct bytes bytes_from_text(const char *text);  // borrows; NULL gives the empty view
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_text(struct bytes a, const char *text);
bool bytes_equal_nocase(struct bytes a, const char *text);  // ASCII case folded
bool bytes_start_with(struct bytes a, struct bytes prefix);
bool bytes_end_with(struct bytes a, struct bytes suffix);
int bytes_compare(struct bytes a, struct bytes b);  // memcmp order, then length
// From `offset` (clamped to the end) at most `len` bytes.
struct bytes bytes_slice(struct bytes a, size_t offset, size_t len);
// Position of the first `needle` at or after `from`; SIZE_MAX if there is none. An empty needle is
// found at `from`.
size_t bytes_find(struct bytes a, struct bytes needle, size_t from);
// Without leading and trailing ASCII white space.
struct bytes bytes_trim(struct bytes a);
// The whole view as a decimal number; false when empty, not digits only (one leading '-' for i64),
// or out of range.
bool bytes_to_u64(struct bytes a, uint64_t *value);
bool bytes_to_i64(struct bytes a, int64_t *value);
bool bytes_to_double(struct bytes a, double *value);  // finite decimal, C locale
