// SPDX-License-Identifier: Apache-2.0
// The contracts of backends that take scores on carriers, for the score server. One thread.
#pragma once

#include "proto/scan.h"
#include "tests/scenario/score_server.h"

struct carriers {
    struct score_server *server;
    enum score_backend backend;  // BACKEND_BRAINTRUST or BACKEND_LANGWATCH
    unsigned count;
    const char *why;  // what is wrong with the first that is wrong; NULL: nothing
};

// A scan_item_fn over struct carriers; spans that are no carriers are passed by.
bool score_carriers_check(void *arg, const struct item_view *view);
