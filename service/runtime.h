// SPDX-License-Identifier: Apache-2.0
// A running Sidejudge: components created from settings, wired into pipelines, started, watched,
// drained. A start uses whatever is sound (DESIGN 1): a broken processor leaves a plain forwarder,
// a broken exporter leaves its pipelines answering 503 with the reason and is tried again every 10
// s; both with an ERROR line and sidejudge_degraded. Used by the program and by the demo. Main
// thread, except where marked.
#pragma once

#include "base/loop.h"
#include "service/arguments.h"
#include "service/settings.h"

struct runtime;

struct runtime_options {
    bool strict;           // faults end the start
    bool quiet;            // no start lines (demo)
    bool without_servers;  // no metrics, health and API endpoints (demo, tests)
    // Where the configuration comes from and what it reads, for reloads; NULL: there are none.
    const struct arguments *arguments;
    const struct config *config;
};

// Creates all and starts it. The settings (and the config behind them) must outlive the runtime.
// RESULT_FAIL with a sentence.
enum result runtime_start(const struct settings *settings, const struct runtime_options *options,
                          struct runtime **runtime, char *why, size_t why_len) MUST_USE;
// Serves until SIGTERM, SIGINT or runtime_stop; then drains in order: receivers, shards, exporters,
// under one deadline, while metrics and health still answer. A second signal ends it at once.
void runtime_run(struct runtime *runtime);
void runtime_stop(struct runtime *runtime);  // any thread
void runtime_drain(struct runtime *runtime, uint64_t deadline_ns);
void runtime_free(struct runtime **runtime);

struct loop *runtime_loop(struct runtime *runtime);
// The first instance of `evaluation`; NULL when there is none.
struct processor *runtime_evaluation(struct runtime *runtime);
// The JSON behind `sidejudge status`. Main thread.
void runtime_status(struct runtime *runtime, struct buffer *out);
// Behind /debug/pipelines. Main thread.
void runtime_pipelines(struct runtime *runtime, bool html, struct buffer *out);
// The listeners accept and the end has not been announced. Judges and backends have no say.
bool runtime_is_ready(const struct runtime *runtime);
// Every loop takes its turns.
bool runtime_is_alive(const struct runtime *runtime);
// The end is near (preStop): what is open is decided and sent as soon as may be. Goes on serving.
// Main thread; again: nothing.
void runtime_hurry(struct runtime *runtime);
