// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 server side. A head is collected whole in the request's text (straight from the read
// buffer when it is there in one piece), then parsed in place by llhttp, so that every field is one
// span and a second span of one value can only be line folding. llhttp is told to skip bodies of a
// declared length: those bytes go past the parser, for large bodies straight from the socket into
// the slab. Chunked bodies run through llhttp. What llhttp lets pass and RFC 9112 does not is
// refused here: missing or repeated Host (3.2), obs-fold (5.2), a bare LF (2.2), transfer codings
// other than one `chunked` and any with HTTP/1.0 (6.1), nameless fields, request lines with more
// than one space, and heads beyond the bounds. After such a refusal the connection ends, because
// nobody knows where the next request would begin.
//
// Refused: handling pipelined requests side by side and sorting replies (queues per connection for
// a case that only small bodies have, and those are answered within the turn anyway). Bounds:
// head_bytes_max, REQUEST_HEADERS_MAX, the route's body_max, DISCARD_MAX bytes of a refused body,
// a chunk framing of FRAMING_MAX + 8 times the body. The server's thread.
#include "receiver/http1.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "receiver/server_state.h"

#define DISCARD_MAX  ((uint64_t)256 << 10)  // of a refused body, before the connection is ended
#define DIRECT_MIN   ((uint64_t)16 << 10)   // left of a body, to be received into the slab directly
#define DIRECT_MAX   ((size_t)256 << 10)    // one receive
#define DIRECT_NEED  ((size_t)64 << 10)     // room that makes a receive worth while
#define LARGE_BODY   ((size_t)64 << 10)
#define FRAMING_MAX  ((uint64_t)1 << 20)
#define TRAILERS_MAX 32

static int head_fault(struct http1 *http1, int status, const char *sentence)
{
    if (!http1->fault) {
        http1->fault = sentence;
        http1->fault_status = status;
    }
    return -1;
}

// Parser callbacks. The head is one piece of request->text; a chunked body comes as it is received.

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http1 *http1 = parser->data;
    http1->request->path = bytes_from(at, len);  // split once the head is complete
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http1 *http1 = parser->data;
    struct request *request = http1->request;
    if (http1->head_ended) {
        return 0;
    }
    if (len == 0) {  // RFC 9110 5.1: a name is a token
        return head_fault(http1, 400, "a header field has no name");
    }
    if (request->header_count == REQUEST_HEADERS_MAX) {
        return head_fault(http1, 431, "too many header fields");
    }
    uint8_t *name = request->text.ptr + ((const uint8_t *)at - request->text.ptr);
    for (size_t i = 0; i < len; i++) {
        name[i] = name[i] >= 'A' && name[i] <= 'Z' ? (uint8_t)(name[i] | 0x20) : name[i];
    }
    request->headers[request->header_count++] = (struct request_header){
        .name_at = (uint32_t)(name - request->text.ptr), .name_len = (uint32_t)len};
    http1->has_value = false;
    return 0;
}

