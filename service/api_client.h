// SPDX-License-Identifier: Apache-2.0
// One GET to a running Sidejudge's API, for the commands that ask it. Blocks for at most five
// seconds. Main thread of a command.
#pragma once

#include "base/buffer.h"

// Appends the body. RESULT_RETRY: nobody listens at `api` (a sentence that says what to do in
// `why`); RESULT_MISSING: 404, the sentence of the process is in `why`; RESULT_FAIL: anything else.
enum result api_get(const char *api, const char *path, struct buffer *body, char *why,
                    size_t why_len) MUST_USE;
