// SPDX-License-Identifier: Apache-2.0
// The state is the set of parts that are still owed: one that is being sent and a short list of
// pending ones. One part at a time is under way, so a batch never has two requests in flight. The
// first two levels of a search go breadth first (they tell a systematic fault from a few bad
// items), the rest depth first, which bounds the list at one part per level. Refused: several
// parts in flight, which would search faster and press harder on a backend that is in trouble.
//
// Bounds: DELIVERY_PARTS_MAX parts (32 levels and the quarters fit), the extra requests of the
// header. Pure; on the exporter's thread.
#include "exporter/delivery.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

const struct option retry_options[] = {
    {.key = "enabled",
     .kind = OPTION_BOOL,
     .offset = offsetof(struct retry_config, enabled),
     .fallback = "true",
     .doc = "Whether what failed for now is sent again."},
    {.key = "initial_interval",
     .kind = OPTION_DURATION,
     .fallback = "5s",
     .unit = "s",
     .offset = offsetof(struct retry_config, initial_interval_ns),
     .min = 0.001,
     .max = 86400,
     .doc = "Wait before the first repetition."},
    {.key = "randomization_factor",
     .kind = OPTION_DOUBLE,
     .fallback = "0.5",
     .offset = offsetof(struct retry_config, randomization_factor),
     .min = 0,
     .max = 1,
     .doc = "Waits are spread by this share to either side."},
    {.key = "multiplier",
     .kind = OPTION_DOUBLE,
     .fallback = "1.5",
     .offset = offsetof(struct retry_config, multiplier),
     .min = 1,
     .max = 100,
     .doc = "Growth of the wait from one repetition to the next."},
    {.key = "max_interval",
     .kind = OPTION_DURATION,
     .fallback = "30s",
     .unit = "s",
     .offset = offsetof(struct retry_config, max_interval_ns),
     .min = 0.001,
     .max = 86400,
     .doc = "The longest wait, unless the backend asks for more."},
    {.key = "max_elapsed_time",
     .kind = OPTION_DURATION,
     .fallback = "300s",
     .unit = "s",
     .offset = offsetof(struct retry_config, max_elapsed_time_ns),
     .present_offset = offsetof(struct retry_config, max_elapsed_time_present),
     .min = 0,
     .max = 31536000,
     .doc =
         "A batch is dropped when it could not be delivered in this time; 0: never, which is the "
         "default where sending_queue.storage is set."},
    {.key = NULL},
};

static const struct reason_row {
    const char *label, *text;
} reasons[DELIVERY_REASON_COUNT] = {
#define DELIVERY_REASON(name, label, text) {label, text},
#include "exporter/delivery_reasons.def"
#undef DELIVERY_REASON
};

// Codes that are neither a success nor permanent. RESOURCE_EXHAUSTED (8) is a size without
// RetryInfo and a throttle with it.
static const struct code_row {
    enum delivery_protocol protocol;
    int code;
    enum delivery_class class, class_with_wait;
} codes[] = {
    {DELIVERY_HTTP, 400, DELIVERY_CLASS_REFUSED, DELIVERY_CLASS_REFUSED},
    {DELIVERY_HTTP, 422, DELIVERY_CLASS_REFUSED, DELIVERY_CLASS_REFUSED},
    {DELIVERY_HTTP, 413, DELIVERY_CLASS_TOO_LARGE, DELIVERY_CLASS_TOO_LARGE},
    {DELIVERY_HTTP, 429, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},
    {DELIVERY_HTTP, 502, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},
    {DELIVERY_HTTP, 503, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},
    {DELIVERY_HTTP, 504, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},
    {DELIVERY_GRPC, 1, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},      // CANCELLED
    {DELIVERY_GRPC, 3, DELIVERY_CLASS_REFUSED, DELIVERY_CLASS_REFUSED},  // INVALID_ARGUMENT
    {DELIVERY_GRPC, 4, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},      // DEADLINE_EXCEEDED
    {DELIVERY_GRPC, 8, DELIVERY_CLASS_TOO_LARGE, DELIVERY_CLASS_RETRY},  // RESOURCE_EXHAUSTED
    {DELIVERY_GRPC, 10, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},     // ABORTED
    {DELIVERY_GRPC, 11, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},     // OUT_OF_RANGE
    {DELIVERY_GRPC, 14, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},     // UNAVAILABLE
    {DELIVERY_GRPC, 15, DELIVERY_CLASS_RETRY, DELIVERY_CLASS_RETRY},     // DATA_LOSS
};

const char *delivery_reason_label(enum delivery_reason reason)
{
    CHECK(reason < DELIVERY_REASON_COUNT);
    return reasons[reason].label;
}

const char *delivery_reason_text(enum delivery_reason reason)
{
    CHECK(reason < DELIVERY_REASON_COUNT);
    return reasons[reason].text;
}

