// SPDX-License-Identifier: Apache-2.0
// What the instances of one `evaluation` id leave to each other when the configuration is replaced
// while the process runs: ledger, budget, baseline ladder, learned services and totals. Counted;
// the last instance frees it. Joined and left on the main thread; the parts have locks of their
// own.
#pragma once

#include <stdbool.h>

#include "processor/baseline.h"
#include "processor/budget.h"
#include "processor/evaluation.h"
#include "processor/learned_services.h"
#include "processor/ledger.h"

#define LEGACY_INSTANCES_MAX 64

struct legacy {
    unsigned references;
    struct ledger *ledger;
    struct budget *budget;    // made with the first judge; stays without one
    struct baseline *ladder;  // made with the first `baseline: auto`
    struct learned_services *services;
    const struct processor *instances[LEGACY_INSTANCES_MAX];  // that live; the newest last
    size_t count;
    struct evaluation_counts gone;  // of instances that have ended; open_traces and such are 0
};

// A new one with its ledger, or one more reference to that of an earlier instance.
struct legacy *legacy_join(struct legacy *earlier, const struct processor *instance,
                           const struct sampling *sampling);
// Takes. `last`: what the instance has counted.
void legacy_leave(struct legacy **legacy, const struct processor *instance,
                  const struct evaluation_counts *last);
bool legacy_is_newest(const struct legacy *legacy, const struct processor *instance);
void legacy_add_counts(struct evaluation_counts *sum, const struct evaluation_counts *counts);
