// SPDX-License-Identifier: Apache-2.0
// What judging may cost: hard, reserved before the call, settled after it. Refills continuously; a
// tenth of a day may be saved up; a process starts with one minute's accrual, so that a thousand
// restarts cannot spend the month. Half is reserved for the baseline, the rest for the other rules;
// what one does not use the other may. `replicas` divides it. Also calls per second. MUTEX_BUDGET;
// any thread; the clock is an argument.
#pragma once

#include "base/option.h"

struct budget_config {
    double usd_per_day;       // default 1
    double calls_per_second;  // default 10; 0: no limit of its own
    int64_t replicas;         // default 1
};
extern const struct option budget_options[];

struct budget;
struct budget *budget_new(const struct budget_config *config, uint64_t now_ns);
void budget_free(struct budget *budget);
// Other limits from now on. What has been saved up, spent and granted stays: a new configuration is
// no new first grant.
void budget_configure(struct budget *budget, const struct budget_config *config, uint64_t now_ns);

enum budget_answer { BUDGET_GRANTED, BUDGET_OVER, BUDGET_THROTTLED };
// Reserves the estimated cost of one interaction's judge calls. `baseline`: picked by the baseline
// (may use both halves' rest as DESIGN 4 says).
enum budget_answer budget_take(struct budget *budget, bool baseline, double estimate_usd,
                               unsigned calls, uint64_t now_ns);
void budget_settle(struct budget *budget, bool baseline, double estimate_usd, double actual_usd,
                   uint64_t now_ns);

// Until the first grant: the most that it may cost, which is 1/500 of a day's budget or what is
// there, whichever is more. INFINITY afterwards. Who asks for less than everything because of it is
// granted.
double budget_first_limit(struct budget *budget, bool baseline, uint64_t now_ns);

struct budget_status {
    double usd_per_day, spent_usd, spent_today_usd, available_usd;
    uint64_t refused_over, refused_throttled;
};
void budget_status(const struct budget *budget, struct budget_status *status, uint64_t now_ns);
double budget_half_per_second(const struct budget *budget);  // USD; for the baseline ladder
