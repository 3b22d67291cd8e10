// SPDX-License-Identifier: Apache-2.0
//
// An origin that is not allowed gets no field but Vary: the browser then keeps the answer from the
// page, and a cache keeps the answers apart. Patterns have one star. Refused: answering 403, which
// tells a page what the absence of a field does not.
//
// Bounds: those of the lists. Pure; the server's thread.
#include "receiver/cors.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const struct option cors_options[] = {
    {.key = "allowed_origins",
     .kind = OPTION_TEXTS,
     .offset = offsetof(struct cors_config, allowed_origins),
     .doc = "origins of pages, such as https://*.example.com; * is all of them"},
    {.key = "allowed_headers",
     .kind = OPTION_TEXTS,
     .offset = offsetof(struct cors_config, allowed_headers),
     .doc = "headers that they may send; absent: Accept, Content-Type, X-Requested-With; * is all"},
    {.key = "exposed_headers",
     .kind = OPTION_TEXTS,
     .offset = offsetof(struct cors_config, exposed_headers),
     .doc = "headers of replies that they may read"},
    {.key = "max_age",
     .kind = OPTION_INT,
     .fallback = "0",
     .max = 86400,
     .offset = offsetof(struct cors_config, max_age),
     .unit = "s",
     .doc = "how long browsers remember the permission; 0 is their default"},
    {0},
};

static bool equal_nocase(struct bytes a, struct bytes b)
{
    bool is_equal = a.len == b.len;
    for (size_t i = 0; is_equal && i < a.len; i++) {
        is_equal = tolower(a.ptr[i]) == tolower(b.ptr[i]);
    }
    return is_equal;
}

static bool has_star(const struct option_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (bytes_equal_text(bytes_trim(texts->items[i]), "*")) {
            return true;
        }
    }
    return false;
}

bool cors_init(struct cors *cors, const struct cors_config *config)
{
    memset(cors, 0, sizeof *cors);
    cors->config = config;
    cors->any_origin = has_star(&config->allowed_origins);
    cors->any_header = has_star(&config->allowed_headers);
    size_t len = 0;
    for (size_t i = 0; i < config->exposed_headers.count && len < sizeof cors->exposed; i++) {
        len += (size_t)snprintf(cors->exposed + len, sizeof cors->exposed - len, "%s%.*s",
                                i > 0 ? ", " : "", BYTES_PRINTF(config->exposed_headers.items[i]));
    }
    if (config->max_age > 0) {
        snprintf(cors->max_age, sizeof cors->max_age, "%lld", (long long)config->max_age);
    }
    return config->allowed_origins.count > 0;
}

bool cors_is_preflight(const struct request *request)
{
    return request->protocol != REQUEST_GRPC && bytes_equal_text(request->method, "OPTIONS") &&
           request_header(request, "access-control-request-method").len > 0;
}

static bool pattern_matches(struct bytes pattern, struct bytes origin)
{
    size_t star = bytes_find(pattern, BYTES_LITERAL("*"), 0);
    if (star == SIZE_MAX) {
        return equal_nocase(pattern, origin);
    }
    struct bytes before = bytes_slice(pattern, 0, star);
    struct bytes after = bytes_slice(pattern, star + 1, SIZE_MAX);
    return origin.len >= before.len + after.len &&
           equal_nocase(before, bytes_slice(origin, 0, before.len)) &&
           equal_nocase(after, bytes_slice(origin, origin.len - after.len, after.len));
}

static bool origin_is_allowed(const struct cors *cors, struct bytes origin)
{
    const struct option_texts *allowed = &cors->config->allowed_origins;
    for (size_t i = 0; i < allowed->count; i++) {
        if (pattern_matches(bytes_trim(allowed->items[i]), origin)) {
            return true;
        }
    }
    return false;
}

static bool header_is_allowed(const struct cors *cors, struct bytes name)
{
    static const char *const usual[] = {"accept", "content-type", "x-requested-with"};
    const struct option_texts *allowed = &cors->config->allowed_headers;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && allowed->count == 0; i++) {
        if (bytes_equal_nocase(name, usual[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < allowed->count; i++) {
        if (equal_nocase(bytes_trim(allowed->items[i]), name)) {
            return true;
        }
    }
    return cors->any_header;
}

static bool headers_are_allowed(const struct cors *cors, struct bytes list)
{
    while (list.len > 0) {
        size_t comma = bytes_find(list, BYTES_LITERAL(","), 0);
        struct bytes name = bytes_trim(bytes_slice(list, 0, comma));
        list = comma == SIZE_MAX ? BYTES_NONE : bytes_slice(list, comma + 1, SIZE_MAX);
        if (name.len > 0 && !header_is_allowed(cors, name)) {
            return false;
        }
    }
    return true;
}

static bool method_is_allowed(struct bytes method)
{
    return bytes_equal_nocase(method, "GET") || bytes_equal_nocase(method, "POST") ||
           bytes_equal_nocase(method, "HEAD") || bytes_equal_nocase(method, "OPTIONS");
}

static void add(struct response_field *fields, size_t *count, const char *name, struct bytes value)
{
    if (value.len > 0) {
        fields[(*count)++] = (struct response_field){name, value};
    }
}

static size_t preflight_fields(const struct cors *cors, const struct request *request,
                               struct response_field *fields)
{
    size_t count = 0;
    struct bytes method = request_header(request, "access-control-request-method");
    struct bytes headers = request_header(request, "access-control-request-headers");
    struct bytes origin = request_header(request, "origin");
    add(fields, &count, "vary",
        BYTES_LITERAL("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    if (origin.len == 0 || !origin_is_allowed(cors, origin) || !method_is_allowed(method) ||
        request_header_count(request, "access-control-request-headers") > 1 ||
        !headers_are_allowed(cors, headers)) {
        return count;
    }
    add(fields, &count, "access-control-allow-origin",
        cors->any_origin ? BYTES_LITERAL("*") : origin);
    add(fields, &count, "access-control-allow-methods", method);
    add(fields, &count, "access-control-allow-headers", headers);
    add(fields, &count, "access-control-allow-credentials", BYTES_LITERAL("true"));
    add(fields, &count, "access-control-max-age", bytes_from_text(cors->max_age));
    return count;
}

size_t cors_fields(const struct cors *cors, const struct request *request,
                   struct response_field fields[CORS_FIELDS_MAX])
{
    size_t count = 0;
    struct bytes origin = request_header(request, "origin");
    if (request->protocol == REQUEST_GRPC) {
        return 0;
    }
    if (cors_is_preflight(request)) {
        return preflight_fields(cors, request, fields);
    }
    add(fields, &count, "vary", BYTES_LITERAL("Origin"));
    if (origin.len == 0 || !origin_is_allowed(cors, origin) ||
        !method_is_allowed(request->method)) {
        return count;
    }
    add(fields, &count, "access-control-allow-origin",
        cors->any_origin ? BYTES_LITERAL("*") : origin);
    add(fields, &count, "access-control-expose-headers", bytes_from_text(cors->exposed));
    add(fields, &count, "access-control-allow-credentials", BYTES_LITERAL("true"));
    return count;
}
