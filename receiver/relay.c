// SPDX-License-Identifier: Apache-2.0
//
// The door's half of the relay: what a request must be, what of it goes on, and how the answer
// comes back into its connection. A job is handed to the worker and back by mailbox and says with
// each return what has come of the answer; the next portion is asked for when this one has found
// room in the connection's output, which is the whole of the back-pressure. The request itself
// never leaves its thread; its body is lent to the worker until the job's end. Refused: passing the
// I/O thread's connections to a client of its own (a backend that is slow to look up or to shake
// hands would be felt by telemetry), and rings of portions (one on its way each keeps 16 exchanges
// busy). Bounds: RELAY_IN_FLIGHT_MAX jobs, each with a head of 64 KiB both ways, the route's
// body_max, and RELAY_PORTION_BYTES of the answer. The I/O thread.
#include "receiver/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/process.h"
#include "receiver/policy.h"
#include "receiver/relay_job.h"
#include "receiver/relay_rule.h"

#define TEXT_BYTES_MAX ((size_t)160 << 10)
#define RETRY_AFTER_S 1
#define HOP_FIELD "sidejudge-hop"
#define OWN_TRACES "/api/public/otel/v1/traces"
#define METHODS "GET, POST, PUT, PATCH, DELETE, HEAD"
#define TURN_MAX 64
#define DOOR_MAGIC MAGIC('R', 'L', 'Y', 'D')

struct relay_call {  // in a request's scratch memory
    struct relay_job *job;
};

static struct relay_door *door_of(const struct request *request)
{
    return request->route->arg;
}

static void count(const struct request *request, enum relay_outcome outcome)
{
    metric_add(door_of(request)->relay->outcomes[outcome], 1);
}

static void refuse(struct request *request, int status, const char *sentence)
{
    count(request, RELAY_REFUSED);
    request_reply(request, &(struct response){.status = status,
                                              .content_type = "text/plain; charset=utf-8",
                                              .body = bytes_from_text(sentence),
                                              .allow = status == 405 ? METHODS : NULL});
}

static void refuse_body(struct request *request, enum result result, const char *sentence)
{
    refuse(request, result_http_status(result), sentence);
}

static bool has_come_round(const struct request *request)
{
    const struct relay_door *door = door_of(request);
    for (unsigned i = 0; i < request->header_count; i++) {
        const struct request_header *header = &request->headers[i];
        struct bytes name = bytes_from(request->text.ptr + header->name_at, header->name_len);
        struct bytes value = bytes_from(request->text.ptr + header->value_at, header->value_len);
        if (bytes_equal_text(name, HOP_FIELD) &&
            relay_list_names(value, bytes_from_text(door->hop_id))) {
            return true;
        }
    }
    return false;
}

// Of the head alone; no byte of the body was kept.
static bool admit(struct request *request)
{
    if (bytes_equal_text(request->path, OWN_TRACES)) {
        bool is_post = bytes_equal_text(request->method, "POST");
        refuse(request, is_post ? 404 : 405,
               is_post ? "no pipeline takes traces" : "spans are posted here");
        return false;
    }
    if (!relay_method(request->method)) {
        refuse(request, 405, "this method is not passed on");
        return false;
    }
    if (!relay_path_is_sound(request->path) || !relay_query_is_sound(request->query)) {
        refuse(
            request, 400,
            "not passed on: the path holds an encoded slash, \"..\", \"//\", a dot segment, or a "
            "byte that no path has");
        return false;
    }
    if (has_come_round(request)) {
        count(request, RELAY_LOOP);
        request_reply_text(request, 508, 0, "this request came back to the process that sent it");
        return false;
    }
    return true;
}

// --- the job's way out ---

static bool stays_behind(const struct request *request, struct bytes name)
{
    static const char *const ours[] = {"host", "content-length", "expect"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (bytes_equal_text(name, ours[i])) {
            return true;
        }
    }
    if (name.len == 0 || name.ptr[0] == ':' || relay_field_is_of_hop(name)) {
        return true;
    }
    for (unsigned i = 0; i < request->header_count; i++) {
        const struct request_header *header = &request->headers[i];
        struct bytes other = bytes_from(request->text.ptr + header->name_at, header->name_len);
        struct bytes list = bytes_from(request->text.ptr + header->value_at, header->value_len);
        if (bytes_equal_text(other, "connection") && relay_list_names(list, name)) {
            return true;
        }
    }
    return false;
}

static size_t add_text(struct relay_job *job, struct bytes text)
{
    size_t at = job->text.len;
    buffer_append_bytes(&job->text, text);
    buffer_append_byte(&job->text, '\0');
    return at;
}

