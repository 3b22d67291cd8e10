// SPDX-License-Identifier: Apache-2.0
// Where a Phoenix is and who we are there: keys that the exporters `phoenix` and
// `phoenix_annotations` share, and the variables of Phoenix's own SDKs behind them.
#pragma once

#include "exporter/http_export.h"
#include "exporter/score/score_sink.h"

struct phoenix_config {  // of both kinds
    struct score_sink_config sink;
    struct http_export_config http;
    struct bytes endpoint, api_key, project_name;
};

#define PHOENIX_ACCOUNT_ROWS(type)                                                                 \
    {.key = "endpoint",                                                                            \
     .kind = OPTION_TEXT,                                                                          \
     .offset = offsetof(type, endpoint),                                                           \
     .doc = "Base URL. When absent: PHOENIX_COLLECTOR_ENDPOINT, else http://localhost:6006."},     \
    {                                                                                              \
        .key = "api_key", .kind = OPTION_SECRET, .offset = offsetof(type, api_key),                \
        .doc = "When absent: PHOENIX_API_KEY; without either no authorisation is sent."            \
    }

// Both for a configuration struct phoenix_config.
void phoenix_account_validate(const void *config, const struct config_node *node, const char *path,
                              struct option_errors *errors);
// With the encoder for scores.
enum result phoenix_account_start(const struct component_env *env, const void *config,
                                  struct exporter **exporter, char *why, size_t why_len) MUST_USE;
