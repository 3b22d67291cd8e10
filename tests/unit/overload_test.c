// SPDX-License-Identifier: Apache-2.0
// The overload ladder on a manual clock: up at once, down after ten seconds 15 points below.
#include "base/overload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/account.h"
#include "base/clock.h"
#include "base/log.h"

#define SECONDS(n) ((uint64_t)(n)*NS_PER_S)
#define START SECONDS(1000)

static enum overload_rung rise(struct overload *overload, unsigned total, unsigned evidence)
{
    const struct overload_fill fill = {total, evidence};
    return overload_rise(overload, &fill);
}

// Ticks once a second, `seconds` times; returns the last rung.
static enum overload_rung ticks(struct overload *overload, unsigned total, uint64_t *now_ns,
                                unsigned seconds)
{
    const struct overload_fill fill = {total, 0};
    enum overload_rung rung = overload_level(overload);
    for (unsigned i = 0; i < seconds; i++) {
        *now_ns += NS_PER_S;
        rung = overload_tick(overload, &fill, *now_ns);
    }
    return rung;
}

static void each_threshold_is_its_rung(void **state)
{
    static const struct {
        unsigned total;
        enum overload_rung rung;
    } rows[] = {{0, OVERLOAD_NONE},      {69, OVERLOAD_NONE},     {70, OVERLOAD_JUDGING},
                {79, OVERLOAD_JUDGING},  {80, OVERLOAD_HOLDING},  {89, OVERLOAD_HOLDING},
                {90, OVERLOAD_REQUESTS}, {100, OVERLOAD_REQUESTS}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct overload overload = {0};
        assert_int_equal(rise(&overload, rows[i].total, 0), rows[i].rung);
        assert_int_equal(overload_level(&overload), rows[i].rung);
    }
}

static void evidence_has_a_measure_of_its_own(void **state)
{
    struct overload overload = {0};
    (void)state;
    assert_int_equal(rise(&overload, 30, 96), OVERLOAD_NONE);
    assert_int_equal(rise(&overload, 30, 97), OVERLOAD_EVIDENCE);
    assert_int_equal(rise(&overload, 70, 0), OVERLOAD_JUDGING);
}

static void a_look_never_goes_down(void **state)
{
    struct overload overload = {0};
    (void)state;
    assert_int_equal(rise(&overload, 95, 0), OVERLOAD_REQUESTS);
    assert_int_equal(rise(&overload, 0, 0), OVERLOAD_REQUESTS);
}

static void it_comes_down_after_ten_seconds_well_below(void **state)
{
    struct overload overload = {0};
    uint64_t now_ns = START;
    (void)state;
    assert_int_equal(ticks(&overload, 92, &now_ns, 1), OVERLOAD_REQUESTS);
    assert_int_equal(ticks(&overload, 10, &now_ns, 10), OVERLOAD_REQUESTS);
    assert_int_equal(ticks(&overload, 10, &now_ns, 1), OVERLOAD_NONE);  // all the way at once
}

static void fourteen_points_below_is_not_below(void **state)
{
    struct overload overload = {0};
    uint64_t now_ns = START;
    (void)state;
    (void)ticks(&overload, 90, &now_ns, 1);
    assert_int_equal(ticks(&overload, 76, &now_ns, 600), OVERLOAD_REQUESTS);
    assert_int_equal(ticks(&overload, 75, &now_ns, 600), OVERLOAD_REQUESTS);
    assert_int_equal(ticks(&overload, 74, &now_ns, 11), OVERLOAD_HOLDING);
    assert_int_equal(ticks(&overload, 64, &now_ns, 11), OVERLOAD_JUDGING);
    assert_int_equal(ticks(&overload, 54, &now_ns, 11), OVERLOAD_NONE);
}

