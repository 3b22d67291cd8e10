// SPDX-License-Identifier: Apache-2.0
// What arrives at `evaluation`, and when fragments are complete (DESIGN 3). On the shard's thread,
// but for wants, which is asked on whatever thread scans.
#pragma once

#include "processor/evaluation_state.h"

// processor_ops.wants: every span of a trace is looked at; possible targets are taken, so that they
// can be held. Learns which services show agents.
enum want evaluation_wants(const struct processor *processor, const struct item_view *view);
// The same with a struct span_note for what is looked at.
enum want evaluation_wants_noted(const struct processor *processor, const struct item_view *view,
                                 const void *before, void *note);
// shard_ops.look, .look_noted and .take. A whole parcel that came compressed stays whole while it
// waits.
void evaluation_look(struct evaluation_state *state, const struct parcel *parcel, uint64_t now_ns);
void evaluation_look_noted(struct evaluation_state *state, const struct parcel *parcel,
                           uint64_t now_ns);
void evaluation_take(struct evaluation_state *state, struct parcel **parcel, uint64_t now_ns);
// A turn begins, or another piece of work of the same one: the clock and, once per turn, the rung
// of the overload ladder.
void evaluation_turn(struct evaluation_state *state, uint64_t now_ns);
// On the rungs where nothing is held, what is held leaves. May close traces.
void evaluation_let_go(struct evaluation_state *state);
// Lets leave what has been released: at once, or a moment later while many spans are held, since
// each settling walks over all of a request's.
void evaluation_settle(struct evaluation_state *state, uint64_t now_ns);
// shard_ops.hurry: what is open is complete when it has been silent for a moment, and nothing waits
// for longer than that.
void evaluation_hurry(struct evaluation_state *state, uint64_t now_ns);
// Closes the trace if nothing of it is open any more. A stale name is nothing.
void evaluation_trace_check(struct evaluation_state *state, struct trace_name name);