// Trailers are counted, otherwise ignored (RFC 9110 6.5.1).
static int on_header_field_complete(llhttp_t *parser)
{
    struct http1 *http1 = parser->data;
    return http1->head_ended && ++http1->trailer_count > TRAILERS_MAX ? -1 : 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http1 *http1 = parser->data;
    struct request *request = http1->request;
    if (http1->head_ended) {
        return 0;
    }
    if (http1->has_value) {  // a second span of one value is a folded line (RFC 9112 5.2)
        return head_fault(http1, 400, "a header field is folded");
    }
    CHECK(request->header_count > 0);
    struct bytes value = bytes_trim(bytes_from(at, len));
    struct request_header *header = &request->headers[request->header_count - 1];
    header->value_at = value.len > 0 ? (uint32_t)(value.ptr - request->text.ptr) : 0;
    header->value_len = (uint32_t)value.len;
    http1->has_value = true;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http1 *http1 = parser->data;
    http1->head_ended = true;
    http1->is_close = !llhttp_should_keep_alive(parser);
    http1->is_chunked = (parser->flags & F_CHUNKED) != 0;
    http1->body_left = parser->flags & F_CONTENT_LENGTH ? parser->content_length : 0;
    parser->upgrade = 0;  // an offer to change protocols may be ignored (RFC 9110 7.8)
    return parser->flags & F_CONTENT_LENGTH ? 1 : 0;  // 1: such a body is none of llhttp's business
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http1 *http1 = parser->data;
    struct request *request = http1->request;
    if (!request) {
        return 0;  // refused already, thrown away
    }
    enum result result = request_grow(request, len, len);
    if (result != RESULT_OK) {
        request_refuse(request, result,
                       result == RESULT_TOO_LARGE ? "request body too large"
                                                  : "no memory for the request body");
        return http1->state == HTTP1_CLOSED ? -1 : 0;
    }
    memcpy(request->body.ptr + request->body.len, at, len);
    request->body.len += len;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http1 *http1 = parser->data;
    http1->message_ended = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http1_init(struct http1 *http1, struct server *server, struct buffer *out,
                void (*wake)(void *arg), void *wake_arg)
{
    memset(http1, 0, sizeof *http1);
    http1->server = server;
    http1->out = out;
    http1->wake = wake;
    http1->wake_arg = wake_arg;
}

void http1_fini(struct http1 *http1)
{
    struct request *request = http1->request;
    http1->request = NULL;
    http1->state = HTTP1_CLOSED;
    if (!request || (request->stage != REQUEST_HANDLED && request->stage != REQUEST_PARTS)) {
        server_give_request(http1->server, request);
        return;
    }
    request->http1 = NULL;  // the handler still has it; its reply will go nowhere
    if (request->notify) {
        request->notify(request);
    }
}

bool http1_is_idle(const struct http1 *http1)
{
    return http1->state == HTTP1_IDLE;
}

bool http1_takes_input(const struct http1 *http1)
{
    return http1->state < HTTP1_WAIT && http1->out->len < SERVER_OUT_HIGH;
}

// Ends with a reply that belongs to no route.
static void refuse_head(struct http1 *http1, int status, const char *sentence)
{
    http1->is_close = true;
    http1->request->stage = REQUEST_BODY;
    request_reply_text(http1->request, status, GRPC_INVALID_ARGUMENT, sentence);
}

static bool host_is_sound(struct bytes host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] <= ' ' || host.ptr[i] >= 0x7F || strchr("/\\@?#,\"<>", host.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool body_framing_is_sound(const struct http1 *http1, const struct request *request)
{
    unsigned codings = request_header_count(request, "transfer-encoding");
    if (codings == 0) {
        return !http1->is_chunked;
    }
    return codings == 1 && http1->is_chunked && http1->parser.http_minor == 1 &&
           !request_has_header(request, "content-length") &&
           bytes_equal_nocase(request_header(request, "transfer-encoding"), "chunked");
}

// Method, target and version with exactly one space between them (3): the parser takes several.
static bool line_is_exact(const struct http1 *http1, const struct request *request)
{
    const char *method = llhttp_method_name(http1->parser.method);
    size_t target_at = strlen(method) + 1;
    size_t target_end = target_at + request->path.len;
    struct bytes rest = bytes_slice(buffer_view(&request->text), target_end, SIZE_MAX);
    return request->path.ptr == request->text.ptr + target_at && rest.len > 10 &&
           bytes_start_with(rest, BYTES_LITERAL(" HTTP/")) && rest.ptr[9] == '\r';
}

// What the parser does not check, each with its section of RFC 9112.
static void check_head(struct http1 *http1)
{
    const struct request *request = http1->request;
    unsigned hosts = request_header_count(request, "host");
    if (http1->parser.http_major != 1 || http1->parser.http_minor > 1) {
        head_fault(http1, 505, "this HTTP version is not spoken here");
    } else if (!line_is_exact(http1, request)) {
        head_fault(http1, 400, "the request line is malformed");
    } else if (hosts > 1 || (hosts == 0 && http1->parser.http_minor == 1)) {  // 3.2
        head_fault(http1, 400, "Host is missing or repeated");
    } else if (!host_is_sound(request_header(request, "host"))) {
        head_fault(http1, 400, "Host is malformed");
    } else if (!body_framing_is_sound(http1, request)) {  // 6.1, 6.3
        head_fault(http1, 400, "this Transfer-Encoding is not understood");
    } else if (!request_set_target(http1->request, request->path)) {  // 3.2
        head_fault(http1, 400, "the request target is malformed");
    } else if (request_has_header(request, "expect") &&
               !bytes_equal_nocase(request_header(request, "expect"), "100-continue")) {
        head_fault(http1, 417, "this expectation cannot be met");  // RFC 9110 10.1.1
    }
}

static bool parse_head(struct http1 *http1)
{
    struct request *request = http1->request;
    llhttp_init(&http1->parser, HTTP_REQUEST, &settings);
    http1->parser.data = http1;
    http1->fault = NULL;
    http1->head_ended = http1->message_ended = http1->has_value = false;
    if (http1->is_folded) {
        head_fault(http1, 400, "a line is folded or ends in a bare LF");
        return false;
    }
    llhttp_errno_t outcome = llhttp_execute(&http1->parser, (const char *)request->text.ptr,
                                            request->text.len);
    bool is_whole = outcome == HPE_PAUSED && http1->message_ended;
    bool is_open = outcome == HPE_OK && http1->head_ended && http1->is_chunked;
    if (!is_whole && !is_open) {
        head_fault(http1, 400, "malformed HTTP request");
        return false;
    }
    check_head(http1);
    request->method = bytes_from_text(llhttp_method_name(http1->parser.method));
    request->head_only = http1->parser.method == HTTP_HEAD;
    return http1->fault == NULL;
}

static void body_complete(struct http1 *http1)
{
    http1->state = HTTP1_WAIT;
    http1->is_large = http1->request->body.len > LARGE_BODY;
    server_handle(http1->server, http1->request);
}

static void head_complete(struct http1 *http1)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = http1->request;
    if (!parse_head(http1)) {
        refuse_head(http1, http1->fault_status, http1->fault);
        return;
    }
    bool has_body = http1->is_chunked || http1->body_left > 0;
    http1->state = http1->is_chunked ? HTTP1_CHUNKED : has_body ? HTTP1_BODY : HTTP1_WAIT;
    http1->expects_continue = has_body && http1->parser.http_minor == 1 &&
                              request_has_header(request, "expect");
    http1->chunk_bytes = http1->discarded = 0;
    http1->trailer_count = 0;
    http1->since_ns = http1->body_heard_ns = server_now_ns(http1->server);
    if (!server_admit(http1->server, request)) {
        return;
    }
    if (http1->body_left > request->route->body_max) {
        request_refuse(request, RESULT_TOO_LARGE, "request body too large");
        return;
    }
    if (http1->expects_continue) {
        buffer_append(http1->out, go_on, sizeof go_on - 1);
        http1->expects_continue = false;
    }
    if (!has_body) {
        body_complete(http1);
    }
}

// Bytes up to and including the blank line that ends the head; 0 when it is not there yet. On the
// way it looks at what stands before and behind every LF.
static size_t find_blank(struct http1 *http1, struct bytes data)
{
    const struct buffer *text = &http1->request->text;
    enum { INSIDE, LINE_BEGUN, CR_SEEN };
    for (size_t at = 0; at < data.len;) {
        if (http1->blank_state == INSIDE) {
            const uint8_t *lf = memchr(data.ptr + at, '\n', data.len - at);
            if (!lf) {
                return 0;
            }
            at = (size_t)(lf - data.ptr);
            if (at > 0) {
                http1->is_folded |= data.ptr[at - 1] != '\r';
            } else {
                http1->is_folded |= text->len == 0 || text->ptr[text->len - 1] != '\r';
            }
            http1->blank_state = LINE_BEGUN;
            at++;
            continue;
        }
        uint8_t byte = data.ptr[at++];
        if (byte == '\n') {
            http1->is_folded |= http1->blank_state != CR_SEEN;
            return at;
        }
        http1->is_folded |= byte == ' ' || byte == '\t';
        http1->blank_state = byte == '\r' && http1->blank_state == LINE_BEGUN ? CR_SEEN : INSIDE;
    }
    return 0;
}

static size_t feed_head(struct http1 *http1, struct bytes data)
{
    size_t skipped = 0;
    if (http1->state == HTTP1_IDLE) {  // empty lines before a request line are ignored (2.2)
        while (skipped < data.len && (data.ptr[skipped] == '\r' || data.ptr[skipped] == '\n')) {
            skipped++;
        }
        data = bytes_slice(data, skipped, SIZE_MAX);
        if (data.len == 0) {
            return skipped;
        }
        http1->state = HTTP1_HEAD;
        http1->since_ns = server_now_ns(http1->server);
        http1->blank_state = 0;
        http1->is_folded = false;
        http1->request = server_take_request(http1->server);
        http1->request->protocol = REQUEST_HTTP1;
        http1->request->http1 = http1;
    }
    size_t end = find_blank(http1, data);
    size_t take = end > 0 ? end : data.len;
    struct buffer *text = &http1->request->text;
    if (take > http1->server->config.head_bytes_max - text->len) {
        refuse_head(http1, 431, "the request head is too large");
        return skipped + take;
    }
    buffer_append(text, data.ptr, take);
    if (buffer_status(text) != RESULT_OK) {
        refuse_head(http1, 503, "no memory for the request head");
    } else if (end > 0) {
        head_complete(http1);
    }
    return skipped + take;
}

static void discard(struct http1 *http1, uint64_t len)
{
    http1->discarded += len;
    if (http1->discarded > DISCARD_MAX) {
        http1->state = HTTP1_CLOSED;  // the reply has gone out long ago
    }
}

static size_t feed_body(struct http1 *http1, struct bytes data)
{
    struct request *request = http1->request;
    size_t take = data.len < http1->body_left ? data.len : (size_t)http1->body_left;
    http1->body_heard_ns = server_now_ns(http1->server);
    if (!request) {
        http1->body_left -= take;
        discard(http1, take);
        if (http1->body_left == 0 && http1->state == HTTP1_BODY) {
            http1->state = HTTP1_IDLE;
        }
        return take;
    }
    enum result result = request_grow(request, take, http1->body_left);
    if (result != RESULT_OK) {
        request_refuse(request, result, "no memory for the request body");
        return 0;  // the same bytes come again, to be thrown away
    }
    memcpy(request->body.ptr + request->body.len, data.ptr, take);
    http1_commit(http1, take);
    return take;
}

static size_t feed_chunked(struct http1 *http1, struct bytes data)
{
    http1->body_heard_ns = server_now_ns(http1->server);
    llhttp_errno_t outcome = llhttp_execute(&http1->parser, (const char *)data.ptr, data.len);
    struct request *request = http1->request;
    size_t used = data.len;
    if (outcome == HPE_PAUSED && http1->message_ended) {
        used = (size_t)((const uint8_t *)llhttp_get_error_pos(&http1->parser) - data.ptr);
    }
    http1->chunk_bytes += used;
    bool is_bloated = request && http1->chunk_bytes > FRAMING_MAX + 9 * (uint64_t)request->body.len;
    if ((outcome != HPE_OK && !http1->message_ended) || is_bloated) {
        http1->is_close = true;
        if (request) {
            request_refuse(request, RESULT_REJECT, "malformed chunked body");
        }
        http1->state = HTTP1_CLOSED;
    } else if (!request) {
        discard(http1, used);
        if (http1->message_ended && http1->state == HTTP1_CHUNKED) {
            http1->state = HTTP1_IDLE;
        }
    } else if (http1->message_ended) {
        body_complete(http1);
    }
    return used;
}

size_t http1_feed(struct http1 *http1, struct bytes data)
{
    CHECK(!http1->feeding);
    size_t used = 0;
    http1->feeding = true;
    while (used < data.len && http1_takes_input(http1)) {
        struct bytes rest = bytes_slice(data, used, SIZE_MAX);
        if (http1->state == HTTP1_BODY) {
            used += feed_body(http1, rest);
        } else if (http1->state == HTTP1_CHUNKED) {
            used += feed_chunked(http1, rest);
        } else {
            used += feed_head(http1, rest);
        }
    }
    http1->feeding = false;
    return used;
}

uint8_t *http1_body_room(struct http1 *http1, size_t *len)
{
    struct request *request = http1->request;
    if (http1->state != HTTP1_BODY || !request || http1->body_left < DIRECT_MIN) {
        return NULL;
    }
    size_t need = http1->body_left < DIRECT_NEED ? (size_t)http1->body_left : DIRECT_NEED;
    enum result result = request_grow(request, need, http1->body_left);
    if (result != RESULT_OK) {
        http1->feeding = true;  // the caller is at it anyway: no wake
        request_refuse(request, result, "no memory for the request body");
        http1->feeding = false;
        return NULL;
    }
    size_t room = request->body.capacity - request->body.len;
    room = room < http1->body_left ? room : (size_t)http1->body_left;
    *len = room < DIRECT_MAX ? room : DIRECT_MAX;
    return request->body.ptr + request->body.len;
}

void http1_commit(struct http1 *http1, size_t len)
{
    struct request *request = http1->request;
    CHECK(http1->state == HTTP1_BODY && request && len <= http1->body_left);
    request->body.len += len;
    http1->body_left -= len;
    http1->body_heard_ns = server_now_ns(http1->server);
    if (http1->body_left == 0) {
        bool was_feeding = http1->feeding;
        http1->feeding = true;
        body_complete(http1);
        http1->feeding = was_feeding;
    }
}

uint64_t http1_deadline_ns(const struct http1 *http1)
{
    const struct server_config *config = &http1->server->config;
    if (http1->state == HTTP1_HEAD) {
        return http1->since_ns + config->head_timeout_ns;
    }
    if (http1->state != HTTP1_BODY && http1->state != HTTP1_CHUNKED) {
        return UINT64_MAX;
    }
    uint64_t silence = http1->body_heard_ns + config->body_timeout_ns;
    uint64_t whole = config->request_timeout_ns > 0 ? http1->since_ns + config->request_timeout_ns
                                                    : UINT64_MAX;
    return silence < whole ? silence : whole;
}

void http1_time_out(struct http1 *http1)
{
    if (http1_deadline_ns(http1) == UINT64_MAX) {
        return;
    }
    http1->is_close = true;
    if (http1->request) {
        request_reply_text(http1->request, 408, GRPC_DEADLINE_EXCEEDED,
                           "the request did not come in time");
    }
    http1->state = HTTP1_CLOSED;
}

static void write_number(struct buffer *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buffer_append(out, digits + at, sizeof digits - at);
}

static void write_field(struct buffer *out, const char *name, const char *value)
{
    if (value) {
        buffer_append_text(out, name);
        buffer_append_text(out, value);
        buffer_append(out, "\r\n", 2);
    }
}

static void write_policy_fields(struct buffer *out, const struct request *request)
{
    struct response_field fields[REQUEST_FIELDS_MAX];
    size_t count = request_policy_fields(request, fields);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, fields[i].name);
        buffer_append(out, ": ", 2);
        buffer_append_bytes(out, fields[i].value);
        buffer_append(out, "\r\n", 2);
    }
}

