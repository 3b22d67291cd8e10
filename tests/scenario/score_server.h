// SPDX-License-Identifier: Apache-2.0
// A server on loopback that stands for the backends of scores, all on one port, told apart by path:
// Langfuse, Phoenix, LangSmith, Braintrust, LangWatch, Datadog and a webhook. Each request is held
// against the published contract of its interface (headers, content type, encodings, required
// members, types, enumerations, sizes) and refused in that interface's own way when it breaks it.
// What is accepted is kept, last write by identity, as the backend would. Spans are accepted and
// counted. On the server's thread; write its script and read what it kept when nothing is under
// way, behind score_server_sync.
#pragma once

#include <stdatomic.h>

#include "proto/score.h"
#include "tests/unit/scripted_http.h"

enum score_backend {
    BACKEND_LANGFUSE,
    BACKEND_PHOENIX,
    BACKEND_LANGSMITH,
    BACKEND_BRAINTRUST,
    BACKEND_LANGWATCH,
    BACKEND_DATADOG,
    BACKEND_WEBHOOK,
    BACKEND_COUNT
};

#define SCORE_SERVER_KEPT_MAX 4096
// What each backend wants to be called with; the webhook wants nothing.
#define SCORE_SERVER_KEY "key-of-the-test"
#define SCORE_SERVER_BASIC "Basic cGstdGVzdDpzay10ZXN0"  // pk-test:sk-test

struct score_kept {
    enum score_backend backend;
    char identity[160];  // by which a repetition replaces
    char name[SCORE_NAME_BYTES_MAX];
    bool has_value;
    double value;
    char label[64];
    char span[40];  // as the backend names the target
    unsigned writes;
};

struct score_server {
    struct scripted_http *http;
    unsigned requests[BACKEND_COUNT];  // of scores
    unsigned spans[BACKEND_COUNT];     // requests of spans
    unsigned refused;                  // broke a contract
    char refusal[256];                 // how the first one did
    struct buffer body;                // of the last request of scores
    struct buffer reply;
    struct score_kept kept[SCORE_SERVER_KEPT_MAX];
    size_t kept_count;
    // A script: these many requests are answered with that status, then by the contract.
    unsigned fail_count;
    int fail_status;
    const char *fail_body;
    // Events whose score has this name are refused alone: 207 of Langfuse, 400 and 422 elsewhere.
    const char *poison;
    int poison_status;  // inside a 207
    atomic_uint turn;   // the two threads' hand-over
};

// Keeps a score; of a check. Always NULL, as a check's answer. `value` may be NULL.
const char *score_server_keep(struct score_server *server, enum score_backend backend,
                              const char *identity, struct bytes name, const double *value,
                              struct bytes label, struct bytes span);

struct score_server *score_server_start(void);
void score_server_stop(struct score_server **server);
// What the server did before is seen from here on, and what was scripted before is seen by it.
void score_server_sync(struct score_server *server);
unsigned score_server_port(const struct score_server *server);
// The score with that name at that backend; NULL: it has none.
const struct score_kept *score_server_find(const struct score_server *server,
                                           enum score_backend backend, const char *name);
size_t score_server_count(const struct score_server *server, enum score_backend backend);
