// SPDX-License-Identifier: Apache-2.0
// Which spans of a complete fragment stand for an interaction (DESIGN 3 "Targets"). Pure, after
// trace_resolve; the shard's thread.
#pragma once

#include "processor/trace.h"

enum target_mode { TARGET_AUTO, TARGET_AGENT, TARGET_LLM };

#define TARGETS_PER_FRAGMENT_MAX 64

struct target_choice {
    struct trace_span *spans[TARGETS_PER_FRAGMENT_MAX];
    size_t count;
    bool whole;           // a model or plain span stands for the whole fragment: evidence may
                          // come from beside it
    bool own_evaluation;  // nothing here but an evaluator's own work: spans[0] is the highest
};

// Chooses among the undecided spans whose top is `top`. count 0: nothing to grade here.
void targets_choose(const struct trace *trace, const struct trace_span *top, enum target_mode mode,
                    struct target_choice *choice);
// Could a span with this role become a target under `mode`? (Those may be held; model spans under
// `auto` only where `agentless` says that their service shows no agents.)
bool target_is_possible(enum role role, enum target_mode mode, bool agentless);
