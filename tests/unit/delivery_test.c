// SPDX-License-Identifier: Apache-2.0
// The fate of a batch on a manual clock: which answers are retried, when, how the refused items are
// found and when the search is given up.
#include "exporter/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct retry_config defaults = {.enabled = true,
                                             .initial_interval_ns = 5000000000,
                                             .randomization_factor = 0.5,
                                             .multiplier = 1.5,
                                             .max_interval_ns = 30000000000,
                                             .max_elapsed_time_ns = 300000000000};
static struct delivery_allowance allowance;
static struct random generator;

static int set_up(void **state)
{
    (void)state;
    memset(&allowance, 0, sizeof(allowance));
    random_seed(&generator, 7);
    return 0;
}

static void begin(struct delivery *delivery, const struct retry_config *retry)
{
    delivery_begin(delivery, retry, &allowance, &generator, NS_PER_S);
}

static struct delivery_reply http(int code)
{
    return (struct delivery_reply){.protocol = DELIVERY_HTTP, .code = code};
}

static struct delivery_reply grpc(int code)
{
    return (struct delivery_reply){.protocol = DELIVERY_GRPC, .code = code};
}

// --- classes --------------------------------------------------------------------------------

static void every_status_has_the_class_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        enum delivery_protocol protocol;
        int code;
        bool has_wait;
        enum delivery_class class;
    } rows[] = {
        {DELIVERY_HTTP, 200, false, DELIVERY_CLASS_SUCCESS},
        {DELIVERY_HTTP, 202, false, DELIVERY_CLASS_SUCCESS},
        {DELIVERY_HTTP, 204, false, DELIVERY_CLASS_SUCCESS},
        {DELIVERY_HTTP, 429, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_HTTP, 502, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_HTTP, 503, true, DELIVERY_CLASS_RETRY},
        {DELIVERY_HTTP, 504, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_HTTP, 400, false, DELIVERY_CLASS_REFUSED},
        {DELIVERY_HTTP, 400, true, DELIVERY_CLASS_REFUSED},
        {DELIVERY_HTTP, 422, false, DELIVERY_CLASS_REFUSED},
        {DELIVERY_HTTP, 413, false, DELIVERY_CLASS_TOO_LARGE},
        {DELIVERY_HTTP, 301, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 307, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 401, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 403, true, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 404, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 408, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 415, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 500, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 501, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 0, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_HTTP, 999, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 0, false, DELIVERY_CLASS_SUCCESS},
        {DELIVERY_GRPC, 1, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 2, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 3, false, DELIVERY_CLASS_REFUSED},
        {DELIVERY_GRPC, 4, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 5, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 6, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 7, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 8, false, DELIVERY_CLASS_TOO_LARGE},
        {DELIVERY_GRPC, 8, true, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 9, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 10, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 11, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 12, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 13, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 14, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 15, false, DELIVERY_CLASS_RETRY},
        {DELIVERY_GRPC, 16, false, DELIVERY_CLASS_PERMANENT},
        {DELIVERY_GRPC, 200, false, DELIVERY_CLASS_PERMANENT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct delivery_reply reply = {
            .protocol = rows[i].protocol, .code = rows[i].code, .has_wait = rows[i].has_wait};
        assert_int_equal(delivery_classify(&reply), rows[i].class);
    }
}

static void transport_failures_are_retried_whatever_their_kind(void **state)
{
    (void)state;
    static const enum result kinds[] = {RESULT_RETRY, RESULT_FAIL, RESULT_STOP, RESULT_TOO_LARGE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct delivery_reply reply = {.transport = kinds[i], .code = 400};
        assert_int_equal(delivery_classify(&reply), DELIVERY_CLASS_RETRY);
    }
}

// --- waiting --------------------------------------------------------------------------------

static void success_settles_everything_as_sent(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = http(200);
    struct delivery_step step = delivery_answer(&delivery, &reply, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_true(step.sent);
    assert_int_equal(delivery.settled_count, 1);
    assert_int_equal(delivery.settled[0].count, DELIVERY_ALL);
}

static void waits_grow_by_the_multiplier_up_to_the_largest(void **state)
{
    (void)state;
    struct retry_config retry = defaults;
    retry.randomization_factor = 0;
    retry.max_elapsed_time_ns = 0;
    struct delivery delivery;
    begin(&delivery, &retry);
    struct delivery_reply reply = http(503);
    static const uint64_t waits_ms[] = {5000, 7500, 11250, 16875, 25312, 30000, 30000};
    uint64_t now_ns = NS_PER_S;
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
        struct delivery_step step = delivery_answer(&delivery, &reply, now_ns);
        assert_int_equal(step.action, DELIVERY_WAIT);
        assert_int_equal((step.at_ns - now_ns) / NS_PER_MS, waits_ms[i]);
        assert_int_equal(delivery.settled_count, 0);
        now_ns = step.at_ns;
    }
}

