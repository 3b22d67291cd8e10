// SPDX-License-Identifier: Apache-2.0
//
// Attributes written and walked, in the shapes that SDKs send and in those that protobuf allows.
#include "proto/attribute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/otlp.h"

static struct any_view found(struct bytes fields, const char *key)
{
    struct any_view value = {0};
    assert_true(attribute_find(fields, SPAN_ATTRIBUTES, key, &value));
    return value;
}

static void all_kinds_are_written_and_found(void **state)
{
    (void)state;
    struct buffer out;
    struct bytes texts[] = {BYTES_LITERAL("x"), BYTES_LITERAL(""), BYTES_LITERAL("z")};
    buffer_init(&out, 4096);
    attribute_write_text(&out, SPAN_ATTRIBUTES, "text", BYTES_LITERAL("value"));
    attribute_write_bool(&out, SPAN_ATTRIBUTES, "yes", true);
    attribute_write_bool(&out, SPAN_ATTRIBUTES, "no", false);
    attribute_write_int(&out, SPAN_ATTRIBUTES, "int", INT64_MIN);
    attribute_write_double(&out, SPAN_ATTRIBUTES, "double", -0.25);
    attribute_write_texts(&out, SPAN_ATTRIBUTES, "texts", texts, 3);
    attribute_write_texts(&out, SPAN_ATTRIBUTES, "none", NULL, 0);
    struct bytes fields = buffer_view(&out);
    assert_true(bytes_equal_text(found(fields, "text").bytes, "value"));
    assert_int_equal(found(fields, "yes").number, 1);
    assert_int_equal(found(fields, "no").kind, ANY_KIND_BOOL);
    assert_true(found(fields, "int").number == INT64_MIN);
    assert_true(found(fields, "double").real == -0.25);
    struct any_view list = found(fields, "texts");
    struct wire wire = wire_of(list.bytes);
    struct any_view element;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(any_walk_next(&wire, &element));
        assert_int_equal(element.kind, ANY_KIND_STRING);
        assert_true(bytes_equal(element.bytes, texts[i]));
    }
    assert_false(any_walk_next(&wire, &element));
    assert_int_equal(found(fields, "none").kind, ANY_KIND_ARRAY);
    buffer_fini(&out);
}

static void absent_keys_are_not_found(void **state)
{
    (void)state;
    struct buffer out;
    struct any_view value = {.kind = ANY_KIND_INT};
    buffer_init(&out, 4096);
    attribute_write_text(&out, SPAN_ATTRIBUTES, "key", BYTES_LITERAL("value"));
    assert_false(attribute_find(buffer_view(&out), SPAN_ATTRIBUTES, "ke", &value));
    assert_false(attribute_find(buffer_view(&out), SPAN_ATTRIBUTES, "keys", &value));
    assert_false(attribute_find(buffer_view(&out), SPAN_ATTRIBUTES, "", &value));
    assert_false(attribute_find(buffer_view(&out), LOG_ATTRIBUTES, "key", &value));
    assert_false(attribute_find(BYTES_NONE, SPAN_ATTRIBUTES, "key", &value));
    assert_int_equal(value.kind, ANY_KIND_INT);
    buffer_fini(&out);
}

static void a_walk_steps_over_other_fields_and_shows_whole_ones(void **state)
{
    (void)state;
    struct buffer out;
    struct attribute_walk walk;
    struct attribute_view attribute;
    buffer_init(&out, 4096);
    wire_write_text(&out, SPAN_NAME, "name");
    size_t first = out.len;
    attribute_write_int(&out, SPAN_ATTRIBUTES, "a", 1);
    size_t between = out.len;
    wire_write_varint(&out, SPAN_ATTRIBUTES, 5);  // not a message: no attribute
    wire_write_text(&out, 1000, "unknown");
    attribute_write_int(&out, SPAN_ATTRIBUTES, "b", 2);
    attribute_walk_begin(&walk, buffer_view(&out), SPAN_ATTRIBUTES);
    assert_true(attribute_walk_next(&walk, &attribute));
    assert_true(bytes_equal_text(attribute.key, "a"));
    assert_ptr_equal(attribute.field.ptr, out.ptr + first);
    assert_int_equal(attribute.field.len, between - first);
    assert_true(attribute_walk_next(&walk, &attribute));
    assert_int_equal(attribute.value.number, 2);
    assert_false(attribute_walk_next(&walk, &attribute));
    buffer_fini(&out);
}

