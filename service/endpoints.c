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
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "processor/evaluation.h"
#include "receiver/server.h"
#include "service/runtime.h"

#define REPLY_MAX ((size_t)4 << 20)
#define ROUTES_MAX 8

enum { SERVER_METRICS, SERVER_HEALTH, SERVER_API, SERVER_COUNT };

static const char *const names[SERVER_COUNT] = {"metrics", "extensions::health_check",
                                                "extensions::evaluation_api"};

struct place {  // what one of them is asked to be; a copy
    bool enabled;
    char endpoint[256], path[256];
};

struct opened {
    struct place place;
    struct server *server;  // NULL: closed
    struct http_route routes[ROUTES_MAX];
};

struct endpoints {
    struct runtime *runtime;
    struct loop *loop;
    struct opened *opened[SERVER_COUNT];
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

static void reply_state(struct request *request, bool is_well, const char *well, const char *ill)
{
    request_reply_text(request, is_well ? 200 : 503, is_well ? 0 : 14, is_well ? well : ill);
}

static void handle_ready(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    reply_state(request, runtime_is_ready(endpoints->runtime), "ok\n",
                "not ready: listeners are not open, or the end has been announced\n");
}

static void handle_live(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    reply_state(request, runtime_is_alive(endpoints->runtime), "ok\n", "a loop makes no turns\n");
}

static void handle_drain(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    runtime_hurry(endpoints->runtime);
    request_reply_text(request, 200, 0, "draining\n");
}

static void handle_pipelines(struct request *request)
{
    const struct endpoints *endpoints = request->route->arg;
    struct bytes accept = request_header(request, "accept");
    bool html = bytes_find(accept, BYTES_LITERAL("text/html"), 0) != SIZE_MAX;
    struct buffer body;
    buffer_init(&body, REPLY_MAX);
    runtime_pipelines(endpoints->runtime, html, &body);
    reply_buffer(request, 200, html ? "text/html; charset=utf-8" : "application/json", &body);
}

static void route_add(struct opened *opened, struct endpoints *endpoints, const char *method,
                      const char *path, void (*handle)(struct request *request))
{
    size_t at = 0;
    while (opened->routes[at].path != NULL) {
        at++;
    }
    CHECK(at < ROUTES_MAX);
    opened->routes[at] = (struct http_route){.method = method,
                                             .path = path,
                                             .protocols = REQUEST_ANY_HTTP,
                                             .body_max = 1024,
                                             .handle = handle,
                                             .arg = endpoints};
}

static size_t health_routes_fill(struct endpoints *endpoints, struct opened *opened)
{
    bool any = strcmp(opened->place.path, "/") == 0;
    // preStop's httpGet can only GET
    route_add(opened, endpoints, "POST", "/-/drain", handle_drain);
    route_add(opened, endpoints, "GET", "/-/drain", handle_drain);
    route_add(opened, endpoints, "GET", "/readyz", handle_ready);
    route_add(opened, endpoints, "GET", "/livez", handle_live);
    route_add(opened, endpoints, "GET", opened->place.path, handle_health);
    if (any) {
        route_add(opened, endpoints, "GET", "/*", handle_health);
    }
    return any ? 6 : 5;
}

static size_t routes_fill(struct endpoints *endpoints, unsigned which, struct opened *opened)
{
    switch (which) {
    case SERVER_METRICS:
        route_add(opened, endpoints, "GET", "/metrics", handle_metrics);
        return 1;
    case SERVER_HEALTH:
        return health_routes_fill(endpoints, opened);
    default:
        route_add(opened, endpoints, "GET", "/v1/status", handle_status);
        route_add(opened, endpoints, "GET", "/v1/decisions/*", handle_decisions);
        route_add(opened, endpoints, "GET", "/debug/pipelines", handle_pipelines);
        return 3;
    }
}

static void degraded_set(unsigned which, bool degraded)
{
    static const struct metric_family family = {.name = "sidejudge_degraded",
                                                .type = METRIC_GAUGE,
                                                .help =
                                                    "1 while a component could not be created or "
                                                    "started and the process goes on without it.",
                                                .labels = {"component", NULL}};
    metric_set(metric_series(&family, &names[which]), degraded ? 1 : 0);
}

static void opened_free(struct opened **opened)
{
    if (*opened != NULL && (*opened)->server != NULL) {
        server_free(&(*opened)->server);
    }
    free(*opened);
    *opened = NULL;
}

// NULL: it cannot be opened; that has been said.
static struct opened *opened_new(struct endpoints *endpoints, unsigned which,
                                 const struct place *place)
{
    struct opened *opened = calloc(1, sizeof(*opened));
    CHECK(opened != NULL);
    opened->place = *place;
    const struct server_config config = {.connections_max = 64};
    opened->server = server_new(endpoints->loop, &config);
    server_route(opened->server, opened->routes, routes_fill(endpoints, which, opened));
    struct listen_config listen = {.endpoint = bytes_from_text(opened->place.endpoint),
                                   .takes_over = endpoints->opened[which] != NULL};
    char why[256];
    bool failed = server_listen(opened->server, &listen, why, sizeof(why)) != RESULT_OK;
    degraded_set(which, failed);
    if (failed) {
        log_line(LOG_ERROR, "service", "degraded: an endpoint of ours cannot be opened",
                 LOG_TEXT("endpoint", names[which]), LOG_TEXT("why", why));
        opened_free(&opened);
        return NULL;
    }
    log_line(LOG_INFO, "service", "listening", LOG_TEXT("for", names[which]),
             LOG_BYTES("endpoint", listen.endpoint),
             LOG_INT("port", server_port(opened->server, 0)));
    return opened;
}

static struct place place_of(const struct settings *settings, unsigned which)
{
    struct endpoint_settings from = which == SERVER_HEALTH ? settings->health : settings->api;
    if (which == SERVER_METRICS) {
        from = (struct endpoint_settings){.enabled = settings->telemetry.metrics,
                                          .endpoint = settings->telemetry.metrics_endpoint};
    }
    struct place place = {.enabled = from.enabled};
    snprintf(place.endpoint, sizeof(place.endpoint), "%.*s", BYTES_PRINTF(from.endpoint));
    snprintf(place.path, sizeof(place.path), "%.*s",
             which == SERVER_HEALTH ? (int)from.path.len : 0, (const char *)from.path.ptr);
    return place;
}

static bool place_equal(const struct place *a, const struct place *b)
{
    return a->enabled == b->enabled && strcmp(a->endpoint, b->endpoint) == 0 &&
           strcmp(a->path, b->path) == 0;
}

void endpoints_apply(struct endpoints *endpoints, const struct settings *settings)
{
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        const struct place place = place_of(settings, i);
        struct opened *old = endpoints->opened[i];
        if (old != NULL ? place_equal(&old->place, &place) : !place.enabled) {
            continue;
        }
        struct opened *opened = place.enabled ? opened_new(endpoints, i, &place) : NULL;
        if (opened != NULL || !place.enabled) {
            opened_free(&endpoints->opened[i]);
            endpoints->opened[i] = opened;
        }
    }
}

struct endpoints *endpoints_open(struct loop *loop, const struct settings *settings,
                                 struct runtime *runtime)
{
    struct endpoints *endpoints = calloc(1, sizeof(*endpoints));
    CHECK(endpoints != NULL);
    endpoints->runtime = runtime;
    endpoints->loop = loop;
    endpoints->up_since_ns = clock_wall_ns();
    endpoints_apply(endpoints, settings);
    return endpoints;
}

void endpoints_close(struct endpoints **endpoints)
{
    if (*endpoints == NULL) {
        return;
    }
    for (size_t i = 0; i < SERVER_COUNT; i++) {
        opened_free(&(*endpoints)->opened[i]);
    }
    free(*endpoints);
    *endpoints = NULL;
}
