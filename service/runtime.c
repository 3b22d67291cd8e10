// SPDX-License-Identifier: Apache-2.0
//
// The main thread of a running Sidejudge: signals, the one-second tick, retries of what is
// degraded, the endpoints of our own, reloads, and the end, which is done on a thread of its own.
// The data path runs on other threads and never waits for this one. Refused: work in signal
// handlers (a signalfd instead; only while draining a handler ends the process). Bounds: 30 s for
// opening listeners, the drain's deadline. Main thread.

#include "service/runtime.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "base/watchdog.h"
#include "processor/evaluation.h"
#include "service/endpoints.h"
#include "service/generation.h"
#include "service/pipelines_page.h"
#include "service/reload.h"
#include "service/status_report.h"

#define RUNTIME_MAGIC MAGIC('R', 'U', 'N', 'T')
#define LISTEN_PATIENCE_NS (30 * NS_PER_S)
#define RETRY_PERIOD_TICKS 10
#define DRAIN_NS (1650 * NS_PER_MS)  // the kubelet grants two seconds
#define SILENCE_NS (60 * NS_PER_S)

struct runtime {
    uint32_t magic;
    struct runtime_options options;
    struct loop *loop;
    struct account *account;
    struct watchdog *watchdog;
    struct generations *generations;
    struct reload *reload;
    struct endpoints *endpoints;
    struct loop_fd signals;
    struct timer tick;
    uint64_t started_ns, started_wall_ns;
    unsigned ticks;
    bool silence_said, is_listening, is_hurried, drained;
    unsigned stop_signals;
    struct thread drain;  // on SIGTERM
    uint64_t drain_deadline_ns;
};

static const struct wiring *current_of(const struct runtime *runtime)
{
    return generations_current(runtime->generations);
}

struct loop *runtime_loop(struct runtime *runtime)
{
    return runtime->loop;
}

struct processor *runtime_evaluation(struct runtime *runtime)
{
    const struct wiring *wiring = current_of(runtime);
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct processor_part *part = wiring->processors[i];
        if (part != NULL && processor_is_evaluation(part->slot.processor)) {
            return part->slot.processor;
        }
    }
    return NULL;
}

// 60 s without a span: say once how to point an agent here.
static void silence_check(struct runtime *runtime, uint64_t now_ns)
{
    if (runtime->silence_said || now_ns - runtime->started_ns < SILENCE_NS) {
        return;
    }
    runtime->silence_said = true;
    if (metrics_sum("otelcol_receiver_accepted_spans") == 0) {
        struct bytes here = {0};
        const struct snapshot *snapshot = current_of(runtime)->snapshot;
        if (snapshot->address_count > 0) {
            here = snapshot->addresses[snapshot->address_count - 1];
        }
        bool all = bytes_start_with(here, BYTES_LITERAL("0.0.0.0"));  // loopback among them
        char endpoint[160];
        snprintf(endpoint, sizeof(endpoint), "OTEL_EXPORTER_OTLP_ENDPOINT=http://%s%.*s",
                 all ? "localhost" : "", BYTES_PRINTF(bytes_slice(here, all ? 7 : 0, SIZE_MAX)));
        log_line(LOG_INFO, "service",
                 "no span in 60 s: point the agent here and make sure that its SDK exports traces",
                 LOG_TEXT("set_at_the_agent", endpoint));
    }
}

static void runtime_tick(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct runtime *runtime = arg;
    generations_tick(runtime->generations, now_ns);
    if (++runtime->ticks % RETRY_PERIOD_TICKS == 0 && !runtime->drain.started) {
        (void)wiring_retry_exporters(generations_current(runtime->generations));
    }
    silence_check(runtime, now_ns);
    loop_set_timer(runtime->loop, timer, now_ns + NS_PER_S);
}

static void drain_run(void *arg)
{
    struct runtime *runtime = arg;
    generations_drain(runtime->generations, runtime->drain_deadline_ns);
    loop_stop(runtime->loop);
}

// The main loop goes on, so that metrics and health answer until the end.
static void drain_begin(struct runtime *runtime)
{
    runtime->drain_deadline_ns = clock_mono_ns() + DRAIN_NS;
    generations_freeze(runtime->generations);
    if (!runtime->is_listening ||
        thread_start(&runtime->drain, "sj-end", drain_run, runtime) != RESULT_OK) {
        loop_stop(runtime->loop);  // runtime_run does it
    }
}

static void runtime_signal(struct loop_fd *watch, uint32_t events)
{
    (void)events;
    struct runtime *runtime = watch->arg;
    struct signalfd_siginfo info;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            if (runtime->reload != NULL && runtime->stop_signals == 0) {
                reload_request(runtime->reload);
            }
        } else if (++runtime->stop_signals > 1) {
            log_line(LOG_WARN, "service", "second signal: stopping at once");
            _exit(1);
        } else {
            log_line(LOG_INFO, "service", "draining", LOG_INT("signal", info.ssi_signo));
            drain_begin(runtime);
        }
    }
}

