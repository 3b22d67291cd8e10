// SPDX-License-Identifier: Apache-2.0
// Export requests as OTLP 1.11 defines them, on top of the server's routes: which paths there are,
// what a head must say, who decodes the body (this thread, or an ingest worker), and what the
// answer looks like in the request's encoding. One door per I/O thread, on its thread.
#pragma once

#include "receiver/ingest.h"
#include "receiver/request.h"

#define EXPORT_ROUTES_MAX 20

struct export_metrics;

struct export_door {
    // Set by the owner before export_routes.
    struct intake *intake;
    struct ingest *ingest;
    struct sink *const *sinks;           // by signal; NULL where no pipeline takes it
    struct export_metrics *metrics;      // shared by the doors of a receiver
    size_t grpc_bytes_max, http_bytes_max;
    struct bytes http_paths[SIGNAL_OTLP_COUNT];  // configured; NUL-terminated behind
    bool is_closing_each;                // HTTP/1.1: every reply ends its connection
    void (*wake)(void *arg);             // any thread: a worker has sent a job back
    void *wake_arg;
    // The door's own.
    char hop_id[17];
    struct export_target {
        struct export_door *door;
        enum signal signal;
    } targets[SIGNAL_OTLP_COUNT];
    struct mailbox done;
    struct buffer text;                  // replies are written here first
};

// The series of one receiver, which live as long as the process. Any thread.
struct export_metrics *export_metrics_new(const char *receiver_id);
// Counts a request that the listener's policy did not let in. Any I/O thread.
void export_count_refused(struct export_metrics *metrics, const struct request *request,
                          enum result result);
void export_metrics_free(struct export_metrics **metrics);

void export_door_init(struct export_door *door);
void export_door_fini(struct export_door *door);
// Fills `routes` (EXPORT_ROUTES_MAX) for every signal that has a sink; returns how many.
size_t export_routes(struct export_door *door, struct http_route *routes);
// Answers what workers have sent back. True: there is more.
bool export_turn(struct export_door *door);
