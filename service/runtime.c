// SPDX-License-Identifier: Apache-2.0
//
// The main thread of a running Sidejudge: signals, the one-second tick, retries of what is
// degraded, the endpoints of our own, and the drain. The data path runs on other threads and never
// waits for this one. Refused: work in signal handlers (a signalfd instead;
// only while draining a handler ends the process). Bounds: 30 s for
// opening listeners, the drain's deadline (5 s). Main thread.

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
#include "base/watchdog.h"
#include "processor/evaluation.h"
#include "service/endpoints.h"
#include "service/status_report.h"
#include "service/wiring.h"

#define RUNTIME_MAGIC MAGIC('R', 'U', 'N', 'T')
#define LISTEN_PATIENCE_NS (30 * NS_PER_S)
#define RETRY_PERIOD_TICKS 10
#define DRAIN_NS (5 * NS_PER_S)
#define SILENCE_NS (60 * NS_PER_S)

struct runtime {
    uint32_t magic;
    const struct settings *settings;
    struct runtime_options options;
    struct loop *loop;
    struct account *account;
    struct watchdog *watchdog;
    struct wiring wiring;
    struct endpoints *endpoints;
    struct loop_fd signals;
    struct timer tick;
    uint64_t started_ns, started_wall_ns;
    unsigned ticks, degraded;
    bool silence_said, drained;
    unsigned stop_signals;
};

struct loop *runtime_loop(struct runtime *runtime)
{
    return runtime->loop;
}

struct processor *runtime_evaluation(struct runtime *runtime)
{
    for (size_t i = 0; i < runtime->settings->processors.count; i++) {
        struct processor *processor = runtime->wiring.processors[i].processor;
        if (processor != NULL && processor_is_evaluation(processor)) {
            return processor;
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
        if (runtime->wiring.address_count > 0) {
            here = runtime->wiring.addresses[runtime->wiring.address_count - 1];
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
    for (size_t i = 0; i < runtime->settings->processors.count; i++) {
        struct processor_slot *slot = &runtime->wiring.processors[i];
        if (slot->processor != NULL && slot->ops->tick != NULL) {
            slot->ops->tick(slot->processor, now_ns);
        }
    }
    if (++runtime->ticks % RETRY_PERIOD_TICKS == 0 && runtime->degraded > 0) {
        runtime->degraded = wiring_retry_exporters(&runtime->wiring);
    }
    silence_check(runtime, now_ns);
    loop_set_timer(runtime->loop, timer, now_ns + NS_PER_S);
}

static void runtime_signal(struct loop_fd *watch, uint32_t events)
{
    (void)events;
    struct runtime *runtime = watch->arg;
    struct signalfd_siginfo info;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            log_line(
                LOG_WARN, "service",
                "SIGHUP: reload is not part of this build; restart to change the configuration");
        } else if (++runtime->stop_signals > 1) {
            log_line(LOG_WARN, "service", "second signal: stopping at once");
            _exit(1);
        } else {
            log_line(LOG_INFO, "service", "draining", LOG_INT("signal", info.ssi_signo));
            loop_stop(runtime->loop);
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
    while (wiring_listen(&runtime->wiring, why, why_len) != RESULT_OK) {
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
    for (size_t i = 0; i < runtime->settings->exporters.count; i++) {
        const struct exporter_slot *slot = &runtime->wiring.exporters[i];
        const struct exporter *exporter = atomic_load(&slot->exporter);
        struct exporter_status status = {0};
        if (exporter == NULL) {
            continue;  // not used, or degraded: that has been said
        }
        slot->ops->status(exporter, &status);
        log_line(LOG_INFO, "service", "forwarding to", LOG_TEXT("exporter", slot->id),
                 LOG_TEXT("endpoint", status.destination));
    }
    if (evaluation != NULL) {
        budget_line(evaluation);
    }
    log_line(LOG_INFO, "service", "Everything is ready. Begin running and processing data.",
             LOG_INT("start_ms", (clock_mono_ns() - runtime->started_ns) / NS_PER_MS),
             LOG_INT("shards", runtime->wiring.shard_count),
             LOG_INT("memory_cap_bytes", account_cap(runtime->account)));
}

enum result runtime_start(const struct settings *settings, const struct runtime_options *options,
                          struct runtime **out, char *why, size_t why_len)
{
    // Bodies of a megabyte come from recycled heap, not from fresh mappings; and what was freed at
    // the heap's end stays there for the next one: a page taken anew costs more than its sending.
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
    struct runtime *runtime = calloc(1, sizeof(*runtime));
    CHECK(runtime != NULL);
    runtime->magic = RUNTIME_MAGIC;
    runtime->settings = settings;
    runtime->options = *options;
    runtime->started_ns = clock_mono_ns();
    runtime->started_wall_ns = clock_wall_ns();
    runtime->loop = loop_new();
    runtime->account = account_new(account_detect_cap());
    runtime->watchdog = watchdog_new(NULL);
    watchdog_set_process(runtime->watchdog);
    if (runtime->loop == NULL || signals_open(runtime) != RESULT_OK) {
        snprintf(why, why_len, "no descriptors left for the main loop");
        runtime_free(&runtime);
        return RESULT_FAIL;
    }
    runtime->degraded = wiring_build(&runtime->wiring, settings, runtime->account, options->quiet);
    if (options->strict && runtime->degraded > 0) {
        snprintf(why, why_len, "--strict: %u components are degraded (see the lines above)",
                 runtime->degraded);
        runtime_free(&runtime);
        return RESULT_FAIL;
    }
    if (!options->without_servers) {
        runtime->endpoints = endpoints_open(runtime->loop, settings, runtime);
    }
    if (runtime_listen(runtime, why, why_len) != RESULT_OK) {
        runtime_free(&runtime);
        return RESULT_FAIL;
    }
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

// The drain keeps this thread busy: from here on nobody reads the descriptor, and a further signal
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
    if (!runtime->drained) {
        runtime->drained = true;
        wiring_drain(&runtime->wiring, deadline_ns);
        if (!runtime->options.quiet) {
            log_line(LOG_INFO, "service", "Shutdown complete.");
        }
    }
}

void runtime_free(struct runtime **runtime)
{
    if (*runtime == NULL) {
        return;
    }
    struct runtime *moved = *runtime;
    *runtime = NULL;
    if (moved->wiring.settings != NULL) {
        runtime_drain(moved, clock_mono_ns() + DRAIN_NS);
        wiring_free(&moved->wiring);
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

void runtime_status(struct runtime *runtime, struct buffer *out)
{
    status_report_write(&(struct status_report){.settings = runtime->settings,
                                                .wiring = &runtime->wiring,
                                                .account = runtime->account,
                                                .evaluation = runtime_evaluation(runtime),
                                                .started_wall_ns = runtime->started_wall_ns},
                        out);
}