static void write_status(struct buffer *out, int status)
{
    buffer_append_text(out, "HTTP/1.1 ");
    write_number(out, (uint64_t)status);
    buffer_append_byte(out, ' ');
    write_field(out, http_reason(status), "");
}

// What says whether the connection goes on, and the end of the head.
static void write_head_end(const struct http1 *http1, bool is_last)
{
    struct buffer *out = http1->out;
    if (is_last) {
        buffer_append_text(out, "Connection: close\r\n");
    } else if (http1->parser.http_minor == 0) {
        buffer_append_text(out, "Connection: keep-alive\r\n");
    }
    buffer_append(out, "\r\n", 2);
}

static void write_response(struct http1 *http1, const struct request *request,
                           const struct response *response, bool is_last)
{
    struct buffer *out = http1->out;
    write_status(out, response->status);
    write_field(out, "Content-Type: ", response->content_type);
    if (response->status != 204) {  // RFC 9110 8.6
        buffer_append_text(out, "Content-Length: ");
        write_number(out, response->body.len);
        buffer_append(out, "\r\n", 2);
    }
    write_field(out, "Date: ", server_date(http1->server));
    write_field(out, "Allow: ", response->allow);
    write_field(out, "Accept-Encoding: ", response->accept_encoding);
    write_field(out, "WWW-Authenticate: ", response->authenticate);
    write_policy_fields(out, request);
    if (response->retry_after_s > 0) {
        buffer_append_text(out, "Retry-After: ");
        write_number(out, response->retry_after_s);
        buffer_append(out, "\r\n", 2);
    }
    write_head_end(http1, is_last);
    if (!request->head_only) {
        buffer_append_bytes(out, response->body);
    }
}

