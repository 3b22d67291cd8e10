// SPDX-License-Identifier: Apache-2.0
// Both kinds of model API: the requests that they write keep the published contract, as the
// scripted judge checks it, and the replies that they read give answer, usage or problem. The
// scripted judge's own strictness is tested along with them.
#include "processor/judge_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/scenario/judge_script.h"

enum { OPENAI, ANTHROPIC };

static struct judge_config config_of(int api)
{
    return (struct judge_config){.api = api,
                                 .endpoint = BYTES_LITERAL("http://127.0.0.1:1/v1"),
                                 .model = BYTES_LITERAL("ok"),
                                 .api_key = BYTES_LITERAL("key-1"),
                                 .max_output_tokens = 300};
}

struct wire {  // a request as it goes out
    struct buffer head, body;
    struct judge_request request;
};

static void wire_write(struct wire *wire, const struct judge_config *config)
{
    const struct judge_api_ops *api = judge_apis[config->api];
    struct http_header headers[JUDGE_HEADERS_MAX];
    char scratch[512];
    buffer_init(&wire->head, 4096);
    buffer_init(&wire->body, JSON_BYTES_MAX);
    size_t count = api->headers(config, scratch, sizeof scratch, headers);
    assert_true(count <= JUDGE_HEADERS_MAX);
    buffer_append_text(&wire->head, "Content-Type: application/json\r\n");
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&wire->head, "%s: %s\r\n", headers[i].name, headers[i].value);
    }
    api->write(config, BYTES_LITERAL("Grade \"this\"."), BYTES_LITERAL("The transcript\n\xc3\xa9"),
               &wire->body);
    assert_int_equal(buffer_status(&wire->body), RESULT_OK);
    wire->request =
        (struct judge_request){.method = BYTES_LITERAL("POST"),
                               .path = config->api == OPENAI ? BYTES_LITERAL("/v1/chat/completions")
                                                             : BYTES_LITERAL("/v1/messages"),
                               .head = buffer_view(&wire->head),
                               .body = buffer_view(&wire->body)};
}

static void wire_fini(struct wire *wire)
{
    buffer_fini(&wire->head);
    buffer_fini(&wire->body);
}

static struct judge_answered ask(const struct judge_request *request, int mode, struct buffer *out)
{
    static const struct judge_row rows[] = {
        {.find = "transcript\n\xc3\xa9", .rubric = "\"this\"", .score = 0.5, .reason = "So so."}};
    const struct judge_script script = {
        .rows = rows, .row_count = 1, .api_key = "key-1", .forced_mode = mode, .number = 1};
    buffer_init(out, (size_t)8 << 20);
    return judge_script_answer(&script, request, out);
}

// --- requests ---

static void check_request(struct judge_config config)
{
    struct wire wire;
    struct buffer reply;
    wire_write(&wire, &config);
    struct judge_answered answered = ask(&wire.request, -1, &reply);
    if (!answered.kept || answered.status != 200) {
        fail_msg("%d %s", answered.status, buffer_text(&reply));
    }
    buffer_fini(&reply);
    wire_fini(&wire);
}

static void requests_keep_the_contract(void **state)
{
    (void)state;
    check_request(config_of(OPENAI));
    check_request(config_of(ANTHROPIC));
    struct judge_config config = config_of(OPENAI);
    config.endpoint = BYTES_LITERAL("https://api.openai.com/v1");  // max_completion_tokens there
    check_request(config);
}

static void the_bound_of_output_has_the_name_that_the_server_knows(void **state)
{
    (void)state;
    struct wire wire;
    struct judge_config config = config_of(OPENAI);
    wire_write(&wire, &config);
    assert_non_null(strstr(buffer_text(&wire.body), "\"max_tokens\":300"));
    wire_fini(&wire);
    config.endpoint = BYTES_LITERAL("https://api.openai.com/v1");
    wire_write(&wire, &config);
    assert_non_null(strstr(buffer_text(&wire.body), "\"max_completion_tokens\":300"));
    assert_null(strstr(buffer_text(&wire.body), "\"max_tokens\""));
    wire_fini(&wire);
}