// Keys alone, in every shape that the fast reader must leave to the thorough one.
static void walking_keys_shows_what_walking_attributes_shows(void **state)
{
    (void)state;
    static const struct {
        struct bytes field;
        const char *key;
    } cases[] = {
        {BYTES_LITERAL("\x4a\x08\x0a\x01k\x12\x03\x0a\x01v"), "k"},
        {BYTES_LITERAL("\x4a\x88\x00\x0a\x01k\x12\x03\x0a\x01v"), "k"},      // padded length
        {BYTES_LITERAL("\x4a\x88\x80\x00\x0a\x01k\x12\x03\x0a\x01v"), "k"},
        {BYTES_LITERAL("\xca\x00\x08\x0a\x01k\x12\x03\x0a\x01v"), "k"},      // padded tag
        {BYTES_LITERAL("\x4a\x09\x0a\x81\x00k\x12\x03\x0a\x01v"), "k"},      // padded key length
        {BYTES_LITERAL("\x4a\x08\x12\x03\x0a\x01v\x0a\x01k"), "k"},          // value first
        {BYTES_LITERAL("\x4a\x03\x0a\x01k"), "k"},
        {BYTES_LITERAL("\x4a\x07\x0a\x00\x12\x03\x0a\x01v"), ""},
        {BYTES_LITERAL("\x4a\x05\x12\x03\x0a\x01v"), ""},
        {BYTES_LITERAL("\x4a\x00\x2a\x04name"), ""},
        {BYTES_LITERAL("\x2a\x04name\x4a\x03\x0a\x01k\x30\x01\x30\x01"), "k"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct attribute_walk walk;
        struct attribute_walk keys;
        struct attribute_view attribute = {.key = BYTES_NONE};
        struct bytes key = BYTES_NONE;
        struct bytes pair = BYTES_NONE;
        attribute_walk_begin(&walk, cases[i].field, SPAN_ATTRIBUTES);
        attribute_walk_begin(&keys, cases[i].field, SPAN_ATTRIBUTES);
        assert_true(attribute_walk_next(&walk, &attribute));
        assert_true(attribute_walk_key(&keys, &key, &pair));
        assert_true(bytes_equal_text(key, cases[i].key));
        assert_true(bytes_equal(key, attribute.key));
        assert_int_equal(attribute_decode(pair).kind, attribute.value.kind);
        assert_false(attribute_walk_key(&keys, &key, &pair));
    }
}

static void walking_keys_ends_at_what_is_malformed(void **state)
{
    (void)state;
    struct attribute_walk walk;
    struct bytes key, pair;
    attribute_walk_begin(&walk, BYTES_LITERAL("\x4a\x7f\x0a\x01k\x12\x03\x0a"), SPAN_ATTRIBUTES);
    assert_false(attribute_walk_key(&walk, &key, &pair));
    attribute_walk_begin(&walk, BYTES_LITERAL("\x4a\xff\x7f\x0a\x01k\x12\x03\x0a"),
                         SPAN_ATTRIBUTES);
    assert_false(attribute_walk_key(&walk, &key, &pair));
    // A key that runs beyond its own message is not a key of what follows.
    attribute_walk_begin(&walk, BYTES_LITERAL("\x4a\x03\x0a\x05kabcdefgh"), SPAN_ATTRIBUTES);
    assert_true(attribute_walk_key(&walk, &key, &pair));
    assert_int_equal(key.len, 0);
}

static void the_last_of_a_key_wins(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 4096);
    attribute_write_int(&out, SPAN_ATTRIBUTES, "k", 1);
    attribute_write_int(&out, SPAN_ATTRIBUTES, "k", 2);
    assert_int_equal(found(buffer_view(&out), "k").number, 2);
    buffer_fini(&out);
}

static void a_value_may_come_before_its_key(void **state)
{
    (void)state;
    struct bytes field = BYTES_LITERAL("\x4a\x08\x12\x03\x0a\x01v\x0a\x01k");
    assert_true(bytes_equal_text(found(field, "k").bytes, "v"));
}

