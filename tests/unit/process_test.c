// SPDX-License-Identifier: Apache-2.0
// The instance id is one value per process, whoever asks first.
#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/thread.h"

static void id_is_not_zero_and_stays(void **state)
{
    (void)state;
    uint64_t id = process_instance_id();
    assert_int_not_equal(id, 0);
    assert_int_equal(process_instance_id(), id);
}

static void ask(void *arg)
{
    uint64_t *id = arg;
    *id = process_instance_id();
}

static void every_thread_gets_the_same_id(void **state)
{
    (void)state;
    struct thread threads[4] = {{.started = 0}};
    uint64_t ids[4] = {0};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(thread_start(&threads[i], "ask", ask, &ids[i]), RESULT_OK);
    }
    for (int i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_int_equal(ids[i], process_instance_id());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_gets_the_same_id),
        cmocka_unit_test(id_is_not_zero_and_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