static void waits_are_spread_by_the_randomization_factor(void **state)
{
    (void)state;
    uint64_t least = UINT64_MAX, most = 0;
    struct delivery_reply reply = http(503);
    for (int i = 0; i < 1000; i++) {
        struct delivery delivery;
        begin(&delivery, &defaults);
        struct delivery_step step = delivery_answer(&delivery, &reply, NS_PER_S);
        uint64_t wait_ns = step.at_ns - NS_PER_S;
        least = wait_ns < least ? wait_ns : least;
        most = wait_ns > most ? wait_ns : most;
    }
    assert_in_range(least, 2500 * NS_PER_MS, 3000 * NS_PER_MS);
    assert_in_range(most, 7000 * NS_PER_MS, 7500 * NS_PER_MS);
}

static void a_longer_wait_asked_for_wins_over_the_backoff_and_a_shorter_does_not(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = http(429);
    reply.has_wait = true;
    reply.wait_ns = 60 * NS_PER_S;
    struct delivery_step step = delivery_answer(&delivery, &reply, NS_PER_S);
    assert_int_equal(step.at_ns, 61 * NS_PER_S);
    begin(&delivery, &defaults);
    reply.wait_ns = 0;
    step = delivery_answer(&delivery, &reply, NS_PER_S);
    assert_true(step.at_ns >= NS_PER_S + 2500 * NS_PER_MS);
}

static void the_time_is_over_before_a_wait_that_would_pass_it(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = http(503);
    struct delivery_step step = {.action = DELIVERY_WAIT, .at_ns = NS_PER_S};
    unsigned tries = 0;
    while (step.action == DELIVERY_WAIT) {
        assert_true(step.at_ns <= 301 * NS_PER_S);
        step = delivery_answer(&delivery, &reply, step.at_ns);
        assert_true(++tries < 100);
    }
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_int_equal(step.reason, DELIVERY_ELAPSED);
    assert_false(step.sent);
    assert_int_equal(delivery.settled_count, 1);
}

static void a_wait_asked_for_beyond_the_time_drops_at_once(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = grpc(8);
    reply.has_wait = true;
    reply.wait_ns = 301 * NS_PER_S;
    struct delivery_step step = delivery_answer(&delivery, &reply, NS_PER_S);
    assert_int_equal(step.reason, DELIVERY_ELAPSED);
}

