// SPDX-License-Identifier: Apache-2.0
//
// The table itself, and its look-ups by name. Numbers index it directly, because the scanner asks
// for each field; names are found by walking the sixteen fields of the message, because only JSON
// asks, and reading JSON costs far more. lowerCamelCase names are matched against the original ones
// without being stored. Refused: protobuf-c's descriptors, which know neither ids nor bounds and
// would tie the scanner to generated code. Constant; any thread.
#include "proto/schema.h"

#include <string.h>

#include "base/check.h"

#define WIRE_OF_BOOL WIRE_VARINT
#define WIRE_OF_ENUM WIRE_VARINT
#define WIRE_OF_UINT32 WIRE_VARINT
#define WIRE_OF_INT64 WIRE_VARINT
#define WIRE_OF_UINT64 WIRE_VARINT
#define WIRE_OF_SINT32 WIRE_VARINT
#define WIRE_OF_FIXED32 WIRE_FIXED32
#define WIRE_OF_FIXED64 WIRE_FIXED64
#define WIRE_OF_SFIXED64 WIRE_FIXED64
#define WIRE_OF_DOUBLE WIRE_FIXED64
#define WIRE_OF_STRING WIRE_LEN
#define WIRE_OF_BYTES WIRE_LEN
#define WIRE_OF_TRACE_ID WIRE_LEN
#define WIRE_OF_SPAN_ID WIRE_LEN
#define WIRE_OF_MESSAGE WIRE_LEN

const struct schema_field schema_fields[SCHEMA_MESSAGE_COUNT][SCHEMA_NUMBER_MAX + 1] = {
#define FIELD(message, number, name, kind, label, holds)                                           \
    [SCHEMA_##message][number] = {name, KIND_##kind, LABEL_##label, WIRE_OF_##kind, SCHEMA_##holds},
#include "proto/schema.def"
#undef FIELD
};

static const struct {
    enum schema_message request, item;
} signals[SIGNAL_COUNT] = {
    [SIGNAL_TRACES] = {SCHEMA_TRACES, SCHEMA_SPAN},
    [SIGNAL_METRICS] = {SCHEMA_METRICS, SCHEMA_METRIC},
    [SIGNAL_LOGS] = {SCHEMA_LOGS, SCHEMA_LOG_RECORD},
    [SIGNAL_SCORES] = {SCHEMA_LOGS, SCHEMA_LOG_RECORD},
};

enum schema_message schema_request(enum signal signal)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    return signals[signal].request;
}

enum schema_message schema_item(enum signal signal)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    return signals[signal].item;
}

// Is `json` the lowerCamelCase form of `name`, or `name` itself?
static bool name_matches(const char *name, struct bytes json)
{
    if (bytes_equal_text(json, name)) {
        return true;
    }
    size_t at = 0;
    for (; *name != '\0'; name++, at++) {
        char wanted = *name;
        if (wanted == '_') {
            wanted = (char)(*++name - 'a' + 'A');
        }
        if (at >= json.len || json.ptr[at] != (uint8_t)wanted) {
            return false;
        }
    }
    return at == json.len;
}

uint32_t schema_number(enum schema_message message, struct bytes json_name)
{
    CHECK((unsigned)message < SCHEMA_MESSAGE_COUNT);
    for (uint32_t number = 1; number <= SCHEMA_NUMBER_MAX; number++) {
        const struct schema_field *field = &schema_fields[message][number];
        if (field->kind != KIND_NONE && name_matches(field->name, json_name)) {
            return number;
        }
    }
    return 0;
}

// Values of an enum: prefix, then names in order of their values from 0.
static const struct {
    enum schema_message which;
    const char *prefix;
    const char *names[25];
} enums[] = {
    {SCHEMA_SPAN_KIND,
     "SPAN_KIND_",
     {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"}},
    {SCHEMA_STATUS_CODE, "STATUS_CODE_", {"UNSET", "OK", "ERROR"}},
    {SCHEMA_AGGREGATION_TEMPORALITY,
     "AGGREGATION_TEMPORALITY_",
     {"UNSPECIFIED", "DELTA", "CUMULATIVE"}},
    {SCHEMA_SEVERITY_NUMBER,
     "SEVERITY_NUMBER_",
     {"UNSPECIFIED", "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4",
      "INFO",        "INFO2", "INFO3",  "INFO4",  "WARN",   "WARN2", "WARN3",  "WARN4",  "ERROR",
      "ERROR2",      "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4"}},
};

bool schema_enum_value(enum schema_message which, struct bytes name, int32_t *value)
{
    for (size_t i = 0; i < sizeof enums / sizeof enums[0]; i++) {
        struct bytes prefix = bytes_from_text(enums[i].prefix);
        if (enums[i].which != which || !bytes_start_with(name, prefix)) {
            continue;
        }
        struct bytes rest = bytes_slice(name, prefix.len, SIZE_MAX);
        for (int32_t v = 0; v < 25 && enums[i].names[v] != NULL; v++) {
            if (bytes_equal_text(rest, enums[i].names[v])) {
                *value = v;
                return true;
            }
        }
    }
    return false;
}
