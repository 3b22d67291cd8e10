// SPDX-License-Identifier: Apache-2.0
// OTLP's messages as one constant table, indexed by message and field number (rows: schema.def).
// The scanner validates by it and the JSON transcoder writes by it. Constant; any thread.
#pragma once

#include "proto/otlp.h"
#include "proto/wire.h"

enum schema_message {
    SCHEMA_NONE, SCHEMA_TRACES, SCHEMA_RESOURCE_SPANS, SCHEMA_SCOPE_SPANS, SCHEMA_SPAN,
    SCHEMA_EVENT, SCHEMA_LINK, SCHEMA_STATUS, SCHEMA_LOGS, SCHEMA_RESOURCE_LOGS,
    SCHEMA_SCOPE_LOGS, SCHEMA_LOG_RECORD, SCHEMA_METRICS, SCHEMA_RESOURCE_METRICS,
    SCHEMA_SCOPE_METRICS, SCHEMA_METRIC, SCHEMA_GAUGE, SCHEMA_SUM, SCHEMA_HISTOGRAM,
    SCHEMA_EXPONENTIAL_HISTOGRAM, SCHEMA_SUMMARY, SCHEMA_NUMBER_POINT, SCHEMA_HISTOGRAM_POINT,
    SCHEMA_EXPONENTIAL_POINT, SCHEMA_BUCKETS, SCHEMA_SUMMARY_POINT, SCHEMA_QUANTILE,
    SCHEMA_EXEMPLAR, SCHEMA_RESOURCE, SCHEMA_ENTITY_REF, SCHEMA_SCOPE, SCHEMA_KEY_VALUE,
    SCHEMA_ANY_VALUE, SCHEMA_ARRAY_VALUE, SCHEMA_KEY_VALUE_LIST, SCHEMA_MESSAGE_COUNT,
    // Enums share the column; no message has these values.
    SCHEMA_SPAN_KIND, SCHEMA_STATUS_CODE, SCHEMA_SEVERITY_NUMBER, SCHEMA_AGGREGATION_TEMPORALITY,
};

enum schema_kind {              // KIND_NONE marks numbers that the message does not have
    KIND_NONE, KIND_BOOL, KIND_ENUM, KIND_UINT32, KIND_INT64, KIND_UINT64, KIND_SINT32,
    KIND_FIXED32, KIND_FIXED64, KIND_SFIXED64, KIND_DOUBLE, KIND_STRING, KIND_BYTES,
    KIND_TRACE_ID, KIND_SPAN_ID, KIND_MESSAGE, KIND_COUNT
};

enum schema_label { LABEL_ONE, LABEL_MANY };

struct schema_field {
    const char *name;           // original name, "trace_id"
    uint8_t kind;               // enum schema_kind
    uint8_t label;              // enum schema_label
    uint8_t wire_type;          // enum wire_type; MANY scalars also come packed (WIRE_LEN)
    uint8_t holds;              // enum schema_message: the nested message, or the enum
};

#define SCHEMA_NUMBER_MAX 16

extern const struct schema_field schema_fields[SCHEMA_MESSAGE_COUNT][SCHEMA_NUMBER_MAX + 1];

// The field of that number; NULL when the message has none.
static inline const struct schema_field *schema_field(enum schema_message message, uint32_t number)
{
    if (number > SCHEMA_NUMBER_MAX || schema_fields[message][number].kind == KIND_NONE) {
        return NULL;
    }
    return &schema_fields[message][number];
}

enum schema_message schema_request(enum signal signal);  // SCHEMA_TRACES ...
enum schema_message schema_item(enum signal signal);     // SCHEMA_SPAN ...

// The number of the field with this JSON name, lowerCamelCase or original; 0 when there is none.
uint32_t schema_number(enum schema_message message, struct bytes json_name);
// The value with this name ("SPAN_KIND_SERVER") in one of the enums above.
bool schema_enum_value(enum schema_message which, struct bytes name, int32_t *value);
