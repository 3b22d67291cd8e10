// SPDX-License-Identifier: Apache-2.0
//
// Metrics, read back from the exposition: escapes, buckets, the limit on series, threads, no
// memory.
#include "base/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "tests/unit/allocation.h"
#include "tests/unit/crash.h"

static struct buffer page;

static const char *exposition(void)
{
    buffer_fini(&page);
    buffer_init(&page, 4 << 20);
    metrics_write(&page);
    assert_int_equal(buffer_status(&page), RESULT_OK);
    return buffer_text(&page);
}

static int free_page(void **state)
{
    (void)state;
    buffer_fini(&page);
    return 0;
}

static const struct metric_family requests = {
    .name = "otelcol_receiver_accepted_spans_total",
    .type = METRIC_COUNTER,
    .help = "Spans.\nSecond line with \\ and \".",
    .labels = {"receiver", "transport"},
};

static void a_counter_is_exposed_under_its_name_as_given(void **state)
{
    (void)state;
    const char *const values[] = {"otlp", "grpc"};
    struct metric *metric = metric_series(&requests, values);
    metric_add(metric, 41);
    metric_add(metric, 1);
    assert_true(metric_value(metric) == 42);
    assert_non_null(strstr(exposition(),
                           "# HELP otelcol_receiver_accepted_spans_total Spans.\\nSecond "
                           "line with \\\\ and \".\n"
                           "# TYPE otelcol_receiver_accepted_spans_total counter\n"
                           "otelcol_receiver_accepted_spans_total{receiver=\"otlp\","
                           "transport=\"grpc\"} 42\n"));
}

static void the_same_labels_are_the_same_series(void **state)
{
    (void)state;
    const char *const a[] = {"x", "y"}, *const b[] = {"xy", ""}, *const c[] = {"", "xy"};
    assert_ptr_equal(metric_series(&requests, a), metric_series(&requests, a));
    assert_ptr_not_equal(metric_series(&requests, a), metric_series(&requests, b));
    assert_ptr_not_equal(metric_series(&requests, b), metric_series(&requests, c));
}

static void label_values_are_escaped_bounded_and_text(void **state)
{
    (void)state;
    static const struct metric_family family = {
        .name = "escaped_total", .type = METRIC_COUNTER, .help = "h", .labels = {"l"}};
    char text[1000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *const values[] = {"q\"b\\n\nt\t", "bad\xff\xc3", "good\xc3\xa4", text};
    for (size_t i = 0; i < 4; i++) {
        metric_add(metric_series(&family, &values[i]), i);
    }
    const char *said = exposition();
    assert_non_null(strstr(said, "escaped_total{l=\"q\\\"b\\\\n\\nt\t\"} 0\n"));
    assert_non_null(strstr(said, "escaped_total{l=\"bad??\"} 1\n"));
    assert_non_null(strstr(said, "escaped_total{l=\"good\xc3\xa4\"} 2\n"));
    text[256] = '\0';
    char expected[1100];
    snprintf(expected, sizeof expected, "escaped_total{l=\"%s\"} 3\n", text);
    assert_non_null(strstr(said, expected));
}

static void gauges_are_written_so_that_they_read_back(void **state)
{
    (void)state;
    static const struct metric_family family = {
        .name = "some_gauge", .type = METRIC_GAUGE, .help = "h"};
    const struct {
        double value;
        const char *line;
    } rows[] = {{0, "\nsome_gauge 0\n"},           {0.1, "\nsome_gauge 0.1\n"},
                {-2.5, "\nsome_gauge -2.5\n"},     {1e300, "\nsome_gauge 1e+300\n"},
                {INFINITY, "\nsome_gauge +Inf\n"}, {-INFINITY, "\nsome_gauge -Inf\n"},
                {NAN, "\nsome_gauge NaN\n"},       {1.0 / 3, "\nsome_gauge 0.33333333333333331\n"}};
    struct metric *metric = metric_plain(&family);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        metric_set(metric, rows[i].value);
        assert_non_null(strstr(exposition(), rows[i].line));
    }
}

static double read_number(void *arg)
{
    return *(double *)arg;
}

static void a_gauge_can_be_read_when_somebody_asks(void **state)
{
    (void)state;
    static const struct metric_family family = {
        .name = "read_gauge", .type = METRIC_GAUGE, .help = "h"};
    double number = 7;
    struct metric *metric = metric_plain(&family);
    metric_set(metric, 3);
    metric_read_by(metric, read_number, &number);
    assert_true(metric_value(metric) == 7);
    number = 8;
    assert_non_null(strstr(exposition(), "\nread_gauge 8\n"));
    assert_true(metrics_sum("read_gauge") == 8);
    metric_read_by(metric, NULL, NULL);  // its source is gone
    assert_true(metric_value(metric) == 3);
}

