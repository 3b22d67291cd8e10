// SPDX-License-Identifier: Apache-2.0
// Assertions that stay in release builds: the programmer's errors crash here with a sentence, the
// world's errors are returned as enum result. CHECK costs one predictable branch. MAGIC tags open
// the structs that cross threads or callbacks.
#pragma once

#include <stdint.h>

// Prints "file:line: check failed: expression" to stderr and aborts. Any thread; does not return.
_Noreturn void check_failed(const char *file, int line, const char *expression);

#define CHECK(expression) ((expression) ? (void)0 : check_failed(__FILE__, __LINE__, #expression))

// Four readable bytes as a tag: MAGIC('B','T','C','H').
#define MAGIC(a, b, c, d)                                                                          \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
