// SPDX-License-Identifier: Apache-2.0
// The exporter kind `otlp_http`: OTLP over HTTP in protobuf to any backend.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops otlp_http_exporter;
