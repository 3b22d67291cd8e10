// SPDX-License-Identifier: Apache-2.0
//
// Order as in the Collector: a preflight is answered before anybody is asked who he is, because
// browsers send none of their credentials with it; then the credential; then the route is looked
// at. A path that does not exist is thus not told from one that does without a credential. Health
// over gRPC stays open: probes have no credential, and it says nothing but "serving". Two headers
// of one name are refused, since proxies differ in which one they mean. The server's thread.
#include "receiver/policy.h"

#include <stdio.h>

#include "base/loop.h"
#include "receiver/server_state.h"

static void refuse(const struct listen_policy *policy, struct request *request, enum result result,
                   const char *text)
{
    bool is_denied = result == RESULT_DENY;
    if (policy->refused) {
        policy->refused(policy->arg, request, result);
    }
    request_reply(
        request,
        &(struct response){.status = is_denied ? 401 : 503,
                           .grpc_status = is_denied ? GRPC_UNAUTHENTICATED : GRPC_UNAVAILABLE,
                           .content_type = "text/plain; charset=utf-8",
                           .body = bytes_from_text(text),
                           .message = bytes_from_text(text),
                           .authenticate =
                               is_denied ? authenticator_challenge(policy->authenticator) : NULL,
                           .retry_after_s = is_denied ? 0 : 1});
}

bool policy_admit(const struct listen_policy *policy, struct request *request,
                  const struct http_route *route)
{
    if (policy->cors && cors_is_preflight(request)) {
        request_reply(request, &(struct response){.status = 204});
        return false;
    }
    if (!policy->authenticator || (route && route->is_open)) {
        return true;
    }
    const char *name = authenticator_header(policy->authenticator);
    unsigned count = request_header_count(request, name);
    enum result result = RESULT_DENY;
    if (count == 1) {
        result = authenticator_check(policy->authenticator, request_header(request, name),
                                     server_now_ns(request->server));
    }
    if (result == RESULT_OK) {
        return true;
    }
    refuse(policy, request, result,
           count == 0              ? "no authorization provided"
           : count > 1             ? "authorization is given more than once"
           : result == RESULT_DENY ? "the credential is not accepted"
                                   : "the credential cannot be verified at the moment");
    return false;
}

// What HTTP and gRPC both carry onward.
static bool is_passable(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < ' ' || value.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

enum result policy_metadata(const struct listen_policy *policy, const struct request *request,
                            struct metadata **metadata)
{
    struct metadata_pair pairs[METADATA_PAIRS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < policy->metadata_key_count && i < METADATA_PAIRS_MAX; i++) {
        char name[128];
        struct bytes key = policy->metadata_keys[i];
        snprintf(name, sizeof name, "%.*s", BYTES_PRINTF(key));
        unsigned times = request_header_count(request, name);
        struct bytes value = request_header(request, name);
        if (times > 1 || !is_passable(value)) {
            return RESULT_REJECT;
        }
        if (times == 1) {
            pairs[count++] = (struct metadata_pair){key, value};
        }
    }
    return metadata_make(pairs, count, metadata);
}
