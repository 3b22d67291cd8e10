// SPDX-License-Identifier: Apache-2.0
//
// The baseline ladder: 1, 1/2, 1/4 ... so that thresholds nest and any step's sample contains every
// lower step's. Traffic is an exponential average over about five minutes, cost an average per
// graded interaction. Hysteresis: a step up needs twice the room. Refused: a continuous
// probability, under which no two hours would share a sample. Atomics only: shards read, one thread
// adjusts.

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

struct baseline {
    bool is_auto;
    double fixed;
    _Atomic unsigned step;  // probability 2^-step
    _Atomic unsigned lowest_by_hour[HOURS];
    _Atomic uint64_t hour;  // monotonic hours of the last write
    _Atomic uint64_t seen, graded;
    _Atomic uint64_t cost_nano_usd;     // of graded interactions
    uint64_t seen_before, adjusted_ns;  // adjusting thread only
    double observed_s;                  // since the first adjustment
    double per_second;                  // predicted traffic
};

struct baseline *baseline_new(bool is_auto, double fixed)
{
    struct baseline *baseline = calloc(1, sizeof(*baseline));
    CHECK(baseline != NULL);
    baseline->is_auto = is_auto;
    baseline->fixed = fixed;
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

double baseline_lowest_24h(const struct baseline *baseline)
{
    if (!baseline->is_auto) {
        return baseline->fixed;
    }
    unsigned deepest = atomic_load_explicit(&baseline->step, memory_order_relaxed);
    for (size_t i = 0; i < HOURS; i++) {
        unsigned step = atomic_load_explicit(&baseline->lowest_by_hour[i], memory_order_relaxed);
        deepest = step > deepest ? step : deepest;
    }
    return ldexp(1, -(int)deepest);
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
    if (atomic_load_explicit(&baseline->graded, memory_order_relaxed) >= FIRST_GRADED &&
        baseline->per_second > 0) {
        double share = affordable(baseline, half_budget_usd_per_s, calls_per_second_max);
        while (step + 1 < LADDER_STEPS && ldexp(1, -(int)step) > share) {
            step++;
        }
        while (step > 0 && ldexp(1, -(int)step + 1) * 2 <= share) {
            step--;
        }
        atomic_store_explicit(&baseline->step, step, memory_order_relaxed);
    }
    hour_note(baseline, step, now_ns);
}
