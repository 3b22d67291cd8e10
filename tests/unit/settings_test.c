// SPDX-License-Identifier: Apache-2.0
//
// From YAML to what is to be created: every fault is named with its place, and what is sound stays
// usable beside it.

#include "service/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"

static struct config *config;
static struct settings *settings;
static struct buffer faults, warnings;
static unsigned fault_count;

static int forget(void **state)
{
    (void)state;
    settings_free(&settings);
    config_free(&config);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return 0;
}

static void load(const char *yaml)
{
    static char text[8192];
    void *unused = NULL;
    const char *source = text;
    forget(&unused);
    snprintf(text, sizeof(text), "yaml:%s", yaml);
    buffer_init(&faults, 65536);
    buffer_init(&warnings, 65536);
    assert_int_equal(config_load(&source, 1, NULL, 0, &config, &faults, &warnings), RESULT_OK);
    struct option_errors errors = {.out = &faults, .warnings = &warnings};
    settings = settings_new(config, &errors);
    fault_count = errors.count;
}

static void assert_fault(const char *text)
{
    if (strstr(buffer_text(&faults), text) == NULL) {
        print_error("wanted: %s\ngot: %s\n", text, buffer_text(&faults));
        fail();
    }
}

#define RECEIVERS "receivers: {otlp: {protocols: {grpc: , http: }}}\n"
#define EXPORTERS "exporters: {otlp_http: {endpoint: \"http://collector:4318\"}, debug: }\n"
#define SERVICE                                                                                    \
    "service: {pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "      \
    "[otlp_http]}}}\n"

static void sound_file_has_no_fault(void **state)
{
    (void)state;
    load(RECEIVERS "processors: {evaluation: }\n"
                   "exporters: {otlp_http: {endpoint: \"http://c:4318\"}}\n" SERVICE);
    assert_string_equal(buffer_text(&faults), "");
    assert_int_equal(settings->pipeline_count, 1);
    assert_int_equal(settings->pipelines[0].signal, SIGNAL_TRACES);
    assert_true(settings->exporters.items[0].used);
    assert_true(settings->api.enabled);
    assert_false(settings->health.enabled);
    assert_true(bytes_equal_text(settings->telemetry.metrics_endpoint, "localhost:8888"));
}

static void unknown_key_is_named_with_line_and_column(void **state)
{
    (void)state;
    load("receivers:\n  otlp:\n    protocols:\n      grpcc:\n" EXPORTERS SERVICE);
    assert_fault("has invalid keys: grpcc");
    assert_fault(":4:");
}

static void unknown_type_lists_the_valid_ones(void **state)
{
    (void)state;
    load("receivers: {foo: , otlp: {protocols: {http: }}}\n" EXPORTERS
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n");
    assert_fault("unknown type: \"foo\" for id: \"foo\" (valid values: [otlp])");
    assert_int_equal(settings->receivers.count, 1);
}

static void known_but_missing_component_comes_with_its_remedy(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "processors: {batch: }\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n");
    assert_fault("\"batch\" is not part of this build");
    assert_fault("sending_queue.batch");
}

static void older_type_names_are_accepted(void **state)
{
    (void)state;
    load(RECEIVERS
         "exporters: {otlphttp/a: {endpoint: \"http://c:4318\"}}\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp/a]}}}\n");
    assert_int_equal(fault_count, 0);
    assert_string_equal(settings->exporters.items[0].kind->type, "otlp_http");
}

static void reference_to_what_is_not_configured_is_a_fault(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "service: {pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "
         "[debug, nowhere]}}}\n");
    assert_fault("references processor \"evaluation\" which is not configured");
    assert_fault("references exporter \"nowhere\" which is not configured");
    assert_int_equal(fault_count, 2);
    assert_int_equal(settings->pipelines[0].exporter_count, 1);
}

static void exporter_that_does_not_take_the_signal_is_a_fault(void **state)
{
    (void)state;
    load(RECEIVERS "exporters: {langfuse: {public_key: a, secret_key: b}}\n"
                   "service: {pipelines: {logs: {receivers: [otlp], exporters: [langfuse]}}}\n");
    assert_fault("exporter \"langfuse\" does not take logs");
}

static void pipeline_without_receiver_or_exporter_is_a_fault(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS "service: {pipelines: {traces: {exporters: [debug]}, traces/2: "
                             "{receivers: [otlp]}}}\n");
    assert_fault("must have at least one receiver");
    assert_fault("must have at least one exporter");
}

static void no_pipeline_is_a_fault(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS "service: {pipelines: }\n");
    assert_fault("service must have at least one pipeline");
}

static void unknown_pipeline_type_is_a_fault(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "service: {pipelines: {profiles: {receivers: [otlp], exporters: [debug]}}}\n");
    assert_fault("unknown pipeline type \"profiles\"");
}

static void unknown_top_level_and_service_keys_are_faults(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS "exporter: {}\n"
                             "service: {pipeline: , pipelines: {traces: {receivers: [otlp], "
                             "exporters: [debug]}}}\n");
    assert_fault("has invalid keys: exporter");
    assert_fault("has invalid keys: pipeline");
}

