// SPDX-License-Identifier: Apache-2.0
//
// What a start without a file amounts to, from variables that the test sets.

#include "service/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const *variables;  // name, value, ..., NULL
static struct buffer yaml, notes;

static const char *get(const char *name)
{
    for (size_t i = 0; variables[i] != NULL; i += 2) {
        if (strcmp(variables[i], name) == 0) {
            return variables[i + 1];
        }
    }
    return NULL;
}

static void configure(const char *const *set)
{
    variables = set;
    buffer_reset(&yaml);
    buffer_reset(&notes);
    environment_config(get, &yaml, &notes);
    assert_int_equal(buffer_status(&yaml), RESULT_OK);
}

#define SET(...) configure((const char *const[]){__VA_ARGS__, NULL})

static bool has(const char *text)
{
    return strstr(buffer_text(&yaml), text) != NULL;
}

static bool noted(const char *text)
{
    return strstr(buffer_text(&notes), text) != NULL;
}

static void nothing_set_prints_each_interaction(void **state)
{
    (void)state;
    configure((const char *const[]){NULL});
    assert_true(has("debug:"));
    assert_true(has("localhost:4317") && has("localhost:4318"));
    assert_true(noted("no backend is set"));
    assert_true(noted("SIDEJUDGE_JUDGE is not set"));
    assert_false(has("judge:"));
}

static void langfuse_needs_both_keys(void **state)
{
    (void)state;
    SET("LANGFUSE_PUBLIC_KEY", "pk-lf-1");
    assert_false(has("langfuse:"));
    assert_true(noted("LANGFUSE_SECRET_KEY is not"));
    SET("LANGFUSE_PUBLIC_KEY", "pk-lf-1", "LANGFUSE_SECRET_KEY", "sk-lf-1", "LANGFUSE_HOST",
        "https://langfuse.example");
    assert_true(has("langfuse:"));
    assert_true(has("${env:LANGFUSE_HOST}"));
}

static void secrets_stay_references(void **state)
{
    (void)state;
    SET("LANGFUSE_PUBLIC_KEY", "pk-lf-1", "LANGFUSE_SECRET_KEY", "sk-lf-hidden");
    assert_false(has("sk-lf-hidden"));
    assert_true(has("${env:LANGFUSE_SECRET_KEY}"));
}

static void backends_without_logs_leave_them_to_nop(void **state)
{
    (void)state;
    SET("PHOENIX_COLLECTOR_ENDPOINT", "http://phoenix:6006", "PHOENIX_API_KEY", "k");
    assert_true(has("phoenix:") && has("${env:PHOENIX_API_KEY}"));
    assert_true(has("traces: {receivers: [otlp], processors: [evaluation], exporters: [phoenix]}"));
    assert_true(has("logs: {receivers: [otlp], processors: [evaluation], exporters: [nop]}"));
}

static void every_backend_that_is_set_is_an_exporter(void **state)
{
    (void)state;
    SET("LANGFUSE_PUBLIC_KEY", "a", "LANGFUSE_SECRET_KEY", "b", "PHOENIX_COLLECTOR_ENDPOINT",
        "http://phoenix:6006", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    assert_true(has("exporters: [langfuse, phoenix, otlp_http]"));
    assert_true(has("metrics: {receivers: [otlp], exporters: [otlp_http]}"));
}

static void own_listener_is_passed_over_with_the_reason(void **state)
{
    (void)state;
    SET("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
    assert_false(has("otlp_http"));
    assert_true(noted("own listener"));
    SET("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/v1", "LANGFUSE_PUBLIC_KEY", "a",
        "LANGFUSE_SECRET_KEY", "b", "LANGFUSE_BASE_URL", "http://localhost:4318");
    assert_false(has("otlp_http:") || has("langfuse:"));
}

static void own_listener_is_known_where_it_was_moved_to(void **state)
{
    (void)state;
    SET("SIDEJUDGE_LISTEN", "0.0.0.0:5317,0.0.0.0:5318", "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://localhost:5318");
    assert_true(has("0.0.0.0:5317") && has("0.0.0.0:5318"));
    assert_false(has("otlp_http"));
    SET("SIDEJUDGE_LISTEN", "0.0.0.0", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:9999");
    assert_true(has("0.0.0.0:4317") && has("otlp_http"));
}

static void variable_of_our_own_wins_over_the_shared_one(void **state)
{
    (void)state;
    SET("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "SIDEJUDGE_EXPORTER_OTLP_ENDPOINT",
        "http://collector:4318");
    assert_true(has("${env:SIDEJUDGE_EXPORTER_OTLP_ENDPOINT}"));
    assert_false(noted("own listener"));
}

static void protocol_grpc_chooses_the_grpc_exporter(void **state)
{
    (void)state;
    SET("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL",
        "grpc");
    assert_true(has("otlp_grpc:") && has("insecure: true"));
    SET("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL",
        "grpc", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem");
    assert_true(has("ca_file") && !has("insecure"));
}

static void traces_endpoint_is_taken_as_it_is(void **state)
{
    (void)state;
    SET("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/custom");
    assert_true(has("traces_endpoint: \"${env:OTEL_EXPORTER_OTLP_TRACES_ENDPOINT}\""));
}

static void headers_are_decoded_and_quoted(void **state)
{
    (void)state;
    SET("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS",
        "a=b%20c, x-key = q\"u\\$ ,broken,=none");
    assert_true(has("\"a\": \"b c\""));
    assert_true(has("\"x-key\": \"q\\\"u\\\\$$\""));
    assert_false(has("broken"));
}

static void judge_is_switched_on_by_its_own_variable_only(void **state)
{
    (void)state;
    SET("ANTHROPIC_API_KEY", "k", "OPENAI_API_KEY", "k");
    assert_false(has("judge:"));
    SET("SIDEJUDGE_JUDGE", "anthropic/claude-haiku-4-5", "SIDEJUDGE_BUDGET_USD_PER_DAY", "3");
    assert_true(has("judge: \"${env:SIDEJUDGE_JUDGE}\""));
    assert_true(has("${env:SIDEJUDGE_BUDGET_USD_PER_DAY}"));
}

static void empty_variables_are_not_set(void **state)
{
    (void)state;
    SET("LANGFUSE_PUBLIC_KEY", "", "LANGFUSE_SECRET_KEY", "", "OTEL_EXPORTER_OTLP_ENDPOINT", "",
        "SIDEJUDGE_JUDGE", "");
    assert_true(has("debug:"));
    assert_false(has("judge:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_prints_each_interaction),
        cmocka_unit_test(langfuse_needs_both_keys),
        cmocka_unit_test(secrets_stay_references),
        cmocka_unit_test(backends_without_logs_leave_them_to_nop),
        cmocka_unit_test(every_backend_that_is_set_is_an_exporter),
        cmocka_unit_test(own_listener_is_passed_over_with_the_reason),
        cmocka_unit_test(own_listener_is_known_where_it_was_moved_to),
        cmocka_unit_test(variable_of_our_own_wins_over_the_shared_one),
        cmocka_unit_test(protocol_grpc_chooses_the_grpc_exporter),
        cmocka_unit_test(traces_endpoint_is_taken_as_it_is),
        cmocka_unit_test(headers_are_decoded_and_quoted),
        cmocka_unit_test(judge_is_switched_on_by_its_own_variable_only),
        cmocka_unit_test(empty_variables_are_not_set),
    };
    buffer_init(&yaml, 65536);
    buffer_init(&notes, 65536);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_fini(&yaml);
    buffer_fini(&notes);
    return failed;
}
