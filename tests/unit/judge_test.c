// SPDX-License-Identifier: Apache-2.0
// The judge pool against the scripted judge on loopback: every way in which it may misbehave ends
// in an error and never in a score, inside the deadline; retries, Retry-After, the breaker, the
// bound on concurrency and the end of the pool. Results come on the judges' thread and are waited
// for, within a bound.
#include "processor/judge.h"

#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "processor/redaction.h"
#include "processor/rubric.h"
#include "tests/scenario/judge_server.h"

#define RESULTS_MAX 300
#define PATIENCE_S 60

enum { OPENAI, ANTHROPIC };

struct rig {
    struct judge_server *server;
    struct judge_pool *pool, *used;  // `used` also while it is being freed
    struct account *account;
    struct redactor *redactor;
    struct arena arena;
    const struct rubric *rubric;
    struct judge_config config;
    sem_t done;
    struct judge_result results[RESULTS_MAX];
    atomic_size_t count;
    size_t waited;
    char why[256];
};

static const struct judge_row script[] = {
    {.find = "refund in 90 days",
     .score = 0.1,
     .reason = "Nothing supports 90 days, see jane@example.com.",
     .evidence = "You get a refund in 90 days."},
    {.find = "out of range", .score = 7, .reason = "Seven."},
};

static void rig_open(struct rig *rig)
{
    assert_int_equal(
        judge_pool_new(&rig->config, 1, rig->account, &rig->pool, rig->why, sizeof rig->why),
        RESULT_OK);
    rig->used = rig->pool;
    assert_int_equal(judge_pool_start(rig->pool), RESULT_OK);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    const struct judge_server_config server = {.rows = script,
                                               .row_count = sizeof script / sizeof script[0],
                                               .api_key = "key-1",
                                               .slow_ns = 500 * NS_PER_MS};
    if (rig == NULL || judge_server_start(&server, &rig->server) != RESULT_OK) {
        return -1;
    }
    sem_init(&rig->done, 0, 0);
    rig->account = account_new((size_t)192 << 20);
    rig->redactor = redactor_new();
    arena_init(&rig->arena, 4096);
    (void)!rubric_load(BYTES_LITERAL("faithfulness"), &rig->arena, &rig->rubric, rig->why,
                       sizeof rig->why);
    rig->config =
        (struct judge_config){.name = BYTES_LITERAL("default"),
                              .api = OPENAI,
                              .endpoint = bytes_from_text(judge_server_openai_url(rig->server)),
                              .model = BYTES_LITERAL("ok"),
                              .api_key = BYTES_LITERAL("key-1"),
                              .timeout_ns = (int64_t)(5 * NS_PER_S),
                              .max_concurrency = 4,
                              .max_output_tokens = 512,
                              .input_per_mtok = 1,
                              .output_per_mtok = 5,
                              .has_price = true,
                              .max_retries = 2,
                              .breaker_ns = (int64_t)(100 * NS_PER_MS)};
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    judge_pool_free(&rig->pool);
    judge_server_stop(&rig->server);
    bool charged = account_used(rig->account, POOL_JUDGE) != 0;
    account_free(rig->account);
    redactor_free(rig->redactor);
    arena_fini(&rig->arena);
    sem_destroy(&rig->done);
    free(rig);
    return charged ? -1 : 0;
}

static void job_done(struct judge_job *job)
{
    struct rig *rig = job->arg;
    size_t index = atomic_fetch_add(&rig->count, 1);
    if (index < RESULTS_MAX) {
        rig->results[index] = job->result;
    }
    judge_job_free(rig->used, &job);
    sem_post(&rig->done);
}

