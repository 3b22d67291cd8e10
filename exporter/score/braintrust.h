// SPDX-License-Identifier: Apache-2.0
// Braintrust: spans by OTLP over HTTP, and scores on carriers in the same form: a span of type
// "score" whose attribute braintrust.scores is a JSON map of names to values from 0 to 1
// (eval-backends 3.1); labels and explanations stand in braintrust.metadata.
#pragma once

#include "exporter/score/score_encoder.h"

extern const struct score_form braintrust_form;
extern const struct exporter_ops braintrust_exporter;
