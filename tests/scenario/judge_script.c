// SPDX-License-Identifier: Apache-2.0
//
// Requests are checked as strictly as the published APIs do (names of members, types, headers, the
// restrictions of strict structured output), because a client that passes here must pass there. The
// first thing wrong is the answer: 400, 401, 404 or 405 in that API's error shape. Refused: a
// lenient double that answers whatever it is sent, which proves nothing. Pure.

#include "tests/scenario/judge_script.h"

#include <string.h>

#include "base/json.h"

#define OVERSIZE_BYTES ((size_t)5 << 20)

enum api { API_OPENAI, API_ANTHROPIC };

struct asked {  // what a sound request says
    enum api api;
    struct bytes model, instructions, transcript;
    struct bytes tool;  // Anthropic: the forced tool's name
    const struct json_value *schema;
};

struct fault {
    int status;
    const char *type;  // Anthropic's error type, or OpenAI's code
    const char *message;
};

static const char *const mode_models[] = {
#define JUDGE_MODE(name, model, what) model,
#include "tests/scenario/judge_mode.def"
#undef JUDGE_MODE
};

const char *judge_mode_model(enum judge_mode mode)
{
    return (unsigned)mode < JUDGE_MODE_COUNT ? mode_models[mode] : "";
}

struct bytes judge_header(struct bytes head, const char *name)
{
    size_t at = 0;
    while (at < head.len) {
        size_t end = bytes_find(head, BYTES_LITERAL("\r\n"), at);
        struct bytes line = bytes_slice(head, at, end == SIZE_MAX ? head.len - at : end - at);
        size_t colon = bytes_find(line, BYTES_LITERAL(":"), 0);
        if (colon != SIZE_MAX && bytes_equal_nocase(bytes_slice(line, 0, colon), name)) {
            return bytes_trim(bytes_slice(line, colon + 1, SIZE_MAX));
        }
        at = end == SIZE_MAX ? head.len : end + 2;
    }
    return BYTES_NONE;
}

// --- contracts ---

struct members {
    const char *const *allowed;
    bool sound;
};

static bool member_check(void *arg, struct bytes key, const struct json_value *value)
{
    struct members *members = arg;
    (void)value;
    for (size_t i = 0; members->allowed[i] != NULL; i++) {
        if (bytes_equal_text(key, members->allowed[i])) {
            return true;
        }
    }
    members->sound = false;
    return false;
}

static bool has_only(const struct json_value *object, const char *const *allowed)
{
    struct members members = {allowed, json_kind(object) == JSON_OBJECT};
    json_each(object, member_check, &members);
    return members.sound;
}

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
            return false;
        }
    }
    return text.len >= 1 && text.len <= 64;
}

struct strict_check {
    const struct json_value *required;
    size_t count;
    bool sound;
};

static bool property_check(void *arg, struct bytes key, const struct json_value *value)
{
    struct strict_check *check = arg;
    bool found = false;
    for (size_t i = 0; i < json_count(check->required); i++) {
        found = found || bytes_equal(json_text(json_at(check->required, i)), key);
    }
    check->sound = check->sound && found && json_get_text(value, "type").len > 0;
    check->count++;
    return true;
}

// Strict structured output: an object, every property required, nothing besides.
static bool schema_is_strict(const struct json_value *schema)
{
    const struct json_value *more = json_get(schema, "additionalProperties");
    struct strict_check check = {json_get(schema, "required"), 0, true};
    json_each(json_get(schema, "properties"), property_check, &check);
    return bytes_equal_text(json_get_text(schema, "type"), "object") && check.sound &&
           check.count > 0 && check.count == json_count(check.required) &&
           json_kind(more) == JSON_BOOL && !json_bool(more);
}

static bool is_positive(const struct json_value *value)
{
    return json_kind(value) == JSON_INT && json_int(value, 0) > 0;
}

