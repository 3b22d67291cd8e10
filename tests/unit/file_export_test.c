// SPDX-License-Identifier: Apache-2.0
// The exporter `file`: lines of OTLP/JSON, length-prefixed protobuf, rotation, full disks.
#include "exporter/file_export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_sample.h"

static const struct exporter_ops *const ops = &file_exporter;
static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/sidejudge-file-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : 1;
}

static void path_of(char *path, size_t len, const char *name)
{
    snprintf(path, len, "%s/%s", folder, name);
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"out", "out.1", "out.2", "out.3"};
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        path_of(path, sizeof(path), names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void run(const char *more, uint32_t parcels, uint32_t spans, size_t filler,
                struct exporter_status *status)
{
    char yaml[512], why[256] = "";
    snprintf(yaml, sizeof(yaml), "path: %s/out\nsending_queue: {merge: false}\n%s", folder, more);
    struct exporter *exporter = sample_start(ops, "file", yaml, why, sizeof(why));
    assert_non_null(exporter);
    for (uint32_t i = 0; i < parcels; i++) {
        sample_push(ops, exporter, sample_parcel(i * spans, spans, filler));
    }
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, status);
    ops->free(&exporter);
}

static void read_out(const char *name, struct buffer *content)
{
    char path[128];
    path_of(path, sizeof(path), name);
    buffer_init(content, (size_t)64 << 20);
    assert_int_equal(file_read(path, content), RESULT_OK);
}

static void each_request_is_a_line_of_json(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer content;
    run("", 3, 5, 20, &status);
    assert_int_equal(status.sent, 15);
    read_out("out", &content);
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        size_t end = bytes_find(buffer_view(&content), BYTES_LITERAL("\n"), at);
        assert_int_not_equal(end, SIZE_MAX);
        struct bytes line = bytes_slice(buffer_view(&content), at, end - at);
        assert_true(json_is_valid(line));
        assert_true(bytes_start_with(line, BYTES_LITERAL("{\"resourceSpans\":[")));
        at = end + 1;
    }
    assert_int_equal(at, content.len);
    buffer_fini(&content);
}

static void proto_stands_behind_four_bytes_of_length(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer content;
    uint32_t fate[15] = {0};
    run("format: proto", 3, 5, 20, &status);
    read_out("out", &content);
    size_t at = 0;
    while (at < content.len) {
        const uint8_t *prefix = content.ptr + at;
        size_t len =
            (size_t)prefix[0] << 24 | (size_t)prefix[1] << 16 | (size_t)prefix[2] << 8 | prefix[3];
        assert_true(sample_mark(bytes_slice(buffer_view(&content), at + 4, len), fate, 15));
        at += 4 + len;
    }
    assert_int_equal(at, content.len);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(fate[i], 1);
    }
    buffer_fini(&content);
}

static void scores_are_lines_of_their_own(void **state)
{
    (void)state;
    char yaml[256], why[256] = "";
    struct score_record records[3] = {score_sample(SAMPLE_NUMERIC, 1),
                                      score_sample(SAMPLE_ERROR, 1),
                                      score_sample(SAMPLE_FAILED, 2)};
    struct buffer content;
    snprintf(yaml, sizeof(yaml), "path: %s/out", folder);
    struct exporter *exporter = sample_start(ops, "file", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, score_sample_parcel(records, 3));
    sample_finish(ops, &exporter);
    read_out("out", &content);
    size_t end = bytes_find(buffer_view(&content), BYTES_LITERAL("\n"), 0);
    struct bytes first = bytes_slice(buffer_view(&content), 0, end);
    struct bytes second = bytes_slice(buffer_view(&content), end + 1, content.len - end - 2);
    assert_true(json_is_valid(first) && json_is_valid(second));
    assert_true(bytes_start_with(first, BYTES_LITERAL("{\"score\":{")));
    assert_int_not_equal(bytes_find(first, BYTES_LITERAL("\"name\":\"helpfulness\""), 0), SIZE_MAX);
    assert_int_not_equal(bytes_find(second, BYTES_LITERAL("no_loop_targeted"), 0), SIZE_MAX);
    buffer_fini(&content);
}

