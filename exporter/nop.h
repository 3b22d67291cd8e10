// SPDX-License-Identifier: Apache-2.0
// The exporter kind `nop`: takes everything and sends nothing.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops nop_exporter;
