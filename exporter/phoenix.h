// SPDX-License-Identifier: Apache-2.0
// The exporter kind `phoenix`: spans to Arize Phoenix, by its keys or its variables.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops phoenix_exporter;
