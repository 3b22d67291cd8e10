// SPDX-License-Identifier: Apache-2.0
// The exporter `langfuse`: the request that Langfuse wants, from keys or from variables.
#include "exporter/langfuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "exporter/score/score_sink.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_stage.h"
#include "tests/unit/scripted_http.h"

static const struct exporter_ops *const ops = &langfuse_exporter;

struct seen {
    char line[128], authorization[128], version[16], type[64], encoding[16];
};

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    struct seen *seen = arg;
    const char *names[] = {"authorization", "x-langfuse-ingestion-version", "content-type",
                           "content-encoding"};
    char *fields[] = {seen->authorization, seen->version, seen->type, seen->encoding};
    const size_t sizes[] = {128, 16, 64, 16};
    for (size_t i = 0; i < 4; i++) {
        snprintf(fields[i], sizes[i], "%.*s", BYTES_PRINTF(scripted_header(request, names[i])));
    }
    snprintf(seen->line, sizeof(seen->line), "%.*s", BYTES_PRINTF(request->line));
    reply->headers = "Content-Type: application/json\r\n";
    reply->body = BYTES_LITERAL("{\"id\":\"job-1\",\"partialSuccess\":7}");
}

static int forget_variables(void **state)
{
    (void)state;
    unsetenv("LANGFUSE_PUBLIC_KEY");
    unsetenv("LANGFUSE_SECRET_KEY");
    unsetenv("LANGFUSE_BASE_URL");
    unsetenv("LANGFUSE_HOST");
    return 0;
}

static void run(const char *format, struct seen *seen, bool as_variables)
{
    char yaml[512], why[256] = "";
    struct exporter_status status;
    struct scripted_http *server = scripted_http_start(answer, seen);
    snprintf(yaml, sizeof(yaml), "http://127.0.0.1:%u", scripted_http_port(server));
    if (as_variables) {
        setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-1", 1);
        setenv("LANGFUSE_SECRET_KEY", "sk-lf-2", 1);
        setenv("LANGFUSE_HOST", yaml, 1);
        snprintf(yaml, sizeof(yaml), "%s", format);
    } else {
        snprintf(yaml, sizeof(yaml), format, scripted_http_port(server));
    }
    struct exporter *exporter = sample_start(ops, "langfuse", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, sample_parcel(0, 50, 100));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, &status);
    assert_int_equal(status.sent, 50);
    ops->free(&exporter);
    scripted_http_stop(&server);
}

static void the_request_has_path_headers_and_basic_authorisation(void **state)
{
    (void)state;
    struct seen seen;
    run("{public_key: pk-lf-1, secret_key: sk-lf-2, endpoint: 'http://127.0.0.1:%u/'}", &seen,
        false);
    assert_string_equal(seen.line, "POST /api/public/otel/v1/traces HTTP/1.1");
    assert_string_equal(seen.authorization, "Basic cGstbGYtMTpzay1sZi0y");
    assert_string_equal(seen.version, "4");
    assert_string_equal(seen.type, "application/x-protobuf");
    assert_string_equal(seen.encoding, "gzip");
}

static void a_base_url_may_hold_the_stem_already(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{public_key: a, secret_key: b, base_url: 'http://127.0.0.1:%u/api/public/otel'}",
        "{public_key: a, secret_key: b, endpoint: 'http://127.0.0.1:%u/api/public/otel/v1/traces'}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct seen seen;
        run(rows[i], &seen, false);
        assert_string_equal(seen.line, "POST /api/public/otel/v1/traces HTTP/1.1");
    }
}

static void keys_come_from_the_variables_of_its_own_sdks(void **state)
{
    (void)state;
    struct seen seen;
    run("{}", &seen, true);
    assert_string_equal(seen.authorization, "Basic cGstbGYtMTpzay1sZi0y");
}

static void it_takes_traces_and_scores(void **state)
{
    (void)state;
    assert_int_equal(ops->kind.signals, 1U << SIGNAL_TRACES | 1U << SIGNAL_SCORES);
}

#define SCORES_YAML                                                                                \
    "{public_key: pk-test, secret_key: sk-test, endpoint: 'http://127.0.0.1:%u', %s}"

