// SPDX-License-Identifier: Apache-2.0
//
// The judge pool: one thread with one loop and one HTTP client per judge; jobs come through a
// mailbox, wait in a first-in, first-out list per judge and are sent while the judge's concurrency
// and breaker allow it. A job has one deadline; retries, waits and Retry-After live inside it. The
// breaker opens after five failures in a row and lets one probe through when its time is over; what
// waits meanwhile runs into its deadline or is told at submission. Refused: a thread per call, and
// a queue that outlives the deadline. Bounds: 256 jobs, max_concurrency calls, 1 MiB replies. The
// pool's thread, but for submission (any thread).

#include "processor/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "processor/judge_api.h"
#include "processor/prompt.h"

#define POOL_MAGIC MAGIC('J', 'U', 'D', 'G')
#define JOBS_MAX 256
#define REPLY_BYTES_MAX ((size_t)1 << 20)
#define BREAKER_FAILURES 5
#define BREAKER_OPEN_NS (10 * NS_PER_S)
#define BREAKER_OPEN_MAX_NS (60 * NS_PER_S)
#define RETRY_FIRST_NS (250 * NS_PER_MS)
#define BYTES_PER_TOKEN 4.0
#define USAGE_FRAME_TOKENS 4096  // what an API adds to a prompt by itself
#define OUTPUT_TOKENS_EXPECTED 120.0

struct call {           // a job on its way
    struct call *next;  // of its judge's waiting list
    struct judge_seat *seat;
    struct judge_job *job;
    struct buffer body;
    struct timer retry;
    char secret[512];  // scratch of the API's headers
    struct http_header headers[JUDGE_HEADERS_MAX + 1];
    size_t header_count;
    uint64_t started_ns, deadline_ns;
    unsigned attempts;
};

struct judge_seat {  // one judge of the pool
    struct judge_pool *pool;
    struct judge_config config;
    const struct judge_api_ops *api;
    struct http_client *client;
    char url[1024];
    struct call *waiting, **waiting_end;
    struct call *retrying;  // their timers run
    int64_t in_flight;
    unsigned failures;  // in a row
    uint64_t open_for_ns;
    _Atomic uint64_t open_until_ns;           // 0: closed; read by submitters, like the next
    _Atomic bool probing;                     // half open: one call finds out
    _Atomic uint64_t output_tokens, answers;  // running mean for estimates
};

struct judge_pool {
    uint32_t magic;
    struct loop *loop;
    struct loop_hook hook;
    struct mailbox inbox;
    struct thread thread;
    struct account *account;
    struct redactor *redactor;  // of replies; the pool's thread
    struct judge_seat seats[JUDGES_MAX];
    size_t count;
    atomic_size_t jobs;  // submitted and not done
};

static void seat_pump(struct judge_seat *seat);

// --- ends of a call ---

static void job_finish(struct judge_pool *pool, struct judge_job *job)
{
    atomic_fetch_sub(&pool->jobs, 1);
    job->done(job);
}

static void call_finish(struct call *call)
{
    struct judge_seat *seat = call->seat;
    struct judge_job *job = call->job;
    loop_cancel_timer(seat->pool->loop, &call->retry);
    job->result.attempts = call->attempts;
    job->result.elapsed_ns = loop_now_ns(seat->pool->loop) - call->started_ns;
    buffer_fini(&call->body);
    free(call);
    job_finish(seat->pool, job);
}

static void call_error(struct call *call, const char *problem)
{
    struct score *score = &call->job->result.score;
    memset(score, 0, sizeof(*score));
    score->outcome = OUTCOME_ERROR;
    snprintf(score->explanation, sizeof(score->explanation), "%s", problem);
    call_finish(call);
}

static void breaker_note(struct judge_seat *seat, bool success)
{
    uint64_t now_ns = loop_now_ns(seat->pool->loop);
    uint64_t first_ns =
        seat->config.breaker_ns > 0 ? (uint64_t)seat->config.breaker_ns : BREAKER_OPEN_NS;
    atomic_store_explicit(&seat->probing, false, memory_order_relaxed);
    if (success) {
        seat->failures = 0;
        seat->open_for_ns = 0;
        atomic_store_explicit(&seat->open_until_ns, 0, memory_order_relaxed);
        return;
    }
    if (++seat->failures < BREAKER_FAILURES) {
        return;
    }
    seat->open_for_ns = seat->open_for_ns == 0 ? first_ns : seat->open_for_ns * 2;
    seat->open_for_ns =
        seat->open_for_ns > BREAKER_OPEN_MAX_NS ? BREAKER_OPEN_MAX_NS : seat->open_for_ns;
    atomic_store_explicit(&seat->open_until_ns, now_ns + seat->open_for_ns, memory_order_relaxed);
}

