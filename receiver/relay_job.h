// SPDX-License-Identifier: Apache-2.0
// One exchange on its way between the door of an I/O thread and the relay's worker. The job is
// handed to and fro by mailbox; whoever has it may touch `answer`, so that at most one portion of
// a body waits between both. For relay*.c only.
#pragma once

#include <stdatomic.h>

#include "base/http_client.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "receiver/posted_score.h"
#include "receiver/relay.h"

#define RELAY_JOB_MAGIC MAGIC('R', 'L', 'Y', 'J')
#define RELAY_PORTION_BYTES ((size_t)64 << 10)
#define RELAY_FIELDS_MAX 64  // of an answer

enum relay_outcome {
    RELAY_PASSED,
    RELAY_REFUSED,  // its path, method or fields
    RELAY_BUSY,
    RELAY_LOOP,
    RELAY_FAILED,
    RELAY_LATE,
    RELAY_GONE,  // the client
    RELAY_OUTCOME_COUNT
};

struct relay_job {
    struct mailbox_node node;  // first member
    uint32_t magic;
    struct relay_door *door;
    atomic_bool is_cancelled;  // the client has gone; set by the door

    // Set by the door before the worker has it, constant from then on.
    const char *method;
    struct buffer text;  // URL, then names and values, each with a NUL behind
    size_t text_at[2 * (REQUEST_HEADERS_MAX + 2)];  // of names and values in turn
    size_t header_count;
    struct bytes body;  // of the request, which outlives the job
    enum posted_kind posted;

    struct relay_answer {  // of whoever has the job
        bool has_head, is_end, is_whole;
        enum relay_outcome failure;  // where the end comes without a head
        int status;
        uint64_t length;     // UINT64_MAX: not known
        struct buffer head;  // names in lower case, each with a NUL behind, and values
        struct relay_field {
            size_t name_at, value_at, value_len;
            bool is_left_out;
        } fields[RELAY_FIELDS_MAX];
        size_t field_count;
        struct buffer portion;
        size_t portion_taken;
    } answer;

    // The door's thread.
    struct request *request;
    struct relay_job *next, **prev;
    bool is_here, has_begun;

    // The worker's thread.
    struct relay_job *worker_next, **worker_prev;
    struct http_call *call;  // NULL: not begun, or over
    struct timer patience;   // until the head
    bool is_away;            // the door has it
    bool head_is_over, has_length, is_odd, is_over, is_sound;
    enum relay_outcome failed;
};

struct relay {
    uint32_t magic;
    struct relay_config config;
    struct buffer base;    // "https://host:port"
    struct mailbox inbox;  // a credit for each job under way
    struct loop *loop;
    struct loop_hook hook;
    struct http_client *client;
    struct relay_job *jobs;  // that the worker knows of
    struct metric *outcomes[RELAY_OUTCOME_COUNT];
    struct metric *scores[2];  // good, bad
    struct metric *unread;     // requests that may hold scores and none could be read
    struct log_episode failing;
    struct thread thread;
};
