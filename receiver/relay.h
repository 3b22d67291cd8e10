// SPDX-License-Identifier: Apache-2.0
// The relay: requests to a backend's own API that an agent's SDK sends here because its base URL
// names us. They are passed on to one configured host, the path and query byte for byte, over
// connections of the relay's thread, and the answer is passed back as it comes. Nothing is tried
// again, followed, stored or added but Host, Content-Length, Via and the hop field; the agent's
// credentials go through and are nowhere logged.
//
//     relay_start(&config, &relay, why, sizeof why);
//     for each I/O thread: relay_door_init(&door, relay, ...); relay_route(&door, ..., &route);
//     ... serving; relay_turn(&door) in each turn of the I/O thread ...
//     I/O threads have stopped: relay_stop(relay); relay_door_close(&door) each; relay_free
#pragma once

#include "proto/component.h"
#include "receiver/request.h"

#define RELAY_IN_FLIGHT_MAX 16  // of all doors; beyond: 503 with Retry-After

struct relay;
struct relay_job;

struct relay_config {  // borrowed until relay_free
    const struct relay_target *target;
    const char *receiver_id;
    struct sink *sink;  // hears the feedback that is read in passing; may be NULL
    uint64_t total_ns;  // of one exchange; 0: 5 min
};

struct relay_door {       // of one I/O thread; embedded in aligned memory
    struct mailbox done;  // jobs that the worker hands over
    struct relay *relay;
    struct relay_job *jobs;  // all that were begun here
    char hop_id[17];
};

// Starts the thread "sj-relay". RESULT_FAIL with a sentence.
enum result relay_start(const struct relay_config *config, struct relay **relay, char *why,
                        size_t why_len) MUST_USE;
// Breaks off what is under way and ends the thread; doors keep their jobs. Accepts NULL.
void relay_stop(struct relay *relay);
void relay_free(struct relay **relay);  // after the doors are closed; accepts NULL inside

// `wake` is called when a job comes back; any thread.
void relay_door_init(struct relay_door *door, struct relay *relay, void (*wake)(void *arg),
                     void *wake_arg);
// The route of the relay, to stand behind all others. Bodies of at most `body_max` bytes.
struct http_route relay_route(struct relay_door *door, size_t body_max);
// Passes on what has come back. True: there is more.
bool relay_turn(struct relay_door *door);
// Answers what is still owed. The I/O thread and the relay's have stopped; the server is still
// there.
void relay_door_close(struct relay_door *door);
