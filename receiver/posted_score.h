// SPDX-License-Identifier: Apache-2.0
// Scores that an agent's SDK posts to Langfuse (its public API: POST /api/public/scores, one score
// or, from newer clients, a list of them; and `score-create` events of POST
// /api/public/ingestion), read as feedback. Nothing is checked on the backend's behalf: what cannot
// be read says nothing. Pure; any thread.
#pragma once

#include "proto/feedback.h"

#define POSTED_SCORES_MAX 100  // of one request; the rest is passed over
#define POSTED_BYTES_MAX ((size_t)1 << 20)

enum posted_kind { POSTED_NONE, POSTED_SCORE, POSTED_BATCH };

// What a request with this method and path holds.
enum posted_kind posted_kind_of(struct bytes method, struct bytes path);
// Calls `each` for every score of a trace with an OpenTelemetry id and a value that is good or bad.
// Returns how many it was called for.
unsigned posted_scores_read(enum posted_kind kind, struct bytes body,
                            void (*each)(void *arg, const struct feedback *feedback), void *arg);
