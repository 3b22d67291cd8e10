// SPDX-License-Identifier: Apache-2.0
//
// Calls are started and what the windows allow is sent at once; the rest goes while an answer is
// waited for. What this costs is not counted. Bounds: ENDED_MAX calls in flight. Bench only.

#include "tests/bench/grpc_load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "base/check.h"

#define READ_BYTES ((size_t)64 << 10)
#define OUT_MAX ((size_t)64 << 20)
#define ENDED_MAX 1024
#define PREFIX_BYTES 5

struct grpc_call {
    uint8_t *message;  // with its prefix
    size_t len, sent;
    int status;
};

struct grpc_client {
    int fd;
    nghttp2_session *session;
    struct buffer out;
    uint8_t *input;
    int ended[ENDED_MAX];  // statuses of calls that ended and were not yet waited for
    unsigned ended_from, ended_count;
};

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static ssize_t read_message(nghttp2_session *session, int32_t stream_id, uint8_t *into, size_t len,
                            uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)stream_id, (void)arg;
    struct grpc_call *call = source->ptr;
    size_t more = call->len - call->sent < len ? call->len - call->sent : len;
    memcpy(into, call->message + call->sent, more);
    call->sent += more;
    *flags = call->sent == call->len ? (uint32_t)NGHTTP2_DATA_FLAG_EOF : 0;
    return (ssize_t)more;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)flags, (void)arg;
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    uint64_t status = 0;
    if (call != NULL && bytes_equal_text(bytes_from(name, name_len), "grpc-status") &&
        bytes_to_u64(bytes_from(value, value_len), &status)) {
        call->status = (int)status;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *arg)
{
    (void)error;
    struct grpc_client *client = arg;
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    CHECK(call != NULL && client->ended_count < ENDED_MAX);
    client->ended[(client->ended_from + client->ended_count++) % ENDED_MAX] = call->status;
    free(call->message);
    free(call);
    return 0;
}

struct grpc_client *grpc_client_new(int fd)
{
    struct grpc_client *client = calloc(1, sizeof(*client));
    nghttp2_session_callbacks *callbacks;
    CHECK(client != NULL && nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    CHECK(nghttp2_session_client_new(&client->session, callbacks, client) == 0);
    nghttp2_session_callbacks_del(callbacks);
    CHECK(nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    client->fd = fd;
    client->input = malloc(READ_BYTES);
    CHECK(client->input != NULL);
    buffer_init(&client->out, OUT_MAX);
    return client;
}

void grpc_client_free(struct grpc_client *client)
{
    if (client != NULL) {
        nghttp2_session_del(client->session);
        buffer_fini(&client->out);
        free(client->input);
        free(client);
    }
}

static bool flush(struct grpc_client *client)
{
    const uint8_t *frames;
    ssize_t len;
    buffer_reset(&client->out);
    while ((len = nghttp2_session_mem_send(client->session, &frames)) > 0) {
        buffer_append(&client->out, frames, (size_t)len);
    }
    for (size_t sent = 0; sent < client->out.len;) {
        ssize_t n = send(client->fd, client->out.ptr + sent, client->out.len - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        sent += (size_t)n;
    }
    return len == 0 && buffer_status(&client->out) == RESULT_OK;
}

bool grpc_client_send(struct grpc_client *client, struct bytes message)
{
    const nghttp2_nv head[] = {
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":authority", "bench"),
        field(":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    };
    struct grpc_call *call = calloc(1, sizeof(*call));
    CHECK(call != NULL && message.len < UINT32_MAX);
    *call =
        (struct grpc_call){malloc(message.len + PREFIX_BYTES), message.len + PREFIX_BYTES, 0, -1};
    CHECK(call->message != NULL);
    uint32_t length = __builtin_bswap32((uint32_t)message.len);
    call->message[0] = 0;
    memcpy(call->message + 1, &length, sizeof(length));
    memcpy(call->message + PREFIX_BYTES, message.ptr, message.len);
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_message};
    CHECK(nghttp2_submit_request(client->session, NULL, head, sizeof(head) / sizeof(head[0]),
                                 &provider, call) > 0);
    return flush(client);
}

bool grpc_client_wait(struct grpc_client *client, int *status)
{
    while (client->ended_count == 0) {
        ssize_t n = flush(client) ? recv(client->fd, client->input, READ_BYTES, 0) : -1;
        if (n <= 0 || nghttp2_session_mem_recv(client->session, client->input, (size_t)n) != n) {
            return false;
        }
    }
    *status = client->ended[client->ended_from];
    client->ended_from = (client->ended_from + 1) % ENDED_MAX;
    client->ended_count--;
    return true;
}
