// SPDX-License-Identifier: Apache-2.0
// What holds for each exporter of scores, as cases that the tests of all of them list, and the
// stage on which they are played: the exporter of one backend against the server of
// score_stage.h. A test states what differs in one static struct score_sink_stage.
#pragma once

#include "tests/unit/score_stage.h"

#define SCORE_SINK_STAGE_URL "http://127.0.0.1:%u"  // of the server
#define SCORE_SINK_STAGE_RETRY                                                                     \
    "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 5s}"

// A variable that the exporter reads; unset around each case.
struct score_sink_variable {
    const char *name;
    const char *value;  // when variables stand in for keys, %u is the port; NULL: stays unset
};

struct score_sink_stage {
    const struct exporter_ops *ops;
    enum score_backend backend;
    const char *yaml;  // what it needs, without braces; %u is the port
    struct score_sink_variable variables[4];
    unsigned kept_count;                   // what the backend has of score_stage_records
    const char *golden;                    // their body; NULL: the test has cases of its own
    const char *const (*refused_yaml)[2];  // rows of score_stage_refuses
    size_t refused_count;
    bool ends_now;  // targets end when the case begins
    // Of the case under way.
    struct score_server *server;
    uint64_t end_ns;  // of all targets; 0: SCORE_SAMPLE_END_NS
};

// Of cmocka, `*state` being the stage.
int score_sink_stage_set_up(void **state);
int score_sink_stage_tear_down(void **state);

// score_stage_send with what the sink needs and the options `more`, without braces; "": none.
void score_sink_stage_send(const struct score_sink_stage *stage, const char *more,
                           const struct score_record *records, size_t count,
                           struct exporter_status *status);
// The same of score_stage_records with the stage's end.
void score_sink_stage_send_all(const struct score_sink_stage *stage, const char *more,
                               struct exporter_status *status);

// The cases; the row is SCORE_SINK_STAGE_SHARED of the name without the prefix.
// Wants `golden`.
void score_sink_stage_each_sort_of_score_has_its_body(void **state);
void score_sink_stage_a_repetition_is_the_same_bytes_and_replaces(void **state);
void score_sink_stage_what_the_sink_does_not_send_makes_no_request(void **state);
void score_sink_stage_failures_alone_carry_the_suffix(void **state);
void score_sink_stage_what_fails_for_now_is_sent_again(void **state);
void score_sink_stage_what_is_too_much_is_halved(void **state);
void score_sink_stage_a_wrong_key_is_final(void **state);
// For interfaces that refuse a whole request for one score.
void score_sink_stage_a_score_that_is_refused_does_not_take_others_with_it(void **state);
// Wants values in `variables`.
void score_sink_stage_keys_come_from_the_variables_of_its_own_sdks(void **state);
// `refused_yaml`, and what no sink takes.
void score_sink_stage_wrong_configurations_are_refused_with_a_sentence(void **state);

// Rows of cmocka's table: a case from here, and one of the test's own.
#define SCORE_SINK_STAGE_SHARED(stage, name_)                                                      \
    {                                                                                              \
        .name = #name_, .test_func = score_sink_stage_##name_,                                     \
        .setup_func = score_sink_stage_set_up, .teardown_func = score_sink_stage_tear_down,        \
        .initial_state = (stage)                                                                   \
    }
#define SCORE_SINK_STAGE_OWN(stage, name)                                                          \
    cmocka_unit_test_prestate_setup_teardown(name, score_sink_stage_set_up,                        \
                                             score_sink_stage_tear_down, stage)
