// SPDX-License-Identifier: Apache-2.0
// Processor `batch`: the Collector's keys, accepted and checked; it holds nothing back.
#pragma once

#include "proto/component.h"

extern const struct processor_ops batch_processor;
