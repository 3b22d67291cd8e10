// SPDX-License-Identifier: Apache-2.0
//
// The scanner: one pass, one state for what may come next, one bit per level of nesting. It stands
// in front of json-c, whose own strictness has gaps (it refuses integers above 64 bits, accepts
// some words that are no JSON), and answers the question that a tree is too dear for.
//
// For text that was cut off it remembers the last place at which closing what is open gives JSON
// again: behind a complete element or member, behind an opening bracket, or inside a string value,
// since the longest text in a truncated attribute is usually the one that was cut. A number at the
// end may lack digits and is left out. Pure.
#include "base/json_scan.h"

#include <string.h>

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END,  // behind "["
    EXPECT_KEY_OR_END,    // behind "{"
    EXPECT_KEY,           // behind a comma in an object
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING,  // the value is complete
};

struct cursor {
    const uint8_t *begin, *at, *end;
    struct json_scan *scan;
    enum expect expect;
    unsigned depth;
    uint64_t is_object;
};

static bool fail(struct cursor *cursor, enum result result, const char *why)
{
    cursor->scan->result = result;
    cursor->scan->why = why;
    return false;
}

static bool ends_early(struct cursor *cursor)
{
    cursor->scan->cut_off = true;
    return fail(cursor, RESULT_REJECT, "the JSON text ends too early");
}

// Here the text could be cut.
static void mark(struct cursor *cursor)
{
    cursor->scan->keep = (size_t)(cursor->at - cursor->begin);
    cursor->scan->depth = cursor->depth;
    cursor->scan->is_object = cursor->is_object;
}

static bool in_object(const struct cursor *cursor)
{
    return cursor->depth > 0 && (cursor->is_object >> (cursor->depth - 1) & 1) != 0;
}

static void value_ends(struct cursor *cursor)
{
    cursor->expect = cursor->depth > 0 ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
    mark(cursor);
}

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

// Behind the backslash. False: malformed, or (at the end) cut off.
static bool scan_escape(struct cursor *cursor)
{
    if (cursor->at == cursor->end) {
        return ends_early(cursor);
    }
    uint8_t byte = *cursor->at++;
    if (byte != 'u') {
        return (byte != '\0' && strchr("\"\\/bfnrt", byte) != NULL) ||
               fail(cursor, RESULT_REJECT, "an unknown escape in a JSON string");
    }
    for (int i = 0; i < 4; i++) {
        if (cursor->at == cursor->end) {
            return ends_early(cursor);
        }
        if (!is_hex(*cursor->at++)) {
            return fail(cursor, RESULT_REJECT, "\\u needs four hexadecimal digits");
        }
    }
    return true;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

// Up to a quote, a backslash, a control character or the end; eight bytes at a time while none of
// them is among those ("Bit Twiddling Hacks": has zero byte, has less than).
static void skip_plain(struct cursor *cursor)
{
    uint64_t word;
    while (cursor->end - cursor->at >= (ptrdiff_t)sizeof(word)) {
        memcpy(&word, cursor->at, sizeof(word));
        uint64_t control = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);
        if ((control | zero_bytes(word ^ EACH_BYTE('"')) | zero_bytes(word ^ EACH_BYTE('\\'))) !=
            0) {
            break;
        }
        cursor->at += sizeof(word);
    }
    while (cursor->at < cursor->end && *cursor->at >= 0x20 && *cursor->at != '"' &&
           *cursor->at != '\\') {
        cursor->at++;
    }
}

// At the opening quote. A string value that is cut off may be kept up to its last whole character.
static bool scan_string(struct cursor *cursor, bool is_value)
{
    cursor->at++;
    for (;;) {
        if (is_value) {
            cursor->scan->close_string = true;
            mark(cursor);
        }
        skip_plain(cursor);
        if (is_value) {
            mark(cursor);
        }
        if (cursor->at == cursor->end) {
            return ends_early(cursor);
        }
        uint8_t byte = *cursor->at++;
        if (byte == '"') {
            cursor->scan->close_string = false;
            return true;
        }
        if (byte != '\\') {
            return fail(cursor, RESULT_REJECT, "a control character in a JSON string");
        }
        if (!scan_escape(cursor)) {
            return false;
        }
    }
}

static size_t scan_digits(struct cursor *cursor)
{
    const uint8_t *from = cursor->at;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        cursor->at++;
    }
    return (size_t)(cursor->at - from);
}

static bool at_byte(const struct cursor *cursor, char a, char b)
{
    return cursor->at < cursor->end && (*cursor->at == (uint8_t)a || *cursor->at == (uint8_t)b);
}

bool json_integer_is_large(struct bytes literal)
{
    int64_t value;
    return !bytes_to_i64(literal, &value);
}

static bool number_fails(struct cursor *cursor)
{
    return cursor->at == cursor->end ? ends_early(cursor)
                                     : fail(cursor, RESULT_REJECT, "a malformed JSON number");
}

