// SPDX-License-Identifier: Apache-2.0
//
// The reply half of http2.c: a response becomes HEADERS, DATA and trailers. A gRPC success is
// HEADERS, one length-prefixed message and the trailer grpc-status; any other gRPC outcome is one
// HEADERS frame, "Trailers-Only" (grpc/doc/PROTOCOL-HTTP2.md, "Responses"). Bodies wait in
// request->reply until the peer's window takes them. Refused: NGHTTP2_DATA_FLAG_NO_COPY, which
// saves a copy of five bytes in nearly every reply. Bounds: a status message of MESSAGE_MAX and
// details of DETAILS_MAX before encoding. The server's thread.
#include "receiver/http2_reply.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proto/base64.h"
#include "receiver/server_state.h"

#define MESSAGE_MAX    ((size_t)1024)
#define DETAILS_MAX    ((size_t)4096)
#define FIELDS_MAX     (RESPONSE_FIELDS_MAX + REQUEST_FIELDS_MAX + 16)

// Field with literal name and value: nghttp2 need not copy either.
#define LITERAL_FIELD(field, text)                                                                 \
    {                                                                                              \
        (uint8_t *)(field), (uint8_t *)(text), sizeof(field) - 1, sizeof(text) - 1,                \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

static const nghttp2_nv grpc_head[] = {
    LITERAL_FIELD(":status", "200"),
    LITERAL_FIELD("content-type", "application/grpc"),
    LITERAL_FIELD("grpc-accept-encoding", "identity,gzip,deflate,zstd"),
};
static const nghttp2_nv grpc_ok[] = {LITERAL_FIELD("grpc-status", "0")};

struct fields {
    nghttp2_nv items[FIELDS_MAX];
    size_t count;
};

static void fields_add(struct fields *fields, const char *name, const void *value, size_t len)
{
    CHECK(fields->count < FIELDS_MAX);
    nghttp2_nv *field = &fields->items[fields->count++];
    // The union of const and nghttp2's non-const pointers; nghttp2 copies both.
    union {
        const void *in;
        uint8_t *out;
    } name_ptr = {.in = name}, value_ptr = {.in = value};
    *field = (nghttp2_nv){name_ptr.out, value_ptr.out, strlen(name), len, NGHTTP2_NV_FLAG_NONE};
}

static void fields_add_text(struct fields *fields, const char *name, const char *value)
{
    if (value) {
        fields_add(fields, name, value, strlen(value));
    }
}

static int submit_trailers(nghttp2_session *session, const struct request *request)
{
    char status[12];
    struct fields fields = {.count = 0};
    if (request->grpc_status == GRPC_OK) {
        return nghttp2_submit_trailer(session, request->stream_id, grpc_ok, 1);
    }
    snprintf(status, sizeof status, "%d", request->grpc_status);
    fields_add_text(&fields, "grpc-status", status);
    return nghttp2_submit_trailer(session, request->stream_id, fields.items, fields.count);
}

static ssize_t read_reply(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t len,
                          uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)stream_id;
    struct http2 *http2 = arg;
    struct request *request = source->ptr;
    CHECK(request->magic == REQUEST_MAGIC);
    size_t left = request->reply.len - request->reply_sent;
    size_t take = left < len ? left : len;
    if (take > 0) {
        memcpy(out, request->reply.ptr + request->reply_sent, take);
        request->reply_sent += take;
        request->heard_ns = server_now_ns(request->server);
    }
    if (take < left) {
        return (ssize_t)take;
    }
    if (request->is_watch && !request->is_ending) {
        return take > 0 ? (ssize_t)take : NGHTTP2_ERR_DEFERRED;
    }
    if (request->in_parts) {
        buffer_reset(&request->reply);
        request->reply_sent = 0;
        request->wants_room = http2->has_taken = true;  // told once it has been sent
        return take > 0 ? (ssize_t)take : NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (request->protocol == REQUEST_GRPC) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(session, request) != 0) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)take;
}

static int submit(struct http2 *http2, struct request *request, const struct fields *fields,
                  bool has_body)
{
    nghttp2_data_provider provider = {.source.ptr = request, .read_callback = read_reply};
    return nghttp2_submit_response(http2->session, request->stream_id, fields->items, fields->count,
                                   has_body ? &provider : NULL);
}

static int reply_http(struct http2 *http2, struct request *request, const struct response *response)
{
    char status[12], length[24], retry[12];
    struct fields fields = {.count = 0};
    snprintf(status, sizeof status, "%d", response->status);
    snprintf(length, sizeof length, "%zu", response->body.len);
    fields_add_text(&fields, ":status", status);
    fields_add_text(&fields, "content-type", response->content_type);
    fields_add_text(&fields, "content-length", response->status == 204 ? NULL : length);
    fields_add_text(&fields, "date", server_date(http2->server));
    fields_add_text(&fields, "allow", response->allow);
    fields_add_text(&fields, "accept-encoding", response->accept_encoding);
    fields_add_text(&fields, "www-authenticate", response->authenticate);
    struct response_field extra[REQUEST_FIELDS_MAX];
    size_t extra_count = request_policy_fields(request, extra);
    for (size_t i = 0; i < extra_count; i++) {
        fields_add(&fields, extra[i].name, extra[i].value.ptr, extra[i].value.len);
    }
    if (response->retry_after_s > 0) {
        snprintf(retry, sizeof retry, "%u", response->retry_after_s);
        fields_add_text(&fields, "retry-after", retry);
    }
    bool has_body = response->body.len > 0 && !request->head_only;
    if (has_body) {
        buffer_append_bytes(&request->reply, response->body);
    }
    return submit(http2, request, &fields, has_body);
}

