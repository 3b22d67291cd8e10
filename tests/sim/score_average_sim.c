// SPDX-License-Identifier: Apache-2.0
//
// What a backend shows that averages all scores of one name, as Langfuse does: interactions whose
// true quality is known go through a shard on a manual clock, a judge reads it from the answer, and
// a sink adds up what comes under each name. The average under the plain name must be the truth
// within 0.01, whatever rules pick failures more often (the mix of statistics 1.2), and also under
// `auto`, where day and night differ in traffic and quality, the process starts again ten times and
// one judge call in ten fails. Refused: a sampler of its own in the test; this drives the one that
// runs. Seeded; one thread.
//
// score_average_sim [seed]
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "proto/attribute.h"
#include "tests/evaluation_rig.h"

enum { NAMES_MAX = 16, DAY_STEPS = 8640, STEP_S = 10 };
#define TOLERANCE 0.01
#define JUDGES                                                                                     \
    "judges: {default: {api: openai, endpoint: 'http://127.0.0.1:1/v1', model: m, api_key: k, "    \
    "price: {input_per_mtok: 0, output_per_mtok: 0}}}"

static uint64_t first_seed = 1;

struct mean {
    double sum;
    uint64_t count;
};

struct named {
    char name[SCORE_NAME_BYTES_MAX];
    struct mean mean;
};

struct world {
    struct rig rig;
    struct random random;
    struct named names[NAMES_MAX];  // what the backend has
    size_t name_count;
    struct mean truth;   // of all interactions
    struct mean pooled;  // all judged scores as if under one name
    double judge_errors;
    uint64_t judged;  // calls
};

static double mean_of(const struct mean *mean)
{
    return mean->count > 0 ? mean->sum / (double)mean->count : NAN;
}

static void mean_add(struct mean *mean, double value)
{
    mean->sum += value;
    mean->count++;
}

static struct mean *named(struct world *world, const char *name)
{
    for (size_t i = 0; i < world->name_count; i++) {
        if (strcmp(world->names[i].name, name) == 0) {
            return &world->names[i].mean;
        }
    }
    CHECK(world->name_count < NAMES_MAX);
    struct named *added = &world->names[world->name_count++];
    snprintf(added->name, sizeof(added->name), "%s", name);
    return &added->mean;
}

static bool sink_item(void *arg, const struct item_view *view)
{
    struct world *world = arg;
    struct score_record record;
    char name[SCORE_NAME_BYTES_MAX];
    CHECK(view->fault == SCAN_OK && score_record_read(view->item, &record));
    CHECK(record.has_value && !record.is_error);
    if (score_record_name(&record, SCORE_SEND_JUDGED, BYTES_LITERAL("_targeted"), name)) {
        mean_add(named(world, name), record.value);
        if (record.by_judge) {
            mean_add(&world->pooled, record.value);
        }
    }
    return true;
}

static void sink_take(void *arg, struct bytes request)
{
    struct scan_report report;
    CHECK(scan_request(SIGNAL_SCORES, request, SCAN_CHECK_UTF8, sink_item, arg, &report) ==
          RESULT_OK);
}

// The answer ends in its quality.
static void judge_reads(void *arg, const struct rubric *rubric,
                        const struct interaction *interaction, struct judge_result *result)
{
    struct world *world = arg;
    char text[256];
    (void)rubric;
    snprintf(text, sizeof(text), "%.*s", BYTES_PRINTF(interaction->response));
    const char *number = strrchr(text, ' ');
    CHECK(number);
    world->judged++;
    result->score.outcome = OUTCOME_SCORE;
    result->score.value = strtod(number, NULL);
    result->cost_usd = world->rig.judge_usd;
    if (random_unit(&world->random) < world->judge_errors) {
        result->score = (struct score){.outcome = OUTCOME_ERROR};
    }
}

