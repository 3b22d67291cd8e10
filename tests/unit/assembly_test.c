// SPDX-License-Identifier: Apache-2.0
// Where the parts of an interaction come from.
#include "processor/assembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct trace trace;
    struct interaction out;
};

static void scene_open(struct scene *scene)
{
    const struct trace_id id = {{1}};
    memset(scene, 0, sizeof(*scene));
    trace_init(&scene->trace, &id, 0);
}

static struct trace_span *add(struct scene *scene, uint8_t id, uint8_t parent, enum role role,
                              uint64_t start_ns, uint64_t end_ns, const struct reading *reading)
{
    uint8_t own[8] = {id}, above[8] = {parent};
    const struct span_class found = {.role = role, .own_evaluation = role == ROLE_EVALUATOR};
    struct item_view view = {
        .span_id = own, .parent_id = parent ? above : NULL, .start_ns = start_ns, .end_ns = end_ns};
    struct trace_span *span = trace_add(&scene->trace, &view, &found, 0);
    assert_non_null(span);
    assert_true(trace_keep_reading(&scene->trace, span, reading));
    return span;
}

static void build(struct scene *scene, const struct trace_span *target, bool whole)
{
    trace_resolve(&scene->trace);
    assembly_build(&scene->trace, target, whole, &scene->out);
}

static void is(struct bytes got, const char *expected)
{
    if (!bytes_equal_text(got, expected)) {
        fail_msg("expected \"%s\", got \"%.*s\"", expected, BYTES_PRINTF(got));
    }
}

static void question_of_the_topmost_answer_of_the_last_model(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    const struct reading none = {0};
    const struct reading first = {.question = BYTES_LITERAL("asked"), .pending_tools = true};
    const struct reading last = {.question = BYTES_LITERAL("asked again"),
                                 .response = BYTES_LITERAL("answered"),
                                 .model = BYTES_LITERAL("m"),
                                 .has_usage = true,
                                 .input_tokens = 10};
    const struct reading side = {.question = BYTES_LITERAL("to a tool"),
                                 .response = BYTES_LITERAL("from a tool")};
    struct trace_span *agent = add(&scene, 1, 0, ROLE_AGENT, 0, 100, &none);
    add(&scene, 2, 1, ROLE_LLM, 10, 20, &first);
    struct trace_span *answer = add(&scene, 3, 1, ROLE_LLM, 30, 40, &last);
    add(&scene, 4, 1, ROLE_TOOL, 25, 99, &side);
    build(&scene, agent, false);
    is(scene.out.question, "asked");
    is(scene.out.response, "answered");
    is(scene.out.model, "m");
    assert_int_equal(scene.out.input_tokens, 10);
    assert_true(span_id_equal(&scene.out.content_source, &answer->id));
    assert_false(scene.out.incomplete);
    trace_fini(&scene.trace);
}

static void the_targets_own_words_come_first_unless_raw(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    struct reading own = {.question = BYTES_LITERAL("own q"), .response = BYTES_LITERAL("own a")};
    const struct reading model = {.question = BYTES_LITERAL("model q"),
                                  .response = BYTES_LITERAL("model a")};
    struct trace_span *agent = add(&scene, 1, 0, ROLE_AGENT, 0, 100, &own);
    add(&scene, 2, 1, ROLE_LLM, 10, 20, &model);
    build(&scene, agent, false);
    is(scene.out.question, "own q");
    is(scene.out.response, "own a");
    agent->evidence->question_raw = agent->evidence->response_raw = true;
    build(&scene, agent, false);
    is(scene.out.question, "model q");
    is(scene.out.response, "model a");
    trace_fini(&scene.trace);
}

static void contexts_are_documents_and_tool_results_once(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    struct reading target = {.question = BYTES_LITERAL("q"), .response = BYTES_LITERAL("a")};
    struct reading search = {.contexts = {BYTES_LITERAL("doc one"), BYTES_LITERAL("doc two")},
                             .context_count = 2};
    struct reading tool = {.self = {.name = BYTES_LITERAL("find"),
                                    .arguments = BYTES_LITERAL("{}"),
                                    .result = BYTES_LITERAL("found")}};
    struct reading broken = {
        .self = {.name = BYTES_LITERAL("pay"), .result = BYTES_LITERAL("{\"error\": \"no\"}")}};
    struct reading model = {.tool_calls = {{.id = BYTES_LITERAL("c1"),
                                            .name = BYTES_LITERAL("find"),
                                            .arguments = BYTES_LITERAL("{}"),
                                            .result = BYTES_LITERAL("found")}},
                            .tool_call_count = 1,
                            .pending_tools = true};
    struct trace_span *agent = add(&scene, 1, 0, ROLE_AGENT, 0, 100, &target);
    add(&scene, 2, 1, ROLE_RETRIEVER, 10, 20, &search);
    add(&scene, 3, 1, ROLE_RETRIEVER, 10, 20, &search);
    add(&scene, 4, 1, ROLE_LLM, 10, 20, &model);
    add(&scene, 5, 1, ROLE_TOOL, 10, 20, &tool);
    add(&scene, 6, 1, ROLE_TOOL, 10, 20, &broken);
    build(&scene, agent, false);
    assert_int_equal(scene.out.context_count, 3);
    is(scene.out.contexts[2], "found");
    assert_int_equal(scene.out.tool_call_count, 2);  // the asked one and its span are one
    is(scene.out.tool_calls[0].id, "c1");
    assert_true(scene.out.tool_calls[1].failed);
    trace_fini(&scene.trace);
}