static void without_retries_a_failure_for_now_drops(void **state)
{
    (void)state;
    struct retry_config retry = defaults;
    retry.enabled = false;
    struct delivery delivery;
    begin(&delivery, &retry);
    struct delivery_reply reply = {.transport = RESULT_RETRY};
    struct delivery_step step = delivery_answer(&delivery, &reply, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_int_equal(step.reason, DELIVERY_RETRY_DISABLED);
}

static void what_is_not_retryable_drops_at_once(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = http(401);
    struct delivery_step step = delivery_answer(&delivery, &reply, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_int_equal(step.reason, DELIVERY_PERMANENT);
    assert_false(step.sent);
}

// --- a backend that looks at items ----------------------------------------------------------

struct backend {
    uint32_t item_count;
    const bool *bad;     // 400 when one is inside
    uint32_t items_max;  // 413 above; 0: no limit
    const uint32_t *borders;
    uint32_t border_count;
    unsigned requests;
    uint32_t sent, dropped;
    unsigned reasons[DELIVERY_REASON_COUNT];
    uint32_t first_cut;  // where the batch was cut first
    uint8_t *fate;       // per item: 0 unknown, 1 sent, 2 dropped
};

static int backend_answer(struct backend *backend, const struct delivery_part *part)
{
    uint32_t first = part->first;
    uint32_t count = part->count == DELIVERY_ALL ? backend->item_count : part->count;
    backend->requests++;
    assert_true(count > 0 && first + count <= backend->item_count);
    if (backend->items_max > 0 && count > backend->items_max) {
        return 413;
    }
    for (uint32_t i = 0; backend->bad != NULL && i < count; i++) {
        if (backend->bad[first + i]) {
            return 400;
        }
    }
    return 200;
}

static void backend_settle(struct backend *backend, const struct delivery *delivery,
                           const struct delivery_step *step)
{
    for (uint32_t i = 0; i < delivery->settled_count; i++) {
        struct delivery_part part = delivery->settled[i];
        part.count = part.count == DELIVERY_ALL ? backend->item_count : part.count;
        *(step->sent ? &backend->sent : &backend->dropped) += part.count;
        backend->reasons[step->reason] += step->sent ? 0 : part.count;
        for (uint32_t at = 0; at < part.count; at++) {
            assert_int_equal(backend->fate[part.first + at], 0);
            backend->fate[part.first + at] = step->sent ? 1 : 2;
        }
    }
}

static void run(struct backend *backend, uint64_t now_ns)
{
    struct delivery delivery;
    delivery_begin(&delivery, &defaults, &allowance, &generator, now_ns);
    backend->fate = calloc(backend->item_count, 1);
    struct delivery_step step = {.action = DELIVERY_SEND};
    while (step.action != DELIVERY_DONE) {
        assert_int_equal(step.action, DELIVERY_SEND);
        struct delivery_reply reply = http(backend_answer(backend, &delivery.current));
        step = delivery_answer(&delivery, &reply, now_ns);
        if (step.action == DELIVERY_SPLIT) {
            step = delivery_split(&delivery, backend->item_count, backend->borders,
                                  backend->border_count, now_ns);
            if (backend->first_cut == 0) {
                backend->first_cut = delivery.current.count;
            }
        }
        backend_settle(backend, &delivery, &step);
    }
    for (uint32_t i = 0; i < backend->item_count; i++) {
        assert_int_not_equal(backend->fate[i], 0);
    }
    free(backend->fate);
    assert_int_equal(backend->sent + backend->dropped, backend->item_count);
    assert_true(backend->requests <= 1 + delivery_extra_max(backend->item_count) ||
                backend->items_max > 0);
}

// --- bisecting ------------------------------------------------------------------------------

static void one_bad_item_of_n_is_found_wherever_it_is(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 4, 5, 7, 8, 100, 512, 513, 1000, 4097};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint32_t n = counts[i];
        uint32_t stride = n > 64 ? n / 37 : 1;
        for (uint32_t at = 0; at < n; at += stride) {
            memset(&allowance, 0, sizeof(allowance));
            bool *bad = calloc(n, sizeof(bool));
            bad[at] = true;
            struct backend backend = {.item_count = n, .bad = bad};
            run(&backend, NS_PER_S);
            assert_int_equal(backend.dropped, 1);
            assert_int_equal(backend.reasons[DELIVERY_REFUSED], 1);
            free(bad);
        }
    }
}

static void two_bad_items_far_apart_are_both_found(void **state)
{
    (void)state;
    bool bad[512] = {false};
    bad[3] = bad[509] = true;
    struct backend backend = {.item_count = 512, .bad = bad};
    run(&backend, NS_PER_S);
    // Two paths of nine levels need more requests than the bound allows: a little more is dropped.
    assert_true(backend.sent >= 512 - 64);
    assert_true(backend.dropped >= 2);
    assert_true(backend.requests <= 1 + delivery_extra_max(512));
}

static void bad_items_in_three_quarters_are_no_systematic_fault(void **state)
{
    (void)state;
    bool bad[16] = {false};
    bad[0] = bad[5] = bad[9] = true;
    struct backend backend = {.item_count = 16, .bad = bad};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.reasons[DELIVERY_SYSTEMATIC], 0);
    assert_true(backend.sent >= 8);
}

static void a_systematic_fault_costs_six_extra_requests_and_drops_all(void **state)
{
    (void)state;
    static bool bad[1000];
    memset(bad, 1, sizeof(bad));
    struct backend backend = {.item_count = 1000, .bad = bad};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.requests, 7);
    assert_int_equal(backend.dropped, 1000);
    assert_int_equal(backend.reasons[DELIVERY_SYSTEMATIC], 1000);
}

static void a_pair_of_bad_items_is_dropped_as_items(void **state)
{
    (void)state;
    bool bad[2] = {true, true};
    struct backend backend = {.item_count = 2, .bad = bad};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.reasons[DELIVERY_REFUSED], 2);
    assert_int_equal(backend.requests, 3);
}

static void a_request_without_items_that_is_refused_is_dropped(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = http(400);
    assert_int_equal(delivery_answer(&delivery, &reply, NS_PER_S).action, DELIVERY_SPLIT);
    struct delivery_step step = delivery_split(&delivery, 0, NULL, 0, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_int_equal(step.reason, DELIVERY_REFUSED);
}

static void the_first_cut_is_at_the_border_of_a_request_nearest_the_middle(void **state)
{
    (void)state;
    bool bad[100] = {false};
    bad[99] = true;
    const uint32_t borders[] = {10, 38, 90};
    struct backend backend = {.item_count = 100, .bad = bad, .borders = borders, .border_count = 3};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.first_cut, 38);
    assert_int_equal(backend.dropped, 1);
}

