// SPDX-License-Identifier: Apache-2.0
// Memory that rises and falls under a shard on a manual clock, seeded: the accountant's pools are
// filled from outside, as queues and requests fill them, while traffic goes on at the door of the
// rig. Whatever the ladder does: every accepted span leaves once, identical or with attributes
// appended; no judge is asked above the evidence rung; nothing is held on the holding rung; nothing
// is refused below the last one; the ladder is on the ground again when memory is.
//
// overload_sim [first seed] [seeds]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "tests/evaluation_rig.h"

enum { SECONDS = 240, SPANS_MAX = 4, SENT_MAX = SECONDS * SPANS_MAX };
#define CAP_BYTES ((size_t)64 << 20)

struct sent {
    uint8_t trace, span;
    struct buffer item;
    uint64_t at_ns;
};

struct sim {
    struct rig rig;
    struct random random;
    uint64_t seed;
    size_t filled[POOL_COUNT];  // charged from outside
    double percent, slope;      // how full it is to be, and where that goes
    struct sent sent[SENT_MAX];
    size_t sent_count;
    unsigned failures;
    uint64_t refused, seconds_on[OVERLOAD_RUNG_COUNT];
};

static void fail(struct sim *sim, const char *what, unsigned a, unsigned b)
{
    if (sim->failures++ < 5) {
        printf("seed %llu: %s (%u, %u)\n", (unsigned long long)sim->seed, what, a, b);
    }
}

// Brings every pool to the same share of what it may hold.
static void pools_fill(struct sim *sim)
{
    struct account *account = sim->rig.account;
    for (unsigned i = 0; i < POOL_COUNT; i++) {
        enum account_pool pool = (enum account_pool)i;
        size_t wanted = (size_t)((double)account_share(account, pool) * sim->percent / 100);
        if (wanted > sim->filled[i]) {
            size_t more = wanted - sim->filled[i];
            sim->filled[i] += account_charge(account, pool, more) ? more : 0;
        } else {
            account_release(account, pool, sim->filled[i] - wanted);
            sim->filled[i] = wanted;
        }
    }
}

static void weather(struct sim *sim)
{
    sim->percent += sim->slope;
    bool turns = sim->percent <= 5 || sim->percent >= 99 || random_below(&sim->random, 25) == 0;
    sim->percent = sim->percent < 5 ? 5 : sim->percent > 99 ? 99 : sim->percent;
    if (turns) {
        double steep = 0.5 + random_unit(&sim->random) * 12;
        sim->slope = sim->percent > 60 ? -steep : steep;
        sim->slope = random_below(&sim->random, 4) == 0 ? 0 : sim->slope;
    }
}

static bool note_span(void *arg, const struct item_view *view)
{
    struct sim *sim = arg;
    CHECK(sim->sent_count < SENT_MAX);
    struct sent *sent = &sim->sent[sim->sent_count++];
    buffer_init(&sent->item, 1 << 20);
    buffer_append_bytes(&sent->item, view->item);
    sent->trace = view->trace_id[15];
    sent->span = view->span_id[7];
    sent->at_ns = sim->rig.now_ns;
    return true;
}

static void trace_send(struct sim *sim, uint8_t trace)
{
    static const char *const kinds[] = {"AGENT", "LLM", "CHAIN", "TOOL"};
    struct rig_spec specs[SPANS_MAX];
    struct buffer request;
    struct scan_report report;
    size_t count = 1 + random_below(&sim->random, SPANS_MAX);
    memset(specs, 0, sizeof(specs));
    for (size_t i = 0; i < count; i++) {
        specs[i] = (struct rig_spec){
            .trace = trace,
            .span = (uint8_t)(i + 1),
            .parent = i == 0 ? 0 : 1,
            .name = "span",
            .start_s = (double)i,
            .end_s = 20 - (double)i,
            .attributes = {"openinference.span.kind", kinds[i == 0 ? 0 : 1 + i % 3], "input.value",
                           "when does my parcel leave Vienna", "output.value",
                           "your parcel leaves Vienna on Monday"}};
    }
    buffer_init(&request, 1 << 20);
    rig_request(&request, "shop", "sim", specs, count);
    CHECK(scan_request(SIGNAL_TRACES, buffer_view(&request), 0, note_span, sim, &report) ==
          RESULT_OK);
    rig_offer(&sim->rig, buffer_view(&request), random_below(&sim->random, 4) == 0);
    buffer_fini(&request);
}

static size_t exported(const struct sim *sim)
{
    return sim->rig.span_count - rig_own_count(&sim->rig);
}

// One second: the weather, a request at the door, and time for what follows from it.
static void second(struct sim *sim, uint8_t trace)
{
    struct rig *rig = &sim->rig;
    weather(sim);
    pools_fill(sim);
    evaluation_processor.tick(rig->processor, rig->now_ns);
    enum overload_rung before = account_overload_level(rig->account);
    size_t jobs = rig->jobs_asked;
    sim->seconds_on[before]++;
    if (account_is_refusing(rig->account)) {
        sim->refused++;
        if (before != OVERLOAD_REQUESTS) {
            fail(sim, "a request was refused below the last rung", before, trace);
        }
    } else {
        trace_send(sim, trace);
    }
    rig_advance(rig, NS_PER_S);
    if (account_overload_level(rig->account) < before) {
        fail(sim, "the ladder came down without a tick", before, trace);
    }
    if (before >= OVERLOAD_JUDGING && rig->jobs_asked != jobs) {
        fail(sim, "a judge was asked above the evidence rung", before, trace);
    }
    if (before >= OVERLOAD_HOLDING && exported(sim) != sim->sent_count) {
        fail(sim, "a span was held on the holding rung", before, trace);
    }
}

