// SPDX-License-Identifier: Apache-2.0
// Processor `memory_limiter`: the Collector's keys; acts at the door whatever its place.
#pragma once

#include "proto/component.h"

extern const struct processor_ops memory_limiter_processor;
