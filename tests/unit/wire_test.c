// SPDX-License-Identifier: Apache-2.0
//
// The cursor on sound and hostile bytes, and the writer against the cursor.
#include "proto/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(...)                                                                                 \
    bytes_from((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void assert_malformed(struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
    }
    assert_false(wire_is_done(&wire));
}

static void assert_one_field(struct bytes message, uint32_t number, enum wire_type type)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    assert_true(wire_next(&wire, &field));
    assert_int_equal(field.number, number);
    assert_int_equal(field.type, type);
    assert_ptr_equal(field.start, message.ptr);
    assert_false(wire_next(&wire, &field));
    assert_true(wire_is_done(&wire));
}

static void fields_of_all_types_are_read(void **state)
{
    (void)state;
    assert_one_field(BYTES(0x08, 0x96, 0x01), 1, WIRE_VARINT);
    assert_one_field(BYTES(0x11, 1, 2, 3, 4, 5, 6, 7, 8), 2, WIRE_FIXED64);
    assert_one_field(BYTES(0x1a, 0x02, 'h', 'i'), 3, WIRE_LEN);
    assert_one_field(BYTES(0x25, 1, 2, 3, 4), 4, WIRE_FIXED32);
    assert_one_field(BYTES(0x2b, 0x08, 0x01, 0x2c), 5, WIRE_GROUP);
}

static void values_are_little_endian(void **state)
{
    (void)state;
    struct bytes message =
        BYTES(0x11, 1, 2, 0, 0, 0, 0, 0, 0x80, 0x25, 4, 3, 2, 1, 0x08, 0x96, 0x01);
    struct wire wire = wire_of(message);
    struct wire_field field;
    assert_true(wire_next(&wire, &field));
    assert_true(field.value == UINT64_C(0x8000000000000201));
    assert_true(wire_next(&wire, &field));
    assert_true(field.value == UINT64_C(0x01020304));
    assert_true(wire_next(&wire, &field));
    assert_true(field.value == 150);
}

static void an_empty_message_is_done_at_once(void **state)
{
    (void)state;
    struct wire wire = wire_of(BYTES_NONE);
    struct wire_field field;
    assert_false(wire_next(&wire, &field));
    assert_true(wire_is_done(&wire));
}

static void truncated_fields_are_malformed(void **state)
{
    (void)state;
    assert_malformed(BYTES(0x08));
    assert_malformed(BYTES(0x08, 0x80));
    assert_malformed(BYTES(0x88));
    assert_malformed(BYTES(0x11, 1, 2, 3, 4, 5, 6, 7));
    assert_malformed(BYTES(0x25, 1, 2, 3));
    assert_malformed(BYTES(0x1a));
    assert_malformed(BYTES(0x1a, 0x03, 'h', 'i'));
    assert_malformed(BYTES(0x2b, 0x08, 0x01));
}

static void lengths_that_would_wrap_are_malformed(void **state)
{
    (void)state;
    assert_malformed(BYTES(0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f, 'a'));
    assert_malformed(BYTES(0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a'));
}

static void field_numbers_out_of_range_are_malformed(void **state)
{
    (void)state;
    assert_malformed(BYTES(0x00, 0x01));
    assert_malformed(BYTES(0x02, 0x00));
    assert_malformed(BYTES(0x80, 0x80, 0x80, 0x80, 0x10, 0x01));  // 2^29
    assert_one_field(BYTES(0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01), (1U << 29) - 1, WIRE_VARINT);
}

static void over_long_varints_are_taken_up_to_their_bound(void **state)
{
    (void)state;
    assert_one_field(BYTES(0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), 1,
                     WIRE_VARINT);
    assert_malformed(
        BYTES(0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00));
    assert_malformed(BYTES(0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02));
    assert_one_field(BYTES(0x88, 0x80, 0x80, 0x80, 0x00, 0x01), 1, WIRE_VARINT);
    assert_malformed(BYTES(0x88, 0x80, 0x80, 0x80, 0x80, 0x00, 0x01));
    assert_one_field(BYTES(0x1a, 0x81, 0x80, 0x80, 0x80, 0x00, 'a'), 3, WIRE_LEN);
    assert_malformed(BYTES(0x1a, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00, 'a'));
}

static void wire_types_that_do_not_exist_are_malformed(void **state)
{
    (void)state;
    assert_malformed(BYTES(0x0e, 0x00));
    assert_malformed(BYTES(0x0f, 0x00));
    assert_malformed(BYTES(0x0c));
}

static void groups_end_with_their_own_number(void **state)
{
    (void)state;
    assert_malformed(BYTES(0x2b, 0x34));
    assert_one_field(BYTES(0x2b, 0x2b, 0x2c, 0x2c), 5, WIRE_GROUP);
    assert_malformed(BYTES(0x2b, 0x2b, 0x2c));
}

static void groups_are_bounded_in_depth(void **state)
{
    (void)state;
    uint8_t nested[2 * 80];
    for (unsigned depth = 60; depth <= 80; depth++) {
        memset(nested, 0x2b, depth);
        memset(nested + depth, 0x2c, depth);
        struct wire wire = wire_of(bytes_from(nested, 2 * depth));
        struct wire_field field;
        assert_int_equal(wire_next(&wire, &field), depth <= WIRE_DEPTH_MAX);
    }
}

static void malformed_bytes_are_not_stepped_over(void **state)
{
    (void)state;
    struct bytes message = BYTES(0x08, 0x01, 0x1a, 0x7f);
    struct wire wire = wire_of(message);
    struct wire_field field;
    assert_true(wire_next(&wire, &field));
    assert_false(wire_next(&wire, &field));
    assert_ptr_equal(wire.ptr, message.ptr + 2);
}

static void find_gives_the_last_of_a_number(void **state)
{
    (void)state;
    struct bytes payload = BYTES_NONE;
    assert_true(wire_find(BYTES(0x0a, 1, 'a', 0x12, 1, 'x', 0x0a, 1, 'b'), 1, &payload));
    assert_true(bytes_equal_text(payload, "b"));
    assert_false(wire_find(BYTES(0x08, 1), 1, &payload));
}

static void varints_round_trip_at_every_size(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t value = (UINT64_C(1) << bit) - 1; value <= UINT64_C(1) << bit; value++) {
            uint8_t room[10];
            uint64_t back = 0;
            size_t len = (size_t)(wire_put_varint(room, value) - room);
            assert_int_equal(len, wire_varint_size(value));
            struct wire wire = wire_of(bytes_from(room, len));
            assert_true(wire_varint(&wire, &back) && back == value && wire_is_done(&wire));
            if (value == UINT64_C(1) << bit) {
                break;
            }
        }
    }
}

