// SPDX-License-Identifier: Apache-2.0
// What stands around a pipeline in the tests of service/door.c and service/pipeline.c: exporters
// that count what they reserve and keep what they get, processors that want spans by the first
// letter of their names (t: taken by the shard, l: looked at, d: dropped, e: edited), requests of
// named spans. One thread; the shard is turned by hand.
#pragma once

#include "base/clock.h"
#include "service/door.h"

struct fake_exporter {
    size_t capacity, reserved, own_reserved;
    bool blocks;  // block_on_overflow
    unsigned pushes, items, spans_seen;
    struct buffer bodies;  // what was pushed, rendered, one behind the other
};

struct stage {
    struct fake_exporter fakes[2];
    struct exporter_slot slots[2];
    struct processor_slot sharded, editing;
    struct shard *shards[1];
    struct pipeline pipeline;
    struct routes routes;
    struct turnstile turnstile;
    struct door door;
    unsigned feedbacks;  // that the shard has heard
    unsigned looked, noted, taken, took_whole;  // noted: looked at by notes
    struct parcel *held[16];                    // what the sharded processor took and keeps
    size_t held_count;
    struct shard_env *env;
};

// `exporter_count`: 1 or 2; `messages_max`: room of the shard.
void stage_open(struct stage *stage, size_t exporter_count, size_t messages_max);
void stage_close(
    struct stage *stage);  // passes on what is held, then checks that nothing stays reserved
void stage_turn(struct stage *stage);  // the shard takes its messages
void stage_pass_held(struct stage *stage);
// A request of spans with these names, NULL-terminated; "!" first makes the span's id one byte
// short, "@" and a letter put it into a trace of its own.
struct batch *stage_request(const char *const *names);
enum result stage_offer(struct stage *stage, struct batch *batch, struct offer_reply *reply);
// Is a span of this name among what exporter `index` got?
bool stage_has(const struct stage *stage, size_t index, const char *name);