void http1_reply(struct http1 *http1, struct request *request, const struct response *response)
{
    CHECK(http1->request == request);
    bool is_pending = http1->state == HTTP1_BODY || http1->state == HTTP1_CHUNKED;
    // Whoever waits for 100 may or may not send the body after all: only an end is unambiguous.
    bool is_unclear = is_pending && (http1->expects_continue || http1->body_left > DISCARD_MAX);
    bool is_last = response->close || http1->is_close || is_unclear || http1->server->draining;
    write_response(http1, request, response, is_last);
    http1->request = NULL;
    server_give_request(http1->server, request);
    if (is_last) {
        http1->state = HTTP1_CLOSED;
    } else if (!is_pending) {
        http1->state = HTTP1_IDLE;
    }
    if (!http1->feeding && http1->wake) {
        http1->wake(http1->wake_arg);
    }
}

static void wake(struct http1 *http1)
{
    if (!http1->feeding && http1->wake) {
        http1->wake(http1->wake_arg);
    }
}

// RFC 9112 6: chunks for who understands them, where the length is not known.
static enum http1_framing framing_of(const struct http1 *http1, const struct request *request,
                                     const struct response_head *head)
{
    if (request->head_only || head->status == 204 || head->status == 304) {
        return HTTP1_NO_BODY;
    }
    if (head->length != UINT64_MAX) {
        return HTTP1_LENGTH;
    }
    return http1->parser.http_minor == 0 ? HTTP1_UNTIL_END : HTTP1_CHUNKS;
}