static void written_fields_read_back(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1000);
    wire_write_varint(&out, 1, UINT64_MAX);
    wire_write_fixed32(&out, 2, 0x01020304);
    wire_write_double(&out, 3, 1.5);
    wire_write_text(&out, 70000, "text");
    struct wire wire = wire_of(buffer_view(&out));
    struct wire_field field;
    double real = 0;
    assert_true(wire_next(&wire, &field) && field.value == UINT64_MAX);
    assert_true(wire_next(&wire, &field) && field.value == 0x01020304);
    assert_true(wire_next(&wire, &field));
    memcpy(&real, &field.value, sizeof real);
    assert_true(real == 1.5);
    assert_true(wire_next(&wire, &field) && field.number == 70000);
    assert_true(bytes_equal_text(field.bytes, "text"));
    assert_true(wire_is_done(&wire));
    buffer_fini(&out);
}

static void nested_messages_get_their_length_whatever_it_is(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 127, 128, 16383, 16384, 70000};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct buffer out;
        struct bytes outer = BYTES_NONE;
        struct bytes inner = BYTES_NONE;
        buffer_init(&out, 200000);
        size_t outer_mark = wire_open(&out, 7);
        size_t inner_mark = wire_open(&out, 8);
        for (size_t n = 0; n < lens[i]; n++) {
            buffer_append_byte(&out, (uint8_t)n);
        }
        wire_close(&out, inner_mark);
        wire_close(&out, outer_mark);
        assert_true(wire_find(buffer_view(&out), 7, &outer));
        assert_true(wire_find(outer, 8, &inner));
        assert_int_equal(inner.len, lens[i]);
        assert_true(inner.len == 0 || inner.ptr[inner.len - 1] == (uint8_t)(lens[i] - 1));
        if (lens[i] < 16000) {
            assert_int_equal(out.len, 2 + wire_varint_size(outer.len) +
                                          wire_varint_size(inner.len) + inner.len);
        }
        buffer_fini(&out);
    }
}

static void a_full_buffer_leaves_open_messages_alone(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 8);
    size_t outer = wire_open(&out, 1);
    size_t inner = wire_open(&out, 2);
    wire_write_text(&out, 3, "does not fit");
    wire_close(&out, inner);
    wire_close(&out, outer);
    assert_int_equal(buffer_status(&out), RESULT_TOO_LARGE);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_all_types_are_read),
        cmocka_unit_test(values_are_little_endian),
        cmocka_unit_test(an_empty_message_is_done_at_once),
        cmocka_unit_test(truncated_fields_are_malformed),
        cmocka_unit_test(lengths_that_would_wrap_are_malformed),
        cmocka_unit_test(field_numbers_out_of_range_are_malformed),
        cmocka_unit_test(over_long_varints_are_taken_up_to_their_bound),
        cmocka_unit_test(wire_types_that_do_not_exist_are_malformed),
        cmocka_unit_test(groups_end_with_their_own_number),
        cmocka_unit_test(groups_are_bounded_in_depth),
        cmocka_unit_test(malformed_bytes_are_not_stepped_over),
        cmocka_unit_test(find_gives_the_last_of_a_number),
        cmocka_unit_test(varints_round_trip_at_every_size),
        cmocka_unit_test(written_fields_read_back),
        cmocka_unit_test(nested_messages_get_their_length_whatever_it_is),
        cmocka_unit_test(a_full_buffer_leaves_open_messages_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