static const double bounds[] = {1, 2, 5, INFINITY};
static const struct metric_family latency = {.name = "latency_seconds",
                                             .type = METRIC_HISTOGRAM,
                                             .help = "h",
                                             .labels = {"judge"},
                                             .bounds = bounds};

static void a_histogram_counts_cumulatively(void **state)
{
    (void)state;
    const char *const values[] = {"default"};
    struct metric *metric = metric_series(&latency, values);
    assert_true(isnan(metric_quantile(metric, 0.5)));
    const double seen[] = {0.5, 1, 1.5, 4, 100, NAN};
    for (size_t i = 0; i < 6; i++) {
        metric_observe(metric, seen[i]);
    }
    assert_true(metric_value(metric) == 5);
    assert_non_null(strstr(exposition(), "# TYPE latency_seconds histogram\n"
                                         "latency_seconds_bucket{judge=\"default\",le=\"1\"} 2\n"
                                         "latency_seconds_bucket{judge=\"default\",le=\"2\"} 3\n"
                                         "latency_seconds_bucket{judge=\"default\",le=\"5\"} 4\n"
                                         "latency_seconds_bucket{judge=\"default\",le=\"+Inf\"} 5\n"
                                         "latency_seconds_sum{judge=\"default\"} 107\n"
                                         "latency_seconds_count{judge=\"default\"} 5\n"));
}

static void quantiles_are_interpolated_inside_their_bucket(void **state)
{
    (void)state;
    const char *const values[] = {"quantile"};
    struct metric *metric = metric_series(&latency, values);
    for (unsigned i = 0; i < 10; i++) {
        metric_observe(metric, 1.5);
    }
    assert_true(metric_quantile(metric, 0) == 0);
    assert_true(fabs(metric_quantile(metric, 0.5) - 1.5) < 1e-9);
    assert_true(fabs(metric_quantile(metric, 1) - 2) < 1e-9);
    for (unsigned i = 0; i < 10; i++) {
        metric_observe(metric, 1000);
    }
    assert_true(fabs(metric_quantile(metric, 0.25) - 1.5) < 1e-9);
    assert_true(metric_quantile(metric, 0.99) == 5);  // beyond the last bound nothing is known
}

static void a_family_without_labels_and_a_histogram_without_labels(void **state)
{
    (void)state;
    static const struct metric_family family = {
        .name = "plain_histogram", .type = METRIC_HISTOGRAM, .help = "h", .bounds = bounds};
    metric_observe(metric_plain(&family), 3);
    const char *said = exposition();
    assert_non_null(strstr(said, "plain_histogram_bucket{le=\"5\"} 1\n"));
    assert_non_null(strstr(said, "plain_histogram_sum 3\n"));
}

static void series_beyond_the_limit_share_one(void **state)
{
    (void)state;
    static const struct metric_family family = {
        .name = "many_total", .type = METRIC_COUNTER, .help = "h", .labels = {"a", "b"}};
    assert_non_null(strstr(exposition(), "\nsidejudge_metric_series_dropped_total 0\n"));
    struct metric *beyond = NULL;
    for (unsigned i = 0; i < 2010; i++) {
        char text[16];
        const char *const values[] = {text, "v"};
        snprintf(text, sizeof text, "%u", i);
        struct metric *metric = metric_series(&family, values);
        metric_add(metric, 1);
        assert_true(i < 2001 || metric == beyond);
        beyond = metric;
    }
    const char *said = exposition();
    assert_non_null(strstr(said, "\nmany_total{a=\"1999\",b=\"v\"} 1\n"));
    assert_non_null(strstr(said, "\nmany_total{a=\"other\",b=\"other\"} 10\n"));
    assert_null(strstr(said, "many_total{a=\"2000\""));
    assert_true(metrics_sum("sidejudge_metric_series_dropped_total") == 10);
    assert_true(metrics_sum("many_total") == 2010);
    const char *const known[] = {"7", "v"};
    assert_ptr_not_equal(metric_series(&family, known), beyond);
}

static void an_unknown_family_sums_to_nothing(void **state)
{
    (void)state;
    assert_true(metrics_sum("no_such_family") == 0);
    assert_true(metrics_sum("") == 0);
}

