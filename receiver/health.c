// SPDX-License-Identifier: Apache-2.0
//
// Health over gRPC, for probes that speak nothing else. It says whether this door is open, never
// whether judges or backends are well: a probe that fails for those would have the kubelet restart
// a sidecar that works. The two messages have one field each, written by hand. Watch sends the
// state once and stays open; the server ends watches when it drains, which clients read as not
// serving. Bounds: requests of REQUEST_MAX bytes. The server's thread.
#include "receiver/health.h"

#include <string.h>

#include "proto/wire.h"
#include "receiver/server_state.h"

#define REQUEST_MAX 1024

enum health {  // health.proto, HealthCheckResponse.ServingStatus
    HEALTH_SERVING = 1,
    HEALTH_NOT_SERVING = 2,
    HEALTH_SERVICE_UNKNOWN = 3,
};
enum { REQUEST_SERVICE = 1, RESPONSE_STATUS = 1 };

// Whether some gRPC route is "/<service>/...".
static bool has_service(const struct server *server, struct bytes service)
{
    for (size_t i = 0; i < server->route_count; i++) {
        const struct http_route *route = &server->routes[i];
        struct bytes path = bytes_slice(bytes_from_text(route->path), 1, SIZE_MAX);
        if ((route->protocols & REQUEST_ONLY_GRPC) && path.len > service.len &&
            path.ptr[service.len] == '/' && bytes_start_with(path, service)) {
            return true;
        }
    }
    return false;
}

static enum health health_of(const struct request *request)
{
    struct bytes service = BYTES_NONE;
    struct bytes message = bytes_from(request->body.ptr, request->body.len);
    if (wire_find(message, REQUEST_SERVICE, &service) && service.len > 0 &&
        !has_service(request->server, service)) {
        return HEALTH_SERVICE_UNKNOWN;
    }
    return server_is_draining(request->server) ? HEALTH_NOT_SERVING : HEALTH_SERVING;
}

static void reply(struct request *request, enum health health, bool is_watch)
{
    uint8_t message[2] = {RESPONSE_STATUS << 3 | WIRE_VARINT, (uint8_t)health};
    request_reply(request, &(struct response){.status = 200,
                                              .grpc_status = GRPC_OK,
                                              .body = bytes_from(message, sizeof message),
                                              .watch = is_watch});
}

static bool is_readable(struct request *request)
{
    if (request->message_is_packed) {
        request_reply_text(request, 200, GRPC_UNIMPLEMENTED,
                           "health requests are taken uncompressed");
        return false;
    }
    return true;
}

static void check(struct request *request)
{
    if (!is_readable(request)) {
        return;
    }
    enum health health = health_of(request);
    if (health == HEALTH_SERVICE_UNKNOWN) {
        request_reply_text(request, 404, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    reply(request, health, false);
}

static void watch(struct request *request)
{
    if (is_readable(request)) {
        reply(request, health_of(request), !server_is_draining(request->server));
    }
}

void health_routes(struct http_route routes[HEALTH_ROUTES])
{
    routes[0] = (struct http_route){.path = "/grpc.health.v1.Health/Check",
                                    .protocols = REQUEST_ONLY_GRPC,
                                    .is_open = true,
                                    .body_max = REQUEST_MAX,
                                    .handle = check};
    routes[1] = (struct http_route){.path = "/grpc.health.v1.Health/Watch",
                                    .protocols = REQUEST_ONLY_GRPC,
                                    .is_open = true,
                                    .body_max = REQUEST_MAX,
                                    .handle = watch};
}
