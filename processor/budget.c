// SPDX-License-Identifier: Apache-2.0
//
// Two money buckets that refill continuously, one for the baseline and one for the other rules, and
// one bucket of calls. A taker draws on its own bucket first and on what the other one has above
// half of its ceiling after that. A new process has next to nothing, and its operator waits for a
// first score: its first grant alone may overdraw, by so little (1/500 of a day) that a thousand
// starts a day stay under twice the budget. Refused: a counter reset at midnight (a thousand
// restarts, or one bad hour, would spend the day). Bounds: a bucket never holds more than a
// twentieth of a day. MUTEX_BUDGET; any thread.

#include "processor/budget.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

#define DAY_S 86400.0
#define FIRST_GRANT_SHARE (1 / 500.0)  // of a day's budget
#define DUST_USD 1e-12                 // what adding and subtracting may leave

const struct option budget_options[] = {
    {.key = "usd_per_day",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct budget_config, usd_per_day),
     .fallback = "1",
     .min = 0,
     .max = 1e6,
     .unit = "USD",
     .doc = "What this process may spend on judges in a day; refills continuously."},
    {.key = "calls_per_second",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct budget_config, calls_per_second),
     .fallback = "10",
     .min = 0,
     .max = 1e5,
     .unit = "1/s",
     .doc = "Judge calls per second; 0: no limit of its own."},
    {.key = "replicas",
     .kind = OPTION_INT,
     .offset = offsetof(struct budget_config, replicas),
     .fallback = "1",
     .min = 1,
     .max = 1e6,
     .doc = "Divides the budget: N replicas of this sidecar spend usd_per_day together."},
    {0}};

enum { HALF_BASELINE, HALF_RULES, HALF_COUNT };

struct budget {
    double usd_per_second[HALF_COUNT];  // refill of each half
    double usd_max[HALF_COUNT];         // ceiling of each half
    double usd[HALF_COUNT];
    double calls_per_second, calls;
    double usd_per_day;
    bool first_granted;
    double reserved_usd;  // granted and not yet settled
    double spent_usd;
    double spent_by_hour[24];
    uint64_t hour;
    uint64_t refilled_ns;
    uint64_t refused_over, refused_throttled;
};

static void limits_set(struct budget *budget, const struct budget_config *config)
{
    budget->usd_per_day =
        config->usd_per_day / (double)(config->replicas > 0 ? config->replicas : 1);
    budget->calls_per_second = config->calls_per_second;
    for (int i = 0; i < HALF_COUNT; i++) {
        budget->usd_per_second[i] = budget->usd_per_day / DAY_S / 2;
        budget->usd_max[i] = budget->usd_per_day / 10 / 2;
    }
}

struct budget *budget_new(const struct budget_config *config, uint64_t now_ns)
{
    struct budget *budget = calloc(1, sizeof(*budget));
    CHECK(budget != NULL);
    limits_set(budget, config);
    budget->calls = fmax(config->calls_per_second, 1);
    budget->refilled_ns = now_ns;
    budget->hour = now_ns / (3600 * NS_PER_S);
    for (int i = 0; i < HALF_COUNT; i++) {
        budget->usd[i] = budget->usd_per_second[i] * 60;  // one minute's accrual
    }
    return budget;
}

void budget_free(struct budget *budget)
{
    free(budget);
}

static void budget_refill(struct budget *budget, uint64_t now_ns)
{
    if (now_ns <= budget->refilled_ns) {
        return;
    }
    double seconds = (double)(now_ns - budget->refilled_ns) / 1e9;
    budget->refilled_ns = now_ns;
    for (int i = 0; i < HALF_COUNT; i++) {
        budget->usd[i] =
            fmin(budget->usd_max[i], budget->usd[i] + budget->usd_per_second[i] * seconds);
    }
    budget->calls =
        fmin(fmax(budget->calls_per_second, 1), budget->calls + budget->calls_per_second * seconds);
    uint64_t hour = now_ns / (3600 * NS_PER_S);
    for (uint64_t h = budget->hour + 1; h <= hour && h <= budget->hour + 24; h++) {
        budget->spent_by_hour[h % 24] = 0;
    }
    budget->hour = hour;
}

void budget_configure(struct budget *budget, const struct budget_config *config, uint64_t now_ns)
{
    mutex_lock(MUTEX_BUDGET);
    budget_refill(budget, now_ns);
    limits_set(budget, config);
    for (int i = 0; i < HALF_COUNT; i++) {
        budget->usd[i] = fmin(budget->usd[i], budget->usd_max[i]);
    }
    budget->calls = fmin(budget->calls, fmax(budget->calls_per_second, 1));
    mutex_unlock(MUTEX_BUDGET);
}

