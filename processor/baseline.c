// SPDX-License-Identifier: Apache-2.0
//
// The baseline ladder: 1, 1/2, 1/4 ... so that thresholds nest and any step's sample contains every
// lower step's. Traffic is an exponential average over about five minutes, cost an average per
// graded interaction. Hysteresis: a step up needs twice the room. Refused: a continuous
// probability, under which no two hours would share a sample.
//
// The plain sample's step: the lowest of the last 24 hours holds the probability equal only for who
// has seen them. Right after a start it would be the first minutes' step, which is 1, then the
// night's, then the day's, and each restart would add a heap of the hour in which it happened to
// the average (measured: ten restarts in two weeks move it by 0.013, at night by 0.028, where day
// and night differ by 0.15). So a first day's step is fixed once, with a reserve, and only traffic
// beyond it lowers the step. Refused: no plain sample at all on the first day, which with a release
// a day is never. Atomics only: shards read, one thread adjusts.

#include "processor/baseline.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define LADDER_STEPS 21
#define FIRST_GRADED 20
#define HOURS 25  // the hour that runs and 24 whole ones before it
#define TRAFFIC_SECONDS 300.0
#define FIRST_DAY_AFTER_S 60.0  // observed before the first day's step is fixed
#define FIRST_DAY_RESERVE 8.0
#define DAY_S 86400.0

enum { PLAIN_NONE = LADDER_STEPS };  // step of an empty sample

struct baseline {
    bool is_auto;
    double fixed;
    _Atomic unsigned step;   // probability 2^-step
    _Atomic unsigned plain;  // of the plain sample; PLAIN_NONE: none yet
    _Atomic unsigned lowest_by_hour[HOURS];
    _Atomic uint64_t hour;  // monotonic hours of the last write
    _Atomic uint64_t seen, graded;
    _Atomic uint64_t cost_nano_usd;     // of graded interactions
    uint64_t seen_before, adjusted_ns;  // adjusting thread only
    double observed_s;                  // since the first adjustment
    unsigned first_day;                 // step of the first day; PLAIN_NONE: not fixed
    double first_day_until_s;           // on the clock of observed_s
    double per_second;                  // predicted traffic
};

struct baseline *baseline_new(bool is_auto, double fixed)
{
    struct baseline *baseline = calloc(1, sizeof(*baseline));
    CHECK(baseline != NULL);
    baseline->is_auto = is_auto;
    baseline->fixed = fixed;
    baseline->first_day = PLAIN_NONE;
    atomic_init(&baseline->plain, PLAIN_NONE);
    return baseline;
}

void baseline_free(struct baseline *baseline)
{
    free(baseline);
}

double baseline_probability(const struct baseline *baseline)
{
    return baseline->is_auto
               ? ldexp(1, -(int)atomic_load_explicit(&baseline->step, memory_order_relaxed))
               : baseline->fixed;
}

double baseline_plain(const struct baseline *baseline)
{
    if (!baseline->is_auto) {
        return baseline->fixed;
    }
    unsigned plain = atomic_load_explicit(&baseline->plain, memory_order_relaxed);
    return plain == PLAIN_NONE ? 0 : ldexp(1, -(int)plain);
}

void baseline_saw(struct baseline *baseline, uint64_t now_ns)
{
    (void)now_ns;
    atomic_fetch_add_explicit(&baseline->seen, 1, memory_order_relaxed);
}

void baseline_graded(struct baseline *baseline, double cost_usd, uint64_t now_ns)
{
    (void)now_ns;
    atomic_fetch_add_explicit(&baseline->graded, 1, memory_order_relaxed);
    if (cost_usd > 0 && cost_usd < 1000) {
        atomic_fetch_add_explicit(&baseline->cost_nano_usd, (uint64_t)llround(cost_usd * 1e9),
                                  memory_order_relaxed);
    }
}

// The share of the traffic that half of the budget, and half of the call rate, can pay for.
static double affordable(const struct baseline *baseline, double half_budget_usd_per_s,
                         double calls_per_second_max)
{
    double graded = (double)atomic_load_explicit(&baseline->graded, memory_order_relaxed);
    double cost =
        (double)atomic_load_explicit(&baseline->cost_nano_usd, memory_order_relaxed) / 1e9 / graded;
    double share = INFINITY;
    if (cost > 0) {
        share = half_budget_usd_per_s / (baseline->per_second * cost);
    }
    if (calls_per_second_max > 0) {
        share = fmin(share, calls_per_second_max / 2 / baseline->per_second);
    }
    return share;
}

