// SPDX-License-Identifier: Apache-2.0
//
// The span's fast reader against the schema's validator: whatever the bytes, both must come to the
// same verdict, and reading with trust must show the same view as reading without.
#include "proto/item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/message.h"
#include "tests/sample_request.h"

enum { SEEDS = 3000, MUTANTS = 10 };

static void compare(enum signal signal, struct bytes item, unsigned *sound_count)
{
    struct item_view untrusted = {0};
    struct item_view trusted = {0};
    enum scan_fault fault = item_read(signal, item, ITEM_UNTRUSTED, SCAN_CHECK_UTF8, &untrusted);
    enum scan_fault expected = message_validate(schema_item(signal), item, SCAN_CHECK_UTF8, 1);
    assert_string_equal(scan_fault_label(fault), scan_fault_label(expected));
    if (fault == SCAN_OK) {
        assert_int_equal(item_read(signal, item, ITEM_TRUSTED, 0, &trusted), SCAN_OK);
        assert_true(trusted.key_heads == 0);  // what is trusted is stepped over
        assert_true((untrusted.key_heads != 0) ==
                    (signal == SIGNAL_TRACES && untrusted.attribute_count > 0));
        untrusted.key_heads = 0;
        assert_memory_equal(&trusted, &untrusted, sizeof trusted);
        (*sound_count)++;
    }
}

static void the_fast_reader_agrees_with_the_validator(void **state)
{
    (void)state;
    struct sample_options options = {.has_unknown_fields = true,
                                     .repeats_singular = true,
                                     .pads_varints = true,
                                     .has_groups = true,
                                     .fields_max = 12,
                                     .depth_max = 4};
    unsigned sound_count = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        struct buffer item;
        enum signal signal = (enum signal)(seed % SIGNAL_OTLP_COUNT);
        random_seed(&random, seed);
        buffer_init(&item, (size_t)1 << 20);
        sample_message(&item, schema_item(signal), &random, &options);
        compare(signal, buffer_view(&item), &sound_count);
        for (unsigned i = 0; i < MUTANTS && item.len > 0; i++) {
            size_t at = (size_t)random_below(&random, item.len);
            uint8_t before = item.ptr[at];
            item.ptr[at] = (uint8_t)random_next(&random);
            compare(signal, buffer_view(&item), &sound_count);
            item.ptr[at] = before;
        }
        buffer_fini(&item);
    }
    assert_true(sound_count > SEEDS);
    assert_true(sound_count < SEEDS * MUTANTS);
}

static void a_faulty_item_can_still_be_looked_at(void **state)
{
    (void)state;
    struct item_view view = {.place = {1, 2, 3}};
    struct bytes item = BYTES_LITERAL("\x2a\x01n\x4a\x03\x0a\x01k\x4a\x02\x0a\x05\x30\x01");
    assert_int_equal(item_read(SIGNAL_TRACES, item, ITEM_UNTRUSTED, 0, &view), SCAN_NESTED);
    assert_true(bytes_equal_text(view.name, "n"));
    assert_true(view.attributes.ptr >= item.ptr);
    assert_true(view.attributes.ptr + view.attributes.len <= item.ptr + item.len);
    assert_int_equal(view.place.item_at, 3);
    assert_int_equal(view.kind, 0);
}

static void trust_does_not_look_into_attributes(void **state)
{
    (void)state;
    struct item_view view = {0};
    struct bytes item = BYTES_LITERAL("\x4a\x02\x0a\x05\x30\x01");
    assert_int_equal(item_read(SIGNAL_TRACES, item, ITEM_TRUSTED, 0, &view), SCAN_OK);
    assert_int_equal(view.attribute_count, 1);
    assert_int_equal(view.kind, 1);
}

static void first_bytes_of_keys_are_remembered(void **state)
{
    (void)state;
    struct item_view view = {0};
    struct bytes usual = BYTES_LITERAL("\x4a\x08\x0a\x02ge\x12\x02\x10\x01"
                                       "\x4a\x08\x0a\x02ht\x12\x02\x10\x01");
    assert_int_equal(item_read(SIGNAL_TRACES, usual, ITEM_UNTRUSTED, 0, &view), SCAN_OK);
    assert_true(view.key_heads == (item_key_head('g', 'e') | item_key_head('h', 't')));
    struct bytes value_first = BYTES_LITERAL("\x4a\x08\x12\x02\x10\x01\x0a\x02ge");
    assert_int_equal(item_read(SIGNAL_TRACES, value_first, ITEM_UNTRUSTED, 0, &view), SCAN_OK);
    assert_true(view.key_heads == UINT64_MAX);  // may be any
    assert_int_equal(item_read(SIGNAL_TRACES, BYTES_NONE, ITEM_UNTRUSTED, 0, &view), SCAN_OK);
    assert_true(view.key_heads == 0);
}

static void trust_still_checks_lengths(void **state)
{
    (void)state;
    struct item_view view = {0};
    assert_int_equal(item_read(SIGNAL_TRACES, BYTES_LITERAL("\x2a\x05"), ITEM_TRUSTED, 0, &view),
                     SCAN_TRUNCATED);
    assert_int_equal(item_read(SIGNAL_TRACES, BYTES_LITERAL("\x2a\x85\x80\x80\x80\x80\x01"),
                               ITEM_TRUSTED, 0, &view),
                     SCAN_VARINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fast_reader_agrees_with_the_validator),
        cmocka_unit_test(a_faulty_item_can_still_be_looked_at),
        cmocka_unit_test(trust_does_not_look_into_attributes),
        cmocka_unit_test(first_bytes_of_keys_are_remembered),
        cmocka_unit_test(trust_still_checks_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
