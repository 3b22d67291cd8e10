// SPDX-License-Identifier: Apache-2.0
// Scores for whoever takes them: POST to `endpoint`, application/json, {"scores": [...]}, each
//   id           SHA-256 in hex: a repetition has the same one
//   trace_id, span_id   of the target, hex
//   time         end of the target, RFC 3339 in milliseconds, UTC
//   name         of the score, with the suffix when no average may count it
//   evaluator    the name without the suffix
//   type         "numeric", "boolean", "categorical"
//   value        0 to 1, 1 is good; absent where there is only a label
//   label, explanation   texts; absent when empty
//   annotator    "llm" or "code"
//   identifier   the evaluator's epoch: changes with judge, model, rubric and prompt
//   picked, baseline, failed   booleans: picked to be graded; that as part of an equal-probability
//                sample; under the evaluator's threshold
//   probability  of having been picked
//   span_name, service_name, environment, session_id, user_id, response_id   of the target; absent
//                when it has none
// Any 2xx is taken as "arrived"; 400 and 422 as "one of these is at fault", 413 as "send less",
// 429, 502, 503 and 504 as "later"; `headers` are added to each request. `file` writes the same
// objects, one to a line, as {"score": {...}}.
#pragma once

#include "exporter/score/score_encoder.h"

extern const struct score_form webhook_form;
extern const struct score_form score_lines_form;  // of `file`
extern const struct exporter_ops webhook_exporter;
