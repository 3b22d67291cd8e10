// SPDX-License-Identifier: Apache-2.0
// Where a door leads at one time: the pipelines of the generation that is current, and those of
// earlier ones that still have traces open. A request whose traces belong to several is split.
// Immutable once a door leads there. Any thread reads.
#pragma once

#include "service/pipeline.h"
#include "service/trace_set.h"

#define ROUTES_OLDER_MAX 4

struct route_set {
    struct pipeline *pipelines[SETTINGS_PIPELINES_MAX];
    size_t count;
};

struct routes {  // borrows everything: generation.c frees nothing that a door leads to
    struct route_set current;
    struct trace_set *noted;  // traces that pass are added to it; NULL: none
    struct {
        struct trace_set *traces;
        struct route_set to;
    } older[ROUTES_OLDER_MAX];
    size_t older_count;
};

// The pipelines of one request. Party 0 is the current generation, i + 1 is older[i].
struct itinerary {
    struct {
        struct pipeline *pipeline;
        unsigned party;
    } ways[SETTINGS_PIPELINES_MAX];
    size_t count;
    bool is_split;  // only the items of routes_party(...) == party go each way
};

// The pipelines of a party.
const struct route_set *routes_set(const struct routes *routes, unsigned party);
unsigned routes_party(const struct routes *routes, const struct item_view *view);
// Looks at the items only while there is an earlier generation. Where a request would have more
// than SETTINGS_PIPELINES_MAX ways, all of it goes the current one's.
void routes_plan(const struct routes *routes, const struct batch *batch,
                 struct itinerary *itinerary);
