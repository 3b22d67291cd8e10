// SPDX-License-Identifier: Apache-2.0
// The kinds of exporter, one file each, whose ops structs the array `exporters` lists. The array
// itself is declared in proto/component.h, where its reader, the service, finds it.
#pragma once

#include "exporter/debug.h"
#include "exporter/file_export.h"
#include "exporter/langfuse.h"
#include "exporter/nop.h"
#include "exporter/otlp_grpc.h"
#include "exporter/otlp_http.h"
#include "exporter/phoenix.h"
#include "exporter/score/braintrust.h"
#include "exporter/score/datadog_evaluations.h"
#include "exporter/score/langfuse_scores.h"
#include "exporter/score/langsmith_feedback.h"
#include "exporter/score/langwatch.h"
#include "exporter/score/phoenix_annotations.h"
#include "exporter/score/webhook.h"