enum delivery_class delivery_classify(const struct delivery_reply *reply)
{
    if (reply->transport != RESULT_OK) {
        return DELIVERY_CLASS_RETRY;
    }
    if (reply->protocol == DELIVERY_GRPC ? reply->code == 0 : reply->code / 100 == 2) {
        return DELIVERY_CLASS_SUCCESS;
    }
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].protocol == reply->protocol && codes[i].code == reply->code) {
            return reply->has_wait ? codes[i].class_with_wait : codes[i].class;
        }
    }
    return DELIVERY_CLASS_PERMANENT;
}

// --- the exporter's allowance ---------------------------------------------------------------

static bool allowance_take(struct delivery_allowance *allowance, uint32_t count, uint64_t now_ns)
{
    CHECK(count <= DELIVERY_EXTRA_A_MINUTE);
    // The ring is in order of time, so the count-th entry from `next` is the youngest replaced.
    uint32_t last = (allowance->next + count - 1) % DELIVERY_EXTRA_A_MINUTE;
    uint64_t oldest = allowance->taken_at_ns[last];
    if (oldest != 0 && now_ns < oldest + 60 * NS_PER_S) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        allowance->taken_at_ns[allowance->next] = now_ns > 0 ? now_ns : 1;
        allowance->next = (allowance->next + 1) % DELIVERY_EXTRA_A_MINUTE;
    }
    return true;
}

static void allowance_return(struct delivery_allowance *allowance)
{
    allowance->next = (allowance->next + DELIVERY_EXTRA_A_MINUTE - 1) % DELIVERY_EXTRA_A_MINUTE;
    allowance->taken_at_ns[allowance->next] = 0;
}

uint32_t delivery_extra_max(uint32_t item_count)
{
    // floor(2 * log2(n)) is the bit length of n * n, less one.
    uint64_t square = (uint64_t)item_count * item_count;
    uint32_t log2_square = 0;
    while (square > 1) {
        square >>= 1;
        log2_square++;
    }
    return log2_square + 8;
}

// --- parts ----------------------------------------------------------------------------------

void delivery_begin(struct delivery *delivery, const struct retry_config *retry,
                    struct delivery_allowance *allowance, struct random *random, uint64_t now_ns)
{
    memset(delivery, 0, sizeof(*delivery));
    delivery->retry = retry;
    delivery->allowance = allowance;
    delivery->random = random;
    delivery->started_ns = now_ns;
    delivery->current.count = DELIVERY_ALL;
}

static void settle_current(struct delivery *delivery)
{
    delivery->settled[0] = delivery->current;
    delivery->settled_count = 1;
    delivery->current.count = 0;
}

static void settle_everything(struct delivery *delivery)
{
    settle_current(delivery);
    for (uint32_t i = 0; i < delivery->pending_count; i++) {
        delivery->settled[delivery->settled_count++] = delivery->pending[i];
    }
    delivery->pending_count = 0;
}

// Breadth first down to the quarters, depth first below; from left to right within a level.
static bool part_goes_before(const struct delivery_part *a, const struct delivery_part *b)
{
    bool a_is_wide = a->level <= 2;
    bool b_is_wide = b->level <= 2;
    if (a_is_wide != b_is_wide) {
        return a_is_wide;
    }
    if (a->level != b->level) {
        return a_is_wide ? a->level < b->level : a->level > b->level;
    }
    return a->first < b->first;
}

static enum delivery_action next_part(struct delivery *delivery)
{
    if (delivery->pending_count == 0) {
        return DELIVERY_DONE;
    }
    uint32_t best = 0;
    for (uint32_t i = 1; i < delivery->pending_count; i++) {
        if (part_goes_before(&delivery->pending[i], &delivery->pending[best])) {
            best = i;
        }
    }
    delivery->current = delivery->pending[best];
    delivery->pending[best] = delivery->pending[--delivery->pending_count];
    return DELIVERY_SEND;
}

static struct delivery_step drop_current(struct delivery *delivery, enum delivery_reason reason)
{
    settle_current(delivery);
    return (struct delivery_step){.action = next_part(delivery), .reason = reason};
}

struct delivery_step delivery_give_up(struct delivery *delivery, enum delivery_reason reason)
{
    settle_everything(delivery);
    return (struct delivery_step){.action = DELIVERY_DONE, .reason = reason};
}

// --- answers --------------------------------------------------------------------------------

static uint64_t next_wait_ns(struct delivery *delivery, const struct delivery_reply *reply)
{
    const struct retry_config *retry = delivery->retry;
    if (delivery->interval_ns == 0) {
        delivery->interval_ns = (uint64_t)retry->initial_interval_ns;
    }
    double interval = (double)delivery->interval_ns;
    double spread = retry->randomization_factor * (2.0 * random_unit(delivery->random) - 1.0);
    uint64_t wait_ns = (uint64_t)(interval * (1.0 + spread));
    double grown = interval * retry->multiplier;
    double most = (double)retry->max_interval_ns;
    delivery->interval_ns = (uint64_t)(grown < most ? grown : most);
    return reply->has_wait && reply->wait_ns > wait_ns ? reply->wait_ns : wait_ns;
}

