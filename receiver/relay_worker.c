// SPDX-License-Identifier: Apache-2.0
//
// The worker's half of the relay: one thread with one HTTP client, whose kept connections belong to
// nobody else. What the client reads is gathered for a turn and handed to the door as one portion;
// while the door has it the client is paused, so that a slow reader slows the backend and no memory
// grows. A score is read when the backend has said that it took it: what it refused, nobody said.
// Refused: a thread for each exchange. Bounds: RELAY_IN_FLIGHT_MAX exchanges; RELAY_FIELDS_MAX
// fields of an answer, beyond which it is none; the target's timeout until the head, total_ns for
// the whole. Thread: "sj-relay".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "receiver/relay_job.h"
#include "receiver/relay_rule.h"

#define RELAY_MAGIC MAGIC('R', 'E', 'L', 'Y')
#define TOTAL_DEFAULT_NS (300 * NS_PER_S)
#define LOG_QUIET_NS (60 * NS_PER_S)

static const struct metric_family outcome_family = {
    .name = "sidejudge_relay_requests_total",
    .type = METRIC_COUNTER,
    .help = "Requests below /api/public/ that were to be passed on, by what became of them",
    .labels = {"receiver", "outcome"}};

static const struct metric_family score_family = {
    .name = "sidejudge_relay_scores_total",
    .type = METRIC_COUNTER,
    .help = "Scores of traces that the agent posted and the backend took, by what they say",
    .labels = {"receiver", "value"}};

static const struct metric_family unread_family = {
    .name = "sidejudge_relay_unread_requests_total",
    .type = METRIC_COUNTER,
    .help = "Requests that may hold scores, were passed on, and in which none of a trace was found",
    .labels = {"receiver"}};

static struct relay_job *job_of(void *arg)
{
    struct relay_job *job = arg;
    CHECK(job->magic == RELAY_JOB_MAGIC);
    return job;
}

static struct relay *relay_of(const struct relay_job *job)
{
    struct relay *relay = job->door->relay;
    CHECK(relay->magic == RELAY_MAGIC);
    return relay;
}

// --- what the client reads ---

static void head_begins(void *arg)
{
    struct relay_job *job = job_of(arg);
    if (!job->head_is_over) {
        job->answer.field_count = 0;
        job->has_length = job->is_odd = false;
        buffer_reset(&job->answer.head);
    }
}

