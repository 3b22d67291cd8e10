// SPDX-License-Identifier: Apache-2.0
// Scores for LangSmith, as feedback on runs: POST /runs/multipart, the interface to which its own
// SDKs send feedback in batches, one part "feedback.<id>" of JSON for each score. A run's id is
// made of the span's, 00000000-0000-0000-xxxx-xxxxxxxxxxxx, and the trace's id is the OTel one with
// hyphens (eval-backends 3.1). Feedback ids are made of the scores', so that a repetition replaces.
#pragma once

#include "exporter/http_export.h"
#include "exporter/score/score_encoder.h"

extern const struct score_form langsmith_feedback_form;
extern const struct exporter_ops langsmith_feedback_exporter;