static void evaluators_below_give_nothing(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    const struct reading none = {0};
    const struct reading verdict = {.question = BYTES_LITERAL("is it good"),
                                    .response = BYTES_LITERAL("it is good")};
    struct trace_span *agent = add(&scene, 1, 0, ROLE_AGENT, 0, 100, &none);
    add(&scene, 2, 1, ROLE_EVALUATOR, 10, 20, &verdict);
    add(&scene, 3, 2, ROLE_LLM, 10, 20, &verdict);
    build(&scene, agent, false);
    assert_false(scene.out.has_content);
    trace_fini(&scene.trace);
}

static void a_model_target_sees_what_stands_beside_it(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    const struct reading none = {0};
    const struct reading model = {.question = BYTES_LITERAL("q"), .response = BYTES_LITERAL("a")};
    const struct reading search = {.contexts = {BYTES_LITERAL("doc")}, .context_count = 1};
    add(&scene, 1, 0, ROLE_OTHER, 0, 100, &none);
    struct trace_span *chat = add(&scene, 2, 1, ROLE_LLM, 10, 20, &model);
    add(&scene, 3, 1, ROLE_RETRIEVER, 1, 5, &search);
    build(&scene, chat, true);
    assert_int_equal(scene.out.context_count, 1);
    build(&scene, chat, false);
    assert_int_equal(scene.out.context_count, 0);
    trace_fini(&scene.trace);
}

static void documents_in_the_users_turn_are_contexts(void **arg)
{
    static const struct {
        const char *turn, *question, *context;
    } rows[] = {
        {"Context:\na b\nQuestion: why", "why", "a b"},
        {"documents: one\n\nquestion: what\nnow", "what\nnow", "one"},
        {"Question: why", "Question: why", NULL},
        {"Context: only", "Context: only", NULL},
        {"My Question: why\nContext: x", "My Question: why\nContext: x", NULL},
        {"Context:\nQuestion:", "Context:\nQuestion:", NULL},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene scene;
        scene_open(&scene);
        const struct reading model = {.question = bytes_from_text(rows[i].turn),
                                      .response = BYTES_LITERAL("a")};
        struct trace_span *chat = add(&scene, 1, 0, ROLE_LLM, 0, 9, &model);
        build(&scene, chat, true);
        is(scene.out.question, rows[i].question);
        assert_int_equal(scene.out.context_count, rows[i].context ? 1 : 0);
        if (rows[i].context) {
            is(scene.out.contexts[0], rows[i].context);
        }
        trace_fini(&scene.trace);
    }
}

static void usage_is_summed_over_the_deepest_spans(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    const struct reading agent = {.has_usage = true, .input_tokens = 30};
    const struct reading model = {.has_usage = true, .input_tokens = 15, .cost_usd = 0.5};
    struct trace_span *target = add(&scene, 1, 0, ROLE_AGENT, 0, 100, &agent);
    add(&scene, 2, 1, ROLE_LLM, 10, 20, &agent);  // a wrapper around 3
    add(&scene, 3, 2, ROLE_LLM, 10, 20, &model);
    add(&scene, 4, 1, ROLE_LLM, 30, 40, &model);
    build(&scene, target, false);
    assert_int_equal(scene.out.input_tokens, 30);
    assert_true(scene.out.cost_usd > 0.99 && scene.out.cost_usd < 1.01);
    trace_fini(&scene.trace);
}

static void the_whole_is_bounded(void **arg)
{
    struct scene scene;
    (void)arg;
    scene_open(&scene);
    const struct reading none = {0};
    struct trace_span *target = add(&scene, 1, 0, ROLE_AGENT, 0, 100, &none);
    char *text = malloc(30000);
    assert_non_null(text);
    for (uint8_t i = 0; i < 20; i++) {
        memset(text, 'a' + i, 30000);
        const struct reading search = {.contexts = {bytes_from(text, 30000)}, .context_count = 1};
        add(&scene, (uint8_t)(10 + i), 1, ROLE_RETRIEVER, 1, 5, &search);
    }
    free(text);
    build(&scene, target, false);
    size_t bytes = 0;
    for (size_t i = 0; i < scene.out.context_count; i++) {
        bytes += scene.out.contexts[i].len;
    }
    assert_true(bytes <= INTERACTION_BYTES_MAX);
    assert_true(scene.out.truncated);
    trace_fini(&scene.trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(question_of_the_topmost_answer_of_the_last_model),
        cmocka_unit_test(the_targets_own_words_come_first_unless_raw),
        cmocka_unit_test(contexts_are_documents_and_tool_results_once),
        cmocka_unit_test(evaluators_below_give_nothing),
        cmocka_unit_test(a_model_target_sees_what_stands_beside_it),
        cmocka_unit_test(documents_in_the_users_turn_are_contexts),
        cmocka_unit_test(usage_is_summed_over_the_deepest_spans),
        cmocka_unit_test(the_whole_is_bounded),
    };
    return cmocka_run_group_tests_name("assembly", tests, NULL, NULL);
}
