// SPDX-License-Identifier: Apache-2.0
// What the service may ask of an `evaluation` processor: for status, explain, doctor and the start
// lines. Everything here lives as long as the processor; the functions may be called on any thread.
#pragma once

#include "processor/budget.h"
#include "processor/judge.h"
#include "processor/ledger.h"
#include "proto/component.h"

extern const struct processor_ops evaluation_processor;

bool processor_is_evaluation(
    const struct processor *processor);  // any processor pointer of processors[]
struct ledger *evaluation_ledger(const struct processor *processor);
struct budget *evaluation_budget(const struct processor *processor);  // NULL without a judge
const struct baseline *evaluation_baseline(const struct processor *processor);
const struct judge_config *evaluation_judges(const struct processor *processor, size_t *count);
unsigned evaluation_shards(const struct processor *processor);  // the configured number

struct evaluation_counts {
    uint64_t targets, graded;
    uint64_t open_traces, evidence_bytes;
    uint64_t late_spans, carriers, without_content;
    uint64_t judge_in_flight;
    // of the equal-probability sample: graded, and refused after selection
    uint64_t plain_graded, plain_refused;
};
void evaluation_counts(const struct processor *processor, struct evaluation_counts *counts);
