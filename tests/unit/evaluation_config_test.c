// SPDX-License-Identifier: Apache-2.0
// The keys of evaluation and what they amount to.
#include "processor/evaluation_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct loaded {
    struct config *config;
    struct arena memory;
    struct evaluation_config options;
    struct evaluation_plan plan;
    struct buffer errors, warnings;
    unsigned error_count;
};

static void load(struct loaded *loaded, const char *yaml)
{
    struct buffer text;
    memset(loaded, 0, sizeof(*loaded));
    buffer_init(&text, 65536);
    buffer_init(&loaded->errors, 65536);
    buffer_init(&loaded->warnings, 65536);
    buffer_printf(&text, "yaml:evaluation: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    assert_int_equal(
        config_load(sources, 1, NULL, 0, &loaded->config, &loaded->errors, &loaded->warnings),
        RESULT_OK);
    arena_init(&loaded->memory, 1 << 20);
    struct option_errors errors = {.out = &loaded->errors, .warnings = &loaded->warnings};
    option_bind(evaluation_options, config_get(config_root(loaded->config), "evaluation"),
                "processors::evaluation", &loaded->options, sizeof(loaded->options),
                &loaded->memory, &errors);
    evaluation_plan_init(&loaded->plan, &loaded->options, "processors::evaluation",
                         NULL, &errors);
    loaded->error_count = errors.count;
    buffer_fini(&text);
}

static void unload(struct loaded *loaded)
{
    evaluation_plan_fini(&loaded->plan);
    arena_fini(&loaded->memory);
    config_free(&loaded->config);
    buffer_fini(&loaded->errors);
    buffer_fini(&loaded->warnings);
}

#define JUDGE                                                                                      \
    "{api: openai, endpoint: 'http://127.0.0.1:1/v1', model: m, api_key: k, "                      \
    "price: {input_per_mtok: 0, output_per_mtok: 0}}"

static void nothing_configured_is_four_computed_evaluators(void **arg)
{
    struct loaded loaded;
    (void)arg;
    load(&loaded, "");
    assert_int_equal(loaded.error_count, 0);
    assert_int_equal(loaded.plan.evaluators.count, 4);
    assert_int_equal(loaded.plan.judge_count, 0);
    for (size_t i = 0; i < 4; i++) {
        assert_false(loaded.plan.evaluators.items[i].has_threshold);
        assert_int_equal(strlen(loaded.plan.evaluators.items[i].epoch), 16);
    }
    assert_int_equal(loaded.options.hold_ns, 4000000000);
    assert_int_equal(loaded.options.completion.linger_ns, 1000000000);
    assert_int_equal(loaded.options.completion.idle_ns, 120000000000);
    assert_int_equal(loaded.options.completion.max_age_ns, 600000000000);
    assert_int_equal(loaded.options.shards, 1);
    assert_int_equal(loaded.options.target, TARGET_AUTO);
    assert_true(loaded.plan.sampling.baseline_auto);
    unload(&loaded);
}

static void a_judge_adds_two_judged_ones_with_a_threshold(void **arg)
{
    struct loaded loaded;
    (void)arg;
    load(&loaded, "{judges: {default: " JUDGE "}}");
    if (loaded.error_count > 0) {
        fail_msg("%s", buffer_text(&loaded.errors));
    }
    assert_int_equal(loaded.plan.evaluators.count, 6);
    const struct evaluator *last = &loaded.plan.evaluators.items[5];
    assert_string_equal(last->name, "answer_relevance");
    assert_int_equal(last->judge, 0);
    assert_true(last->has_threshold && last->threshold == 0.85);
    assert_non_null(last->rubric);
    unload(&loaded);
}

static void configured_evaluators_replace_the_defaults(void **arg)
{
    struct loaded loaded;
    (void)arg;
    load(&loaded, "{judges: {one: " JUDGE ", two: " JUDGE "}, evaluators: {context_overlap: , "
                  "overlap2: {type: context_overlap, threshold: 0.4}, "
                  "helpful: {judge: two, rubric: answer_relevance, threshold: 0.7}}}");
    if (loaded.error_count > 0) {
        fail_msg("%s", buffer_text(&loaded.errors));
    }
    assert_int_equal(loaded.plan.evaluators.count, 3);
    assert_string_equal(loaded.plan.evaluators.items[1].name, "overlap2");
    assert_true(loaded.plan.evaluators.items[1].threshold == 0.4);
    assert_false(loaded.plan.evaluators.items[0].has_threshold);
    assert_int_equal(loaded.plan.evaluators.items[2].judge, 1);
    unload(&loaded);
}

static void refused(const char *yaml, const char *part)
{
    struct loaded loaded;
    load(&loaded, yaml);
    if (loaded.error_count == 0) {
        fail_msg("accepted: %s", yaml);
    }
    if (!strstr(buffer_text(&loaded.errors), part)) {
        fail_msg("%s: no \"%s\" in %s", yaml, part, buffer_text(&loaded.errors));
    }
    unload(&loaded);
}

static void mistakes_are_named_with_their_place(void **arg)
{
    (void)arg;
    refused("{evaluators: {Loud: }}", "[a-z][a-z0-9_]{0,63}");
    refused("{evaluators: {faithfulness: }}", "faithfulness");
    refused("{evaluators: {tone: {judge: none}}}", "none");
    refused("{judges: {default: " JUDGE "}, evaluators: {tone: {rubric: 'file:/nonexistent/x'}}}",
            "tone");
    refused("{evaluators: {degenerate: {threshold: 2}}}", "threshold");
    refused("{evaluators: {degenerate: {nope: 2}}}", "nope");
    refused("{evaluators: [degenerate]}", "evaluators");
    refused("{target: everything}", "target");
    refused("{shards: 17}", "shards");
    refused("{hold: soon}", "hold");
    refused("{nope: 1}", "nope");
    refused("{completion: {linger: 1s, nope: 1}}", "nope");
    refused("{judge: anthropic/claude-haiku-4-5, judges: {default: " JUDGE "}}", "default");
    refused("{judge: nonsense}", "judge");
    refused("{sampling: {rules: {r: {quality_signals: [no_such], probability: 1}}}}", "no_such");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_configured_is_four_computed_evaluators),
        cmocka_unit_test(a_judge_adds_two_judged_ones_with_a_threshold),
        cmocka_unit_test(configured_evaluators_replace_the_defaults),
        cmocka_unit_test(mistakes_are_named_with_their_place),
    };
    return cmocka_run_group_tests_name("evaluation_config", tests, NULL, NULL);
}
