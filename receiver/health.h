// SPDX-License-Identifier: Apache-2.0
// The gRPC health service (grpc/doc/health-checking.md, grpc.health.v1.Health): Check and Watch.
// SERVING while the server accepts, for "" and every service that it has a route of; NOT_SERVING
// while it drains. The server's thread.
#pragma once

#include "receiver/request.h"

#define HEALTH_ROUTES 2

// Fills `routes` with the two rows.
void health_routes(struct http_route routes[HEALTH_ROUTES]);
