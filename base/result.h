// SPDX-License-Identifier: Apache-2.0
// The one error type of the program: a closed set named by what the caller does next. The rows,
// with the gRPC status, the HTTP status and the metric label of each, stand in result.def. Values
// leave functions by out-parameters, written only when the result is RESULT_OK.
#pragma once

#define MUST_USE __attribute__((warn_unused_result))

enum result {
#define RESULT(name, label, grpc, http, text) RESULT_##name,
#include "base/result.def"
#undef RESULT
    RESULT_COUNT
};

const char *result_label(enum result result);  // metric label, lower snake case; static
const char *result_text(enum result result);   // sentence for people; static
int result_grpc_status(enum result result);    // google.rpc.Code
int result_http_status(enum result result);    // HTTP status code
