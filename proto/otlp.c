// SPDX-License-Identifier: Apache-2.0
//
// Words for the signals, as metric names and log lines have them (the Collector's
// own: otelcol_receiver_accepted_spans, _metric_points, _log_records). A table rather than a
// switch, so that a fourth signal (profiles) is a row. Refused: names made from the enum by the
// preprocessor, because two of the three suffixes are not the signal's name.
// Constant; any thread.
#include "proto/otlp.h"

#include "base/check.h"

static const struct {
    const char *name;
    const char *items;
} signals[SIGNAL_COUNT] = {
    [SIGNAL_TRACES] = {"traces", "spans"},
    [SIGNAL_METRICS] = {"metrics", "metric_points"},
    [SIGNAL_LOGS] = {"logs", "log_records"},
    [SIGNAL_SCORES] = {"scores", "scores"},
};

const char *signal_name(enum signal signal)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    return signals[signal].name;
}

const char *signal_items(enum signal signal)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    return signals[signal].items;
}
