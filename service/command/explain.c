// SPDX-License-Identifier: Apache-2.0
//
// `sidejudge explain TRACE_ID`: asks the running process and tells in sentences why each
// interaction of the trace was or was not graded: what was compared with what, and what happened
// then. --json prints the answer as it came.
//
// Main thread of a command.

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "service/api_client.h"
#include "service/commands.h"

#define EXPLAIN_MAX ((size_t)4 << 20)

static void print_text(const char *left, struct bytes text)
{
    if (text.len > 0) {
        printf("  %-14s %.*s\n", left, BYTES_PRINTF(text));
    }
}

static void print_sampling(const struct json_value *sampling)
{
    printf("  %-14s %s\n", "random number",
           json_get_text(sampling, "random").len > 0
               ? (const char *)json_get_text(sampling, "random").ptr
               : "");
    const struct json_value *rules = json_get(sampling, "rules");
    for (size_t i = 0; i < json_count(rules); i++) {
        const struct json_value *rule = json_at(rules, i);
        printf("  %-14s %-20.*s p = %-10g %s\n", i == 0 ? "rules" : "",
               BYTES_PRINTF(json_get_text(rule, "rule")),
               json_double(json_get(rule, "probability"), 0),
               json_bool(json_get(rule, "picked")) ? "picked" : "not picked");
    }
    const struct json_value *signals = json_get(sampling, "quality_signals");
    for (size_t i = 0; i < json_count(signals); i++) {
        const struct json_value *signal = json_at(signals, i);
        printf("  %-14s %.*s: %.*s\n", i == 0 ? "signals" : "",
               BYTES_PRINTF(json_get_text(signal, "signal")),
               BYTES_PRINTF(json_get_text(signal, "saw")));
    }
    printf("  %-14s %g%s\n", "probability", json_double(json_get(sampling, "probability"), 0),
           json_bool(json_get(sampling, "baseline")) ? " (counts towards the plain average)" : "");
}

static void print_scores(const struct json_value *scores)
{
    for (size_t i = 0; i < json_count(scores); i++) {
        const struct json_value *score = json_at(scores, i);
        char value[32] = "-";
        if (json_get(score, "score") != NULL) {
            snprintf(value, sizeof(value), "%.3g", json_double(json_get(score, "score"), 0));
        }
        printf("  %-14s %-20.*s %-6s %-16.*s by %.*s\n", i == 0 ? "scores" : "",
               BYTES_PRINTF(json_get_text(score, "name")), value,
               BYTES_PRINTF(json_get_text(score, "label")),
               BYTES_PRINTF(json_get_text(score, "by")));
        if (json_get_text(score, "explanation").len > 0) {
            printf("  %-14s   %.*s\n", "", BYTES_PRINTF(json_get_text(score, "explanation")));
        }
    }
}

static void print_decision(const struct json_value *row)
{
    printf("interaction of span %.*s\n", BYTES_PRINTF(json_get_text(row, "target_span_id")));
    print_text("span", json_get_text(row, "target"));
    print_text("service", json_get_text(row, "service"));
    print_text("agent", json_get_text(row, "agent"));
    print_text("dialect", json_get_text(row, "dialect"));
    printf("  %-14s %.*s: %.*s\n", "decision", BYTES_PRINTF(json_get_text(row, "decision")),
           BYTES_PRINTF(json_get_text(row, "reason")));
    print_text("why", json_get_text(row, "why"));
    print_text("decided", json_get_text(row, "decided"));
    print_sampling(json_get(row, "sampling"));
    print_scores(json_get(row, "scores"));
    if (json_bool(json_get(row, "truncated")) || json_bool(json_get(row, "incomplete"))) {
        printf("  %-14s%s%s\n", "marks", json_bool(json_get(row, "truncated")) ? " truncated" : "",
               json_bool(json_get(row, "incomplete")) ? " incomplete" : "");
    }
    printf("  %-14s held %.1f ms, scores %s, %g USD\n\n", "then",
           json_double(json_get(row, "held_ms"), 0),
           json_bool(json_get(row, "on_span")) ? "on the span" : "not on the span",
           json_double(json_get(row, "cost_usd"), 0));
}

static int print_answer(const struct buffer *body)
{
    struct json_document *document = NULL;
    const char *why = NULL;
    if (json_parse(buffer_view(body), &document, &why) != RESULT_OK) {
        fprintf(stderr, "Error: the answer is not JSON: %s\n", why);
        return 1;
    }
    const struct json_value *decisions = json_get(json_root(document), "decisions");
    for (size_t i = 0; i < json_count(decisions); i++) {
        print_decision(json_at(decisions, i));
    }
    json_free(&document);
    return 0;
}

int command_explain(struct arguments *arguments)
{
    char path[128], why[512];
    struct buffer body;
    if (strlen(arguments->operand) != 32) {
        fprintf(stderr, "Error: a trace id is 32 hexadecimal digits, got \"%s\"\n",
                arguments->operand);
        return 1;
    }
    snprintf(path, sizeof(path), "/v1/decisions/%s", arguments->operand);
    buffer_init(&body, EXPLAIN_MAX);
    int status = 1;
    if (api_get(arguments->api, path, &body, why, sizeof(why)) != RESULT_OK) {
        fprintf(stderr, "Error: %s\n", why);
    } else if (arguments->json) {
        printf("%s\n", buffer_text(&body));
        status = 0;
    } else {
        status = print_answer(&body);
    }
    buffer_fini(&body);
    return status;
}