static void process_start(struct world *world, const char *yaml, double judge_usd)
{
    rig_open(&world->rig, yaml);
    world->rig.forgets = true;
    world->rig.judge_usd = judge_usd;
    world->rig.judge_delay_ns = 500 * NS_PER_MS;
    world->rig.judge_says = judge_reads;
    world->rig.judge_arg = world;
    world->rig.on_scores = sink_take;
    world->rig.scores_arg = world;
    evaluation_processor.score_sinks(world->rig.processor, 1u << SCORE_SEND_JUDGED);
}

static struct world *world_new(const char *yaml, double judge_usd)
{
    struct world *world = calloc(1, sizeof(*world));
    CHECK(world);
    random_seed(&world->random, first_seed);
    process_start(world, yaml, judge_usd);
    return world;
}

static void world_free(struct world *world)
{
    rig_close(&world->rig);
    free(world);
}

struct sample {  // one interaction
    double quality;
    bool enterprise, unsure, failed;
};

static double around(struct world *world, double mean, double width)
{
    double value = mean + (random_unit(&world->random) - 0.5) * 2 * width;
    return fmin(1, fmax(0, value));
}

static void sample_write(struct world *world, struct buffer *out, const struct sample *sample)
{
    static uint64_t second;
    uint8_t ids[24];
    char answer[128];
    second++;
    random_fill(&world->random, ids, sizeof(ids));
    snprintf(answer, sizeof(answer), "%s %.4f",
             sample->unsure ? "somebody will tell you more about that soon"
                            : "your blue parcel leaves Vienna on Monday morning",
             sample->quality);
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(ids, 16));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(ids + 16, 8));
    wire_write_text(out, SPAN_NAME, "agent");
    wire_write_fixed64(out, SPAN_START, second * NS_PER_S);
    wire_write_fixed64(out, SPAN_END, (second + 1) * NS_PER_S);
    attribute_write_text(out, SPAN_ATTRIBUTES, "openinference.span.kind", BYTES_LITERAL("AGENT"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "input.value",
                         BYTES_LITERAL("when does my blue parcel leave Vienna"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "retrieval.documents.0.document.content",
                         BYTES_LITERAL("parcels leave Vienna on Monday morning"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "output.value", bytes_from_text(answer));
    if (sample->enterprise) {
        attribute_write_text(out, SPAN_ATTRIBUTES, "tenant.tier", BYTES_LITERAL("enterprise"));
    }
    if (sample->failed) {
        size_t status = wire_open(out, SPAN_STATUS);
        wire_write_varint(out, STATUS_CODE, SPAN_STATUS_ERROR);
        wire_close(out, status);
    }
    wire_close(out, span);
    mean_add(&world->truth, strtod(strrchr(answer, ' '), NULL));
}

typedef void (*sample_fn)(struct world *world, struct sample *sample);

// `count` interactions in one request.
static void samples_send(struct world *world, unsigned count, sample_fn make)
{
    struct buffer request;
    struct sample sample;
    if (count == 0) {
        return;
    }
    buffer_init(&request, (size_t)1 << 20);
    size_t resource = wire_open(&request, REQUEST_RESOURCES);
    size_t message = wire_open(&request, RESOURCE_RESOURCE);
    attribute_write_text(&request, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("shop"));
    wire_close(&request, message);
    size_t scopes = wire_open(&request, RESOURCE_SCOPES);
    for (unsigned i = 0; i < count; i++) {
        sample = (struct sample){0};
        make(world, &sample);
        sample_write(world, &request, &sample);
    }
    wire_close(&request, scopes);
    wire_close(&request, resource);
    CHECK(buffer_status(&request) == RESULT_OK);
    rig_offer(&world->rig, buffer_view(&request), false);
    buffer_fini(&request);
}

static void figures_print(const struct world *world, const char *what)
{
    printf("%s: truth %.4f of %llu interactions, %llu judge calls; all scores as one name %.4f\n",
           what, mean_of(&world->truth), (unsigned long long)world->truth.count,
           (unsigned long long)world->judged, mean_of(&world->pooled));
    for (size_t i = 0; i < world->name_count; i++) {
        printf("    %-28s %.4f of %llu\n", world->names[i].name, mean_of(&world->names[i].mean),
               (unsigned long long)world->names[i].mean.count);
    }
}

static void plain_is_true(struct world *world, const char *name)
{
    double away = mean_of(named(world, name)) - mean_of(&world->truth);
    printf("    %s is away from the truth by %+.4f\n", name, away);
    assert_true(fabs(away) <= TOLERANCE);
}

// The mix of statistics 1.2: baseline 1 %, a stratum 5 %, uncertainty 10 %, a quality signal 100 %.
static void mixed(struct world *world, struct sample *sample)
{
    double which = random_unit(&world->random);
    sample->enterprise = which < 0.2;
    sample->failed = which >= 0.2 && which < 0.215;
    sample->unsure = which >= 0.215 && which < 0.265;
    sample->quality = sample->failed   ? around(world, 0.1, 0.1)
                      : sample->unsure ? around(world, 0.45, 0.3)
                                       : around(world, sample->enterprise ? 0.85 : 0.8, 0.15);
}

static void a_mix_of_rules_leaves_the_plain_average_true(void **state)
{
    (void)state;
    struct world *world =
        world_new("{" JUDGES ", budget: {usd_per_day: 1000, calls_per_second: 0}, "
                  "evaluators: {question_overlap: , answer_relevance: {judge: default}}, "
                  "sampling: {baseline: 0.01, rules: {"
                  "stratum: {match: {tenant.tier: enterprise}, probability: 0.05}, "
                  "unsure: {evaluator: question_overlap, below: 0.4, probability: 0.1}, "
                  "failures: {quality_signals: [error], probability: 1}}}}",
                  0);
    for (unsigned i = 0; i < 2000; i++) {
        samples_send(world, 200, mixed);
        rig_advance(&world->rig, 2 * NS_PER_S);
    }
    rig_advance(&world->rig, 10 * NS_PER_S);
    figures_print(world, "a mix of rules");
    assert_true(fabs(mean_of(&world->pooled) - mean_of(&world->truth)) > 0.2);
    assert_true(named(world, "answer_relevance_targeted")->count > 0);
    plain_is_true(world, "answer_relevance");
    world_free(world);
}

static bool is_day(unsigned step)
{
    unsigned hour = step % DAY_STEPS / (DAY_STEPS / 24);
    return hour >= 8 && hour < 20;
}

static bool day_now;  // for what follows

static void daily(struct world *world, struct sample *sample)
{
    sample->failed = random_unit(&world->random) < 0.02;
    sample->quality =
        sample->failed ? around(world, 0.1, 0.1) : around(world, day_now ? 0.7 : 0.85, 0.15);
}

static unsigned poisson(struct world *world, double mean)
{
    double left = exp(-mean), product = random_unit(&world->random);
    unsigned count = 0;
    while (product > left && count < 1000) {
        product *= random_unit(&world->random);
        count++;
    }
    return count;
}

#define AUTO_YAML                                                                                  \
    "{" JUDGES ", budget: {usd_per_day: 10, calls_per_second: 0}, "                                \
    "evaluators: {answer_relevance: {judge: default}}, sampling: {baseline: auto}}"

// Two weeks, day traffic ten times the night's.
static void weeks_run(struct world *world, const unsigned *starts, size_t start_count)
{
    size_t next = 0;
    for (unsigned step = 0; step < 14 * DAY_STEPS; step++) {
        if (next < start_count && step >= starts[next]) {
            next++;
            rig_close(&world->rig);
            process_start(world, AUTO_YAML, 0.001);
        }
        day_now = is_day(step);
        samples_send(world, poisson(world, (day_now ? 0.5 : 0.05) * STEP_S), daily);
        for (unsigned i = 0; i < STEP_S; i += 5) {
            rig_advance(&world->rig, 5 * NS_PER_S);
            evaluation_processor.tick(world->rig.processor, world->rig.now_ns);
        }
    }
    rig_advance(&world->rig, 10 * NS_PER_S);
}

static int by_size(const void *left, const void *right)
{
    unsigned a = *(const unsigned *)left, b = *(const unsigned *)right;
    return a < b ? -1 : a > b;
}

static void auto_runs(const char *what, const unsigned *starts, size_t count)
{
    struct world *world = world_new(AUTO_YAML, 0.001);
    world->judge_errors = 0.1;
    weeks_run(world, starts, count);
    figures_print(world, what);
    assert_true(named(world, "answer_relevance")->count > 1000);
    plain_is_true(world, "answer_relevance");
    world_free(world);
}

static void ten_starts_at_any_hour_under_auto_leave_it_true(void **state)
{
    struct random random;
    unsigned starts[10];
    (void)state;
    random_seed(&random, first_seed + 100);
    for (size_t i = 0; i < 10; i++) {
        starts[i] = (unsigned)random_below(&random, 14 * DAY_STEPS);
    }
    qsort(starts, 10, sizeof(starts[0]), by_size);
    auto_runs("auto, ten starts at any hour", starts, 10);
}

static void ten_starts_at_night_under_auto_leave_it_true(void **state)
{
    unsigned starts[10];
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        starts[i] = (i + 2) * DAY_STEPS + 2 * DAY_STEPS / 24;
    }
    auto_runs("auto, a start at two in ten nights", starts, 10);
}

static void ten_starts_at_noon_under_auto_leave_it_true(void **state)
{
    unsigned starts[10];
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        starts[i] = (i + 2) * DAY_STEPS + DAY_STEPS / 2;
    }
    auto_runs("auto, a start at noon of ten days", starts, 10);
}

