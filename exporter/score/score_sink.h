// SPDX-License-Identifier: Apache-2.0
// The keys that all exporters of scores have, and what follows from them. A kind's configuration
// struct begins with a score_sink_config, so that one function serves exporter_ops.score_send.
#pragma once

#include "base/option.h"
#include "exporter/score/score_encoder.h"

struct score_sink_config {  // first member of a kind's configuration
    bool scores;            // of kinds that send telemetry too; others set no row for it
    int send;               // enum score_send
    struct bytes targeted_suffix;
};

extern const char *const score_send_names[];

// The rows, for a configuration struct `type` that has the member `sink`.
#define SCORE_SINK_ROWS(type)                                                                      \
    {.key = "send",                                                                                \
     .kind = OPTION_ENUM,                                                                          \
     .fallback = "judged",                                                                         \
     .choices = score_send_names,                                                                  \
     .offset = offsetof(type, sink.send),                                                          \
     .doc = "judged: all scores of picked interactions, and code's failures of others; failed: "   \
            "failures only; all: code's scores of every interaction too."},                        \
    {                                                                                              \
        .key = "targeted_suffix", .kind = OPTION_TEXT, .fallback = "_targeted",                    \
        .offset = offsetof(type, sink.targeted_suffix),                                            \
        .doc = "Ends the names of scores that no average may count: of interactions that were "    \
               "picked, or of scores that are sent, because of what they are."                     \
    }
#define SCORE_SWITCH_ROW(type)                                                                     \
    {                                                                                              \
        .key = "scores", .kind = OPTION_BOOL, .fallback = "true",                                  \
        .offset = offsetof(type, sink.scores), .doc = "Whether scores are sent as scores too."     \
    }

void score_sink_validate(const struct score_sink_config *config, const struct config_node *node,
                         const char *path, struct option_errors *errors);
// exporter_ops.score_send of kinds without the key `scores`, and of those with it.
enum score_send score_sink_send(const void *config);
enum score_send score_sink_send_switched(const void *config);
// `application`: the form's own text; cut to SCORE_TEXT_BYTES_MAX, which validation checks.
struct score_encoder score_sink_encoder(const struct score_sink_config *config,
                                        const struct score_form *form, struct bytes application);

// The key, else the first variable that is not empty, else the fallback; `variables` end in NULL.
struct bytes score_sink_text(struct bytes key, const char *const *variables, const char *fallback);
