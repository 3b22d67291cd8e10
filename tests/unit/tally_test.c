// SPDX-License-Identifier: Apache-2.0
// Counters under the Collector's names, and a last error that is read while it is written.
#include "exporter/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/thread.h"

static void every_series_is_there_at_zero(void **state)
{
    (void)state;
    struct tally tally;
    struct buffer out;
    tally_init(&tally, "otlp_http/zero");
    buffer_init(&out, 1 << 20);
    metrics_write(&out);
    static const char *const names[] = {
        "otelcol_exporter_sent_spans{exporter=\"otlp_http/zero\"} 0",
        "otelcol_exporter_send_failed_metric_points{exporter=\"otlp_http/zero\"} 0",
        "otelcol_exporter_enqueue_failed_log_records{exporter=\"otlp_http/zero\"} 0",
        "sidejudge_exporter_requests_total{exporter=\"otlp_http/zero\",outcome=\"retry\"} 0",
        "sidejudge_exporter_partial_rejected_total{exporter=\"otlp_http/zero\"} 0",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(strstr(buffer_text(&out), names[i]));
    }
    buffer_fini(&out);
}

static void items_are_counted_by_signal_and_in_total(void **state)
{
    (void)state;
    struct tally tally;
    struct exporter_status status = {0};
    tally_init(&tally, "otlp_http/count");
    tally_count(&tally, TALLY_SENT, SIGNAL_TRACES, 5);
    tally_count(&tally, TALLY_SENT, SIGNAL_LOGS, 2);
    tally_count(&tally, TALLY_SEND_FAILED, SIGNAL_METRICS, 3);
    tally_count(&tally, TALLY_ENQUEUE_FAILED, SIGNAL_TRACES, 0);
    tally_read(&tally, &status);
    assert_int_equal(status.sent, 7);
    assert_int_equal(status.send_failed, 3);
    assert_int_equal(status.enqueue_failed, 0);
    assert_true(metrics_sum("otelcol_exporter_send_failed_metric_points") >= 3);
}

static void the_last_error_is_cut_and_forgotten_with_success(void **state)
{
    (void)state;
    struct tally tally;
    struct exporter_status status;
    char text[500];
    memset(text, 'x', sizeof(text));
    text[499] = '\0';
    tally_init(&tally, "otlp_http/error");
    tally_read(&tally, &status);
    assert_string_equal(status.last_error, "");
    tally_set_error(&tally, text);
    tally_read(&tally, &status);
    assert_int_equal(strlen(status.last_error), TALLY_ERROR_BYTES - 1);
    tally_set_error(&tally, NULL);
    tally_read(&tally, &status);
    assert_string_equal(status.last_error, "");
}

struct writer {
    struct tally tally;
    atomic_bool stopping;
};

static void write_errors(void *arg)
{
    struct writer *writer = arg;
    char text[TALLY_ERROR_BYTES];
    memset(text, 0, sizeof(text));
    for (unsigned i = 0; !atomic_load(&writer->stopping); i++) {
        memset(text, 'a' + (int)(i % 26), sizeof(text) - 1);
        tally_set_error(&writer->tally, text);
    }
}

static void an_error_is_never_read_half(void **state)
{
    (void)state;
    static struct writer writer;
    struct thread thread = {.started = 0};
    tally_init(&writer.tally, "otlp_http/half");
    assert_int_equal(thread_start(&thread, "writer", write_errors, &writer), RESULT_OK);
    for (int i = 0; i < 20000; i++) {
        struct exporter_status status;
        tally_read(&writer.tally, &status);
        if (strcmp(status.last_error, "failing") != 0 && status.last_error[0] != '\0') {
            for (size_t at = 1; at < TALLY_ERROR_BYTES - 1; at++) {
                assert_int_equal(status.last_error[at], status.last_error[0]);
            }
        }
    }
    atomic_store(&writer.stopping, true);
    thread_join(&thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_series_is_there_at_zero),
        cmocka_unit_test(items_are_counted_by_signal_and_in_total),
        cmocka_unit_test(the_last_error_is_cut_and_forgotten_with_success),
        cmocka_unit_test(an_error_is_never_read_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
