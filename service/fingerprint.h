// SPDX-License-Identifier: Apache-2.0
// A text that says what a part of the configuration amounts to: equal texts, equal components.
// References are resolved, and the content of files that it names (a scalar "file:PATH", a key that
// ends in _file) stands behind their names, so that an edited rubric or a renewed certificate is a
// change. Holds secrets: never printed. Start and reload only; one thread.
#pragma once

#include "base/buffer.h"
#include "base/config.h"

// Appends; NULL is an absent node. A text beyond out->len_max is cut (its status says so) and
// then equals nothing.
void fingerprint_write(const struct config_node *node, struct buffer *out);
// Both complete and equal.
bool fingerprint_equal(const struct buffer *a, const struct buffer *b);
#define FINGERPRINT_BYTES_MAX ((size_t)4 << 20)
