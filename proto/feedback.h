// SPDX-License-Identifier: Apache-2.0
// What a user, or the agent itself, said of an answer, read in passing from a score that the
// agent's SDK posted. Moved by value; any thread.
#pragma once

#include "base/ids.h"

struct feedback {
    struct trace_id trace_id;
    struct span_id span_id;  // zero: of the whole trace
    bool is_bad;
};
