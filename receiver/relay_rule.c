// SPDX-License-Identifier: Apache-2.0
//
// Two readers of one path must not mean two places by it: what a proxy before the backend, or the
// backend, could decode or normalise to something else is refused, not repaired (RFC 3986 6.2.2
// lists what they may do). Refused: normalising here, since the bytes are promised to arrive as
// they were. Bounds: one or two passes over the text, no memory. Pure; any thread.
#include "receiver/relay_rule.h"

#include <string.h>

static bool is_unreserved(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("-._~", byte) != NULL);
}

static int hex_value(uint8_t byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                        : -1;
}

// The byte at `at`, of which *len bytes are the writing; -1: it must not stand there.
static int path_byte(struct bytes path, size_t at, size_t *len)
{
    uint8_t byte = path.ptr[at];
    *len = 1;
    if (byte != '%') {
        bool is_char = is_unreserved(byte) || (byte != '\0' && strchr("!$&'()*+,;=:@/", byte));
        return is_char ? byte : -1;
    }
    int high = at + 2 < path.len ? hex_value(path.ptr[at + 1]) : -1;
    int low = at + 2 < path.len ? hex_value(path.ptr[at + 2]) : -1;
    int value = high >= 0 && low >= 0 ? high * 16 + low : -1;
    *len = 3;
    return value < ' ' || value == 0x7F || value == '/' || value == '\\' ? -1 : value;
}

// A slash, and what is read as a dot, in a row: "/./", "..", and so on, however the dots are
// written.
bool relay_path_is_sound(struct bytes path)
{
    if (!bytes_start_with(path, BYTES_LITERAL(RELAY_PREFIX))) {
        return false;
    }
    int before = 0;
    bool is_alone = false;  // the segment so far is one dot
    for (size_t at = 0, len; at < path.len; at += len) {
        int byte = path_byte(path, at, &len);
        bool is_slash = byte == '/';
        if (byte < 0 || (is_slash && before == '/') || (byte == '.' && before == '.') ||
            (is_slash && is_alone)) {
            return false;
        }
        is_alone = byte == '.' && before == '/';
        before = byte;
    }
    return !is_alone;
}

bool relay_query_is_sound(struct bytes query)
{
    for (size_t i = 0; i < query.len; i++) {
        uint8_t byte = query.ptr[i];
        if (byte <= ' ' || byte >= 0x7F || byte == '#' || byte == '\\') {
            return false;
        }
    }
    return true;
}

const char *relay_method(struct bytes method)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (bytes_equal_text(method, methods[i])) {
            return methods[i];
        }
    }
    return NULL;
}

bool relay_value_is_sound(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((value.ptr[i] < ' ' && value.ptr[i] != '\t') || value.ptr[i] == 0x7F) {
            return false;
        }
    }
    return true;
}

bool relay_name_is_sound(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        bool is_mark = byte != '\0' && strchr("!#$%&'*+^`|", byte) != NULL;
        if (!is_mark && !is_unreserved(byte)) {
            return false;
        }
    }
    return name.len > 0;
}

bool relay_field_is_of_hop(struct bytes name)
{
    static const char *const names[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "proxy-authenticate",
        "proxy-authentication-info",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bytes_equal_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

static bool is_same_name(struct bytes a, struct bytes b)
{
    size_t same = 0;
    while (a.len == b.len && same < a.len && lower(a.ptr[same]) == lower(b.ptr[same])) {
        same++;
    }
    return a.len == b.len && same == a.len;
}

bool relay_list_names(struct bytes list, struct bytes name)
{
    while (list.len > 0) {
        size_t comma = bytes_find(list, BYTES_LITERAL(","), 0);
        if (is_same_name(bytes_trim(bytes_slice(list, 0, comma)), name)) {
            return true;
        }
        list = comma == SIZE_MAX ? BYTES_NONE : bytes_slice(list, comma + 1, SIZE_MAX);
    }
    return false;
}
