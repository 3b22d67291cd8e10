// SPDX-License-Identifier: Apache-2.0
//
// The only place that asks the kernel for the time, so that everything else can run on a time that
// a test or the simulator hands it. Nanoseconds in 64 bits last until the year 2554, which is one
// type for every deadline and time stamp instead of three. A clock that cannot be read is a broken
// system and ends the process. Refused: coarse clocks, which are up to 4 ms off and save nothing
// where the vDSO answers. No state; any thread.
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/check.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec time;
    CHECK(clock_gettime(id, &time) == 0);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_process_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_format(uint64_t wall_ns, char out[25])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    unsigned ms = (unsigned)(wall_ns / NS_PER_MS % 1000);
    struct tm utc;
    char text[64];
    CHECK(gmtime_r(&seconds, &utc));
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    CHECK(len == 19);
    snprintf(out, 25, "%.19s.%03uZ", text, ms % 1000);
}
