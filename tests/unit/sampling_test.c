// SPDX-License-Identifier: Apache-2.0
// Choosing: which rules fire on what, that the inclusion probability is the largest p_k and is true
// (a simulation counts), that estimates from what was picked are unbiased, and what a configuration
// may say.
#include "processor/sampling.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/config.h"
#include "base/random.h"
#include "processor/trace_random.h"
#include "proto/attribute.h"

#define SIGNAL_BIT(name) (1U << QUALITY_SIGNAL_##name)

static struct score scores[EVALUATORS_MAX];  // all zero: outcome SCORE, value 0

static struct sampling_rule rule(const char *name, double probability)
{
    struct sampling_rule made = {.probability = probability, .evaluator = -1};
    snprintf(made.name, sizeof made.name, "%s", name);
    return made;
}

static struct sampling_choice choose(const struct sampling *sampling, uint64_t r, uint64_t t_in,
                                     uint64_t matches, unsigned signals)
{
    struct baseline *baseline = baseline_new(sampling->baseline_auto, sampling->baseline);
    const struct trace_random random = {r, t_in, t_in != 0};
    struct sampling_choice choice;
    sampling_choose(sampling, baseline, &random, matches, signals, scores, &choice);
    baseline_free(baseline);
    return choice;
}

static uint64_t r_at(double share)
{
    return (uint64_t)(share * (double)TRACE_RANDOM_RANGE);
}

// --- choosing ---

static void r_is_compared_with_every_rule(void **state)
{
    (void)state;
    struct sampling sampling = {.baseline = 0.1, .rule_count = 2};
    sampling.rules[0] = rule("half", 0.5);
    sampling.rules[0].quality_signals = SIGNAL_BIT(ERROR);
    sampling.rules[1] = rule("fifth", 0.2);
    sampling.rules[1].quality_signals = SIGNAL_BIT(ERROR);
    struct sampling_choice choice = choose(&sampling, r_at(0.85), 0, 0, SIGNAL_BIT(ERROR));
    assert_true(choice.probability == 0.5);
    assert_int_equal(choice.rules_fired, 3);
    assert_int_equal(choice.rules_picked, 3);
    assert_false(choice.baseline_picked || choice.plain);
    assert_true(choice.picked);
    choice = choose(&sampling, r_at(0.6), 0, 0, SIGNAL_BIT(ERROR));
    assert_int_equal(choice.rules_picked, 1);
    choice = choose(&sampling, r_at(0.4), 0, 0, SIGNAL_BIT(ERROR));
    assert_int_equal(choice.rules_fired, 3);
    assert_false(choice.picked);
    assert_true(choice.probability == 0.5);  // also where it was not picked
}

static void a_rule_that_does_not_fire_adds_nothing(void **state)
{
    (void)state;
    struct sampling sampling = {.baseline = 0.1, .rule_count = 1};
    sampling.rules[0] = rule("errors", 1);
    sampling.rules[0].quality_signals = SIGNAL_BIT(ERROR);
    struct sampling_choice choice = choose(&sampling, r_at(0.5), 0, 0, SIGNAL_BIT(DEGENERATE));
    assert_true(choice.probability == 0.1);
    assert_int_equal(choice.rules_fired, 0);
    assert_false(choice.picked);
    assert_int_equal(choice.quality_signals, SIGNAL_BIT(DEGENERATE));
}

static void the_conditions_of_a_rule_hold_together(void **state)
{
    (void)state;
    struct option_pair pair = {BYTES_LITERAL("tier"), BYTES_LITERAL("gold")};
    struct sampling sampling = {.baseline = 0, .rule_count = 1};
    sampling.rules[0] = rule("gold errors", 1);
    sampling.rules[0].quality_signals = SIGNAL_BIT(ERROR);
    sampling.rules[0].match = (struct option_pairs){&pair, 1};
    assert_false(choose(&sampling, r_at(0.9), 0, 0, SIGNAL_BIT(ERROR)).picked);
    assert_false(choose(&sampling, r_at(0.9), 0, 1, 0).picked);
    assert_true(choose(&sampling, r_at(0.9), 0, 1, SIGNAL_BIT(ERROR)).picked);
}

