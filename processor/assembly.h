// SPDX-License-Identifier: Apache-2.0
// Puts one interaction together from the evidence below a target (DESIGN 3; dialects.md 7.2): the
// last user turn of the topmost span that has one, the target's own answer or else that of the last
// model span that is not waiting for tools, what was retrieved, what tools returned. At most 256
// KiB in all: what is beyond is left out and marked truncated. Pure, after trace_resolve; the
// shard's thread.
#pragma once

#include "processor/trace.h"

// Texts are views into the trace's evidence. `whole`: evidence may come from anywhere in the
// target's fragment, not only from below it.
void assembly_build(struct trace *trace, const struct trace_span *target, bool whole,
                    struct interaction *interaction);