static struct delivery_step wait_or_drop(struct delivery *delivery,
                                         const struct delivery_reply *reply, uint64_t now_ns)
{
    if (!delivery->retry->enabled) {
        return drop_current(delivery, DELIVERY_RETRY_DISABLED);
    }
    uint64_t wait_ns = next_wait_ns(delivery, reply);
    uint64_t most_ns = (uint64_t)delivery->retry->max_elapsed_time_ns;
    if (most_ns > 0 && now_ns - delivery->started_ns + wait_ns > most_ns) {
        return delivery_give_up(delivery, DELIVERY_ELAPSED);
    }
    return (struct delivery_step){.action = DELIVERY_WAIT, .at_ns = now_ns + wait_ns};
}

static struct delivery_step answer_success(struct delivery *delivery)
{
    if (delivery->current.for_size) {
        CHECK(delivery->extra_used > 0);
        delivery->extra_used--;
        allowance_return(delivery->allowance);
    }
    delivery->interval_ns = 0;
    settle_current(delivery);
    return (struct delivery_step){.action = next_part(delivery), .sent = true};
}

static struct delivery_step answer_refused(struct delivery *delivery)
{
    delivery->halves_refused += delivery->current.level == 1;
    delivery->quarters_refused += delivery->current.level == 2;
    if (delivery->halves_refused == 2 && delivery->quarters_refused == 4) {
        return delivery_give_up(delivery, DELIVERY_SYSTEMATIC);
    }
    if (delivery->current.count == 1) {
        return drop_current(delivery, DELIVERY_REFUSED);
    }
    return (struct delivery_step){.action = DELIVERY_SPLIT};
}

struct delivery_step delivery_answer(struct delivery *delivery, const struct delivery_reply *reply,
                                     uint64_t now_ns)
{
    CHECK(delivery->current.count > 0);
    delivery->settled_count = 0;
    switch (delivery_classify(reply)) {
    case DELIVERY_CLASS_SUCCESS:
        return answer_success(delivery);
    case DELIVERY_CLASS_RETRY:
        return wait_or_drop(delivery, reply, now_ns);
    case DELIVERY_CLASS_TOO_LARGE:
        if (delivery->current.count == 1) {
            return drop_current(delivery, DELIVERY_TOO_LARGE);
        }
        delivery->current.for_size = true;  // what it is cut into inherits this
        return (struct delivery_step){.action = DELIVERY_SPLIT};
    case DELIVERY_CLASS_REFUSED:
        delivery->current.for_size = false;
        return answer_refused(delivery);
    case DELIVERY_CLASS_PERMANENT:
        break;
    }
    return drop_current(delivery, DELIVERY_PERMANENT);
}

// Where to cut [first, first + count): at the border of an input request that is nearest to the
// middle; in the middle when there is none inside.
static uint32_t cut_position(const struct delivery_part *part, const uint32_t *borders,
                             uint32_t border_count)
{
    uint32_t middle = part->first + part->count / 2;
    uint32_t best = middle;
    uint32_t best_distance = UINT32_MAX;
    for (uint32_t i = 0; i < border_count; i++) {
        if (borders[i] <= part->first || borders[i] >= part->first + part->count) {
            continue;
        }
        uint32_t distance = borders[i] > middle ? borders[i] - middle : middle - borders[i];
        if (distance < best_distance) {
            best = borders[i];
            best_distance = distance;
        }
    }
    return best;
}

struct delivery_step delivery_split(struct delivery *delivery, uint32_t item_count,
                                    const uint32_t *borders, uint32_t border_count, uint64_t now_ns)
{
    struct delivery_part *current = &delivery->current;
    delivery->settled_count = 0;
    if (delivery->item_count == 0) {
        CHECK(current->count == DELIVERY_ALL);
        delivery->item_count = item_count;
        delivery->extra_max = delivery_extra_max(item_count);
        current->count = item_count > 1 ? item_count : DELIVERY_ALL;
    }
    CHECK(item_count == delivery->item_count && current->count > 0);
    if (item_count < 2 || current->count == 1) {
        return drop_current(delivery, current->for_size ? DELIVERY_TOO_LARGE : DELIVERY_REFUSED);
    }
    if (delivery->extra_used + 2 > delivery->extra_max ||
        delivery->pending_count + 2 > DELIVERY_PARTS_MAX ||
        !allowance_take(delivery->allowance, 2, now_ns)) {
        return drop_current(delivery, DELIVERY_EXTRA_LIMIT);
    }
    delivery->extra_used += 2;
    uint32_t cut = cut_position(current, borders, border_count);
    struct delivery_part left = *current;
    left.level++;
    left.count = cut - current->first;
    struct delivery_part right = left;
    right.first = cut;
    right.count = current->count - left.count;
    delivery->pending[delivery->pending_count++] = left;
    delivery->pending[delivery->pending_count++] = right;
    return (struct delivery_step){.action = next_part(delivery)};
}
