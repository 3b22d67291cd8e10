// SPDX-License-Identifier: Apache-2.0
//
// Runs the real thing: a configuration text through the ordinary loader, the ordinary runtime, an
// ordinary HTTP client in front.
//
// Nothing on a stage is special but the ports. Bounds: 30 s of waiting.
//
// Main thread.

#include "service/demo/demo_stage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "processor/evaluation.h"

#define WAIT_NS (30 * NS_PER_S)

struct demo_stage {
    struct demo_stage_config with;
    struct config *config;
    struct settings *settings;
    struct runtime *runtime;
    struct http_client *client;
    char url[64];
    unsigned pending, refused;
};

static void yaml_write(const struct demo_stage_config *with, uint16_t port, struct buffer *out)
{
    buffer_printf(out,
                  "yaml:receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}\n"
                  "processors:\n  evaluation:\n    sampling: {baseline: \"%g\"}\n"
                  "    budget: {usd_per_day: 2000, calls_per_second: 1000}\n",
                  port, with->baseline);
    if (with->live_judge != NULL) {
        buffer_append_text(out, "    judge: \"${env:SIDEJUDGE_JUDGE}\"\n");
    } else {
        buffer_printf(out,
                      "    judges: {default: {api: openai, endpoint: \"http://127.0.0.1:%u/v1\", "
                      "model: scripted,\n"
                      "      max_retries: 0, price: {input_per_mtok: 1, output_per_mtok: 5}}}\n",
                      demo_peers_judge_port(with->peers));
    }
    buffer_printf(out,
                  "exporters: {otlp_http: {endpoint: \"http://127.0.0.1:%u\", compression: none}}\n"
                  "service:\n  telemetry: {logs: {level: error}, metrics: {level: none}}\n"
                  "  pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "
                  "[otlp_http]}}\n",
                  demo_peers_backend_port(with->peers));
}

static enum result stage_configure(struct demo_stage *stage, uint16_t port, char *why,
                                   size_t why_len)
{
    struct buffer yaml, errors, warnings;
    buffer_init(&yaml, 65536);
    buffer_init(&errors, 65536);
    buffer_init(&warnings, 65536);
    yaml_write(&stage->with, port, &yaml);
    const char *source = buffer_text(&yaml);
    enum result result = config_load(&source, 1, NULL, 0, &stage->config, &errors, &warnings);
    if (result == RESULT_OK) {
        struct option_errors collected = {.out = &errors, .warnings = &warnings};
        stage->settings = settings_new(stage->config, &collected);
        result = collected.count > 0 ? RESULT_FAIL : RESULT_OK;
    }
    snprintf(why, why_len, "%s", buffer_text(&errors));
    buffer_fini(&yaml);
    buffer_fini(&errors);
    buffer_fini(&warnings);
    return result == RESULT_OK ? RESULT_OK : RESULT_FAIL;
}

enum result demo_stage_open(const struct demo_stage_config *config, struct demo_stage **out,
                            char *why, size_t why_len)
{
    struct demo_stage *stage = calloc(1, sizeof(*stage));
    CHECK(stage != NULL);
    stage->with = *config;
    uint16_t port = demo_free_port();
    snprintf(stage->url, sizeof(stage->url), "http://127.0.0.1:%u/v1/traces", port);
    const struct runtime_options options = {.strict = true, .quiet = true, .without_servers = true};
    const struct http_client_config client = {.user_agent = "demo-agent", .connections_max = 4};
    if (stage_configure(stage, port, why, why_len) != RESULT_OK ||
        runtime_start(stage->settings, &options, &stage->runtime, why, why_len) != RESULT_OK ||
        http_client_new(config->loop, &client, &stage->client, why, why_len) != RESULT_OK) {
        demo_stage_close(&stage);
        return RESULT_FAIL;
    }
    *out = stage;
    return RESULT_OK;
}

void demo_stage_close(struct demo_stage **stage)
{
    if ((*stage)->client != NULL) {
        http_client_free((*stage)->client);
    }
    runtime_free(&(*stage)->runtime);
    settings_free(&(*stage)->settings);
    config_free(&(*stage)->config);
    free(*stage);
    *stage = NULL;
}

struct sending {
    struct demo_stage *stage;
    struct buffer body;
};

static void sent(void *arg, const struct http_response *response)
{
    struct sending *sending = arg;
    sending->stage->pending--;
    sending->stage->refused += response->result != RESULT_OK || response->status != 200;
    buffer_fini(&sending->body);
    free(sending);
}

void demo_stage_send(struct demo_stage *stage, struct bytes json)
{
    static const struct http_header headers[] = {{"Content-Type", "application/json"}};
    struct sending *sending = calloc(1, sizeof(*sending));
    CHECK(sending != NULL);
    sending->stage = stage;
    buffer_init(&sending->body, json.len);
    buffer_append_bytes(&sending->body, json);
    const struct http_request request = {.method = "POST",
                                         .url = stage->url,
                                         .headers = headers,
                                         .header_count = 1,
                                         .body = buffer_view(&sending->body),
                                         .timeout_ns = 10 * NS_PER_S};
    stage->pending++;
    (void)http_client_send(stage->client, &request, sent, sending);
}

struct processor *demo_stage_evaluation(struct demo_stage *stage)
{
    return runtime_evaluation(stage->runtime);
}

uint64_t demo_stage_decided(struct demo_stage *stage)
{
    uint64_t decided = 0;
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        decided += ledger_count(evaluation_ledger(demo_stage_evaluation(stage)), (enum decision)i);
    }
    return decided;
}

unsigned demo_stage_refused(const struct demo_stage *stage)
{
    return stage->refused;
}

bool demo_stage_wait(struct demo_stage *stage, uint64_t decisions, unsigned spans)
{
    uint64_t give_up_ns = clock_mono_ns() + WAIT_NS;
    while (clock_mono_ns() < give_up_ns) {
        loop_run_once(stage->with.loop, 20);
        loop_run_once(runtime_loop(stage->runtime), 0);
        if (stage->pending == 0 && demo_stage_decided(stage) >= decisions &&
            demo_peers_span_count(stage->with.peers) >= spans) {
            return true;
        }
    }
    return false;
}
