// SPDX-License-Identifier: Apache-2.0
// All dialects: real recordings must give the question, the answer and the evidence that their
// index names; hand-written spans show shapes and hostile input.
#include "processor/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "processor/assembly.h"
#include "processor/target.h"
#include "proto/otlp_json.h"
#include "tests/evaluation_rig.h"

struct scene {  // one trace, read from a request
    struct trace trace;
    bool open;
    unsigned roles[ROLE_COUNT];
};

static bool scene_span(void *arg, const struct item_view *view)
{
    struct scene *scene = arg;
    struct span_class found;
    struct arena scratch;
    struct reading reading;
    assert_int_equal(view->fault, SCAN_OK);
    if (!scene->open) {
        struct trace_id id;
        memcpy(id.bytes, view->trace_id, sizeof(id.bytes));
        trace_init(&scene->trace, &id, 0);
        scene->open = true;
    }
    dialect_classify(view, &found);
    scene->roles[found.role]++;
    struct trace_span *span = trace_add(&scene->trace, view, &found, 0);
    assert_non_null(span);
    if (found.role != ROLE_OTHER || found.dialect >= 0) {
        arena_init(&scratch, READING_SCRATCH_MAX);
        reading_init(&reading, &scratch);
        dialect_read(view, &found, &reading);
        assert_true(trace_keep_reading(&scene->trace, span, &reading));
        arena_fini(&scratch);
    }
    return true;
}

static void scene_load(struct scene *scene, struct bytes request)
{
    struct scan_report report;
    memset(scene, 0, sizeof(*scene));
    assert_int_equal(
        scan_request(SIGNAL_TRACES, request, SCAN_CHECK_UTF8, scene_span, scene, &report),
        RESULT_OK);
    assert_true(scene->open);
    trace_resolve(&scene->trace);
}

static void scene_choose(struct scene *scene, struct target_choice *choice)
{
    for (const struct trace_span *span = scene->trace.spans; span; span = span->next) {
        if (span->top == span) {
            targets_choose(&scene->trace, span, TARGET_AUTO, choice);
            if (choice->count > 0) {
                return;
            }
        }
    }
}

static void load_specs(struct scene *scene, const char *scope, const struct rig_spec *specs,
                       size_t count)
{
    struct buffer request;
    buffer_init(&request, 16 << 20);
    rig_request(&request, "shop", scope, specs, count);
    assert_int_equal(buffer_status(&request), RESULT_OK);
    scene_load(scene, buffer_view(&request));
    buffer_fini(&request);
}

static void assert_text(struct bytes got, const char *expected)
{
    if (!bytes_equal_text(got, expected)) {
        fail_msg("expected \"%s\", got \"%.*s\"", expected, BYTES_PRINTF(got));
    }
}

static const struct evidence *evidence_of(const struct scene *scene, uint8_t span_number)
{
    for (const struct trace_span *span = scene->trace.spans; span; span = span->next) {
        if (span->id.bytes[7] == span_number) {
            assert_non_null(span->evidence);
            return span->evidence;
        }
    }
    fail_msg("no span %u", span_number);
    return NULL;
}

static bool holds(const struct interaction *interaction, struct bytes text)
{
    for (size_t i = 0; i < interaction->context_count; i++) {
        if (bytes_find(interaction->contexts[i], text, 0) != SIZE_MAX) {
            return true;
        }
    }
    return bytes_find(interaction->system, text, 0) != SIZE_MAX;
}

