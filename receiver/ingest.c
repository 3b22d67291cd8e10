// SPDX-License-Identifier: Apache-2.0
//
// A worker is a loop with one mailbox. It takes one job per turn, so that a stop is heard between
// two jobs. Work is not stolen between workers: a job goes to the one with the fewest credits out,
// and with two workers the worst that can happen is a wait behind one body of the largest size.
// Each has its own compressor and batch home; a body's slab changes homes with it, which is
// allowed, because slabs are plain memory and all homes charge one account. Refused: one queue
// with a lock and a condition variable. Bounds: JOBS_MAX waiting jobs per worker (their bodies are
// charged already). Own threads, named sj-ingest-N.
#include "receiver/ingest.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/loop.h"
#include "base/thread.h"

#define JOBS_MAX         256
#define HOME_KEEP_BYTES  ((size_t)4 << 20)
#define WORKER_MAGIC     MAGIC('I', 'N', 'G', 'W')

struct ingest_worker {
    uint32_t magic;
    struct mailbox jobs;
    struct loop *loop;
    struct loop_hook hook;
    struct batch_home *home;
    struct intake *intake;
    struct thread thread;
};

struct ingest {
    unsigned count;
    struct ingest_worker workers[];
};

// By way of the journal, when it has to be durable first; the job is not ours afterwards.
static void send_back(struct ingest_worker *worker, struct ingest_job *job)
{
    struct intake_call *call = &job->call;
    if (call->result == RESULT_OK && call->reply.must_await) {
        call->wait.reply_to = job->reply_to;
        call->wait.reply = &job->node;
        call->sink->await(call->sink, &call->wait);
    } else {
        mailbox_post(job->reply_to, &job->node);
    }
    mailbox_release(&worker->jobs, 1);
}

static bool on_turn(void *arg, uint64_t now_ns)
{
    struct ingest_worker *worker = arg;
    CHECK(worker->magic == WORKER_MAGIC);
    struct ingest_job *job = (struct ingest_job *)(void *)mailbox_take(&worker->jobs);
    if (job) {
        job->is_expired = now_ns > job->deadline_ns;
        if (job->is_expired) {
            slab_drop(worker->home, &job->call.body);
            job->call.result = RESULT_RETRY;
        } else {
            CHECK(intake_run(worker->intake, &job->call, false));
        }
        send_back(worker, job);
    }
    batch_home_sweep(worker->home);
    return job || !mailbox_doze(&worker->jobs);
}

static void run(void *arg)
{
    struct ingest_worker *worker = arg;
    loop_run(worker->loop);
    struct ingest_job *job;
    while ((job = (struct ingest_job *)(void *)mailbox_take(&worker->jobs)) != NULL) {
        slab_drop(worker->home, &job->call.body);
        job->call.result = RESULT_STOP;
        send_back(worker, job);
    }
}

static enum result worker_start(struct ingest_worker *worker, struct account *account,
                                unsigned index)
{
    char name[16];
    snprintf(name, sizeof name, "sj-ingest-%u", index % 1000);
    worker->magic = WORKER_MAGIC;
    worker->loop = loop_new();
    if (!worker->loop) {
        return RESULT_FAIL;
    }
    worker->home = batch_home_new(account, HOME_KEEP_BYTES);
    worker->intake = intake_new(account, worker->home);
    mailbox_init(&worker->jobs, JOBS_MAX, loop_wake, worker->loop);
    worker->hook = (struct loop_hook){.turn = on_turn, .arg = worker};
    loop_add_hook(worker->loop, &worker->hook);
    return thread_start(&worker->thread, name, run, worker);
}

enum result ingest_start(struct account *account, unsigned count, struct ingest **ingest)
{
    size_t bytes = sizeof **ingest + count * sizeof(struct ingest_worker);
    size_t rounded = (bytes + 63) / 64 * 64;
    struct ingest *made = aligned_alloc(64, rounded);
    CHECK(made && count > 0);
    *made = (struct ingest){.count = count};
    for (unsigned i = 0; i < count; i++) {
        made->workers[i] = (struct ingest_worker){.magic = 0};
    }
    for (unsigned i = 0; i < count; i++) {
        enum result result = worker_start(&made->workers[i], account, i);
        if (result != RESULT_OK) {
            ingest_stop(&made);
            return result;
        }
    }
    *ingest = made;
    return RESULT_OK;
}

bool ingest_submit(struct ingest *ingest, struct ingest_job *job)
{
    struct ingest_worker *best = &ingest->workers[0];
    for (unsigned i = 1; i < ingest->count; i++) {
        if (mailbox_used(&ingest->workers[i].jobs) < mailbox_used(&best->jobs)) {
            best = &ingest->workers[i];
        }
    }
    if (!mailbox_reserve(&best->jobs, 1)) {
        return false;
    }
    if (!mailbox_reserve(job->reply_to, 1)) {
        mailbox_release(&best->jobs, 1);
        return false;
    }
    mailbox_post(&best->jobs, &job->node);
    return true;
}

void ingest_stop(struct ingest **ingest)
{
    struct ingest *it = *ingest;
    for (unsigned i = 0; it && i < it->count; i++) {
        struct ingest_worker *worker = &it->workers[i];
        if (worker->thread.started) {
            loop_stop(worker->loop);
            thread_join(&worker->thread);
        }
        intake_free(&worker->intake);
        if (worker->home) {
            batch_home_close(worker->home);
        }
        loop_free(worker->loop);
    }
    free(it);
    *ingest = NULL;
}