// --- replies ---

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

// One absurd count must not spend the budget of a year: a token is at least a byte of what was
// sent, and max_output_tokens was asked for.
static void usage_take(struct call *call, const struct judge_answer *answer)
{
    struct judge_seat *seat = call->seat;
    struct judge_result *result = &call->job->result;
    uint64_t input = at_most(answer->input_tokens, call->body.len + USAGE_FRAME_TOKENS);
    uint64_t output =
        at_most(answer->output_tokens, 4 * (uint64_t)seat->config.max_output_tokens);
    result->input_tokens += input;
    result->output_tokens += output;
    result->cost_usd += ((double)input * seat->config.input_per_mtok +
                         (double)output * seat->config.output_per_mtok) /
                        1e6;
    atomic_fetch_add_explicit(&seat->output_tokens, output, memory_order_relaxed);
    atomic_fetch_add_explicit(&seat->answers, 1, memory_order_relaxed);
}

static void reply_read(struct call *call, const struct http_response *response)
{
    struct judge_answer answer = {.text = BYTES_NONE};
    struct json_document *document = NULL;
    const char *why = NULL;
    if (json_parse(response->body, &document, &why) != RESULT_OK) {
        call_error(call, "the judge's reply is not JSON");
        return;
    }
    if (call->seat->api->read(json_root(document), &answer) != RESULT_OK) {
        json_free(&document);
        call_error(call, "the judge's reply is not of this API");
        return;
    }
    usage_take(call, &answer);
    judge_reply_score(&answer, call->seat->pool->redactor, &call->job->result.score);
    json_free(&document);
    call_finish(call);
}

static bool status_is_retryable(int status)
{
    return status == 408 || status == 409 || status == 429 || status >= 500;
}

static void retry_fire(struct timer *timer, void *arg, uint64_t now_ns);

// Waits for another attempt if the deadline and max_retries leave room; false if not.
static bool call_retry(struct call *call, const struct http_response *response)
{
    struct loop *loop = call->seat->pool->loop;
    uint64_t wait_ns = RETRY_FIRST_NS << (call->attempts - 1);
    if (response->has_retry_after && response->retry_after_ns > wait_ns) {
        wait_ns = response->retry_after_ns;
    }
    uint64_t at_ns = loop_now_ns(loop) + wait_ns;
    if (call->attempts > (unsigned)call->seat->config.max_retries ||
        at_ns + RETRY_FIRST_NS >= call->deadline_ns) {
        return false;
    }
    timer_init(&call->retry, retry_fire, call);
    loop_set_timer(loop, &call->retry, at_ns);
    call->next = call->seat->retrying;
    call->seat->retrying = call;
    return true;
}

// What went wrong, in words; both APIs say it as error.message.
static void call_problem(const struct call *call, const struct http_response *response,
                         char *problem, size_t problem_len)
{
    if (response->result != RESULT_OK) {
        snprintf(problem, problem_len, "judge unreachable: %s (attempts: %u)",
                 response->error != NULL ? response->error : "no reply", call->attempts);
        return;
    }
    struct json_document *document = NULL;
    struct buffer message;
    buffer_init(&message, 4096);
    if (response->body.len <= 4096 && json_parse(response->body, &document, NULL) == RESULT_OK) {
        const struct json_value *error = json_get(json_root(document), "error");
        (void)redact(call->seat->pool->redactor, json_get_text(error, "message"), &message);
        json_free(&document);
    }
    struct bytes cut = utf8_prefix(buffer_view(&message), 100);
    snprintf(problem, problem_len, "judge answered %d%s%.*s (attempts: %u)", response->status,
             cut.len > 0 ? ": " : "", BYTES_PRINTF(cut), call->attempts);
    buffer_fini(&message);
}

static void replied(void *arg, const struct http_response *response)
{
    struct call *call = arg;
    struct judge_seat *seat = call->seat;
    seat->in_flight--;
    bool transport = response->result != RESULT_OK;
    bool success = !transport && response->status >= 200 && response->status < 300;
    bool retryable =
        transport ? response->result == RESULT_RETRY : status_is_retryable(response->status);
    breaker_note(seat, success || (!transport && !retryable));
    if (success) {
        reply_read(call, response);
    } else if (!retryable || !call_retry(call, response)) {
        char problem[192];
        call_problem(call, response, problem, sizeof(problem));
        call_error(call, problem);
    }
    seat_pump(seat);
}

// --- sending ---

