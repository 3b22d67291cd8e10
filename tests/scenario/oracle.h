// SPDX-License-Identifier: Apache-2.0
// The oracle of every fault: what was acknowledged arrives, what arrives was sent, as the bytes
// that it was but for appended attributes sidejudge.* and evaluations.*, and never in two versions.
// It keeps hashes, not bytes, and knows nothing of processes: one oracle spans as many runs, kills
// and restarts of the program as a fault needs. Spans only. Not safe for threads: one owner at a
// time.
#pragma once

#include "base/bytes.h"

#define ORACLE_BACKENDS 3  // that it tells apart

struct oracle;

struct oracle *oracle_new(void);
void oracle_free(struct oracle **oracle);  // accepts NULL inside

// A request (protobuf) that is about to be sent: before, because it may arrive before its sender
// hears OK. What the program has to leave out (a bad id, invalid UTF-8, depth) is not counted.
// Aborts when it cannot be framed.
void oracle_sent(struct oracle *oracle, struct bytes request);
// Its sender heard OK; once for each time.
void oracle_acknowledged(struct oracle *oracle, struct bytes request);
// The spans of a sent request need not arrive any more: the fault is that they are refused for
// good.
void oracle_excuse(struct oracle *oracle, struct bytes request);
// The spans in `request` whose name is `name`.
void oracle_excuse_named(struct oracle *oracle, struct bytes request, const char *name);
// A request that backend number `backend` has.
void oracle_arrived(struct oracle *oracle, unsigned backend, struct bytes request);
// The same for all that a kept backend (backend.h) has; once, at the end.
struct backend;
void oracle_arrived_at(struct oracle *oracle, unsigned number, const struct backend *backend);

struct oracle_report {
    unsigned sent;          // spans, each once
    unsigned acknowledged;  // and not excused
    unsigned missing;       // acknowledged, not here
    unsigned arrived;       // in all, the same span again included
    unsigned duplicates;    // came more often than they were sent
    unsigned unknown;       // never sent, or no longer the bytes that were sent
    unsigned versions;      // came with other bytes than the first time, to whatever backend
    unsigned own;           // carriers: the program's own
};
struct oracle_report oracle_report(const struct oracle *oracle, unsigned backend);
// Nothing acknowledged is missing at this backend. Constant time.
bool oracle_is_whole(const struct oracle *oracle, unsigned backend);
// Fails the test (cmocka) unless nothing is missing, unknown or in two versions, and no more than
// `duplicates_max` came twice. UINT_MAX: any number.
void oracle_holds(const struct oracle *oracle, unsigned backend, unsigned duplicates_max);

// POST of a protobuf request to the program under test, told to the oracle by the status that came
// back, which is returned (0: none).
struct harness;
int oracle_post(struct oracle *oracle, struct harness *harness, struct bytes request);
// Turns the harness until nothing acknowledged is missing at this backend; fails at its patience.
void oracle_await(const struct oracle *oracle, struct harness *harness, unsigned backend);