static enum result ask(struct rig *rig, const char *response)
{
    const struct interaction interaction = {.question = BYTES_LITERAL("When do I get my refund?"),
                                            .response = bytes_from_text(response),
                                            .contexts = {BYTES_LITERAL("Refunds take 30 days.")},
                                            .context_count = 1,
                                            .has_content = true};
    struct judge_job *job = NULL;
    assert_int_equal(judge_job_new(rig->pool, 0, rig->rubric, &interaction, rig->redactor, &job),
                     RESULT_OK);
    job->done = job_done;
    job->arg = rig;
    enum result result = judge_pool_submit(rig->pool, &job);
    assert_true((result == RESULT_OK) == (job == NULL));
    judge_job_free(rig->pool, &job);
    return result;
}

// Waits until one more result is there and returns it (results of one judge come in any order).
static const struct judge_result *next(struct rig *rig)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    assert_int_equal(sem_timedwait(&rig->done, &until), 0);
    return &rig->results[rig->waited++];
}

static void use(struct rig *rig, int api, const char *model)
{
    rig->config.api = api;
    rig->config.model = bytes_from_text(model);
    rig->config.endpoint = bytes_from_text(api == OPENAI ? judge_server_openai_url(rig->server)
                                                         : judge_server_anthropic_url(rig->server));
    rig_open(rig);
}

static void check_error(struct rig *rig, int api, const char *model, const char *says,
                        unsigned attempts)
{
    use(rig, api, model);
    assert_int_equal(ask(rig, "You get it in 30 days."), RESULT_OK);
    const struct judge_result *result = next(rig);
    assert_int_equal(result->score.outcome, OUTCOME_ERROR);
    assert_true(result->score.value == 0);
    if (strstr(result->score.explanation, says) == NULL) {
        fail_msg("%s: %s", model, result->score.explanation);
    }
    assert_int_equal(result->attempts, attempts);
    judge_pool_free(&rig->pool);
}

static void both_check_error(struct rig *rig, const char *model, const char *says,
                             unsigned attempts)
{
    check_error(rig, OPENAI, model, says, attempts);
    check_error(rig, ANTHROPIC, model, says, attempts);
    assert_int_equal(judge_server_refused(rig->server), 0);
}

// --- answers ---

static void check_scores(struct rig *rig, int api)
{
    use(rig, api, "ok");
    assert_int_equal(ask(rig, "You get it in 30 days."), RESULT_OK);
    const struct judge_result *good = next(rig);
    assert_int_equal(good->score.outcome, OUTCOME_SCORE);
    assert_true(good->score.value == 1);
    assert_int_equal(good->attempts, 1);
    assert_true(good->input_tokens > 100 && good->output_tokens > 5);
    assert_true(good->cost_usd > 0 && good->cost_usd < 0.01);
    assert_int_equal(ask(rig, "You get a refund in 90 days."), RESULT_OK);
    const struct judge_result *bad = next(rig);
    assert_true(bad->score.value == 0.1);
    assert_string_equal(bad->score.explanation, "Nothing supports 90 days, see [EMAIL].");
    assert_string_equal(bad->score.evidence, "You get a refund in 90 days.");
    assert_int_equal(judge_server_refused(rig->server), 0);
    judge_pool_free(&rig->pool);
}

static void both_apis_give_scores(void **state)
{
    check_scores(*state, OPENAI);
    check_scores(*state, ANTHROPIC);
}

static void connections_are_kept_between_calls(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "ok");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(rig, "Fine."), RESULT_OK);
        assert_int_equal(next(rig)->score.outcome, OUTCOME_SCORE);
    }
    assert_int_equal(judge_server_connections(rig->server), 1);
}

// --- misbehaviour ---

static void a_failing_judge_is_an_error_after_its_retries(void **state)
{
    both_check_error(*state, "fail500", "judge answered 500: The server had an error", 3);
}

static void a_reset_connection_is_an_error_after_its_retries(void **state)
{
    both_check_error(*state, "reset", "unreachable", 3);
}

static void garbage_is_an_error(void **state)
{
    both_check_error(*state, "garbage", "not JSON", 1);
}

