// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON from protobuf bytes: the mapping by rows, and that our own reader of OTLP/JSON gets the
// same message back.
#include "exporter/otlp_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "proto/attribute.h"
#include "proto/otlp_json.h"
#include "tests/unit/export_sample.h"

static struct buffer message, text;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&message, 1 << 20);
    buffer_init(&text, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&message);
    buffer_fini(&text);
    return 0;
}

static void expect(enum schema_message type, const char *json)
{
    otlp_text_write_message(type, buffer_view(&message), &text);
    assert_string_equal(buffer_text(&text), json);
    assert_true(json_is_valid(buffer_view(&text)));
}

static void an_empty_message_is_an_empty_object(void **state)
{
    (void)state;
    expect(SCHEMA_SPAN, "{}");
}

static void ids_are_hex_times_strings_and_enums_numbers(void **state)
{
    (void)state;
    static const uint8_t id[16] = {0xab, 0xcd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0xff};
    wire_write_bytes(&message, SPAN_TRACE_ID, bytes_from(id, 16));
    wire_write_bytes(&message, SPAN_SPAN_ID, bytes_from(id, 8));
    wire_write_text(&message, SPAN_NAME, "a\"b\n");
    wire_write_varint(&message, SPAN_KIND, 3);
    wire_write_fixed64(&message, SPAN_START, UINT64_MAX);
    wire_write_fixed32(&message, SPAN_FLAGS, 257);
    expect(SCHEMA_SPAN, "{\"traceId\":\"abcd000102030405060708090a0b0cff\","
                        "\"spanId\":\"abcd000102030405\",\"name\":\"a\\\"b\\n\",\"kind\":3,"
                        "\"startTimeUnixNano\":\"18446744073709551615\",\"flags\":257}");
}

static void values_have_the_names_of_their_types(void **state)
{
    (void)state;
    static const struct bytes texts[] = {{(const uint8_t *)"x", 1}, {(const uint8_t *)"y", 1}};
    attribute_write_int(&message, RES_ATTRIBUTES, "i", -5);
    attribute_write_bool(&message, RES_ATTRIBUTES, "b", false);
    attribute_write_double(&message, RES_ATTRIBUTES, "d", 0.5);
    attribute_write_texts(&message, RES_ATTRIBUTES, "t", texts, 2);
    expect(SCHEMA_RESOURCE,
           "{\"attributes\":[{\"key\":\"i\",\"value\":{\"intValue\":\"-5\"}},"
           "{\"key\":\"b\",\"value\":{\"boolValue\":false}},"
           "{\"key\":\"d\",\"value\":{\"doubleValue\":0.5}},"
           "{\"key\":\"t\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"x\"},"
           "{\"stringValue\":\"y\"}]}}}]}");
}

static void bytes_are_base64_and_odd_doubles_are_words(void **state)
{
    (void)state;
    wire_write_bytes(&message, ANY_BYTES, BYTES_LITERAL("\x01\x02"));
    expect(SCHEMA_ANY_VALUE, "{\"bytesValue\":\"AQI=\"}");
    buffer_reset(&message);
    buffer_reset(&text);
    wire_write_double(&message, ANY_DOUBLE, -1.0 / 0.0);
    expect(SCHEMA_ANY_VALUE, "{\"doubleValue\":\"-Infinity\"}");
}

static void of_a_oneof_the_last_member_counts(void **state)
{
    (void)state;
    wire_write_text(&message, ANY_STRING, "first");
    wire_write_varint(&message, ANY_INT, 7);
    expect(SCHEMA_ANY_VALUE, "{\"intValue\":\"7\"}");
}