void http1_reply_begin(struct http1 *http1, struct request *request,
                       const struct response_head *head)
{
    CHECK(http1->request == request && http1->state == HTTP1_WAIT);
    struct buffer *out = http1->out;
    http1->framing = framing_of(http1, request, head);
    http1->reply_left = http1->framing == HTTP1_LENGTH ? head->length : 0;
    http1->is_last =
        http1->is_close || http1->server->draining || http1->framing == HTTP1_UNTIL_END;
    write_status(out, head->status);
    for (size_t i = 0; i < head->field_count; i++) {
        buffer_append_text(out, head->fields[i].name);
        buffer_append(out, ": ", 2);
        buffer_append_bytes(out, head->fields[i].value);
        buffer_append(out, "\r\n", 2);
    }
    if (head->length != UINT64_MAX && head->status != 204) {
        buffer_append_text(out, "Content-Length: ");
        write_number(out, head->length);
        buffer_append(out, "\r\n", 2);
    } else if (http1->framing == HTTP1_CHUNKS) {
        buffer_append_text(out, "Transfer-Encoding: chunked\r\n");
    }
    write_policy_fields(out, request);
    write_head_end(http1, http1->is_last);
    wake(http1);
}

size_t http1_reply_room(const struct http1 *http1)
{
    return http1->out->len < SERVER_OUT_HIGH ? SERVER_OUT_HIGH - http1->out->len : 0;
}

