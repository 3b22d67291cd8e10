// SPDX-License-Identifier: Apache-2.0
// The bearer is optional, as it is in Phoenix. Annotations name their span, and Phoenix finds the
// project by it, so that the project's name matters to spans only. Both kinds of exporter start
// here: what differs between them is the signals that the service gives them. Refused: requiring a
// key, since most Phoenixes run without authorisation.
//
// Bounds: a key of 4 KiB, a project's name of 511 bytes. Start only.
#include "exporter/phoenix_account.h"

#include <stdio.h>

#include "exporter/score/phoenix_annotations.h"

static struct bytes url_of(const struct phoenix_config *config)
{
    static const char *const variables[] = {"PHOENIX_COLLECTOR_ENDPOINT", NULL};
    return score_sink_text(config->endpoint, variables, "http://localhost:6006");
}

void phoenix_account_validate(const void *arg, const struct config_node *node, const char *path,
                              struct option_errors *errors)
{
    const struct phoenix_config *config = arg;
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(url_of(config), "endpoint", node, path, errors);
    http_export_validate(&config->http, http_backend(HTTP_BACKEND_PHOENIX), node, path, errors);
}

enum result phoenix_account_start(const struct component_env *env, const void *arg,
                                  struct exporter **exporter, char *why, size_t why_len)
{
    static const char *const keys[] = {"PHOENIX_API_KEY", NULL};
    static const char *const projects[] = {"PHOENIX_PROJECT_NAME", NULL};
    const struct phoenix_config *config = arg;
    struct bytes api_key = score_sink_text(config->api_key, keys, NULL);
    struct bytes project = score_sink_text(config->project_name, projects, NULL);
    struct score_encoder encoder =
        score_sink_encoder(&config->sink, &phoenix_annotations_form, BYTES_NONE);
    char bearer[4096], name[512];
    size_t len = (size_t)snprintf(bearer, sizeof(bearer), "Bearer %.*s", BYTES_PRINTF(api_key));
    size_t name_len = (size_t)snprintf(name, sizeof(name), "%.*s", BYTES_PRINTF(project));
    if (len >= sizeof(bearer) || name_len >= sizeof(name)) {
        snprintf(why, why_len, "api_key or project_name is too long");
        return RESULT_FAIL;
    }
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = http_backend(HTTP_BACKEND_PHOENIX),
                                      .base_url = url_of(config),
                                      .encoder = &encoder,
                                      .extra = {{api_key.len > 0 ? "Authorization" : NULL, bearer},
                                                {project.len > 0 ? "x-project-name" : NULL, name}},
                                      .extra_secrets = {api_key, BYTES_NONE}};
    return http_export_start(env, &setup, exporter, why, why_len);
}
