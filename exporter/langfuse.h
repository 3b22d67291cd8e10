// SPDX-License-Identifier: Apache-2.0
// The exporter kind `langfuse`: spans to Langfuse, by its keys or its variables.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops langfuse_exporter;
