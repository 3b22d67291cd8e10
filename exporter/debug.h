// SPDX-License-Identifier: Apache-2.0
// The exporter kind `debug`: what passes, as text on stdout.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops debug_exporter;
