// SPDX-License-Identifier: Apache-2.0
//
// The table against protobuf-c's descriptors, which are made from the .proto files: every field of
// every message must be the same in both, but for what the table knows better (ids).
#include "proto/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb-c.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    default:
        return WIRE_VARINT;
    }
}

static bool kind_matches(enum schema_kind kind, ProtobufCType type)
{
    static const ProtobufCType types[KIND_COUNT] = {
        [KIND_BOOL] = PROTOBUF_C_TYPE_BOOL,         [KIND_ENUM] = PROTOBUF_C_TYPE_ENUM,
        [KIND_UINT32] = PROTOBUF_C_TYPE_UINT32,     [KIND_INT64] = PROTOBUF_C_TYPE_INT64,
        [KIND_UINT64] = PROTOBUF_C_TYPE_UINT64,     [KIND_SINT32] = PROTOBUF_C_TYPE_SINT32,
        [KIND_FIXED32] = PROTOBUF_C_TYPE_FIXED32,   [KIND_FIXED64] = PROTOBUF_C_TYPE_FIXED64,
        [KIND_SFIXED64] = PROTOBUF_C_TYPE_SFIXED64, [KIND_DOUBLE] = PROTOBUF_C_TYPE_DOUBLE,
        [KIND_STRING] = PROTOBUF_C_TYPE_STRING,     [KIND_BYTES] = PROTOBUF_C_TYPE_BYTES,
        [KIND_TRACE_ID] = PROTOBUF_C_TYPE_BYTES,    [KIND_SPAN_ID] = PROTOBUF_C_TYPE_BYTES,
        [KIND_MESSAGE] = PROTOBUF_C_TYPE_MESSAGE,
    };
    return types[kind] == type;
}

static void compare(enum schema_message message, const ProtobufCMessageDescriptor *descriptor,
                    const ProtobufCMessageDescriptor **seen)
{
    assert_true(message != SCHEMA_NONE && message < SCHEMA_MESSAGE_COUNT);
    if (seen[message] != NULL) {
        assert_ptr_equal(seen[message], descriptor);
        return;
    }
    seen[message] = descriptor;
    unsigned count = 0;
    for (uint32_t number = 1; number <= SCHEMA_NUMBER_MAX; number++) {
        count += schema_field(message, number) != NULL;
    }
    assert_int_equal(count, descriptor->n_fields);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *theirs = &descriptor->fields[i];
        const struct schema_field *ours = schema_field(message, theirs->id);
        if (ours == NULL || strcmp(ours->name, theirs->name) != 0) {
            fail_msg("%s.%s", descriptor->name, theirs->name);
        }
        assert_true(kind_matches((enum schema_kind)ours->kind, theirs->type));
        assert_int_equal(ours->wire_type, wire_type_of(theirs->type));
        assert_int_equal(ours->label == LABEL_MANY, theirs->label == PROTOBUF_C_LABEL_REPEATED);
        if (theirs->type == PROTOBUF_C_TYPE_MESSAGE) {
            compare((enum schema_message)ours->holds, theirs->descriptor, seen);
        } else if (theirs->type == PROTOBUF_C_TYPE_ENUM) {
            const ProtobufCEnumDescriptor *values = theirs->descriptor;
            for (unsigned v = 0; v < values->n_values; v++) {
                int32_t value = -1;
                assert_true(schema_enum_value((enum schema_message)ours->holds,
                                              bytes_from_text(values->values[v].name), &value));
                assert_int_equal(value, values->values[v].value);
            }
        }
    }
}

static void the_table_says_what_the_proto_files_say(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *seen[SCHEMA_MESSAGE_COUNT] = {NULL};
    compare(schema_request(SIGNAL_TRACES),
            &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor,
            seen);
    compare(
        schema_request(SIGNAL_METRICS),
        &opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor,
        seen);
    compare(schema_request(SIGNAL_LOGS),
            &opentelemetry__proto__collector__logs__v1__export_logs_service_request__descriptor,
            seen);
    for (int message = SCHEMA_NONE + 1; message < SCHEMA_MESSAGE_COUNT; message++) {
        assert_non_null(seen[message]);
    }
}

static void numbers_that_no_message_has_are_unknown(void **state)
{
    (void)state;
    assert_null(schema_field(SCHEMA_SPAN, 0));
    assert_null(schema_field(SCHEMA_SPAN, 17));
    assert_null(schema_field(SCHEMA_SPAN, UINT32_MAX));
    assert_null(schema_field(SCHEMA_STATUS, 1));
    assert_null(schema_field(SCHEMA_ANY_VALUE, 8));   // string_value_strindex
    assert_null(schema_field(SCHEMA_KEY_VALUE, 3));   // key_strindex
}

static void json_names_are_found_in_both_spellings_only(void **state)
{
    (void)state;
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("startTimeUnixNano")), 7);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("start_time_unix_nano")), 7);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("flags")), 16);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("startTimeUnixNan")), 0);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("startTimeUnixNanos")), 0);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("StartTimeUnixNano")), 0);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("start_timeUnixNano")), 0);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_LITERAL("starttimeunixnano")), 0);
    assert_int_equal(schema_number(SCHEMA_SPAN, BYTES_NONE), 0);
}

static void names_of_other_enums_are_no_values(void **state)
{
    (void)state;
    int32_t value = 7;
    assert_false(schema_enum_value(SCHEMA_SPAN_KIND, BYTES_LITERAL("STATUS_CODE_OK"), &value));
    assert_false(schema_enum_value(SCHEMA_SPAN_KIND, BYTES_LITERAL("SPAN_KIND_"), &value));
    assert_false(schema_enum_value(SCHEMA_SPAN_KIND, BYTES_LITERAL("span_kind_server"), &value));
    assert_false(schema_enum_value(SCHEMA_NONE, BYTES_LITERAL("SPAN_KIND_SERVER"), &value));
    assert_int_equal(value, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_says_what_the_proto_files_say),
        cmocka_unit_test(numbers_that_no_message_has_are_unknown),
        cmocka_unit_test(json_names_are_found_in_both_spellings_only),
        cmocka_unit_test(names_of_other_enums_are_no_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
