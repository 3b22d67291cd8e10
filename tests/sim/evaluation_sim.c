// SPDX-License-Identifier: Apache-2.0
// Shard, judge and exporter on a manual clock with seeded faults: batches cut and delayed at
// random, roots that never come, judges that are slow, wrong or full, evidence that runs out,
// flushes in between. Whatever happens: every span leaves exactly once, identical or with
// attributes appended and nothing else; nothing is held beyond its hold; every product has its
// target; nothing stays behind.
//
// evaluation_sim [first seed] [seeds]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "proto/attribute.h"
#include "tests/evaluation_rig.h"

enum { TRACES = 40, SPANS_PER_TRACE_MAX = 12, SENT_MAX = 2048 };
#define SECONDS(n) ((uint64_t)(n)*NS_PER_S)

struct sent {
    struct buffer item;
    uint8_t trace, span;
    bool own_keys;  // carries sidejudge.*: taken out when graded
    bool packed;
    uint64_t at_ns;
};

struct sim {
    struct rig rig;
    struct random random;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    uint64_t hold_ns, whole_ns;
    unsigned failures;
    uint64_t seed;
};

static void fail(struct sim *sim, const char *what, unsigned trace, unsigned span)
{
    if (sim->failures++ < 5) {
        printf("seed %llu: %s (trace %u, span %u)\n", (unsigned long long)sim->seed, what, trace,
               span);
    }
}

static const char *pick(struct sim *sim, const char *const *texts, size_t count)
{
    return texts[random_below(&sim->random, count)];
}

static void span_fill(struct sim *sim, struct rig_spec *spec)
{
    static const char *const words[] = {
        "it is noon in Vienna", "the parcel left on Monday and will be there on Friday", "",
        "no no no no no no no no no no no no no no no no", "{\"answer\": 1}"};
    static const char *const questions[] = {"what time is it in Vienna", "where is my parcel",
                                            "list the answer as JSON"};
    static const char *const roles[] = {"invoke_agent", "chat",       "execute_tool",
                                        "retrieval",    "evaluation", NULL,
                                        NULL,           "chat",       "invoke_workflow"};
    size_t at = 0;
    const char *role = pick(sim, roles, sizeof(roles) / sizeof(roles[0]));
    if (!role) {
        spec->attributes[at++] = "http.route";
        spec->attributes[at++] = "/ask";
        return;
    }
    spec->attributes[at++] = "gen_ai.operation.name";
    spec->attributes[at++] = role;
    if (random_below(&sim->random, 4) > 0) {
        spec->attributes[at++] = "input.value";
        spec->attributes[at++] = pick(sim, questions, 3);
        spec->attributes[at++] = "output.value";
        spec->attributes[at++] = pick(sim, words, 5);
    }
    if (random_below(&sim->random, 10) == 0) {
        spec->attributes[at++] = "sidejudge.verdict";
        spec->attributes[at++] = "pass";
    }
}

static size_t trace_make(struct sim *sim, uint8_t trace, struct rig_spec *specs)
{
    size_t count = 1 + random_below(&sim->random, SPANS_PER_TRACE_MAX);
    for (size_t i = 0; i < count; i++) {
        struct rig_spec *spec = &specs[i];
        memset(spec, 0, sizeof(*spec));
        spec->trace = trace;
        spec->span = (uint8_t)(i + 1);
        spec->parent = i == 0 ? 0 : (uint8_t)(1 + random_below(&sim->random, i));
        spec->name = "span";
        spec->start_s = (double)i;
        spec->end_s = 100.0 - (double)i;
        spec->error = random_below(&sim->random, 10) == 0;
        uint64_t kind = random_below(&sim->random, 8);
        if (i > 0 && kind == 0) {
            spec->flags = SPAN_FLAG_HAS_IS_REMOTE | SPAN_FLAG_IS_REMOTE;
        } else if (kind < 4) {
            spec->flags = SPAN_FLAG_HAS_IS_REMOTE;
        } else if (kind == 4) {
            spec->kind = SPAN_KIND_SERVER;
        } else if (kind == 5 && i > 0) {
            spec->parent = 200;  // never comes
        }
        span_fill(sim, spec);
    }
    return count;
}

static void shuffle(struct sim *sim, struct rig_spec *specs, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(&sim->random, i);
        struct rig_spec spec = specs[i - 1];
        specs[i - 1] = specs[j];
        specs[j] = spec;
    }
}

struct noting {
    struct sim *sim;
    bool packed;
};

static bool note_span(void *arg, const struct item_view *view)
{
    struct noting *noting = arg;
    struct sim *sim = noting->sim;
    struct any_view value;
    CHECK(sim->sent_count < SENT_MAX);
    struct sent *sent = &sim->sent[sim->sent_count++];
    buffer_init(&sent->item, 1 << 20);
    buffer_append_bytes(&sent->item, view->item);
    sent->trace = view->trace_id[15];
    sent->span = view->span_id[7];
    sent->packed = noting->packed;
    sent->own_keys = attribute_find(view->attributes, SPAN_ATTRIBUTES, "sidejudge.verdict", &value);
    sent->at_ns = sim->rig.now_ns;
    return true;
}