static void fault_of_a_component_stays_on_it(void **state)
{
    (void)state;
    load(RECEIVERS "exporters: {otlp_http: {endpoint: \"http://c:4318\", timeout: soon}, debug: }\n"
                   "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http, "
                   "debug]}}}\n");
    assert_int_equal(settings->exporters.items[0].faults, 1);
    assert_non_null(strstr(settings->exporters.items[0].why, "timeout"));
    assert_int_equal(settings->exporters.items[1].faults, 0);
}

static void unused_component_is_a_warning(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n");
    assert_int_equal(fault_count, 0);
    assert_non_null(strstr(buffer_text(&warnings), "no pipeline uses it"));
}

static void prometheus_reader_moves_the_metrics_endpoint(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "service: {telemetry: {logs: {level: WARN, encoding: json}, metrics: {readers: [{pull: "
         "{exporter: {prometheus: {host: 0.0.0.0, port: 9999}}}}]}}, pipelines: {traces: "
         "{receivers: [otlp], exporters: [debug]}}}\n");
    assert_string_equal(buffer_text(&faults), "");
    assert_true(bytes_equal_text(settings->telemetry.metrics_endpoint, "0.0.0.0:9999"));
    assert_int_equal(settings->telemetry.log_level, LOG_WARN);
    assert_int_equal(settings->telemetry.log_encoding, LOG_JSON);
}

static void unknown_log_level_is_a_fault(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS "service: {telemetry: {logs: {level: loud}}, pipelines: {traces: "
                             "{receivers: [otlp], exporters: [debug]}}}\n");
    assert_fault("unrecognized level: \"loud\"");
}

static void health_check_acts_when_the_service_names_it(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "extensions: {health_check: {endpoint: \"0.0.0.0:13133\"}}\n"
         "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], exporters: "
         "[debug]}}}\n");
    assert_int_equal(fault_count, 0);
    assert_true(settings->health.enabled);
    assert_true(bytes_equal_text(settings->health.endpoint, "0.0.0.0:13133"));
}

static void storage_extension_is_not_part_of_this_build(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "extensions: {file_storage: }\n"
         "service: {extensions: [file_storage], pipelines: {traces: {receivers: [otlp], exporters: "
         "[debug]}}}\n");
    assert_fault("\"file_storage\" is not part of this build");
}

static void every_component_is_documented(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, (size_t)1 << 20);
    settings_document(&out);
    assert_int_equal(buffer_status(&out), RESULT_OK);
    assert_non_null(strstr(buffer_text(&out), "### otlp_http"));
    assert_non_null(strstr(buffer_text(&out), "usd_per_day"));
    assert_non_null(strstr(buffer_text(&out), "health_check"));
    buffer_fini(&out);
}

// docs/CONFIG.md is `sidejudge components --markdown` of a build without test components.
static void page_of_all_keys_is_the_one_in_docs(void **state)
{
    (void)state;
    struct buffer out, page;
    buffer_init(&out, (size_t)1 << 20);
    buffer_init(&page, (size_t)1 << 20);
    settings_document(&out);
    assert_int_equal(file_read(SIDEJUDGE_FIXTURES "/../../docs/CONFIG.md", &page), RESULT_OK);
    struct bytes made = buffer_view(&out), kept = buffer_view(&page);
    size_t test_from = bytes_find(made, BYTES_LITERAL("### sidejudge_test"), 0);
    size_t test_end = bytes_find(made, BYTES_LITERAL("\n## "), test_from);
    if (test_from == SIZE_MAX) {
        assert_true(bytes_equal(made, kept));
    } else {
        struct bytes head = bytes_slice(made, 0, test_from);
        struct bytes tail = bytes_slice(made, test_end, SIZE_MAX);
        assert_true(bytes_start_with(kept, bytes_trim(head)));
        assert_true(bytes_end_with(kept, tail));
    }
    buffer_fini(&out);
    buffer_fini(&page);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, forget)
    const struct CMUnitTest tests[] = {
        TEST(sound_file_has_no_fault),
        TEST(unknown_key_is_named_with_line_and_column),
        TEST(unknown_type_lists_the_valid_ones),
        TEST(known_but_missing_component_comes_with_its_remedy),
        TEST(older_type_names_are_accepted),
        TEST(reference_to_what_is_not_configured_is_a_fault),
        TEST(exporter_that_does_not_take_the_signal_is_a_fault),
        TEST(pipeline_without_receiver_or_exporter_is_a_fault),
        TEST(no_pipeline_is_a_fault),
        TEST(unknown_pipeline_type_is_a_fault),
        TEST(unknown_top_level_and_service_keys_are_faults),
        TEST(fault_of_a_component_stays_on_it),
        TEST(unused_component_is_a_warning),
        TEST(prometheus_reader_moves_the_metrics_endpoint),
        TEST(unknown_log_level_is_a_fault),
        TEST(health_check_acts_when_the_service_names_it),
        TEST(storage_extension_is_not_part_of_this_build),
        TEST(every_component_is_documented),
        TEST(page_of_all_keys_is_the_one_in_docs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
