// SPDX-License-Identifier: Apache-2.0
//
// `sidejudge demo`: six scenes on real traces, with a real Sidejudge in between and nothing beyond
// loopback.
//
// Each scene runs first and is told from what really came out: the backend's bytes, the ledger's
// rows. Refused: canned output. Bounds: those of the stage. Main thread.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "processor/evaluation.h"
#include "proto/attribute.h"
#include "proto/scan.h"
#include "service/commands.h"
#include "service/demo/demo_screen.h"
#include "service/demo/demo_stage.h"

#define REPEATS 20  // of the ten conversations, in the scene about choosing
#define BASELINE 0.25
#define STOPPED_TRACES 10

struct demo {
    struct demo_screen screen;
    struct demo_traces traces;
    struct loop *loop;
    struct demo_peers *peers;
    const char *live_judge;
    double cost_per_grading;  // USD, as measured in the second scene
};

static enum result stage_open(struct demo *demo, double baseline, struct demo_stage **stage)
{
    char why[512];
    const struct demo_stage_config config = {.loop = demo->loop,
                                             .peers = demo->peers,
                                             .baseline = baseline,
                                             .live_judge = demo->live_judge};
    enum result result = demo_stage_open(&config, stage, why, sizeof(why));
    if (result != RESULT_OK) {
        fprintf(stderr, "Error: the demonstration cannot start: %s\n", why);
    }
    return result;
}

// --- 1: as a trace backend sees them ---

static void scene_green(const struct demo *demo)
{
    const struct demo_screen *screen = &demo->screen;
    unsigned spans = 0;
    demo_title(screen, 1, "Ten conversations as a trace backend sees them");
    for (size_t i = 0; i < demo->traces.count; i++) {
        const struct demo_trace *trace = &demo->traces.items[i];
        demo_cell(screen, trace->all_green ? INK_GREEN : INK_RED,
                  bytes_from_text(trace->all_green ? "  OK" : "  ERROR"), 7);
        demo_cell(screen, INK_CYAN, trace->service, 16);
        demo_cell(screen, INK_PLAIN, trace->question, screen->width - 34);
        printf("  %2u spans\n", trace->span_count);
        spans += trace->span_count;
    }
    demo_say(screen, INK_DIM,
             "\n%u spans, no error. Was every answer right? The traces do not say.", spans);
}

// --- 2: the same with verdicts ---

static const struct json_value *first_failed(const struct json_value *decision)
{
    const struct json_value *scores = json_get(decision, "scores");
    for (size_t i = 0; i < json_count(scores); i++) {
        const struct json_value *score = json_at(scores, i);
        if (bytes_equal_text(json_get_text(score, "by"), "judge") &&
            bytes_equal_text(json_get_text(score, "label"), "fail")) {
            return score;
        }
    }
    return NULL;
}

static bool was_judged(const struct json_value *decision)
{
    return bytes_equal_text(json_get_text(decision, "decision"), "judged");
}

// The newest decision about a trace, or NULL.
static const struct json_value *decision_of(struct demo_stage *stage,
                                            const struct trace_id *trace_id,
                                            struct json_document **document)
{
    struct buffer text;
    buffer_init(&text, JSON_BYTES_MAX);
    *document = NULL;
    const struct json_value *decision = NULL;
    if (ledger_explain(evaluation_ledger(demo_stage_evaluation(stage)), trace_id, &text) &&
        json_parse(buffer_view(&text), document, NULL) == RESULT_OK) {
        decision = json_at(json_get(json_root(*document), "decisions"), 0);
    }
    buffer_fini(&text);
    return decision;
}

static void verdict_show(struct demo *demo, struct demo_stage *stage,
                         const struct demo_trace *trace)
{
    const struct demo_screen *screen = &demo->screen;
    struct json_document *document;
    const struct json_value *decision = decision_of(stage, &trace->trace_id, &document);
    const struct json_value *failed = first_failed(decision);
    const char *mark = failed != NULL ? "  FAIL" : was_judged(decision) ? "  pass" : "  ?";
    demo_cell(screen, failed != NULL ? INK_RED : INK_GREEN, bytes_from_text(mark), 7);
    demo_cell(screen, INK_CYAN, trace->service, 16);
    demo_cell(screen, INK_PLAIN, trace->question, screen->width - 24);
    printf("\n");
    if (failed != NULL) {
        char label[96];
        snprintf(label, sizeof(label), "         %.*s %.2g  ",
                 BYTES_PRINTF(json_get_text(failed, "name")),
                 json_double(json_get(failed, "score"), 0));
        demo_wrap(screen, INK_RED, "         says     ", json_get_text(failed, "evidence"));
        demo_wrap(screen, INK_YELLOW, "         missing  ", trace->evidence);
        demo_wrap(screen, INK_DIM, label, json_get_text(failed, "explanation"));
    }
    json_free(&document);
}

