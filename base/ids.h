// SPDX-License-Identifier: Apache-2.0
// Trace and span ids as OTLP carries them: 16 and 8 bytes. All zero is "no id" (W3C Trace Context
// 3.2.2.3).
#pragma once

#include "base/bytes.h"

struct trace_id {
    uint8_t bytes[16];
};
struct span_id {
    uint8_t bytes[8];
};

bool trace_id_is_zero(const struct trace_id *id);
bool span_id_is_zero(const struct span_id *id);
bool trace_id_equal(const struct trace_id *a, const struct trace_id *b);
bool span_id_equal(const struct span_id *a, const struct span_id *b);
// Lower case, 2 * len + 1 bytes with NUL.
void hex_encode(const uint8_t *in, size_t len, char *out);
// Exactly 2 * out_len hex digits of either case, else false.
bool hex_decode(struct bytes text, uint8_t *out, size_t out_len);
