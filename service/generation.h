// SPDX-License-Identifier: Apache-2.0
// Which generation of the configuration is current, how one follows another while requests pass,
// and when an earlier one may go. A request goes by one generation from its plan to its commit. A
// trace that is open when the shards are replaced stays with the generation that it began in: its
// next spans are sent there, and its interactions are decided, graded and released under its rules.
// An earlier generation goes when its traces are decided and the last of its parcels has been
// delivered or given up. After an hour it is told to make haste. Main loop's thread, except
// what is marked.
#pragma once

#include "base/loop.h"
#include "service/wiring.h"

#define GENERATION_AGE_NS (UINT64_C(3600) * 1000000000)

struct generations;

struct generations *generations_new(struct loop *loop, struct account *account);
// The first one; it uses whatever is sound. Returns how many components are degraded.
unsigned generations_start(struct generations *generations, struct snapshot *snapshot);
// Opens its listeners. RESULT_RETRY with the first reason.
enum result generations_listen(struct generations *generations, char *why, size_t why_len) MUST_USE;
// A successor. RESULT_OK: it is on its way, which takes milliseconds. RESULT_RETRY: the one before
// is. RESULT_REJECT: it cannot be made, or cannot listen; nothing has changed, and `why` says what.
enum result generations_replace(struct generations *generations, struct snapshot *snapshot,
                                char *why, size_t why_len) MUST_USE;
bool generations_is_changing(const struct generations *generations);

struct wiring *generations_current(const struct generations *generations);
struct wiring *generations_retiring(const struct generations *generations);  // next_retiring ...
void generations_tick(struct generations *generations, uint64_t now_ns);     // once a second
// All that is open is decided and released as soon as may be, now and in generations to come.
void generations_hurry(struct generations *generations);

// Receivers, shards, exporters, in this order, until the deadline; the exporters at once. On any
// thread, which has the generations to itself from generations_freeze on.
void generations_freeze(struct generations *generations);  // nothing changes any more
void generations_drain(struct generations *generations, uint64_t deadline_ns);
void generations_free(struct generations **generations);  // drained before; accepts NULL inside
