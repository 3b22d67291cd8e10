// SPDX-License-Identifier: Apache-2.0
//
// Runs the HTTP client's loop until the one answer is there.
//
// Refused: a second HTTP implementation for a command line tool.
//
// Bounds: 5 s, 4 MiB.

#include "service/api_client.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_client.h"

#define API_TIMEOUT_NS (5 * NS_PER_S)

struct waiting {
    struct loop *loop;
    struct buffer *body;
    enum result result;
    int status;
    char error[160];
};

static void answered(void *arg, const struct http_response *response)
{
    struct waiting *waiting = arg;
    waiting->result = response->result;
    waiting->status = response->status;
    snprintf(waiting->error, sizeof(waiting->error), "%s",
             response->error != NULL ? response->error : "");
    buffer_append_bytes(waiting->body, response->body);
    loop_stop(waiting->loop);
}

static enum result judge_answer(const struct waiting *waiting, const char *api, char *why,
                                size_t why_len)
{
    if (waiting->result != RESULT_OK) {
        snprintf(why, why_len,
                 "no sidejudge answers at %s (%s); is it running, and is --api right?", api,
                 waiting->error);
        return RESULT_RETRY;
    }
    if (waiting->status == 200) {
        return RESULT_OK;
    }
    snprintf(why, why_len, "%.*s", BYTES_PRINTF(bytes_trim(buffer_view(waiting->body))));
    return waiting->status == 404 ? RESULT_MISSING : RESULT_FAIL;
}

enum result api_get(const char *api, const char *path, struct buffer *body, char *why,
                    size_t why_len)
{
    char url[512];
    snprintf(url, sizeof(url), "http://%s%s", api, path);
    struct loop *loop = loop_new();
    struct http_client_config config = {.user_agent = "sidejudge-command", .connections_max = 1};
    struct http_client *client = NULL;
    if (loop == NULL || http_client_new(loop, &config, &client, why, why_len) != RESULT_OK) {
        loop_free(loop);
        return RESULT_FAIL;
    }
    struct waiting waiting = {.loop = loop, .body = body, .result = RESULT_RETRY};
    struct http_request request = {.method = "GET", .url = url, .timeout_ns = API_TIMEOUT_NS};
    (void)http_client_send(client, &request, answered, &waiting);
    loop_run(loop);
    http_client_free(client);
    loop_free(loop);
    return judge_answer(&waiting, api, why, why_len);
}