static void scores_that_are_not_sent_are_no_lines(void **state)
{
    (void)state;
    char yaml[256], why[256] = "";
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    struct buffer content;
    snprintf(yaml, sizeof(yaml), "path: %s/out\nsend: failed", folder);
    struct exporter *exporter = sample_start(ops, "file", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, score_sample_parcel(&record, 1));
    sample_finish(ops, &exporter);
    read_out("out", &content);
    assert_int_equal(content.len, 0);
    buffer_fini(&content);
}

static void a_file_starts_empty_unless_appending(void **state)
{
    (void)state;
    struct exporter_status status;
    struct buffer first, second, third;
    run("", 1, 1, 10, &status);
    read_out("out", &first);
    run("", 1, 1, 10, &status);
    read_out("out", &second);
    run("append: true", 1, 1, 10, &status);
    read_out("out", &third);
    assert_int_equal(second.len, first.len);
    assert_int_equal(third.len, 2 * first.len);
    buffer_fini(&first);
    buffer_fini(&second);
    buffer_fini(&third);
}

static void a_file_that_would_grow_too_large_is_renamed_first(void **state)
{
    (void)state;
    struct exporter_status status;
    char path[128];
    struct stat stats;
    run("rotation: {max_megabytes: 1, max_backups: 2}", 5, 1, 700000, &status);
    assert_int_equal(status.sent, 5);
    static const char *const names[] = {"out", "out.1", "out.2"};
    for (size_t i = 0; i < 3; i++) {
        path_of(path, sizeof(path), names[i]);
        assert_int_equal(stat(path, &stats), 0);
        assert_true(stats.st_size <= 1 << 20);
    }
    path_of(path, sizeof(path), "out.3");
    assert_int_not_equal(stat(path, &stats), 0);
}

static void a_full_disk_is_tried_again_and_then_dropped(void **state)
{
    (void)state;
    char why[256] = "";
    struct exporter_status status;
    struct exporter *exporter =
        sample_start(ops, "file",
                     "path: /dev/full\nretry_on_failure: {initial_interval: 1ms, max_interval: "
                     "2ms, max_elapsed_time: 20ms}",
                     why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, sample_parcel(0, 10, 10));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, &status);
    assert_int_equal(status.send_failed, 10);
    assert_non_null(strstr(status.last_error, "No space left"));
    ops->free(&exporter);
}

static void a_path_that_cannot_be_opened_fails_the_start(void **state)
{
    (void)state;
    char why[256] = "";
    assert_null(sample_start(ops, "file", "path: /nowhere/at/all", why, sizeof(why)));
    assert_non_null(strstr(why, "/nowhere/at/all: No such file"));
}

static void wrong_configurations_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "'path' must be set"},
        {"{path: x, format: xml}", "'format' must be one of"},
        {"{path: x, append: true, rotation: {}}", "append and rotation"},
        {"{path: x, rotation: {max_megabytes: 0}}", "max_megabytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer errors;
        buffer_init(&errors, 4096);
        sample_errors(ops, rows[i][0], &errors);
        assert_non_null(strstr(buffer_text(&errors), rows[i][1]));
        buffer_fini(&errors);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_request_is_a_line_of_json),
        TEST(proto_stands_behind_four_bytes_of_length),
        TEST(scores_are_lines_of_their_own),
        TEST(scores_that_are_not_sent_are_no_lines),
        TEST(a_file_starts_empty_unless_appending),
        TEST(a_file_that_would_grow_too_large_is_renamed_first),
        TEST(a_full_disk_is_tried_again_and_then_dropped),
        TEST(a_path_that_cannot_be_opened_fails_the_start),
        TEST(wrong_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
