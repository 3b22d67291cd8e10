// SPDX-License-Identifier: Apache-2.0
// What receivers answer and what exporters get back, beside the telemetry itself: export responses
// (OTLP 1.11 "OTLP/gRPC Response", "OTLP/HTTP Response": empty, or with partial_success) and
// google.rpc.Status with RetryInfo and BadRequest details, in protobuf and in JSON. Over gRPC the
// Status travels as the trailer grpc-status-details-bin, over HTTP as the body of every 4xx and
// 5xx. Reading is bounded: 1 MiB of input, 256 KiB of decoded messages, texts cut. Pure; any
// thread.
#pragma once

#include "base/buffer.h"
#include "proto/otlp.h"

enum otlp_form { OTLP_PROTOBUF, OTLP_JSON };

// "application/x-protobuf", "application/json"
const char *otlp_form_content_type(enum otlp_form form);

#define OTLP_STATUS_TEXT_MAX 512

// An Export{Trace,Logs,Metrics}ServiceResponse. rejected_count 0 and no message is full success: no
// bytes in protobuf, {"partialSuccess":{}} in JSON. A message without a count is a warning.
// Appends. Invalid UTF-8 in `message` is replaced by '?'.
void otlp_response_write(enum otlp_form form, enum signal signal, uint64_t rejected_count,
                         struct bytes message, struct buffer *out);

struct otlp_error {             // a google.rpc.Status to be written; texts are borrowed
    int code;                   // google.rpc.Code: result_grpc_status()
    struct bytes message;
    uint32_t retry_after_s;     // RetryInfo.retry_delay; 0: no RetryInfo
    struct bytes bad_field;     // BadRequest: path of the offending field ("" : the body)
    struct bytes bad_reason;    // BadRequest: description; empty: no BadRequest
};

// Appends the Status. JSON without details is {"code":3,"message":"..."}, as the Collector writes
// it; details, when there are some, follow as {"@type":...} objects.
void otlp_error_write(enum otlp_form form, const struct otlp_error *error, struct buffer *out);

struct otlp_partial {           // what a 200 / OK said
    uint64_t rejected_count;    // 0 when negative or absent
    char message[OTLP_STATUS_TEXT_MAX];  // "" when none; printable, cut
};

// Reads an export response; an empty body is full success in both forms. RESULT_REJECT: not a
// response (the caller still has a success: count it, never send again); RESULT_TOO_LARGE.
enum result otlp_response_read(enum otlp_form form, enum signal signal, struct bytes body,
                               struct otlp_partial *partial) MUST_USE;

struct otlp_refusal {           // what a 4xx / 5xx or a gRPC status said
    int code;                   // google.rpc.Code; 2 (UNKNOWN) when absent
    char message[OTLP_STATUS_TEXT_MAX];  // "" when none; printable, cut
    bool has_retry_delay;       // RetryInfo was there, also with a delay of 0
    uint64_t retry_delay_ms;    // 0 when negative or absent; at most 24 hours
};

// Reads a google.rpc.Status: body of an HTTP error, or grpc-status-details-bin (raw bytes, base64
// already taken off). RESULT_REJECT: not a Status; RESULT_TOO_LARGE. `refusal` is zeroed on
// failure.
enum result otlp_refusal_read(enum otlp_form form, struct bytes body,
                              struct otlp_refusal *refusal) MUST_USE;
