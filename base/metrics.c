// SPDX-License-Identifier: Apache-2.0
//
// The registry of metrics: a list of families, each with a list of series, kept for the life of the
// process so that a series is a pointer that stays good. Making a series takes the lock and
// compares hashes of label values; using one is one relaxed atomic. A gauge or a counter is one
// 64-bit word, a histogram one word per bucket and the sum.
//
// Refused: removing series (a pointer on some other thread may be in use) and sharding counters per
// thread (one relaxed add of one shard's series is not what anything waits for). Bounds: SERIES_MAX
// series per family, label values of LABEL_BYTES_MAX, BOUNDS_MAX buckets; out of memory, writes go
// to one lost series. Process-wide state: the registry, under MUTEX_METRICS. Any thread.
#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/thread.h"
#include "base/utf8.h"

enum { SERIES_MAX = 2000, LABELS_MAX = 4, LABEL_BYTES_MAX = 256, BOUNDS_MAX = 64 };

struct registered {
    struct registered *next;
    const struct metric_family *family;
    struct metric *series, **series_end;
    struct metric *other;  // the shared one beyond SERIES_MAX
    size_t series_count;
};

struct metric {
    const struct metric_family *family;
    struct metric *next;
    double (*read)(void *arg);  // under MUTEX_METRICS
    void *read_arg;
    uint64_t labels_hash;
    char *labels;  // values, each with its NUL
    size_t labels_bytes;
    unsigned bound_count;   // finite bounds
    _Atomic uint64_t word;  // a counter's number, or the bits of a gauge's or a histogram's sum
    _Atomic uint64_t buckets[];
};

static const struct metric_family dropped_family = {
    .name = "sidejudge_metric_series_dropped_total",
    .type = METRIC_COUNTER,
    .help = "Requests for a series beyond the limit of its metric, answered with the series whose "
            "labels are \"other\".",
};

static struct registered *registry, **registry_end = &registry;
static struct metric lost;  // out of memory: nobody reads it

static unsigned labels_of(const struct metric_family *family)
{
    unsigned count = 0;
    while (count < LABELS_MAX && family->labels[count]) {
        count++;
    }
    return count;
}

static unsigned bounds_of(const struct metric_family *family)
{
    unsigned count = 0;
    if (family->type == METRIC_HISTOGRAM) {
        CHECK(family->bounds);
        while (isfinite(family->bounds[count])) {
            CHECK(count == 0 || family->bounds[count] > family->bounds[count - 1]);
            count++;
            CHECK(count <= BOUNDS_MAX);
        }
    }
    return count;
}

static struct registered *registered_find(const char *name)
{
    for (struct registered *at = registry; at; at = at->next) {
        if (strcmp(at->family->name, name) == 0) {
            return at;
        }
    }
    return NULL;
}

static struct registered *registered_get(const struct metric_family *family)
{
    struct registered *found = registered_find(family->name);
    if (found) {
        CHECK(found->family->type == family->type);
        CHECK(labels_of(found->family) == labels_of(family));
        return found;
    }
    found = calloc(1, sizeof *found);
    if (found) {
        found->family = family;
        found->series_end = &found->series;
        *registry_end = found;
        registry_end = &found->next;
    }
    return found;
}

// Label values as they are kept: valid UTF-8 (the format demands it), bounded, each with its NUL.
static void labels_join(struct buffer *out, const char *const *values, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct bytes value = bytes_from_text(values[i]);
        bool valid = utf8_is_valid(value);
        value = utf8_prefix(value, LABEL_BYTES_MAX);
        for (size_t at = 0; at < value.len; at++) {
            uint8_t byte = value.ptr[at];
            buffer_append_byte(out, valid || byte < 0x80 ? byte : '?');
        }
        buffer_append_byte(out, '\0');
    }
}

static struct metric *series_new(const struct metric_family *family, struct bytes labels,
                                 uint64_t hash)
{
    unsigned bound_count = bounds_of(family);
    size_t bucket_count = family->type == METRIC_HISTOGRAM ? bound_count + 1 : 0;
    size_t buckets_bytes = bucket_count * sizeof(uint64_t);
    struct metric *metric = calloc(1, sizeof *metric + buckets_bytes + labels.len);
    if (metric) {
        metric->family = family;
        metric->labels_hash = hash;
        metric->labels = (char *)metric + sizeof *metric + buckets_bytes;
        metric->labels_bytes = labels.len;
        metric->bound_count = bound_count;
        if (labels.len > 0) {
            memcpy(metric->labels, labels.ptr, labels.len);
        }
    }
    return metric;
}

static struct metric *series_find(const struct registered *of, struct bytes labels, uint64_t hash)
{
    for (struct metric *at = of->series; at; at = at->next) {
        if (at->labels_hash == hash &&
            bytes_equal(bytes_from(at->labels, at->labels_bytes), labels)) {
            return at;
        }
    }
    return NULL;
}