static void the_last_member_of_a_oneof_wins(void **state)
{
    (void)state;
    assert_int_equal(any_decode(BYTES_LITERAL("\x0a\x01x\x10\x01")).kind, ANY_KIND_BOOL);
    assert_int_equal(any_decode(BYTES_LITERAL("\x10\x01\x0a\x01x")).kind, ANY_KIND_STRING);
    // Merging an empty AnyValue leaves what was there.
    assert_int_equal(found(BYTES_LITERAL("\x4a\x09\x0a\x01k\x12\x02\x10\x01\x12\x00"), "k").kind,
                     ANY_KIND_BOOL);
}

static void what_is_unknown_or_of_a_wrong_type_is_no_value(void **state)
{
    (void)state;
    assert_int_equal(any_decode(BYTES_NONE).kind, ANY_KIND_NONE);
    assert_int_equal(any_decode(BYTES_LITERAL("\x40\x07")).kind, ANY_KIND_NONE);
    assert_int_equal(any_decode(BYTES_LITERAL("\x08\x07")).kind, ANY_KIND_NONE);
    assert_int_equal(any_decode(BYTES_LITERAL("\x12\x01x")).kind, ANY_KIND_NONE);
    assert_int_equal(any_decode(BYTES_LITERAL("\x00\x00")).kind, ANY_KIND_NONE);
}

static void values_become_json(void **state)
{
    (void)state;
    static const struct {
        struct bytes any;
        const char *json;
    } cases[] = {
        {BYTES_LITERAL("\x0a\x05say\"x"), "say\"x"},  // text as it is
        {BYTES_LITERAL("\x10\x01"), "true"},
        {BYTES_LITERAL("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "-1"},
        {BYTES_LITERAL("\x21\0\0\0\0\0\0\xf8\x3f"), "1.5"},
        {BYTES_LITERAL("\x2a\x0b\x0a\x03\x0a\x01\"\x0a\x02\x18\x07\x0a\x00"), "[\"\\\"\",7,null]"},
        {BYTES_LITERAL("\x32\x0b\x0a\x09\x0a\x01k\x12\x04\x2a\x02\x0a\x00"), "{\"k\":[null]}"},
        {BYTES_LITERAL("\x3a\x02hi"), "\"aGk=\""},
        {BYTES_NONE, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out;
        struct any_view value = any_decode(cases[i].any);
        buffer_init(&out, 4096);
        any_write_json(&value, &out);
        assert_string_equal(buffer_text(&out), cases[i].json);
        buffer_fini(&out);
    }
}

static void json_of_deep_values_is_cut_not_followed(void **state)
{
    (void)state;
    struct buffer value, outer, json;
    buffer_init(&value, 65536);
    buffer_init(&outer, 65536);
    buffer_init(&json, 65536);
    for (unsigned i = 0; i < 200; i++) {
        buffer_reset(&outer);
        size_t array = wire_open(&outer, ANY_ARRAY);
        wire_write_bytes(&outer, LIST_VALUES, buffer_view(&value));
        wire_close(&outer, array);
        struct buffer swap = value;
        value = outer;
        outer = swap;
    }
    struct any_view view = any_decode(buffer_view(&value));
    any_write_json(&view, &json);
    assert_int_not_equal(bytes_find(buffer_view(&json), BYTES_LITERAL("[null]"), 0), SIZE_MAX);
    buffer_fini(&value);
    buffer_fini(&outer);
    buffer_fini(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_written_and_found),
        cmocka_unit_test(absent_keys_are_not_found),
        cmocka_unit_test(a_walk_steps_over_other_fields_and_shows_whole_ones),
        cmocka_unit_test(walking_keys_shows_what_walking_attributes_shows),
        cmocka_unit_test(walking_keys_ends_at_what_is_malformed),
        cmocka_unit_test(the_last_of_a_key_wins),
        cmocka_unit_test(a_value_may_come_before_its_key),
        cmocka_unit_test(the_last_member_of_a_oneof_wins),
        cmocka_unit_test(what_is_unknown_or_of_a_wrong_type_is_no_value),
        cmocka_unit_test(values_become_json),
        cmocka_unit_test(json_of_deep_values_is_cut_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