static void scattered_and_repeated_fields_come_together(void **state)
{
    (void)state;
    wire_write_text(&message, EVENT_NAME, "one");
    attribute_write_int(&message, EVENT_ATTRIBUTES, "a", 1);
    wire_write_text(&message, EVENT_NAME, "two");
    wire_write_varint(&message, 99, 5);
    attribute_write_int(&message, EVENT_ATTRIBUTES, "b", 2);
    expect(SCHEMA_EVENT, "{\"name\":\"two\",\"attributes\":[{\"key\":\"a\",\"value\":"
                         "{\"intValue\":\"1\"}},{\"key\":\"b\",\"value\":{\"intValue\":\"2\"}}]}");
}

static void packed_and_unpacked_numbers_are_one_array(void **state)
{
    (void)state;
    static const uint8_t packed[16] = {1, 0, 0, 0, 0, 0, 0, 0, 2};
    wire_write_bytes(&message, 6, bytes_from(packed, 16));  // bucket_counts
    wire_write_fixed64(&message, 6, 3);
    expect(SCHEMA_HISTOGRAM_POINT, "{\"bucketCounts\":[\"1\",\"2\",\"3\"]}");
}

static void nesting_without_end_is_cut(void **state)
{
    (void)state;
    struct buffer inner;
    buffer_init(&inner, 1 << 20);
    wire_write_varint(&inner, ANY_INT, 1);
    for (int i = 0; i < 500; i++) {
        struct buffer list, outer;
        buffer_init(&list, 1 << 20);
        buffer_init(&outer, 1 << 20);
        wire_write_bytes(&list, LIST_VALUES, buffer_view(&inner));
        wire_write_bytes(&outer, ANY_ARRAY, buffer_view(&list));
        buffer_fini(&inner);
        buffer_fini(&list);
        inner = outer;
    }
    otlp_text_write_message(SCHEMA_ANY_VALUE, buffer_view(&inner), &text);
    assert_true(text.len < 5000);
    buffer_fini(&inner);
}

static void malformed_bytes_end_the_message_and_stay_json(void **state)
{
    (void)state;
    sample_spans(&message, 0, 3, 20);
    for (size_t len = 0; len < message.len; len++) {
        buffer_reset(&text);
        otlp_text_write(SIGNAL_TRACES, bytes_from(message.ptr, len), &text);
        assert_true(json_is_valid(buffer_view(&text)));
    }
}

static void our_reader_gets_the_same_message_back(void **state)
{
    (void)state;
    struct parcel *metrics = sample_metrics(3, 4);
    struct buffer again, retold;
    char why[256];
    buffer_init(&again, 1 << 20);
    buffer_init(&retold, 1 << 20);
    sample_spans(&message, 0, 20, 100);
    otlp_text_write(SIGNAL_TRACES, buffer_view(&message), &text);
    assert_int_equal(
        otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(&text), &again, why, sizeof(why)),
        RESULT_OK);
    otlp_text_write(SIGNAL_TRACES, buffer_view(&again), &retold);
    assert_string_equal(buffer_text(&text), buffer_text(&retold));
    buffer_reset(&text);
    buffer_reset(&again);
    buffer_reset(&retold);
    otlp_text_write(SIGNAL_METRICS, metrics->batch->body, &text);
    assert_int_equal(
        otlp_json_to_protobuf(SIGNAL_METRICS, buffer_view(&text), &again, why, sizeof(why)),
        RESULT_OK);
    otlp_text_write(SIGNAL_METRICS, buffer_view(&again), &retold);
    assert_string_equal(buffer_text(&text), buffer_text(&retold));
    parcel_unref(&metrics);
    buffer_fini(&again);
    buffer_fini(&retold);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_message_is_an_empty_object),
        TEST(ids_are_hex_times_strings_and_enums_numbers),
        TEST(values_have_the_names_of_their_types),
        TEST(bytes_are_base64_and_odd_doubles_are_words),
        TEST(of_a_oneof_the_last_member_counts),
        TEST(scattered_and_repeated_fields_come_together),
        TEST(packed_and_unpacked_numbers_are_one_array),
        TEST(nesting_without_end_is_cut),
        TEST(malformed_bytes_end_the_message_and_stay_json),
        TEST(our_reader_gets_the_same_message_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
