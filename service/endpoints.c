// SPDX-License-Identifier: Apache-2.0
//
// Three small servers on the main loop, made from the receiver's server library. The paths are
// rows of tables.
//
// Refused: a thread or a library of their own for them; they are asked once in seconds. Bounds: 64
// connections each, 4 MiB replies. Main loop's thread.

#include "service/endpoints.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "processor/evaluation.h"
#include "receiver/server.h"
#include "service/runtime.h"

#define REPLY_MAX ((size_t)4 << 20)

enum { SERVER_METRICS, SERVER_HEALTH, SERVER_API, SERVER_COUNT };

struct endpoints {
    struct runtime *runtime;
    struct server *servers[SERVER_COUNT];
    struct http_route routes[SERVER_COUNT][4];
    uint64_t up_since_ns;  // wall
};

static void reply_buffer(struct request *request, int status, const char *type, struct buffer *body)
{
    if (buffer_status(body) != RESULT_OK) {
        request_reply_text(request, 500, 13, "the reply is larger than its bound");
    } else {
        request_reply(
            request,
            &(struct response){.status = status, .content_type = type, .body = buffer_view(body)});
    }
    buffer_fini(body);
}

// What the Collector tells of its own process, under its names.
static void process_metrics(const struct endpoints *endpoints)
{
    static const struct metric_family uptime = {
        .name = "otelcol_process_uptime", .type = METRIC_GAUGE, .help = "Seconds since the start."};
    static const struct metric_family cpu = {
        .name = "otelcol_process_cpu_seconds",
        .type = METRIC_GAUGE,
        .help = "User and system CPU time of this process in seconds."};
    static const struct metric_family resident = {.name = "otelcol_process_memory_rss",
                                                  .type = METRIC_GAUGE,
                                                  .help = "Resident memory in bytes."};
    metric_set(metric_plain(&uptime),
               (double)(clock_wall_ns() - endpoints->up_since_ns) / (double)NS_PER_S);
    metric_set(metric_plain(&cpu), (double)clock_process_cpu_ns() / (double)NS_PER_S);
    metric_set(metric_plain(&resident), (double)account_process_rss());
}

static void handle_metrics(struct request *request)
{
    struct buffer body;
    process_metrics(request->route->arg);
    buffer_init(&body, REPLY_MAX);
    metrics_write(&body);
    reply_buffer(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

// The health_check extension's answer: the process is up. Nothing that a judge or a backend does
// changes it.
static void handle_health(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    char since[25];
    clock_format(endpoints->up_since_ns, since);
    uint64_t up_s = (clock_wall_ns() - endpoints->up_since_ns) / NS_PER_S;
    struct buffer body;
    buffer_init(&body, REPLY_MAX);
    buffer_printf(
        &body, "{\"status\":\"Server available\",\"upSince\":\"%s\",\"uptime\":\"%" PRIu64 "s\"}",
        since, up_s);
    reply_buffer(request, 200, "application/json", &body);
}

static void handle_status(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    struct buffer body;
    buffer_init(&body, REPLY_MAX);
    runtime_status(endpoints->runtime, &body);
    reply_buffer(request, 200, "application/json", &body);
}

static void handle_decisions(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    struct processor *evaluation = runtime_evaluation(endpoints->runtime);
    struct trace_id trace_id;
    if (!hex_decode(request_rest(request), trace_id.bytes, sizeof(trace_id.bytes))) {
        request_reply_text(request, 400, 3, "a trace id is 32 hexadecimal digits");
        return;
    }
    if (evaluation == NULL) {
        request_reply_text(request, 404, 5, "this process runs no evaluation processor");
        return;
    }
    struct buffer body;
    buffer_init(&body, REPLY_MAX);
    if (!ledger_explain(evaluation_ledger(evaluation), &trace_id, &body)) {
        buffer_fini(&body);
        request_reply_text(request, 404, 5,
                           "no decision about this trace is on record: it never came by, its "
                           "interactions are still "
                           "open, or its row has left the ledger (100,000 rows)");
        return;
    }
    reply_buffer(request, 200, "application/json", &body);
}

static struct server *endpoint_open(struct loop *loop, struct http_route *routes, size_t count,
                                    struct bytes endpoint, const char *what)
{
    static const struct metric_family degraded = {.name = "sidejudge_degraded",
                                                  .type = METRIC_GAUGE,
                                                  .help =
                                                      "1 while a component could not be created or "
                                                      "started and the process goes on without it.",
                                                  .labels = {"component", NULL}};
    struct server_config config = {.connections_max = 64};
    struct server *server = server_new(loop, &config);
    server_route(server, routes, count);
    struct listen_config listen = {.endpoint = endpoint};
    char why[256];
    if (server_listen(server, &listen, why, sizeof(why)) != RESULT_OK) {
        log_line(LOG_ERROR, "service", "degraded: an endpoint of ours cannot be opened",
                 LOG_TEXT("endpoint", what), LOG_TEXT("why", why));
        metric_set(metric_series(&degraded, (const char *const[]){what}), 1);
    } else {
        log_line(LOG_INFO, "service", "listening", LOG_TEXT("for", what),
                 LOG_BYTES("endpoint", endpoint), LOG_INT("port", server_port(server, 0)));
    }
    return server;
}

struct endpoints *endpoints_open(struct loop *loop, const struct settings *settings,
                                 struct runtime *runtime)
{
    struct endpoints *endpoints = calloc(1, sizeof(*endpoints));
    CHECK(endpoints != NULL);
    endpoints->runtime = runtime;
    endpoints->up_since_ns = clock_wall_ns();
    struct http_route route = {
        .method = "GET", .protocols = REQUEST_ANY_HTTP, .body_max = 1024, .arg = endpoints};
    if (settings->telemetry.metrics) {
        struct http_route *routes = endpoints->routes[SERVER_METRICS];
        routes[0] = route;
        routes[0].path = "/metrics";
        routes[0].handle = handle_metrics;
        endpoints->servers[SERVER_METRICS] =
            endpoint_open(loop, routes, 1, settings->telemetry.metrics_endpoint, "metrics");
    }
    if (settings->health.enabled) {
        struct http_route *routes = endpoints->routes[SERVER_HEALTH];
        bool any = bytes_equal_text(settings->health.path, "/");
        routes[0] = route;
        routes[0].path = any ? "/*" : (const char *)settings->health.path.ptr;
        routes[0].handle = handle_health;
        routes[1] = routes[0];
        routes[1].path = any ? "/" : routes[0].path;
        endpoints->servers[SERVER_HEALTH] =
            endpoint_open(loop, routes, 2, settings->health.endpoint, "extensions::health_check");
    }
    struct http_route *routes = endpoints->routes[SERVER_API];
    routes[0] = routes[1] = route;
    routes[0].path = "/v1/status";
    routes[0].handle = handle_status;
    routes[1].path = "/v1/decisions/*";
    routes[1].handle = handle_decisions;
    endpoints->servers[SERVER_API] =
        endpoint_open(loop, routes, 2, settings->api.endpoint, "extensions::evaluation_api");
    return endpoints;
}

void endpoints_close(struct endpoints **endpoints)
{
    if (*endpoints == NULL) {
        return;
    }
    for (size_t i = 0; i < SERVER_COUNT; i++) {
        if ((*endpoints)->servers[i] != NULL) {
            server_free(&(*endpoints)->servers[i]);
        }
    }
    free(*endpoints);
    *endpoints = NULL;
}
