// SPDX-License-Identifier: Apache-2.0
// Scores for Datadog LLM Observability: POST /api/intake/llm-obs/v2/eval-metric, external
// evaluations joined to OpenTelemetry spans by decimal ids under the tag source:otel
// (eval-backends 3.1; Datadog's "Evaluations API"). Labels are letters, digits and underscores and
// begin with a letter, 200 at most.
#pragma once

#include "exporter/score/score_encoder.h"

extern const struct score_form datadog_evaluations_form;
extern const struct exporter_ops datadog_evaluations_exporter;
