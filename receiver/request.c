// SPDX-License-Identifier: Apache-2.0
//
// What a request is, apart from how it came: its head as offsets into one recycled text, the
// look-up of its route, its body's growth under the route's limit, and the way of its reply back
// to whichever transport still has the client. Offsets instead of pointers, because the text may
// move while HTTP/2 adds header after header. Refused: a hash table of headers (heads have about
// ten, a scan by length and first byte is quicker than hashing) and a tree of routes (there are
// about fifteen). Bounds: REQUEST_HEADERS_MAX headers, the server's head_bytes_max of text, the
// route's body_max. One thread.
#include "receiver/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "receiver/http1.h"
#include "receiver/http2_reply.h"
#include "receiver/policy.h"
#include "receiver/server_state.h"

#define BODY_STEP_BYTES ((size_t)1 << 20)  // a declared length is believed this far ahead

static struct bytes text_at(const struct request *request, uint32_t at, uint32_t len)
{
    return bytes_from(request->text.ptr + at, len);
}

static const struct request_header *next_header(const struct request *request, const char *name,
                                                unsigned from)
{
    size_t name_len = strlen(name);
    for (unsigned i = from; i < request->header_count; i++) {
        const struct request_header *header = &request->headers[i];
        if (header->name_len == name_len &&
            memcmp(request->text.ptr + header->name_at, name, name_len) == 0) {
            return header;
        }
    }
    return NULL;
}

struct bytes request_header(const struct request *request, const char *name)
{
    const struct request_header *header = next_header(request, name, 0);
    return header ? text_at(request, header->value_at, header->value_len) : BYTES_NONE;
}

bool request_has_header(const struct request *request, const char *name)
{
    return next_header(request, name, 0) != NULL;
}

unsigned request_header_count(const struct request *request, const char *name)
{
    unsigned count = 0;
    const struct request_header *header = next_header(request, name, 0);
    while (header) {
        count++;
        header = next_header(request, name, (unsigned)(header - request->headers) + 1);
    }
    return count;
}

bool request_query(const struct request *request, const char *key, struct bytes *value)
{
    struct bytes rest = request->query;
    size_t key_len = strlen(key);
    while (rest.len > 0) {
        size_t end = bytes_find(rest, BYTES_LITERAL("&"), 0);
        struct bytes pair = bytes_slice(rest, 0, end);
        size_t equals = bytes_find(pair, BYTES_LITERAL("="), 0);
        struct bytes name = bytes_slice(pair, 0, equals);
        if (name.len == key_len && memcmp(name.ptr, key, key_len) == 0) {
            *value = equals == SIZE_MAX ? BYTES_NONE : bytes_slice(pair, equals + 1, SIZE_MAX);
            return true;
        }
        rest = end == SIZE_MAX ? BYTES_NONE : bytes_slice(rest, end + 1, SIZE_MAX);
    }
    return false;
}

static size_t prefix_len(const char *pattern)
{
    size_t len = strlen(pattern);
    return len >= 2 && memcmp(pattern + len - 2, "/*", 2) == 0 ? len - 1 : 0;
}

struct bytes request_rest(const struct request *request)
{
    size_t len = request->route ? prefix_len(request->route->path) : 0;
    return len > 0 ? bytes_slice(request->path, len, SIZE_MAX) : BYTES_NONE;
}

bool request_add_header(struct request *request, struct bytes name, struct bytes value)
{
    if (request->header_count == REQUEST_HEADERS_MAX) {
        return false;
    }
    struct request_header *header = &request->headers[request->header_count];
    size_t at = request->text.len;
    buffer_append_bytes(&request->text, name);
    buffer_append_bytes(&request->text, value);
    if (buffer_status(&request->text) != RESULT_OK) {
        return false;
    }
    *header = (struct request_header){(uint32_t)at, (uint32_t)name.len, (uint32_t)(at + name.len),
                                      (uint32_t)value.len};
    request->header_count++;
    return true;
}

// Origin form, or absolute form, which a server must take although only proxies get it (3.2.2).
bool request_set_target(struct request *request, struct bytes target)
{
    if (bytes_start_with(target, BYTES_LITERAL("http://")) ||
        bytes_start_with(target, BYTES_LITERAL("https://"))) {
        size_t authority = bytes_find(target, BYTES_LITERAL("//"), 0) + 2;
        size_t slash = bytes_find(target, BYTES_LITERAL("/"), authority);
        if (slash == SIZE_MAX || slash == authority) {
            return false;
        }
        for (size_t at = authority; at < slash; at++) {  // RFC 3986 3.2, RFC 9110 4.2.4
            if (strchr("@?#\\", target.ptr[at])) {
                return false;
            }
        }
        target = bytes_slice(target, slash, SIZE_MAX);
    }
    bool is_star = bytes_equal_text(target, "*");  // OPTIONS *: matches no route
    if (target.len == 0 || (target.ptr[0] != '/' && !is_star)) {
        return false;
    }
    size_t mark = bytes_find(target, BYTES_LITERAL("?"), 0);
    request->path = bytes_slice(target, 0, mark);
    request->query = mark == SIZE_MAX ? BYTES_NONE : bytes_slice(target, mark + 1, SIZE_MAX);
    return true;
}

