// SPDX-License-Identifier: Apache-2.0
// memory_limiter with the Collector's keys (collector.md 3): above the soft limit the door refuses
// with a retry, whatever the processor's place in a pipeline, because by the time data is in the
// pipeline its memory is spent. Refused: measuring per batch, as the Collector does after it has
// decoded.
//
// The limit is compared with the process's resident set about once a second; the accountant's pools
// hold between two looks. What the Collector's garbage collection does there, giving back what is
// free to the operating system does here (malloc_trim), no more often than its keys
// min_gc_interval_* say; without it a resident set never falls again. Refusing ends at 95 % of the
// soft limit, not at the limit itself, so that it does not flap. Thread: main (tick).
#include "processor/memory_limiter.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"

#define LIMITER_MAGIC MAGIC('M', 'L', 'I', 'M')
#define MIB ((size_t)1 << 20)
#define RESUME_PERCENT 95  // of the soft limit

struct memory_limiter_config {
    int64_t check_interval_ns;
    int64_t limit_mib, spike_limit_mib, limit_percentage, spike_limit_percentage;
    int64_t trim_soft_ns, trim_hard_ns, unused_ns;
};

struct memory_limiter {
    uint32_t magic;
    char id[64];
    struct account *account;
    size_t soft_bytes, hard_bytes;
    uint64_t interval_ns, checked_ns;
    uint64_t trim_soft_ns, trim_hard_ns, trimmed_ns;
    uint64_t refused_before;
    bool refusing;
    struct metric *refused;
};

#define AT(member) offsetof(struct memory_limiter_config, member)
static const struct option memory_limiter_options[] = {
    {.key = "check_interval",
     .kind = OPTION_DURATION,
     .offset = AT(check_interval_ns),
     .fallback = "0s",
     .unit = "duration",
     .doc = "How often memory is looked at; must be above 0."},
    {.key = "limit_mib",
     .kind = OPTION_INT,
     .offset = AT(limit_mib),
     .max = 1e9,
     .unit = "MiB",
     .doc = "Hard limit of the process's resident memory."},
    {.key = "spike_limit_mib",
     .kind = OPTION_INT,
     .offset = AT(spike_limit_mib),
     .max = 1e9,
     .unit = "MiB",
     .doc = "Soft limit = limit_mib - spike_limit_mib; default 20 % of limit_mib."},
    {.key = "limit_percentage",
     .kind = OPTION_INT,
     .offset = AT(limit_percentage),
     .max = 100,
     .unit = "percent",
     .doc = "The same as a share of the memory that this process may use."},
    {.key = "spike_limit_percentage",
     .kind = OPTION_INT,
     .offset = AT(spike_limit_percentage),
     .max = 100,
     .unit = "percent",
     .doc = "The spike as a share of it; default 20 % of limit_percentage."},
    {.key = "min_gc_interval_when_soft_limited",
     .kind = OPTION_DURATION,
     .offset = AT(trim_soft_ns),
     .fallback = "10s",
     .unit = "duration",
     .doc = "Above the soft limit free memory is given back at most this often."},
    {.key = "min_gc_interval_when_hard_limited",
     .kind = OPTION_DURATION,
     .offset = AT(trim_hard_ns),
     .fallback = "0s",
     .unit = "duration",
     .doc = "The same above the hard limit; not longer than the one above."},
    {.key = "max_gc_interval_when_soft_limited",
     .kind = OPTION_DURATION,
     .offset = AT(unused_ns),
     .fallback = "30s",
     .flags = OPTION_F_IGNORED,
     .doc = "No garbage collector here."},
    {.key = "max_gc_interval_when_hard_limited",
     .kind = OPTION_DURATION,
     .offset = AT(unused_ns),
     .fallback = "30s",
     .flags = OPTION_F_IGNORED,
     .doc = "No garbage collector here."},
    {0},
};
#undef AT

static void limiter_validate(const void *config, const struct config_node *node, const char *path,
                             struct option_errors *errors)
{
    const struct memory_limiter_config *own = config;
    if (own->check_interval_ns <= 0) {
        option_error(errors, path, node, "'check_interval' must be greater than zero");
    }
    if (own->trim_soft_ns < own->trim_hard_ns) {
        option_error(errors, path, node,
                     "'min_gc_interval_when_soft_limited' should be larger than "
                     "'min_gc_interval_when_hard_limited'");
    }
    if (own->limit_mib == 0 && own->limit_percentage == 0) {
        option_error(errors, path, node,
                     "'limit_mib' or 'limit_percentage' must be greater than zero");
    }
    if (own->spike_limit_mib > 0 && own->spike_limit_mib >= own->limit_mib && own->limit_mib > 0) {
        option_error(errors, path, node, "'spike_limit_mib' must be smaller than 'limit_mib'");
    }
    if (own->spike_limit_percentage > 0 && own->limit_percentage > 0 &&
        own->spike_limit_percentage >= own->limit_percentage) {
        option_error(errors, path, node,
                     "'spike_limit_percentage' must be smaller than 'limit_percentage'");
    }
}