static bool scene_verdicts(struct demo *demo)
{
    struct demo_stage *stage;
    unsigned spans = 0;
    demo_title(&demo->screen, 2, "The same ten with Sidejudge in between");
    demo_say(&demo->screen, INK_DIM,
             demo->live_judge != NULL
                 ? "Judge: %s (live; redacted transcripts leave this machine).\n"
                 : "Judge: a scripted one on loopback%s: it knows these ten conversations and "
                   "nothing else.\n",
             demo->live_judge != NULL ? demo->live_judge : "");
    if (stage_open(demo, 1, &stage) != RESULT_OK) {
        return false;
    }
    for (size_t i = 0; i < demo->traces.count; i++) {
        demo_stage_send(stage, demo->traces.items[i].json);
        spans += demo->traces.items[i].span_count;
    }
    bool settled = demo_stage_wait(stage, demo->traces.count, spans);
    for (size_t i = 0; i < demo->traces.count; i++) {
        verdict_show(demo, stage, &demo->traces.items[i]);
    }
    struct budget_status budget;
    budget_status(evaluation_budget(demo_stage_evaluation(stage)), &budget, clock_mono_ns());
    uint64_t judged =
        ledger_count(evaluation_ledger(demo_stage_evaluation(stage)), DECISION_JUDGED);
    demo->cost_per_grading = judged > 0 ? budget.spent_usd / (double)judged : 0;
    demo_say(&demo->screen, INK_DIM,
             "\n%" PRIu64 " graded; %u of %u spans at the backend, scores on the spans.", judged,
             demo_peers_span_count(demo->peers), spans);
    demo_stage_close(&stage);
    return settled;
}

// --- 3: one span before and after ---

struct wanted_span {
    struct trace_id trace_id;
    struct span_id span_id;
    bool any_scored;  // the first span with sidejudge.verdict, else the one with span_id
    struct bytes item;
    struct item_view view;
    bool found;
};

static bool find_span(void *arg, const struct item_view *view)
{
    struct wanted_span *wanted = arg;
    struct any_view value;
    if (wanted->found || memcmp(view->trace_id, wanted->trace_id.bytes, 16) != 0) {
        return true;
    }
    if (wanted->any_scored
            ? attribute_find(view->attributes, SPAN_ATTRIBUTES, "sidejudge.decision", &value)
            : memcmp(view->span_id, wanted->span_id.bytes, 8) == 0) {
        wanted->found = true;
        wanted->item = view->item;
        wanted->view = *view;
    }
    return true;
}

static void find_in_request(void *arg, struct bytes request)
{
    struct scan_report report;
    enum result result = scan_request(SIGNAL_TRACES, request, 0, find_span, arg, &report);
    (void)result;
}

static void attributes_show(const struct demo *demo, const struct item_view *view, bool added)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    struct buffer text;
    buffer_init(&text, JSON_BYTES_MAX);
    attribute_walk_begin(&walk, view->attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        bool ours = bytes_start_with(attribute.key, BYTES_LITERAL("sidejudge."));
        bool standard = bytes_start_with(attribute.key, BYTES_LITERAL("evaluations."));
        if (added != ours || standard) {
            continue;
        }
        buffer_reset(&text);
        any_write_json(&attribute.value, &text);
        printf("  %s ", added ? "+" : " ");
        demo_cell(&demo->screen, added ? INK_GREEN : INK_DIM, attribute.key, 38);
        printf(" ");
        demo_cell(&demo->screen, added ? INK_PLAIN : INK_DIM, buffer_view(&text),
                  demo->screen.width - 44);
        printf("\n");
    }
    buffer_fini(&text);
}

static void scene_span(struct demo *demo)
{
    const struct demo_trace *trace = &demo->traces.items[0];
    struct wanted_span after = {.trace_id = trace->trace_id, .any_scored = true};
    demo_title(&demo->screen, 3, "One span before and after");
    demo_peers_each(demo->peers, find_in_request, &after);
    if (!after.found) {
        demo_say(&demo->screen, INK_RED, "no scored span of the first trace at the backend");
        return;
    }
    struct wanted_span before = {.trace_id = trace->trace_id};
    memcpy(before.span_id.bytes, after.view.span_id, sizeof(before.span_id.bytes));
    find_in_request(&before, trace->request);
    printf("  span ");
    demo_cell(&demo->screen, INK_BOLD, after.view.name, 32);
    printf("\n");
    attributes_show(demo, &before.view, false);
    attributes_show(demo, &after.view, true);
    bool kept = after.item.len >= before.item.len &&
                memcmp(after.item.ptr, before.item.ptr, before.item.len) == 0;
    demo_say(&demo->screen, kept ? INK_GREEN : INK_RED,
             "\n%zu bytes before, %zu after; the first %zu are %s. Beside them: OpenInference's "
             "evaluations.<i>.*.",
             before.item.len, after.item.len, before.item.len,
             kept ? "the same, byte for byte" : "NOT the same");
}

