// SPDX-License-Identifier: Apache-2.0
//
// A table of what passed lately, eight slots to a cache line's worth of bucket, each slot one word:
// 48 bits of a keyed hash, the second of the last passing, how often (1, 2, 3 or more). A slot is
// exchanged as a whole, so threads need no lock; whoever loses a race a few times does not note.
//
// Only a sample is looked at: the spans with the smallest keys, a key being a function of the span
// alone. So the sample of a merged request lies within the samples of its parts, and spans whose
// keys are small are in the sample wherever they travel: how the others of a loop cut and join
// requests costs a loop a round or two, not its end. When a request is taken for a loop wrongly,
// more than half of its sample has been acknowledged twice within two minutes, and goes on: either
// it is the same request a third time, which is lost to nobody, or a sender repeats most of what
// it sends and mixes new spans in; those are lost, and the answer says why.
//
// Refused: every span (a load of memory for each); a clock hand over two generations, which forgets
// all at once. Bounds: 64 Ki slots; the oldest of a bucket gives way, so under more than 136
// requests of eight spans or more a second the minute is shorter. Without memory nothing is caught.
// Any thread.

#include "service/loop_guard.h"

#include <assert.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"

#define BUCKETS 8192
#define BUCKET_SLOTS 8
#define ATTEMPTS 4
#define COUNT_BITS 2
#define COUNT_MASK UINT64_C(3)
#define SECOND_MASK UINT64_C(0x3fff)
#define SECOND_BITS 14
#define MARK_BITS (COUNT_BITS + SECOND_BITS)
#define FUTURE_S 16  // a thread's clock reading may be older than another's

struct loop_table {
    _Atomic uint64_t slots[BUCKETS][BUCKET_SLOTS];
};
static_assert(sizeof(struct loop_table) == 512 << 10, "what the header says");
static_assert(sizeof(struct span_id) == sizeof(uint64_t), "a key is made of one");

static const struct metric_family caught_family = {
    .name = "sidejudge_loop_requests_total",
    .type = METRIC_COUNTER,
    .help = "Requests not forwarded because most of their spans came by for the third time",
    .labels = {"receiver"}};

void loop_sample_choose(struct loop_sample *sample, uint64_t key, const struct item_view *view)
{
    unsigned at = sample->count;
    while (at > 0 && sample->spans[at - 1].key > key) {
        at--;
    }
    if (at > 0 && sample->spans[at - 1].key == key) {
        return;  // the same span twice in one request has come once
    }
    sample->count += sample->count < LOOP_SAMPLE_MAX;
    memmove(&sample->spans[at + 1], &sample->spans[at],
            (sample->count - 1 - at) * sizeof(sample->spans[0]));
    struct loop_sample_span *span = &sample->spans[at];
    span->key = key;
    memcpy(&span->trace_id, view->trace_id, sizeof(span->trace_id));
    memcpy(&span->span_id, view->span_id, sizeof(span->span_id));
    span->start_ns = view->start_ns;
    span->end_ns = view->end_ns;
    if (sample->count == LOOP_SAMPLE_MAX) {
        sample->limit = sample->spans[LOOP_SAMPLE_MAX - 1].key;
    }
}

static struct loop_table *table_of(struct loop_guard *guard, const char *receiver)
{
    struct loop_table *table = atomic_load_explicit(&guard->table, memory_order_acquire);
    if (table == NULL) {
        struct loop_table *made = calloc(1, sizeof(*made));
        if (made == NULL) {
            return NULL;
        }
        atomic_store(&guard->caught, metric_series(&caught_family, &receiver));
        if (atomic_compare_exchange_strong(&guard->table, &table, made)) {
            return made;
        }
        free(made);  // another thread was first
    }
    return table;
}

void loop_guard_fini(struct loop_guard *guard)
{
    free(atomic_exchange(&guard->table, NULL));
}

// Seconds since the slot's span passed; more than the window: as good as empty.
static uint64_t slot_age(uint64_t slot, uint64_t second)
{
    uint64_t age = (second - (slot >> COUNT_BITS)) & SECOND_MASK;
    return (slot & COUNT_MASK) == 0 ? SECOND_MASK : age > SECOND_MASK - FUTURE_S ? 0 : age;
}

// The slot of this span, or the one that is worth least: the oldest, of those what passed once.
static unsigned bucket_find(const uint64_t *slots, uint64_t hash, uint64_t second)
{
    unsigned least = 0;
    uint64_t most_rank = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t age = slot_age(slots[i], second);
        if (age <= LOOP_WINDOW_S && slots[i] >> MARK_BITS == hash >> MARK_BITS) {
            return i;
        }
        uint64_t rank = (age << COUNT_BITS | (COUNT_MASK - (slots[i] & COUNT_MASK))) + 1;
        if (rank > most_rank) {
            most_rank = rank;
            least = i;
        }
    }
    return least;
}

// Notes one passing; how often the span passed before, at most 3.
static unsigned table_note(struct loop_table *table, uint64_t hash, uint64_t second)
{
    _Atomic uint64_t *bucket = table->slots[hash % BUCKETS];
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        uint64_t slots[BUCKET_SLOTS];
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            slots[i] = atomic_load_explicit(&bucket[i], memory_order_relaxed);
        }
        unsigned at = bucket_find(slots, hash, second);
        bool known = slots[at] >> MARK_BITS == hash >> MARK_BITS &&
                     slot_age(slots[at], second) <= LOOP_WINDOW_S;
        unsigned before = known ? (unsigned)(slots[at] & COUNT_MASK) : 0;
        uint64_t count = before < COUNT_MASK ? before + 1 : COUNT_MASK;
        uint64_t noted =
            hash >> MARK_BITS << MARK_BITS | (second & SECOND_MASK) << COUNT_BITS | count;
        if (atomic_compare_exchange_strong_explicit(&bucket[at], &slots[at], noted,
                                                    memory_order_relaxed, memory_order_relaxed)) {
            return before;
        }
    }
    return 0;
}

static uint64_t span_hash(const struct loop_sample_span *span, uint64_t epoch)
{
    struct {
        struct trace_id trace_id;
        struct span_id span_id;
        uint64_t start_ns, end_ns, epoch;
    } key = {span->trace_id, span->span_id, span->start_ns, span->end_ns, epoch};
    static_assert(sizeof(key) == 48, "no bytes between the members");
    return hash_keyed(&key, sizeof(key));
}

static void say_caught(struct loop_guard *guard, const char *receiver, uint64_t now_ns)
{
    metric_add(atomic_load(&guard->caught), 1);
    if (log_episode_opens(&guard->episode, now_ns, LOOP_WINDOW_S * NS_PER_S)) {
        log_line(LOG_WARN, "service/loop_guard",
                 "spans come by for the third time within 60 s and are not forwarded: does what is "
                 "exported come back to this receiver?",
                 LOG_TEXT("receiver", receiver));
    }
}

bool loop_guard_catches(struct loop_guard *guard, const struct loop_sample *sample, uint64_t epoch,
                        const char *receiver, uint64_t now_ns)
{
    CHECK(sample->count <= LOOP_SAMPLE_MAX);
    struct loop_table *table = sample->count > 0 ? table_of(guard, receiver) : NULL;
    unsigned third_count = 0;
    for (unsigned i = 0; table != NULL && i < sample->count; i++) {
        third_count +=
            table_note(table, span_hash(&sample->spans[i], epoch), now_ns / NS_PER_S) >= 2;
    }
    bool is_loop = 2 * third_count > sample->count;
    if (is_loop) {
        say_caught(guard, receiver, now_ns);
    }
    return is_loop;
}