static void limits_set(struct memory_limiter *limiter, const struct memory_limiter_config *config)
{
    size_t hard, spike;
    if (config->limit_mib > 0) {
        hard = (size_t)config->limit_mib * MIB;
        spike = config->spike_limit_mib > 0 ? (size_t)config->spike_limit_mib * MIB : hard / 5;
    } else {
        // The accountant's cap is 75 % of what this process may use.
        size_t total = account_detect_cap() / 3 * 4;
        hard = total / 100 * (size_t)config->limit_percentage;
        spike = config->spike_limit_percentage > 0
                    ? total / 100 * (size_t)config->spike_limit_percentage
                    : hard / 5;
    }
    limiter->hard_bytes = hard;
    limiter->soft_bytes = spike < hard ? hard - spike : hard;
    limiter->interval_ns = (uint64_t)config->check_interval_ns;
    limiter->trim_soft_ns = (uint64_t)config->trim_soft_ns;
    limiter->trim_hard_ns = (uint64_t)config->trim_hard_ns;
}

static enum result limiter_create(const struct component_env *env, const void *config,
                                  struct processor **processor, char *why, size_t why_len)
{
    static const struct metric_family refused = {
        .name = "otelcol_processor_memory_limiter_refused_spans",
        .type = METRIC_COUNTER,
        .help = "Requests refused while memory was above the soft limit.",
        .labels = {"processor"}};
    (void)why, (void)why_len;
    struct memory_limiter *limiter = calloc(1, sizeof(*limiter));
    CHECK(limiter);
    limiter->magic = LIMITER_MAGIC;
    snprintf(limiter->id, sizeof(limiter->id), "processor/%s", env->id);
    limiter->account = env->account;
    limits_set(limiter, config);
    const char *const labels[] = {env->id};
    limiter->refused = metric_series(&refused, labels);
    *processor = (struct processor *)limiter;
    return RESULT_OK;
}

static struct memory_limiter *limiter_of(struct processor *processor)
{
    struct memory_limiter *limiter = (struct memory_limiter *)processor;
    CHECK(limiter->magic == LIMITER_MAGIC);
    return limiter;
}

// The resident set, after free memory was given back where it is too large and that is due.
static size_t memory_look(struct memory_limiter *limiter, uint64_t now_ns)
{
    size_t used = account_process_rss();
    uint64_t pause_ns = used >= limiter->hard_bytes ? limiter->trim_hard_ns : limiter->trim_soft_ns;
    bool is_due = limiter->trimmed_ns == 0 || now_ns - limiter->trimmed_ns >= pause_ns;
    if (used < limiter->soft_bytes || !is_due) {
        return used;
    }
    limiter->trimmed_ns = now_ns;
    malloc_trim(0);
    return account_process_rss();
}

static void limiter_tick(struct processor *processor, uint64_t now_ns)
{
    struct memory_limiter *limiter = limiter_of(processor);
    uint64_t refused = account_refused(limiter->account, POOL_REQUESTS);
    if (limiter->refusing && refused > limiter->refused_before) {
        metric_add(limiter->refused, refused - limiter->refused_before);
    }
    limiter->refused_before = refused;
    if (limiter->checked_ns != 0 && now_ns - limiter->checked_ns < limiter->interval_ns) {
        return;
    }
    limiter->checked_ns = now_ns;
    size_t used = memory_look(limiter, now_ns);
    size_t limit =
        limiter->refusing ? limiter->soft_bytes / 100 * RESUME_PERCENT : limiter->soft_bytes;
    bool over = used >= limit;
    account_set_refuse(limiter->account, over);  // each time: a reload withdraws it
    if (over != limiter->refusing) {
        limiter->refusing = over;
        log_line(over ? LOG_WARN : LOG_INFO, limiter->id,
                 over ? "memory is above the soft limit: requests are refused"
                      : "memory is back below the soft limit",
                 LOG_INT("resident_bytes", used), LOG_INT("soft_limit_bytes", limiter->soft_bytes));
    }
}

static void limiter_free(struct processor **processor)
{
    if (!*processor) {
        return;
    }
    struct memory_limiter *limiter = limiter_of(*processor);
    if (limiter->refusing) {
        account_set_refuse(limiter->account, false);
    }
    free(limiter);
    *processor = NULL;
}

const struct processor_ops memory_limiter_processor = {
    .kind = {.type = "memory_limiter",
             .doc = "Refuses requests at the door while memory is above its soft limit.",
             .signals = 1u << SIGNAL_TRACES | 1u << SIGNAL_METRICS | 1u << SIGNAL_LOGS,
             .options = memory_limiter_options,
             .config_size = sizeof(struct memory_limiter_config),
             .validate = limiter_validate},
    .create = limiter_create,
    .tick = limiter_tick,
    .free = limiter_free,
};
