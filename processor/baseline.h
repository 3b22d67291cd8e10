// SPDX-License-Identifier: Apache-2.0
// The baseline ladder (`auto`): 1 until 20 interactions have been graded, then the largest power of
// two (1, 1/2, 1/4 ... 2^-20) that half of the budget can pay for at the predicted traffic. One per
// process, atomic; fed by shards.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct baseline;
// `fixed` is the probability where the ladder is not used.
struct baseline *baseline_new(bool is_auto, double fixed);
void baseline_free(struct baseline *baseline);
double baseline_probability(const struct baseline *baseline);   // now; any thread
double baseline_lowest_24h(const struct baseline *baseline);    // nested thresholds: what counts as
                                                                // the plain sample under auto
void baseline_saw(struct baseline *baseline, uint64_t now_ns);  // an interaction arrived
void baseline_graded(struct baseline *baseline, double cost_usd, uint64_t now_ns);
// Re-computes the step from traffic, mean cost and half of the budget per second; call about once a
// second from one thread.
void baseline_adjust(struct baseline *baseline, double half_budget_usd_per_s,
                     double calls_per_second_max, uint64_t now_ns);
