// SPDX-License-Identifier: Apache-2.0
// The 56-bit arithmetic of consistent probability sampling (OpenTelemetry tracestate
// `ot=th:..;rv:..`): probabilities, thresholds and the one random number of a trace. Pure.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"

#define TRACE_RANDOM_RANGE (UINT64_C(1) << 56)

// T of a probability, given the upstream threshold: T_k = T_in + (1 - p)(2^56 - T_in). p = 1 gives
// T_in; p = 0 gives 2^56 (never).
uint64_t threshold_of(double probability, uint64_t threshold_in);
// Probability, of what arrives, that R clears the threshold.
double threshold_probability(uint64_t threshold, uint64_t threshold_in);
// 1 to 14 lower-case hex digits, right-padded with zeros (th), or exactly 14 (rv).
bool threshold_parse(struct bytes text, uint64_t *threshold);
bool random_value_parse(struct bytes text, uint64_t *value);
// The value of `key` in the `ot` entry of a tracestate header; false when absent.
bool trace_state_find(struct bytes trace_state, const char *key, struct bytes *value);
