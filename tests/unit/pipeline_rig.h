// SPDX-License-Identifier: Apache-2.0
// Exporters and processors that do as a test says, for the pipeline and its door: what was
// reserved, given back and pushed is counted, so that a test can balance the account.
#pragma once

#include "service/pipeline.h"

struct rig_exporter {
    struct exporter_slot slot;
    size_t room_bytes;      // what may be reserved at once
    bool insists;           // block_on_overflow
    size_t reserved_bytes;  // now; pushed parcels give theirs back at once
    unsigned reservations, releases, refusals, pushes;
    bool last_own;
    struct buffer kept;  // rendered, concatenated
};
void rig_exporter_init(struct rig_exporter *exporter, const char *id, size_t room_bytes);
void rig_exporter_fini(struct rig_exporter *exporter);
// Spans in what was kept.
unsigned rig_exporter_spans(const struct rig_exporter *exporter);

enum rig_act { RIG_NOTHING, RIG_EDIT, RIG_DROP_NAMED, RIG_DROP_ALL, RIG_TAKE, RIG_LOOK };
struct rig_processor {
    enum rig_act act;
    unsigned processed, looked, taken;
};
// An unsharded one for EDIT and the DROPs; a sharded one, that passes at once, for TAKE and LOOK.
void rig_processor_add(struct pipeline *pipeline, struct rig_processor *processor,
                       enum rig_act act);

// A pipeline with these exporters (NULL ends them).
void rig_pipeline_init(struct pipeline *pipeline, struct rig_exporter *const *exporters);
// One shard without a thread, over the sharded processors of the pipeline; drive it by shard_turn.
struct shard *rig_shard_new(struct pipeline *pipeline, struct shard **slot);
// Spans of one trace each, named in order; a name that begins with "bad" has a broken trace id.
void rig_spans(struct buffer *request, const char *const *names);
struct batch *rig_batch(const char *const *names);