static void call_send(struct call *call)
{
    struct judge_seat *seat = call->seat;
    uint64_t now_ns = loop_now_ns(seat->pool->loop);
    CHECK(now_ns < call->deadline_ns);
    call->attempts++;
    seat->in_flight++;
    const struct http_request request = {.method = "POST",
                                         .url = seat->url,
                                         .headers = call->headers,
                                         .header_count = call->header_count,
                                         .body = buffer_view(&call->body),
                                         .timeout_ns = call->deadline_ns - now_ns};
    (void)http_client_send(seat->client, &request, replied, call);
}

// Admits the next call; the one that is to find out whether the judge is back, as such.
static bool breaker_admits(struct judge_seat *seat)
{
    uint64_t until_ns = atomic_load_explicit(&seat->open_until_ns, memory_order_relaxed);
    if (until_ns == 0) {
        return true;
    }
    if (seat->probing || loop_now_ns(seat->pool->loop) < until_ns) {
        return false;
    }
    atomic_store_explicit(&seat->probing, true, memory_order_relaxed);
    return true;
}

static struct call *waiting_shift(struct judge_seat *seat)
{
    struct call *call = seat->waiting;
    seat->waiting = call->next;
    if (seat->waiting == NULL) {
        seat->waiting_end = &seat->waiting;
    }
    return call;
}

// Sends what may be sent; while the breaker is open, what waits is told so instead of running into
// its deadline.
static void seat_pump(struct judge_seat *seat)
{
    while (seat->waiting != NULL && seat->in_flight < seat->config.max_concurrency) {
        if (loop_now_ns(seat->pool->loop) >= seat->waiting->deadline_ns) {
            call_error(waiting_shift(seat), "the judge's deadline passed while the call waited");
        } else if (breaker_admits(seat)) {
            call_send(waiting_shift(seat));
        } else if (seat->probing) {
            return;
        } else {
            call_error(waiting_shift(seat),
                       "the judge failed five times in a row; it is left alone for a while");
        }
    }
}

static void retry_fire(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
    struct call *call = arg;
    struct judge_seat *seat = call->seat;
    struct call **link = &seat->retrying;
    while (*link != call) {
        link = &(*link)->next;
    }
    *link = call->next;
    call->next = seat->waiting;  // it has waited longest
    if (seat->waiting == NULL) {
        seat->waiting_end = &call->next;
    }
    seat->waiting = call;
    seat_pump(seat);
}

static void call_begin(struct judge_pool *pool, struct judge_job *job)
{
    struct judge_seat *seat = &pool->seats[job->judge];
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        job->result.score.outcome = OUTCOME_ERROR;
        job_finish(pool, job);
        return;
    }
    call->seat = seat;
    call->job = job;
    call->started_ns = loop_now_ns(pool->loop);
    call->deadline_ns = call->started_ns + (uint64_t)seat->config.timeout_ns;
    buffer_init(&call->body, JSON_BYTES_MAX);
    buffer_append_bytes(&call->body, job->prompt_parts);
    call->header_count =
        seat->api->headers(&seat->config, call->secret, sizeof(call->secret), call->headers);
    call->headers[call->header_count++] = (struct http_header){"Content-Type", "application/json"};
    *seat->waiting_end = call;
    seat->waiting_end = &call->next;
}

static bool pool_turn(void *arg, uint64_t now_ns)
{
    (void)now_ns;
    struct judge_pool *pool = arg;
    struct mailbox_node *node;
    while ((node = mailbox_take(&pool->inbox)) != NULL) {
        call_begin(pool, (struct judge_job *)(void *)node);
        mailbox_release(&pool->inbox, 1);
    }
    for (size_t i = 0; i < pool->count; i++) {
        seat_pump(&pool->seats[i]);
    }
    return !mailbox_doze(&pool->inbox);
}

// --- life ---

static enum result seat_open(struct judge_pool *pool, struct judge_seat *seat,
                             const struct judge_config *config, char *why, size_t why_len)
{
    seat->pool = pool;
    seat->config = *config;
    seat->api = judge_apis[config->api];
    seat->waiting_end = &seat->waiting;
    struct bytes base = config->endpoint;
    while (base.len > 0 && base.ptr[base.len - 1] == '/') {
        base.len--;
    }
    snprintf(seat->url, sizeof(seat->url), "%.*s%s", BYTES_PRINTF(base), seat->api->path);
    const struct http_client_config client = {.user_agent = "sidejudge",
                                              .connections_max = config->max_concurrency,
                                              .response_bytes_max = REPLY_BYTES_MAX,
                                              .tls = &config->tls,
                                              .http2 = true};
    return http_client_new(pool->loop, &client, &seat->client, why, why_len);
}

