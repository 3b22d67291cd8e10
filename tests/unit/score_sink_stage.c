// SPDX-License-Identifier: Apache-2.0
// See the header. Each case starts with a server of its own that knows nothing.
#include "tests/unit/score_sink_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void forget_variables(const struct score_sink_stage *stage)
{
    for (size_t i = 0; i < COUNT_OF(stage->variables) && stage->variables[i].name != NULL; i++) {
        unsetenv(stage->variables[i].name);
    }
}

int score_sink_stage_set_up(void **state)
{
    struct score_sink_stage *stage = *state;
    forget_variables(stage);
    stage->end_ns = stage->ends_now ? clock_wall_ns() : 0;
    stage->server = score_server_start();
    return 0;
}

int score_sink_stage_tear_down(void **state)
{
    struct score_sink_stage *stage = *state;
    forget_variables(stage);
    score_server_stop(&stage->server);
    return 0;
}

// The section of the exporter; %u is left in it.
static void write_yaml(const struct score_sink_stage *stage, const char *more, char yaml[1024])
{
    int len = snprintf(yaml, 1024, "{%s%s%s}", more, *more != '\0' ? ", " : "", stage->yaml);
    assert_in_range(len, 1, 1023);
}

void score_sink_stage_send(const struct score_sink_stage *stage, const char *more,
                           const struct score_record *records, size_t count,
                           struct exporter_status *status)
{
    char yaml[1024];
    write_yaml(stage, more, yaml);
    score_stage_send(stage->server, stage->ops, yaml, records, count, status);
}

static void send_all(const struct score_sink_stage *stage, const char *yaml,
                     struct exporter_status *status)
{
    struct score_record records[SCORE_STAGE_RECORDS];
    score_stage_records(records);
    for (size_t i = 0; i < SCORE_STAGE_RECORDS && stage->end_ns != 0; i++) {
        records[i].end_ns = stage->end_ns;
    }
    score_stage_send(stage->server, stage->ops, yaml, records, SCORE_STAGE_RECORDS, status);
}

void score_sink_stage_send_all(const struct score_sink_stage *stage, const char *more,
                               struct exporter_status *status)
{
    char yaml[1024];
    write_yaml(stage, more, yaml);
    send_all(stage, yaml, status);
}

static struct score_record sample_of(const struct score_sink_stage *stage, enum score_sample which)
{
    struct score_record record = score_sample(which, 1);
    if (stage->end_ns != 0) {
        record.end_ns = stage->end_ns;
    }
    return record;
}

static const struct score_kept *find(const struct score_sink_stage *stage, const char *name)
{
    return score_server_find(stage->server, stage->backend, name);
}

static size_t count_kept(const struct score_sink_stage *stage)
{
    return score_server_count(stage->server, stage->backend);
}

void score_sink_stage_each_sort_of_score_has_its_body(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    score_sink_stage_send_all(stage, "", &status);
    assert_true(score_stage_same_json(buffer_view(&stage->server->body), stage->golden));
    assert_int_equal(stage->server->refused, 0);
    assert_int_equal(status.sent, 5);
    assert_int_equal(status.send_failed, 0);
    assert_int_equal(count_kept(stage), stage->kept_count);
    assert_null(find(stage, "error"));
}

void score_sink_stage_a_repetition_is_the_same_bytes_and_replaces(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 20);
    score_sink_stage_send_all(stage, "", &status);
    buffer_append_bytes(&first, buffer_view(&stage->server->body));
    size_t count = count_kept(stage);
    score_sink_stage_send_all(stage, "", &status);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&stage->server->body)));
    assert_int_equal(count_kept(stage), count);
    assert_int_equal(stage->server->refused, 0);
    buffer_fini(&first);
}

