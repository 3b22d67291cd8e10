// SPDX-License-Identifier: Apache-2.0
// The one journal of the process and how the rest is tied to it: which exporters own outlets, where
// replayed entries go, what shards post at the end of a turn. Made before the first generation,
// ended after everything has drained; the journal's thread asks for the current generation. Main
// thread, except what is marked.
#pragma once

#include "service/replay.h"
#include "service/storage.h"

struct journaling;
struct wiring;

// Opens the journal that the settings name. RESULT_MISSING: they name none. RESULT_FAIL with a
// sentence: the process goes on in memory.
enum result journaling_open(const struct settings *settings, struct turnstile *turnstile,
                            struct journaling **journaling, char *why, size_t why_len) MUST_USE;
// NULL where there is none.
struct journal *journaling_journal(const struct journaling *journaling);
// The outlet of an exporter's id; -1: none. With a storage named by a reload, none until a restart.
int journaling_outlet(const struct journaling *journaling, const char *exporter_id);
// Before the shards of the first generation start: what was decided is not decided again.
void journaling_restore(struct journaling *journaling, struct wiring *wiring);
// Doors lead to this generation from now on; it stays while somebody is inside the turnstile.
void journaling_follow(struct journaling *journaling, struct wiring *wiring);
enum result journaling_start(struct journaling *journaling) MUST_USE;
// Listeners accept: entries of before are handed on.
void journaling_replay(struct journaling *journaling);
// What a shard's turn has left in its group is posted. The shard's thread.
void journaling_turned(struct journaling *journaling, struct journal_group **group);
// Everything posted so far is durable; false: not by the deadline. Any thread but the journal's.
bool journaling_barrier(struct journaling *journaling, uint64_t deadline_ns);
// Nothing is handed on any more: the end has begun.
void journaling_hush(struct journaling *journaling);
// Everything has drained: commits the last, marks the exit clean. What is posted afterwards goes
// without a record. journaling_close frees it, when no component is left. Both accept NULL.
void journaling_end(struct journaling *journaling);
void journaling_close(struct journaling **journaling);
