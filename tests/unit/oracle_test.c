// SPDX-License-Identifier: Apache-2.0
//
// The oracle must see what goes wrong: each way to break a promise is done to it here, because one
// that never complains proves nothing. No program runs.

#include "tests/scenario/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "proto/attribute.h"

enum { HERE, THERE };

struct text {
    const char *key, *value;  // key NULL: none
};

// A request of one span: its attributes, and behind them what was appended on the way.
static struct buffer request(uint8_t id, const char *service, struct text own, struct text added)
{
    const uint8_t ids[16] = {0xfa, id};
    struct buffer out;
    buffer_init(&out, 65536);
    size_t container = wire_open(&out, REQUEST_RESOURCES);
    size_t resource = wire_open(&out, RESOURCE_RESOURCE);
    attribute_write_text(&out, RES_ATTRIBUTES, "service.name", bytes_from_text(service));
    wire_close(&out, resource);
    size_t scope = wire_open(&out, RESOURCE_SCOPES);
    size_t span = wire_open(&out, SCOPE_ITEMS);
    wire_write_bytes(&out, SPAN_TRACE_ID, bytes_from(ids, 16));
    wire_write_bytes(&out, SPAN_SPAN_ID, bytes_from(ids, 8));
    wire_write_text(&out, SPAN_NAME, "span");
    if (own.key != NULL) {
        attribute_write_text(&out, SPAN_ATTRIBUTES, own.key, bytes_from_text(own.value));
    }
    if (added.key != NULL) {
        attribute_write_text(&out, SPAN_ATTRIBUTES, added.key, bytes_from_text(added.value));
    }
    wire_close(&out, span);
    wire_close(&out, scope);
    wire_close(&out, container);
    return out;
}

#define NONE ((struct text){NULL, NULL})
#define PLAIN(id) request(id, "shop", NONE, NONE)

static void sent(struct oracle *oracle, struct buffer made, bool acknowledged)
{
    oracle_sent(oracle, buffer_view(&made));
    if (acknowledged) {
        oracle_acknowledged(oracle, buffer_view(&made));
    }
    buffer_fini(&made);
}

static void arrived(struct oracle *oracle, unsigned backend, struct buffer made)
{
    oracle_arrived(oracle, backend, buffer_view(&made));
    buffer_fini(&made);
}

static int oracle_setup(void **state)
{
    *state = oracle_new();
    return 0;
}

static int oracle_teardown(void **state)
{
    struct oracle *oracle = *state;
    oracle_free(&oracle);
    return 0;
}

static void what_is_acknowledged_and_not_there_is_missing(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, PLAIN(1), true);
    sent(oracle, PLAIN(2), true);
    arrived(oracle, HERE, PLAIN(1));
    assert_int_equal(oracle_report(oracle, HERE).missing, 1);
    assert_int_equal(oracle_report(oracle, THERE).missing, 2);
    assert_false(oracle_is_whole(oracle, HERE));
    arrived(oracle, HERE, PLAIN(2));
    assert_true(oracle_is_whole(oracle, HERE));
}

static void what_was_not_acknowledged_may_be_missing_or_arrive(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, PLAIN(1), false);
    assert_true(oracle_is_whole(oracle, HERE));
    arrived(oracle, HERE, PLAIN(1));
    assert_int_equal(oracle_report(oracle, HERE).duplicates, 0);
    assert_int_equal(oracle_report(oracle, HERE).unknown, 0);
}

static void what_arrives_before_its_sender_hears_ok_counts(void **state)
{
    struct oracle *oracle = *state;
    struct buffer made = PLAIN(1);
    oracle_sent(oracle, buffer_view(&made));
    oracle_arrived(oracle, HERE, buffer_view(&made));
    oracle_acknowledged(oracle, buffer_view(&made));
    assert_true(oracle_is_whole(oracle, HERE));
    buffer_fini(&made);
}

static void what_comes_more_often_than_it_was_sent_is_a_duplicate(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, PLAIN(1), true);
    sent(oracle, PLAIN(1), true);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(oracle_is_whole(oracle, HERE), i >= 2);
        arrived(oracle, HERE, PLAIN(1));
    }
    assert_int_equal(oracle_report(oracle, HERE).duplicates, 3);
    assert_int_equal(oracle_report(oracle, THERE).duplicates, 0);
}

static void what_was_never_sent_is_unknown(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, PLAIN(1), true);
    arrived(oracle, HERE, PLAIN(2));
    assert_int_equal(oracle_report(oracle, HERE).unknown, 1);
}

static void changed_bytes_are_unknown_wherever_they_stand(void **state)
{
    struct oracle *oracle = *state;
    const struct text own = {"key", "value"};
    sent(oracle, request(1, "shop", own, NONE), true);
    arrived(oracle, HERE, request(1, "shop", (struct text){"key", "valuf"}, NONE));
    arrived(oracle, HERE, request(1, "shoq", own, NONE));
    arrived(oracle, HERE, request(1, "shop", NONE, NONE));
    arrived(oracle, HERE, request(1, "shop", own, (struct text){"foreign", "addition"}));
    assert_int_equal(oracle_report(oracle, HERE).unknown, 4);
    assert_false(oracle_is_whole(oracle, HERE));
}

