// SPDX-License-Identifier: Apache-2.0
// Cross-origin requests (the Fetch standard, "CORS protocol") as the Collector answers them through
// rs/cors: which pages of browsers may send telemetry to an HTTP endpoint. Credentials are always
// allowed; the methods are GET, POST and HEAD. Pure; the server's thread.
#pragma once

#include "base/option.h"
#include "receiver/request.h"

#define CORS_FIELDS_MAX 6

struct cors_config {
    struct option_texts allowed_origins, allowed_headers, exposed_headers;
    int64_t max_age;  // seconds; 0: the browser's default
};
extern const struct option cors_options[];

struct cors {
    const struct cors_config *config;  // borrowed
    bool any_origin, any_header;
    char exposed[512], max_age[24];
};

// False: no origin is allowed, which is the same as no configuration.
bool cors_init(struct cors *cors, const struct cors_config *config);
// A browser's question before the request itself: to be answered 204, whatever the path.
bool cors_is_preflight(const struct request *request);
// The fields that a reply to this request carries, whatever the reply; returns how many. Values
// point into the request and into `cors`.
size_t cors_fields(const struct cors *cors, const struct request *request,
                   struct response_field fields[CORS_FIELDS_MAX]);
