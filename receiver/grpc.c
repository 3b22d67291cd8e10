// SPDX-License-Identifier: Apache-2.0
//
// The byte forms of gRPC, without any idea of streams or sessions, so that each can be tested
// and fuzzed by itself. The framer is a cursor that the transport steps through DATA chunks of
// any size: it never stores the message, which goes straight from the chunk into the request's
// slab. Refused: collecting prefix and message in one buffer and cutting afterwards, which
// copies the body once more and accepts a length before anybody has checked it. Bounds: the
// message length is 32 bits and is checked by the transport when GRPC_FRAME_PREFIX comes. Pure;
// any thread.
#include "receiver/grpc.h"

#include <string.h>

static uint32_t read_be32(const uint8_t *ptr)
{
    return (uint32_t)ptr[0] << 24 | (uint32_t)ptr[1] << 16 | (uint32_t)ptr[2] << 8 | ptr[3];
}

static void cut_front(struct bytes *data, size_t len)
{
    data->ptr += len;
    data->len -= len;
}

enum grpc_frame grpc_framer_step(struct grpc_framer *framer, struct bytes *data,
                                 struct bytes *payload)
{
    if (data->len == 0) {
        return GRPC_FRAME_NEEDS_MORE;
    }
    if (framer->prefix_len < GRPC_PREFIX_BYTES) {
        size_t room = (size_t)(GRPC_PREFIX_BYTES - framer->prefix_len);
        size_t len = data->len < room ? data->len : room;
        memcpy(framer->prefix + framer->prefix_len, data->ptr, len);
        framer->prefix_len = (uint8_t)(framer->prefix_len + len);
        cut_front(data, len);
        if (framer->prefix[0] > 1) {
            return GRPC_FRAME_BAD_FLAG;
        }
        if (framer->prefix_len < GRPC_PREFIX_BYTES) {
            return GRPC_FRAME_NEEDS_MORE;
        }
        framer->message_len = read_be32(framer->prefix + 1);
        return GRPC_FRAME_PREFIX;
    }
    uint32_t left = framer->message_len - framer->message_got;
    if (left == 0) {
        return GRPC_FRAME_EXTRA;
    }
    size_t len = data->len < left ? data->len : left;
    *payload = (struct bytes){data->ptr, len};
    framer->message_got += (uint32_t)len;
    cut_front(data, len);
    return GRPC_FRAME_PAYLOAD;
}

bool grpc_framer_is_complete(const struct grpc_framer *framer)
{
    return framer->prefix_len == GRPC_PREFIX_BYTES && framer->message_got == framer->message_len;
}

bool grpc_timeout_parse(struct bytes text, uint64_t *ns)
{
    static const struct {
        char unit;
        uint64_t ns;
    } units[] = {
        {'H', UINT64_C(3600000000000)}, {'M', UINT64_C(60000000000)}, {'S', UINT64_C(1000000000)},
        {'m', UINT64_C(1000000)},       {'u', UINT64_C(1000)},        {'n', UINT64_C(1)},
    };
    uint64_t value;
    if (text.len < 2 || text.len > 9 || text.ptr[0] < '0' || text.ptr[0] > '9' ||
        !bytes_to_u64(bytes_from(text.ptr, text.len - 1), &value)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if ((char)text.ptr[text.len - 1] == units[i].unit) {
            *ns = value * units[i].ns;  // 99,999,999 hours still fit
            return true;
        }
    }
    return false;
}

void grpc_message_encode(struct bytes text, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte >= 0x20 && byte <= 0x7E && byte != '%') {
            buffer_append_byte(out, byte);
        } else {
            char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            buffer_append(out, escape, sizeof escape);
        }
    }
}

enum grpc_content grpc_content_of(struct bytes content_type)
{
    static const struct bytes type = {(const uint8_t *)"application/grpc", 16};
    if (content_type.len < type.len ||
        !bytes_equal_nocase(bytes_from(content_type.ptr, type.len), "application/grpc")) {
        return GRPC_CONTENT_NONE;
    }
    struct bytes rest = bytes_slice(content_type, type.len, SIZE_MAX);
    size_t end = bytes_find(rest, BYTES_LITERAL(";"), 0);
    rest = bytes_trim(bytes_slice(rest, 0, end));
    if (rest.len == 0 || bytes_equal_nocase(rest, "+proto")) {
        return GRPC_CONTENT_PROTO;
    }
    return GRPC_CONTENT_OTHER;
}
