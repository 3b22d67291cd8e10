// SPDX-License-Identifier: Apache-2.0
// Processor `attributes`: the Collector's actions on attributes of spans and log records.
#pragma once

#include "proto/component.h"

extern const struct processor_ops attributes_processor;