static const char *openai_messages(const struct json_value *messages, struct asked *asked)
{
    if (json_kind(messages) != JSON_ARRAY || json_count(messages) == 0) {
        return "Invalid 'messages': expected a non-empty array.";
    }
    for (size_t i = 0; i < json_count(messages); i++) {
        const struct json_value *message = json_at(messages, i);
        struct bytes role = json_get_text(message, "role");
        struct bytes content = json_get_text(message, "content");
        if (bytes_equal_text(role, "system") || bytes_equal_text(role, "developer")) {
            asked->instructions = content;
        } else if (bytes_equal_text(role, "user")) {
            asked->transcript = content;
        } else if (!bytes_equal_text(role, "assistant")) {
            return "Invalid value for 'messages[].role'.";
        }
        if (json_kind(json_get(message, "content")) != JSON_TEXT) {
            return "Invalid type for 'messages[].content': expected a string.";
        }
    }
    return NULL;
}

static const char *openai_format(const struct json_value *format, struct asked *asked)
{
    static const char *const outer[] = {"type", "json_schema", NULL};
    static const char *const inner[] = {"name", "description", "strict", "schema", NULL};
    const struct json_value *schema = json_get(format, "json_schema");
    if (!has_only(format, outer) || !has_only(schema, inner) ||
        !bytes_equal_text(json_get_text(format, "type"), "json_schema")) {
        return "Invalid 'response_format'.";
    }
    if (!is_name(json_get_text(schema, "name"))) {
        return "Invalid 'response_format.json_schema.name'.";
    }
    asked->schema = json_get(schema, "schema");
    if (!json_bool(json_get(schema, "strict")) || !schema_is_strict(asked->schema)) {
        return "Invalid schema for response_format: strict needs 'additionalProperties' to be "
               "false and 'required' to name every property.";
    }
    return NULL;
}

static const char *openai_check(const struct json_value *root, struct asked *asked)
{
    static const char *const known[] = {
        "model", "messages", "max_tokens",      "temperature", "seed", "max_completion_tokens",
        "top_p", "stream",   "response_format", NULL};
    if (!has_only(root, known)) {
        return "Unrecognized request argument supplied.";
    }
    const struct json_value *old = json_get(root, "max_tokens");
    const struct json_value *new = json_get(root, "max_completion_tokens");
    if ((old != NULL && new != NULL) || (old != NULL && !is_positive(old)) ||
        (new != NULL && !is_positive(new))) {
        return "Invalid 'max_tokens' or 'max_completion_tokens': one positive integer.";
    }
    const char *problem = openai_messages(json_get(root, "messages"), asked);
    return problem != NULL ? problem : openai_format(json_get(root, "response_format"), asked);
}

static const char *anthropic_messages(const struct json_value *messages, struct asked *asked)
{
    static const char *const known[] = {"role", "content", NULL};
    for (size_t i = 0; i < json_count(messages); i++) {
        const struct json_value *message = json_at(messages, i);
        bool user = bytes_equal_text(json_get_text(message, "role"), "user");
        if (!has_only(message, known) ||
            (!user && !bytes_equal_text(json_get_text(message, "role"), "assistant"))) {
            return "messages: Input should have a role 'user' or 'assistant' and a content";
        }
        if (json_get_text(message, "content").len == 0) {
            return "messages: text content blocks must be non-empty";
        }
        if (user) {
            asked->transcript = json_get_text(message, "content");
        } else if (i == 0) {
            return "messages: first message must use the \"user\" role";
        }
    }
    return json_kind(messages) == JSON_ARRAY && json_count(messages) > 0
               ? NULL
               : "messages: at least one message is required";
}

static const char *anthropic_tool(const struct json_value *root, struct asked *asked)
{
    static const char *const tool_members[] = {"name", "description", "input_schema", "type", NULL};
    static const char *const choice_members[] = {"type", "name", "disable_parallel_tool_use", NULL};
    const struct json_value *tool = json_at(json_get(root, "tools"), 0);
    const struct json_value *choice = json_get(root, "tool_choice");
    asked->schema = json_get(tool, "input_schema");
    asked->tool = json_get_text(tool, "name");
    if (!has_only(tool, tool_members) || !is_name(asked->tool) ||
        !bytes_equal_text(json_get_text(asked->schema, "type"), "object")) {
        return "tools.0: name and input_schema of type object are required";
    }
    if (!has_only(choice, choice_members) ||
        !bytes_equal_text(json_get_text(choice, "type"), "tool") ||
        !bytes_equal(json_get_text(choice, "name"), asked->tool)) {
        return "tool_choice: Tool not found in provided tools";
    }
    return NULL;
}