static void check_recording(const struct json_value *row)
{
    char path[512], why[256] = "";
    struct buffer json, request;
    struct scene scene;
    struct target_choice choice = {0};
    struct interaction interaction;
    buffer_init(&json, 16 << 20);
    buffer_init(&request, 16 << 20);
    snprintf(path, sizeof(path), "%s/traces/%.*s", SIDEJUDGE_FIXTURES,
             BYTES_PRINTF(json_get_text(row, "file")));
    assert_int_equal(file_read(path, &json), RESULT_OK);
    assert_int_equal(
        otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(&json), &request, why, sizeof(why)),
        RESULT_OK);
    scene_load(&scene, buffer_view(&request));
    scene_choose(&scene, &choice);
    if (choice.count != 1) {
        fail_msg("%s: %zu targets", path, choice.count);
    }
    assembly_build(&scene.trace, choice.spans[0], choice.whole, &interaction);
    struct bytes question = json_get_text(row, "question"), answer = json_get_text(row, "answer");
    struct bytes evidence = json_get_text(row, "evidence");
    if (!bytes_equal(interaction.question, question)) {
        fail_msg("%s: question \"%.*s\"", path, BYTES_PRINTF(interaction.question));
    }
    if (!bytes_equal(bytes_trim(interaction.response), bytes_trim(answer))) {
        fail_msg("%s: answer \"%.*s\"", path, BYTES_PRINTF(interaction.response));
    }
    bool verbatim = bytes_find(buffer_view(&json), evidence, 0) != SIZE_MAX;  // else a remark
    if (evidence.len > 0 && verbatim && !holds(&interaction, evidence)) {
        fail_msg("%s: evidence not among %zu contexts: %.*s", path, interaction.context_count,
                 BYTES_PRINTF(evidence));
    }
    assert_true(interaction.model.len > 0);
    assert_true(interaction.input_tokens > 0 && interaction.output_tokens > 0);
    trace_fini(&scene.trace);
    buffer_fini(&json);
    buffer_fini(&request);
}

static void recordings_give_their_question_answer_and_evidence(void **arg)
{
    char path[512];
    struct buffer text;
    struct json_document *document;
    (void)arg;
    snprintf(path, sizeof(path), "%s/traces/index.json", SIDEJUDGE_FIXTURES);
    buffer_init(&text, 1 << 20);
    assert_int_equal(file_read(path, &text), RESULT_OK);
    assert_int_equal(json_parse(buffer_view(&text), &document, NULL), RESULT_OK);
    assert_true(json_count(json_root(document)) >= 10);
    for (size_t i = 0; i < json_count(json_root(document)); i++) {
        check_recording(json_at(json_root(document), i));
    }
    json_free(&document);
    buffer_fini(&text);
}

static void genai_tool_results_under_both_names(void **arg)
{
    struct scene scene;
    (void)arg;
    const struct rig_spec spec = {
        .trace = 1,
        .span = 1,
        .name = "chat",
        .attributes = {
            "gen_ai.operation.name", "chat", "gen_ai.system_instructions",
            "[{\"type\":\"text\",\"content\":\"be brief\"}]", "gen_ai.input.messages",
            "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"old turn\"}]},"
            "{\"role\":\"assistant\",\"parts\":[{\"type\":\"tool_call\",\"id\":\"0\",\"name\":"
            "\"a\","
            "\"arguments\":{}}]},{\"role\":\"user\",\"content\":\"new turn\"},"
            "{\"role\":\"assistant\",\"parts\":[{\"type\":\"tool_call\",\"id\":\"1\",\"name\":"
            "\"find\","
            "\"arguments\":{\"q\":1}},{\"type\":\"tool_call\",\"id\":\"2\",\"name\":\"get\","
            "\"arguments\":\"{}\"}]},{\"role\":\"tool\",\"parts\":[{\"type\":\"tool_call_"
            "response\","
            "\"id\":\"1\",\"response\":\"first\"}]},{\"role\":\"user\",\"parts\":[{\"type\":"
            "\"tool_call_response\",\"id\":\"2\",\"result\":{\"error\":\"gone\"}}]}]",
            "gen_ai.output.messages",
            "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"reasoning\",\"content\":\"hm\"},"
            "{\"type\":\"text\",\"content\":\"done\"}],\"finish_reason\":\"FinishReason.STOP\"}]"}};
    load_specs(&scene, "x", &spec, 1);
    const struct evidence *evidence = evidence_of(&scene, 1);
    assert_text(evidence->question, "new turn");
    assert_text(evidence->system, "be brief");
    assert_text(evidence->response, "done");
    assert_text(evidence->finish_reason, "stop");
    assert_int_equal(evidence->tool_call_count, 2);  // the old turn's call is not this turn's
    assert_text(evidence->tool_calls[0].result, "first");
    assert_false(evidence->tool_calls[0].failed);
    assert_text(evidence->tool_calls[1].name, "get");
    assert_true(evidence->tool_calls[1].failed);
    trace_fini(&scene.trace);
}