// What a half may lend: the part above half of its ceiling, so that it keeps its own purpose
// funded.
static double lendable(const struct budget *budget, int half)
{
    return fmax(0, budget->usd[half] - budget->usd_max[half] / 2);
}

static bool affordable(const struct budget *budget, int own, int other, double estimate_usd)
{
    if (!budget->first_granted && estimate_usd <= budget->usd_per_day * FIRST_GRANT_SHARE) {
        return true;
    }
    return budget->usd[own] + lendable(budget, other) >= estimate_usd;
}

// Takes from the own half what it has and the rest from the other as far as it lends. A first
// grant that overdraws is owed by both halves alike: neither spends before the debt is paid.
static void draw(struct budget *budget, int own, int other, double estimate_usd)
{
    double from_own = fmin(fmax(budget->usd[own], 0), estimate_usd);
    double from_other = fmin(lendable(budget, other), estimate_usd - from_own);
    if (from_own + from_other < estimate_usd) {
        double left = budget->usd[own] + budget->usd[other] - estimate_usd;
        budget->usd[own] = budget->usd[other] = left / 2;
    } else {
        budget->usd[own] -= from_own;
        budget->usd[other] -= from_other;
    }
    budget->reserved_usd += estimate_usd;
    budget->first_granted = true;
}

double budget_first_limit(struct budget *budget, bool baseline, uint64_t now_ns)
{
    int own = baseline ? HALF_BASELINE : HALF_RULES;
    int other = baseline ? HALF_RULES : HALF_BASELINE;
    mutex_lock(MUTEX_BUDGET);
    budget_refill(budget, now_ns);
    double limit = INFINITY;
    if (!budget->first_granted) {
        limit = fmax(budget->usd_per_day * FIRST_GRANT_SHARE,
                     budget->usd[own] + lendable(budget, other));
    }
    mutex_unlock(MUTEX_BUDGET);
    return limit;
}

enum budget_answer budget_take(struct budget *budget, bool baseline, double estimate_usd,
                               unsigned calls, uint64_t now_ns)
{
    CHECK(estimate_usd >= 0);
    int own = baseline ? HALF_BASELINE : HALF_RULES;
    int other = baseline ? HALF_RULES : HALF_BASELINE;
    enum budget_answer answer = BUDGET_GRANTED;
    mutex_lock(MUTEX_BUDGET);
    budget_refill(budget, now_ns);
    if (budget->calls_per_second > 0 && budget->calls < calls &&
        budget->calls < fmax(budget->calls_per_second, 1)) {
        answer = BUDGET_THROTTLED;
        budget->refused_throttled++;
    } else if (!affordable(budget, own, other, estimate_usd)) {
        answer = BUDGET_OVER;
        budget->refused_over++;
    } else {
        draw(budget, own, other, estimate_usd);
        budget->calls -= calls;
    }
    mutex_unlock(MUTEX_BUDGET);
    return answer;
}

void budget_settle(struct budget *budget, bool baseline, double estimate_usd, double actual_usd,
                   uint64_t now_ns)
{
    int own = baseline ? HALF_BASELINE : HALF_RULES;
    mutex_lock(MUTEX_BUDGET);
    budget_refill(budget, now_ns);
    budget->usd[own] = fmin(budget->usd_max[own], budget->usd[own] + estimate_usd - actual_usd);
    budget->spent_usd += actual_usd;
    budget->reserved_usd -= estimate_usd;
    if (budget->spent_usd == 0 && budget->reserved_usd < DUST_USD) {
        budget->first_granted = false;  // the first call failed: the next one is the first again
    }
    budget->spent_by_hour[budget->hour % 24] += actual_usd;
    mutex_unlock(MUTEX_BUDGET);
}

void budget_status(const struct budget *budget, struct budget_status *status, uint64_t now_ns)
{
    struct budget *writable =
        (struct budget *)(uintptr_t)budget;  // refilling is bookkeeping of time, not a change
    mutex_lock(MUTEX_BUDGET);
    budget_refill(writable, now_ns);
    *status = (struct budget_status){.usd_per_day = budget->usd_per_day,
                                     .spent_usd = budget->spent_usd,
                                     .available_usd =
                                         budget->usd[HALF_BASELINE] + budget->usd[HALF_RULES],
                                     .refused_over = budget->refused_over,
                                     .refused_throttled = budget->refused_throttled};
    for (int i = 0; i < 24; i++) {
        status->spent_today_usd += budget->spent_by_hour[i];
    }
    mutex_unlock(MUTEX_BUDGET);
}

double budget_half_per_second(const struct budget *budget)
{
    struct budget *writable = (struct budget *)(uintptr_t)budget;
    mutex_lock(MUTEX_BUDGET);
    double half = writable->usd_per_second[HALF_BASELINE];
    mutex_unlock(MUTEX_BUDGET);
    return half;
}
