// SPDX-License-Identifier: Apache-2.0
// What the scenarios of the journal share: a program with a file_storage, one or two exporters to
// faulty backends, agents that send without waiting for one another, and an oracle that outlives
// any number of kills and restarts on the same directory. One thread.
#pragma once

#include "base/compression.h"
#include "base/random.h"
#include "tests/scenario/faulty_backend.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"

#define JOURNAL_RIG_FLIGHTS 6

enum { JOURNAL_FIRST, JOURNAL_SECOND };  // backends at the oracle

struct journal_rig;
struct journal_flight {  // a request in flight
    struct journal_rig *rig;
    struct buffer request, packed;
    bool is_used;
};

struct journal_rig {
    struct harness *harness;
    struct oracle *oracle;
    struct faulty_backend *first, *second;
    struct random random;
    struct compressor *compressor;
    bool is_down;  // the first backend
    char directory[128];
    unsigned number;   // of the next agent, trace or span
    unsigned pending;  // a conversation whose root was not sent yet; 0: none
    struct journal_flight flights[JOURNAL_RIG_FLIGHTS];
    unsigned acknowledged, refused, unanswered;  // requests
};

int journal_rig_setup(void **state);
int journal_rig_teardown(void **state);

// YAML in flow style, each with a comma in front or empty; NULL: the default.
struct journal_setup {
    const char *storage;     // keys of file_storage beside directory and create_directory
    const char *queue;       // keys of the first exporter's sending_queue beside its storage
    const char *retry;       // keys of its retry_on_failure
    const char *exporter;    // keys of the first exporter
    const char *second;      // sending_queue of a second exporter; NULL: there is none
    const char *evaluation;  // keys of the evaluation beside hold and linger
    const char *processors;  // others, "id: {...},"
    const char *chain;       // default "evaluation"
};
// Only writes the file, for a reload; its path.
const char *journal_rig_configure(struct journal_rig *rig, const struct journal_setup *setup);
// Fails the test unless it becomes ready.
void journal_rig_start(struct journal_rig *rig, const struct journal_setup *setup);
// The same without waiting for it.
void journal_rig_launch(struct journal_rig *rig, const struct journal_setup *setup);
// SIGKILL; waits for the end, and for the answers that will not come.
void journal_rig_kill(struct journal_rig *rig);
void journal_rig_settle(struct journal_rig *rig);  // until no request is in flight

// Agents send for that long: interactions whole and in parts, plain spans, large requests, gzip or
// not. What was answered is told to the oracle.
void journal_rig_traffic(struct journal_rig *rig, unsigned ms);
// A request of `count` agents, answered before it returns. The status.
int journal_rig_post(struct journal_rig *rig, unsigned count);
// Takes the first backend down, or has it listen again; any number of times.
void journal_rig_down(struct journal_rig *rig);
void journal_rig_up(struct journal_rig *rig);

// What stands in quarantine/ is kept and not delivered: the oracle expects it no more. How many.
unsigned journal_rig_excuse_quarantined(struct journal_rig *rig);

// Everything acknowledged is at the backend and nothing is owed any more.
void journal_rig_await(struct journal_rig *rig, unsigned backend);
void journal_rig_await_empty(struct journal_rig *rig);
// Until a metric has at least (at most) this value; what was read last.
double journal_rig_await_metric(struct journal_rig *rig, const char *name, const char *label,
                                double least, double most);
