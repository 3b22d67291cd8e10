// SPDX-License-Identifier: Apache-2.0
// A server under test as a child process: started with a configuration, waited for, its CPU and
// memory read from /proc, ended by its process id. Bench only.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum subject_kind {
    SUBJECT_SIDEJUDGE,
    SUBJECT_FORWARDER,
    SUBJECT_NGHTTPX,
    SUBJECT_COLLECTOR,
    SUBJECT_COUNT
};

struct subject_config {
    uint16_t sink_port;
    bool merge;              // small requests may be merged on the way out
    bool gzip;               // towards the sink
    bool grpc_in, grpc_out;  // else HTTP/1.1
    const char
        *processors;  // YAML of Sidejudge's `processors:` map value; NULL: evaluation with defaults
};

struct subject {
    pid_t pid;
    uint16_t port;
    uint16_t api_port, metrics_port;
    uint64_t start_ns;  // exec to the first accepted connection
};

const char *subject_name(enum subject_kind kind);
// False when it is not there or does not start: the row says so.
bool subject_start(enum subject_kind kind, const struct subject_config *config,
                   struct subject *subject);
void subject_stop(struct subject *subject);
uint64_t
subject_cpu_ns(const struct subject *subject);  // user + system of all its threads and children
uint64_t subject_rss_bytes(const struct subject *subject);
uint64_t subject_rss_anon_bytes(const struct subject *subject);
uint64_t subject_rss_peak_bytes(const struct subject *subject);
