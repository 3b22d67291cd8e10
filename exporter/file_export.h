// SPDX-License-Identifier: Apache-2.0
// The exporter kind `file`: OTLP/JSON lines or length-prefixed protobuf into a file.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops file_exporter;
