// SPDX-License-Identifier: Apache-2.0
// The JSON of an answer that was to be JSON: models like to put it between Markdown fences, and
// those who read it look through one such fence. Shared by the evaluator valid_json and the quality
// signal invalid_json, which must not contradict one another. Pure.
#pragma once

#include "base/bytes.h"

// The text without white space around it and without one fence (```json ... ```); a view into it.
struct bytes answer_json(struct bytes response);