static void a_rule_fires_below_an_evaluators_value(void **state)
{
    (void)state;
    struct sampling sampling = {.baseline = 0, .rule_count = 1};
    sampling.rules[0] = rule("unsure", 1);
    sampling.rules[0].evaluator = 2;
    sampling.rules[0].below = 0.4;
    scores[2] = (struct score){.outcome = OUTCOME_SCORE, .value = 0.39};
    assert_true(choose(&sampling, r_at(0.9), 0, 0, 0).picked);
    scores[2].value = 0.4;
    assert_false(choose(&sampling, r_at(0.9), 0, 0, 0).picked);
    scores[2] = (struct score){.outcome = OUTCOME_NOT_APPLICABLE};
    assert_false(choose(&sampling, r_at(0.9), 0, 0, 0).picked);
    scores[2] = (struct score){.outcome = OUTCOME_ERROR};
    assert_false(choose(&sampling, r_at(0.9), 0, 0, 0).picked);
    scores[2] = (struct score){.outcome = OUTCOME_SCORE};
}

static void probability_nought_is_never_and_one_is_always(void **state)
{
    (void)state;
    struct sampling never = {.baseline = 0}, always = {.baseline = 1};
    assert_false(choose(&never, TRACE_RANDOM_RANGE - 1, 0, 0, 0).picked);
    assert_true(choose(&always, 0, 0, 0, 0).picked);
    assert_true(choose(&always, 0, 0, 0, 0).plain);
}

static void rates_are_of_what_arrives(void **state)
{
    (void)state;
    struct sampling sampling = {.baseline = 0.5};
    uint64_t t_in = r_at(0.75);  // a quarter arrives
    assert_false(choose(&sampling, r_at(0.8), t_in, 0, 0).picked);
    assert_true(choose(&sampling, r_at(0.9), t_in, 0, 0).picked);
    assert_true(choose(&sampling, r_at(0.9), t_in, 0, 0).probability == 0.5);
}

static void the_auto_baseline_starts_at_one(void **state)
{
    (void)state;
    struct sampling sampling = {.baseline_auto = true};
    struct sampling_choice choice = choose(&sampling, 0, 0, 0, 0);
    assert_true(choice.picked && choice.probability == 1);
    assert_false(choice.plain);  // 1 is not what the rest of the day will have
}

// --- the simulation: statistics.md 1.1 and 1.2 ---

struct outcome_sums {
    double weight, weighted, naive, naive_count;
};

// One interaction of the simulated traffic: failures are rarer, and show a signal.
static double simulate(const struct sampling *sampling, const struct baseline *baseline,
                       struct random *random, struct outcome_sums *sums)
{
    bool fails = random_unit(random) < 0.1;
    bool signalled = fails ? random_unit(random) < 0.6 : random_unit(random) < 0.02;
    double score = fails ? 0.2 * random_unit(random) : 1 - 0.2 * random_unit(random);
    const struct trace_random r = {random_next(random) >> 8, 0, false};
    struct sampling_choice choice;
    sampling_choose(sampling, baseline, &r, random_unit(random) < 0.2 ? 2 : 0,
                    signalled ? SIGNAL_BIT(ERROR) : 0, scores, &choice);
    if (choice.picked) {
        sums->weight += 1 / choice.probability;
        sums->weighted += score / choice.probability;
        sums->naive += score;
        sums->naive_count++;
    }
    return score;
}

static void estimates_from_what_was_picked_are_unbiased(void **state)
{
    (void)state;
    enum { REPEATS = 300, TRAFFIC = 1000 };
    struct option_pair pair = {BYTES_LITERAL("tier"), BYTES_LITERAL("gold")};
    struct sampling sampling = {.baseline = 0.05, .rule_count = 2};
    sampling.rules[0] = rule("failures", 1);
    sampling.rules[0].quality_signals = SIGNAL_BIT(ERROR);
    sampling.rules[1] = rule("gold", 0.2);
    sampling.rules[1].match = (struct option_pairs){&pair, 1};
    struct baseline *baseline = baseline_new(false, sampling.baseline);
    struct random random;
    random_seed(&random, 42);
    double error = 0, square = 0, naive = 0;
    for (int i = 0; i < REPEATS; i++) {
        struct outcome_sums sums = {0};
        double truth = 0;
        for (int k = 0; k < TRAFFIC; k++) {
            truth += simulate(&sampling, baseline, &random, &sums);
        }
        double e = sums.weighted / sums.weight - truth / TRAFFIC;
        error += e / REPEATS;
        square += e * e / REPEATS;
        naive += (sums.naive / sums.naive_count - truth / TRAFFIC) / REPEATS;
    }
    double standard_error = sqrt(square / REPEATS);
    assert_true(fabs(error) < 4 * standard_error + 0.002);  // Hajek's own bias is of order 1/n
    assert_true(naive < -0.2);                              // what the plain mean would say
    baseline_free(baseline);
}

