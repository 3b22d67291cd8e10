// SPDX-License-Identifier: Apache-2.0
// The exporter kind `otlp_grpc`: OTLP over gRPC to any backend. Only there in builds with
// SIDEJUDGE_WITH_GRPC.
#pragma once

#include "proto/component.h"

extern const struct exporter_ops otlp_grpc_exporter;
