// SPDX-License-Identifier: Apache-2.0
// The exporter `langfuse`: spans and scores to Langfuse from one pair of keys, which may also stand
// in the variables that its own SDKs read. Spans go by OTLP over HTTP, scores by its ingestion
// interface (exporter/score/langfuse_scores.c); no other signals, since Langfuse has no logs
// endpoint and discards metrics.
//
// Bounds and threads: see http_export.c and sender.c.
#include "exporter/langfuse.h"

#include "exporter/langfuse_account.h"

static const struct option langfuse_options[] = {
    LANGFUSE_ACCOUNT_ROWS(struct langfuse_config),
    {.key = "relay",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .offset = offsetof(struct langfuse_config, relay),
     .doc = "Pass requests below /api/public/ that otlp receivers get on to the endpoint's host, "
            "with the agent's own credentials; paths that hold %2f, .. or // are refused."},
    SCORE_SWITCH_ROW(struct langfuse_config),
    SCORE_SINK_ROWS(struct langfuse_config),
    HTTP_EXPORT_ROWS(struct langfuse_config),
    {.key = NULL},
};

const struct exporter_ops langfuse_exporter = {
    .kind = {.type = "langfuse",
             .doc = "Spans and scores to Langfuse, with its headers, encodings and variables.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_SCORES,
             .options = langfuse_options,
             .config_size = sizeof(struct langfuse_config),
             .validate = langfuse_account_validate,
             .relay = langfuse_account_relay},
    .start = langfuse_account_start,
    SENDER_OPS,
    .score_send = score_sink_send_switched,
};
