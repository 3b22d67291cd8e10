// SPDX-License-Identifier: Apache-2.0
//
// A request sets a timer; the timer loads, compares and replaces. While a change is under way the
// timer waits for it, so that a storm of signals is a change a second at most. A start uses
// whatever is sound of a faulty configuration; a reload does not, because something better is
// running. Refused: reading the files on another thread, for a second's worth of YAML at most.
// Main loop's thread.

#include "service/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "service/commands.h"
#include "service/config_watch.h"
#include "service/fingerprint.h"
#include "service/storage.h"

#define RELOAD_MAGIC MAGIC('R', 'L', 'O', 'D')
#define INTERVAL_NS NS_PER_S
#define BUSY_NS (20 * NS_PER_MS)

enum outcome { OUTCOME_APPLIED, OUTCOME_UNCHANGED, OUTCOME_REJECTED, OUTCOMES };

struct reload {
    uint32_t magic;
    struct reload_setup setup;
    struct config_watch *watch;
    struct timer timer;
    uint64_t last_ns;           // of the last attempt
    struct buffer fingerprint;  // of what is in force
    struct metric *success, *timestamp, *outcomes[OUTCOMES];
};

static void metrics_init(struct reload *reload)
{
    static const struct metric_family success = {
        .name = "sidejudge_config_reload_success",
        .type = METRIC_GAUGE,
        .help = "Whether the configuration that was read last is the one in force."};
    static const struct metric_family timestamp = {
        .name = "sidejudge_config_last_reload_success_timestamp",
        .type = METRIC_GAUGE,
        .help = "When a configuration was last read and found good, in seconds since 1970."};
    static const struct metric_family total = {
        .name = "sidejudge_config_reloads_total",
        .type = METRIC_COUNTER,
        .help = "Configurations that were read while running, by what became of them.",
        .labels = {"outcome"}};
    static const char *const labels[OUTCOMES] = {"applied", "unchanged", "rejected"};
    reload->success = metric_plain(&success);
    reload->timestamp = metric_plain(&timestamp);
    for (size_t i = 0; i < OUTCOMES; i++) {
        reload->outcomes[i] = metric_series(&total, &labels[i]);
    }
}

static void count(struct reload *reload, enum outcome outcome)
{
    metric_add(reload->outcomes[outcome], 1);
    metric_set(reload->success, outcome == OUTCOME_REJECTED ? 0 : 1);
    if (outcome != OUTCOME_REJECTED) {
        metric_set(reload->timestamp, (double)(clock_wall_ns() / NS_PER_S));
    }
}

static void reject(struct reload *reload, struct bytes why, unsigned fault_count)
{
    size_t end = bytes_find(why, BYTES_LITERAL("\n"), 0);
    count(reload, OUTCOME_REJECTED);
    log_line(LOG_ERROR, "service/reload",
             "the new configuration is not used: the one in force stays",
             LOG_BYTES("why", bytes_slice(why, 0, end)), LOG_INT("faults", fault_count));
}

// What the journal was opened with, which it keeps while the process runs.
static void storage_write(const struct settings *settings, struct buffer *out)
{
    const struct storage_settings *storage = settings->storage;
    const struct journal_config *config = &storage->config;
    buffer_init(out, 64 << 10);
    if (storage->id == NULL) {
        return;
    }
    buffer_printf(out, "%s %.*s %d %" PRIu64 " %" PRIu64 " %d %d", storage->id,
                  BYTES_PRINTF(config->store.directory), config->store.fsync,
                  config->store.size_max, config->store.max_age_ns, (int)config->policy,
                  config->refuse_on_error);
    for (size_t i = 0; i < storage->exporter_count; i++) {
        buffer_printf(out, " %s", settings->exporters.items[storage->exporters[i]].id);
    }
}

static void storage_warn(const struct buffer *before, const struct settings *settings)
{
    struct buffer after;
    storage_write(settings, &after);
    if (!bytes_equal(buffer_view(before), buffer_view(&after))) {
        log_line(LOG_WARN, "service/reload",
                 "file_storage, or which exporters name it, has changed: the journal stays as it "
                 "is until a restart");
    }
    buffer_fini(&after);
}

