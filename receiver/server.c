// SPDX-License-Identifier: Apache-2.0
//
// The server's own part: its defaults, its recycled requests, the way of a request to its route,
// the sweep that looks at every connection's deadlines, and the drain. One timer sweeps all
// connections (a thousand comparisons a second), refused were timers per connection and state,
// which every request would have to set and cancel. The sweep sleeps while there is no connection.
// Bounds: server_config; FREE_REQUESTS_MAX recycled requests. The loop's thread.
#include "receiver/server.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "receiver/connection.h"
#include "receiver/http2.h"
#include "receiver/listener.h"
#include "receiver/policy.h"
#include "receiver/server_state.h"

#define SERVER_MAGIC      MAGIC('S', 'R', 'V', 'R')
#define FREE_REQUESTS_MAX 256
#define TEXT_KEEP         ((size_t)4 << 10)
#define REPLY_MAX         ((size_t)16 << 20)
#define OWN_HOME_BYTES    ((size_t)64 << 10)
#define SWEEP_NS          NS_PER_S
#define SWEEP_MIN_NS      (UINT64_C(10) * NS_PER_MS)
#define DRAIN_SWEEP_NS    (UINT64_C(20) * NS_PER_MS)

static void set_default(uint64_t *value, uint64_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

static void fill_defaults(struct server_config *config)
{
    if (config->connections_max == 0) {
        config->connections_max = 1024;
    }
    if (config->streams_max == 0) {
        config->streams_max = 100;
    }
    if (config->head_bytes_max == 0) {
        config->head_bytes_max = (size_t)64 << 10;
    }
    set_default(&config->head_timeout_ns, 10 * NS_PER_S);
    set_default(&config->body_timeout_ns, 30 * NS_PER_S);
    set_default(&config->write_timeout_ns, 30 * NS_PER_S);
    set_default(&config->idle_timeout_ns, 300 * NS_PER_S);
    set_default(&config->ping_after_ns, 7200 * NS_PER_S);
    set_default(&config->ping_timeout_ns, 20 * NS_PER_S);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// Often enough for the shortest deadline to be met within a quarter of itself.
static uint64_t sweep_interval(const struct server_config *config)
{
    uint64_t shortest = least(least(config->head_timeout_ns, config->body_timeout_ns),
                              least(config->write_timeout_ns, config->idle_timeout_ns));
    shortest = least(shortest, least(config->ping_after_ns, config->ping_timeout_ns));
    shortest = config->request_timeout_ns > 0 ? least(shortest, config->request_timeout_ns)
                                              : shortest;
    shortest = config->age_max_ns > 0 ? least(shortest, config->age_max_ns) : shortest;
    shortest = least(shortest / 4, SWEEP_NS);
    return shortest > SWEEP_MIN_NS ? shortest : SWEEP_MIN_NS;
}

void server_init_core(struct server *server, const struct server_config *config)
{
    memset(server, 0, sizeof *server);
    server->magic = SERVER_MAGIC;
    server->config = *config;
    fill_defaults(&server->config);
    server->home = config->home;
    if (!server->home) {
        server->home = server->own_home = batch_home_new(NULL, OWN_HOME_BYTES);
    }
    server->http2 = http2_setup_new();
}

void server_fini_core(struct server *server)
{
    while (server->free_requests) {
        struct request *request = server->free_requests;
        server->free_requests = request->next;
        buffer_fini(&request->text);
        buffer_fini(&request->reply);
        free(request);
    }
    http2_setup_free(&server->http2);
    if (server->own_home) {
        batch_home_close(server->own_home);
    }
}

uint64_t server_now_ns(const struct server *server)
{
    return server->loop ? loop_now_ns(server->loop) : 0;
}

const char *server_date(struct server *server)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t now_s = server_now_ns(server) / NS_PER_S + 1;
    if (server->date_s != now_s) {
        time_t wall = (time_t)(clock_wall_ns() / NS_PER_S);
        struct tm parts;
        gmtime_r(&wall, &parts);
        snprintf(server->date, sizeof server->date, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                 days[parts.tm_wday], (unsigned)parts.tm_mday % 100, months[parts.tm_mon],
                 (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)parts.tm_hour % 100,
                 (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100);
        server->date_s = now_s;
    }
    return server->date;
}

struct request *server_take_request(struct server *server)
{
    struct request *request = server->free_requests;
    if (request) {
        server->free_requests = request->next;
        server->free_count--;
    } else {
        request = calloc(1, sizeof *request);
        CHECK(request);
        buffer_init(&request->text, server->config.head_bytes_max);
        buffer_init(&request->reply, REPLY_MAX);
    }
    struct buffer text = request->text;
    struct buffer reply = request->reply;
    memset(request, 0, offsetof(struct request, headers));
    request->text = text;
    request->reply = reply;
    request->magic = REQUEST_MAGIC;
    request->server = server;
    request->deadline_ns = UINT64_MAX;
    return request;
}

static void keep_modest(struct buffer *buffer)
{
    size_t len_max = buffer->len_max;
    if (buffer->capacity > TEXT_KEEP) {
        buffer_fini(buffer);
        buffer_init(buffer, len_max);
    } else {
        buffer_reset(buffer);
    }
}

void server_give_request(struct server *server, struct request *request)
{
    if (!request) {
        return;
    }
    CHECK(request->magic == REQUEST_MAGIC && request->server == server);
    request->magic = 0;
    slab_drop(server->home, &request->body);
    if (server->free_count == FREE_REQUESTS_MAX) {
        buffer_fini(&request->text);
        buffer_fini(&request->reply);
        free(request);
        return;
    }
    keep_modest(&request->text);
    keep_modest(&request->reply);
    request->next = server->free_requests;
    server->free_requests = request;
    server->free_count++;
}

// "/package.Service/Method" is unknown as a service or as a method; grpc-go's wording.
static void reply_unknown_call(struct request *request)
{
    char text[256];
    struct bytes path = bytes_slice(request->path, 1, 200);
    size_t slash = bytes_find(path, BYTES_LITERAL("/"), 0);
    struct bytes service = bytes_slice(path, 0, slash);
    struct bytes method = slash == SIZE_MAX ? BYTES_NONE : bytes_slice(path, slash + 1, SIZE_MAX);
    bool is_known = false;
    const struct server *server = request->server;
    for (size_t i = 0; i < server->route_count && slash != SIZE_MAX; i++) {
        const struct http_route *route = &server->routes[i];
        struct bytes other = bytes_slice(bytes_from_text(route->path), 1, SIZE_MAX);
        is_known |= (route->protocols & REQUEST_ONLY_GRPC) && other.len > slash &&
                    bytes_start_with(other, bytes_slice(path, 0, slash + 1));
    }
    if (is_known) {
        snprintf(text, sizeof text, "unknown method %.*s for service %.*s", BYTES_PRINTF(method),
                 BYTES_PRINTF(service));
    } else {
        snprintf(text, sizeof text, "unknown service %.*s", BYTES_PRINTF(service));
    }
    request_reply_text(request, 404, GRPC_UNIMPLEMENTED, text);
}

static void reply_wrong_method(struct request *request, const char *allow)
{
    char text[64];
    snprintf(text, sizeof text, "405 method not allowed, supported: [%s]", allow);
    request_reply(request, &(struct response){.status = 405,
                                              .content_type = "text/plain",
                                              .body = bytes_from_text(text),
                                              .allow = allow});
}

bool server_admit(struct server *server, struct request *request)
{
    const char *allow;
    request->stage = REQUEST_BODY;
    request->received_ns = server_now_ns(server);
    request->route = route_find(server->routes, server->route_count, request, &allow);
    const struct listen_policy *policy = request_policy(request);
    if (policy && !policy_admit(policy, request, request->route)) {
        return false;
    }
    if (request->route) {
        return !request->route->admit || request->route->admit(request);
    }
    if (request->protocol == REQUEST_GRPC) {
        reply_unknown_call(request);
    } else if (allow) {
        reply_wrong_method(request, allow);
    } else {
        request_reply_text(request, 404, GRPC_UNIMPLEMENTED, "404 page not found\n");
    }
    return false;
}

void server_handle(struct server *server, struct request *request)
{
    CHECK(request->stage == REQUEST_BODY && request->server == server);
    request->stage = REQUEST_HANDLED;
    request->route->handle(request);
}

static void finish_drain(struct server *server)
{
    if (server->draining && !server->connections && server->drained) {
        void (*done)(void *arg) = server->drained;
        server->drained = NULL;
        done(server->drained_arg);
    }
}

static bool on_turn(void *arg, uint64_t now_ns)
{
    (void)now_ns;
    struct server *server = arg;
    CHECK(server->magic == SERVER_MAGIC);
    connection_resume_woken(server);
    batch_home_sweep(server->home);
    finish_drain(server);
    return server->woken != NULL;
}

static void on_sweep(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct server *server = arg;
    CHECK(server->magic == SERVER_MAGIC);
    bool is_late = server->draining && now_ns >= server->drain_deadline_ns;
    struct connection *next;
    for (struct connection *it = server->connections; it; it = next) {
        next = connection_next(it);
        if (is_late) {
            connection_close(it);
        } else {
            connection_sweep(it, now_ns);
        }
    }
    if (server->connections) {
        loop_set_timer(server->loop, timer, now_ns + server->sweep_ns);
    }
}

struct server *server_new(struct loop *loop, const struct server_config *config)
{
    struct server *server = calloc(1, sizeof *server);
    CHECK(server && loop);
    server_init_core(server, config);
    server->loop = loop;
    server->sweep_ns = sweep_interval(&server->config);
    server->read_buffer = malloc(SERVER_READ_BYTES);
    CHECK(server->read_buffer);
    timer_init(&server->sweep, on_sweep, server);
    server->hook = (struct loop_hook){.turn = on_turn, .arg = server};
    loop_add_hook(loop, &server->hook);
    return server;
}

void server_route(struct server *server, const struct http_route *routes, size_t count)
{
    CHECK(!server->routes);
    server->routes = routes;
    server->route_count = count;
}

enum result server_listen(struct server *server, const struct listen_config *config, char *why,
                          size_t why_len)
{
    CHECK(server->listener_count < SERVER_LISTENERS_MAX && !server->draining);
    struct listener *listener;
    enum result result = listener_open(server, config, &listener, why, why_len);
    if (result == RESULT_OK) {
        server->listeners[server->listener_count++] = listener;
    }
    return result;
}

int server_listen_fd(const struct server *server, unsigned index)
{
    CHECK(index < server->listener_count);
    return listener_fd(server->listeners[index]);
}

uint16_t server_port(const struct server *server, unsigned index)
{
    CHECK(index < server->listener_count);
    return listener_port(server->listeners[index]);
}

static void close_listeners(struct server *server)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        listener_close(&server->listeners[i]);
    }
    server->listener_count = 0;
}

