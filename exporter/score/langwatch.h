// SPDX-License-Identifier: Apache-2.0
// LangWatch: spans by OTLP over HTTP, and scores as events langwatch.evaluation.custom on carriers,
// each with the verdict as JSON in json_encoded_event (eval-backends 2.7). LangWatch ignores what
// comes an hour after the trace, so that such scores are left out here, and counted.
#pragma once

#include "exporter/score/score_encoder.h"

extern const struct score_form langwatch_form;
extern const struct exporter_ops langwatch_exporter;
