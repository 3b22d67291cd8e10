// SPDX-License-Identifier: Apache-2.0
// Scores for Langfuse: POST /api/public/ingestion with a batch of score-create events
// (eval-backends 1.4), at most 3.5 MB. The event's id and the score's are the record's, and its
// timestamp is the target's end, so that a repetition replaces: Langfuse tells scores apart by id,
// name and UTC date. It answers 207 with a verdict on each event.
#pragma once

#include "exporter/http_export.h"
#include "exporter/score/score_encoder.h"

#define LANGFUSE_SCORES_PATH "/api/public/ingestion"
#define LANGFUSE_SCORES_BYTES_MAX ((size_t)3500000)

extern const struct score_form langfuse_scores_form;
// Events that were refused for good are counted as rejected, with the first one's words; when one
// failed for now, the whole batch is owed again.
void langfuse_scores_reply(const struct http_response *response, struct delivery_reply *reply,
                           char text[HTTP_SCORE_REPLY_BYTES]);

extern const struct exporter_ops langfuse_scores_exporter;