// Under MUTEX_METRICS. NULL: out of memory.
static struct metric *series_get(const struct metric_family *family, struct bytes labels)
{
    struct registered *of = registered_get(family);
    if (!of) {
        return NULL;
    }
    uint64_t hash = hash_keyed(labels.ptr, labels.len);
    struct metric *metric = series_find(of, labels, hash);
    if (!metric && of->series_count < SERIES_MAX) {
        metric = series_new(of->family, labels, hash);
        if (metric) {
            *of->series_end = metric;
            of->series_end = &metric->next;
            of->series_count++;
        }
    }
    return metric;
}

// Under MUTEX_METRICS: the one series beyond SERIES_MAX.
static struct metric *series_other(const struct metric_family *family)
{
    struct registered *of = registered_find(family->name);
    struct metric *count = series_get(&dropped_family, BYTES_NONE);
    if (count) {
        metric_add(count, 1);
    }
    if (!of->other) {
        static const char *const other[LABELS_MAX] = {"other", "other", "other", "other"};
        struct buffer labels;
        buffer_init(&labels, LABELS_MAX * sizeof "other");
        labels_join(&labels, other, labels_of(family));
        if (buffer_status(&labels) == RESULT_OK) {
            of->other = series_new(of->family, buffer_view(&labels), 0);
        }
        buffer_fini(&labels);
    }
    return of->other;
}

struct metric *metric_series(const struct metric_family *family, const char *const *label_values)
{
    struct buffer labels;
    buffer_init(&labels, LABELS_MAX * (LABEL_BYTES_MAX + 1));
    labels_join(&labels, label_values, labels_of(family));
    struct metric *metric = NULL;
    if (buffer_status(&labels) == RESULT_OK) {
        mutex_lock(MUTEX_METRICS);
        metric = series_get(family, buffer_view(&labels));
        struct registered *of = registered_find(family->name);
        if (!metric && of && of->series_count >= SERIES_MAX) {
            metric = series_other(family);
        }
        mutex_unlock(MUTEX_METRICS);
    }
    buffer_fini(&labels);
    return metric ? metric : &lost;
}