static struct exporter *start_with_scores(const struct score_server *server, const char *more)
{
    char yaml[512], why[256] = "";
    snprintf(yaml, sizeof(yaml), SCORES_YAML, score_server_port(server), more);
    struct exporter *exporter = sample_start(ops, "langfuse", yaml, why, sizeof(why));
    assert_non_null(exporter);
    return exporter;
}

static void spans_and_scores_go_their_ways_from_one_pair_of_keys(void **state)
{
    (void)state;
    struct score_record records[SCORE_STAGE_RECORDS];
    struct exporter_status status;
    struct score_server *server = score_server_start();
    struct exporter *exporter = start_with_scores(server, "send: judged");
    score_stage_records(records);
    sample_push(ops, exporter, sample_parcel(0, 50, 100));
    sample_push(ops, exporter, score_sample_parcel(records, SCORE_STAGE_RECORDS));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, &status);
    assert_int_equal(status.sent, 50 + 5);
    score_server_sync(server);
    assert_int_equal(server->spans[BACKEND_LANGFUSE], 1);
    assert_int_equal(server->requests[BACKEND_LANGFUSE], 1);
    assert_int_equal(score_server_count(server, BACKEND_LANGFUSE), 5);
    assert_int_equal(server->refused, 0);
    ops->free(&exporter);
    score_server_stop(&server);
}

static void scores_that_fail_hold_up_no_spans(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    struct exporter_status status;
    struct score_server *server = score_server_start();
    server->fail_count = 1000;
    server->fail_status = 503;
    server->fail_body = "";
    score_server_sync(server);
    struct exporter *exporter =
        start_with_scores(server, "sending_queue: {merge: false}, retry_on_failure: "
                                  "{initial_interval: 600s, max_interval: 600s, "
                                  "max_elapsed_time: 0}");
    sample_push(ops, exporter, sample_parcel(0, 5, 100));
    assert_true(scripted_http_await(server->http, 1));
    for (unsigned i = 0; i < 20; i++) {
        sample_push(ops, exporter, score_sample_parcel(&record, 1));
    }
    assert_true(scripted_http_await(server->http, 2));
    for (unsigned i = 0; i < 20; i++) {
        sample_push(ops, exporter, sample_parcel(5 + 5 * i, 5, 100));
    }
    assert_true(scripted_http_await(server->http, 22));
    ops->drain(exporter, clock_mono_ns() + 2 * NS_PER_S);  // the scores cannot be delivered
    ops->status(exporter, &status);
    assert_int_equal(status.sent, 105);
    assert_int_equal(status.send_failed, 20);
    ops->free(&exporter);
    score_server_stop(&server);
}

static void without_scores_it_counts_as_one_that_takes_none(void **state)
{
    (void)state;
    struct score_sink_config config = {.scores = false};
    assert_int_equal(ops->score_send(&config), SCORE_SEND_NONE);
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "public_key must be set, or LANGFUSE_PUBLIC_KEY"},
        {"{public_key: a}", "secret_key must be set, or LANGFUSE_SECRET_KEY"},
        {"{public_key: a, secret_key: b, compression: zstd}", "does not take zstd"},
        {"{public_key: a, secret_key: b, compression: deflate}", "does not take deflate"},
        {"{public_key: a, secret_key: b, targeted_suffix: ''}", "targeted_suffix must be"},
        {"{public_key: a, secret_key: b, endpoint: x, base_url: y}", "mean the same"},
        {"{public_key: a, secret_key: b, endpoint: 'cloud.langfuse.com'}", "endpoint:"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer errors;
        buffer_init(&errors, 4096);
        sample_errors(ops, rows[i][0], &errors);
        if (strstr(buffer_text(&errors), rows[i][1]) == NULL) {
            print_error("%s: got \"%s\"\n", rows[i][0], buffer_text(&errors));
        }
        assert_non_null(strstr(buffer_text(&errors), rows[i][1]));
        buffer_fini(&errors);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_variables, forget_variables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_request_has_path_headers_and_basic_authorisation),
        TEST(a_base_url_may_hold_the_stem_already),
        TEST(keys_come_from_the_variables_of_its_own_sdks),
        TEST(it_takes_traces_and_scores),
        TEST(spans_and_scores_go_their_ways_from_one_pair_of_keys),
        TEST(scores_that_fail_hold_up_no_spans),
        TEST(without_scores_it_counts_as_one_that_takes_none),
        TEST(wrong_configurations_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
