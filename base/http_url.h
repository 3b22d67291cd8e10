// SPDX-License-Identifier: Apache-2.0
// URLs of endpoints that we send to. Pure; any thread.
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

// Is `url` http(s)://host[:port][/path][?query], without user info, fragment or white space? `why`
// (may be NULL) gets a static sentence if not.
bool http_url_is_valid(struct bytes url, const char **why);
// Hosts that no proxy is asked for, as curl takes them: the environment's (no_proxy, NO_PROXY),
// then loopback, which a proxy cannot reach. On the heap; NULL: no memory.
char *http_no_proxy(void);
