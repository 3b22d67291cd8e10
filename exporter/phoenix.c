// SPDX-License-Identifier: Apache-2.0
// The exporter `phoenix`: spans and scores to Arize Phoenix under the variables that its own SDKs
// read. Spans go by OTLP over HTTP with its exact content type, scores as annotations
// (exporter/score/phoenix_annotations.c); Phoenix takes neither logs nor metrics. A malformed
// request is 422 there, which the delivery treats as 400 for every backend.
//
// Bounds and threads: see http_export.c and sender.c.
#include "exporter/phoenix.h"

#include "exporter/phoenix_account.h"

static const struct option phoenix_options[] = {
    PHOENIX_ACCOUNT_ROWS(struct phoenix_config),
    {.key = "project_name",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct phoenix_config, project_name),
     .doc = "Project of all spans. When absent: PHOENIX_PROJECT_NAME, else as the resource."},
    SCORE_SWITCH_ROW(struct phoenix_config),
    SCORE_SINK_ROWS(struct phoenix_config),
    HTTP_EXPORT_ROWS(struct phoenix_config),
    {.key = NULL},
};

const struct exporter_ops phoenix_exporter = {
    .kind = {.type = "phoenix",
             .doc = "Spans and scores to Arize Phoenix, with its headers, encodings and variables.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_SCORES,
             .options = phoenix_options,
             .config_size = sizeof(struct phoenix_config),
             .validate = phoenix_account_validate},
    .start = phoenix_account_start,
    SENDER_OPS,
    .score_send = score_sink_send_switched,
};
