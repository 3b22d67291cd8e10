// SPDX-License-Identifier: Apache-2.0
// Dialects: how instrumentations write an LLM interaction onto spans. One ops table per dialect,
// listed in `dialects` in the order in which markers are tried; the first that matches names the
// span, the others only fill gaps (several emit two dialects on one span). Everything is pure and
// runs on any thread; span content is hostile.
#pragma once

#include "processor/reading.h"
#include "proto/scan.h"

enum role {
#define ROLE(name, label) ROLE_##name,
#include "processor/role.def"
#undef ROLE
    ROLE_COUNT
};
const char *role_label(enum role role);

enum { DIALECT_GENAI, DIALECT_OPENINFERENCE, DIALECT_OPENLLMETRY, DIALECT_COUNT };

// What one walk over a span's keys finds; enough to route it. Views into the batch.
struct span_class {
    enum role role;       // ROLE_OTHER: nothing here speaks of a model
    int dialect;          // DIALECT_*; -1: none
    bool own_evaluation;  // made by an evaluator, ours or another: never graded
    bool own_attributes;  // some key begins with "sidejudge."
    struct bytes agent_name;
};
void dialect_classify(const struct item_view *view, struct span_class *found);
// service.name of the view's resource; empty when absent.
struct bytes dialect_service(const struct item_view *view);

struct dialect {
    const char *name;  // "genai"
    // Reads what this dialect calls canonical into the gaps of `reading`.
    void (*read)(const struct item_view *view, enum role role, struct reading *reading);
    // Reads what is left as a last resort (raw requests, framework JSON); optional.
    void (*read_rest)(const struct item_view *view, enum role role, struct reading *reading);
    const char *capture;  // how to switch content capture on, for the log
};
extern const struct dialect *const dialects[DIALECT_COUNT];
extern const struct dialect genai_dialect, openinference_dialect, openllmetry_dialect;

// The whole reading of one span: all dialects in order of how much their content is worth
// (attributes of the GenAI conventions, flattened messages, framework JSON, raw request).
void dialect_read(const struct item_view *view, const struct span_class *found,
                  struct reading *reading);
