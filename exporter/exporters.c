// SPDX-License-Identifier: Apache-2.0
// The visible list of exporters, in the order in which `components` prints them. A new kind is a
// file with one exported ops struct and a row here; there is no registration at start, so that the
// list can be read.
//
// Constant; any thread.
#include "exporter/exporters.h"

const struct exporter_ops *const exporters[] = {
    &otlp_http_exporter,
#if SIDEJUDGE_WITH_GRPC
    &otlp_grpc_exporter,
#endif
    &langfuse_exporter,
    &phoenix_exporter,
    &braintrust_exporter,
    &langwatch_exporter,
    &langfuse_scores_exporter,
    &phoenix_annotations_exporter,
    &langsmith_feedback_exporter,
    &datadog_evaluations_exporter,
    &webhook_exporter,
    &file_exporter,
    &debug_exporter,
    &nop_exporter,
    NULL,
};