static void one_in_twenty_fails(struct world *world, struct sample *sample)
{
    sample->failed = random_unit(&world->random) < 0.05;
    sample->quality = around(world, sample->failed ? 0.2 : 0.8, 0.15);
}

static double units_of(const char *evaluators)
{
    char yaml[640];
    snprintf(yaml, sizeof(yaml),
             "{" JUDGES ", budget: {usd_per_day: 1000, calls_per_second: 0}, %s "
             "sampling: {baseline: 0.02, rules: {failures: {quality_signals: [error], "
             "probability: 1}}}}",
             evaluators);
    struct world *world = world_new(yaml, 0);
    for (unsigned i = 0; i < 250; i++) {
        samples_send(world, 200, one_in_twenty_fails);
        rig_advance(&world->rig, 2 * NS_PER_S);
    }
    rig_advance(&world->rig, 10 * NS_PER_S);
    uint64_t units = 0;
    for (size_t i = 0; i < world->name_count; i++) {
        units += world->names[i].mean.count;
    }
    double rate = (double)units * 1000 / (double)world->truth.count;
    assert_int_equal(world->rig.score_count, units);  // nothing was made that is not sent
    world_free(world);
    return rate;
}

static void the_units_of_a_thousand_interactions_are_bounded(void **state)
{
    (void)state;
    double two = units_of("evaluators: {faithfulness: {judge: default, threshold: 0.85}, "
                          "answer_relevance: {judge: default, threshold: 0.85}},");
    double all = units_of("");
    printf("scores per 1,000 interactions: %.0f of two judge evaluators; with the default "
           "deterministic ones %.0f\n",
           two, all);
    assert_true(two <= 200);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mix_of_rules_leaves_the_plain_average_true),
        cmocka_unit_test(ten_starts_at_any_hour_under_auto_leave_it_true),
        cmocka_unit_test(ten_starts_at_night_under_auto_leave_it_true),
        cmocka_unit_test(ten_starts_at_noon_under_auto_leave_it_true),
        cmocka_unit_test(the_units_of_a_thousand_interactions_are_bounded),
    };
    first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    log_configure(LOG_ERROR, LOG_CONSOLE, 2);
    return cmocka_run_group_tests_name("score_average", tests, NULL, NULL);
}
