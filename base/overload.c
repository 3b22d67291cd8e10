// SPDX-License-Identifier: Apache-2.0
// A table of rungs and two questions about it: which rung does this fill ask for, and which would
// it still ask for with 15 points on top. Rising is a maximum, so any thread may do it the moment
// it looks; coming down needs a clock and belongs to one thread. Each rung has its own time below,
// so that memory which drops at once is believed after ten seconds, not after ten per rung.
// Refused: a rung per consumer, under which one part could hold spans for judges that another has
// given up. Refused: thresholds as options; what they protect is the cap, which is one.
//
// Bounds: five rungs. Threads: as the header says; no locks.
#include "base/overload.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum { LEAVE_POINTS = 15 };
#define LEAVE_NS (10 * NS_PER_S)

static const struct {
    const char *label;
    unsigned percent;  // entered at; of the evidence's share in its own row, else of the cap
    const char *gives_up;
} rungs[OVERLOAD_RUNG_COUNT] = {
    [OVERLOAD_NONE] = {"none", 0, "nothing"},
    [OVERLOAD_EVIDENCE] = {"evidence", 97, "what the oldest open interactions hold"},
    [OVERLOAD_JUDGING] = {"judging", 70, "grading"},
    [OVERLOAD_HOLDING] = {"holding", 80, "grading and holding"},
    [OVERLOAD_REQUESTS] = {"requests", 90, "grading, holding and new requests (retry)"},
};

const char *overload_label(enum overload_rung rung)
{
    CHECK((unsigned)rung < OVERLOAD_RUNG_COUNT);
    return rungs[rung].label;
}

unsigned overload_percent(enum overload_rung rung)
{
    CHECK((unsigned)rung < OVERLOAD_RUNG_COUNT);
    return rungs[rung].percent;
}

enum overload_rung overload_level(const struct overload *overload)
{
    return (enum overload_rung)atomic_load_explicit(&overload->level, memory_order_relaxed);
}

static bool reaches(const struct overload_fill *fill, unsigned rung, unsigned points)
{
    unsigned percent = rung == OVERLOAD_EVIDENCE ? fill->evidence : fill->total;
    return percent + points >= rungs[rung].percent;
}

static void say(unsigned from, unsigned to, const struct overload_fill *fill)
{
    log_line(to > from ? LOG_WARN : LOG_INFO, "overload",
             to > from ? "memory is short: the overload ladder goes up"
                       : "memory is back: the overload ladder goes down",
             LOG_TEXT("from", rungs[from].label), LOG_TEXT("to", rungs[to].label),
             LOG_TEXT("gives_up", rungs[to].gives_up), LOG_INT("memory_percent", fill->total),
             LOG_INT("evidence_percent", fill->evidence));
}

enum overload_rung overload_rise(struct overload *overload, const struct overload_fill *fill)
{
    unsigned wanted = OVERLOAD_RUNG_COUNT - 1;
    while (wanted > OVERLOAD_NONE && !reaches(fill, wanted, 0)) {
        wanted--;
    }
    unsigned level = atomic_load_explicit(&overload->level, memory_order_relaxed);
    while (level < wanted) {
        if (atomic_compare_exchange_weak_explicit(&overload->level, &level, wanted,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            say(level, wanted, fill);
            return (enum overload_rung)wanted;
        }
    }
    return (enum overload_rung)level;
}

// The highest rung, up to `level`, that has not been left alone for long enough.
static unsigned rung_kept(struct overload *overload, const struct overload_fill *fill,
                          unsigned level, uint64_t now_ns)
{
    unsigned kept = OVERLOAD_NONE;
    for (unsigned rung = OVERLOAD_NONE + 1; rung < OVERLOAD_RUNG_COUNT; rung++) {
        uint64_t *since_ns = &overload->below_since_ns[rung];
        if (reaches(fill, rung, LEAVE_POINTS)) {
            *since_ns = 0;
        } else if (*since_ns == 0) {
            *since_ns = now_ns;
        }
        if (rung <= level && (*since_ns == 0 || now_ns - *since_ns < LEAVE_NS)) {
            kept = rung;
        }
    }
    return kept;
}

enum overload_rung overload_tick(struct overload *overload, const struct overload_fill *fill,
                                 uint64_t now_ns)
{
    static const struct metric_family family = {
        .name = "sidejudge_overload_level",
        .type = METRIC_GAUGE,
        .help = "Rung of the overload ladder: 0 none, 1 evidence, 2 judging, 3 holding, 4 "
                "requests."};
    unsigned level = overload_rise(overload, fill);
    unsigned kept = rung_kept(overload, fill, level, now_ns);
    if (kept < level &&
        atomic_compare_exchange_strong_explicit(&overload->level, &level, kept,
                                                memory_order_relaxed, memory_order_relaxed)) {
        say(level, kept, fill);
        level = kept;
    }
    metric_set(metric_plain(&family), (double)level);
    return (enum overload_rung)level;
}

struct metric *overload_shed(enum overload_rung what, const char *reason)
{
    static const struct metric_family family = {
        .name = "sidejudge_shed_total",
        .type = METRIC_COUNTER,
        .help = "What was given up under overload (interactions, spans, requests), and why.",
        .labels = {"what", "reason"}};
    const char *const labels[] = {overload_label(what), reason};
    return metric_series(&family, labels);
}