static bool route_has_path(const struct http_route *route, struct bytes path)
{
    size_t len = prefix_len(route->path);
    if (len > 0) {
        return path.len > len && memcmp(path.ptr, route->path, len) == 0;
    }
    return bytes_equal_text(path, route->path);
}

const struct http_route *route_find(const struct http_route *routes, size_t count,
                                    const struct request *request, const char **allow)
{
    *allow = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct http_route *route = &routes[i];
        if (!(route->protocols & 1u << request->protocol) ||
            !route_has_path(route, request->path)) {
            continue;
        }
        if (!route->method || bytes_equal_text(request->method, route->method) ||
            (request->head_only && strcmp(route->method, "GET") == 0)) {
            return route;
        }
        *allow = route->method;
    }
    return NULL;
}

enum result request_grow(struct request *request, size_t need, uint64_t want)
{
    CHECK(request->route && need <= want);
    if (want > request->route->body_max - request->body.len) {
        return RESULT_TOO_LARGE;
    }
    if (request->body.capacity - request->body.len >= need) {
        return RESULT_OK;
    }
    size_t step = want < BODY_STEP_BYTES ? (size_t)want : BODY_STEP_BYTES;
    return slab_grow(request->server->home, &request->body, step < need ? need : step);
}

bool request_is_alone(const struct request *request)
{
    return !request->http1 && !request->http2;
}

void request_reply_begin(struct request *request, const struct response_head *head)
{
    CHECK(request->magic == REQUEST_MAGIC && request->stage == REQUEST_HANDLED);
    CHECK(head->field_count <= RESPONSE_FIELDS_MAX && request->protocol != REQUEST_GRPC);
    request->stage = REQUEST_PARTS;
    if (request->http1) {
        http1_reply_begin(request->http1, request, head);
    } else if (request->http2) {
        http2_reply_begin(request->http2, request, head);
    }
}

size_t request_reply_room(const struct request *request)
{
    CHECK(request->magic == REQUEST_MAGIC && request->stage == REQUEST_PARTS);
    return request->http1   ? http1_reply_room(request->http1)
           : request->http2 ? http2_reply_room(request)
                            : SIZE_MAX;
}

void request_reply_data(struct request *request, struct bytes part)
{
    CHECK(request->magic == REQUEST_MAGIC && request->stage == REQUEST_PARTS);
    if (request->http1 && part.len > 0) {
        http1_reply_data(request->http1, request, part);
    } else if (request->http2 && part.len > 0) {
        http2_reply_data(request->http2, request, part);
    }
}

void request_reply_end(struct request *request, bool is_whole)
{
    CHECK(request->magic == REQUEST_MAGIC && request->stage == REQUEST_PARTS);
    request->stage = REQUEST_REPLIED;
    request->notify = NULL;
    if (request->http1) {
        http1_reply_end(request->http1, request, is_whole);
    } else if (request->http2) {
        http2_reply_end(request->http2, request, is_whole);
    } else {
        server_give_request(request->server, request);
    }
}

void request_reply(struct request *request, const struct response *response)
{
    CHECK(request->magic == REQUEST_MAGIC);
    CHECK(request->stage < REQUEST_PARTS);
    request->notify = NULL;
    request->stage = REQUEST_REPLIED;
    if (request->http1) {
        http1_reply(request->http1, request, response);
    } else if (request->http2) {
        http2_reply(request->http2, request, response);
    } else {
        server_give_request(request->server, request);  // the client has gone
    }
}

const struct listen_policy *request_policy(const struct request *request)
{
    return request->http1 ? request->http1->policy : request->http2 ? request->http2->policy : NULL;
}

static_assert(REQUEST_FIELDS_MAX >= CORS_FIELDS_MAX, "what a policy adds has room");

size_t request_policy_fields(const struct request *request,
                             struct response_field fields[REQUEST_FIELDS_MAX])
{
    const struct listen_policy *policy = request_policy(request);
    return policy && policy->cors ? cors_fields(policy->cors, request, fields) : 0;
}

void request_reply_text(struct request *request, int status, int grpc_status, const char *text)
{
    request_reply(request, &(struct response){.status = status,
                                              .grpc_status = grpc_status,
                                              .content_type = "text/plain; charset=utf-8",
                                              .body = bytes_from_text(text),
                                              .message = bytes_from_text(text)});
}

void request_refuse(struct request *request, enum result result, const char *sentence)
{
    CHECK(result != RESULT_OK);
    if (request->route && request->route->refuse) {
        request->route->refuse(request, result, sentence);
        return;
    }
    request_reply_text(request, result_http_status(result), result_grpc_status(result), sentence);
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Unsupported"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {508, "Loop Detected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return rows[i].reason;
        }
    }
    return "Status";
}
