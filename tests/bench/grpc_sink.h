// SPDX-License-Identifier: Apache-2.0
// The gRPC side of the bench's backend: one HTTP/2 connection on nghttp2, every call answered with
// an empty message and status 0. Bench only.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"

// Serves the connection until it ends, on the caller's thread, by blocking calls. `first` is what
// has been read of it already. Adds to the two counts; bytes are those of messages.
void grpc_sink_serve(int fd, struct bytes first, _Atomic uint64_t *requests,
                     _Atomic uint64_t *bytes);
