// SPDX-License-Identifier: Apache-2.0
// OTLP 1.11 by numbers: signals, field numbers and enum values that the scanner, the splicer and
// the writers share. Source: opentelemetry-proto, trace.proto, logs.proto, metrics.proto,
// common.proto, resource.proto. Names are facts of that specification.
#pragma once

#include <stdint.h>

// The three signals of OTLP, and scores: what `evaluation` sends to score sinks, which travels as
// export requests of logs (proto/score.h) and is in no pipeline of its own.
enum signal { SIGNAL_TRACES, SIGNAL_METRICS, SIGNAL_LOGS, SIGNAL_SCORES, SIGNAL_COUNT };
#define SIGNAL_OTLP_COUNT SIGNAL_SCORES

const char *signal_name(enum signal signal);       // "traces", "metrics", "logs", "scores"
// metric-name suffix: "spans", "metric_points", "log_records", "scores"
const char *signal_items(enum signal signal);

enum {                      // field numbers
    REQUEST_RESOURCES = 1,  // ExportXServiceRequest.resource_x
    RESOURCE_RESOURCE = 1,
    RESOURCE_SCOPES = 2,
    RESOURCE_SCHEMA_URL = 3,  // ResourceX
    // ScopeX: items are spans, log_records, metrics
    SCOPE_SCOPE = 1,
    SCOPE_ITEMS = 2,
    SCOPE_SCHEMA_URL = 3,
    RES_ATTRIBUTES = 1,  // Resource
    SCOPE_NAME = 1,
    SCOPE_VERSION = 2,
    SCOPE_ATTRIBUTES = 3,  // InstrumentationScope
    SPAN_TRACE_ID = 1,
    SPAN_SPAN_ID = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_PARENT_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_DROPPED_ATTRIBUTES = 10,
    SPAN_EVENTS = 11,
    SPAN_DROPPED_EVENTS = 12,
    SPAN_LINKS = 13,
    SPAN_DROPPED_LINKS = 14,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
    STATUS_MESSAGE = 2,
    STATUS_CODE = 3,
    EVENT_TIME = 1,
    EVENT_NAME = 2,
    EVENT_ATTRIBUTES = 3,
    EVENT_DROPPED_ATTRIBUTES = 4,
    LINK_TRACE_ID = 1,
    LINK_SPAN_ID = 2,
    LINK_TRACE_STATE = 3,
    LINK_ATTRIBUTES = 4,
    LINK_DROPPED_ATTRIBUTES = 5,
    LINK_FLAGS = 6,
    LOG_TIME = 1,
    LOG_SEVERITY_NUMBER = 2,
    LOG_SEVERITY_TEXT = 3,
    LOG_BODY = 5,
    LOG_ATTRIBUTES = 6,
    LOG_DROPPED_ATTRIBUTES = 7,
    LOG_FLAGS = 8,
    LOG_TRACE_ID = 9,
    LOG_SPAN_ID = 10,
    LOG_OBSERVED_TIME = 11,
    LOG_EVENT_NAME = 12,
    METRIC_NAME = 1,
    KEYVALUE_KEY = 1,
    KEYVALUE_VALUE = 2,
    ANY_STRING = 1,
    ANY_BOOL = 2,
    ANY_INT = 3,
    ANY_DOUBLE = 4,
    ANY_ARRAY = 5,
    ANY_KVLIST = 6,
    ANY_BYTES = 7,
    LIST_VALUES = 1,  // ArrayValue.values, KeyValueList.values
    RESPONSE_PARTIAL_SUCCESS = 1,
    PARTIAL_REJECTED = 1,
    PARTIAL_MESSAGE = 2,
};

enum span_kind {
    SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, SPAN_KIND_CLIENT,
    SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER
};
enum span_status { SPAN_STATUS_UNSET, SPAN_STATUS_OK, SPAN_STATUS_ERROR };

// trace.proto: SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
#define SPAN_FLAG_HAS_IS_REMOTE UINT32_C(0x100)
#define SPAN_FLAG_IS_REMOTE UINT32_C(0x200)       // SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