enum result judge_pool_new(const struct judge_config *judges, size_t count, struct account *account,
                           struct judge_pool **out, char *why, size_t why_len)
{
    CHECK(count > 0 && count <= JUDGES_MAX);
    struct judge_pool *pool = aligned_alloc(_Alignof(struct judge_pool), sizeof(*pool));
    CHECK(pool != NULL);
    memset(pool, 0, sizeof(*pool));
    pool->magic = POOL_MAGIC;
    pool->account = account;
    pool->redactor = redactor_new();
    pool->loop = loop_new();
    if (pool->loop == NULL) {
        snprintf(why, why_len, "no descriptors left for the judges' loop");
        judge_pool_free(&pool);
        return RESULT_FAIL;
    }
    mailbox_init(&pool->inbox, JOBS_MAX, loop_wake, pool->loop);
    pool->hook = (struct loop_hook){.turn = pool_turn, .arg = pool};
    loop_add_hook(pool->loop, &pool->hook);
    for (size_t i = 0; i < count; i++) {
        if (seat_open(pool, &pool->seats[pool->count++], &judges[i], why, why_len) != RESULT_OK) {
            judge_pool_free(&pool);
            return RESULT_FAIL;
        }
    }
    *out = pool;
    return RESULT_OK;
}

static void pool_run(void *arg)
{
    struct judge_pool *pool = arg;
    loop_run(pool->loop);
}

enum result judge_pool_start(struct judge_pool *pool)
{
    return thread_start(&pool->thread, "judges", pool_run, pool);
}

void judge_pool_free(struct judge_pool **out)
{
    struct judge_pool *pool = *out;
    if (pool == NULL) {
        return;
    }
    CHECK(pool->magic == POOL_MAGIC);
    *out = NULL;
    if (pool->loop != NULL) {
        loop_stop(pool->loop);
        thread_join(&pool->thread);
        struct mailbox_node *node;
        while (pool->count > 0 && (node = mailbox_take(&pool->inbox)) != NULL) {
            call_begin(pool, (struct judge_job *)(void *)node);
        }
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct judge_seat *seat = &pool->seats[i];
        seat->config.max_concurrency = 0;  // nothing is sent any more
        seat->config.max_retries = 0;
        if (seat->client != NULL) {
            http_client_free(seat->client);  // ends what is in flight with RESULT_STOP
        }
        while (seat->retrying != NULL) {
            struct call *call = seat->retrying;
            seat->retrying = call->next;
            call_error(call, "the process is shutting down");
        }
        while (seat->waiting != NULL) {
            call_error(waiting_shift(seat), "the process is shutting down");
        }
    }
    if (pool->loop != NULL) {
        loop_free(pool->loop);
    }
    redactor_free(pool->redactor);
    free(pool);
}

// --- jobs ---

static void body_write(const struct judge_seat *seat, const struct rubric *rubric,
                       const struct interaction *interaction, struct redactor *redactor,
                       struct buffer *out)
{
    struct random random;
    struct buffer instructions, transcript;
    random_seed(&random, random_entropy());
    struct prompt_mark mark = prompt_mark_new(&random);
    buffer_init(&instructions, (size_t)64 << 10);
    buffer_init(&transcript, 2 * TRANSCRIPT_BYTES_MAX);
    prompt_write_instructions(rubric, &mark, &instructions);
    prompt_write_transcript(interaction, redactor, &mark, &transcript);
    seat->api->write(&seat->config, buffer_view(&instructions), buffer_view(&transcript), out);
    buffer_fini(&instructions);
    buffer_fini(&transcript);
}

enum result judge_pool_room(const struct judge_pool *pool, int judge)
{
    CHECK(judge >= 0 && (size_t)judge < pool->count);
    const struct judge_seat *seat = &pool->seats[judge];
    uint64_t until_ns = atomic_load_explicit(&seat->open_until_ns, memory_order_relaxed);
    if (until_ns != 0 && (clock_mono_ns() < until_ns ||
                          atomic_load_explicit(&seat->probing, memory_order_relaxed))) {
        return RESULT_RETRY;  // left alone, or somebody is finding out
    }
    return atomic_load_explicit(&pool->jobs, memory_order_relaxed) < JOBS_MAX ? RESULT_OK
                                                                              : RESULT_SHED;
}