static void add_header(struct relay_job *job, struct bytes name, struct bytes value)
{
    size_t *at = &job->text_at[2 * job->header_count++];
    CHECK(job->header_count <= REQUEST_HEADERS_MAX + 2);
    at[0] = add_text(job, name);
    at[1] = add_text(job, value);
}

// False: a field cannot be passed on as it is.
static bool add_headers(struct relay_job *job, const struct request *request)
{
    for (unsigned i = 0; i < request->header_count; i++) {
        const struct request_header *header = &request->headers[i];
        struct bytes name = bytes_from(request->text.ptr + header->name_at, header->name_len);
        struct bytes value = bytes_from(request->text.ptr + header->value_at, header->value_len);
        if (stays_behind(request, name)) {
            continue;
        }
        if (!relay_name_is_sound(name) || !relay_value_is_sound(value)) {
            return false;
        }
        add_header(job, name, value);
    }
    // RFC 9110 7.6.3: a gateway says on the way in that it was there.
    bool is_h2 = request->protocol == REQUEST_HTTP2;
    add_header(job, BYTES_LITERAL("via"),
               is_h2 ? BYTES_LITERAL("2 sidejudge") : BYTES_LITERAL("1.1 sidejudge"));
    add_header(job, BYTES_LITERAL(HOP_FIELD), bytes_from_text(job->door->hop_id));
    return true;
}

static void job_free(struct relay_job **job)
{
    struct relay_job *moved = *job;
    *job = NULL;
    *moved->prev = moved->next;
    if (moved->next) {
        moved->next->prev = moved->prev;
    }
    mailbox_release(&moved->door->relay->inbox, 1);
    buffer_fini(&moved->text);
    buffer_fini(&moved->answer.head);
    buffer_fini(&moved->answer.portion);
    moved->magic = 0;
    free(moved);
}

// Under a credit of the inbox. NULL: the head cannot be passed on.
static struct relay_job *job_new(struct request *request)
{
    struct relay_door *door = door_of(request);
    struct relay_job *job = calloc(1, sizeof *job);
    CHECK(job);
    job->magic = RELAY_JOB_MAGIC;
    job->door = door;
    job->request = request;
    job->method = relay_method(request->method);
    job->body = bytes_from(request->body.ptr, request->body.len);
    struct bytes coding = request_header(request, "content-encoding");
    bool is_plain = coding.len == 0 || bytes_equal_nocase(coding, "identity");
    job->posted = is_plain ? posted_kind_of(request->method, request->path) : POSTED_NONE;
    buffer_init(&job->text, TEXT_BYTES_MAX);
    buffer_init(&job->answer.head, 2 * HTTP_HEADER_BYTES_MAX);
    buffer_init(&job->answer.portion, RELAY_PORTION_BYTES);
    job->next = door->jobs;
    job->prev = &door->jobs;
    if (job->next) {
        job->next->prev = &job->next;
    }
    door->jobs = job;
    buffer_append_bytes(&job->text, buffer_view(&door->relay->base));
    buffer_append_bytes(&job->text, request->path);
    buffer_append_text(&job->text, request->query.len > 0 ? "?" : "");
    (void)add_text(job, request->query);
    if (!add_headers(job, request) || buffer_status(&job->text) != RESULT_OK) {
        job_free(&job);
    }
    return job;
}

static void hand_over(struct relay_job *job)
{
    job->is_here = false;
    mailbox_post(&job->door->relay->inbox, &job->node);
}

static void on_notify(struct request *request);

static void handle(struct request *request)
{
    struct relay *relay = door_of(request)->relay;
    bool takes_body = !bytes_equal_text(request->method, "GET") && !request->head_only;
    if (!takes_body && request->body.len > 0) {
        refuse(request, 400, "not passed on: a GET or HEAD with a body");
        return;
    }
    if (!mailbox_reserve(&relay->inbox, 1)) {
        count(request, RELAY_BUSY);
        request_reply(request, &(struct response){
                                   .status = 503,
                                   .content_type = "text/plain; charset=utf-8",
                                   .body = BYTES_LITERAL("too many requests are being passed on"),
                                   .retry_after_s = RETRY_AFTER_S});
        return;
    }
    struct relay_job *job = job_new(request);
    if (!job) {
        refuse(request, 400, "not passed on: a header field is malformed or too long");
        return;
    }
    ((struct relay_call *)(void *)request->scratch)->job = job;
    request->notify = on_notify;
    hand_over(job);
}

// --- the answer's way back ---