static void an_answer_against_the_schema_is_an_error(void **state)
{
    both_check_error(*state, "wrong-schema", "exactly the members", 1);
}

static void a_refusal_is_an_error(void **state)
{
    both_check_error(*state, "refusal", "refused", 1);
}

static void a_cut_answer_is_an_error(void **state)
{
    both_check_error(*state, "cut", "cut at max_output_tokens", 1);
}

static void an_oversize_reply_is_an_error(void **state)
{
    both_check_error(*state, "oversize", "unreachable", 1);
}

static void an_unknown_model_is_an_error_without_retries(void **state)
{
    struct rig *rig = *state;
    check_error(rig, OPENAI, "no-such-model", "judge answered 404: The model does not exist", 1);
    check_error(rig, ANTHROPIC, "no-such-model", "judge answered 404", 1);
}

static void a_wrong_key_is_an_error_without_retries(void **state)
{
    struct rig *rig = *state;
    rig->config.api_key = BYTES_LITERAL("key-2");
    check_error(rig, OPENAI, "ok", "judge answered 401", 1);
    check_error(rig, ANTHROPIC, "ok", "judge answered 401: invalid x-api-key", 1);
    rig->config.api_key = BYTES_NONE;
    check_error(rig, ANTHROPIC, "ok", "judge answered 401", 1);
}

static void a_score_out_of_range_is_an_error(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "ok");
    assert_int_equal(ask(rig, "out of range"), RESULT_OK);
    const struct judge_result *result = next(rig);
    assert_int_equal(result->score.outcome, OUTCOME_ERROR);
    assert_true(result->cost_usd > 0);  // it was paid for
}

static void nobody_listening_is_an_error(void **state)
{
    struct rig *rig = *state;
    rig->config.endpoint = BYTES_LITERAL("http://127.0.0.1:1/v1");
    rig_open(rig);
    assert_int_equal(ask(rig, "x"), RESULT_OK);
    const struct judge_result *result = next(rig);
    assert_int_equal(result->score.outcome, OUTCOME_ERROR);
    assert_non_null(strstr(result->score.explanation, "unreachable"));
}

// --- retries and deadlines ---

static void a_flaky_judge_is_asked_again(void **state)
{
    struct rig *rig = *state;
    use(rig, ANTHROPIC, "flaky");
    assert_int_equal(ask(rig, "x"), RESULT_OK);
    const struct judge_result *result = next(rig);
    assert_int_equal(result->score.outcome, OUTCOME_SCORE);
    assert_int_equal(result->attempts, 2);
}

static void retry_after_is_waited_for(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "limit-once");
    assert_int_equal(ask(rig, "x"), RESULT_OK);
    const struct judge_result *result = next(rig);
    assert_int_equal(result->score.outcome, OUTCOME_SCORE);
    assert_int_equal(result->attempts, 2);
    assert_true(result->elapsed_ns >= NS_PER_S);
}

static void retry_after_beyond_the_deadline_is_an_error_at_once(void **state)
{
    struct rig *rig = *state;
    rig->config.timeout_ns = (int64_t)(900 * NS_PER_MS);
    check_error(rig, OPENAI, "limit", "judge answered 429: Rate limit", 1);
    assert_int_equal(judge_server_requests(rig->server), 1);
}

static void a_slow_judge_runs_into_the_deadline(void **state)
{
    struct rig *rig = *state;
    rig->config.timeout_ns = (int64_t)(100 * NS_PER_MS);
    check_error(rig, OPENAI, "slow", "unreachable", 1);
}

static void a_slow_judge_within_the_deadline_is_waited_for(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "slow");
    assert_int_equal(ask(rig, "x"), RESULT_OK);
    assert_int_equal(next(rig)->score.outcome, OUTCOME_SCORE);
}

