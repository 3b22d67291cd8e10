// SPDX-License-Identifier: Apache-2.0
// A shard owns traces: one thread, no locks. It holds one state of each sharded processor, a timing
// wheel, and a mailbox of messages: parcels to look at, parcels to take, and what other threads
// post to a state (judge results). It runs in turns: take messages, fire timers, sleep until the
// next deadline; shard_turn is one turn on whatever clock the caller has (tests, simulator),
// shard_start runs turns on a thread of its own.
//
// Admission is at the door: a sender first gets one ticket per message, for all shards that it
// needs, all or nothing; a post under a ticket cannot fail or wait. Messages of states
// (shard_message) carry no ticket: whoever makes them bounds them.
//
// A leftover shard_message at the end is freed with free(): it is one heap block and owns nothing
// else.
#pragma once

#include "proto/component.h"

#define SHARD_MESSAGES_MAX 4096

struct shard;
struct shard_ticket;  // room for one message; heap, moved

struct shard_out {  // where the parcels go; the service implements it. Called on the shard's thread
    // Behind `processor` in the parcel's pipeline. Takes.
    void (*pass)(void *arg, struct shard *shard, struct processor *processor,
                 struct parcel **parcel);
    void (*drop)(void *arg, struct shard *shard, struct processor *processor,
                 struct parcel **parcel);
    enum result (*emit)(void *arg, struct shard *shard, struct processor *processor,
                        enum signal signal, enum emit_to to, struct batch **batch,
                        uint32_t item_count);
    void *arg;
    // A decision was made; optional.
    void (*decided)(void *arg, struct shard *shard, const struct trace_id *trace_id,
                    const struct span_id *target);
    // The turn in which parcels were passed, emitted and decisions made is over; optional.
    void (*turned)(void *arg, struct shard *shard);
};

struct shard_config {
    unsigned index;
    size_t messages_max;  // 0: SHARD_MESSAGES_MAX
    struct shard_out out;
    struct processor *const *processors;     // the sharded ones only; borrowed, outlive the shard
    const struct processor_ops *const *ops;  // of each
    size_t processor_count;
};

// Tells every state of a decision made before a restart; before shard_start.
void shard_restore(struct shard *shard, const struct trace_id *trace_id,
                   const struct span_id *target);

// Opens a state of each processor. Aborts when memory is out (start only).
struct shard *shard_new(const struct shard_config *config, uint64_t now_ns);
enum result shard_start(struct shard *shard) MUST_USE;  // its thread "shard/N"
// Any thread: every state releases what it holds, soon (shard_turn does it).
void shard_flush(struct shard *shard);
// Any thread: every state decides and releases as soon as may be from now on (shard_ops.hurry).
void shard_hurry(struct shard *shard);
// Any thread: asks for the traces that are open. `each` is called with them on the shard's thread,
// at the end of a turn that has taken everything that was posted before; then shard_has_told says
// true. One asker at a time.
void shard_tell_open(struct shard *shard, void (*each)(void *arg, const struct trace_id *id),
                     void *arg);
bool shard_has_told(const struct shard *shard);
// Nothing waits to be taken, and nothing was open at the end of the last turn. Any thread.
bool shard_is_idle(const struct shard *shard);
// Traces and held items that were open at the end of the last turn. Any thread.
size_t shard_open_count(const struct shard *shard);
// Flushes, takes all that was posted, and ends the thread, which has until the deadline for it
// (monotonic). Without a thread: one turn.
void shard_stop(struct shard *shard, uint64_t deadline_ns);
// Closes the states; after shard_stop of all shards, before the processors are freed.
void shard_free(struct shard **shard);

// One turn: at most 256 messages, then due timers. Returns when the next turn is worth while
// (now_ns: at once; UINT64_MAX: on a message).
uint64_t shard_turn(struct shard *shard, uint64_t now_ns);

struct shard_ticket *shard_reserve(struct shard *shard);  // NULL: full. Any thread
void shard_release(struct shard_ticket **ticket);         // an unused one. Any thread
// The parcel is only looked at: takes one reference, gives it back afterwards. Takes the ticket.
// Any thread.
void shard_post_look(struct shard_ticket **ticket, struct processor *processor,
                     struct parcel **parcel);
// Takes the parcel and the ticket. Any thread.
void shard_post_take(struct shard_ticket **ticket, struct processor *processor,
                     struct parcel **parcel);
// Tells the processor's state of feedback. Copies. A full shard does not hear it:
// counted. Any thread.
void shard_post_feedback(struct shard *shard, struct processor *processor,
                         const struct feedback *feedback);
// The same at once, on the shard's own thread (a chain of sharded processors). look borrows, take
// takes.
void shard_look(struct shard *shard, struct processor *processor, const struct parcel *parcel);
void shard_take(struct shard *shard, struct processor *processor, struct parcel **parcel);

unsigned shard_index(const struct shard *shard);
uint64_t shard_now_ns(const struct shard *shard);  // of the turn; own thread
size_t shard_backlog(const struct shard *shard);   // messages that hold tickets; any thread
uint64_t shard_turns(const struct shard *shard);   // any thread; for the watchdog
// Which of `shard_count` shards owns a trace; NULL (no trace id): 0.
unsigned shard_of_trace(const uint8_t *trace_id, unsigned shard_count);
