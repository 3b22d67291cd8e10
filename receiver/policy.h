// SPDX-License-Identifier: Apache-2.0
// What holds for every request of a listener, whatever its protocol and route: who may come in,
// which pages may ask, which headers travel with the telemetry. By listener and not by protocol,
// because every port takes every protocol: a call over gRPC on the HTTP port meets the HTTP port's
// rules. Immutable while the server runs.
#pragma once

#include "base/authenticator.h"
#include "receiver/cors.h"

struct listen_policy {
    struct authenticator *authenticator;  // borrowed; NULL: everybody may
    const struct cors *cors;              // borrowed; NULL: none
    const struct bytes *metadata_keys;    // borrowed; headers that are kept, lower case
    size_t metadata_key_count;
    // Counts a request that was not let in. Optional.
    void (*refused)(void *arg, const struct request *request, enum result result);
    void *arg;
};

// The head is complete, nothing of the body was kept: answers preflights, and requests without a
// good credential (401 with WWW-Authenticate, UNAUTHENTICATED). True: go on. `route` may be NULL.
bool policy_admit(const struct listen_policy *policy, struct request *request,
                  const struct http_route *route);
// The kept headers of a request; *metadata gets a reference, or NULL when there is none.
// RESULT_REJECT: one stands there twice or holds what cannot be passed on; RESULT_TOO_LARGE.
enum result policy_metadata(const struct listen_policy *policy, const struct request *request,
                            struct metadata **metadata) MUST_USE;