static int reply_grpc_ok(struct http2 *http2, struct request *request,
                         const struct response *response)
{
    uint32_t len = (uint32_t)response->body.len;
    uint8_t prefix[GRPC_PREFIX_BYTES] = {0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                         (uint8_t)(len >> 8), (uint8_t)len};
    nghttp2_data_provider provider = {.source.ptr = request, .read_callback = read_reply};
    buffer_append(&request->reply, prefix, sizeof prefix);
    buffer_append_bytes(&request->reply, response->body);
    request->grpc_status = GRPC_OK;
    request->is_watch = response->watch;
    return nghttp2_submit_response(http2->session, request->stream_id, grpc_head,
                                   sizeof grpc_head / sizeof grpc_head[0], &provider);
}

static int reply_grpc_error(struct http2 *http2, struct request *request,
                            const struct response *response)
{
    char status[12];
    struct buffer *text = &request->reply;  // holds the encoded fields until nghttp2 copied them
    struct fields fields = {.count = 0};
    grpc_message_encode(bytes_slice(response->message, 0, MESSAGE_MAX), text);
    size_t message_len = text->len;
    if (response->details.len <= DETAILS_MAX) {
        base64_encode(response->details, false, text);  // -bin values go unpadded
    }
    if (buffer_status(text) != RESULT_OK) {
        return -1;
    }
    memcpy(fields.items, grpc_head, sizeof grpc_head);
    fields.count = sizeof grpc_head / sizeof grpc_head[0];
    snprintf(status, sizeof status, "%d", response->grpc_status);
    fields_add_text(&fields, "grpc-status", status);
    if (message_len > 0) {
        fields_add(&fields, "grpc-message", text->ptr, message_len);
    }
    if (text->len > message_len) {
        fields_add(&fields, "grpc-status-details-bin", text->ptr + message_len,
                   text->len - message_len);
    }
    return submit(http2, request, &fields, false);
}

void http2_reply(struct http2 *http2, struct request *request, const struct response *response)
{
    CHECK(request->http2 == http2 && request->stage == REQUEST_REPLIED);
    request->heard_ns = server_now_ns(http2->server);
    slab_drop(http2->server->home, &request->body);
    int outcome = request->protocol != REQUEST_GRPC ? reply_http(http2, request, response)
                  : response->grpc_status == GRPC_OK ? reply_grpc_ok(http2, request, response)
                                                     : reply_grpc_error(http2, request, response);
    if (outcome != 0 || buffer_status(&request->reply) != RESULT_OK) {
        (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, request->stream_id,
                                        NGHTTP2_INTERNAL_ERROR);
    }
    if (!http2->feeding && http2->wake) {
        http2->wake(http2->wake_arg);
    }
}

static void wake(struct http2 *http2)
{
    if (!http2->feeding && http2->wake) {
        http2->wake(http2->wake_arg);
    }
}

static void break_off(struct http2 *http2, const struct request *request)
{
    (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, request->stream_id,
                                    NGHTTP2_INTERNAL_ERROR);
}

void http2_reply_begin(struct http2 *http2, struct request *request,
                       const struct response_head *head)
{
    char status[12], length[24];
    struct fields fields = {.count = 0};
    struct response_field extra[REQUEST_FIELDS_MAX];
    bool has_body = !request->head_only && head->status != 204 && head->status != 304;
    request->heard_ns = server_now_ns(http2->server);
    request->parts_left = head->length;
    request->in_parts = has_body;
    snprintf(status, sizeof status, "%d", head->status);
    snprintf(length, sizeof length, "%llu", (unsigned long long)head->length);
    fields_add_text(&fields, ":status", status);
    for (size_t i = 0; i < head->field_count; i++) {
        fields_add(&fields, head->fields[i].name, head->fields[i].value.ptr,
                   head->fields[i].value.len);
    }
    bool has_length = head->length != UINT64_MAX && head->status != 204;
    fields_add_text(&fields, "content-length", has_length ? length : NULL);
    size_t extra_count = request_policy_fields(request, extra);
    for (size_t i = 0; i < extra_count; i++) {
        fields_add(&fields, extra[i].name, extra[i].value.ptr, extra[i].value.len);
    }
    if (submit(http2, request, &fields, has_body) != 0) {
        break_off(http2, request);
    }
    wake(http2);
}

size_t http2_reply_room(const struct request *request)
{
    return request->reply.len < SERVER_OUT_HIGH ? SERVER_OUT_HIGH - request->reply.len : 0;
}

void http2_reply_data(struct http2 *http2, struct request *request, struct bytes part)
{
    if (!request->in_parts) {
        return;
    }
    if (request->parts_left != UINT64_MAX) {
        size_t most = request->parts_left < part.len ? (size_t)request->parts_left : part.len;
        part = bytes_slice(part, 0, most);
        request->parts_left -= part.len;
    }
    if (request->reply.len == 0) {
        request->heard_ns = server_now_ns(http2->server);  // the wait for the client begins
    }
    buffer_append_bytes(&request->reply, part);
    (void)nghttp2_session_resume_data(http2->session, request->stream_id);
    wake(http2);
}

void http2_reply_end(struct http2 *http2, struct request *request, bool is_whole)
{
    bool is_short = request->in_parts && request->parts_left != UINT64_MAX &&
                    request->parts_left > 0;
    slab_drop(http2->server->home, &request->body);
    if (!is_whole || is_short || buffer_status(&request->reply) != RESULT_OK) {
        break_off(http2, request);
    } else if (request->in_parts) {
        request->in_parts = false;
        (void)nghttp2_session_resume_data(http2->session, request->stream_id);
    }
    wake(http2);
}