// --- 4: why the others were not graded ---

static void explain_show(struct demo *demo, struct demo_stage *stage,
                         const struct trace_id *trace_ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct json_document *document;
        const struct json_value *decision = decision_of(stage, &trace_ids[i], &document);
        if (bytes_equal_text(json_get_text(decision, "decision"), "not_sampled")) {
            const struct json_value *sampling = json_get(decision, "sampling");
            printf("\n  sidejudge explain %.*s\n",
                   BYTES_PRINTF(json_get_text(decision, "trace_id")));
            demo_wrap(&demo->screen, INK_PLAIN, "    decision     ",
                      json_get_text(decision, "reason"));
            printf("    probability  %g; random number %.*s of 2^56\n",
                   json_double(json_get(sampling, "probability"), 0),
                   BYTES_PRINTF(json_get_text(sampling, "random")));
            json_free(&document);
            return;
        }
        json_free(&document);
    }
}

static void spend_show(struct demo *demo, uint64_t judged, uint64_t all)
{
    double share = all > 0 ? (double)judged / (double)all : 0;
    double month = 100000 * share * demo->cost_per_grading;
    demo_say(
        &demo->screen, INK_PLAIN, "\n  %.4f USD per graded conversation%s", demo->cost_per_grading,
        demo->live_judge != NULL ? "" : " (the tokens that were used, at 1 and 5 USD per million)");
    demo_say(&demo->screen, INK_PLAIN,
             "  100,000 conversations a month, graded at this rate: %.0f USD; the default budget "
             "stops at 1 USD a day.",
             month);
}

static bool scene_choosing(struct demo *demo)
{
    struct demo_stage *stage;
    struct random random;
    struct trace_id *trace_ids = calloc(demo->traces.count * REPEATS, sizeof(*trace_ids));
    CHECK(trace_ids != NULL);
    unsigned spans = 0;
    size_t count = 0;
    demo_title(&demo->screen, 4, "Not everything is graded, and each decision has a reason");
    demo_peers_forget(demo->peers);
    random_seed(&random, 20261121);
    if (stage_open(demo, BASELINE, &stage) != RESULT_OK) {
        free(trace_ids);
        return false;
    }
    for (unsigned repeat = 0; repeat < REPEATS; repeat++) {
        for (size_t i = 0; i < demo->traces.count; i++) {
            struct buffer json;
            buffer_init(&json, JSON_BYTES_MAX);
            demo_trace_again(&demo->traces.items[i], &random, &json, &trace_ids[count++]);
            demo_stage_send(stage, buffer_view(&json));
            buffer_fini(&json);
            spans += demo->traces.items[i].span_count;
        }
        (void)demo_stage_wait(stage, 0, 0);  // the agents of a fleet do not speak all at once
    }
    bool settled = demo_stage_wait(stage, count, spans);
    struct ledger *ledger = evaluation_ledger(demo_stage_evaluation(stage));
    demo_say(&demo->screen, INK_PLAIN,
             "  %zu further conversations, baseline %g, quality signals at 1:\n", count, BASELINE);
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        uint64_t n = ledger_count(ledger, (enum decision)i);
        if (n > 0) {
            char label[64];
            snprintf(label, sizeof(label), "  %6" PRIu64 "  %-14s ", n,
                     decision_label((enum decision)i));
            demo_wrap(&demo->screen, INK_PLAIN, label,
                      bytes_from_text(decision_text((enum decision)i)));
        }
    }
    explain_show(demo, stage, trace_ids, count);
    spend_show(demo, ledger_count(ledger, DECISION_JUDGED), count);
    demo_stage_close(&stage);
    free(trace_ids);
    return settled;
}

// --- 5: the judge is stopped ---

struct score_count {
    unsigned spans, scored;
};

static bool count_scores(void *arg, const struct item_view *view)
{
    struct score_count *count = arg;
    struct attribute_walk walk;
    struct attribute_view attribute;
    bool scored = false;
    attribute_walk_begin(&walk, view->attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        scored = scored || bytes_equal_text(attribute.key, "sidejudge.score.faithfulness") ||
                 bytes_equal_text(attribute.key, "sidejudge.score.answer_relevance");
    }
    count->spans++;
    count->scored += scored;
    return true;
}

