// SPDX-License-Identifier: Apache-2.0
// Drives the real binary over loopback: a folder of its own for files, a clean environment, ports
// of the kernel's choice, what it writes kept, an HTTP client, and an end by SIGTERM that must be
// an orderly one (exit status 0, nothing from a sanitizer). Everything that waits is bounded in
// time and fails the test at the bound, printing what the program wrote. One thread and one loop,
// which the backends of a scenario share. For programs on cmocka.
#pragma once

#include <sys/types.h>

#include "base/http_client.h"
#include "base/json.h"
#include "proto/otlp.h"
#include "tests/scenario/backend.h"

#define HARNESS_PATIENCE_S 30
#define HARNESS_TRACES 10  // recorded traces in tests/fixtures/traces

struct harness {
    struct loop *loop;
    struct http_client *client;
    char folder[64];
    char *environment[64];  // of the program; owned
    size_t environment_count;
    struct backend *backends[4];
    size_t backend_count;
    pid_t pid;      // 0: not running
    int output_fd;  // what it writes, stdout and stderr in one; < 0: not read
    // Set before the start. The program's command line stands behind these words, which end in an
    // exec of it (unshare, prlimit, strace ...); borrowed, NULL ends them; NULL: none.
    const char *const *wrapper;
    bool output_is_pipe;  // instead of a file: it is full when nobody reads
    struct buffer output;
    uint16_t grpc_port, http_port;                 // of the receiver, once it listens
    uint16_t metrics_port, health_port, api_port;  // 0: not open
};

int harness_setup(void **state);     // cmocka: makes a harness
int harness_teardown(void **state);  // kills what still runs; removes the folder

// --- before the start ---
// A file in the folder; the path lives as long as the harness.
const char *harness_file(struct harness *harness, const char *name, const char *text);
void harness_variable(struct harness *harness, const char *name, const char *value);
// A backend that lives as long as the harness.
struct backend *harness_backend(struct harness *harness);
// A port that was free a moment ago.
uint16_t harness_free_port(void);

// --- the program ---
// Starts it with these arguments (NULL ends them) and ephemeral ports for metrics, health and API;
// returns when it says that it is ready.
void harness_start(struct harness *harness, const char *const *arguments);
// The first half of that: does not wait. The ports are known from harness_read_ports on, those that
// it has said by then.
void harness_launch(struct harness *harness, const char *const *arguments);
void harness_read_ports(struct harness *harness);
// The same with a configuration text, printf-style.
void harness_start_yaml(struct harness *harness, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// The most common one: HTTP in, `processors` (YAML flow map, "" for none) in order `chain`, and one
// otlp_http exporter without batching to the backend.
void harness_start_with(struct harness *harness, const struct backend *backend,
                        const char *processors, const char *chain);
// SIGTERM, then an orderly end.
void harness_stop(struct harness *harness);
// Waits for the end; returns the exit status, or 128 + the signal that ended it.
int harness_wait_end(struct harness *harness);
void harness_signal(const struct harness *harness, int number);
// Runs a command to its end; its exit status; what it wrote stands in `out`. Servers on the loop
// answer meanwhile.
int harness_command(struct harness *harness, const char *const *arguments, struct buffer *out);
bool harness_said(struct harness *harness, const char *text);
void harness_wait_said(struct harness *harness, const char *text);
void harness_sanitizers_are_silent(struct harness *harness);

// --- waiting ---
// Turns the loop until `is` says true; fails the test after `seconds`.
void harness_wait(struct harness *harness, bool (*is)(void *arg), void *arg, unsigned seconds,
                  const char *what);
void harness_wait_items(struct harness *harness, const struct backend *backend, enum signal signal,
                        unsigned count);
void harness_turn(struct harness *harness, unsigned ms);  // turns for that long

// --- talking to it ---
struct harness_reply {
    int status;  // 0: no answer
    bool has_retry_after;
    char body[4096], content_type[64];
};
struct harness_reply harness_get(struct harness *harness, uint16_t port, const char *path);
struct harness_reply harness_post(struct harness *harness, const char *path, const char *type,
                                  const char *encoding, struct bytes body);
// POST of a protobuf request to /v1/traces: must be answered with 200.
void harness_send(struct harness *harness, struct bytes request);
// The value of a metric (sum over its series that contain `label`, which may be ""), -1 if absent.
double harness_metric(struct harness *harness, const char *name, const char *label);

// --- requests ---
// A recorded trace as JSON, and as protobuf.
void harness_trace_json(unsigned index, struct buffer *json);
void harness_trace(unsigned index, struct buffer *request);
// `count` agent spans with question and answer, each of a trace of its own, from `number` on.
void harness_agents(struct buffer *request, unsigned number, unsigned count);
// One span with a name and ids made of `number`, under a resource "scenario".
void harness_span(struct buffer *request, unsigned number, const char *name);

// Every span of `request` is at the backend exactly once, its bytes as they were but for appended
// attributes sidejudge.* and evaluations.*, under the same resource and scope. Returns how many
// carry such attributes.
unsigned harness_spans_arrived(struct harness *harness, const struct backend *backend,
                               struct bytes request);
