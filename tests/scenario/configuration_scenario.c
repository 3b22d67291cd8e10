// SPDX-License-Identifier: Apache-2.0
//
// The command line and the configuration as an operator meets them: what is accepted, what is said
// about what is not, and what a run does with a broken part. The binary is run with real files and
// a real environment. Refused: calling the parsers (the unit tests do). Bounds: those of the
// harness. One thread.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/file.h"
#include "tests/scenario/harness.h"

#define SOUND                                                                                      \
    "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"                        \
    "exporters: {debug: }\n"                                                                       \
    "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"

// Runs a command; it must end with `status` and say each of `texts` (NULL ends them).
static void expect(struct harness *harness, const char *const *arguments, int status,
                   const char *const *texts)
{
    struct buffer out;
    int got = harness_command(harness, arguments, &out);
    for (size_t i = 0; texts[i] != NULL; i++) {
        if (strstr(buffer_text(&out), texts[i]) == NULL) {
            fail_msg("\"%s\" is not in:\n%s", texts[i], buffer_text(&out));
        }
    }
    if (got != status) {
        fail_msg("exit status %d, not %d:\n%s", got, status, buffer_text(&out));
    }
    buffer_fini(&out);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

// `validate` of a file with this text.
static void expect_validation(struct harness *harness, const char *yaml, int status,
                              const char *const *texts)
{
    const char *path = harness_file(harness, "config.yaml", yaml);
    expect(harness, TEXTS("validate", "--config", path), status, texts);
}

static void validate_names_unknown_keys_with_line_and_column(void **state)
{
    expect_validation(*state,
                      "receivers:\n  otlp:\n    protocols:\n      htp:\n"
                      "exporters: {debug: }\n"
                      "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n",
                      1, TEXTS("'protocols' has invalid keys: htp", "config.yaml:4:"));
    expect_validation(*state, SOUND "bogus: 1\n", 1,
                      TEXTS("has invalid keys: bogus", "config.yaml:4:"));
}

static void validate_names_unknown_component_types_and_what_there_is(void **state)
{
    expect_validation(*state, SOUND "processors: {nonsense: }\n", 1,
                      TEXTS("unknown type: \"nonsense\" for id: \"nonsense\"", "valid values: [",
                            "config.yaml:4:"));
    expect_validation(*state, SOUND "extensions: {nonsense: }\n", 1, TEXTS("nonsense"));
}

static void validate_says_what_to_do_about_known_components_that_are_not_built(void **state)
{
    expect_validation(*state, SOUND "processors: {transform: }\n", 1,
                      TEXTS("\"transform\" is not part of this build", "do it in a Collector"));
    expect_validation(*state, SOUND "connectors: {count: }\n", 1,
                      TEXTS("\"count\" is not part of this build", "do it in a Collector"));
    expect_validation(*state, SOUND "extensions: {redis_storage: }\n", 1,
                      TEXTS("\"redis_storage\" is not part of this build", "queues are in memory"));
}

static void validate_names_references_to_what_is_not_configured(void **state)
{
    expect_validation(*state,
                      "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\n"
                      "service: {pipelines: {traces: {receivers: [otlp/2], processors: [p], "
                      "exporters: [x]}}}\n",
                      1,
                      TEXTS("references receiver \"otlp/2\" which is not configured",
                            "references processor \"p\" which is not configured",
                            "references exporter \"x\" which is not configured", "config.yaml:3:"));
}

static void validate_names_the_place_of_a_judge_that_is_none(void **state)
{
    expect_validation(*state, SOUND "processors:\n  evaluation:\n    judge: clever\n", 1,
                      TEXTS("\"clever\" is not provider/model", "config.yaml:6:"));
    expect_validation(*state,
                      SOUND "processors:\n  evaluation:\n    judge: anthropic/claude-haiku-4-5\n",
                      1, TEXTS("no API key: set ANTHROPIC_API_KEY", "config.yaml:6:"));
    expect_validation(*state,
                      SOUND "processors:\n  evaluation:\n    judge: openai/nobody-knows-me\n", 1,
                      TEXTS("has no list price here", "config.yaml:6:"));
}

static void validate_refuses_a_storage_that_is_not_there(void **state)
{
    expect_validation(*state,
                      "receivers: {otlp: {protocols: {http: }}}\n"
                      "exporters: {otlp_http: {endpoint: \"http://localhost:1\", sending_queue: "
                      "{storage: file_storage}}}\n"
                      "service: {pipelines: {traces: {receivers: [otlp], exporters: "
                      "[otlp_http]}}}\n",
                      1, TEXTS("\"file_storage\" is not configured", "config.yaml:2:"));
}

static void validate_refuses_what_cannot_be_read(void **state)
{
    struct harness *harness = *state;
    expect_validation(harness, "receivers: [\n", 1, TEXTS("config.yaml:"));
    expect_validation(harness, "a: 1\na: 2\n", 1, TEXTS("config.yaml:2"));
    expect_validation(harness, "", 1, TEXTS("pipeline"));
    expect(harness, TEXTS("validate", "--config", "/nonexistent.yaml"), 1,
           TEXTS("/nonexistent.yaml"));
}

static void a_sound_file_validates_silently(void **state)
{
    struct harness *harness = *state;
    struct buffer out;
    const char *path = harness_file(harness, "config.yaml", SOUND);
    assert_int_equal(harness_command(harness, TEXTS("validate", "--config", path), &out), 0);
    assert_string_equal(buffer_text(&out), "");
    buffer_fini(&out);
}

static void the_readmes_file_validates_and_has_at_most_ten_lines(void **state)
{
    struct harness *harness = *state;
    struct buffer readme;
    unsigned lines = 0;
    buffer_init(&readme, (size_t)1 << 20);
    assert_int_equal(file_read(SIDEJUDGE_FIXTURES "/../../README.md", &readme), RESULT_OK);
    char *yaml = strstr((char *)(uintptr_t)buffer_text(&readme), "```yaml\n");
    assert_non_null(yaml);
    yaml += strlen("```yaml\n");
    char *end = strstr(yaml, "```");
    assert_non_null(end);
    *end = '\0';
    for (const char *at = yaml; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    assert_in_range(lines, 1, 10);
    harness_variable(harness, "ANTHROPIC_API_KEY", "sk-scenario");
    harness_variable(harness, "LANGFUSE_PUBLIC_KEY", "pk");
    harness_variable(harness, "LANGFUSE_SECRET_KEY", "sk");
    expect_validation(harness, yaml, 0, TEXTS(""));
    buffer_fini(&readme);
}

static void configurations_come_from_variables_texts_files_and_sets_merged_in_order(void **state)
{
    struct harness *harness = *state;
    harness_variable(harness, "WHOLE_CONFIG", SOUND);
    expect(harness, TEXTS("validate", "--config=env:WHOLE_CONFIG"), 0, TEXTS(""));
    expect(harness, TEXTS("validate", "--config=env:NOT_THERE"), 1, TEXTS("NOT_THERE"));
    const char *overlay =
        harness_file(harness, "overlay.yaml", "exporters: {debug: {verbosity: detailed}}\n");
    expect(harness,
           TEXTS("print-config", "--config=env:WHOLE_CONFIG", "--config", overlay,
                 "--set=service.telemetry.logs.level=warn",
                 "--config=yaml:receivers::otlp::protocols::http::max_request_body_size: 12345"),
           0, TEXTS("verbosity: detailed", "level: warn", "12345", "127.0.0.1:0"));
    expect(harness,
           TEXTS("print-config", "--config=env:WHOLE_CONFIG", "--config", overlay,
                 "--set=exporters.debug.verbosity=basic"),
           0, TEXTS("verbosity: basic"));
}

static void print_config_masks_secrets(void **state)
{
    struct harness *harness = *state;
    struct buffer out;
    harness_variable(harness, "LANGFUSE_PUBLIC_KEY", "pk-visible-or-not");
    harness_variable(harness, "LANGFUSE_SECRET_KEY", "sk-very-secret");
    assert_int_equal(harness_command(harness, TEXTS("print-config"), &out), 0);
    assert_null(strstr(buffer_text(&out), "sk-very-secret"));
    assert_non_null(strstr(buffer_text(&out), "langfuse"));
    buffer_fini(&out);
}

static void a_start_without_a_file_reads_the_environment(void **state)
{
    struct harness *harness = *state;
    harness_variable(harness, "LANGFUSE_PUBLIC_KEY", "pk");
    harness_variable(harness, "LANGFUSE_SECRET_KEY", "sk");
    harness_variable(harness, "LANGFUSE_HOST", "http://127.0.0.1:1");
    harness_variable(harness, "PHOENIX_COLLECTOR_ENDPOINT", "http://127.0.0.1:2");
    harness_variable(harness, "PHOENIX_PROJECT_NAME", "shop");
    harness_variable(harness, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:3");
    harness_variable(harness, "OTEL_EXPORTER_OTLP_HEADERS", "x-team=agents%20one,x-key=k");
    harness_variable(harness, "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    harness_variable(harness, "SIDEJUDGE_LISTEN", "0.0.0.0");
    expect(harness, TEXTS("print-config"), 0,
           TEXTS("langfuse:", "phoenix:", "project_name: shop", "otlp_http:", "compression: gzip",
                 "x-team:", "0.0.0.0:4317", "0.0.0.0:4318"));
    expect(harness, TEXTS("validate"), 0, TEXTS(""));
}

static void langfuse_gets_spans_with_its_headers_from_the_environment_alone(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    harness_variable(harness, "LANGFUSE_PUBLIC_KEY", "pk-1");
    harness_variable(harness, "LANGFUSE_SECRET_KEY", "sk-2");
    harness_variable(harness, "LANGFUSE_BASE_URL", backend_url(backend));
    harness_variable(harness, "SIDEJUDGE_LISTEN", "127.0.0.1:0,127.0.0.1:0");
    harness_start(harness, TEXTS("--set=service.telemetry.logs.level=info"));
    harness_span(&request, 1, "to langfuse");
    harness_send(harness, buffer_view(&request));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1);
    assert_string_equal(backend_path(backend), "/api/public/otel/v1/traces");
    assert_string_equal(backend_header(backend, "authorization"), "Basic cGstMTpzay0y");
    harness_stop(harness);
    buffer_fini(&request);
}

static void an_endpoint_that_is_our_own_listener_is_passed_over_with_one_line(void **state)
{
    struct harness *harness = *state;
    struct buffer request;
    char listen[64], url[64];
    unsigned port = harness_free_port();
    snprintf(listen, sizeof(listen), "127.0.0.1:0,127.0.0.1:%u", port);
    snprintf(url, sizeof(url), "http://localhost:%u", port);
    harness_variable(harness, "SIDEJUDGE_LISTEN", listen);
    harness_variable(harness, "OTEL_EXPORTER_OTLP_ENDPOINT", url);
    harness_start(harness, TEXTS("--set=service.telemetry.logs.level=info"));
    assert_true(harness_said(harness, "OTEL_EXPORTER_OTLP_ENDPOINT is this sidecar's own "
                                      "listener"));
    assert_false(harness_said(harness, "\"exporter\": \"otlp_http\""));
    harness_span(&request, 1, "printed instead");
    harness_send(harness, buffer_view(&request));
    harness_wait_said(harness, "printed instead");
    harness_stop(harness);
    buffer_fini(&request);
}

static void a_broken_exporter_leaves_its_pipeline_answering_503_with_the_reason(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters: {otlp_http: {endpoint: \"%s\", compresion: gzip}}\n"
                       "extensions: {health_check: }\n"
                       "service: {extensions: [health_check], pipelines: {traces: {receivers: "
                       "[otlp], exporters: [otlp_http]}}}\n",
                       backend_url(backend));
    harness_span(&request, 1, "refused");
    struct harness_reply reply = harness_post(harness, "/v1/traces", "application/json", NULL,
                                              BYTES_LITERAL("{\"resourceSpans\":[{\"scopeSpans\":"
                                                            "[{\"spans\":[{\"traceId\":\"5cec00000"
                                                            "00000000000000000000001\",\"spanId\":"
                                                            "\"5cec000000000001\"}]}]}]}"));
    assert_int_equal(reply.status, 503);
    assert_true(reply.has_retry_after);
    assert_non_null(strstr(reply.body, "compresion"));
    assert_int_equal(harness_get(harness, harness->health_port, "/").status, 200);
    assert_true(harness_metric(harness, "sidejudge_degraded", "exporters::otlp_http") == 1);
    harness_stop(harness);
    buffer_fini(&request);
}

static void a_pipeline_without_a_sound_exporter_never_acknowledges(void **state)
{
    struct harness *harness = *state;
    struct buffer request;
    harness_start_yaml(harness, "%s",
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters: {nonsense: }\n"
                       "service: {pipelines: {traces: {receivers: [otlp], exporters: "
                       "[nonsense]}}}\n");
    harness_span(&request, 1, "must not be lost");
    assert_int_equal(
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL, buffer_view(&request))
            .status,
        503);
    harness_stop(harness);
    buffer_fini(&request);
}

static void strict_makes_every_fault_fatal(void **state)
{
    struct harness *harness = *state;
    static const char *const faults[] = {
        "exporters: {debug: {bogus: 1}}\n", "processors: {evaluation: {bogus: 1}}\n",
        "processors: {evaluation: {evaluators: {tone: {judge: default, rubric: "
        "\"file:/nonexistent.md\"}}, judges: {default: {api: openai, endpoint: "
        "\"http://127.0.0.1:1/v1\", model: m, price: {input_per_mtok: 0, output_per_mtok: "
        "0}}}}}\n"
        "service: {pipelines: {traces: {processors: [evaluation]}}}\n"};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        const char *sound = harness_file(harness, "config.yaml", SOUND);
        const char *fault = harness_file(harness, "fault.yaml", faults[i]);
        expect(harness, TEXTS("--strict", "--config", sound, "--config", fault), 1,
               TEXTS("Error:"));
    }
}

static void unreadable_yaml_ends_the_run(void **state)
{
    struct harness *harness = *state;
    const char *path = harness_file(harness, "config.yaml", "receivers: {otlp\n");
    expect(harness, TEXTS("--config", path), 1, TEXTS("Error:", "config.yaml"));
    expect(harness, TEXTS("--config", "/nonexistent.yaml"), 1, TEXTS("no such file"));
}

static void a_port_that_is_taken_ends_a_strict_start_with_its_reason(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    char yaml[512];
    snprintf(yaml, sizeof(yaml),
             "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}\n"
             "exporters: {debug: }\n"
             "service: {telemetry: {metrics: {level: none}}, pipelines: {traces: {receivers: "
             "[otlp], exporters: [debug]}}}\n",
             backend_port(backend));
    const char *path = harness_file(harness, "config.yaml", yaml);
    expect(
        harness,
        TEXTS("--strict", "--config", path, "--set=extensions.evaluation_api.endpoint=127.0.0.1:0"),
        1, TEXTS("Error:", "in use"));
}

static void an_exporter_that_can_be_started_later_is(void **state)
{
    struct harness *harness = *state;
    struct buffer request;
    char folder[128], file[160];
    snprintf(folder, sizeof(folder), "%s/later", harness->folder);
    snprintf(file, sizeof(file), "%s/out.jsonl", folder);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "exporters: {file: {path: \"%s\"}}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}\n",
                       file);
    harness_span(&request, 1, "at last");
    assert_int_equal(
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL, buffer_view(&request))
            .status,
        503);
    assert_int_equal(mkdir(folder, 0700), 0);
    harness_wait_said(harness, "exporter started after all");  // tried every ten seconds
    harness_send(harness, buffer_view(&request));
    assert_true(harness_metric(harness, "sidejudge_degraded", "exporters::file") == 0);
    harness_stop(harness);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0);
    buffer_fini(&request);
}

