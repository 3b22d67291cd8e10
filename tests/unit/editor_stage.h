// SPDX-License-Identifier: Apache-2.0
// A processor that edits attributes, bound from YAML as the service binds it. For tests of such
// processors; fails the test that calls.
#pragma once

#include "proto/component.h"

// The configuration has exactly one fault, and it says `part`.
void editor_refused(const struct processor_ops *ops, const char *yaml, const char *part);
// What a processor with this sound configuration wants of an item.
enum want editor_wants(const struct processor_ops *ops, const char *yaml,
                       const struct item_view *view);
