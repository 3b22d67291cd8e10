// SPDX-License-Identifier: Apache-2.0
//
// Checking URLs by hand: the set that is allowed is far smaller than what libcurl's own parser
// takes (user info, other schemes, guesses at what was meant), and a check at `validate` must not
// depend on who would send later. Names are not resolved and characters of hosts not judged; the
// resolver does that. Bounds: one pass over the text. Any thread.
#include "base/http_url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

static bool url_fails(const char **why, const char *sentence)
{
    if (why != NULL) {
        *why = sentence;
    }
    return false;
}

static bool port_is_valid(struct bytes port)
{
    uint64_t number;
    return bytes_to_u64(port, &number) && number >= 1 && number <= 65535;
}

// host, host:port, [v6], [v6]:port
static bool authority_is_valid(struct bytes authority)
{
    size_t host_end = bytes_find(authority, BYTES_LITERAL(":"), 0);
    if (authority.len > 0 && authority.ptr[0] == '[') {
        size_t close = bytes_find(authority, BYTES_LITERAL("]"), 0);
        if (close == SIZE_MAX || close < 3) {
            return false;
        }
        host_end = close + 1;
        if (host_end < authority.len && authority.ptr[host_end] != ':') {
            return false;
        }
    }
    if (host_end >= authority.len) {
        return authority.len > 0;
    }
    return host_end > 0 && port_is_valid(bytes_slice(authority, host_end + 1, authority.len));
}

bool http_url_is_valid(struct bytes url, const char **why)
{
    struct bytes rest = BYTES_NONE;
    if (bytes_start_with(url, BYTES_LITERAL("http://"))) {
        rest = bytes_slice(url, 7, url.len);
    } else if (bytes_start_with(url, BYTES_LITERAL("https://"))) {
        rest = bytes_slice(url, 8, url.len);
    } else {
        return url_fails(why, "a URL starts with http:// or https://");
    }
    size_t end = rest.len;
    for (size_t i = 0; i < rest.len; i++) {
        uint8_t byte = rest.ptr[i];
        if (byte <= 0x20 || byte == 0x7f || byte == '\\') {
            return url_fails(why, "a URL has no white space, control characters or backslashes");
        }
        if (byte == '#') {
            return url_fails(why, "a URL to send to has no fragment");
        }
        if (end == rest.len && (byte == '/' || byte == '?')) {
            end = i;
        }
    }
    struct bytes authority = bytes_slice(rest, 0, end);
    if (bytes_find(authority, BYTES_LITERAL("@"), 0) != SIZE_MAX) {
        return url_fails(why, "user and password do not belong into a URL");
    }
    if (!authority_is_valid(authority)) {
        return url_fails(why, "a URL needs a host, and a port from 1 to 65535 if any");
    }
    return true;
}

char *http_no_proxy(void)
{
    const char *own = getenv("no_proxy");
    own = own != NULL ? own : getenv("NO_PROXY");
    own = own != NULL ? own : "";
    if (strcmp(own, "*") == 0) {
        return strdup(own);
    }
    struct buffer list;
    buffer_init(&list, 1 << 16);
    buffer_printf(&list, "%s%slocalhost,127.0.0.0/8,::1", own, own[0] != '\0' ? "," : "");
    char *copy = strdup(buffer_text(&list));
    buffer_fini(&list);
    return copy;
}
