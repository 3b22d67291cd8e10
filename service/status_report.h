// SPDX-License-Identifier: Apache-2.0
// The JSON behind `sidejudge status`: received, forwarded, targets, graded, why not, spend, queues,
// what is degraded. Main thread.
#pragma once

#include "service/wiring.h"

struct status_report {
    const struct wiring *wiring;    // the generation that is current
    const struct wiring *retiring;  // earlier ones; may be NULL
    const struct account *account;
    struct processor *evaluation;  // may be NULL
    uint64_t started_wall_ns;
};

void status_report_write(const struct status_report *report, struct buffer *out);