void score_sink_stage_what_the_sink_does_not_send_makes_no_request(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    struct score_record record = sample_of(stage, SAMPLE_ERROR);
    score_sink_stage_send(stage, "", &record, 1, &status);
    assert_int_equal(stage->server->requests[stage->backend], 0);
    assert_int_equal(status.send_failed, 0);
    record = sample_of(stage, SAMPLE_NUMERIC);
    score_sink_stage_send(stage, "send: failed", &record, 1, &status);
    assert_int_equal(stage->server->requests[stage->backend], 0);
}

void score_sink_stage_failures_alone_carry_the_suffix(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    score_sink_stage_send_all(stage, "send: failed, targeted_suffix: _bad", &status);
    assert_int_equal(status.sent, 2);
    assert_int_equal(count_kept(stage), 2);
    assert_non_null(find(stage, "no_loop_bad"));
    assert_non_null(find(stage, "helpfulness_bad"));
}

void score_sink_stage_what_fails_for_now_is_sent_again(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    stage->server->fail_count = 3;
    stage->server->fail_status = 503;
    stage->server->fail_body = "later";
    score_sink_stage_send_all(stage, SCORE_SINK_STAGE_RETRY, &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(stage->server->requests[stage->backend], 4);
}

void score_sink_stage_what_is_too_much_is_halved(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    stage->server->fail_count = 1;
    stage->server->fail_status = 413;
    score_sink_stage_send_all(stage, "", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(stage->server->requests[stage->backend], 3);
    assert_int_equal(count_kept(stage), stage->kept_count);
    assert_int_equal(stage->server->refused, 0);
}

void score_sink_stage_a_wrong_key_is_final(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    stage->server->fail_count = 1;
    stage->server->fail_status = 401;
    stage->server->fail_body = "no such key";
    score_sink_stage_send_all(stage, "", &status);
    assert_int_equal(status.sent, 0);
    assert_true(status.send_failed > 0);
    assert_int_equal(stage->server->requests[stage->backend], 1);
}

void score_sink_stage_a_score_that_is_refused_does_not_take_others_with_it(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    stage->server->poison = "json_valid";
    score_sink_stage_send_all(stage, "", &status);
    assert_int_equal(status.sent, 4);
    assert_int_equal(status.send_failed, 1);
    assert_null(find(stage, "json_valid"));
    assert_non_null(find(stage, "helpfulness_targeted"));
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void score_sink_stage_keys_come_from_the_variables_of_its_own_sdks(void **state)
{
    struct score_sink_stage *stage = *state;
    struct exporter_status status;
    unsigned set_count = 0;
    for (size_t i = 0; i < COUNT_OF(stage->variables); i++) {
        const struct score_sink_variable *variable = &stage->variables[i];
        if (variable->value != NULL) {
            char value[64];
            snprintf(value, sizeof(value), variable->value, score_server_port(stage->server));
            setenv(variable->name, value, 1);
            set_count++;
        }
    }
    assert_true(set_count > 0);
    send_all(stage, "{}", &status);
    assert_int_equal(status.sent, 5);
    assert_int_equal(stage->server->refused, 0);
}

void score_sink_stage_wrong_configurations_are_refused_with_a_sentence(void **state)
{
    struct score_sink_stage *stage = *state;
    static const char *const of_all[][2] = {
        {"targeted_suffix: ''", "targeted_suffix must be"},
        {"targeted_suffix: 'a b'", "targeted_suffix must be"},
        {"send: some", "'send' must be one of"},
        {"compression: zstd", "does not take zstd"},
    };
    assert_true(stage->refused_count > 0);
    assert_true(score_stage_refuses(stage->ops, stage->refused_yaml, stage->refused_count));
    for (size_t i = 0; i < COUNT_OF(of_all); i++) {
        char format[1024], yaml[1024];
        write_yaml(stage, of_all[i][0], format);
        snprintf(yaml, sizeof(yaml), format, score_server_port(stage->server));
        const char *const rows[][2] = {{yaml, of_all[i][1]}};
        assert_true(score_stage_refuses(stage->ops, rows, 1));
    }
}
