// SPDX-License-Identifier: Apache-2.0
// Where a Langfuse project is and who we are there: keys that the exporters `langfuse` and
// `langfuse_scores` share, and the variables of Langfuse's own SDKs behind them.
#pragma once

#include "exporter/http_export.h"
#include "exporter/score/score_sink.h"

struct langfuse_account {
    struct bytes public_key, secret_key;
    struct bytes endpoint, base_url;
};

struct langfuse_config {  // of both kinds
    struct score_sink_config sink;
    struct http_export_config http;
    struct langfuse_account account;
    bool relay;  // of the kind `langfuse`
};

#define LANGFUSE_ACCOUNT_ROWS(type)                                                                \
    {.key = "public_key",                                                                          \
     .kind = OPTION_SECRET,                                                                        \
     .offset = offsetof(type, account.public_key),                                                 \
     .doc = "When absent: LANGFUSE_PUBLIC_KEY."},                                                  \
        {.key = "secret_key",                                                                      \
         .kind = OPTION_SECRET,                                                                    \
         .offset = offsetof(type, account.secret_key),                                             \
         .doc = "When absent: LANGFUSE_SECRET_KEY."},                                              \
        {.key = "endpoint",                                                                        \
         .kind = OPTION_TEXT,                                                                      \
         .offset = offsetof(type, account.endpoint),                                               \
         .doc = "Base URL. When absent: LANGFUSE_BASE_URL or LANGFUSE_HOST, else "                 \
                "https://cloud.langfuse.com."},                                                    \
    {                                                                                              \
        .key = "base_url", .kind = OPTION_TEXT, .offset = offsetof(type, account.base_url),        \
        .doc = "The same as endpoint."                                                             \
    }

// Both for a configuration struct langfuse_config.
void langfuse_account_validate(const void *config, const struct config_node *node, const char *path,
                               struct option_errors *errors);
// component_kind.relay: where requests to Langfuse's own API go, when `relay` is on.
bool langfuse_account_relay(const void *config, struct relay_target *target);
// With the encoder for scores.
enum result langfuse_account_start(const struct component_env *env, const void *config,
                                   struct exporter **exporter, char *why, size_t why_len) MUST_USE;