static bool scan_number(struct cursor *cursor)
{
    const uint8_t *from = cursor->at;
    bool is_integer = true;
    if (*cursor->at == '-') {
        cursor->at++;
    }
    if (at_byte(cursor, '0', '0')) {
        cursor->at++;
    } else if (scan_digits(cursor) == 0) {
        return number_fails(cursor);
    }
    if (at_byte(cursor, '.', '.')) {
        cursor->at++;
        is_integer = false;
        if (scan_digits(cursor) == 0) {
            return number_fails(cursor);
        }
    }
    if (at_byte(cursor, 'e', 'E')) {
        cursor->at++;
        is_integer = false;
        if (at_byte(cursor, '+', '-')) {
            cursor->at++;
        }
        if (scan_digits(cursor) == 0) {
            return number_fails(cursor);
        }
    }
    if (cursor->at == cursor->end && cursor->depth > 0) {
        return ends_early(cursor);  // more digits may have been lost
    }
    if (is_integer && json_integer_is_large(bytes_from(from, (size_t)(cursor->at - from)))) {
        cursor->scan->has_large_integer = true;
    }
    return true;
}

static bool scan_word(struct cursor *cursor, const char *word)
{
    for (; *word != '\0'; word++, cursor->at++) {
        if (cursor->at == cursor->end) {
            return ends_early(cursor);
        }
        if (*cursor->at != (uint8_t)*word) {
            return fail(cursor, RESULT_REJECT, "an unknown word in JSON");
        }
    }
    return true;
}

static bool open_container(struct cursor *cursor, bool is_object)
{
    if (cursor->depth == JSON_DEPTH_MAX) {
        return fail(cursor, RESULT_REJECT, "the JSON text is nested deeper than 64 levels");
    }
    uint64_t bit = UINT64_C(1) << cursor->depth;
    cursor->is_object = is_object ? cursor->is_object | bit : cursor->is_object & ~bit;
    cursor->depth++;
    cursor->at++;
    cursor->expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    cursor->scan->objects += is_object;
    mark(cursor);
    return true;
}

static bool close_container(struct cursor *cursor, bool is_object)
{
    if (cursor->depth == 0 || in_object(cursor) != is_object) {
        return fail(cursor, RESULT_REJECT, "a JSON bracket closes what is not open");
    }
    cursor->depth--;
    cursor->at++;
    value_ends(cursor);
    return true;
}

static bool scan_scalar(struct cursor *cursor)
{
    switch (*cursor->at) {
    case '"':
        return scan_string(cursor, true);
    case 't':
        return scan_word(cursor, "true");
    case 'f':
        return scan_word(cursor, "false");
    case 'n':
        return scan_word(cursor, "null");
    default:
        break;
    }
    if (*cursor->at == '-' || (*cursor->at >= '0' && *cursor->at <= '9')) {
        return scan_number(cursor);
    }
    return fail(cursor, RESULT_REJECT, "a JSON value is expected");
}

static bool scan_value(struct cursor *cursor)
{
    if (++cursor->scan->values > JSON_VALUES_MAX || cursor->scan->objects > JSON_OBJECTS_MAX) {
        return fail(cursor, RESULT_TOO_LARGE, "the JSON text has too many values");
    }
    if (*cursor->at == '{' || *cursor->at == '[') {
        return open_container(cursor, *cursor->at == '{');
    }
    if (!scan_scalar(cursor)) {
        return false;
    }
    value_ends(cursor);
    return true;
}

static bool scan_comma_or_end(struct cursor *cursor)
{
    uint8_t byte = *cursor->at;
    if (byte == '}' || byte == ']') {
        return close_container(cursor, byte == '}');
    }
    if (byte != ',') {
        return fail(cursor, RESULT_REJECT, "a comma or a closing bracket is expected in JSON");
    }
    cursor->at++;
    cursor->expect = in_object(cursor) ? EXPECT_KEY : EXPECT_VALUE;
    return true;
}

static bool scan_key(struct cursor *cursor)
{
    if (*cursor->at != '"') {
        return fail(cursor, RESULT_REJECT, "a JSON key is expected");
    }
    cursor->expect = EXPECT_COLON;
    return scan_string(cursor, false);
}

static bool scan_colon(struct cursor *cursor)
{
    if (*cursor->at != ':') {
        return fail(cursor, RESULT_REJECT, "a colon is expected in JSON");
    }
    cursor->at++;
    cursor->expect = EXPECT_VALUE;
    return true;
}

// One token.
static bool step(struct cursor *cursor)
{
    switch (cursor->expect) {
    case EXPECT_VALUE_OR_END:
        return *cursor->at == ']' ? close_container(cursor, false) : scan_value(cursor);
    case EXPECT_KEY_OR_END:
        return *cursor->at == '}' ? close_container(cursor, true) : scan_key(cursor);
    case EXPECT_VALUE:
        return scan_value(cursor);
    case EXPECT_KEY:
        return scan_key(cursor);
    case EXPECT_COLON:
        return scan_colon(cursor);
    case EXPECT_COMMA_OR_END:
        return scan_comma_or_end(cursor);
    default:
        return fail(cursor, RESULT_REJECT, "something stands behind the JSON value");
    }
}

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' ||
                                        *cursor->at == '\t' || *cursor->at == '\r')) {
        cursor->at++;
    }
}

void json_scan(struct bytes text, struct json_scan *scan)
{
    static const uint8_t nothing[1];
    *scan = (struct json_scan){.result = RESULT_OK};
    const uint8_t *begin = text.ptr != NULL ? text.ptr : nothing;
    struct cursor cursor = {.begin = begin, .at = begin, .end = begin + text.len, .scan = scan};
    skip_space(&cursor);
    while (cursor.at < cursor.end) {
        if (!step(&cursor)) {
            return;
        }
        skip_space(&cursor);
    }
    if (cursor.expect != EXPECT_NOTHING) {
        ends_early(&cursor);
    }
}