static void what_waits_past_its_deadline_is_an_error(void **state)
{
    struct rig *rig = *state;
    rig->config.max_concurrency = 1;
    rig->config.timeout_ns = (int64_t)(300 * NS_PER_MS);  // one slow call takes longer
    use(rig, OPENAI, "slow");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
    }
    assert_int_equal(judge_pool_in_flight(rig->pool), 0);
}

// --- bounds ---

static void concurrency_is_bounded(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "slow");
    for (int i = 0; i < 12; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
    }
    for (int i = 0; i < 12; i++) {
        assert_int_equal(next(rig)->score.outcome, OUTCOME_SCORE);
    }
    assert_int_equal(judge_server_in_flight_max(rig->server), 4);
}

static void a_full_queue_sheds(void **state)
{
    struct rig *rig = *state;
    rig->config.max_concurrency = 1;
    use(rig, OPENAI, "slow");
    size_t taken = 0;
    enum result result = RESULT_OK;
    while (taken < RESULTS_MAX && (result = ask(rig, "x")) == RESULT_OK) {
        taken++;
    }
    assert_int_equal(result, RESULT_SHED);
    assert_true(taken >= 256 && taken < 260);  // one or two may have been answered meanwhile
    judge_pool_free(&rig->pool);
    for (size_t i = 0; i < taken; i++) {
        (void)next(rig);
    }
}

static void memory_that_is_used_up_sheds(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "ok");
    size_t share = account_share(rig->account, POOL_JUDGE);
    assert_true(account_charge(rig->account, POOL_JUDGE, share));
    const struct interaction interaction = {.response = BYTES_LITERAL("x")};
    struct judge_job *job = NULL;
    assert_int_equal(judge_job_new(rig->pool, 0, rig->rubric, &interaction, rig->redactor, &job),
                     RESULT_SHED);
    assert_null(job);
    account_release(rig->account, POOL_JUDGE, share);
}

// --- the breaker ---

static void the_breaker_opens_and_closes(void **state)
{
    struct rig *rig = *state;
    rig->config.max_retries = 0;
    rig->config.breaker_ns = (int64_t)(300 * NS_PER_MS);
    use(rig, OPENAI, "ok");
    judge_server_force(rig->server, JUDGE_MODE_FAIL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
        assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
    }
    uint64_t asked = judge_server_requests(rig->server);
    assert_int_equal(asked, 5);
    assert_int_equal(ask(rig, "x"), RESULT_RETRY);
    judge_server_force(rig->server, -1);
    uint64_t until_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
    while (ask(rig, "x") != RESULT_OK) {
        assert_true(clock_mono_ns() < until_ns);
        nanosleep(&(struct timespec){.tv_nsec = 10 * (long)NS_PER_MS}, NULL);
    }
    assert_int_equal(next(rig)->score.outcome, OUTCOME_SCORE);  // the probe
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next(rig)->score.outcome, OUTCOME_SCORE);
    }
}

static void a_failed_probe_leaves_the_breaker_open(void **state)
{
    struct rig *rig = *state;
    rig->config.max_retries = 0;
    use(rig, OPENAI, "fail500");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
        (void)next(rig);
    }
    uint64_t until_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
    while (ask(rig, "x") != RESULT_OK) {
        assert_true(clock_mono_ns() < until_ns);
        nanosleep(&(struct timespec){.tv_nsec = 5 * (long)NS_PER_MS}, NULL);
    }
    assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
    assert_int_equal(ask(rig, "x"), RESULT_RETRY);
    assert_int_equal(judge_server_requests(rig->server), 6);
}

static void refused_requests_do_not_open_the_breaker(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "no-such-model");
    for (int i = 0; i < 8; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
        assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
    }
}

// --- the end ---

static void freeing_the_pool_ends_what_is_in_flight_or_waits(void **state)
{
    struct rig *rig = *state;
    rig->config.max_concurrency = 2;
    use(rig, OPENAI, "slow");
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
    }
    judge_pool_free(&rig->pool);
    assert_null(rig->pool);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
    }
}