static void lopsided_borders_still_find_the_bad_item(void **state)
{
    (void)state;
    bool bad[1024] = {false};
    const uint32_t borders[] = {1, 2, 3, 1021, 1022, 1023};
    bad[700] = true;
    struct backend backend = {
        .item_count = 1024, .bad = bad, .borders = borders, .border_count = 6};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.dropped, 1);
}

static void the_bound_is_two_log_n_plus_eight(void **state)
{
    (void)state;
    assert_int_equal(delivery_extra_max(1), 8);
    assert_int_equal(delivery_extra_max(2), 10);
    assert_int_equal(delivery_extra_max(3), 11);
    assert_int_equal(delivery_extra_max(512), 26);
    assert_int_equal(delivery_extra_max(1000), 27);
    assert_int_equal(delivery_extra_max(UINT32_MAX), 71);
}

static void many_bad_items_stop_at_the_bound_and_nothing_is_sent_twice(void **state)
{
    (void)state;
    random_seed(&generator, 99);
    for (int round = 0; round < 200; round++) {
        memset(&allowance, 0, sizeof(allowance));
        uint32_t n = 1 + (uint32_t)random_below(&generator, 700);
        bool *bad = calloc(n, sizeof(bool));
        for (uint32_t i = 0; i < n; i++) {
            bad[i] = random_below(&generator, 10) == 0;
        }
        struct backend backend = {.item_count = n, .bad = bad};
        run(&backend, NS_PER_S);  // checks the bound and that each item has one fate
        free(bad);
    }
}

static void an_exporter_makes_sixty_extra_requests_a_minute_and_no_more(void **state)
{
    (void)state;
    bool bad[512] = {false};
    bad[100] = true;
    unsigned extra = 0;
    uint64_t now_ns = NS_PER_S;
    for (int i = 0; i < 50; i++) {
        struct backend backend = {.item_count = 512, .bad = bad};
        run(&backend, now_ns + (uint64_t)i * NS_PER_MS);
        extra += backend.requests - 1;
    }
    assert_int_equal(extra, DELIVERY_EXTRA_A_MINUTE);
    struct backend later = {.item_count = 512, .bad = bad};
    run(&later, now_ns + 61 * NS_PER_S);
    assert_int_equal(later.dropped, 1);
}

// --- sizes ----------------------------------------------------------------------------------

static void too_large_is_halved_until_it_fits(void **state)
{
    (void)state;
    struct backend backend = {.item_count = 512, .items_max = 100};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.sent, 512);
    assert_int_equal(backend.requests, 15);
}

static void halves_that_arrive_use_up_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {  // 8 batches, 6 extra requests each would be 48 and 14 lasting
        struct backend backend = {.item_count = 64, .items_max = 16};
        run(&backend, NS_PER_S);
        assert_int_equal(backend.sent, 64);
    }
}

