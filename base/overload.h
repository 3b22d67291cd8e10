// SPDX-License-Identifier: Apache-2.0
// The overload ladder: how full the accountant's pools are, as one rung, from which everything else
// follows (DESIGN 3; deploy-and-reliability.md 4.6). Each rung gives up what is worth least before
// the next one takes more; telemetry itself is refused last, and with a retry. Up at once, down
// after 10 s in which the fill stood 15 points below the rung's threshold. base/account.h holds the
// one ladder of the process and measures for it; the clock is an argument.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/metrics.h"

enum overload_rung {
    OVERLOAD_NONE,
    OVERLOAD_EVIDENCE,  // the interaction that was silent longest gives its evidence up
    OVERLOAD_JUDGING,   // nothing is graded: picked interactions are decided `overload`
    OVERLOAD_HOLDING,   // nothing is held: spans go on as they come
    OVERLOAD_REQUESTS,  // requests are answered with a retry
    OVERLOAD_RUNG_COUNT
};

struct overload_fill {  // in percent
    unsigned total;     // of the cap, all pools
    unsigned evidence;  // of the evidence's own share
};

struct overload {                                  // zeroed: on the ground
    _Atomic unsigned level;                        // enum overload_rung
    uint64_t below_since_ns[OVERLOAD_RUNG_COUNT];  // ticking thread only; 0: not below
};

const char *overload_label(enum overload_rung rung);
unsigned overload_percent(enum overload_rung rung);                  // at which it is entered
enum overload_rung overload_level(const struct overload *overload);  // any thread
// Goes up where the fill says so, and says it in one line; returns the rung. Any thread.
enum overload_rung overload_rise(struct overload *overload, const struct overload_fill *fill);
// The same, and down where it is time. About once a second, from one thread; keeps the gauge
// sidejudge_overload_level.
enum overload_rung overload_tick(struct overload *overload, const struct overload_fill *fill,
                                 uint64_t now_ns);
// sidejudge_shed_total{what,reason}: what a rung gives up, and why it was given up.
struct metric *overload_shed(enum overload_rung what, const char *reason);
