// SPDX-License-Identifier: Apache-2.0
// The baseline ladder (`auto`): 1 until 20 interactions have been graded, then the largest power of
// two (1, 1/2, 1/4 ... 2^-20) that half of the budget can pay for at the predicted traffic. One per
// process, atomic; fed by shards.
//
// The plain sample is what backends may average: nested in the ladder (one random number is
// compared with both), and of equal probability over whole days. That is the lowest step of the
// last 24 hours once these are known. A process knows nothing of the day before its start, so its
// first minute belongs to no plain sample, and then, for a day, it stays with one step of an eighth
// of what it could afford: a night's start does not weigh the night's answers above the next
// day's, as long as the day is at most about eight times as busy.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct baseline;
// `fixed` is the probability where the ladder is not used.
struct baseline *baseline_new(bool is_auto, double fixed);
void baseline_free(struct baseline *baseline);
double baseline_probability(const struct baseline *baseline);   // now; any thread
double baseline_plain(const struct baseline *baseline);         // of the plain sample, now; 0 while
                                                                // there is none. Any thread
void baseline_saw(struct baseline *baseline, uint64_t now_ns);  // an interaction arrived
void baseline_graded(struct baseline *baseline, double cost_usd, uint64_t now_ns);
// Re-computes the step from traffic, mean cost and half of the budget per second; call about once a
// second from one thread.
void baseline_adjust(struct baseline *baseline, double half_budget_usd_per_s,
                     double calls_per_second_max, uint64_t now_ns);
