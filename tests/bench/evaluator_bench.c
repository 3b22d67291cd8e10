// SPDX-License-Identifier: Apache-2.0
/*
 * What deciding costs and what the deterministic evaluators are worth: lines of `name value unit`.
 * Worth is the area under the ROC curve against the labels of tests/fixtures/labelled (0.5 says
 * nothing; they are named after what they measure for that reason), cost the best of several rounds
 * on CPU time of this process, on the same interactions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "processor/ledger.h"
#include "processor/prompt.h"
#include "processor/quality_signal.h"
#include "processor/rubric.h"

enum { ROUNDS = 9, INTERACTIONS_MAX = 512, LABELS = 2, PROSE_BYTES = 64 << 10 };

static const char *const label_names[LABELS] = {"faithfulness", "answer_relevance"};

enum label { LABEL_NONE, LABEL_PASS, LABEL_FAIL };

struct labelled {
    struct interaction interaction;
    enum label labels[LABELS];
};

struct bench {
    struct labelled items[INTERACTIONS_MAX];
    size_t count;
    struct buffer texts[4];  // of the files
    struct json_document *documents[INTERACTIONS_MAX];
    size_t bytes;  // of all that is in the interactions
    struct redactor *redactor;
    struct buffer out;
    const struct evaluator_ops *ops;  // being measured
};

// --- the labelled set ---

static enum label label_of(const struct json_value *labels, const char *name)
{
    struct bytes text = json_get_text(labels, name);
    return bytes_equal_text(text, "pass")   ? LABEL_PASS
           : bytes_equal_text(text, "fail") ? LABEL_FAIL
                                            : LABEL_NONE;
}

static void item_read(struct bench *bench, const struct json_value *root)
{
    struct labelled *item = &bench->items[bench->count];
    struct interaction *interaction = &item->interaction;
    const struct json_value *contexts = json_get(root, "contexts");
    const struct json_value *calls = json_get(root, "tool_calls");
    interaction->system = json_get_text(root, "system");
    interaction->question = json_get_text(root, "question");
    interaction->response = json_get_text(root, "response");
    interaction->has_content = true;
    for (size_t i = 0; i < json_count(contexts) && i < INTERACTION_CONTEXTS_MAX; i++) {
        interaction->contexts[i] = json_text(json_at(contexts, i));
        interaction->context_count++;
        bench->bytes += interaction->contexts[i].len;
    }
    for (size_t i = 0; i < json_count(calls) && i < INTERACTION_TOOL_CALLS_MAX; i++) {
        interaction->tool_calls[i].name = json_get_text(json_at(calls, i), "name");
        interaction->tool_calls[i].result = json_get_text(json_at(calls, i), "result");
        interaction->tool_call_count++;
    }
    bench->bytes += interaction->system.len + interaction->question.len + interaction->response.len;
    for (size_t i = 0; i < LABELS; i++) {
        item->labels[i] = label_of(json_get(root, "labels"), label_names[i]);
    }
}

static void file_lines(struct bench *bench, const char *name, struct buffer *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/labelled/%s", SIDEJUDGE_FIXTURES, name);
    buffer_init(text, (size_t)4 << 20);
    CHECK(file_read(path, text) == RESULT_OK);
    struct bytes rest = buffer_view(text);
    while (rest.len > 0 && bench->count < INTERACTIONS_MAX) {
        size_t end = bytes_find(rest, BYTES_LITERAL("\n"), 0);
        struct bytes line = bytes_slice(rest, 0, end);
        rest = end == SIZE_MAX ? BYTES_NONE : bytes_slice(rest, end + 1, SIZE_MAX);
        if (bytes_trim(line).len > 0) {
            struct json_document **document = &bench->documents[bench->count];
            CHECK(json_parse(line, document, NULL) == RESULT_OK);
            item_read(bench, json_root(*document));
            bench->count++;
        }
    }
}

static void bench_load(struct bench *bench)
{
    static const char *const files[] = {"a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        file_lines(bench, files[i], &bench->texts[i]);
    }
    CHECK(bench->count > 0);
    printf("labelled_interactions %zu count\n", bench->count);
}

static void bench_unload(struct bench *bench)
{
    for (size_t i = 0; i < bench->count; i++) {
        json_free(&bench->documents[i]);
    }
    for (size_t i = 0; i < sizeof bench->texts / sizeof bench->texts[0]; i++) {
        buffer_fini(&bench->texts[i]);
    }
}

// --- worth ---

// Share of (pass, fail) pairs in which pass has the higher score, ties counting half.
static void auc_line(const struct bench *bench, const struct evaluator_ops *ops, size_t label)
{
    double scores[INTERACTIONS_MAX], wins = 0;
    enum label labels[INTERACTIONS_MAX];
    size_t count = 0, pairs = 0;
    for (size_t i = 0; i < bench->count; i++) {
        struct score score = {.outcome = OUTCOME_SCORE};
        ops->grade(NULL, &bench->items[i].interaction, &score);
        if (score.outcome == OUTCOME_SCORE && bench->items[i].labels[label] != LABEL_NONE) {
            labels[count] = bench->items[i].labels[label];
            scores[count++] = score.value;
        }
    }
    for (size_t p = 0; p < count; p++) {
        for (size_t f = 0; labels[p] == LABEL_PASS && f < count; f++) {
            if (labels[f] == LABEL_FAIL) {
                wins += scores[p] > scores[f] ? 1 : scores[p] < scores[f] ? 0 : 0.5;
                pairs++;
            }
        }
    }
    if (pairs > 0) {
        printf("auc_%s_%s %.3f auc\n", ops->type, label_names[label], wins / (double)pairs);
        printf("auc_%s_%s_graded %zu count\n", ops->type, label_names[label], count);
    }
}

static void signal_lines(const struct bench *bench)
{
    unsigned found[QUALITY_SIGNAL_COUNT] = {0};
    for (size_t i = 0; i < bench->count; i++) {
        unsigned signals = quality_signals_find(&bench->items[i].interaction, NULL, 0);
        for (unsigned s = 0; s < QUALITY_SIGNAL_COUNT; s++) {
            found[s] += (signals >> s & 1U) != 0;
        }
    }
    for (unsigned s = 0; s < QUALITY_SIGNAL_COUNT; s++) {
        if (found[s] > 0) {
            printf("signal_%s %u count\n", quality_signal_label((enum quality_signal)s), found[s]);
        }
    }
}

// --- cost ---

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Seconds of one call, the best of the rounds.
static double measure(void (*work)(struct bench *), struct bench *bench)
{
    double best = 1e9;
    unsigned calls = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = cpu_seconds();
        for (unsigned i = 0; i < calls; i++) {
            work(bench);
        }
        double spent = cpu_seconds() - start;
        if (spent < 0.02 && calls < (1U << 20)) {
            calls *= 4;
            round = 0;
            continue;
        }
        best = spent / calls < best ? spent / calls : best;
    }
    return best;
}

static void each_line(const char *name, void (*work)(struct bench *), struct bench *bench)
{
    printf("%s %.0f ns\n", name, measure(work, bench) * 1e9 / (double)bench->count);
}

static void grade_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->count; i++) {
        struct score score = {.outcome = OUTCOME_SCORE};
        bench->ops->grade(NULL, &bench->items[i].interaction, &score);
    }
}

static void signals_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->count; i++) {
        (void)quality_signals_find(&bench->items[i].interaction, NULL, 0);
    }
}

static void prompt_all(struct bench *bench)
{
    static const struct prompt_mark mark = {"0123456789abcdef"};
    for (size_t i = 0; i < bench->count; i++) {
        buffer_reset(&bench->out);
        prompt_write_transcript(&bench->items[i].interaction, bench->redactor, &mark, &bench->out);
    }
}

static void redact_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->count; i++) {
        const struct interaction *interaction = &bench->items[i].interaction;
        buffer_reset(&bench->out);
        (void)redact(bench->redactor, interaction->system, &bench->out);
        (void)redact(bench->redactor, interaction->question, &bench->out);
        (void)redact(bench->redactor, interaction->response, &bench->out);
        for (size_t k = 0; k < interaction->context_count; k++) {
            (void)redact(bench->redactor, interaction->contexts[k], &bench->out);
        }
    }
}

// Text in which no token is worth a second look costs least, one that is all near misses most.
static const char *pattern;

static void redact_pattern(struct bench *bench)
{
    static uint8_t text[PROSE_BYTES];
    size_t len = strlen(pattern);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)pattern[i % len];
    }
    buffer_reset(&bench->out);
    (void)redact(bench->redactor, bytes_from(text, sizeof text), &bench->out);
}

static struct ledger *ledger;

static void ledger_all(struct bench *bench)
{
    struct ledger_score score = {.name = "faithfulness", .score = {.label = "pass"}};
    struct ledger_row row = {.target_name = "invoke_agent support",
                             .service_name = "shop",
                             .dialect = "genai",
                             .decision = DECISION_JUDGED,
                             .scores = &score,
                             .score_count = 1};
    for (size_t i = 0; i < bench->count; i++) {
        row.trace_id.bytes[0] = (uint8_t)i;
        ledger_add(ledger, &row);
    }
}

static void cost_lines(struct bench *bench)
{
    char name[96];
    for (size_t i = 0; deterministic_evaluators[i] != NULL; i++) {
        bench->ops = deterministic_evaluators[i];
        snprintf(name, sizeof name, "evaluator_%s", bench->ops->type);
        each_line(name, grade_all, bench);
    }
    each_line("quality_signals", signals_all, bench);
    each_line("transcript_masked", prompt_all, bench);
    each_line("ledger_add", ledger_all, bench);
    printf("redaction_labelled %.0f MB/s\n",
           (double)bench->bytes / measure(redact_all, bench) / 1e6);
    pattern = "The parcel is on its way and arrives within three days. ";
    printf("redaction_prose %.0f MB/s\n", PROSE_BYTES / measure(redact_pattern, bench) / 1e6);
    pattern = "1.1.1.";
    printf("redaction_hostile %.1f MB/s\n", PROSE_BYTES / measure(redact_pattern, bench) / 1e6);
}

int main(void)
{
    static struct bench bench;
    static struct sampling sampling;
    bench_load(&bench);
    for (size_t i = 0; deterministic_evaluators[i] != NULL; i++) {
        for (size_t label = 0; label < LABELS; label++) {
            auc_line(&bench, deterministic_evaluators[i], label);
        }
    }
    signal_lines(&bench);
    printf("interaction_bytes %zu B\n", bench.bytes / bench.count);
    bench.redactor = redactor_new();
    buffer_init(&bench.out, (size_t)4 << 20);
    ledger = ledger_new(&sampling, 100000, (size_t)16 << 20);
    cost_lines(&bench);
    ledger_free(ledger);
    buffer_fini(&bench.out);
    redactor_free(bench.redactor);
    bench_unload(&bench);
    return 0;
}
