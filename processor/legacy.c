// SPDX-License-Identifier: Apache-2.0
//
// A counted struct with pointers to what is shared, and a short list of the instances, by which
// totals are summed up. Refused: moving the parts from the old instance to the new one, since the
// old one goes on until its traces are decided. Bounds: LEGACY_INSTANCES_MAX at a time; more than
// that are not summed up while they live. Main thread.

#include "processor/legacy.h"

#include <stdlib.h>

#include "base/check.h"
#include "processor/evaluation_state.h"

enum { LEDGER_ROWS_MAX = 100000, LEDGER_BYTES_MAX = 16 << 20 };

struct legacy *legacy_join(struct legacy *earlier, const struct processor *instance,
                           const struct sampling *sampling)
{
    struct legacy *legacy = earlier;
    if (legacy == NULL) {
        legacy = calloc(1, sizeof(*legacy));
        CHECK(legacy != NULL);
        legacy->ledger = ledger_new(sampling, LEDGER_ROWS_MAX, LEDGER_BYTES_MAX);
        legacy->services = learned_services_new(LEARNED_AGE_NS);
    }
    legacy->references++;
    if (legacy->count < LEGACY_INSTANCES_MAX) {
        legacy->instances[legacy->count++] = instance;
    }
    return legacy;
}

void legacy_add_counts(struct evaluation_counts *sum, const struct evaluation_counts *counts)
{
    sum->targets += counts->targets;
    sum->graded += counts->graded;
    sum->open_traces += counts->open_traces;
    sum->evidence_bytes += counts->evidence_bytes;
    sum->late_spans += counts->late_spans;
    sum->carriers += counts->carriers;
    sum->without_content += counts->without_content;
    sum->judge_in_flight += counts->judge_in_flight;
}

void legacy_leave(struct legacy **legacy_at, const struct processor *instance,
                  const struct evaluation_counts *last)
{
    struct legacy *legacy = *legacy_at;
    *legacy_at = NULL;
    if (legacy == NULL) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < legacy->count; i++) {
        if (legacy->instances[i] != instance) {
            legacy->instances[kept++] = legacy->instances[i];
        }
    }
    legacy->count = kept;
    legacy_add_counts(&legacy->gone, last);
    legacy->gone.open_traces = legacy->gone.evidence_bytes = legacy->gone.judge_in_flight = 0;
    CHECK(legacy->references > 0);
    if (--legacy->references == 0) {
        learned_services_free(legacy->services);
        ledger_free(legacy->ledger);
        baseline_free(legacy->ladder);
        budget_free(legacy->budget);
        free(legacy);
    }
}

bool legacy_is_newest(const struct legacy *legacy, const struct processor *instance)
{
    return legacy->count > 0 && legacy->instances[legacy->count - 1] == instance;
}