static const char *anthropic_check(const struct json_value *root, struct asked *asked)
{
    static const char *const known[] = {"model",       "messages", "system", "max_tokens",
                                        "temperature", "tools",    "stream", "tool_choice",
                                        "metadata",    NULL};
    if (!has_only(root, known)) {
        return "Extra inputs are not permitted";
    }
    if (!is_positive(json_get(root, "max_tokens"))) {
        return "max_tokens: Input should be greater than or equal to 1";
    }
    asked->instructions = json_get_text(root, "system");
    const char *problem = anthropic_messages(json_get(root, "messages"), asked);
    return problem != NULL ? problem : anthropic_tool(root, asked);
}

// --- admission ---

static bool key_is_right(const struct judge_script *script, struct bytes key)
{
    return key.len > 0 && (script->api_key == NULL || bytes_equal_text(key, script->api_key));
}

static bool is_authorised(const struct judge_script *script, struct bytes head, enum api api)
{
    if (api == API_ANTHROPIC) {
        return key_is_right(script, judge_header(head, "x-api-key"));
    }
    struct bytes value = judge_header(head, "authorization");
    return bytes_start_with(value, BYTES_LITERAL("Bearer ")) &&
           key_is_right(script, bytes_slice(value, 7, SIZE_MAX));
}

static bool fault_set(struct fault *fault, int status, const char *type, const char *message)
{
    *fault = (struct fault){status, type, message};
    return false;
}

static bool admit(const struct judge_script *script, const struct judge_request *request,
                  const struct json_value *root, struct asked *asked, struct fault *fault)
{
    bool anthropic = asked->api == API_ANTHROPIC;
    if (!bytes_equal_text(request->method, "POST")) {
        return fault_set(fault, 405, "invalid_request_error", "Method not allowed");
    }
    if (!is_authorised(script, request->head, asked->api)) {
        return fault_set(fault, 401, anthropic ? "authentication_error" : "invalid_api_key",
                         anthropic ? "invalid x-api-key" : "Incorrect API key provided.");
    }
    if (anthropic &&
        !bytes_equal_text(judge_header(request->head, "anthropic-version"), "2023-06-01")) {
        return fault_set(fault, 400, "invalid_request_error",
                         "anthropic-version: header is required");
    }
    if (!bytes_start_with(judge_header(request->head, "content-type"),
                          BYTES_LITERAL("application/json")) ||
        json_kind(root) != JSON_OBJECT) {
        return fault_set(fault, 400, "invalid_request_error",
                         "We could not parse the JSON body of your request.");
    }
    asked->model = json_get_text(root, "model");
    if (asked->model.len == 0) {
        return fault_set(fault, 400, "invalid_request_error", "you must provide a model parameter");
    }
    const char *problem = anthropic ? anthropic_check(root, asked) : openai_check(root, asked);
    return problem == NULL || fault_set(fault, 400, "invalid_request_error", problem);
}

// --- replies ---

static void fault_write(enum api api, const struct fault *fault, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_begin_object(&json);
    if (api == API_ANTHROPIC) {
        json_key(&json, "type");
        json_put_literal(&json, "error");
    }
    json_key(&json, "error");
    json_begin_object(&json);
    json_key(&json, "type");
    json_put_literal(&json, api == API_ANTHROPIC ? fault->type : "invalid_request_error");
    json_key(&json, "message");
    json_put_literal(&json, fault->message);
    if (api == API_OPENAI) {
        json_key(&json, "param");
        json_put_null(&json);
        json_key(&json, "code");
        json_put_literal(&json, fault->type);
    }
    json_end_object(&json);
    json_end_object(&json);
}

static void answer_write(const struct judge_script *script, const struct asked *asked,
                         enum judge_mode mode, struct buffer *out)
{
    static const struct judge_row otherwise = {.score = 1, .reason = "Nothing speaks against it."};
    const struct judge_row *row = &otherwise;
    for (size_t i = 0; i < script->row_count && row == &otherwise; i++) {
        const struct judge_row *tried = &script->rows[i];
        if ((tried->find == NULL ||
             bytes_find(asked->transcript, bytes_from_text(tried->find), 0) != SIZE_MAX) &&
            (tried->rubric == NULL ||
             bytes_find(asked->instructions, bytes_from_text(tried->rubric), 0) != SIZE_MAX)) {
            row = tried;
        }
    }
    if (mode == JUDGE_MODE_WRONG_SCHEMA) {
        buffer_append_text(out, "{\"verdict\":\"good\",\"score\":\"high\"}");
        return;
    }
    struct json_writer json;
    json_writer_init(&json, out);
    json_begin_object(&json);
    json_key(&json, "reason");
    json_put_literal(&json, row->reason != NULL ? row->reason : "So says the script.");
    json_key(&json, "evidence");
    json_put_literal(&json, row->evidence != NULL ? row->evidence : "");
    json_key(&json, "score");
    json_put_double(&json, row->score);
    json_end_object(&json);
}

