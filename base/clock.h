// SPDX-License-Identifier: Apache-2.0
// The two clocks. Code on a loop takes loop_now_ns instead and pure code receives the time as an
// argument.
#pragma once

#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

uint64_t clock_mono_ns(void);  // CLOCK_MONOTONIC
uint64_t clock_wall_ns(void);  // CLOCK_REALTIME, since 1970-01-01
uint64_t clock_process_cpu_ns(void);
// "2026-01-02T03:04:05.678Z" of a wall time into out[25].
void clock_format(uint64_t wall_ns, char out[25]);