static void appended_attributes_of_ours_are_no_change(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, PLAIN(1), true);
    sent(oracle, PLAIN(2), true);
    arrived(oracle, HERE, request(1, "shop", NONE, (struct text){"sidejudge.verdict", "pass"}));
    arrived(oracle, HERE,
            request(2, "shop", NONE, (struct text){"evaluations.0.evaluation.name", "f"}));
    assert_true(oracle_is_whole(oracle, HERE));
    assert_int_equal(oracle_report(oracle, HERE).unknown, 0);
    assert_int_equal(oracle_report(oracle, HERE).versions, 0);
}

static void two_versions_are_seen_at_one_backend_and_across_two(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, PLAIN(1), true);
    arrived(oracle, HERE, PLAIN(1));
    arrived(oracle, HERE, PLAIN(1));
    assert_int_equal(oracle_report(oracle, HERE).versions, 0);
    arrived(oracle, HERE, request(1, "shop", NONE, (struct text){"sidejudge.verdict", "pass"}));
    assert_int_equal(oracle_report(oracle, HERE).versions, 1);
    arrived(oracle, THERE, request(1, "shop", NONE, (struct text){"sidejudge.verdict", "fail"}));
    assert_int_equal(oracle_report(oracle, THERE).versions, 1);
}

static void foreign_sidejudge_attributes_may_be_taken_out(void **state)
{
    struct oracle *oracle = *state;
    const struct text forged = {"sidejudge.verdict", "forged"};
    sent(oracle, request(1, "shop", forged, NONE), true);
    sent(oracle, request(2, "shop", forged, NONE), true);
    arrived(oracle, HERE, request(1, "shop", forged, NONE));
    arrived(oracle, HERE, request(2, "shop", NONE, (struct text){"sidejudge.verdict", "pass"}));
    assert_true(oracle_is_whole(oracle, HERE));
    assert_int_equal(oracle_report(oracle, HERE).unknown, 0);
}

static void equal_ids_with_other_bytes_are_spans_of_their_own(void **state)
{
    struct oracle *oracle = *state;
    sent(oracle, request(1, "first", NONE, NONE), true);
    sent(oracle, request(1, "second", NONE, NONE), true);
    arrived(oracle, HERE, request(1, "first", NONE, NONE));
    assert_int_equal(oracle_report(oracle, HERE).missing, 1);
    arrived(oracle, HERE, request(1, "second", NONE, NONE));
    assert_true(oracle_is_whole(oracle, HERE));
    assert_int_equal(oracle_report(oracle, HERE).versions, 0);
}

static void what_is_excused_is_not_missing_and_may_arrive(void **state)
{
    struct oracle *oracle = *state;
    struct buffer made = PLAIN(1);
    sent(oracle, PLAIN(1), true);
    oracle_excuse_named(oracle, buffer_view(&made), "another");
    assert_false(oracle_is_whole(oracle, HERE));
    oracle_excuse(oracle, buffer_view(&made));
    assert_true(oracle_is_whole(oracle, HERE));
    assert_int_equal(oracle_report(oracle, HERE).acknowledged, 0);
    oracle_arrived(oracle, HERE, buffer_view(&made));
    assert_int_equal(oracle_report(oracle, HERE).unknown, 0);
    buffer_fini(&made);
}

static void ten_thousand_spans_are_told_apart(void **state)
{
    struct oracle *oracle = *state;
    char name[32];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "service %u", i);
        sent(oracle, request((uint8_t)i, name, NONE, NONE), true);
    }
    for (unsigned i = 0; i < 9999; i++) {
        snprintf(name, sizeof(name), "service %u", i);
        arrived(oracle, HERE, request((uint8_t)i, name, NONE, NONE));
    }
    assert_int_equal(oracle_report(oracle, HERE).sent, 10000);
    assert_int_equal(oracle_report(oracle, HERE).missing, 1);
    assert_int_equal(oracle_report(oracle, HERE).unknown, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, oracle_setup, oracle_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_acknowledged_and_not_there_is_missing),
        TEST(what_was_not_acknowledged_may_be_missing_or_arrive),
        TEST(what_arrives_before_its_sender_hears_ok_counts),
        TEST(what_comes_more_often_than_it_was_sent_is_a_duplicate),
        TEST(what_was_never_sent_is_unknown),
        TEST(changed_bytes_are_unknown_wherever_they_stand),
        TEST(appended_attributes_of_ours_are_no_change),
        TEST(two_versions_are_seen_at_one_backend_and_across_two),
        TEST(foreign_sidejudge_attributes_may_be_taken_out),
        TEST(equal_ids_with_other_bytes_are_spans_of_their_own),
        TEST(what_is_excused_is_not_missing_and_may_arrive),
        TEST(ten_thousand_spans_are_told_apart),
    };
    return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