static enum result signals_open(struct runtime *runtime)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return RESULT_FAIL;
    }
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return RESULT_FAIL;
    }
    runtime->signals = (struct loop_fd){.fd = fd, .ready = runtime_signal, .arg = runtime};
    return loop_watch(runtime->loop, &runtime->signals, EPOLLIN);
}

// Listeners are worth waiting for: the port of a predecessor may still be open.
static enum result runtime_listen(struct runtime *runtime, char *why, size_t why_len)
{
    uint64_t give_up_ns = clock_mono_ns() + LISTEN_PATIENCE_NS;
    bool said = false;
    while (generations_listen(runtime->generations, why, why_len) != RESULT_OK) {
        if (runtime->options.strict || clock_mono_ns() > give_up_ns || runtime->stop_signals > 0) {
            return RESULT_FAIL;
        }
        if (!said) {
            log_line(LOG_ERROR, "service", "cannot listen; trying again for 30 s",
                     LOG_TEXT("why", why));
            said = true;
        }
        loop_run_once(runtime->loop, 250);
    }
    runtime->is_listening = true;
    return RESULT_OK;
}

static void budget_line(const struct processor *evaluation)
{
    size_t count = 0;
    (void)evaluation_judges(evaluation, &count);
    if (count > 0 && evaluation_budget(evaluation) != NULL) {
        struct budget_status status;
        budget_status(evaluation_budget(evaluation), &status, clock_mono_ns());
        log_line(LOG_INFO, "service",
                 "judge budget, per process: N replicas spend up to N times as much",
                 LOG_REAL("usd_per_day", status.usd_per_day));
    }
}

static void start_lines(struct runtime *runtime)
{
    struct processor *evaluation = runtime_evaluation(runtime);
    if (runtime->options.quiet) {
        return;
    }
    const struct wiring *wiring = current_of(runtime);
    for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
        const struct exporter_part *part = wiring->exporters[i];
        const struct exporter *exporter = part != NULL ? atomic_load(&part->slot.exporter) : NULL;
        struct exporter_status status = {0};
        if (exporter == NULL) {
            continue;  // not used, or degraded: that has been said
        }
        part->slot.ops->status(exporter, &status);
        log_line(LOG_INFO, "service", "forwarding to", LOG_TEXT("exporter", part->slot.id),
                 LOG_TEXT("endpoint", status.destination));
    }
    if (evaluation != NULL) {
        budget_line(evaluation);
    }
    log_line(LOG_INFO, "service", "Everything is ready. Begin running and processing data.",
             LOG_INT("start_ms", (clock_mono_ns() - runtime->started_ns) / NS_PER_MS),
             LOG_INT("shards", wiring->unit->shard_count),
             LOG_INT("memory_cap_bytes", account_cap(runtime->account)));
}

// What a generation does not hold: logs and the endpoints of our own.
static void runtime_apply(void *arg, const struct settings *settings)
{
    struct runtime *runtime = arg;
    const struct telemetry_settings *telemetry = &settings->telemetry;
    log_configure((enum log_level)telemetry->log_level, (enum log_encoding)telemetry->log_encoding,
                  2);
    if (runtime->endpoints != NULL) {
        endpoints_apply(runtime->endpoints, settings);
    }
}

static void reload_open(struct runtime *runtime)
{
    const struct reload_setup setup = {.loop = runtime->loop,
                                       .generations = runtime->generations,
                                       .arguments = runtime->options.arguments,
                                       .config = runtime->options.config,
                                       .applied = runtime_apply,
                                       .arg = runtime};
    if (setup.arguments != NULL) {
        runtime->reload = reload_new(&setup);
    }
}

static struct runtime *runtime_make(const struct runtime_options *options)
{
    // Bodies of a megabyte come from recycled heap, not from fresh mappings; and what was freed at
    // the heap's end stays there for the next one: a page taken anew costs more than its sending.
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
    struct runtime *runtime = calloc(1, sizeof(*runtime));
    CHECK(runtime != NULL);
    runtime->magic = RUNTIME_MAGIC;
    runtime->options = *options;
    runtime->started_ns = clock_mono_ns();
    runtime->started_wall_ns = clock_wall_ns();
    runtime->loop = loop_new();
    runtime->account = account_new(account_detect_cap());
    runtime->watchdog = watchdog_new(NULL);
    watchdog_set_process(runtime->watchdog);
    return runtime;
}

