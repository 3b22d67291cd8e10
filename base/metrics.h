// SPDX-License-Identifier: Apache-2.0
// Metrics in Prometheus' text format 0.0.4. A family is a row (name, type, help, label names); a
// series is made once, when its component is created, and is afterwards one relaxed atomic: no
// look-up on the data path. Series per family are bounded at 2,000; beyond that the shared series
// with every label "other" is returned and sidejudge_metric_series_dropped_total counts.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/buffer.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {  // a constant row; `name` without unit games: as exposed
    const char *name;
    enum metric_type type;
    const char *help;
    const char *labels[4];  // label names, NULL-terminated when fewer
    const double *bounds;   // histograms: upper bounds, ascending, ended by INFINITY
};

struct metric;  // one series; lives as long as the process
// Finds or makes the series with these label values (copied; as many as the family has; cut at 256
// bytes; bytes that are not UTF-8 become "?"). Families of one name are one family: type and number
// of labels must agree. Out of memory, a series that forgets what it is told. Never NULL. Any
// thread; takes MUTEX_METRICS.
struct metric *metric_series(const struct metric_family *family, const char *const *label_values);
struct metric *metric_plain(const struct metric_family *family);  // no labels
void metric_add(struct metric *metric, uint64_t n);               // counter; any thread
void metric_set(struct metric *metric, double value);             // gauge; any thread
void metric_observe(struct metric *metric, double value);         // histogram; any thread
// Counter or gauge (this one takes MUTEX_METRICS), or the count of a histogram.
double metric_value(const struct metric *metric);
// Quantile of a histogram by linear interpolation inside its bucket; NAN when empty.
double metric_quantile(const struct metric *metric, double q);
// Sum of all series of a family, by name; 0 when there is none. For status screens and tests. Takes
// MUTEX_METRICS.
double metrics_sum(const char *family_name);
// Gauges that are read when somebody asks: `read` is called under MUTEX_METRICS at exposition; it
// must not lock. NULL ends it (with an `arg`: if that is still the one that is asked); then the
// last metric_set counts.
void metric_read_by(struct metric *metric, double (*read)(void *arg), void *arg);
// Appends the whole exposition. Takes MUTEX_METRICS.
void metrics_write(struct buffer *out);