void http1_reply_data(struct http1 *http1, struct request *request, struct bytes part)
{
    CHECK(http1->request == request);
    struct buffer *out = http1->out;
    char size[20];
    switch (http1->framing) {
    case HTTP1_NO_BODY:
        return;
    case HTTP1_LENGTH:
        part = bytes_slice(
            part, 0, part.len < http1->reply_left ? part.len : (size_t)http1->reply_left);
        http1->reply_left -= part.len;
        buffer_append_bytes(out, part);
        break;
    case HTTP1_CHUNKS:
        buffer_append(out, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", part.len));
        buffer_append_bytes(out, part);
        buffer_append(out, "\r\n", 2);
        break;
    case HTTP1_UNTIL_END:
        buffer_append_bytes(out, part);
        break;
    }
    wake(http1);
}

void http1_reply_end(struct http1 *http1, struct request *request, bool is_whole)
{
    CHECK(http1->request == request && http1->state == HTTP1_WAIT);
    is_whole = is_whole && http1->reply_left == 0;
    if (http1->framing == HTTP1_CHUNKS && is_whole) {
        buffer_append_text(http1->out, "0\r\n\r\n");
    }
    http1->request = NULL;
    server_give_request(http1->server, request);
    http1->state = http1->is_last || !is_whole ? HTTP1_CLOSED : HTTP1_IDLE;
    wake(http1);
}

void http1_tell_room(struct http1 *http1)
{
    struct request *request = http1->request;
    if (request && request->stage == REQUEST_PARTS && request->notify &&
        http1_reply_room(http1) > 0) {
        bool was_feeding = http1->feeding;
        http1->feeding = true;  // the caller sends what comes
        request->notify(request);
        http1->feeding = was_feeding;
    }
}
