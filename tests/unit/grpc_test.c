// SPDX-License-Identifier: Apache-2.0
//
// gRPC's byte forms: framing in every portioning, timeouts, percent-encoding, content types.
#include "receiver/grpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// Feeds `wire` in portions of `step`; returns the payload bytes seen and the last outcome.
static enum grpc_frame drive(struct bytes wire, size_t step, struct buffer *payload,
                             struct grpc_framer *framer)
{
    enum grpc_frame frame = GRPC_FRAME_NEEDS_MORE;
    *framer = (struct grpc_framer){{0}, 0, 0, 0};
    for (size_t at = 0; at < wire.len; at += step) {
        struct bytes data = bytes_slice(wire, at, step);
        do {
            struct bytes part = BYTES_NONE;
            frame = grpc_framer_step(framer, &data, &part);
            if (frame == GRPC_FRAME_PAYLOAD) {
                buffer_append_bytes(payload, part);
            }
            if (frame == GRPC_FRAME_EXTRA || frame == GRPC_FRAME_BAD_FLAG) {
                return frame;
            }
        } while (frame != GRPC_FRAME_NEEDS_MORE);
    }
    return frame;
}

static void message_is_cut_out_of_any_portions(void **state)
{
    (void)state;
    static const uint8_t wire[] = {1, 0, 0, 0, 7, 'm', 'e', 's', 's', 'a', 'g', 'e'};
    for (size_t step = 1; step <= sizeof wire; step++) {
        struct buffer payload;
        struct grpc_framer framer;
        buffer_init(&payload, 100);
        assert_int_equal(drive(bytes_from(wire, sizeof wire), step, &payload, &framer),
                         GRPC_FRAME_NEEDS_MORE);
        assert_true(grpc_framer_is_complete(&framer));
        assert_true(grpc_framer_is_packed(&framer));
        assert_true(bytes_equal_text(buffer_view(&payload), "message"));
        buffer_fini(&payload);
    }
}

static void empty_message_is_complete(void **state)
{
    (void)state;
    struct buffer payload;
    struct grpc_framer framer;
    buffer_init(&payload, 100);
    drive(BYTES_LITERAL("\0\0\0\0\0"), 5, &payload, &framer);
    assert_true(grpc_framer_is_complete(&framer));
    buffer_fini(&payload);
}

static void cut_or_repeated_messages_are_told(void **state)
{
    (void)state;
    static const struct {
        struct bytes wire;
        enum grpc_frame frame;
        bool is_complete;
    } rows[] = {
        {{(const uint8_t *)"", 0}, GRPC_FRAME_NEEDS_MORE, false},
        {{(const uint8_t *)"\0\0\0", 3}, GRPC_FRAME_NEEDS_MORE, false},
        {{(const uint8_t *)"\0\0\0\0\2x", 6}, GRPC_FRAME_NEEDS_MORE, false},
        {{(const uint8_t *)"\0\0\0\0\1xy", 7}, GRPC_FRAME_EXTRA, true},
        {{(const uint8_t *)"\0\0\0\0\0\0", 6}, GRPC_FRAME_EXTRA, true},
        {{(const uint8_t *)"\2\0\0\0\0", 5}, GRPC_FRAME_BAD_FLAG, true},
        {{(const uint8_t *)"POST ", 5}, GRPC_FRAME_BAD_FLAG, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer payload;
        struct grpc_framer framer;
        buffer_init(&payload, 100);
        assert_int_equal(drive(rows[i].wire, 100, &payload, &framer), rows[i].frame);
        if (rows[i].frame == GRPC_FRAME_NEEDS_MORE) {
            assert_int_equal(grpc_framer_is_complete(&framer), rows[i].is_complete);
        }
        buffer_fini(&payload);
    }
}

static void timeouts_take_the_six_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } rows[] = {{"1H", UINT64_C(3600000000000)}, {"2M", UINT64_C(120000000000)},
                {"10S", UINT64_C(10000000000)},  {"250m", UINT64_C(250000000)},
                {"7u", UINT64_C(7000)},          {"99999999n", UINT64_C(99999999)},
                {"0S", 0}, {"99999999H", UINT64_C(99999999) * UINT64_C(3600000000000)}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ns = 1;
        assert_true(grpc_timeout_parse(bytes_from_text(rows[i].text), &ns));
        assert_int_equal(ns, rows[i].ns);
    }
}

static void malformed_timeouts_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",   "S",   "1",   "1s",  "1x",         "-1S", " 1S",
                                       "1 S", "1.5S", "+1S", "0x1S", "123456789S", "1SS", "1HM"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ns;
        assert_false(grpc_timeout_parse(bytes_from_text(rows[i]), &ns));
    }
}

static void messages_are_percent_encoded(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {{"plain text", "plain text"}, {"100%", "100%25"},       {"a\nb", "a%0Ab"},
                {"\x7f", "%7F"},              {"\xc3\xa9", "%C3%A9"},   {"", ""},
                {"~ \"<>", "~ \"<>"},         {"\x01\x1f", "%01%1F"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        grpc_message_encode(bytes_from_text(rows[i].in), &out);
        assert_string_equal(buffer_text(&out), rows[i].out);
        buffer_fini(&out);
    }
}

static void content_types_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum grpc_content content;
    } rows[] = {
        {"application/grpc", GRPC_CONTENT_PROTO},
        {"application/grpc+proto", GRPC_CONTENT_PROTO},
        {"Application/GRPC; charset=utf-8", GRPC_CONTENT_PROTO},
        {"application/grpc+proto ;x=y", GRPC_CONTENT_PROTO},
        {"application/grpc+json", GRPC_CONTENT_OTHER},
        {"application/grpc-web", GRPC_CONTENT_OTHER},
        {"application/grpcish", GRPC_CONTENT_OTHER},
        {"application/grp", GRPC_CONTENT_NONE},
        {"application/x-protobuf", GRPC_CONTENT_NONE},
        {"", GRPC_CONTENT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(grpc_content_of(bytes_from_text(rows[i].text)), rows[i].content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_cut_out_of_any_portions),
        cmocka_unit_test(empty_message_is_complete),
        cmocka_unit_test(cut_or_repeated_messages_are_told),
        cmocka_unit_test(timeouts_take_the_six_units),
        cmocka_unit_test(malformed_timeouts_are_refused),
        cmocka_unit_test(messages_are_percent_encoded),
        cmocka_unit_test(content_types_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
