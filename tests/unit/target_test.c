// SPDX-License-Identifier: Apache-2.0
// Which spans of a fragment stand for an interaction.
#include "processor/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct trace trace;
    struct target_choice choice;
};

struct spec {
    uint8_t id, parent;
    enum role role;
    uint64_t end_ns;
    bool exchange, pending;
};

static void scene_make(struct scene *scene, const struct spec *specs, size_t count,
                       enum target_mode mode)
{
    const struct trace_id id = {{1}};
    trace_init(&scene->trace, &id, 0);
    for (size_t i = 0; i < count; i++) {
        uint8_t own[8] = {specs[i].id}, parent[8] = {specs[i].parent};
        const struct span_class found = {
            .role = specs[i].role, .dialect = 0, .own_evaluation = specs[i].role == ROLE_EVALUATOR};
        struct item_view view = {.span_id = own,
                                 .parent_id = specs[i].parent ? parent : NULL,
                                 .end_ns = specs[i].end_ns};
        struct trace_span *span = trace_add(&scene->trace, &view, &found, 0);
        struct reading reading = {0};
        if (specs[i].exchange) {
            reading.question = BYTES_LITERAL("q");
            reading.response = BYTES_LITERAL("a");
        }
        reading.pending_tools = specs[i].pending;
        assert_true(trace_keep_reading(&scene->trace, span, &reading));
    }
    trace_resolve(&scene->trace);
    targets_choose(&scene->trace, scene->trace.spans->top, mode, &scene->choice);
}

static void chosen(const struct spec *specs, size_t count, enum target_mode mode,
                   const char *expected)
{
    struct scene scene;
    char got[65] = "";
    scene_make(&scene, specs, count, mode);
    for (size_t i = 0; i < scene.choice.count; i++) {
        got[i] = (char)('0' + scene.choice.spans[i]->id.bytes[0]);
    }
    assert_string_equal(got, expected);
    trace_fini(&scene.trace);
}
#define CHOSEN(mode, expected, ...)                                                                \
    chosen((const struct spec[]){__VA_ARGS__},                                                     \
           sizeof((const struct spec[]){__VA_ARGS__}) / sizeof(struct spec), mode, expected)

static void agents_without_an_agent_above(void **arg)
{
    (void)arg;
    CHOSEN(TARGET_AUTO, "1", {1, 0, ROLE_AGENT, 9, true, false}, {2, 1, ROLE_AGENT, 8, true, false},
           {3, 2, ROLE_LLM, 7, true, false});
    CHOSEN(TARGET_AUTO, "23", {1, 0, ROLE_WORKFLOW, 9, true, false},
           {2, 1, ROLE_AGENT, 8, true, false}, {3, 1, ROLE_AGENT, 8, true, false},
           {4, 3, ROLE_AGENT, 7, true, false});
}

static void else_the_outermost_flow(void **arg)
{
    (void)arg;
    CHOSEN(TARGET_AUTO, "2", {1, 0, ROLE_OTHER, 9, false, false},
           {2, 1, ROLE_CHAIN, 8, true, false}, {3, 2, ROLE_CHAIN, 7, true, false},
           {4, 3, ROLE_LLM, 6, true, false});
    CHOSEN(TARGET_AGENT, "", {1, 0, ROLE_CHAIN, 9, true, false}, {2, 1, ROLE_LLM, 8, true, false});
}

