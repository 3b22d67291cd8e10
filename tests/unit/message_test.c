// SPDX-License-Identifier: Apache-2.0
//
// The validator by small messages, and the shape that is recognised without it against it.
#include "proto/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sample_request.h"

static enum scan_fault check(enum schema_message type, struct bytes message)
{
    return message_validate(type, message, SCAN_CHECK_UTF8, 1);
}

static void empty_messages_are_sound(void **state)
{
    (void)state;
    for (int type = SCHEMA_NONE + 1; type < SCHEMA_MESSAGE_COUNT; type++) {
        assert_int_equal(check((enum schema_message)type, BYTES_NONE), SCAN_OK);
    }
}

static void generated_messages_of_every_type_are_sound(void **state)
{
    (void)state;
    struct sample_options options = {
        .has_unknown_fields = true, .has_groups = true, .pads_varints = true, .depth_max = 3};
    for (int type = SCHEMA_NONE + 1; type < SCHEMA_MESSAGE_COUNT; type++) {
        for (uint64_t seed = 1; seed < 50; seed++) {
            struct random random;
            struct buffer out;
            random_seed(&random, seed);
            buffer_init(&out, (size_t)1 << 20);
            sample_message(&out, (enum schema_message)type, &random, &options);
            assert_string_equal(
                scan_fault_label(check((enum schema_message)type, buffer_view(&out))), "ok");
            buffer_fini(&out);
        }
    }
}

static void faults_are_named_by_their_place(void **state)
{
    (void)state;
    assert_int_equal(check(SCHEMA_KEY_VALUE, BYTES_LITERAL("\x0a\x02k")), SCAN_TRUNCATED);
    assert_int_equal(check(SCHEMA_KEY_VALUE, BYTES_LITERAL("\x12\x02\x0a\x05")), SCAN_NESTED);
    assert_int_equal(check(SCHEMA_KEY_VALUE, BYTES_LITERAL("\x08\x01")), SCAN_WIRE_TYPE);
    assert_int_equal(check(SCHEMA_RESOURCE, BYTES_LITERAL("\x0a\x02\x00\x01")), SCAN_NESTED);
    assert_int_equal(check(SCHEMA_ENTITY_REF, BYTES_LITERAL("\x1a\x01\xff")), SCAN_UTF8);
    assert_int_equal(check(SCHEMA_EXEMPLAR, BYTES_LITERAL("\x22\x01x")), SCAN_SPAN_ID);
    assert_int_equal(check(SCHEMA_EXEMPLAR, BYTES_LITERAL("\x2a\x01x")), SCAN_TRACE_ID);
    assert_int_equal(check(SCHEMA_ANY_VALUE, BYTES_LITERAL("\x3a\x02\xff\xfe")), SCAN_OK);
}

static void buckets_come_packed_or_not(void **state)
{
    (void)state;
    assert_int_equal(check(SCHEMA_BUCKETS, BYTES_LITERAL("\x12\x03\x01\x80\x01")), SCAN_OK);
    assert_int_equal(check(SCHEMA_BUCKETS, BYTES_LITERAL("\x10\x01\x10\x02")), SCAN_OK);
    assert_int_equal(check(SCHEMA_BUCKETS, BYTES_LITERAL("\x12\x01\x80")), SCAN_NESTED);
    assert_int_equal(check(SCHEMA_BUCKETS, BYTES_LITERAL("\x11" "12345678")), SCAN_WIRE_TYPE);
    assert_int_equal(check(SCHEMA_BUCKETS, BYTES_LITERAL("\x0a\x01\x01")), SCAN_WIRE_TYPE);
}

static void text_is_judged_alike_at_every_length(void **state)
{
    (void)state;
    for (size_t len = 1; len < 100; len++) {
        uint8_t text[100];
        memset(text, 'a', sizeof text);
        assert_true(message_text_is_sound(text, len));
        for (size_t at = 0; at < len; at++) {
            text[at] = 0x80;
            assert_false(message_text_is_sound(text, len));
            text[at] = 'a';
        }
        if (len >= 2) {
            memcpy(text + len - 2, "\xc3\xa9", 2);
            assert_true(message_text_is_sound(text, len));
        }
    }
}

// The usual shape is only ever recognised where the validator agrees.
static void usual_pairs_are_sound(void **state)
{
    (void)state;
    struct sample_options options = {.fields_max = 4, .depth_max = 2};
    unsigned usual_count = 0;
    for (uint64_t seed = 1; seed < 20000; seed++) {
        struct random random;
        struct buffer out;
        random_seed(&random, seed);
        buffer_init(&out, (size_t)1 << 16);
        sample_message(&out, SCHEMA_KEY_VALUE, &random, &options);
        if (out.len > 0 && seed % 2 == 0) {
            out.ptr[random_below(&random, out.len)] = (uint8_t)random_next(&random);
        }
        if (message_is_usual_pair(out.ptr, out.ptr + out.len, SCAN_CHECK_UTF8)) {
            assert_int_equal(check(SCHEMA_KEY_VALUE, buffer_view(&out)), SCAN_OK);
            usual_count++;
        }
        buffer_fini(&out);
    }
    assert_true(usual_count > 50);
}

static void depth_is_counted_from_what_is_given(void **state)
{
    (void)state;
    struct bytes pair = BYTES_LITERAL("\x12\x04\x2a\x02\x0a\x00");  // a value in an array: 4 levels
    assert_int_equal(message_validate(SCHEMA_KEY_VALUE, pair, 0, 61), SCAN_OK);
    assert_int_equal(message_validate(SCHEMA_KEY_VALUE, pair, 0, 62), SCAN_DEPTH);
    assert_int_equal(message_validate(SCHEMA_KEY_VALUE, BYTES_NONE, 0, 65), SCAN_DEPTH);
    // Scalars are recognised without a look at the depth, except where their value would be too
    // deep.
    struct bytes list = BYTES_LITERAL("\x0a\x07\x0a\x01k\x12\x02\x10\x01");
    assert_int_equal(message_validate(SCHEMA_KEY_VALUE_LIST, list, 0, 62), SCAN_OK);
    assert_int_equal(message_validate(SCHEMA_KEY_VALUE_LIST, list, 0, 63), SCAN_DEPTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_messages_are_sound),
        cmocka_unit_test(generated_messages_of_every_type_are_sound),
        cmocka_unit_test(faults_are_named_by_their_place),
        cmocka_unit_test(buckets_come_packed_or_not),
        cmocka_unit_test(text_is_judged_alike_at_every_length),
        cmocka_unit_test(usual_pairs_are_sound),
        cmocka_unit_test(depth_is_counted_from_what_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
