// SPDX-License-Identifier: Apache-2.0
// Validation is strict about the suffix, since it becomes part of names in backends that allow
// little else than letters, digits and a few signs, and since an empty one would mix the two kinds
// of scores that it keeps apart.
//
// Bounds: none of its own. Start and reload only, score_sink_send excepted: any thread.
#include "exporter/score/score_sink.h"

#include <stdio.h>
#include <stdlib.h>

const char *const score_send_names[] = {"judged", "failed", "all", NULL};

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.';
}

void score_sink_validate(const struct score_sink_config *config, const struct config_node *node,
                         const char *path, struct option_errors *errors)
{
    struct bytes suffix = config->targeted_suffix;
    bool is_sound = suffix.len > 0 && suffix.len <= SCORE_SUFFIX_BYTES_MAX;
    for (size_t i = 0; is_sound && i < suffix.len; i++) {
        is_sound = is_name_byte(suffix.ptr[i]);
    }
    if (!is_sound) {
        option_error(errors, path, config_get(node, "targeted_suffix"),
                     "targeted_suffix must be 1 to %d letters, digits, '_', '-' or '.'",
                     SCORE_SUFFIX_BYTES_MAX);
    }
}

enum score_send score_sink_send(const void *config)
{
    const struct score_sink_config *sink = config;
    return (enum score_send)sink->send;
}

enum score_send score_sink_send_switched(const void *config)
{
    const struct score_sink_config *sink = config;
    return sink->scores ? (enum score_send)sink->send : SCORE_SEND_NONE;
}

struct score_encoder score_sink_encoder(const struct score_sink_config *config,
                                        const struct score_form *form, struct bytes application)
{
    struct score_encoder encoder = {.form = form, .send = (enum score_send)config->send};
    snprintf(encoder.suffix, sizeof(encoder.suffix), "%.*s", BYTES_PRINTF(config->targeted_suffix));
    snprintf(encoder.application, sizeof(encoder.application), "%.*s", BYTES_PRINTF(application));
    return encoder;
}

struct bytes score_sink_text(struct bytes key, const char *const *variables, const char *fallback)
{
    struct bytes text = key;
    for (size_t i = 0; text.len == 0 && variables[i] != NULL; i++) {
        text = bytes_from_text(getenv(variables[i]));
    }
    return text.len > 0 ? text : bytes_from_text(fallback);
}