static void else_the_exchange_or_the_last_answering_model(void **arg)
{
    (void)arg;
    CHOSEN(TARGET_AUTO, "2", {1, 0, ROLE_OTHER, 9, false, false}, {2, 1, ROLE_LLM, 8, true, false});
    CHOSEN(TARGET_AUTO, "1", {1, 0, ROLE_OTHER, 9, true, false}, {2, 1, ROLE_LLM, 8, true, false},
           {3, 1, ROLE_LLM, 8, true, false});
    CHOSEN(TARGET_AUTO, "3", {1, 0, ROLE_OTHER, 9, false, false}, {2, 1, ROLE_LLM, 5, true, false},
           {3, 1, ROLE_LLM, 8, true, false}, {4, 1, ROLE_LLM, 7, true, false});
    CHOSEN(TARGET_AUTO, "2", {1, 0, ROLE_OTHER, 9, false, false}, {2, 1, ROLE_LLM, 5, false, false},
           {3, 1, ROLE_LLM, 8, false, true});
    CHOSEN(TARGET_AUTO, "3", {1, 0, ROLE_OTHER, 9, false, false}, {2, 1, ROLE_LLM, 5, false, true},
           {3, 1, ROLE_LLM, 8, false, true});
}

static void nothing_to_grade_is_nothing(void **arg)
{
    (void)arg;
    CHOSEN(TARGET_AUTO, "", {1, 0, ROLE_OTHER, 9, false, false});
    CHOSEN(TARGET_AUTO, "", {1, 0, ROLE_TOOL, 9, true, false},
           {2, 1, ROLE_EMBEDDING, 9, false, false}, {3, 1, ROLE_RETRIEVER, 9, false, false});
    CHOSEN(TARGET_LLM, "", {1, 0, ROLE_AGENT, 9, true, false}, {2, 1, ROLE_LLM, 9, false, true});
}

static void model_mode_takes_each_answering_model(void **arg)
{
    (void)arg;
    CHOSEN(TARGET_LLM, "24", {1, 0, ROLE_AGENT, 9, true, false}, {2, 1, ROLE_LLM, 5, true, false},
           {3, 2, ROLE_LLM, 5, true, false}, {4, 1, ROLE_LLM, 8, true, false},
           {5, 1, ROLE_LLM, 9, false, true});
}

static void evaluators_and_what_they_call_are_no_rung(void **arg)
{
    struct scene scene;
    const struct spec specs[] = {{1, 0, ROLE_EVALUATOR, 9, true, false},
                                 {2, 1, ROLE_AGENT, 8, true, false},
                                 {3, 2, ROLE_LLM, 7, true, false}};
    (void)arg;
    scene_make(&scene, specs, 3, TARGET_AUTO);
    assert_int_equal(scene.choice.count, 1);
    assert_true(scene.choice.own_evaluation);
    assert_int_equal(scene.choice.spans[0]->id.bytes[0], 1);
    trace_fini(&scene.trace);
    CHOSEN(TARGET_AUTO, "1", {1, 0, ROLE_AGENT, 9, true, false},
           {2, 1, ROLE_EVALUATOR, 8, true, false});
}

static void what_may_be_held(void **arg)
{
    (void)arg;
    assert_true(target_is_possible(ROLE_AGENT, TARGET_AUTO, false));
    assert_true(target_is_possible(ROLE_CHAIN, TARGET_AUTO, false));
    assert_true(target_is_possible(ROLE_LLM, TARGET_AUTO, true));
    assert_true(target_is_possible(ROLE_LLM, TARGET_LLM, false));
    assert_false(target_is_possible(ROLE_LLM, TARGET_AUTO, false));
    assert_false(target_is_possible(ROLE_LLM, TARGET_AGENT, true));
    assert_false(target_is_possible(ROLE_AGENT, TARGET_LLM, true));
    assert_false(target_is_possible(ROLE_CHAIN, TARGET_AGENT, true));
    assert_false(target_is_possible(ROLE_OTHER, TARGET_AUTO, true));
    assert_false(target_is_possible(ROLE_EVALUATOR, TARGET_AUTO, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_without_an_agent_above),
        cmocka_unit_test(else_the_outermost_flow),
        cmocka_unit_test(else_the_exchange_or_the_last_answering_model),
        cmocka_unit_test(nothing_to_grade_is_nothing),
        cmocka_unit_test(model_mode_takes_each_answering_model),
        cmocka_unit_test(evaluators_and_what_they_call_are_no_rung),
        cmocka_unit_test(what_may_be_held),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
