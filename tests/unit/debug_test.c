// SPDX-License-Identifier: Apache-2.0
// The exporter `debug` on a stdout that the test reads.
#include "exporter/debug.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/export_sample.h"

static const struct exporter_ops *const ops = &debug_exporter;
static char printed[1 << 20];

// Runs an exporter with `count` parcels of one span and leaves what it printed in `printed`.
static void run(const char *yaml, uint32_t count)
{
    char path[] = "/tmp/sidejudge-debug-XXXXXX", why[256] = "";
    int file = mkstemp(path);
    int saved = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    struct exporter *exporter = sample_start(ops, "debug", yaml, why, sizeof(why));
    assert_non_null(exporter);
    for (uint32_t i = 0; i < count; i++) {
        sample_push(ops, exporter, sample_parcel(i, 1, 10));
    }
    struct exporter_status status;
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, &status);
    ops->free(&exporter);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    ssize_t len = pread(file, printed, sizeof(printed) - 1, 0);
    printed[len > 0 ? len : 0] = '\0';
    close(file);
    unlink(path);
    assert_int_equal(status.sent, count);
}

static unsigned lines(const char *text)
{
    unsigned count = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        count++;
    }
    return count;
}

static void counts_are_printed_by_default(void **state)
{
    (void)state;
    run("{}", 1);
    assert_string_equal(printed, "Traces\tresource spans: 1, spans: 1\n");
}

static void verbosity_is_obeyed(void **state)
{
    (void)state;
    run("verbosity: normal", 1);
    assert_non_null(strstr(printed, "span-0 "));
    run("verbosity: detailed", 1);
    assert_non_null(strstr(printed, "Trace ID"));
}

static void sampling_prints_the_first_and_then_every_nth(void **state)
{
    (void)state;
    run("{sampling_initial: 3, sampling_thereafter: 0, sending_queue: {merge: false}}", 10);
    assert_in_range(lines(printed), 3, 6);  // a second may pass in between
    run("{sampling_initial: 2, sampling_thereafter: 4, sending_queue: {merge: false}}", 10);
    assert_in_range(lines(printed), 4, 8);
}

static void unknown_verbosities_are_refused(void **state)
{
    (void)state;
    struct buffer errors;
    buffer_init(&errors, 4096);
    sample_errors(ops, "{verbosity: loud}", &errors);
    assert_non_null(strstr(buffer_text(&errors), "'verbosity' must be one of"));
    buffer_fini(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_printed_by_default),
        cmocka_unit_test(verbosity_is_obeyed),
        cmocka_unit_test(sampling_prints_the_first_and_then_every_nth),
        cmocka_unit_test(unknown_verbosities_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
