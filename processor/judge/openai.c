// SPDX-License-Identifier: Apache-2.0
//
// OpenAI-compatible chat completions (POST {base}/chat/completions): OpenAI itself, vLLM, Ollama,
// LiteLLM, llama.cpp and gateways. Structured output by response_format json_schema, strict.
// Temperature is left out: newer models refuse it.
//
// Pure.

#include <stdio.h>

#include "processor/judge_api.h"

static size_t headers(const struct judge_config *config, char *scratch, size_t scratch_len,
                      struct http_header *out)
{
    if (config->api_key.len == 0) {
        return 0;
    }
    snprintf(scratch, scratch_len, "Bearer %.*s", BYTES_PRINTF(config->api_key));
    out[0] = (struct http_header){"Authorization", scratch};
    return 1;
}

static void put_message(struct json_writer *json, const char *role, struct bytes content)
{
    json_begin_object(json);
    json_key(json, "role");
    json_put_literal(json, role);
    json_key(json, "content");
    json_put_text(json, content);
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
    json_key(&json, "messages");
    json_begin_array(&json);
    put_message(&json, "system", instructions);
    put_message(&json, "user", transcript);
    json_end_array(&json);
    // OpenAI's newer models know only max_completion_tokens, most compatible servers only
    // max_tokens.
    bool own = bytes_find(config->endpoint, BYTES_LITERAL("api.openai.com"), 0) != SIZE_MAX;
    json_key(&json, own ? "max_completion_tokens" : "max_tokens");
    json_put_int(&json, config->max_output_tokens);
    json_key(&json, "response_format");
    json_begin_object(&json);
    json_key(&json, "type");
    json_put_literal(&json, "json_schema");
    json_key(&json, "json_schema");
    json_begin_object(&json);
    json_key(&json, "name");
    json_put_literal(&json, "grade");
    json_key(&json, "strict");
    json_put_bool(&json, true);
    json_key(&json, "schema");
    json_put_raw(&json, bytes_from_text(judge_reply_schema));
    json_end_object(&json);
    json_end_object(&json);
    json_end_object(&json);
}

static enum result read_reply(const struct json_value *root, struct judge_answer *answer)
{
    const struct json_value *choice = json_at(json_get(root, "choices"), 0);
    const struct json_value *message = json_get(choice, "message");
    const struct json_value *usage = json_get(root, "usage");
    if (json_kind(message) != JSON_OBJECT) {
        return RESULT_REJECT;
    }
    answer->input_tokens = judge_tokens(usage, "prompt_tokens");
    answer->output_tokens = judge_tokens(usage, "completion_tokens");
    answer->text = json_get_text(message, "content");
    if (json_get_text(message, "refusal").len > 0) {
        answer->problem = "the judge refused";
    } else if (bytes_equal_text(json_get_text(choice, "finish_reason"), "length")) {
        answer->problem = "the judge's answer was cut at max_output_tokens";
    } else if (answer->text.len == 0) {
        answer->problem = "the judge's answer is empty";
    }
    return RESULT_OK;
}

const struct judge_api_ops judge_api_openai = {.name = "openai",
                                               .key_variable = "OPENAI_API_KEY",
                                               .url_variable = "OPENAI_BASE_URL",
                                               .endpoint = "https://api.openai.com/v1",
                                               .path = "/chat/completions",
                                               .headers = headers,
                                               .write = write_request,
                                               .read = read_reply};