static enum result runtime_open(struct runtime *runtime, const struct settings *settings, char *why,
                                size_t why_len)
{
    if (runtime->loop == NULL || signals_open(runtime) != RESULT_OK) {
        snprintf(why, why_len, "no descriptors left for the main loop");
        return RESULT_FAIL;
    }
    runtime->generations = generations_new(runtime->loop, runtime->account);
    struct snapshot *snapshot = snapshot_borrow(settings);
    unsigned degraded = generations_start(runtime->generations, snapshot);
    snapshot_unref(&snapshot);
    if (runtime->options.strict && degraded > 0) {
        snprintf(why, why_len, "--strict: %u components are degraded (see the lines above)",
                 degraded);
        return RESULT_FAIL;
    }
    if (!runtime->options.without_servers) {
        runtime->endpoints = endpoints_open(runtime->loop, settings, runtime);
    }
    return runtime_listen(runtime, why, why_len);
}

enum result runtime_start(const struct settings *settings, const struct runtime_options *options,
                          struct runtime **out, char *why, size_t why_len)
{
    struct runtime *runtime = runtime_make(options);
    if (runtime_open(runtime, settings, why, why_len) != RESULT_OK) {
        runtime_free(&runtime);
        return RESULT_FAIL;
    }
    reload_open(runtime);
    start_lines(runtime);
    timer_init(&runtime->tick, runtime_tick, runtime);
    loop_set_timer(runtime->loop, &runtime->tick, clock_mono_ns() + NS_PER_S);
    *out = runtime;
    return RESULT_OK;
}

// Async-signal-safe.
static void stop_at_once(int number)
{
    static const char line[] = "second signal: stopping at once\n";
    (void)number;
    ssize_t written = write(2, line, sizeof(line) - 1);
    _exit(written > 0 ? 1 : 2);
}

// The end keeps this thread busy: from here on nobody reads the descriptor, and a further signal
// must still be obeyed. The other threads keep theirs blocked.
static void signals_stop_at_once(void)
{
    struct sigaction action = {.sa_handler = stop_at_once};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void runtime_run(struct runtime *runtime)
{
    CHECK(runtime->magic == RUNTIME_MAGIC);
    loop_run_watched(runtime->loop, "main");
    signals_stop_at_once();
    runtime_drain(runtime, clock_mono_ns() + DRAIN_NS);
}

void runtime_stop(struct runtime *runtime)
{
    loop_stop(runtime->loop);
}

void runtime_drain(struct runtime *runtime, uint64_t deadline_ns)
{
    if (runtime->drained) {
        return;
    }
    runtime->drained = true;
    bool has_run = runtime->drain.started;
    thread_join(&runtime->drain);
    if (!has_run) {
        generations_freeze(runtime->generations);
        generations_drain(runtime->generations, deadline_ns);
    }
    if (!runtime->options.quiet) {
        log_line(LOG_INFO, "service", "Shutdown complete.");
    }
}

bool runtime_is_ready(const struct runtime *runtime)
{
    return runtime->is_listening && !runtime->is_hurried && runtime->stop_signals == 0;
}

bool runtime_is_alive(const struct runtime *runtime)
{
    return watchdog_still_s(runtime->watchdog) < WATCHDOG_PATIENCE_S - 1;
}

void runtime_hurry(struct runtime *runtime)
{
    if (!runtime->is_hurried) {
        runtime->is_hurried = true;
        log_line(LOG_INFO, "service",
                 "the end is announced: what is open is decided and sent at once; still accepting");
        generations_hurry(runtime->generations);
    }
}

void runtime_free(struct runtime **runtime)
{
    if (*runtime == NULL) {
        return;
    }
    struct runtime *moved = *runtime;
    *runtime = NULL;
    reload_free(&moved->reload);
    if (moved->generations != NULL) {
        runtime_drain(moved, clock_mono_ns() + DRAIN_NS);
        generations_free(&moved->generations);
    }
    endpoints_close(&moved->endpoints);
    if (moved->signals.fd > 0) {
        loop_unwatch(moved->loop, &moved->signals);
        close(moved->signals.fd);
    }
    if (moved->loop != NULL) {
        loop_free(moved->loop);
    }
    watchdog_set_process(NULL);
    watchdog_free(&moved->watchdog);
    account_free(moved->account);
    free(moved);
}

static struct status_report report_of(struct runtime *runtime)
{
    return (struct status_report){.wiring = current_of(runtime),
                                  .retiring = generations_retiring(runtime->generations),
                                  .account = runtime->account,
                                  .evaluation = runtime_evaluation(runtime),
                                  .started_wall_ns = runtime->started_wall_ns};
}

void runtime_status(struct runtime *runtime, struct buffer *out)
{
    const struct status_report report = report_of(runtime);
    status_report_write(&report, out);
}

void runtime_pipelines(struct runtime *runtime, bool html, struct buffer *out)
{
    const struct status_report report = report_of(runtime);
    if (html) {
        pipelines_page_write_html(&report, out);
    } else {
        pipelines_page_write_json(&report, out);
    }
}
