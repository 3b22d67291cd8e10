// SPDX-License-Identifier: Apache-2.0
// The bench's backend: answers every HTTP/1.1 request with 200 and an empty body and every gRPC
// call with status 0 (the first bytes of a connection say which), counts requests and bytes, and,
// where asked and over HTTP/1.1, reads the sending time out of a known place of the body. A thread
// per connection; loopback only.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sink;

struct sink *sink_start(void);
void sink_stop(struct sink **sink);
uint16_t sink_port(const struct sink *sink);
void sink_reset(struct sink *sink);
uint64_t sink_requests(const struct sink *sink);
uint64_t sink_bytes(const struct sink *sink);  // of bodies
// Reads eight bytes at `offset` of each body as a time and keeps now - time. SIZE_MAX: off.
void sink_watch(struct sink *sink, size_t offset);
// Quantiles of the latencies kept since sink_reset, in nanoseconds.
uint64_t sink_latency(struct sink *sink, double q);
