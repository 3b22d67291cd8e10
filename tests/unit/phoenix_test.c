// SPDX-License-Identifier: Apache-2.0
// The exporter `phoenix`: the request that Phoenix wants, from keys or from variables.
#include "exporter/phoenix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_stage.h"
#include "tests/unit/scripted_http.h"

static const struct exporter_ops *const ops = &phoenix_exporter;

struct seen {
    char line[128], authorization[128], project[64], type[64];
    int status;
};

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    struct seen *seen = arg;
    const char *names[] = {"authorization", "x-project-name", "content-type"};
    char *fields[] = {seen->authorization, seen->project, seen->type};
    const size_t sizes[] = {128, 64, 64};
    for (size_t i = 0; i < 3; i++) {
        snprintf(fields[i], sizes[i], "%.*s", BYTES_PRINTF(scripted_header(request, names[i])));
    }
    snprintf(seen->line, sizeof(seen->line), "%.*s", BYTES_PRINTF(request->line));
    reply->status = seen->status;
}

static int forget_variables(void **state)
{
    (void)state;
    unsetenv("PHOENIX_COLLECTOR_ENDPOINT");
    unsetenv("PHOENIX_API_KEY");
    unsetenv("PHOENIX_PROJECT_NAME");
    return 0;
}

static void run(const char *more, struct seen *seen, bool as_variable,
                struct exporter_status *status)
{
    char yaml[512], why[256] = "";
    struct scripted_http *server = scripted_http_start(answer, seen);
    snprintf(yaml, sizeof(yaml), "http://127.0.0.1:%u", scripted_http_port(server));
    if (as_variable) {
        setenv("PHOENIX_COLLECTOR_ENDPOINT", yaml, 1);
        snprintf(yaml, sizeof(yaml), "%s", more);
    } else {
        snprintf(yaml, sizeof(yaml), "endpoint: http://127.0.0.1:%u\n%s",
                 scripted_http_port(server), more);
    }
    struct exporter *exporter = sample_start(ops, "phoenix", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, sample_parcel(0, 50, 100));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, status);
    ops->free(&exporter);
    scripted_http_stop(&server);
}

static void the_request_has_the_exact_content_type_and_no_key(void **state)
{
    (void)state;
    struct seen seen = {.status = 200};
    struct exporter_status status;
    run("", &seen, false, &status);
    assert_int_equal(status.sent, 50);
    assert_string_equal(seen.line, "POST /v1/traces HTTP/1.1");
    assert_string_equal(seen.type, "application/x-protobuf");
    assert_string_equal(seen.authorization, "");
    assert_string_equal(seen.project, "");
}

static void key_and_project_become_headers(void **state)
{
    (void)state;
    struct seen seen = {.status = 200};
    struct exporter_status status;
    run("api_key: k1\nproject_name: agents", &seen, false, &status);
    assert_string_equal(seen.authorization, "Bearer k1");
    assert_string_equal(seen.project, "agents");
}

static void variables_stand_in_for_keys(void **state)
{
    (void)state;
    struct seen seen = {.status = 200};
    struct exporter_status status;
    setenv("PHOENIX_API_KEY", "k2", 1);
    setenv("PHOENIX_PROJECT_NAME", "other", 1);
    run("{}", &seen, true, &status);
    assert_string_equal(seen.authorization, "Bearer k2");
    assert_string_equal(seen.project, "other");
}

static void a_422_is_a_refusal_of_items(void **state)
{
    (void)state;
    struct seen seen = {.status = 422};
    struct exporter_status status;
    run("", &seen, false, &status);
    assert_int_equal(status.send_failed, 50);
    assert_string_equal(status.last_error, "HTTP status 422");
}

static void a_variable_with_a_line_break_fails_the_start(void **state)
{
    (void)state;
    char why[256] = "";
    setenv("PHOENIX_PROJECT_NAME", "x\r\nHost: elsewhere", 1);
    assert_null(sample_start(ops, "phoenix", "{}", why, sizeof(why)));
    assert_non_null(strstr(why, "cannot carry"));
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    struct buffer errors;
    buffer_init(&errors, 4096);
    sample_errors(ops, "{compression: zstd}", &errors);
    assert_non_null(strstr(buffer_text(&errors), "does not take zstd"));
    buffer_reset(&errors);
    sample_errors(ops, "{endpoint: 'localhost:6006'}", &errors);
    assert_non_null(strstr(buffer_text(&errors), "endpoint:"));
    assert_int_equal(ops->kind.signals, 1U << SIGNAL_TRACES | 1U << SIGNAL_SCORES);
    buffer_fini(&errors);
}

static void spans_and_annotations_go_their_ways(void **state)
{
    (void)state;
    char yaml[256], why[256] = "";
    struct score_record records[SCORE_STAGE_RECORDS];
    struct exporter_status status;
    struct score_server *server = score_server_start();
    score_stage_records(records);
    snprintf(yaml, sizeof(yaml), "{api_key: key-of-the-test, endpoint: 'http://127.0.0.1:%u'}",
             score_server_port(server));
    struct exporter *exporter = sample_start(ops, "phoenix", yaml, why, sizeof(why));
    assert_non_null(exporter);
    sample_push(ops, exporter, sample_parcel(0, 50, 100));
    sample_push(ops, exporter, score_sample_parcel(records, SCORE_STAGE_RECORDS));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, &status);
    assert_int_equal(status.sent, 50 + 5);
    score_server_sync(server);
    assert_int_equal(server->spans[BACKEND_PHOENIX], 1);
    assert_int_equal(score_server_count(server, BACKEND_PHOENIX), 5);
    assert_int_equal(server->refused, 0);
    ops->free(&exporter);
    score_server_stop(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_variables, forget_variables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_request_has_the_exact_content_type_and_no_key),
        TEST(key_and_project_become_headers),
        TEST(variables_stand_in_for_keys),
        TEST(a_422_is_a_refusal_of_items),
        TEST(a_variable_with_a_line_break_fails_the_start),
        TEST(wrong_configurations_are_refused_with_a_sentence),
        TEST(spans_and_annotations_go_their_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