static void structured_values_read_like_json(void **arg)
{
    struct buffer request;
    struct scene scene;
    char why[256] = "";
    const char *json =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"0102030405060701\",\"name\":\"chat\","
        "\"attributes\":[{\"key\":\"gen_ai.operation.name\",\"value\":{\"stringValue\":\"chat\"}},"
        "{\"key\":\"gen_ai.input.messages\",\"value\":{\"arrayValue\":{\"values\":[{"
        "\"kvlistValue\":"
        "{\"values\":[{\"key\":\"role\",\"value\":{\"stringValue\":\"user\"}},{\"key\":\"parts\","
        "\"value\":{\"arrayValue\":{\"values\":[{\"kvlistValue\":{\"values\":[{\"key\":\"type\","
        "\"value\":{\"stringValue\":\"text\"}},{\"key\":\"content\",\"value\":{\"stringValue\":"
        "\"hello there\"}}]}}]}}}]}}]}}},{\"key\":\"gen_ai.response.finish_reasons\",\"value\":"
        "{\"arrayValue\":{\"values\":[{\"stringValue\":\"max_tokens\"}]}}}]}]}]}]}";
    (void)arg;
    buffer_init(&request, 1 << 20);
    assert_int_equal(
        otlp_json_to_protobuf(SIGNAL_TRACES, bytes_from_text(json), &request, why, sizeof(why)),
        RESULT_OK);
    scene_load(&scene, buffer_view(&request));
    assert_text(evidence_of(&scene, 1)->question, "hello there");
    assert_text(evidence_of(&scene, 1)->finish_reason, "length");
    trace_fini(&scene.trace);
    buffer_fini(&request);
}