static void openai_choice(struct bytes answer, enum judge_mode mode, struct json_writer *json)
{
    bool refused = mode == JUDGE_MODE_REFUSAL;
    json_begin_object(json);
    json_key(json, "index");
    json_put_int(json, 0);
    json_key(json, "message");
    json_begin_object(json);
    json_key(json, "role");
    json_put_literal(json, "assistant");
    json_key(json, "content");
    if (refused) {
        json_put_null(json);
    } else {
        json_put_text(json, mode == JUDGE_MODE_CUT ? bytes_slice(answer, 0, 12) : answer);
    }
    json_key(json, "refusal");
    if (refused) {
        json_put_literal(json, "I'm sorry, I cannot assist with that request.");
    } else {
        json_put_null(json);
    }
    json_end_object(json);
    json_key(json, "logprobs");
    json_put_null(json);
    json_key(json, "finish_reason");
    json_put_literal(json, mode == JUDGE_MODE_CUT ? "length" : "stop");
    json_end_object(json);
}

static void put_count(struct json_writer *json, const char *key, uint64_t count)
{
    json_key(json, key);
    json_put_int(json, (int64_t)count);
}

static void openai_write(const struct asked *asked, struct bytes answer, enum judge_mode mode,
                         const struct judge_answered *answered, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_begin_object(&json);
    json_key(&json, "id");
    json_put_literal(&json, "chatcmpl-scripted");
    json_key(&json, "object");
    json_put_literal(&json, "chat.completion");
    put_count(&json, "created", 1767225600);
    json_key(&json, "model");
    json_put_text(&json, asked->model);
    json_key(&json, "choices");
    json_begin_array(&json);
    openai_choice(answer, mode, &json);
    json_end_array(&json);
    json_key(&json, "usage");
    json_begin_object(&json);
    put_count(&json, "prompt_tokens", answered->input_tokens);
    put_count(&json, "completion_tokens", answered->output_tokens);
    put_count(&json, "total_tokens", answered->input_tokens + answered->output_tokens);
    json_end_object(&json);
    json_end_object(&json);
}

static void anthropic_content(const struct asked *asked, struct bytes answer,
                              struct json_writer *json)
{
    json_begin_object(json);
    json_key(json, "type");
    json_put_literal(json, "tool_use");
    json_key(json, "id");
    json_put_literal(json, "toolu_scripted");
    json_key(json, "name");
    json_put_text(json, asked->tool);
    json_key(json, "input");
    json_put_raw(json, answer);
    json_end_object(json);
}

static void anthropic_write(const struct asked *asked, struct bytes answer, enum judge_mode mode,
                            const struct judge_answered *answered, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_begin_object(&json);
    json_key(&json, "id");
    json_put_literal(&json, "msg_scripted");
    json_key(&json, "type");
    json_put_literal(&json, "message");
    json_key(&json, "role");
    json_put_literal(&json, "assistant");
    json_key(&json, "model");
    json_put_text(&json, asked->model);
    json_key(&json, "content");
    json_begin_array(&json);
    if (mode != JUDGE_MODE_REFUSAL) {
        anthropic_content(asked, mode == JUDGE_MODE_CUT ? BYTES_LITERAL("{}") : answer, &json);
    }
    json_end_array(&json);
    json_key(&json, "stop_reason");
    json_put_literal(&json, mode == JUDGE_MODE_REFUSAL ? "refusal"
                            : mode == JUDGE_MODE_CUT   ? "max_tokens"
                                                       : "tool_use");
    json_key(&json, "stop_sequence");
    json_put_null(&json);
    json_key(&json, "usage");
    json_begin_object(&json);
    put_count(&json, "input_tokens", answered->input_tokens);
    put_count(&json, "output_tokens", answered->output_tokens);
    json_end_object(&json);
    json_end_object(&json);
}

