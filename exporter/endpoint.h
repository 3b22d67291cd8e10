// SPDX-License-Identifier: Apache-2.0
// Where a backend is: the forms in which people write it ("host:port", "http://host:port/path",
// "dns:///host:port", "unix:///path") taken apart, and whether it is one of our own listeners.
// Views into the given text. Pure; any thread.
#pragma once

#include "base/bytes.h"
#include "proto/component.h"

struct endpoint {
    struct bytes scheme;  // "http", "https", "dns", "unix"; empty when none was written
    struct bytes host;    // without brackets
    struct bytes port;    // empty when none was written
    struct bytes path;    // from the first slash on; may be empty
};

bool endpoint_parse(struct bytes text, struct endpoint *endpoint);
// One of env->own_addresses: "localhost", the loopback addresses and the wildcards are one host.
bool endpoint_is_own(const struct endpoint *endpoint, const struct component_env *env);
bool endpoint_is_loopback(const struct endpoint *endpoint);
// The path behind "unix:" or "unix://"; empty: it is no unix endpoint.
struct bytes endpoint_unix_path(struct bytes text);
