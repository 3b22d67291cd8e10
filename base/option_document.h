// SPDX-License-Identifier: Apache-2.0
// Option tables as documentation; option_document itself is declared in base/option.h. Pure.
#pragma once

#include "base/option.h"

// What a row takes, in a few words: "duration", "one of `none`, `gzip`", "size (bytes)".
void option_document_type(const struct option *row, struct buffer *out);