static void oversize_write(struct buffer *out)
{
    uint8_t *room = buffer_reserve(out, OVERSIZE_BYTES);
    if (room != NULL) {
        memset(room, ' ', OVERSIZE_BYTES);
        buffer_commit(out, OVERSIZE_BYTES);
    }
}

static int mode_of(const struct judge_script *script, struct bytes model)
{
    if (script->forced_mode >= 0) {
        return script->forced_mode;
    }
    for (int i = 0; i < JUDGE_MODE_COUNT; i++) {
        if (bytes_equal_text(model, mode_models[i])) {
            return i;
        }
    }
    return -1;
}

// Ways to fail that need no answer; false when the mode answers.
static bool misbehave(const struct judge_script *script, enum judge_mode mode, enum api api,
                      struct judge_answered *answered, struct buffer *out)
{
    struct fault fault = {0};
    bool odd = script->number % 2 == 1;
    if (mode == JUDGE_MODE_FAIL || (mode == JUDGE_MODE_FLAKY && odd)) {
        fault = (struct fault){500, api == API_ANTHROPIC ? "api_error" : "server_error",
                               "The server had an error while processing your request."};
    } else if (mode == JUDGE_MODE_LIMIT || (mode == JUDGE_MODE_LIMIT_ONCE && odd)) {
        fault =
            (struct fault){429, api == API_ANTHROPIC ? "rate_limit_error" : "rate_limit_exceeded",
                           "Rate limit reached."};
        answered->retry_after = true;
    } else if (mode == JUDGE_MODE_GARBAGE) {
        buffer_append_text(out, "<html><body>upstream connect error</body></html>");
        return true;
    } else if (mode == JUDGE_MODE_OVERSIZE) {
        oversize_write(out);
        return true;
    } else if (mode == JUDGE_MODE_RESET) {
        answered->reset = true;
        return true;
    } else {
        return false;
    }
    answered->status = fault.status;
    fault_write(api, &fault, out);
    return true;
}

static void answer(const struct judge_script *script, const struct judge_request *request,
                   const struct asked *asked, enum judge_mode mode, struct judge_answered *answered,
                   struct buffer *out)
{
    struct buffer text;
    answered->slow = mode == JUDGE_MODE_SLOW;
    if (misbehave(script, mode, asked->api, answered, out)) {
        return;
    }
    buffer_init(&text, (size_t)64 << 10);
    answer_write(script, asked, mode, &text);
    answered->input_tokens = (request->body.len + 3) / 4;
    answered->output_tokens = (text.len + 3) / 4;
    if (asked->api == API_ANTHROPIC) {
        anthropic_write(asked, buffer_view(&text), mode, answered, out);
    } else {
        openai_write(asked, buffer_view(&text), mode, answered, out);
    }
    buffer_fini(&text);
}

struct judge_answered judge_script_answer(const struct judge_script *script,
                                          const struct judge_request *request, struct buffer *out)
{
    struct judge_answered answered = {.status = 200};
    struct asked asked = {.api = API_OPENAI};
    struct fault fault = {404, "not_found_error", "Not found"};
    struct json_document *document = NULL;
    bool known = bytes_end_with(request->path, BYTES_LITERAL("/chat/completions"));
    if (bytes_equal_text(request->path, "/v1/messages")) {
        asked.api = API_ANTHROPIC;
        known = true;
    }
    if (known && json_parse(request->body, &document, NULL) != RESULT_OK) {
        document = NULL;
    }
    const struct json_value *root = document != NULL ? json_root(document) : NULL;
    int mode = -1;
    if (known && admit(script, request, root, &asked, &fault)) {
        mode = mode_of(script, asked.model);
        fault =
            (struct fault){404, asked.api == API_ANTHROPIC ? "not_found_error" : "model_not_found",
                           "The model does not exist."};
    }
    answered.kept = mode >= 0;
    if (mode >= 0) {
        answer(script, request, &asked, (enum judge_mode)mode, &answered, out);
    } else {
        answered.status = fault.status;
        fault_write(asked.api, &fault, out);
    }
    json_free(&document);
    return answered;
}