static void the_share_picked_is_pi(void **state)
{
    (void)state;
    enum { TRAFFIC = 40000 };
    struct sampling sampling = {.baseline = 0.3, .rule_count = 1};
    sampling.rules[0] = rule("also", 0.2);
    sampling.rules[0].quality_signals = SIGNAL_BIT(ERROR);
    struct baseline *baseline = baseline_new(false, sampling.baseline);
    unsigned picked = 0;
    for (uint32_t i = 0; i < TRAFFIC; i++) {
        struct trace_id id = {{1}};
        struct trace_random random;
        struct sampling_choice choice;
        memcpy(id.bytes + 12, &i, sizeof i);  // ids that count up: R is their hash
        trace_random_of(&id, BYTES_NONE, &random);
        sampling_choose(&sampling, baseline, &random, 0, SIGNAL_BIT(ERROR), scores, &choice);
        assert_true(choice.probability == 0.3);  // not 1 - 0.7 * 0.8
        picked += choice.picked;
    }
    double share = (double)picked / TRAFFIC;
    assert_true(fabs(share - 0.3) < 4 * sqrt(0.3 * 0.7 / TRAFFIC));
    baseline_free(baseline);
}

// --- attribute matches ---

struct span {
    struct buffer attributes, resource;
    struct item_view view;
};

static void span_init(struct span *span)
{
    buffer_init(&span->attributes, 4096);
    buffer_init(&span->resource, 4096);
    attribute_write_text(&span->attributes, SPAN_ATTRIBUTES, "tenant.tier", BYTES_LITERAL("gold"));
    attribute_write_int(&span->attributes, SPAN_ATTRIBUTES, "retries", 3);
    attribute_write_bool(&span->attributes, SPAN_ATTRIBUTES, "beta", true);
    attribute_write_double(&span->attributes, SPAN_ATTRIBUTES, "share", 0.5);
    attribute_write_text(&span->resource, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("shop"));
    attribute_write_text(&span->resource, RES_ATTRIBUTES, "tenant.tier", BYTES_LITERAL("iron"));
    span->view = (struct item_view){.attributes = buffer_view(&span->attributes),
                                    .resource = buffer_view(&span->resource)};
}

static bool matches(const struct span *span, struct option_pair first, struct option_pair second)
{
    struct option_pair pairs[] = {first, second};
    struct sampling sampling = {.rule_count = 3};
    sampling.rules[1] = rule("it", 1);
    sampling.rules[1].match = (struct option_pairs){pairs, second.key.len > 0 ? 2 : 1};
    uint64_t found = sampling_matches(&sampling, &span->view);
    assert_true(found == 0 || found == 2);  // rules without a match have no bit
    return found != 0;
}

#define PAIR(key, value) ((struct option_pair){BYTES_LITERAL(key), BYTES_LITERAL(value)})
#define NO_PAIR ((struct option_pair){.key = BYTES_NONE})

static void attributes_match_by_their_text(void **state)
{
    (void)state;
    struct span span;
    span_init(&span);
    assert_true(matches(&span, PAIR("tenant.tier", "gold"), NO_PAIR));
    assert_true(matches(&span, PAIR("retries", "3"), NO_PAIR));
    assert_true(matches(&span, PAIR("beta", "true"), NO_PAIR));
    assert_true(matches(&span, PAIR("share", "0.50"), NO_PAIR));
    assert_true(matches(&span, PAIR("service.name", "shop"), NO_PAIR));
    assert_true(matches(&span, PAIR("service.name", "shop"), PAIR("retries", "3")));
    assert_false(matches(&span, PAIR("tenant.tier", "iron"), NO_PAIR));  // the span's own wins
    assert_false(matches(&span, PAIR("tenant.tier", "Gold"), NO_PAIR));
    assert_false(matches(&span, PAIR("tenant", "gold"), NO_PAIR));
    assert_false(matches(&span, PAIR("retries", "4"), NO_PAIR));
    assert_false(matches(&span, PAIR("retries", "three"), NO_PAIR));
    assert_false(matches(&span, PAIR("beta", "false"), NO_PAIR));
    assert_false(matches(&span, PAIR("service.name", "shop"), PAIR("retries", "4")));
    buffer_fini(&span.attributes);
    buffer_fini(&span.resource);
}

// --- configuration ---

struct bound {
    struct sampling sampling;
    struct config *config;
    struct arena arena;
    struct buffer errors, warnings;
    unsigned count;
};

