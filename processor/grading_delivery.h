// SPDX-License-Identifier: Apache-2.0
// How a decided target leaves: on its held span, on a carrier, as log records. The shard's thread.
#pragma once

#include "processor/grading.h"

// Releases the held span, enriched when it was graded; sets grade->on_span.
void grade_deliver(struct evaluation_state *state, struct target *target);