static void batch_send(struct sim *sim, const struct rig_spec *specs, size_t count)
{
    static const char *const services[] = {"shop", "api", "batch"};
    struct buffer request;
    struct scan_report report;
    struct noting noting = {sim, random_below(&sim->random, 3) == 0};
    buffer_init(&request, 16 << 20);
    rig_request(&request, services[specs[0].trace % 3], "sim", specs, count);
    CHECK(scan_request(SIGNAL_TRACES, buffer_view(&request), 0, note_span, &noting, &report) ==
          RESULT_OK);
    rig_offer(&sim->rig, buffer_view(&request), noting.packed);
    buffer_fini(&request);
}

// One seeded fault or none.
static void disturb(struct sim *sim)
{
    switch (random_below(&sim->random, 12)) {
    case 0:
        sim->rig.judge_submit = RESULT_SHED;
        break;
    case 1:
        sim->rig.judge_submit = RESULT_RETRY;
        break;
    case 2:
        sim->rig.judge_outcome = OUTCOME_ERROR;
        break;
    case 3:
        sim->rig.judge_delay_ns = random_below(&sim->random, SECONDS(20));
        break;
    case 4:
        sim->rig.own_refused = !sim->rig.own_refused;
        break;
    case 5:
        shard_flush(sim->rig.shard);
        break;
    default:
        sim->rig.judge_submit = RESULT_OK;
        sim->rig.judge_outcome = OUTCOME_SCORE;
        sim->rig.judge_value = random_unit(&sim->random);
        break;
    }
}

static void traffic(struct sim *sim)
{
    struct rig_spec specs[TRACES * SPANS_PER_TRACE_MAX];
    for (uint8_t trace = 1; trace <= TRACES; trace++) {
        size_t count = trace_make(sim, trace, specs);
        shuffle(sim, specs, count);
        for (size_t from = 0; from < count;) {
            size_t len = 1 + random_below(&sim->random, count - from);
            batch_send(sim, specs + from, len);
            from += len;
            disturb(sim);
            if (random_below(&sim->random, 2) == 0) {
                rig_advance(&sim->rig, random_below(&sim->random, SECONDS(30)));
            }
        }
    }
    rig_advance(&sim->rig, SECONDS(1500));
}

// The exported bytes are the sent ones, or those with attribute fields appended.
static bool is_faithful(const struct sent *sent, const struct rig_span *out)
{
    if (out->len < sent->item.len) {
        return false;
    }
    if (memcmp(out->item, sent->item.ptr, sent->item.len) != 0) {
        return false;
    }
    struct wire wire = wire_of(bytes_from(out->item + sent->item.len, out->len - sent->item.len));
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        struct bytes key;
        if (field.number != SPAN_ATTRIBUTES || !wire_find(field.bytes, KEYVALUE_KEY, &key) ||
            !(bytes_start_with(key, BYTES_LITERAL("sidejudge.")) ||
              bytes_start_with(key, BYTES_LITERAL("evaluations.")))) {
            return false;
        }
    }
    return wire_is_done(&wire);
}

static void check_span(struct sim *sim, const struct sent *sent)
{
    const struct rig_span *out = rig_find(&sim->rig, sent->trace, sent->span, 0);
    if (!out) {
        fail(sim, "a span was lost", sent->trace, sent->span);
        return;
    }
    if (rig_find(&sim->rig, sent->trace, sent->span, 1)) {
        fail(sim, "a span left twice", sent->trace, sent->span);
    }
    bool enriched = out->len != sent->item.len;
    if (!is_faithful(sent, out) && !(sent->own_keys && enriched)) {
        fail(sim, "a span left with other bytes", sent->trace, sent->span);
    }
    if (out->at_ns > sent->at_ns + sim->hold_ns + 2 * NS_PER_MS) {
        fail(sim, "a span was held beyond its hold", sent->trace, sent->span);
    }
}

static void check_products(struct sim *sim)
{
    struct evaluation_counts counts;
    const struct rig *rig = &sim->rig;
    evaluation_counts(rig->processor, &counts);
    for (size_t i = 0; i < rig->span_count; i++) {
        for (size_t j = i + 1; rig->spans[i].own && j < rig->span_count; j++) {
            if (memcmp(rig->spans[i].span_id, rig->spans[j].span_id, 8) == 0 &&
                memcmp(rig->spans[i].trace_id, rig->spans[j].trace_id, 16) == 0) {
                fail(sim, "a carrier's id came twice", rig->spans[i].trace_id[15], 0);
            }
        }
    }
    if (rig_own_count(rig) > counts.graded) {
        fail(sim, "more carriers than graded targets", 0, 0);
    }
    if (counts.open_traces != 0 || counts.evidence_bytes != 0) {
        fail(sim, "something stayed behind", (unsigned)counts.open_traces, 0);
    }
    uint64_t reasons = 0;
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        reasons += i == DECISION_SUPERSEDED ? 0 : rig_decisions(rig, (enum decision)i);
    }
    if (reasons > counts.targets) {
        fail(sim, "more reasons than targets", (unsigned)reasons, (unsigned)counts.targets);
    }
}