void server_drain(struct server *server, uint64_t deadline_ns, void (*done)(void *arg), void *arg)
{
    CHECK(!server->draining);
    for (unsigned i = 0; i < server->listener_count; i++) {
        listener_accept_rest(server->listeners[i]);
    }
    server->draining = true;
    server->drain_deadline_ns = deadline_ns;
    server->drained = done;
    server->drained_arg = arg;
    server->sweep_ns = least(server->sweep_ns, DRAIN_SWEEP_NS);
    close_listeners(server);
    for (struct connection *it = server->connections; it; it = connection_next(it)) {
        connection_drain(it);
    }
    loop_set_timer(server->loop, &server->sweep, server_now_ns(server));
}

void server_drain_by(struct server *server, uint64_t deadline_ns)
{
    CHECK(server->draining);
    server->drain_deadline_ns = least(server->drain_deadline_ns, deadline_ns);
}

bool server_is_draining(const struct server *server)
{
    return server->draining;
}

void server_counts(const struct server *server, struct server_counts *counts)
{
    *counts = server->counts;
}

unsigned server_connection_count(const struct server *server)
{
    return atomic_load_explicit(&server->connection_count, memory_order_relaxed);
}

void server_free(struct server **server)
{
    struct server *it = *server;
    if (!it) {
        return;
    }
    close_listeners(it);
    while (it->connections) {
        connection_close(it->connections);
    }
    loop_cancel_timer(it->loop, &it->sweep);
    loop_remove_hook(it->loop, &it->hook);
    server_fini_core(it);
    free(it->read_buffer);
    it->magic = 0;
    free(it);
    *server = NULL;
}
