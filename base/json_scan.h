// SPDX-License-Identifier: Apache-2.0
// A strict JSON scanner (RFC 8259) that builds nothing: is the text one value, and if it ends too
// early, where could it be cut? Depth is bounded, memory is constant. Pure; any thread.
#pragma once

#include "base/bytes.h"
#include "base/json.h"

struct json_scan {
    enum result result;  // OK: one whole value; REJECT: malformed or cut off; TOO_LARGE: a limit
    const char *why;     // static sentence when result is not OK
    bool cut_off;        // REJECT only because the text ends; what follows is set
    size_t keep;         // bytes to keep: up to the last complete value, or into a string value
    bool close_string;   // a string value was cut: a quote is missing behind `keep`
    unsigned depth;      // maps and lists that are open at `keep`, outermost first ...
    uint64_t is_object;  // ... bit i set: the i-th is an object
    size_t values, objects;
    bool has_large_integer;  // one without fraction or exponent does not fit into int64
};

// Scans the whole text; white space may surround the value. The text need not be UTF-8 outside of
// what is checked here: bytes from 0x80 up are let pass inside strings.
void json_scan(struct bytes text, struct json_scan *scan);
// Does the integer literal (digits, one leading minus) leave the range of int64?
bool json_integer_is_large(struct bytes literal);