static void span_check(struct sim *sim, const struct sent *sent)
{
    const struct rig_span *out = rig_find(&sim->rig, sent->trace, sent->span, 0);
    if (!out) {
        fail(sim, "a span was lost", sent->trace, sent->span);
    } else if (rig_find(&sim->rig, sent->trace, sent->span, 1)) {
        fail(sim, "a span left twice", sent->trace, sent->span);
    } else if (out->len < sent->item.len ||
               memcmp(out->item, sent->item.ptr, sent->item.len) != 0) {
        fail(sim, "a span left with other bytes", sent->trace, sent->span);
    } else if (out->at_ns > sent->at_ns + 4 * NS_PER_S + 2 * NS_PER_MS) {
        fail(sim, "a span was held beyond its hold", sent->trace, sent->span);
    }
}

static void calm(struct sim *sim)
{
    sim->percent = 5;
    pools_fill(sim);
    for (unsigned i = 0; i < 60; i++) {
        evaluation_processor.tick(sim->rig.processor, sim->rig.now_ns);
        rig_advance(&sim->rig, NS_PER_S);
    }
    if (account_overload_level(sim->rig.account) != OVERLOAD_NONE ||
        account_is_refusing(sim->rig.account)) {
        fail(sim, "the ladder did not come down", account_overload_level(sim->rig.account), 0);
    }
}

struct coverage {
    uint64_t seconds_on[OVERLOAD_RUNG_COUNT], refused, judged, overload, enriched;
};

static void cover(struct coverage *coverage, const struct sim *sim)
{
    for (unsigned i = 0; i < OVERLOAD_RUNG_COUNT; i++) {
        coverage->seconds_on[i] += sim->seconds_on[i];
    }
    coverage->refused += sim->refused;
    coverage->judged += rig_decisions(&sim->rig, DECISION_JUDGED);
    coverage->overload += rig_decisions(&sim->rig, DECISION_OVERLOAD);
    for (size_t i = 0; i < sim->sent_count; i++) {
        const struct rig_span *out = rig_find(&sim->rig, sim->sent[i].trace, sim->sent[i].span, 0);
        coverage->enriched += out && out->len != sim->sent[i].item.len;
    }
}

static bool seed_run(uint64_t seed, struct coverage *coverage)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    CHECK(sim);
    sim->seed = seed;
    random_seed(&sim->random, seed);
    sim->rig.account_bytes = CAP_BYTES;
    rig_open(&sim->rig, "{judges: {default: {api: openai, endpoint: 'http://127.0.0.1:1/v1', "
                        "model: m, api_key: k, price: {input_per_mtok: 0, output_per_mtok: 0}}}, "
                        "budget: {usd_per_day: 1000, calls_per_second: 0}, "
                        "sampling: {baseline: 1}}");
    sim->rig.judge_delay_ns = random_below(&sim->random, 3 * NS_PER_S);
    sim->slope = 3;
    for (unsigned i = 1; i <= SECONDS; i++) {
        second(sim, (uint8_t)i);
    }
    calm(sim);
    for (size_t i = 0; i < sim->sent_count; i++) {
        span_check(sim, &sim->sent[i]);
    }
    if (exported(sim) != sim->sent_count || sim->rig.dropped != 0) {
        fail(sim, "spans in and out differ", (unsigned)sim->sent_count, (unsigned)exported(sim));
    }
    cover(coverage, sim);
    for (size_t i = 0; i < sim->sent_count; i++) {
        buffer_fini(&sim->sent[i].item);
    }
    sim->percent = 0;
    pools_fill(sim);
    rig_close(&sim->rig);
    bool passed = sim->failures == 0;
    free(sim);
    return passed;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 40;
    struct coverage coverage = {0};
    unsigned passed = 0, failed = 0;
    log_configure(LOG_ERROR, LOG_CONSOLE, 2);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        bool fine = seed_run(seed, &coverage);
        printf("%s seed_%llu\n", fine ? "ok" : "not ok", (unsigned long long)seed);
        *(fine ? &passed : &failed) += 1;
    }
    bool covered = coverage.refused > 0 && coverage.judged > 0 && coverage.overload > 0 &&
                   coverage.enriched > 0;
    for (unsigned i = 0; i < OVERLOAD_RUNG_COUNT; i++) {
        printf("  %s: %llu s\n", overload_label((enum overload_rung)i),
               (unsigned long long)coverage.seconds_on[i]);
        covered &= i == OVERLOAD_EVIDENCE || coverage.seconds_on[i] > 0;
    }
    printf("  %llu judged, %llu overload, %llu enriched, %llu requests refused\n",
           (unsigned long long)coverage.judged, (unsigned long long)coverage.overload,
           (unsigned long long)coverage.enriched, (unsigned long long)coverage.refused);
    printf("%s every_rung_was_met\n", covered || seeds < 10 ? "ok" : "not ok");
    printf("overload_sim: %u passed, %u failed\n", passed, failed);
    return failed == 0 && (covered || seeds < 10) ? 0 : 1;
}
