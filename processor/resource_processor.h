// SPDX-License-Identifier: Apache-2.0
// Processor `resource`: the Collector's actions on attributes of Resources.
#pragma once

#include "proto/component.h"

extern const struct processor_ops resource_processor;