enum result judge_job_new(struct judge_pool *pool, int judge, const struct rubric *rubric,
                          const struct interaction *interaction, struct redactor *redactor,
                          struct judge_job **out)
{
    CHECK(judge >= 0 && (size_t)judge < pool->count);
    struct judge_job *job = calloc(1, sizeof(*job));
    struct buffer body;
    if (job == NULL) {
        return RESULT_SHED;
    }
    buffer_init(&body, JSON_BYTES_MAX);
    body_write(&pool->seats[judge], rubric, interaction, redactor, &body);
    if (buffer_status(&body) != RESULT_OK ||
        (pool->account != NULL && !account_charge(pool->account, POOL_JUDGE, 2 * body.capacity))) {
        buffer_fini(&body);
        free(job);
        return RESULT_SHED;
    }
    job->charge_bytes = 2 * body.capacity;  // the call keeps a copy while it is in flight
    job->judge = judge;
    job->rubric = rubric;
    job->memory = body.ptr;
    job->prompt_parts = bytes_from(body.ptr, body.len);
    *out = job;
    return RESULT_OK;
}

void judge_job_free(struct judge_pool *pool, struct judge_job **job)
{
    if (*job != NULL) {
        if (pool->account != NULL) {
            account_release(pool->account, POOL_JUDGE, (*job)->charge_bytes);
        }
        free((*job)->memory);
        free(*job);
        *job = NULL;
    }
}

double judge_estimate_usd(const struct judge_pool *pool, int judge, size_t prompt_bytes)
{
    CHECK(judge >= 0 && (size_t)judge < pool->count);
    const struct judge_seat *seat = &pool->seats[judge];
    double answers = (double)atomic_load_explicit(&seat->answers, memory_order_relaxed);
    double output = OUTPUT_TOKENS_EXPECTED;
    if (answers >= 5) {
        output = (double)atomic_load_explicit(&seat->output_tokens, memory_order_relaxed) / answers;
    }
    output = output > (double)seat->config.max_output_tokens
                 ? (double)seat->config.max_output_tokens
                 : output;
    return ((double)prompt_bytes / BYTES_PER_TOKEN * seat->config.input_per_mtok +
            output * seat->config.output_per_mtok) /
           1e6;
}

enum result judge_pool_submit(struct judge_pool *pool, struct judge_job **job)
{
    CHECK((*job)->done != NULL);
    enum result room = judge_pool_room(pool, (*job)->judge);
    if (room != RESULT_OK) {
        return room;
    }
    if (atomic_fetch_add(&pool->jobs, 1) >= JOBS_MAX || !mailbox_reserve(&pool->inbox, 1)) {
        atomic_fetch_sub(&pool->jobs, 1);
        return RESULT_SHED;
    }
    struct judge_job *moved = *job;
    *job = NULL;
    mailbox_post(&pool->inbox, &moved->node);
    return RESULT_OK;
}

size_t judge_pool_in_flight(const struct judge_pool *pool)
{
    return atomic_load_explicit(&pool->jobs, memory_order_relaxed);
}

// --- doctor ---

struct probe {
    struct judge_pool *pool;
    struct judge_result result;
    bool done;
};

static void probe_done(struct judge_job *job)
{
    struct probe *probe = job->arg;
    probe->result = job->result;
    probe->done = true;
    loop_stop(probe->pool->loop);
}

enum result judge_probe(const struct judge_config *config, struct judge_result *result, char *why,
                        size_t why_len)
{
    struct interaction interaction = {.question = BYTES_LITERAL("What is the capital of France?"),
                                      .response = BYTES_LITERAL("The capital of France is Paris."),
                                      .has_content = true};
    struct probe probe = {.done = false};
    struct arena arena;
    const struct rubric *rubric = NULL;
    struct judge_job *job = NULL;
    if (judge_pool_new(config, 1, NULL, &probe.pool, why, why_len) != RESULT_OK) {
        return RESULT_FAIL;
    }
    arena_init(&arena, 4096);
    enum result ready =
        rubric_load(BYTES_LITERAL("answer_relevance"), &arena, &rubric, why, why_len);
    CHECK(ready == RESULT_OK);
    if (judge_job_new(probe.pool, 0, rubric, &interaction, probe.pool->redactor, &job) ==
        RESULT_OK) {
        struct judge_job *kept = job;
        job->done = probe_done;
        job->arg = &probe;
        if (judge_pool_submit(probe.pool, &job) == RESULT_OK) {
            loop_run(probe.pool->loop);
            job = kept;
        }
        judge_job_free(probe.pool, &job);
    }
    judge_pool_free(&probe.pool);
    arena_fini(&arena);
    *result = probe.result;
    if (!probe.done || probe.result.score.outcome != OUTCOME_SCORE) {
        snprintf(why, why_len, "%.200s",
                 probe.done ? probe.result.score.explanation : "the judge could not be asked");
        return RESULT_RETRY;
    }
    return RESULT_OK;
}