static void hour_note(struct baseline *baseline, unsigned step, uint64_t now_ns)
{
    uint64_t hour = now_ns / (3600 * NS_PER_S);
    uint64_t last = atomic_load_explicit(&baseline->hour, memory_order_relaxed);
    uint64_t passed = hour - last > HOURS ? HOURS : hour - last;
    for (uint64_t i = 1; i <= passed; i++) {
        atomic_store_explicit(&baseline->lowest_by_hour[(last + i) % HOURS], step,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&baseline->hour, hour, memory_order_relaxed);
    _Atomic unsigned *cell = &baseline->lowest_by_hour[hour % HOURS];
    if (step > atomic_load_explicit(cell, memory_order_relaxed)) {
        atomic_store_explicit(cell, step, memory_order_relaxed);
    }
}

static unsigned lowest_24h(const struct baseline *baseline, unsigned step)
{
    unsigned lowest = step;
    for (size_t i = 0; i < HOURS; i++) {
        unsigned one = atomic_load_explicit(&baseline->lowest_by_hour[i], memory_order_relaxed);
        lowest = one > lowest ? one : lowest;
    }
    return lowest;
}

static unsigned step_for(double share)
{
    unsigned step = 0;
    while (step + 1 < LADDER_STEPS && ldexp(1, -(int)step) > share) {
        step++;
    }
    return step;
}

// Before the ladder moves down, the plain sample does: a shard that reads between the two sees a
// smaller sample, not one that the ladder no longer covers.
static void plain_adjust(struct baseline *baseline, double share, unsigned step)
{
    unsigned plain = lowest_24h(baseline, step);
    if (baseline->first_day == PLAIN_NONE && share >= 0 &&
        baseline->observed_s >= FIRST_DAY_AFTER_S) {
        baseline->first_day = step_for(share / FIRST_DAY_RESERVE);
        baseline->first_day_until_s = baseline->observed_s + DAY_S;
    }
    if (baseline->first_day == PLAIN_NONE || baseline->observed_s < baseline->first_day_until_s) {
        plain = baseline->first_day > plain ? baseline->first_day : plain;
    }
    atomic_store_explicit(&baseline->plain, plain, memory_order_relaxed);
}

void baseline_adjust(struct baseline *baseline, double half_budget_usd_per_s,
                     double calls_per_second_max, uint64_t now_ns)
{
    if (!baseline->is_auto) {
        return;
    }
    uint64_t seen = atomic_load_explicit(&baseline->seen, memory_order_relaxed);
    if (baseline->adjusted_ns != 0 && now_ns > baseline->adjusted_ns) {
        double seconds = (double)(now_ns - baseline->adjusted_ns) / 1e9;
        double rate = (double)(seen - baseline->seen_before) / seconds;
        baseline->observed_s += seconds;
        double weight = fmax(1 - exp(-seconds / TRAFFIC_SECONDS), seconds / baseline->observed_s);
        // The first minutes are a plain mean. A rise is believed sooner than a fall: spending late
        // is cheaper than spending twice.
        weight = rate > baseline->per_second ? fmin(1, 10 * weight) : weight;
        baseline->per_second += (rate - baseline->per_second) * weight;
    }
    baseline->adjusted_ns = now_ns;
    baseline->seen_before = seen;
    unsigned step = atomic_load_explicit(&baseline->step, memory_order_relaxed);
    uint64_t graded = atomic_load_explicit(&baseline->graded, memory_order_relaxed);
    double share = -1;  // not known
    if (graded > 0 && baseline->per_second > 0) {
        share = affordable(baseline, half_budget_usd_per_s, calls_per_second_max);
    }
    if (graded >= FIRST_GRADED && share >= 0) {
        unsigned lower = step_for(share);
        step = lower > step ? lower : step;
        while (step > 0 && ldexp(1, -(int)step + 1) * 2 <= share) {
            step--;
        }
    }
    hour_note(baseline, step, now_ns);
    plain_adjust(baseline, share, step);
    atomic_store_explicit(&baseline->step, step, memory_order_relaxed);
}