static void commands_and_flags_that_are_not_there_are_named(void **state)
{
    struct harness *harness = *state;
    expect(harness, TEXTS("frobnicate"), 1, TEXTS("unknown command \"frobnicate\""));
    expect(harness, TEXTS("--frobnicate"), 1, TEXTS("unknown flag: --frobnicate"));
    expect(harness, TEXTS("--config"), 1, TEXTS("flag needs an argument: --config"));
    expect(harness, TEXTS("explain"), 1, TEXTS("usage: sidejudge explain TRACE_ID"));
    expect(harness, TEXTS("status", "--api=127.0.0.1:1"), 1,
           TEXTS("no sidejudge answers at 127.0.0.1:1"));
    expect(harness, TEXTS("validate", "surplus"), 1, TEXTS("takes no argument"));
}

static void version_help_and_components_say_what_this_is(void **state)
{
    struct harness *harness = *state;
    expect(harness, TEXTS("--version"), 0, TEXTS("sidejudge version 0."));
    expect(harness, TEXTS("--help"), 0, TEXTS("validate", "doctor", "--strict", "demo"));
    expect(harness, TEXTS("components"), 0,
           TEXTS("otlp", "evaluation", "memory_limiter", "otlp_http", "deprecated_alias: otlphttp",
                 "otlp_grpc", "langfuse", "phoenix", "file", "debug", "health_check"));
    expect(harness, TEXTS("components", "--markdown"), 0,
           TEXTS("# Configuration", "usd_per_day", "hold", "### otlp_http"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(validate_names_unknown_keys_with_line_and_column),
        TEST(validate_names_unknown_component_types_and_what_there_is),
        TEST(validate_says_what_to_do_about_known_components_that_are_not_built),
        TEST(validate_names_references_to_what_is_not_configured),
        TEST(validate_names_the_place_of_a_judge_that_is_none),
        TEST(validate_refuses_a_storage_that_is_not_there),
        TEST(validate_refuses_what_cannot_be_read),
        TEST(a_sound_file_validates_silently),
        TEST(the_readmes_file_validates_and_has_at_most_ten_lines),
        TEST(configurations_come_from_variables_texts_files_and_sets_merged_in_order),
        TEST(print_config_masks_secrets),
        TEST(a_start_without_a_file_reads_the_environment),
        TEST(langfuse_gets_spans_with_its_headers_from_the_environment_alone),
        TEST(an_endpoint_that_is_our_own_listener_is_passed_over_with_one_line),
        TEST(a_broken_exporter_leaves_its_pipeline_answering_503_with_the_reason),
        TEST(a_pipeline_without_a_sound_exporter_never_acknowledges),
        TEST(strict_makes_every_fault_fatal),
        TEST(unreadable_yaml_ends_the_run),
        TEST(a_port_that_is_taken_ends_a_strict_start_with_its_reason),
        TEST(an_exporter_that_can_be_started_later_is),
        TEST(commands_and_flags_that_are_not_there_are_named),
        TEST(version_help_and_components_say_what_this_is),
    };
    return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