static void bind(struct bound *bound, const char *yaml)
{
    static const struct evaluator_ops ops = {.type = "context_overlap"};
    const struct evaluator_set evaluators = {
        .items = {{.name = "context_overlap", .ops = &ops}, {.name = "faithfulness"}}, .count = 2};
    struct sampling_config config;
    char source[512];
    snprintf(source, sizeof source, "yaml:%s", yaml);
    const char *const sources[] = {source};
    memset(bound, 0, sizeof *bound);
    arena_init(&bound->arena, (size_t)1 << 20);
    buffer_init(&bound->errors, 4096);
    buffer_init(&bound->warnings, 4096);
    assert_int_equal(
        config_load(sources, 1, NULL, 0, &bound->config, &bound->errors, &bound->warnings),
        RESULT_OK);
    struct option_errors errors = {.out = &bound->errors, .warnings = &bound->warnings};
    option_bind(sampling_options, config_root(bound->config), "sampling", &config, sizeof config,
                &bound->arena, &errors);
    sampling_prepare(&config, &evaluators, &bound->sampling, "sampling", config_root(bound->config),
                     &errors);
    bound->count = errors.count;
}

static void unbind(struct bound *bound)
{
    config_free(&bound->config);
    arena_fini(&bound->arena);
    buffer_fini(&bound->errors);
    buffer_fini(&bound->warnings);
}

static void nothing_said_gives_auto_and_all_signals(void **state)
{
    (void)state;
    struct bound bound;
    bind(&bound, "{}");
    assert_int_equal(bound.count, 0);
    assert_true(bound.sampling.baseline_auto);
    assert_int_equal(bound.sampling.rule_count, 1);
    assert_int_equal(bound.sampling.rules[0].quality_signals, (1U << QUALITY_SIGNAL_COUNT) - 1);
    assert_true(bound.sampling.rules[0].probability == 1);
    unbind(&bound);
}

static void rules_are_bound(void **state)
{
    (void)state;
    struct bound bound;
    bind(&bound, "{baseline: 0.05, rules: {gold: {match: {tier: gold, n: 3}, probability: 0.2}, "
                 "failures: {quality_signals: [error, tool_error]}, "
                 "unsure: {evaluator: context_overlap, below: 0.4, probability: 0.5}}}");
    assert_int_equal(bound.count, 0);
    assert_false(bound.sampling.baseline_auto);
    assert_true(bound.sampling.baseline == 0.05);
    assert_int_equal(bound.sampling.rule_count, 3);
    assert_string_equal(bound.sampling.rules[0].name, "gold");
    assert_int_equal(bound.sampling.rules[0].match.count, 2);
    assert_true(bound.sampling.rules[0].probability == 0.2);
    assert_int_equal(bound.sampling.rules[1].quality_signals,
                     SIGNAL_BIT(ERROR) | SIGNAL_BIT(TOOL_ERROR));
    assert_true(bound.sampling.rules[1].probability == 1);
    assert_int_equal(bound.sampling.rules[2].evaluator, 0);
    assert_true(bound.sampling.rules[2].below == 0.4);
    unbind(&bound);
}

static void what_a_rule_may_not_say_is_an_error_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error;
    } rows[] = {
        {"{baseline: 1.5}", "`baseline` must be auto or between 0 and 1"},
        {"{baseline: often}", "`baseline` must be auto or between 0 and 1"},
        {"{rules: {a: {}}}", "sampling::rules::a: fires on nothing"},
        {"{rules: {a: {quality_signals: [errors]}}}", "unknown quality signal \"errors\" (valid"},
        {"{rules: {a: {evaluator: nope}}}", "references evaluator \"nope\""},
        {"{rules: {a: {evaluator: faithfulness}}}", "asks a judge"},
        {"{rules: {a: {condition: 'true'}}}", "`condition` is not part of this build"},
        {"{rules: {a: {quality_signals: [error], probability: 2}}}", "probability"},
        {"{rules: {a: {quality_signals: [error], prob: 1}}}", "invalid keys: prob"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bound bound;
        bind(&bound, rows[i].yaml);
        if (bound.count == 0 || strstr(buffer_text(&bound.errors), rows[i].error) == NULL) {
            fail_msg("%s: %s", rows[i].yaml, buffer_text(&bound.errors));
        }
        unbind(&bound);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r_is_compared_with_every_rule),
        cmocka_unit_test(a_rule_that_does_not_fire_adds_nothing),
        cmocka_unit_test(the_conditions_of_a_rule_hold_together),
        cmocka_unit_test(a_rule_fires_below_an_evaluators_value),
        cmocka_unit_test(probability_nought_is_never_and_one_is_always),
        cmocka_unit_test(rates_are_of_what_arrives),
        cmocka_unit_test(the_auto_baseline_starts_at_one),
        cmocka_unit_test(estimates_from_what_was_picked_are_unbiased),
        cmocka_unit_test(the_share_picked_is_pi),
        cmocka_unit_test(attributes_match_by_their_text),
        cmocka_unit_test(nothing_said_gives_auto_and_all_signals),
        cmocka_unit_test(rules_are_bound),
        cmocka_unit_test(what_a_rule_may_not_say_is_an_error_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