static void freeing_the_pool_ends_what_is_to_be_retried(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "limit");  // a second until the next attempt
    assert_int_equal(ask(rig, "x"), RESULT_OK);
    uint64_t until_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
    while (judge_server_requests(rig->server) == 0) {
        assert_true(clock_mono_ns() < until_ns);
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    }
    nanosleep(&(struct timespec){.tv_nsec = 50 * (long)NS_PER_MS}, NULL);  // for the reply
    judge_pool_free(&rig->pool);
    assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
}

static void a_pool_that_never_started_can_be_freed(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(
        judge_pool_new(&rig->config, 1, rig->account, &rig->pool, rig->why, sizeof rig->why),
        RESULT_OK);
    rig->used = rig->pool;
    assert_int_equal(ask(rig, "x"), RESULT_OK);
    judge_pool_free(&rig->pool);
    assert_int_equal(next(rig)->score.outcome, OUTCOME_ERROR);
}

// --- estimates, the doctor ---

static void the_estimate_follows_prompt_price_and_answers(void **state)
{
    struct rig *rig = *state;
    use(rig, OPENAI, "ok");
    double before = judge_estimate_usd(rig->pool, 0, 4000);
    assert_true(before > 0.001 && before < 0.003);
    assert_true(judge_estimate_usd(rig->pool, 0, 40000) > before);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ask(rig, "x"), RESULT_OK);
        (void)next(rig);
    }
    assert_true(judge_estimate_usd(rig->pool, 0, 4000) < before);  // its answers are short
}

static void the_probe_says_score_and_cost_or_why_not(void **state)
{
    struct rig *rig = *state;
    struct judge_result result;
    assert_int_equal(judge_probe(&rig->config, &result, rig->why, sizeof rig->why), RESULT_OK);
    assert_true(result.score.value == 1 && result.cost_usd > 0);
    rig->config.api_key = BYTES_LITERAL("key-2");
    assert_int_equal(judge_probe(&rig->config, &result, rig->why, sizeof rig->why), RESULT_RETRY);
    assert_non_null(strstr(rig->why, "401"));
    assert_null(strstr(rig->why, "key-2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(both_apis_give_scores),
        TEST(connections_are_kept_between_calls),
        TEST(a_failing_judge_is_an_error_after_its_retries),
        TEST(a_reset_connection_is_an_error_after_its_retries),
        TEST(garbage_is_an_error),
        TEST(an_answer_against_the_schema_is_an_error),
        TEST(a_refusal_is_an_error),
        TEST(a_cut_answer_is_an_error),
        TEST(an_oversize_reply_is_an_error),
        TEST(an_unknown_model_is_an_error_without_retries),
        TEST(a_wrong_key_is_an_error_without_retries),
        TEST(a_score_out_of_range_is_an_error),
        TEST(nobody_listening_is_an_error),
        TEST(a_flaky_judge_is_asked_again),
        TEST(retry_after_is_waited_for),
        TEST(retry_after_beyond_the_deadline_is_an_error_at_once),
        TEST(a_slow_judge_runs_into_the_deadline),
        TEST(a_slow_judge_within_the_deadline_is_waited_for),
        TEST(what_waits_past_its_deadline_is_an_error),
        TEST(concurrency_is_bounded),
        TEST(a_full_queue_sheds),
        TEST(memory_that_is_used_up_sheds),
        TEST(the_breaker_opens_and_closes),
        TEST(a_failed_probe_leaves_the_breaker_open),
        TEST(refused_requests_do_not_open_the_breaker),
        TEST(freeing_the_pool_ends_what_is_in_flight_or_waits),
        TEST(freeing_the_pool_ends_what_is_to_be_retried),
        TEST(a_pool_that_never_started_can_be_freed),
        TEST(the_estimate_follows_prompt_price_and_answers),
        TEST(the_probe_says_score_and_cost_or_why_not),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
