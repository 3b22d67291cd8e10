// SPDX-License-Identifier: Apache-2.0
//
// The table behind enum result: what each outcome is called in metrics, what it says to people and
// how it is told to a gRPC or HTTP client. One row per outcome in result.def, so that an outcome
// cannot be added without its four faces. Refused: a message per call site, which would make the
// set of outcomes open. No state; any thread.
#include "base/result.h"

#include <stdint.h>

#include "base/check.h"

struct result_row {
    const char *label;
    const char *text;
    int16_t grpc_status;
    int16_t http_status;
};

static const struct result_row rows[RESULT_COUNT] = {
#define RESULT(name, label, grpc, http, text) [RESULT_##name] = {label, text, grpc, http},
#include "base/result.def"
#undef RESULT
};

static const struct result_row *row_of(enum result result)
{
    CHECK((unsigned)result < RESULT_COUNT);
    return &rows[result];
}

const char *result_label(enum result result)
{
    return row_of(result)->label;
}

const char *result_text(enum result result)
{
    return row_of(result)->text;
}

int result_grpc_status(enum result result)
{
    return row_of(result)->grpc_status;
}

int result_http_status(enum result result)
{
    return row_of(result)->http_status;
}