static void a_relapse_starts_the_ten_seconds_again(void **state)
{
    struct overload overload = {0};
    uint64_t now_ns = START;
    (void)state;
    (void)ticks(&overload, 72, &now_ns, 1);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(ticks(&overload, 20, &now_ns, 9), OVERLOAD_JUDGING);
        assert_int_equal(ticks(&overload, 60, &now_ns, 1), OVERLOAD_JUDGING);
    }
    assert_int_equal(ticks(&overload, 20, &now_ns, 11), OVERLOAD_NONE);
}

static void it_does_not_flap_around_a_threshold(void **state)
{
    struct overload overload = {0};
    uint64_t now_ns = START;
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(ticks(&overload, i % 2 ? 71 : 80, &now_ns, 12), OVERLOAD_HOLDING);
    }
}

static void rows_have_labels_and_rising_thresholds(void **state)
{
    (void)state;
    for (unsigned i = OVERLOAD_JUDGING; i < OVERLOAD_RUNG_COUNT; i++) {
        assert_true(strlen(overload_label((enum overload_rung)i)) > 3);
        assert_true(i == OVERLOAD_JUDGING || overload_percent((enum overload_rung)i) >
                                                 overload_percent((enum overload_rung)(i - 1)));
    }
}

static void the_accounts_ladder_refuses_requests_and_nothing_before(void **state)
{
    const size_t percent = (size_t)1 << 20;
    struct account *account = account_new(100 * percent);
    uint64_t now_ns = START;
    (void)state;
    assert_true(account_charge(account, POOL_QUEUES, 24 * percent));
    assert_true(account_charge(account, POOL_EVIDENCE, 22 * percent));
    assert_true(account_charge(account, POOL_REQUESTS, 33 * percent));
    assert_int_equal(account_overload(account), OVERLOAD_JUDGING);
    assert_false(account_is_refusing(account));
    assert_true(account_charge(account, POOL_JUDGE, 4 * percent));
    assert_int_equal(account_overload(account), OVERLOAD_HOLDING);
    assert_true(account_charge(account, POOL_REQUESTS, 1));
    account_release(account, POOL_REQUESTS, 1);
    assert_true(account_charge(account, POOL_LEDGER, 4 * percent));
    assert_true(account_charge(account, POOL_INFLATE, 4 * percent));
    assert_int_equal(account_overload(account), OVERLOAD_REQUESTS);
    double shed = metric_value(overload_shed(OVERLOAD_REQUESTS, "memory"));
    assert_false(account_charge(account, POOL_REQUESTS, 1));
    assert_true(account_charge(account, POOL_JUDGE, 1));
    account_tick(account, now_ns);
    assert_true(metric_value(overload_shed(OVERLOAD_REQUESTS, "memory")) == shed + 1);
    assert_true(metrics_sum("sidejudge_overload_level") == OVERLOAD_REQUESTS);
    account_release(account, POOL_QUEUES, 24 * percent);
    for (unsigned i = 0; i < 12; i++) {
        assert_true(account_is_refusing(account) == (i < 11));
        account_tick(account, now_ns += NS_PER_S);
    }
    assert_int_equal(account_overload_level(account), OVERLOAD_HOLDING);  // 67 and 15 points
    account_free(account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_threshold_is_its_rung),
        cmocka_unit_test(evidence_has_a_measure_of_its_own),
        cmocka_unit_test(a_look_never_goes_down),
        cmocka_unit_test(it_comes_down_after_ten_seconds_well_below),
        cmocka_unit_test(fourteen_points_below_is_not_below),
        cmocka_unit_test(a_relapse_starts_the_ten_seconds_again),
        cmocka_unit_test(it_does_not_flap_around_a_threshold),
        cmocka_unit_test(rows_have_labels_and_rising_thresholds),
        cmocka_unit_test(the_accounts_ladder_refuses_requests_and_nothing_before),
    };
    log_configure(LOG_ERROR, LOG_CONSOLE, 2);
    return cmocka_run_group_tests_name("overload", tests, NULL, NULL);
}