static void field_comes(void *arg, struct bytes name, struct bytes value)
{
    struct relay_job *job = job_of(arg);
    struct relay_answer *answer = &job->answer;
    if (job->head_is_over) {
        return;  // a trailer: of this connection's framing
    }
    if (answer->field_count == RELAY_FIELDS_MAX) {
        job->is_odd = true;
        return;
    }
    struct relay_field *field = &answer->fields[answer->field_count++];
    *field = (struct relay_field){.name_at = answer->head.len, .value_len = value.len};
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        buffer_append_byte(&answer->head, byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    buffer_append_byte(&answer->head, '\0');
    field->value_at = answer->head.len;
    buffer_append_bytes(&answer->head, value);
}

static struct bytes name_of(const struct relay_answer *answer, const struct relay_field *field)
{
    return bytes_from(answer->head.ptr + field->name_at, field->value_at - 1 - field->name_at);
}

static struct bytes value_of(const struct relay_answer *answer, const struct relay_field *field)
{
    return bytes_from(answer->head.ptr + field->value_at, field->value_len);
}

static bool is_named_by_connection(const struct relay_answer *answer, struct bytes name)
{
    for (size_t i = 0; i < answer->field_count; i++) {
        const struct relay_field *field = &answer->fields[i];
        if (bytes_equal_text(name_of(answer, field), "connection") &&
            relay_list_names(value_of(answer, field), name)) {
            return true;
        }
    }
    return false;
}

// RFC 9112 6.3: a transfer coding says where the body ends, whatever length stands beside it; two
// lengths that differ say nothing.
static void length_read(struct relay_job *job, bool is_coded)
{
    struct relay_answer *answer = &job->answer;
    answer->length = UINT64_MAX;
    for (size_t i = 0; !is_coded && i < answer->field_count; i++) {
        uint64_t length;
        if (!bytes_equal_text(name_of(answer, &answer->fields[i]), "content-length")) {
            continue;
        }
        bool is_number = bytes_to_u64(value_of(answer, &answer->fields[i]), &length);
        job->is_odd |= !is_number || (job->has_length && length != answer->length);
        job->has_length = true;
        answer->length = is_number ? length : UINT64_MAX;
    }
}

static void heard(void *arg, const struct feedback *feedback)
{
    struct relay *relay = relay_of(job_of(arg));
    struct sink *sink = relay->config.sink;
    metric_add(relay->scores[feedback->is_bad], 1);
    if (sink && sink->feedback && feedback->is_bad) {
        sink->feedback(sink, feedback);
    }
}

static void head_ends(void *arg, int status)
{
    struct relay_job *job = job_of(arg);
    struct relay_answer *answer = &job->answer;
    bool is_coded = false;
    job->is_odd |= buffer_status(&answer->head) != RESULT_OK || status > 599;
    job->head_is_over = true;
    loop_cancel_timer(relay_of(job)->loop, &job->patience);
    if (job->is_odd) {
        return;
    }
    for (size_t i = 0; i < answer->field_count; i++) {
        struct relay_field *field = &answer->fields[i];
        struct bytes name = name_of(answer, field);
        is_coded |= bytes_equal_text(name, "transfer-encoding");
        field->is_left_out =
            relay_field_is_of_hop(name) || bytes_equal_text(name, "content-length") ||
            !relay_name_is_sound(name) || !relay_value_is_sound(value_of(answer, field)) ||
            is_named_by_connection(answer, name);
    }
    length_read(job, is_coded);
    answer->status = status;
    answer->has_head = !job->is_odd;
    if (answer->has_head && status < 300 && job->posted != POSTED_NONE &&
        posted_scores_read(job->posted, job->body, heard, job) == 0) {
        metric_add(relay_of(job)->unread, 1);
    }
}

static bool data_comes(void *arg, struct bytes part)
{
    struct relay_job *job = job_of(arg);
    if (job->is_odd) {
        return true;  // broken off in this turn
    }
    if (job->is_away || part.len > RELAY_PORTION_BYTES - job->answer.portion.len) {
        return false;
    }
    buffer_append_bytes(&job->answer.portion, part);
    job->is_odd = buffer_status(&job->answer.portion) != RESULT_OK;
    return true;
}

static const struct http_reader reader = {
    .begin = head_begins, .field = field_comes, .head = head_ends, .data = data_comes};

// --- an exchange's life ---

static void is_over(struct relay_job *job, enum relay_outcome failed)
{
    job->call = NULL;
    job->is_over = true;
    job->failed = failed;
    loop_cancel_timer(relay_of(job)->loop, &job->patience);
}

static void on_done(void *arg, const struct http_response *response)
{
    struct relay_job *job = job_of(arg);
    struct relay *relay = relay_of(job);
    job->is_sound = response->result == RESULT_OK && job->head_is_over && !job->is_odd;
    is_over(job, job->is_sound ? RELAY_PASSED : RELAY_FAILED);
    if (!job->is_sound && response->result != RESULT_STOP &&
        log_episode_opens(&relay->failing, clock_mono_ns(), LOG_QUIET_NS)) {
        log_line(LOG_WARN, "receiver/relay", "a request cannot be passed on",
                 LOG_TEXT("receiver", relay->config.receiver_id),
                 LOG_TEXT("error", response->error ? response->error : "its answer has no head"));
    }
}

static void out_of_patience(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer, (void)now_ns;
    struct relay_job *job = job_of(arg);
    http_client_cancel(relay_of(job)->client, job->call);
    is_over(job, RELAY_LATE);
}

static void exchange_begin(struct relay *relay, struct relay_job *job)
{
    struct http_header headers[REQUEST_HEADERS_MAX + 2];
    const char *text = (const char *)job->text.ptr;
    for (size_t i = 0; i < job->header_count; i++) {
        headers[i] =
            (struct http_header){text + job->text_at[2 * i], text + job->text_at[2 * i + 1]};
    }
    job->worker_next = relay->jobs;
    job->worker_prev = &relay->jobs;
    if (job->worker_next) {
        job->worker_next->worker_prev = &job->worker_next;
    }
    relay->jobs = job;
    struct http_request request = {.method = job->method,
                                   .url = text,
                                   .headers = headers,
                                   .header_count = job->header_count,
                                   .body = job->body,
                                   .timeout_ns = relay->config.total_ns,
                                   .reader = &reader,
                                   .is_passed_on = true};
    timer_init(&job->patience, out_of_patience, job);
    job->call = http_client_send(relay->client, &request, on_done, job);
    loop_set_timer(relay->loop, &job->patience, clock_mono_ns() + relay->config.target->timeout_ns);
}

// The door has room for more.
static void exchange_resume(struct relay *relay, struct relay_job *job)
{
    job->is_away = false;
    job->answer.has_head = false;  // it has been told
    job->answer.portion_taken = 0;
    buffer_reset(&job->answer.portion);
    if (job->call) {
        http_client_resume(relay->client, job->call);
    }
}

static void hand_over(struct relay_job *job)
{
    struct relay_answer *answer = &job->answer;
    answer->is_end = job->is_over;
    answer->is_whole = job->is_over && job->is_sound;
    answer->failure = job->failed;
    job->is_away = true;
    if (job->is_over) {
        *job->worker_prev = job->worker_next;
        if (job->worker_next) {
            job->worker_next->worker_prev = job->worker_prev;
        }
    }
    mailbox_post(&job->door->done, &job->node);
}

static void exchange_look(struct relay *relay, struct relay_job *job)
{
    bool is_cancelled = atomic_load(&job->is_cancelled);
    if (job->call && (is_cancelled || job->is_odd)) {
        http_client_cancel(relay->client, job->call);
        is_over(job, is_cancelled ? RELAY_GONE : RELAY_FAILED);
    }
    bool has_news = job->is_over || job->answer.has_head || job->answer.portion.len > 0;
    if (!job->is_away && has_news) {
        hand_over(job);
    }
}

static bool on_turn(void *arg, uint64_t now_ns)
{
    (void)now_ns;
    struct relay *relay = arg;
    CHECK(relay->magic == RELAY_MAGIC);
    struct relay_job *job;
    while ((job = (struct relay_job *)(void *)mailbox_take(&relay->inbox)) != NULL) {
        if (job->worker_prev) {
            exchange_resume(relay, job_of(job));
        } else {
            exchange_begin(relay, job_of(job));
        }
    }
    for (struct relay_job *next = relay->jobs; (job = next) != NULL;) {
        next = job->worker_next;
        exchange_look(relay, job);
    }
    return !mailbox_doze(&relay->inbox);
}

static void run(void *arg)
{
    loop_run(((struct relay *)arg)->loop);
}

// --- the relay's life ---

// Scheme and authority of a URL.
static struct bytes origin_of(struct bytes url)
{
    size_t authority = bytes_find(url, BYTES_LITERAL("//"), 0);
    size_t slash =
        authority == SIZE_MAX ? SIZE_MAX : bytes_find(url, BYTES_LITERAL("/"), authority + 2);
    return bytes_slice(url, 0, slash);
}

static void metrics_init(struct relay *relay)
{
    static const char *const outcomes[RELAY_OUTCOME_COUNT] = {
        [RELAY_PASSED] = "passed",   [RELAY_REFUSED] = "refused", [RELAY_BUSY] = "busy",
        [RELAY_LOOP] = "loop",       [RELAY_FAILED] = "failed",   [RELAY_LATE] = "late",
        [RELAY_GONE] = "client_gone"};
    const char *id = relay->config.receiver_id;
    for (int i = 0; i < RELAY_OUTCOME_COUNT; i++) {
        relay->outcomes[i] = metric_series(&outcome_family, (const char *const[]){id, outcomes[i]});
    }
    relay->scores[0] = metric_series(&score_family, (const char *const[]){id, "good"});
    relay->scores[1] = metric_series(&score_family, (const char *const[]){id, "bad"});
    relay->unread = metric_series(&unread_family, (const char *const[]){id});
}

static enum result open_client(struct relay *relay, char *why, size_t why_len)
{
    const struct relay_target *target = relay->config.target;
    const struct http_client_config config = {.connections_max = RELAY_IN_FLIGHT_MAX,
                                              .tls = target->tls,
                                              .proxy_url = target->proxy_url,
                                              .unix_socket = target->unix_socket};
    relay->loop = loop_new();
    if (!relay->loop) {
        snprintf(why, why_len, "no descriptors are left for the relay");
        return RESULT_FAIL;
    }
    return http_client_new(relay->loop, &config, &relay->client, why, why_len);
}

enum result relay_start(const struct relay_config *config, struct relay **relay, char *why,
                        size_t why_len)
{
    struct relay *made = aligned_alloc(64, (sizeof *made + 63) / 64 * 64);
    CHECK(made);
    memset(made, 0, sizeof *made);
    made->magic = RELAY_MAGIC;
    made->config = *config;
    made->config.total_ns = config->total_ns > 0 ? config->total_ns : TOTAL_DEFAULT_NS;
    buffer_init(&made->base, 1 << 16);
    buffer_append_bytes(&made->base, origin_of(config->target->base_url));
    metrics_init(made);
    *relay = made;
    enum result result = open_client(made, why, why_len);
    if (result == RESULT_OK) {
        mailbox_init(&made->inbox, RELAY_IN_FLIGHT_MAX, loop_wake, made->loop);
        made->hook = (struct loop_hook){.turn = on_turn, .arg = made};
        loop_add_hook(made->loop, &made->hook);
        log_line(LOG_INFO, "receiver/relay", "requests below /api/public/ are passed on",
                 LOG_TEXT("receiver", config->receiver_id),
                 LOG_BYTES("to", buffer_view(&made->base)));
        result = thread_start(&made->thread, "sj-relay", run, made);
        if (result != RESULT_OK) {
            snprintf(why, why_len, "cannot start the relay's thread");
        }
    }
    if (result != RESULT_OK) {
        relay_free(relay);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

void relay_stop(struct relay *relay)
{
    if (!relay) {
        return;
    }
    if (relay->thread.started) {
        loop_stop(relay->loop);
        thread_join(&relay->thread);
    }
    http_client_free(relay->client);  // every exchange is told, and cancels its timer
    relay->client = NULL;
}

void relay_free(struct relay **relay)
{
    struct relay *moved = *relay;
    *relay = NULL;
    if (!moved) {
        return;
    }
    relay_stop(moved);
    loop_free(moved->loop);
    buffer_fini(&moved->base);
    moved->magic = 0;
    free(moved);
}
