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
         "processors: {transform: }\n"
         "service: {pipelines: {traces: {receivers: [otlp], processors: [transform], exporters: "
         "[debug]}}}\n");
    assert_fault("\"transform\" is not part of this build");
    assert_fault("Collector behind this sidecar");
    assert_int_equal(fault_count, 1);
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

static void storage_that_nobody_names_is_checked_and_said(void **state)
{
    (void)state;
    load(RECEIVERS EXPORTERS
         "extensions: {file_storage: }\n"
         "service: {extensions: [file_storage], pipelines: {traces: {receivers: [otlp], exporters: "
         "[debug]}}}\n");
    assert_int_equal(fault_count, 0);
    assert_non_null(strstr(buffer_text(&warnings), "\"file_storage\" is not used"));
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

// Files as people paste them: in the manner of backends' pages, of the operator's samples and of
// what grew over years. Each is sound, or has one fault that is told in one line.
static const struct {
    const char *name, *yaml, *fault;  // NULL: sound
} pasted[] = {
    {"a tracing backend's first page: batch and a header",
     "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: 0.0.0.0:4317\n"
     "      http:\n        endpoint: 0.0.0.0:4318\n"
     "processors:\n  batch:\n"
     "exporters:\n  otlphttp/traces:\n    endpoint: https://api.backend.example:443\n"
     "    headers:\n      x-team: ${env:TEAM_KEY:-none}\n"
     "service:\n  pipelines:\n    traces:\n      receivers: [otlp]\n      processors: [batch]\n"
     "      exporters: [otlphttp/traces]\n",
     NULL},
    {"an LLM backend over OTLP with basic authorization",
     "receivers:\n  otlp:\n    protocols:\n      http:\n"
     "processors:\n  memory_limiter:\n    check_interval: 1s\n    limit_percentage: 80\n"
     "    spike_limit_percentage: 20\n  batch: {timeout: 5s, send_batch_size: 512}\n"
     "exporters:\n  otlphttp/llm:\n    endpoint: \"https://eu.llm.example/api/public/otel\"\n"
     "    headers:\n      Authorization: \"Basic ${env:LLM_AUTH:-YTpi}\"\n  debug: {verbosity: "
     "basic}\n"
     "service:\n  pipelines:\n    traces:\n      receivers: [otlp]\n"
     "      processors: [memory_limiter, batch]\n      exporters: [otlphttp/llm, debug]\n",
     NULL},
    {"a local trace viewer: three signals, resource attributes",
     "receivers:\n  otlp:\n    protocols: {grpc: {}, http: {cors: {allowed_origins: [\"*\"]}}}\n"
     "processors:\n  resource:\n    attributes:\n      - {key: deployment.environment, value: "
     "staging, action: upsert}\n      - key: host.name\n        action: delete\n"
     "  resource/project:\n    attributes:\n    - key: project.name\n      from_attribute: "
     "service.name\n      action: insert\n"
     "exporters:\n  otlphttp: {endpoint: \"http://viewer:6006\", tls: {insecure: true}}\n"
     "service:\n  pipelines:\n"
     "    traces: {receivers: [otlp], processors: [resource, resource/project], exporters: "
     "[otlphttp]}\n"
     "    metrics: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}\n"
     "    logs: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}\n",
     NULL},
    {"an operator's sidecar: limiter, health check, telemetry on a port",
     "receivers: {otlp: {protocols: {grpc: {endpoint: \"0.0.0.0:4317\"}}}}\n"
     "processors:\n  memory_limiter:\n    check_interval: 1s\n    limit_mib: 200\n"
     "    spike_limit_mib: 50\n  batch:\n    send_batch_size: 10000\n    timeout: 10s\n"
     "extensions: {health_check: {endpoint: \"0.0.0.0:13133\"}}\n"
     "exporters: {otlphttp: {endpoint: \"http://gateway:4318\", sending_queue: {queue_size: 200}, "
     "retry_on_failure: {enabled: true}}}\n"
     "service:\n  extensions: [health_check]\n  telemetry:\n    logs: {level: \"info\"}\n"
     "    metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 8888}}}}]}\n"
     "  pipelines: {traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: "
     "[otlphttp]}}\n",
     NULL},
    {"attributes: secrets out, tenants hashed, one service left alone",
     "receivers: {otlp: {protocols: {http: }}}\n"
     "processors:\n  attributes/scrub:\n    exclude:\n      match_type: strict\n"
     "      services: [audit]\n    actions:\n"
     "    - {key: http.request.header.authorization, action: delete}\n"
     "    - {pattern: \"^llm\\\\.headers\", action: delete}\n"
     "    - {key: user.email, action: hash}\n"
     "    - {key: http.url, pattern: \"^(?P<http_scheme>.*)://(?P<http_host>[^/]*)\", action: "
     "extract}\n    - {key: retries, action: convert, converted_type: int}\n"
     "exporters: {otlphttp: {endpoint: \"http://c:4318\"}}\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [attributes/scrub], exporters: "
     "[otlphttp]}}}\n",
     NULL},
    {"zpages and pprof from a debugging page",
     "extensions: {zpages: {endpoint: \"localhost:55679\"}}\n"
     "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: {verbosity: detailed}}\n"
     "service: {extensions: [zpages], pipelines: {traces: {receivers: [otlp], exporters: "
     "[debug]}}}\n",
     "extensions: \"zpages\" is not part of this build; remove it"},
    {"tail sampling",
     "receivers: {otlp: {protocols: {grpc: }}}\n"
     "processors:\n  tail_sampling:\n    decision_wait: 10s\n    policies:\n"
     "      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}\n  batch:\n"
     "exporters: {otlphttp: {endpoint: \"http://c:4318\"}}\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [tail_sampling, batch], "
     "exporters: [otlphttp]}}}\n",
     "processors: \"tail_sampling\" is not part of this build; do it in a Collector behind"},
    {"span metrics by connector",
     "receivers: {otlp: {protocols: {grpc: }}}\nconnectors: {spanmetrics: {histogram: {explicit: "
     "}}}\n"
     "exporters: {otlphttp: {endpoint: \"http://c:4318\"}}\n"
     "service:\n  pipelines:\n    traces: {receivers: [otlp], exporters: [otlphttp, spanmetrics]}\n"
     "    metrics: {receivers: [spanmetrics], exporters: [otlphttp]}\n",
     "connectors: \"spanmetrics\" is not part of this build; do it in a Collector"},
    {"normalising attributes of LLM spans",
     "receivers: {otlp: {protocols: {http: }}}\n"
     "processors: {gen_ai_normalizer: {sources: {openinference: {remove_originals: false}}}}\n"
     "exporters: {debug: }\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [gen_ai_normalizer], "
     "exporters: [debug]}}}\n",
     "processors: \"gen_ai_normalizer\" is not part of this build; remove it"},
    {"a vendor's own exporter",
     "receivers: {otlp: {protocols: {grpc: , http: }}}\nprocessors: {batch: }\n"
     "exporters:\n  datadog:\n    api: {site: datadoghq.example, key: \"${env:DD_KEY:-x}\"}\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: "
     "[datadog]}}}\n",
     "exporters: \"datadog\" is not part of this build; use otlp_http"},
    {"the exporter that became debug",
     "receivers: {otlp: {protocols: {grpc: }}}\n"
     "exporters: {logging: {loglevel: debug}, otlphttp: {endpoint: \"http://c:4318\"}}\n"
     "service: {pipelines: {traces: {receivers: [otlp], exporters: [logging, otlphttp]}}}\n",
     "exporters: \"logging\" is not part of this build; use debug"},
    {"pods named by the API server",
     "receivers: {otlp: {protocols: {grpc: }}}\n"
     "processors: {k8sattributes: {extract: {metadata: [k8s.pod.name]}}, batch: }\n"
     "exporters: {debug: }\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [k8sattributes, batch], "
     "exporters: [debug]}}}\n",
     "processors: \"k8sattributes\" is not part of this build; set OTEL_RESOURCE_ATTRIBUTES"},
    {"scraping itself",
     "receivers:\n  otlp: {protocols: {grpc: }}\n  prometheus: {config: {scrape_configs: "
     "[{job_name: otelcol, static_configs: [{targets: [\"localhost:8888\"]}]}]}}\n"
     "exporters: {debug: }\n"
     "service:\n  pipelines:\n    metrics: {receivers: [otlp, prometheus], exporters: [debug]}\n",
     "receivers: \"prometheus\" is not part of this build; this sidecar does not scrape"},
    {"tokens fetched for each exporter",
     "extensions: {oauth2client: {client_id: a, client_secret: b, token_url: "
     "\"https://id.example/token\"}}\n"
     "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\n"
     "service: {extensions: [oauth2client], pipelines: {traces: {receivers: [otlp], exporters: "
     "[debug]}}}\n",
     "extensions: \"oauth2client\" is not part of this build; exporters take headers"},
    {"a batch that is cut smaller than it is",
     "receivers: {otlp: {protocols: {http: }}}\nprocessors: {batch: {send_batch_max_size: 1000}}\n"
     "exporters: {debug: }\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: "
     "[debug]}}}\n",
     "processors::batch: 'send_batch_max_size' must be greater or equal to 'send_batch_size'"},
    {"an attribute from the request's metadata",
     "receivers: {otlp: {protocols: {http: }}}\n"
     "processors: {attributes: {actions: [{key: tenant, from_context: metadata.x-tenant, action: "
     "insert}]}}\nexporters: {debug: }\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [attributes], exporters: "
     "[debug]}}}\n",
     "processors::attributes::actions[0]: 'from_context' is not available here"},
    {"attributes of metrics",
     "receivers: {otlp: {protocols: {http: }}}\n"
     "processors: {attributes: {actions: [{key: host, action: delete}]}}\nexporters: {debug: }\n"
     "service: {pipelines: {metrics: {receivers: [otlp], processors: [attributes], exporters: "
     "[debug]}}}\n",
     "service::pipelines::metrics: processor \"attributes\" does not take metrics"},
    {"a limiter without a limit",
     "receivers: {otlp: {protocols: {http: }}}\nprocessors: {memory_limiter: {check_interval: "
     "1s}}\n"
     "exporters: {debug: }\n"
     "service: {pipelines: {traces: {receivers: [otlp], processors: [memory_limiter], exporters: "
     "[debug]}}}\n",
     "processors::memory_limiter: 'limit_mib' or 'limit_percentage' must be greater than zero"},
};

static void pasted_files_are_sound_or_have_one_precise_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pasted) / sizeof(pasted[0]); i++) {
        load(pasted[i].yaml);
        const char *told = buffer_text(&faults);
        const char *line_end = strchr(told, '\n');
        bool is_one_line = line_end != NULL && line_end[1] == '\0';
        if (pasted[i].fault == NULL
                ? fault_count > 0
                : fault_count != 1 || !is_one_line || strstr(told, pasted[i].fault) == NULL) {
            fail_msg("%s: %u faults:\n%s", pasted[i].name, fault_count, told);
        }
    }
}

static void every_known_component_says_what_to_do(void **state)
{
    static const struct {
        const char *kind, *type, *advice;
    } rows[] = {
#define KNOWN(kind, type, advice) {kind, type, advice},
#include "service/known.def"
#undef KNOWN
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_in_range(strlen(rows[i].advice), 5, 120);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(rows[i].kind, rows[k].kind) == 0 &&
                strcmp(rows[i].type, rows[k].type) == 0) {
                fail_msg("twice: %s %s", rows[i].kind, rows[i].type);
            }
        }
    }
    for (size_t i = 0; processors[i] != NULL; i++) {
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            if (strcmp(rows[k].kind, "processors") == 0 &&
                strcmp(rows[k].type, processors[i]->kind.type) == 0) {
                fail_msg("%s is part of this build", rows[k].type);
            }
        }
    }
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
        TEST(storage_that_nobody_names_is_checked_and_said),
        TEST(every_component_is_documented),
        TEST(page_of_all_keys_is_the_one_in_docs),
        TEST(pasted_files_are_sound_or_have_one_precise_fault),
        TEST(every_known_component_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