static void without_a_key_no_header_names_one(void **state)
{
    (void)state;
    for (int api = OPENAI; api <= ANTHROPIC; api++) {
        struct judge_config config = config_of(api);
        struct wire wire;
        struct buffer reply;
        config.api_key = BYTES_NONE;
        wire_write(&wire, &config);
        assert_int_equal(ask(&wire.request, -1, &reply).status, 401);
        assert_null(strcasestr(buffer_text(&wire.head), "authorization"));
        assert_null(strcasestr(buffer_text(&wire.head), "x-api-key"));
        buffer_fini(&reply);
        wire_fini(&wire);
    }
}

static void the_schema_asks_for_the_reason_first(void **state)
{
    (void)state;
    struct json_document *document;
    assert_int_equal(json_parse(bytes_from_text(judge_reply_schema), &document, NULL), RESULT_OK);
    const struct json_value *required = json_get(json_root(document), "required");
    assert_true(bytes_equal_text(json_text(json_at(required, 0)), "reason"));
    assert_true(bytes_equal_text(json_text(json_at(required, 2)), "score"));
    json_free(&document);
    assert_true(strstr(judge_reply_schema, "\"reason\"") < strstr(judge_reply_schema, "\"score\""));
}

// --- what the scripted judge refuses ---

static void check_refused(int api, const char *body, int status)
{
    struct wire wire;
    struct buffer reply;
    struct json_document *document;
    struct judge_config config = config_of(api);
    wire_write(&wire, &config);
    wire.request.body = bytes_from_text(body);
    struct judge_answered answered = ask(&wire.request, -1, &reply);
    if (answered.kept || answered.status != status) {
        fail_msg("%s: %d", body, answered.status);
    }
    assert_int_equal(json_parse(buffer_view(&reply), &document, NULL), RESULT_OK);
    assert_true(json_get_text(json_get(json_root(document), "error"), "message").len > 5);
    assert_true((json_get_text(json_root(document), "type").len > 0) == (api == ANTHROPIC));
    json_free(&document);
    buffer_fini(&reply);
    wire_fini(&wire);
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"t\"}]"
#define FORMAT(schema)                                                                             \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"g\",\"strict\":"    \
    "true,"                                                                                        \
    "\"schema\":" schema "}}"
#define TOOL "{\"name\":\"grade\",\"input_schema\":{\"type\":\"object\"}}"

static void the_script_refuses_what_the_apis_refuse(void **state)
{
    (void)state;
    check_refused(OPENAI, "", 400);
    check_refused(OPENAI, "[]", 400);
    check_refused(OPENAI, "{" MESSAGES "}", 400);
    check_refused(OPENAI, "{\"model\":\"ok\"," MESSAGES "}", 400);
    check_refused(OPENAI, "{\"model\":\"ok\"," MESSAGES ",\"max_token\":1}", 400);
    check_refused(OPENAI, "{\"model\":\"ok\",\"messages\":[]," FORMAT("{}") "}", 400);
    check_refused(OPENAI, "{\"model\":\"ok\"," MESSAGES "," FORMAT("{\"type\":\"object\"}") "}",
                  400);
    check_refused(OPENAI,
                  "{\"model\":\"ok\"," MESSAGES
                  "," FORMAT("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
                             "\"required\":[],\"additionalProperties\":false}") "}",
                  400);
    check_refused(OPENAI,
                  "{\"model\":\"nope\"," MESSAGES
                  "," FORMAT("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
                             "\"required\":[\"a\"],\"additionalProperties\":false}") "}",
                  404);
    check_refused(ANTHROPIC, "{\"model\":\"ok\"," MESSAGES "}", 400);
    check_refused(ANTHROPIC, "{\"model\":\"ok\",\"max_tokens\":9," MESSAGES "}", 400);
    check_refused(ANTHROPIC,
                  "{\"model\":\"ok\",\"max_tokens\":9," MESSAGES ",\"tools\":[" TOOL
                  "],\"tool_choice\":{\"type\":\"tool\",\"name\":\"other\"}}",
                  400);
    check_refused(ANTHROPIC,
                  "{\"model\":\"ok\",\"max_tokens\":9,\"messages\":[{\"role\":\"system\","
                  "\"content\":\"t\"}],\"tools\":[" TOOL
                  "],\"tool_choice\":{\"type\":\"tool\",\"name\":\"grade\"}}",
                  400);
}

static void the_script_wants_the_right_place_and_method(void **state)
{
    (void)state;
    struct wire wire;
    struct buffer reply;
    struct judge_config config = config_of(ANTHROPIC);
    wire_write(&wire, &config);
    wire.request.path = BYTES_LITERAL("/v1/message");
    assert_int_equal(ask(&wire.request, -1, &reply).status, 404);
    buffer_fini(&reply);
    wire.request.path = BYTES_LITERAL("/v1/messages");
    wire.request.method = BYTES_LITERAL("GET");
    assert_int_equal(ask(&wire.request, -1, &reply).status, 405);
    buffer_fini(&reply);
    wire.request.method = BYTES_LITERAL("POST");
    wire.request.head = BYTES_LITERAL("content-type: application/json\r\nx-api-key: key-1");
    assert_int_equal(ask(&wire.request, -1, &reply).status, 400);  // no version
    buffer_fini(&reply);
    wire_fini(&wire);
}

// --- replies ---

struct read {
    struct buffer reply;
    struct json_document *document;
    struct judge_answer answer;
};

static void read_mode(struct read *read, int api, enum judge_mode mode)
{
    struct wire wire;
    struct judge_config config = config_of(api);
    wire_write(&wire, &config);
    struct judge_answered answered = ask(&wire.request, (int)mode, &read->reply);
    assert_int_equal(answered.status, 200);
    assert_int_equal(json_parse(buffer_view(&read->reply), &read->document, NULL), RESULT_OK);
    memset(&read->answer, 0, sizeof read->answer);
    assert_int_equal(judge_apis[api]->read(json_root(read->document), &read->answer), RESULT_OK);
    assert_int_equal(read->answer.input_tokens, answered.input_tokens);
    assert_int_equal(read->answer.output_tokens, answered.output_tokens);
    assert_true(answered.input_tokens > 0);
    wire_fini(&wire);
}

static void read_fini(struct read *read)
{
    json_free(&read->document);
    buffer_fini(&read->reply);
}

static void replies_give_answer_and_usage(void **state)
{
    (void)state;
    for (int api = OPENAI; api <= ANTHROPIC; api++) {
        struct read read;
        struct score score;
        read_mode(&read, api, JUDGE_MODE_OK);
        assert_null(read.answer.problem);
        judge_reply_score(&read.answer, NULL, &score);
        assert_int_equal(score.outcome, OUTCOME_SCORE);
        assert_true(score.value == 0.5);
        assert_string_equal(score.explanation, "So so.");
        read_fini(&read);
    }
}

static void refusals_and_cuts_are_problems(void **state)
{
    (void)state;
    for (int api = OPENAI; api <= ANTHROPIC; api++) {
        struct read read;
        read_mode(&read, api, JUDGE_MODE_REFUSAL);
        assert_string_equal(read.answer.problem, "the judge refused");
        read_fini(&read);
        read_mode(&read, api, JUDGE_MODE_CUT);
        assert_non_null(strstr(read.answer.problem, "max_output_tokens"));
        read_fini(&read);
    }
}

static void check_read(int api, const char *reply, enum result result, const char *problem)
{
    struct json_document *document;
    struct judge_answer answer = {.text = BYTES_NONE};
    assert_int_equal(json_parse(bytes_from_text(reply), &document, NULL), RESULT_OK);
    assert_int_equal(judge_apis[api]->read(json_root(document), &answer), result);
    if (problem != NULL) {
        assert_non_null(answer.problem);
        assert_non_null(strstr(answer.problem, problem));
    }
    json_free(&document);
}

static void replies_of_another_shape_are_rejected(void **state)
{
    (void)state;
    static const char *const shapes[] = {"{}",
                                         "[]",
                                         "null",
                                         "\"x\"",
                                         "{\"choices\":[]}",
                                         "{\"choices\":[{}]}",
                                         "{\"choices\":{\"message\":{}}}",
                                         "{\"content\":\"text\"}"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check_read(OPENAI, shapes[i], RESULT_REJECT, NULL);
        check_read(ANTHROPIC, shapes[i], RESULT_REJECT, NULL);
    }
}

static void replies_without_an_answer_are_problems(void **state)
{
    (void)state;
    check_read(OPENAI, "{\"choices\":[{\"message\":{\"content\":null}}]}", RESULT_OK, "empty");
    check_read(OPENAI, "{\"choices\":[{\"message\":{\"content\":[1]}}]}", RESULT_OK, "empty");
    check_read(ANTHROPIC, "{\"content\":[]}", RESULT_OK, "did not use the tool");
    check_read(ANTHROPIC, "{\"content\":[{\"type\":\"text\",\"text\":\"0.9\"}]}", RESULT_OK,
               "did not use the tool");
    check_read(ANTHROPIC, "{\"content\":[{\"type\":\"tool_use\",\"name\":\"other\",\"input\":{}}]}",
               RESULT_OK, "did not use the tool");
}

static void absurd_usage_counts_as_none(void **state)
{
    (void)state;
    struct json_document *document;
    struct judge_answer answer = {.text = BYTES_NONE};
    assert_int_equal(json_parse(BYTES_LITERAL("{\"choices\":[{\"message\":{\"content\":\"x\"}}],"
                                              "\"usage\":{\"prompt_tokens\":-5,"
                                              "\"completion_tokens\":\"many\"}}"),
                                &document, NULL),
                     RESULT_OK);
    assert_int_equal(judge_apis[OPENAI]->read(json_root(document), &answer), RESULT_OK);
    assert_int_equal(answer.input_tokens, 0);
    assert_int_equal(answer.output_tokens, 0);
    json_free(&document);
}

// Three counts near the largest integer must not overflow their sum.
static void huge_usage_is_cut(void **state)
{
    static const char reply[] =
        "{\"content\":[],\"usage\":{\"input_tokens\":9223372036854775807,"
        "\"cache_read_input_tokens\":9223372036854775807,"
        "\"cache_creation_input_tokens\":9223372036854775807,"
        "\"output_tokens\":9223372036854775807}}";
    struct json_document *document = NULL;
    struct judge_answer answer = {.text = BYTES_NONE};
    (void)state;
    assert_int_equal(json_parse(bytes_from_text(reply), &document, NULL), RESULT_OK);
    assert_int_equal(judge_apis[ANTHROPIC]->read(json_root(document), &answer), RESULT_OK);
    assert_int_equal(answer.input_tokens, 3 * (uint64_t)JUDGE_TOKENS_MAX);
    assert_int_equal(answer.output_tokens, JUDGE_TOKENS_MAX);
    json_free(&document);
}

static void cached_tokens_are_counted(void **state)
{
    (void)state;
    struct json_document *document;
    struct judge_answer answer = {.text = BYTES_NONE};
    assert_int_equal(json_parse(BYTES_LITERAL("{\"content\":[],\"usage\":{\"input_tokens\":1,"
                                              "\"cache_read_input_tokens\":10,"
                                              "\"cache_creation_input_tokens\":100,"
                                              "\"output_tokens\":7}}"),
                                &document, NULL),
                     RESULT_OK);
    assert_int_equal(judge_apis[ANTHROPIC]->read(json_root(document), &answer), RESULT_OK);
    assert_int_equal(answer.input_tokens, 111);
    assert_int_equal(answer.output_tokens, 7);
    json_free(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_keep_the_contract),
        cmocka_unit_test(the_bound_of_output_has_the_name_that_the_server_knows),
        cmocka_unit_test(without_a_key_no_header_names_one),
        cmocka_unit_test(the_schema_asks_for_the_reason_first),
        cmocka_unit_test(the_script_refuses_what_the_apis_refuse),
        cmocka_unit_test(the_script_wants_the_right_place_and_method),
        cmocka_unit_test(replies_give_answer_and_usage),
        cmocka_unit_test(refusals_and_cuts_are_problems),
        cmocka_unit_test(replies_of_another_shape_are_rejected),
        cmocka_unit_test(replies_without_an_answer_are_problems),
        cmocka_unit_test(absurd_usage_counts_as_none),
        cmocka_unit_test(huge_usage_is_cut),
        cmocka_unit_test(cached_tokens_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
