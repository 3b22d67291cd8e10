// SPDX-License-Identifier: Apache-2.0
// Files read whole with a ceiling, for configuration, rubrics, certificates and schemas. Start and
// reload only.
#pragma once

#include "base/buffer.h"

// Appends the file's bytes. RESULT_MISSING: no such file; RESULT_TOO_LARGE: beyond out->len_max;
// RESULT_FAIL: else unreadable.
enum result file_read(const char *path, struct buffer *out) MUST_USE;