static void truncated_json_is_a_marked_prefix(void **arg)
{
    struct scene scene;
    const struct rig_spec spec = {
        .trace = 1,
        .span = 1,
        .attributes = {
            "gen_ai.operation.name", "chat", "gen_ai.input.messages",
            "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"whole\"}]},"
            "{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"cut of"}};
    (void)arg;
    load_specs(&scene, "x", &spec, 1);
    assert_text(evidence_of(&scene, 1)->question, "whole");
    assert_true(evidence_of(&scene, 1)->truncated);
    trace_fini(&scene.trace);
}

static void masks_are_no_content(void **arg)
{
    static const char *const masks[] = {"__REDACTED__", "<REDACTED>", "[]", "{}", "null", "  "};
    (void)arg;
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        struct scene scene;
        const struct rig_spec spec = {
            .trace = 1,
            .span = 1,
            .attributes = {"openinference.span.kind", "LLM", "input.value", masks[i],
                           "llm.input_messages.0.message.role", "user",
                           "llm.input_messages.0.message.content", masks[i], "output.value",
                           masks[i], "gen_ai.input.messages", masks[i]}};
        load_specs(&scene, "openinference.instrumentation.x", &spec, 1);
        assert_int_equal(evidence_of(&scene, 1)->question.len, 0);
        assert_int_equal(evidence_of(&scene, 1)->response.len, 0);
        trace_fini(&scene.trace);
    }
}

static void flattened_messages_in_any_order_with_hostile_indices(void **arg)
{
    struct scene scene;
    const struct rig_spec spec = {.trace = 1,
                                  .span = 1,
                                  .attributes = {
                                      "openinference.span.kind",
                                      "LLM",
                                      "llm.input_messages.2.message.content",
                                      "second turn",
                                      "llm.input_messages.2.message.role",
                                      "user",
                                      "llm.input_messages.0.message.role",
                                      "system",
                                      "llm.input_messages.0.message.content",
                                      "be kind",
                                      "llm.input_messages.1.message.role",
                                      "user",
                                      "llm.input_messages.1.message.content",
                                      "first turn",
                                      "llm.input_messages.999999999999.message.content",
                                      "x",
                                      "llm.input_messages.99999.message.role",
                                      "user",
                                      "llm.input_messages..message.role",
                                      "user",
                                      "llm.output_messages.0.message.content",
                                      "answer",
                                  }};
    (void)arg;
    load_specs(&scene, "x", &spec, 1);
    assert_text(evidence_of(&scene, 1)->question, "second turn");
    assert_text(evidence_of(&scene, 1)->system, "be kind");
    assert_text(evidence_of(&scene, 1)->response, "answer");
    assert_true(evidence_of(&scene, 1)->truncated);
    trace_fini(&scene.trace);
}

static void flattened_tool_calls_are_pending(void **arg)
{
    struct scene scene;
    const struct rig_spec spec = {
        .trace = 1,
        .span = 1,
        .attributes = {
            "llm.request.type", "chat", "gen_ai.prompt.0.role", "user", "gen_ai.prompt.0.content",
            "[{\"type\":\"text\",\"text\":\"in blocks\"}]", "gen_ai.completion.0.role", "assistant",
            "gen_ai.completion.0.tool_calls.0.id", "c9", "gen_ai.completion.0.tool_calls.0.name",
            "search", "gen_ai.completion.0.tool_calls.0.arguments", "{\"q\":\"x\"}",
            "gen_ai.completion.0.finish_reason", "tool_calls"}};
    (void)arg;
    load_specs(&scene, "x", &spec, 1);
    const struct evidence *evidence = evidence_of(&scene, 1);
    assert_text(evidence->question, "in blocks");
    assert_true(evidence->pending_tools);
    assert_int_equal(evidence->tool_call_count, 1);
    assert_text(evidence->tool_calls[0].arguments, "{\"q\":\"x\"}");
    assert_int_equal(scene.trace.spans->dialect, DIALECT_OPENLLMETRY);
    trace_fini(&scene.trace);
}

static void conventions_beat_flattened_and_raw(void **arg)
{
    struct scene scene;
    const struct rig_spec spec = {
        .trace = 1,
        .span = 1,
        .attributes = {"openinference.span.kind", "LLM", "input.value",
                       "{\"messages\":[{\"role\":\"user\",\"content\":\"raw\"}]}",
                       "llm.input_messages.0.message.role", "user",
                       "llm.input_messages.0.message.content", "flattened", "gen_ai.input.messages",
                       "[{\"role\":\"user\",\"content\":\"conventions\"}]", "output.value",
                       "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                       "\"content\":\"from raw\"},\"finish_reason\":\"stop\"}]}"}};
    (void)arg;
    load_specs(&scene, "x", &spec, 1);
    assert_int_equal(scene.trace.spans->dialect, DIALECT_OPENINFERENCE);
    assert_text(evidence_of(&scene, 1)->question, "conventions");
    assert_text(evidence_of(&scene, 1)->response, "from raw");  // a gap filled by the last resort
    trace_fini(&scene.trace);
}

static void workflow_entities_are_taken_apart(void **arg)
{
    struct scene scene;
    const struct rig_spec specs[] = {
        {.trace = 1,
         .span = 1,
         .attributes = {"traceloop.span.kind", "workflow", "traceloop.entity.input",
                        "{\"args\":[\"what is due\"],\"kwargs\":{}}", "traceloop.entity.output",
                        "\"nothing is due\""}},
        {.trace = 1,
         .span = 2,
         .parent = 1,
         .attributes = {"traceloop.span.kind", "tool", "traceloop.entity.name", "ledger",
                        "traceloop.entity.input", "{\"id\":1}", "traceloop.entity.output",
                        "{\"error\":\"no such id\"}"}}};
    (void)arg;
    load_specs(&scene, "x", specs, 2);
    assert_int_equal(scene.trace.spans->role, ROLE_WORKFLOW);
    assert_text(evidence_of(&scene, 1)->question, "what is due");
    assert_text(evidence_of(&scene, 1)->response, "nothing is due");
    assert_text(evidence_of(&scene, 2)->self.name, "ledger");
    assert_true(evidence_of(&scene, 2)->self.failed);
    trace_fini(&scene.trace);
}

static void retrieval_documents_become_contexts(void **arg)
{
    struct scene scene;
    const struct rig_spec specs[] = {
        {.trace = 1,
         .span = 1,
         .attributes = {"openinference.span.kind", "RETRIEVER",
                        "retrieval.documents.1.document.content", "two",
                        "retrieval.documents.0.document.content", "one",
                        "retrieval.documents.77777.document.content", "far"}},
        {.trace = 1,
         .span = 2,
         .attributes = {"gen_ai.operation.name", "retrieval", "gen_ai.retrieval.documents",
                        "[{\"id\":\"a\",\"score\":1,\"content\":\"three\"},{\"id\":\"b\"}]"}},
        {.trace = 1,
         .span = 3,
         .attributes = {"openinference.span.kind", "RETRIEVER", "output.value",
                        "[{\"page_content\":\"four\",\"metadata\":{}}]"}}};
    (void)arg;
    load_specs(&scene, "x", specs, 3);
    assert_int_equal(evidence_of(&scene, 1)->context_count, 2);
    assert_text(evidence_of(&scene, 1)->contexts[0], "one");
    assert_int_equal(evidence_of(&scene, 2)->context_count, 1);
    assert_text(evidence_of(&scene, 2)->contexts[0], "three");
    assert_text(evidence_of(&scene, 3)->contexts[0], "four");
    trace_fini(&scene.trace);
}

static void evaluators_and_own_spans_are_marked(void **arg)
{
    struct scene scene;
    const struct rig_spec specs[] = {
        {.trace = 1, .span = 1, .attributes = {"openinference.span.kind", "EVALUATOR"}},
        {.trace = 1, .span = 2, .attributes = {"gen_ai.operation.name", "evaluation"}},
        {.trace = 1, .span = 3, .attributes = {"gen_ai.operation.name", "chat"}}};
    (void)arg;
    load_specs(&scene, "x", specs, 3);
    assert_true(scene.trace.spans->own_evaluation);
    assert_true(scene.trace.spans->next->own_evaluation);
    assert_false(scene.trace.spans->next->next->own_evaluation);
    trace_fini(&scene.trace);
    load_specs(&scene, "sidejudge", &specs[2], 1);
    assert_true(scene.trace.spans->own_evaluation);
    trace_fini(&scene.trace);
}

static void plain_spans_have_no_role(void **arg)
{
    struct scene scene;
    const struct rig_spec spec = {
        .trace = 1, .span = 1, .attributes = {"http.request.method", "GET", "gen", "x", "", ""}};
    (void)arg;
    load_specs(&scene, "opentelemetry.instrumentation.fastapi", &spec, 1);
    assert_int_equal(scene.trace.spans->role, ROLE_OTHER);
    assert_int_equal(scene.trace.spans->dialect, -1);
    assert_null(scene.trace.spans->evidence);
    trace_fini(&scene.trace);
}

static void long_texts_keep_head_and_tail(void **arg)
{
    struct scene scene;
    char *text = malloc(200001);
    (void)arg;
    assert_non_null(text);
    memset(text, 'x', 200000);
    memcpy(text, "HEAD", 4);
    memcpy(text + 199996, "TAIL", 5);
    const struct rig_spec spec = {
        .trace = 1,
        .span = 1,
        .attributes = {"openinference.span.kind", "AGENT", "input.value", text}};
    load_specs(&scene, "x", &spec, 1);
    struct bytes kept = evidence_of(&scene, 1)->question;
    assert_true(kept.len <= EVIDENCE_TEXT_MAX);
    assert_true(bytes_start_with(kept, BYTES_LITERAL("HEAD")));
    assert_true(bytes_end_with(kept, BYTES_LITERAL("TAIL")));
    assert_true(evidence_of(&scene, 1)->truncated);
    trace_fini(&scene.trace);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recordings_give_their_question_answer_and_evidence),
        cmocka_unit_test(genai_tool_results_under_both_names),
        cmocka_unit_test(structured_values_read_like_json),
        cmocka_unit_test(truncated_json_is_a_marked_prefix),
        cmocka_unit_test(masks_are_no_content),
        cmocka_unit_test(flattened_messages_in_any_order_with_hostile_indices),
        cmocka_unit_test(flattened_tool_calls_are_pending),
        cmocka_unit_test(conventions_beat_flattened_and_raw),
        cmocka_unit_test(workflow_entities_are_taken_apart),
        cmocka_unit_test(retrieval_documents_become_contexts),
        cmocka_unit_test(evaluators_and_own_spans_are_marked),
        cmocka_unit_test(plain_spans_have_no_role),
        cmocka_unit_test(long_texts_keep_head_and_tail),
    };
    return cmocka_run_group_tests_name("dialect", tests, NULL, NULL);
}
