// SPDX-License-Identifier: Apache-2.0
//
// Ingest workers: every job comes back, also when it is too late, when there is no room and when
// the workers are stopped.
#include "receiver/ingest.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct waiting_sink {
    struct sink sink;             // first member
    atomic_bool is_held;
    atomic_uint waiting, offers;
};

static struct waiting_sink sink;
static struct ingest *ingest;
static struct mailbox done;
static struct batch_home *home;

static enum result take_offer(struct sink *it, struct batch **batch, struct offer_reply *reply)
{
    struct waiting_sink *waiting = (struct waiting_sink *)(void *)it;
    (void)reply;
    atomic_fetch_add(&waiting->waiting, 1);
    for (int i = 0; i < 20000 && atomic_load(&waiting->is_held); i++) {
        (void)poll(NULL, 0, 1);
    }
    atomic_fetch_sub(&waiting->waiting, 1);
    atomic_fetch_add(&waiting->offers, 1);
    batch_release(batch);
    return RESULT_OK;
}

static int set_up(void **state)
{
    (void)state;
    memset(&sink, 0, sizeof sink);
    sink.sink.offer = take_offer;
    mailbox_init(&done, 1000, NULL, NULL);
    home = batch_home_new(NULL, 1 << 20);
    assert_int_equal(ingest_start(NULL, 2, &ingest), RESULT_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ingest_stop(&ingest);
    batch_home_close(home);
    return 0;
}

static void prepare(struct ingest_job *job)
{
    *job = (struct ingest_job){.reply_to = &done,
                               .deadline_ns = UINT64_MAX,
                               .call = {.plain_max = 1000, .sink = &sink.sink}};
    assert_int_equal(slab_grow(home, &job->call.body, 10), RESULT_OK);
    memset(job->call.body.ptr, 0, 10);
    job->call.body.len = 10;
}

static struct ingest_job *take_done(void)
{
    struct mailbox_node *node = NULL;
    for (int i = 0; i < 20000 && (node = mailbox_take(&done)) == NULL; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_non_null(node);
    mailbox_release(&done, 1);
    return (struct ingest_job *)(void *)node;
}

static void jobs_come_back_done(void **state)
{
    (void)state;
    struct ingest_job jobs[20];
    for (int i = 0; i < 20; i++) {
        prepare(&jobs[i]);
        assert_true(ingest_submit(ingest, &jobs[i]));
    }
    for (int i = 0; i < 20; i++) {
        struct ingest_job *job = take_done();
        assert_int_equal(job->call.result, RESULT_OK);
        assert_null(job->call.body.ptr);
    }
    assert_int_equal(atomic_load(&sink.offers), 20);
    assert_int_equal(mailbox_used(&done), 0);
}

static void work_goes_to_the_worker_that_is_free(void **state)
{
    (void)state;
    struct ingest_job jobs[2];
    atomic_store(&sink.is_held, true);
    for (int i = 0; i < 2; i++) {
        prepare(&jobs[i]);
        assert_true(ingest_submit(ingest, &jobs[i]));
    }
    for (int i = 0; i < 20000 && atomic_load(&sink.waiting) < 2; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&sink.waiting), 2);  // both at once
    atomic_store(&sink.is_held, false);
    take_done();
    take_done();
}

static void late_jobs_come_back_without_work(void **state)
{
    (void)state;
    struct ingest_job job;
    prepare(&job);
    job.deadline_ns = 1;
    assert_true(ingest_submit(ingest, &job));
    assert_ptr_equal(take_done(), &job);
    assert_true(job.is_expired);
    assert_int_equal(job.call.result, RESULT_RETRY);
    assert_int_equal(atomic_load(&sink.offers), 0);
}

static void full_workers_refuse_and_leave_the_job(void **state)
{
    (void)state;
    static struct ingest_job jobs[600];
    unsigned count = 0;
    atomic_store(&sink.is_held, true);
    do {
        prepare(&jobs[count]);
    } while (ingest_submit(ingest, &jobs[count]) && ++count < 599);
    assert_in_range(count, 512, 514);  // 256 for each of two
    assert_int_equal(jobs[count].call.body.len, 10);
    slab_drop(home, &jobs[count].call.body);
    assert_int_equal(mailbox_used(&done), count);
    atomic_store(&sink.is_held, false);
    for (unsigned i = 0; i < count; i++) {
        take_done();
    }
}

static void stop_sends_everything_back(void **state)
{
    (void)state;
    static struct ingest_job jobs[50];
    atomic_store(&sink.is_held, true);
    for (int i = 0; i < 50; i++) {
        prepare(&jobs[i]);
        assert_true(ingest_submit(ingest, &jobs[i]));
    }
    atomic_store(&sink.is_held, false);
    ingest_stop(&ingest);
    for (int i = 0; i < 50; i++) {
        struct ingest_job *job = take_done();
        assert_true(job->call.result == RESULT_OK || job->call.result == RESULT_STOP);
        assert_null(job->call.body.ptr);
    }
    assert_null(mailbox_take(&done));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(jobs_come_back_done),
        ROW(work_goes_to_the_worker_that_is_free),
        ROW(late_jobs_come_back_without_work),
        ROW(full_workers_refuse_and_leave_the_job),
        ROW(stop_sends_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
