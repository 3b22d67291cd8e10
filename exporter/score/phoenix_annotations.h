// SPDX-License-Identifier: Apache-2.0
// Scores for Arize Phoenix: POST /v1/span_annotations?sync=false (eval-backends 2.4). Phoenix keeps
// one annotation for each (name, span, identifier), the last one; the identifier is the
// evaluator's epoch, so that a judge that changed stands beside the old one. Asynchronously it
// waits about ten minutes for a span that it does not know yet.
#pragma once

#include "exporter/http_export.h"
#include "exporter/score/score_encoder.h"

#define PHOENIX_ANNOTATIONS_PATH "/v1/span_annotations?sync=false"
#define PHOENIX_ANNOTATIONS_BYTES_MAX ((size_t)4 << 20)

extern const struct score_form phoenix_annotations_form;
// A 404 that speaks of spans which do not exist is a failure for now: they may still come.
void phoenix_annotations_reply(const struct http_response *response, struct delivery_reply *reply,
                               char text[HTTP_SCORE_REPLY_BYTES]);

extern const struct exporter_ops phoenix_annotations_exporter;
