// SPDX-License-Identifier: Apache-2.0
// What the tests of score sinks share: an exporter of scores against the server that holds requests
// to the contracts (tests/scenario/score_server.h), samples, and JSON compared as values.
#pragma once

#include "proto/component.h"
#include "tests/scenario/score_server.h"
#include "tests/unit/score_sample.h"

#define SCORE_STAGE_RECORDS 6
// One of each sample: the first four of target 1, the targeted one of target 2, the error of 3.
void score_stage_records(struct score_record records[SCORE_STAGE_RECORDS]);
// Starts the exporter from `yaml`, in which %u is the server's port, sends the records as one
// request, drains and reads the status. Prints why when it does not start.
void score_stage_send(struct score_server *server, const struct exporter_ops *ops, const char *yaml,
                      const struct score_record *records, size_t count,
                      struct exporter_status *status);
// Both are JSON of the same value; prints both when not.
bool score_stage_same_json(struct bytes text, const char *expected);
// Each row: a configuration and a part of the errors that it gives; prints the first that differs.
bool score_stage_refuses(const struct exporter_ops *ops, const char *const rows[][2], size_t count);
