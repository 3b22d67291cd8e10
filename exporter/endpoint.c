// SPDX-License-Identifier: Apache-2.0
// A split by hand at the first "://", the last colon behind a closing bracket and the first
// slash. Refused: a URL library; the parts are handed on as text to libcurl and gRPC core, which
// have parsers of their own, and only the comparison with our listeners needs them apart.
//
// Bounds: none of its own; views only. Pure; any thread.
#include "exporter/endpoint.h"

#include <string.h>

bool endpoint_parse(struct bytes text, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){.scheme = BYTES_NONE};
    struct bytes rest = bytes_trim(text);
    size_t scheme_len = bytes_find(rest, BYTES_LITERAL("://"), 0);
    if (scheme_len != SIZE_MAX) {
        endpoint->scheme = bytes_slice(rest, 0, scheme_len);
        rest = bytes_slice(rest, scheme_len + 3, SIZE_MAX);
    } else if (bytes_start_with(rest, BYTES_LITERAL("unix:"))) {
        endpoint->scheme = bytes_slice(rest, 0, 4);
        rest = bytes_slice(rest, 5, SIZE_MAX);
    }
    if (bytes_equal_text(endpoint->scheme, "unix")) {
        endpoint->path = rest;
        return rest.len > 0;
    }
    if (bytes_equal_text(endpoint->scheme, "dns")) {  // dns:///host:port, dns://server/host:port
        size_t slash = bytes_find(rest, BYTES_LITERAL("/"), 0);
        if (slash == SIZE_MAX) {
            return false;
        }
        rest = bytes_slice(rest, slash + 1, SIZE_MAX);
    }
    size_t slash = bytes_find(rest, BYTES_LITERAL("/"), 0);
    if (slash != SIZE_MAX) {
        endpoint->path = bytes_slice(rest, slash, SIZE_MAX);
        rest = bytes_slice(rest, 0, slash);
    }
    size_t bracket = bytes_find(rest, BYTES_LITERAL("]"), 0);
    size_t colon = bytes_find(rest, BYTES_LITERAL(":"), bracket == SIZE_MAX ? 0 : bracket);
    endpoint->host = bytes_slice(rest, 0, colon == SIZE_MAX ? rest.len : colon);
    if (colon != SIZE_MAX) {
        uint64_t port;
        endpoint->port = bytes_slice(rest, colon + 1, SIZE_MAX);
        if (!bytes_to_u64(endpoint->port, &port) || port == 0 || port > 65535) {
            return false;
        }
    }
    struct bytes *host = &endpoint->host;
    if (host->len >= 2 && host->ptr[0] == '[' && host->ptr[host->len - 1] == ']') {
        *host = bytes_slice(*host, 1, host->len - 2);
    }
    return host->len > 0;
}

static bool host_is_here(struct bytes host)
{
    static const char *const names[] = {"localhost", "::1", "0.0.0.0", "::"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_equal_nocase(host, names[i])) {
            return true;
        }
    }
    return bytes_start_with(host, BYTES_LITERAL("127."));
}

struct bytes endpoint_unix_path(struct bytes text)
{
    struct endpoint endpoint;
    bool is_unix = endpoint_parse(text, &endpoint) && bytes_equal_text(endpoint.scheme, "unix");
    return is_unix ? endpoint.path : BYTES_NONE;
}

bool endpoint_is_loopback(const struct endpoint *endpoint)
{
    return bytes_equal_text(endpoint->scheme, "unix") || host_is_here(endpoint->host);
}

bool endpoint_is_own(const struct endpoint *endpoint, const struct component_env *env)
{
    struct bytes port = endpoint->port;
    if (port.len == 0 && bytes_equal_text(endpoint->scheme, "http")) {
        port = BYTES_LITERAL("80");
    }
    for (size_t i = 0; i < env->own_address_count; i++) {
        struct endpoint own;
        if (bytes_equal_text(endpoint->scheme, "unix") &&
            bytes_equal(env->own_addresses[i], endpoint->path)) {
            return true;
        }
        if (!endpoint_parse(env->own_addresses[i], &own) || !bytes_equal(own.port, port)) {
            continue;
        }
        if (bytes_equal(own.host, endpoint->host) ||
            (host_is_here(own.host) && host_is_here(endpoint->host))) {
            return true;
        }
    }
    return false;
}
