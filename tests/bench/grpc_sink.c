// SPDX-License-Identifier: Apache-2.0
//
// As little of a gRPC server as clients accept: bodies are counted and dropped, windows are so
// large that flow control never waits for this side. Output is gathered per read. Bench only.

#include "tests/bench/grpc_sink.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "base/check.h"

#define READ_BYTES ((size_t)256 << 10)
#define OUT_MAX ((size_t)16 << 20)
#define WINDOW (64 << 20)
#define PREFIX_BYTES 5

struct grpc_sink {
    _Atomic uint64_t *requests, *bytes;
};

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static ssize_t read_reply(nghttp2_session *session, int32_t stream_id, uint8_t *into, size_t len,
                          uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)source, (void)arg;
    CHECK(len >= PREFIX_BYTES);
    memset(into, 0, PREFIX_BYTES);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_nv status = field("grpc-status", "0");
    CHECK(nghttp2_submit_trailer(session, stream_id, &status, 1) == 0);
    return PREFIX_BYTES;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *arg)
{
    (void)session, (void)flags, (void)stream_id, (void)data;
    struct grpc_sink *it = arg;
    atomic_fetch_add(it->bytes, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc_sink *it = arg;
    if (frame->hd.type != NGHTTP2_DATA || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    nghttp2_nv head[] = {field(":status", "200"), field("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_reply};
    atomic_fetch_sub(it->bytes, PREFIX_BYTES);
    atomic_fetch_add(it->requests, 1);
    return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &provider);
}

static nghttp2_session *session_new(struct grpc_sink *it)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
    };
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    CHECK(nghttp2_session_server_new(&session, callbacks, it) == 0);
    nghttp2_session_callbacks_del(callbacks);
    CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2) == 0);
    CHECK(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW) == 0);
    return session;
}

static bool flush(nghttp2_session *session, int fd, struct buffer *out)
{
    const uint8_t *frames;
    ssize_t len;
    buffer_reset(out);
    while ((len = nghttp2_session_mem_send(session, &frames)) > 0) {
        buffer_append(out, frames, (size_t)len);
    }
    for (size_t sent = 0; sent < out->len;) {
        ssize_t n = send(fd, out->ptr + sent, out->len - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        sent += (size_t)n;
    }
    return len == 0;
}

void grpc_sink_serve(int fd, struct bytes first, _Atomic uint64_t *requests,
                     _Atomic uint64_t *bytes)
{
    struct grpc_sink it = {requests, bytes};
    nghttp2_session *session = session_new(&it);
    struct buffer out;
    uint8_t *input = malloc(READ_BYTES);
    CHECK(input != NULL);
    buffer_init(&out, OUT_MAX);
    ssize_t n = (ssize_t)first.len;
    const uint8_t *at = first.ptr;
    while (n > 0 && nghttp2_session_mem_recv(session, at, (size_t)n) == n &&
           flush(session, fd, &out)) {
        n = recv(fd, input, READ_BYTES, 0);
        at = input;
    }
    buffer_fini(&out);
    free(input);
    nghttp2_session_del(session);
}