static void a_single_item_that_is_too_large_is_dropped(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply reply = http(413);
    assert_int_equal(delivery_answer(&delivery, &reply, NS_PER_S).action, DELIVERY_SPLIT);
    struct delivery_step step = delivery_split(&delivery, 1, NULL, 0, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_int_equal(step.reason, DELIVERY_TOO_LARGE);
}

static void a_backend_that_always_says_too_large_is_left_at_the_bound(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_step step = {.action = DELIVERY_SEND};
    unsigned requests = 0;
    while (step.action != DELIVERY_DONE) {
        struct delivery_reply reply = grpc(8);
        requests++;
        step = delivery_answer(&delivery, &reply, NS_PER_S);
        if (step.action == DELIVERY_SPLIT) {
            step = delivery_split(&delivery, 512, NULL, 0, NS_PER_S);
        }
    }
    assert_true(requests <= 1 + delivery_extra_max(512));
}

static void a_bad_item_inside_a_batch_that_is_too_large_is_found(void **state)
{
    (void)state;
    bool bad[64] = {false};
    bad[41] = true;
    struct backend backend = {.item_count = 64, .bad = bad, .items_max = 32};
    run(&backend, NS_PER_S);
    assert_int_equal(backend.dropped, 1);
    assert_int_equal(backend.reasons[DELIVERY_REFUSED], 1);
}

// --- the rest of a batch --------------------------------------------------------------------

static void an_outage_in_the_middle_of_a_search_waits_and_goes_on(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply refused = http(400), down = http(503), fine = http(200);
    assert_int_equal(delivery_answer(&delivery, &refused, NS_PER_S).action, DELIVERY_SPLIT);
    assert_int_equal(delivery_split(&delivery, 8, NULL, 0, NS_PER_S).action, DELIVERY_SEND);
    struct delivery_part half = delivery.current;
    struct delivery_step step = delivery_answer(&delivery, &down, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_WAIT);
    assert_int_equal(delivery.current.first, half.first);
    assert_int_equal(delivery.current.count, 4);
    step = delivery_answer(&delivery, &fine, step.at_ns);
    assert_true(step.sent);
    assert_int_equal(step.action, DELIVERY_SEND);
    assert_int_equal(delivery.current.first, 4);
}

static void a_permanent_answer_to_a_part_leaves_the_other_parts_their_chance(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply refused = http(400), broken = http(500), fine = http(200);
    (void)delivery_answer(&delivery, &refused, NS_PER_S);
    (void)delivery_split(&delivery, 8, NULL, 0, NS_PER_S);
    struct delivery_step step = delivery_answer(&delivery, &broken, NS_PER_S);
    assert_int_equal(step.reason, DELIVERY_PERMANENT);
    assert_int_equal(step.action, DELIVERY_SEND);
    step = delivery_answer(&delivery, &fine, NS_PER_S);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_true(step.sent);
}

static void giving_up_settles_what_is_under_way_and_what_is_pending(void **state)
{
    (void)state;
    struct delivery delivery;
    begin(&delivery, &defaults);
    struct delivery_reply refused = http(400);
    (void)delivery_answer(&delivery, &refused, NS_PER_S);
    (void)delivery_split(&delivery, 8, NULL, 0, NS_PER_S);
    struct delivery_step step = delivery_give_up(&delivery, DELIVERY_SHUTDOWN);
    assert_int_equal(step.action, DELIVERY_DONE);
    assert_int_equal(delivery.settled_count, 2);
    assert_int_equal(delivery.settled[0].count + delivery.settled[1].count, 8);
}

static void every_reason_has_a_label_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < DELIVERY_REASON_COUNT; i++) {
        assert_true(strlen(delivery_reason_label((enum delivery_reason)i)) > 0);
        assert_true(strlen(delivery_reason_text((enum delivery_reason)i)) > 0);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_status_has_the_class_of_the_specification),
        TEST(transport_failures_are_retried_whatever_their_kind),
        TEST(success_settles_everything_as_sent),
        TEST(waits_grow_by_the_multiplier_up_to_the_largest),
        TEST(waits_are_spread_by_the_randomization_factor),
        TEST(a_longer_wait_asked_for_wins_over_the_backoff_and_a_shorter_does_not),
        TEST(the_time_is_over_before_a_wait_that_would_pass_it),
        TEST(a_wait_asked_for_beyond_the_time_drops_at_once),
        TEST(without_retries_a_failure_for_now_drops),
        TEST(what_is_not_retryable_drops_at_once),
        TEST(one_bad_item_of_n_is_found_wherever_it_is),
        TEST(two_bad_items_far_apart_are_both_found),
        TEST(bad_items_in_three_quarters_are_no_systematic_fault),
        TEST(a_systematic_fault_costs_six_extra_requests_and_drops_all),
        TEST(a_pair_of_bad_items_is_dropped_as_items),
        TEST(a_request_without_items_that_is_refused_is_dropped),
        TEST(the_first_cut_is_at_the_border_of_a_request_nearest_the_middle),
        TEST(lopsided_borders_still_find_the_bad_item),
        TEST(the_bound_is_two_log_n_plus_eight),
        TEST(many_bad_items_stop_at_the_bound_and_nothing_is_sent_twice),
        TEST(an_exporter_makes_sixty_extra_requests_a_minute_and_no_more),
        TEST(too_large_is_halved_until_it_fits),
        TEST(halves_that_arrive_use_up_nothing),
        TEST(a_single_item_that_is_too_large_is_dropped),
        TEST(a_backend_that_always_says_too_large_is_left_at_the_bound),
        TEST(a_bad_item_inside_a_batch_that_is_too_large_is_found),
        TEST(an_outage_in_the_middle_of_a_search_waits_and_goes_on),
        TEST(a_permanent_answer_to_a_part_leaves_the_other_parts_their_chance),
        TEST(giving_up_settles_what_is_under_way_and_what_is_pending),
        TEST(every_reason_has_a_label_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