static void options_write(struct sim *sim, char *yaml, size_t yaml_len)
{
    static const unsigned holds_ms[] = {0, 200, 4000, 10000};
    static const char *const targets[] = {"auto", "auto", "agent", "llm"};
    unsigned hold_ms = holds_ms[random_below(&sim->random, 4)];
    sim->hold_ns = hold_ms * NS_PER_MS;
    sim->whole_ns = hold_ms == 0 ? 0 : 1250 * NS_PER_MS;
    snprintf(yaml, yaml_len,
             "{hold: %ums, target: %s, carriers: %s, inner: %s, "
             "judges: {default: {api: openai, endpoint: 'http://127.0.0.1:1/v1', model: m, "
             "api_key: k, price: {input_per_mtok: 0, output_per_mtok: 0}}}, "
             "budget: {usd_per_day: 1000, calls_per_second: 0}, sampling: {baseline: %s}}",
             hold_ms, targets[random_below(&sim->random, 4)],
             random_below(&sim->random, 4) == 0 ? "always" : "auto",
             random_below(&sim->random, 3) == 0 ? "ignore" : "count",
             random_below(&sim->random, 3) == 0 ? "0.5" : "1");
}

// What all seeds together saw: a simulator that never meets a case proves nothing about it.
struct coverage {
    uint64_t spans, enriched, carriers, decisions[DECISION_COUNT], late;
};

static void cover(struct coverage *coverage, const struct sim *sim)
{
    struct evaluation_counts counts;
    evaluation_counts(sim->rig.processor, &counts);
    coverage->spans += sim->sent_count;
    coverage->carriers += rig_own_count(&sim->rig);
    coverage->late += counts.late_spans;
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        coverage->decisions[i] += rig_decisions(&sim->rig, (enum decision)i);
    }
    for (size_t i = 0; i < sim->sent_count; i++) {
        const struct rig_span *out = rig_find(&sim->rig, sim->sent[i].trace, sim->sent[i].span, 0);
        coverage->enriched += out && out->len != sim->sent[i].item.len;
    }
}

static bool seed_run(uint64_t seed, struct coverage *coverage)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    char yaml[512];
    CHECK(sim);
    sim->seed = seed;
    random_seed(&sim->random, seed);
    options_write(sim, yaml, sizeof(yaml));
    sim->rig.account_bytes = random_below(&sim->random, 3) == 0 ? (size_t)1 << 20 : 0;
    rig_open(&sim->rig, yaml);
    traffic(sim);
    size_t exported = sim->rig.span_count - rig_own_count(&sim->rig);
    if (exported != sim->sent_count || sim->rig.dropped != 0) {
        fail(sim, "spans in and out differ", (unsigned)sim->sent_count, (unsigned)exported);
    }
    for (size_t i = 0; i < sim->sent_count; i++) {
        check_span(sim, &sim->sent[i]);
    }
    check_products(sim);
    cover(coverage, sim);
    for (size_t i = 0; i < sim->sent_count; i++) {
        buffer_fini(&sim->sent[i].item);
    }
    rig_close(&sim->rig);
    bool passed = sim->failures == 0;
    free(sim);
    return passed;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 100;
    struct coverage coverage = {0};
    unsigned passed = 0, failed = 0;
    log_configure(LOG_ERROR, LOG_CONSOLE, 2);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        bool fine = seed_run(seed, &coverage);
        printf("%s seed_%llu\n", fine ? "ok" : "not ok", (unsigned long long)seed);
        *(fine ? &passed : &failed) += 1;
    }
    printf("%llu spans, %llu enriched, %llu carriers, %llu late\n",
           (unsigned long long)coverage.spans, (unsigned long long)coverage.enriched,
           (unsigned long long)coverage.carriers, (unsigned long long)coverage.late);
    bool covered = coverage.enriched > 0 && coverage.carriers > 0 && coverage.late > 0;
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        printf("  %s: %llu\n", decision_label((enum decision)i),
               (unsigned long long)coverage.decisions[i]);
        bool rare = i == DECISION_THROTTLED || i == DECISION_OVER_BUDGET ||
                    i == DECISION_NOT_APPLICABLE;  // not this rig's subject
        covered &= rare || coverage.decisions[i] > 0;
    }
    printf("%s every_case_was_met\n", covered || seeds < 100 ? "ok" : "not ok");
    printf("evaluation_sim: %u passed, %u failed\n", passed, failed);
    return failed == 0 && (covered || seeds < 100) ? 0 : 1;
}
