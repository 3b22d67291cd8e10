// SPDX-License-Identifier: Apache-2.0
// What the debug exporter prints of a request, in the Collector's three verbosities: basic is one
// line of counts; normal adds a line per item; detailed shows everything. A span that Sidejudge has
// graded gets a line of its own with the verdict, in normal and in detailed. Control characters of
// telemetry are escaped, so that nothing printed can steer a terminal. Pure; any thread.
#pragma once

#include "base/buffer.h"
#include "proto/otlp.h"

enum debug_verbosity { DEBUG_BASIC, DEBUG_NORMAL, DEBUG_DETAILED };

void debug_text_write(enum debug_verbosity verbosity, enum signal signal, struct bytes request,
                      struct buffer *out);
