// SPDX-License-Identifier: Apache-2.0
// Quality signals (never just "signals", OpenTelemetry's word): rows of quality_signal.def, found
// without a model on every interaction. Pure but for the table of recent turns, which belongs to
// one shard.
#pragma once

#include "base/result.h"
#include "processor/interaction.h"

enum quality_signal {
#define QUALITY_SIGNAL(name, label, saw) QUALITY_SIGNAL_##name,
#include "processor/quality_signal.def"
#undef QUALITY_SIGNAL
    QUALITY_SIGNAL_COUNT
};

const char *quality_signal_label(enum quality_signal signal);
const char *quality_signal_saw(enum quality_signal signal);
enum result quality_signal_from_label(struct bytes label, enum quality_signal *signal) MUST_USE;

// (conversation, hash of the user turn) seen lately: bounded count (default 4,096, oldest out) and
// age (1 h). No content is kept.
struct recent_turns;
struct recent_turns *recent_turns_new(unsigned count_max, uint64_t age_max_ns);
void recent_turns_free(struct recent_turns *turns);

// Bit set of 1 << enum quality_signal. `turns` may be NULL. Remembers this turn (a target is asked
// once).
unsigned quality_signals_find(const struct interaction *interaction, struct recent_turns *turns,
                              uint64_t now_ns);