static void out_of_memory_gives_a_series_that_takes_everything(void **state)
{
    (void)state;
    static const struct metric_family family = {
        .name = "starved_total", .type = METRIC_COUNTER, .help = "h", .labels = {"l"}};
    const char *const values[] = {"v"};
    for (size_t nth = 1;; nth++) {
        allocation_fail(nth, 1);
        struct metric *metric = metric_series(&family, values);
        size_t refused = allocation_pass();
        assert_non_null(metric);
        metric_add(metric, 1);
        if (refused == 0) {
            assert_true(metric_value(metric) == 1);
            assert_true(nth > 3);
            break;
        }
        metric_observe(metric, 1);
        metric_set(metric, 1);
        metric_read_by(metric, NULL, NULL);
        assert_true(metric_value(metric) == 0);
        assert_true(isnan(metric_quantile(metric, 0.5)));
    }
    exposition();
}

static void a_page_that_is_too_small_says_so(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 100);
    metrics_write(&small);
    assert_int_equal(buffer_status(&small), RESULT_TOO_LARGE);
    buffer_fini(&small);
}

static void set_a_counter(void *arg)
{
    const char *const values[] = {"a", "b"};
    (void)arg;
    metric_set(metric_series(&requests, values), 1);
}

static void forget_the_labels(void *arg)
{
    (void)arg;
    metric_plain(&requests);
}

static void reuse_the_name(void *arg)
{
    static const struct metric_family family = {
        .name = "latency_seconds", .type = METRIC_COUNTER, .help = "h", .labels = {"judge"}};
    const char *const values[] = {"a"};
    (void)arg;
    metric_series(&family, values);
}

static void unordered_bounds(void *arg)
{
    static const double wrong[] = {2, 1, INFINITY};
    static const struct metric_family family = {
        .name = "unordered", .type = METRIC_HISTOGRAM, .help = "h", .bounds = wrong};
    (void)arg;
    metric_plain(&family);
}

static void misuse_crashes(void **state)
{
    (void)state;
    const char *const values[] = {"default"};
    metric_series(&latency, values);
    assert_true(crashes(set_a_counter, NULL));
    assert_true(crashes(forget_the_labels, NULL));
    assert_true(crashes(reuse_the_name, NULL));
    assert_true(crashes(unordered_bounds, NULL));
}

enum { THREADS = 4, ROUNDS = 2000 };

static void use_metrics(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        const char *const values[] = {"threads", i % 2 ? "odd" : "even"};
        const char *const judge[] = {"threads"};
        metric_add(metric_series(&requests, values), 1);
        metric_observe(metric_series(&latency, judge), 3);
        if (i % 500 == 0) {
            struct buffer out;
            buffer_init(&out, 4 << 20);
            metrics_write(&out);
            CHECK(buffer_status(&out) == RESULT_OK);
            buffer_fini(&out);
        }
    }
    (void)arg;
}

static void threads_lose_no_count(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    const char *const odd[] = {"threads", "odd"}, *const judge[] = {"threads"};
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(thread_start(&threads[i], "metrics", use_metrics, NULL), RESULT_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    assert_true(metric_value(metric_series(&requests, odd)) == THREADS * ROUNDS / 2);
    assert_true(metric_value(metric_series(&latency, judge)) == THREADS * ROUNDS);
    assert_non_null(strstr(exposition(), "latency_seconds_sum{judge=\"threads\"} 24000\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_is_exposed_under_its_name_as_given),
        cmocka_unit_test(the_same_labels_are_the_same_series),
        cmocka_unit_test(label_values_are_escaped_bounded_and_text),
        cmocka_unit_test(gauges_are_written_so_that_they_read_back),
        cmocka_unit_test(a_gauge_can_be_read_when_somebody_asks),
        cmocka_unit_test(a_histogram_counts_cumulatively),
        cmocka_unit_test(quantiles_are_interpolated_inside_their_bucket),
        cmocka_unit_test(a_family_without_labels_and_a_histogram_without_labels),
        cmocka_unit_test(misuse_crashes),
        cmocka_unit_test(out_of_memory_gives_a_series_that_takes_everything),
        cmocka_unit_test(threads_lose_no_count),
        cmocka_unit_test(series_beyond_the_limit_share_one),
        cmocka_unit_test(an_unknown_family_sums_to_nothing),
        cmocka_unit_test(a_page_that_is_too_small_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, free_page);
}
