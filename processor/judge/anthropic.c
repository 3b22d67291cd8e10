// SPDX-License-Identifier: Apache-2.0
//
// Anthropic Messages (POST {base}/v1/messages, version 2023-06-01). Structured output by a forced
// tool whose input_schema is the answer's schema.
//
// Pure.

#include <stdio.h>

#include "processor/judge_api.h"

static size_t headers(const struct judge_config *config, char *scratch, size_t scratch_len,
                      struct http_header *out)
{
    size_t count = 0;
    out[count++] = (struct http_header){"anthropic-version", "2023-06-01"};
    if (config->api_key.len > 0) {
        snprintf(scratch, scratch_len, "%.*s", BYTES_PRINTF(config->api_key));
        out[count++] = (struct http_header){"x-api-key", scratch};
    }
    return count;
}

static void put_tool(struct json_writer *json)
{
    json_key(json, "tools");
    json_begin_array(json);
    json_begin_object(json);
    json_key(json, "name");
    json_put_literal(json, "grade");
    json_key(json, "description");
    json_put_literal(json, "Records the grade of the transcript.");
    json_key(json, "input_schema");
    json_put_raw(json, bytes_from_text(judge_reply_schema));
    json_end_object(json);
    json_end_array(json);
    json_key(json, "tool_choice");
    json_begin_object(json);
    json_key(json, "type");
    json_put_literal(json, "tool");
    json_key(json, "name");
    json_put_literal(json, "grade");
    json_end_object(json);
}

static void write_request(const struct judge_config *config, struct bytes instructions,
                          struct bytes transcript, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_begin_object(&json);
    json_key(&json, "model");
    json_put_text(&json, config->model);
    json_key(&json, "max_tokens");
    json_put_int(&json, config->max_output_tokens);
    json_key(&json, "system");
    json_put_text(&json, instructions);
    json_key(&json, "messages");
    json_begin_array(&json);
    json_begin_object(&json);
    json_key(&json, "role");
    json_put_literal(&json, "user");
    json_key(&json, "content");
    json_put_text(&json, transcript);
    json_end_object(&json);
    json_end_array(&json);
    put_tool(&json);
    json_end_object(&json);
}

static enum result read_reply(const struct json_value *root, struct judge_answer *answer)
{
    const struct json_value *content = json_get(root, "content");
    const struct json_value *usage = json_get(root, "usage");
    if (json_kind(content) != JSON_ARRAY) {
        return RESULT_REJECT;
    }
    answer->input_tokens = judge_tokens(usage, "input_tokens") +
                           judge_tokens(usage, "cache_read_input_tokens") +
                           judge_tokens(usage, "cache_creation_input_tokens");
    answer->output_tokens = judge_tokens(usage, "output_tokens");
    for (size_t i = 0; i < json_count(content); i++) {
        const struct json_value *part = json_at(content, i);
        if (bytes_equal_text(json_get_text(part, "type"), "tool_use") &&
            bytes_equal_text(json_get_text(part, "name"), "grade")) {
            answer->object = json_get(part, "input");
        }
    }
    struct bytes stop = json_get_text(root, "stop_reason");
    if (bytes_equal_text(stop, "refusal")) {
        answer->problem = "the judge refused";
    } else if (bytes_equal_text(stop, "max_tokens")) {
        answer->problem = "the judge's answer was cut at max_output_tokens";
    } else if (answer->object == NULL) {
        answer->problem = "the judge did not use the tool that it was given";
    }
    return RESULT_OK;
}

const struct judge_api_ops judge_api_anthropic = {.name = "anthropic",
                                                  .key_variable = "ANTHROPIC_API_KEY",
                                                  .url_variable = "ANTHROPIC_BASE_URL",
                                                  .endpoint = "https://api.anthropic.com",
                                                  .path = "/v1/messages",
                                                  .headers = headers,
                                                  .write = write_request,
                                                  .read = read_reply};