struct metric *metric_plain(const struct metric_family *family)
{
    CHECK(labels_of(family) == 0);
    return metric_series(family, NULL);
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

// The lost series has no family and takes everything.
static bool is_of(const struct metric *metric, enum metric_type type)
{
    CHECK(metric == &lost || metric->family->type == type);
    return metric != &lost;
}

void metric_add(struct metric *metric, uint64_t n)
{
    if (is_of(metric, METRIC_COUNTER)) {
        atomic_fetch_add_explicit(&metric->word, n, memory_order_relaxed);
    }
}

void metric_set(struct metric *metric, double value)
{
    if (is_of(metric, METRIC_GAUGE)) {
        atomic_store_explicit(&metric->word, bits_of(value), memory_order_relaxed);
    }
}

void metric_observe(struct metric *metric, double value)
{
    if (!is_of(metric, METRIC_HISTOGRAM) || isnan(value)) {
        return;  // NaN belongs into no bucket and would spoil the sum for good
    }
    unsigned bucket = 0;
    while (bucket < metric->bound_count && value > metric->family->bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    uint64_t sum = load(&metric->word);
    while (!atomic_compare_exchange_weak_explicit(&metric->word, &sum,
                                                  bits_of(double_of(sum) + value),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t histogram_count(const struct metric *metric)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= metric->bound_count; i++) {
        count += load(&metric->buckets[i]);
    }
    return count;
}

// Under MUTEX_METRICS where the metric is a gauge: `read` needs it.
static double value_of(const struct metric *metric)
{
    switch (metric->family->type) {
    case METRIC_COUNTER:
        return (double)load(&metric->word);
    case METRIC_GAUGE:
        return metric->read ? metric->read(metric->read_arg) : double_of(load(&metric->word));
    case METRIC_HISTOGRAM:
        break;
    }
    return (double)histogram_count(metric);
}

double metric_value(const struct metric *metric)
{
    if (metric == &lost) {
        return 0;
    }
    if (metric->family->type != METRIC_GAUGE) {
        return value_of(metric);
    }
    mutex_lock(MUTEX_METRICS);
    double value = value_of(metric);
    mutex_unlock(MUTEX_METRICS);
    return value;
}

double metric_quantile(const struct metric *metric, double q)
{
    if (!is_of(metric, METRIC_HISTOGRAM)) {
        return NAN;
    }
    CHECK(q >= 0 && q <= 1);
    double rank = q * (double)histogram_count(metric);
    double below = 0;
    const double *bounds = metric->family->bounds;
    for (unsigned i = 0; i < metric->bound_count && rank > 0; i++) {
        double here = (double)load(&metric->buckets[i]);
        if (here > 0 && below + here >= rank) {
            double low = i > 0 ? bounds[i - 1] : fmin(0, bounds[0]);
            return low + (bounds[i] - low) * ((rank - below) / here);
        }
        below += here;
    }
    if (histogram_count(metric) == 0 || metric->bound_count == 0) {
        return NAN;
    }
    // Rank 0 is the bottom; above the last finite bound nothing is known but that bound.
    return rank > 0 ? bounds[metric->bound_count - 1] : fmin(0, bounds[0]);
}

double metrics_sum(const char *family_name)
{
    double sum = 0;
    mutex_lock(MUTEX_METRICS);
    struct registered *of = registered_find(family_name);
    if (of) {
        for (struct metric *at = of->series; at; at = at->next) {
            sum += value_of(at);
        }
        sum += of->other ? value_of(of->other) : 0;
    }
    mutex_unlock(MUTEX_METRICS);
    return sum;
}

void metric_read_by(struct metric *metric, double (*read)(void *arg), void *arg)
{
    if (!is_of(metric, METRIC_GAUGE)) {
        return;
    }
    mutex_lock(MUTEX_METRICS);
    if (read || !arg || arg == metric->read_arg) {  // not one that another has taken over
        metric->read = read;
        metric->read_arg = arg;
    }
    mutex_unlock(MUTEX_METRICS);
}

// Escapes of the text format: backslash and line feed, and the quote in label values.
static void put_escaped(struct buffer *out, const char *text, bool quote)
{
    for (; *text; text++) {
        if (*text == '\n') {
            buffer_append_text(out, "\\n");
            continue;
        }
        if (*text == '\\' || (quote && *text == '"')) {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, (uint8_t)*text);
    }
}

static void put_number(struct buffer *out, double value)
{
    char text[32];
    if (isnan(value)) {
        buffer_append_text(out, "NaN");
    } else if (isinf(value)) {
        buffer_append_text(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) != value) {
            snprintf(text, sizeof text, "%.17g", value);
        }
        buffer_append_text(out, text);
    }
}

// "name_suffix{label="value",le="bound"} "; `le` may be NULL.
static void put_series(struct buffer *out, const struct metric *metric, const char *suffix,
                       const double *le)
{
    const char *value = metric->labels;
    const char *separator = "{";
    buffer_printf(out, "%s%s", metric->family->name, suffix);
    for (unsigned i = 0; i < labels_of(metric->family); i++) {
        buffer_printf(out, "%s%s=\"", separator, metric->family->labels[i]);
        put_escaped(out, value, true);
        buffer_append_byte(out, '"');
        value += strlen(value) + 1;
        separator = ",";
    }
    if (le) {
        buffer_printf(out, "%sle=\"", separator);
        put_number(out, *le);
        buffer_append_byte(out, '"');
        separator = ",";
    }
    buffer_append_text(out, *separator == ',' ? "} " : " ");
}

static void put_histogram(struct buffer *out, const struct metric *metric)
{
    // Cumulative, and the count is the last bucket's, so that one exposition agrees with itself.
    uint64_t count = 0;
    for (unsigned i = 0; i <= metric->bound_count; i++) {
        double bound = i < metric->bound_count ? metric->family->bounds[i] : INFINITY;
        count += load(&metric->buckets[i]);
        put_series(out, metric, "_bucket", &bound);
        buffer_printf(out, "%" PRIu64 "\n", count);
    }
    put_series(out, metric, "_sum", NULL);
    put_number(out, double_of(load(&metric->word)));
    buffer_append_byte(out, '\n');
    put_series(out, metric, "_count", NULL);
    buffer_printf(out, "%" PRIu64 "\n", count);
}

static void put_metric(struct buffer *out, const struct metric *metric)
{
    if (metric->family->type == METRIC_HISTOGRAM) {
        put_histogram(out, metric);
        return;
    }
    put_series(out, metric, "", NULL);
    if (metric->family->type == METRIC_COUNTER) {
        buffer_printf(out, "%" PRIu64 "\n", load(&metric->word));
    } else {
        put_number(out, value_of(metric));
        buffer_append_byte(out, '\n');
    }
}

void metrics_write(struct buffer *out)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    mutex_lock(MUTEX_METRICS);
    series_get(&dropped_family, BYTES_NONE);  // shown from the start, as 0
    for (struct registered *of = registry; of; of = of->next) {
        const struct metric_family *family = of->family;
        buffer_printf(out, "# HELP %s ", family->name);
        put_escaped(out, family->help, false);
        buffer_printf(out, "\n# TYPE %s %s\n", family->name, types[family->type]);
        for (struct metric *at = of->series; at; at = at->next) {
            put_metric(out, at);
        }
        if (of->other) {
            put_metric(out, of->other);
        }
    }
    mutex_unlock(MUTEX_METRICS);
}
