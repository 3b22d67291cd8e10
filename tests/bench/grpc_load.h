// SPDX-License-Identifier: Apache-2.0
// The gRPC side of the bench's load generator: one HTTP/2 connection on nghttp2 by blocking calls.
// One thread. Bench only.
#pragma once

#include <stdint.h>

#include "base/bytes.h"

struct grpc_client;

struct grpc_client *grpc_client_new(int fd);  // borrows the descriptor
void grpc_client_free(struct grpc_client *client);
// Starts a call of TraceService/Export; copies the message. False: the connection is broken.
bool grpc_client_send(struct grpc_client *client, struct bytes message);
// Waits for one call to end; its grpc-status. False: the connection is broken.
bool grpc_client_wait(struct grpc_client *client, int *status);