static void count_in_request(void *arg, struct bytes request)
{
    struct scan_report report;
    enum result result = scan_request(SIGNAL_TRACES, request, 0, count_scores, arg, &report);
    (void)result;
}

static bool scene_stopped(struct demo *demo)
{
    struct demo_stage *stage;
    struct random random;
    struct trace_id unused;
    unsigned spans = 0;
    demo_title(&demo->screen, 5, "The judge is stopped");
    if (demo->live_judge != NULL) {
        demo_say(&demo->screen, INK_DIM,
                 "The live judge cannot be stopped from here; this scene is for the scripted one.");
        return true;
    }
    demo_peers_forget(demo->peers);
    random_seed(&random, 20261122);
    if (stage_open(demo, 1, &stage) != RESULT_OK) {
        return false;
    }
    demo_peers_stop_judge(demo->peers);
    for (size_t i = 0; i < demo->traces.count && i < STOPPED_TRACES; i++) {
        struct buffer json;
        buffer_init(&json, JSON_BYTES_MAX);
        demo_trace_again(&demo->traces.items[i], &random, &json, &unused);
        demo_stage_send(stage, buffer_view(&json));
        buffer_fini(&json);
        spans += demo->traces.items[i].span_count;
    }
    bool settled = demo_stage_wait(stage, demo->traces.count, spans);
    struct score_count count = {0};
    demo_peers_each(demo->peers, count_in_request, &count);
    uint64_t errors =
        ledger_count(evaluation_ledger(demo_stage_evaluation(stage)), DECISION_JUDGE_ERROR);
    demo_say(&demo->screen, count.spans == spans ? INK_GREEN : INK_RED,
             "  %u of %u spans are at the backend; %u requests were refused", count.spans, spans,
             demo_stage_refused(stage));
    demo_say(&demo->screen, INK_YELLOW, "  %" PRIu64 " decisions say judge_error", errors);
    demo_say(&demo->screen, count.scored == 0 ? INK_GREEN : INK_RED,
             "  %u spans carry a judge's score: none is invented", count.scored);
    demo_stage_close(&stage);
    return settled && count.scored == 0;
}

// --- 6: your own agent ---

static void scene_yours(const struct demo *demo)
{
    demo_title(&demo->screen, 6, "This, with your own agent");
    static const struct {
        const char *comment, *line;
    } steps[] = {
        {"# a judge; leave it out: no judge, no cost",
         "export SIDEJUDGE_JUDGE=anthropic/claude-haiku-4-5 ANTHROPIC_API_KEY=..."},
        {"# where everything goes; or PHOENIX_COLLECTOR_ENDPOINT=...",
         "export LANGFUSE_PUBLIC_KEY=... LANGFUSE_SECRET_KEY=..."},
        {"# listens on localhost:4317 and :4318", "build/release/sidejudge"},
        {"# the only change at the agent",
         "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python your_agent.py"},
        {"# what was graded, what was not, why", "build/release/sidejudge status"},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        demo_say(&demo->screen, INK_DIM, "  %s", steps[i].comment);
        demo_say(&demo->screen, INK_PLAIN, "  %s\n", steps[i].line);
    }
    demo_say(&demo->screen, INK_DIM,
             "Scores of judges that were not calibrated against people are marked so "
             "(sidejudge.judge.calibrated = false).");
}

int command_demo(struct arguments *arguments)
{
    struct demo demo = {.live_judge = getenv("SIDEJUDGE_JUDGE")};
    if (demo.live_judge != NULL && demo.live_judge[0] == '\0') {
        demo.live_judge = NULL;
    }
    log_configure(LOG_ERROR, LOG_CONSOLE, 2);
    demo_screen_init(&demo.screen, arguments->plain);
    demo_traces_init(&demo.traces);
    demo.loop = loop_new();
    CHECK(demo.loop != NULL);
    demo.peers = demo_peers_open(demo.loop, &demo.traces);
    scene_green(&demo);
    bool good = scene_verdicts(&demo);
    if (good) {
        scene_span(&demo);
    }
    good = good && scene_choosing(&demo) && scene_stopped(&demo);
    if (good) {
        scene_yours(&demo);
    } else {
        fprintf(stderr, "Error: the demonstration did not come to its end\n");
    }
    demo_peers_close(&demo.peers);
    loop_free(demo.loop);
    demo_traces_fini(&demo.traces);
    return good ? 0 : 1;
}