static void reply_failure(struct relay_job *job)
{
    bool is_late = job->answer.failure == RELAY_LATE;
    request_reply_text(job->request, is_late ? 504 : 502, 0,
                       is_late ? "the backend does not answer"
                               : "the backend cannot be reached or does not speak HTTP");
}

static bool is_cors_field(const char *name)
{
    return strncmp(name, "access-control-", 15) == 0;
}

static void begin(struct relay_job *job)
{
    struct relay_answer *answer = &job->answer;
    struct response_field fields[RELAY_FIELDS_MAX];
    struct response_head head = {
        .status = answer->status, .fields = fields, .length = answer->length};
    const struct listen_policy *policy = request_policy(job->request);
    bool has_cors = policy && policy->cors;
    for (size_t i = 0; i < answer->field_count; i++) {
        const struct relay_field *field = &answer->fields[i];
        const char *name = (const char *)answer->head.ptr + field->name_at;
        if (field->is_left_out || (has_cors && is_cors_field(name))) {
            continue;  // the listener's own rules for pages stand, not the backend's
        }
        fields[head.field_count++] = (struct response_field){
            name, bytes_from(answer->head.ptr + field->value_at, field->value_len)};
    }
    request_reply_begin(job->request, &head);
    job->has_begun = true;
}

static void finish(struct relay_job *job)
{
    const struct relay_answer *answer = &job->answer;
    bool is_alone = request_is_alone(job->request);
    bool is_whole = answer->is_end && answer->is_whole;
    enum relay_outcome outcome = is_alone && !is_whole             ? RELAY_GONE
                                 : job->has_begun && is_whole      ? RELAY_PASSED
                                 : answer->failure != RELAY_PASSED ? answer->failure
                                                                   : RELAY_FAILED;
    metric_add(job->door->relay->outcomes[outcome], 1);
    if (job->has_begun) {
        request_reply_end(job->request, is_whole);
    } else {
        reply_failure(job);
    }
    job_free(&job);
}

// What has come goes into the connection as far as there is room.
static void pump(struct relay_job *job)
{
    struct relay_answer *answer = &job->answer;
    CHECK(job->magic == RELAY_JOB_MAGIC && job->is_here);
    bool is_alone = request_is_alone(job->request);
    if (!is_alone && !job->has_begun && answer->has_head) {
        begin(job);
    }
    size_t left = is_alone ? 0 : answer->portion.len - answer->portion_taken;
    if (left > 0) {
        size_t room = request_reply_room(job->request);
        size_t take = room < left ? room : left;
        request_reply_data(job->request,
                           bytes_from(answer->portion.ptr + answer->portion_taken, take));
        answer->portion_taken += take;
        left -= take;
    }
    if (left > 0) {
        return;  // until there is room
    }
    if (answer->is_end) {
        finish(job);
    } else {
        hand_over(job);
    }
}

static void on_notify(struct request *request)
{
    struct relay_job *job = ((struct relay_call *)(void *)request->scratch)->job;
    CHECK(job->magic == RELAY_JOB_MAGIC && job->request == request);
    if (request_is_alone(request)) {
        atomic_store(&job->is_cancelled, true);
        loop_wake(job->door->relay->loop);
    }
    if (job->is_here) {
        pump(job);
    }
}

bool relay_turn(struct relay_door *door)
{
    for (int i = 0; i < TURN_MAX; i++) {
        struct relay_job *job = (struct relay_job *)(void *)mailbox_take(&door->done);
        if (!job) {
            return !mailbox_doze(&door->done);
        }
        CHECK(job->magic == RELAY_JOB_MAGIC && job->door == door && !job->is_here);
        job->is_here = true;
        pump(job);
    }
    return true;
}

void relay_door_init(struct relay_door *door, struct relay *relay, void (*wake)(void *arg),
                     void *wake_arg)
{
    *door = (struct relay_door){.relay = relay};
    snprintf(door->hop_id, sizeof door->hop_id, "%016llx",
             (unsigned long long)process_instance_id());
    mailbox_init(&door->done, RELAY_IN_FLIGHT_MAX, wake, wake_arg);
}

struct http_route relay_route(struct relay_door *door, size_t body_max)
{
    return (struct http_route){.path = RELAY_PREFIX "*",
                               .protocols = REQUEST_ANY_HTTP,
                               .body_max = body_max,
                               .handle = handle,
                               .admit = admit,
                               .refuse = refuse_body,
                               .arg = door};
}

void relay_door_close(struct relay_door *door)
{
    while (door->jobs) {
        struct relay_job *job = door->jobs;
        job->request->notify = NULL;
        job->answer.is_end = true;
        job->answer.is_whole = false;
        finish(job);
    }
}