static void apply(struct reload *reload, struct loaded *loaded, struct buffer *fingerprint)
{
    char why[320] = "";
    const struct settings *settings = loaded->settings;
    struct buffer storage;
    storage_write(generations_current(reload->setup.generations)->settings, &storage);
    commands_log_lines(LOG_WARN, "configuration", &loaded->warnings);
    struct snapshot *snapshot = snapshot_take(&loaded->settings, &loaded->config);
    enum result result = generations_replace(reload->setup.generations, snapshot, why, sizeof(why));
    if (result == RESULT_OK) {
        count(reload, OUTCOME_APPLIED);
        buffer_fini(&reload->fingerprint);
        reload->fingerprint = *fingerprint;
        buffer_init(fingerprint, FINGERPRINT_BYTES_MAX);
        storage_warn(&storage, settings);
        reload->setup.applied(reload->setup.arg, settings);
    } else {
        reject(reload, bytes_from_text(why), 1);
    }
    snapshot_unref(&snapshot);
    buffer_fini(&storage);
}

static void attempt(struct reload *reload)
{
    struct loaded loaded;
    struct buffer fingerprint;
    buffer_init(&fingerprint, FINGERPRINT_BYTES_MAX);
    enum result result = commands_load(reload->setup.arguments, &loaded);
    if (result != RESULT_OK || loaded.fault_count > 0) {
        reject(reload, buffer_view(&loaded.faults), loaded.fault_count);
    } else {
        fingerprint_write(config_root(loaded.config), &fingerprint);
        if (fingerprint_equal(&fingerprint, &reload->fingerprint)) {
            count(reload, OUTCOME_UNCHANGED);
            log_line(LOG_INFO, "service/reload", "the configuration has not changed");
        } else {
            apply(reload, &loaded, &fingerprint);
        }
    }
    buffer_fini(&fingerprint);
    commands_unload(&loaded);
}

static void on_timer(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct reload *reload = arg;
    CHECK(reload->magic == RELOAD_MAGIC);
    if (generations_is_changing(reload->setup.generations)) {
        loop_set_timer(reload->setup.loop, timer, now_ns + BUSY_NS);
        return;
    }
    reload->last_ns = now_ns;
    attempt(reload);
}

void reload_request(struct reload *reload)
{
    uint64_t now_ns = loop_now_ns(reload->setup.loop);
    uint64_t earliest_ns = reload->last_ns + INTERVAL_NS;
    if (!timer_is_set(&reload->timer)) {
        loop_set_timer(reload->setup.loop, &reload->timer,
                       now_ns < earliest_ns ? earliest_ns : now_ns);
    }
}

static void on_change(void *arg)
{
    reload_request(arg);
}

struct reload *reload_new(const struct reload_setup *setup)
{
    struct reload *reload = calloc(1, sizeof(*reload));
    CHECK(reload != NULL);
    reload->magic = RELOAD_MAGIC;
    reload->setup = *setup;
    reload->setup.config = NULL;
    timer_init(&reload->timer, on_timer, reload);
    metrics_init(reload);
    metric_set(reload->success, 1);
    metric_set(reload->timestamp, (double)(clock_wall_ns() / NS_PER_S));
    buffer_init(&reload->fingerprint, FINGERPRINT_BYTES_MAX);
    fingerprint_write(config_root(setup->config), &reload->fingerprint);
    reload->watch = config_watch_new(setup->loop, setup->arguments->configs,
                                     setup->arguments->config_count, on_change, reload);
    return reload;
}

void reload_free(struct reload **reload)
{
    struct reload *moved = *reload;
    *reload = NULL;
    if (moved == NULL) {
        return;
    }
    config_watch_free(&moved->watch);
    loop_cancel_timer(moved->setup.loop, &moved->timer);
    buffer_fini(&moved->fingerprint);
    moved->magic = 0;
    free(moved);
}
