// SPDX-License-Identifier: Apache-2.0
// The array of processors.
#include "processor/processors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct processor_ops *named(const char *type)
{
    for (size_t i = 0; processors[i]; i++) {
        if (strcmp(processors[i]->kind.type, type) == 0) {
            return processors[i];
        }
    }
    return NULL;
}

static void the_shipped_ones_are_listed(void **arg)
{
    (void)arg;
    assert_ptr_equal(named("evaluation"), &evaluation_processor);
    assert_ptr_equal(named("memory_limiter"), &memory_limiter_processor);
    assert_ptr_equal(named("attributes"), &attributes_processor);
    assert_ptr_equal(named("resource"), &resource_processor);
    assert_ptr_equal(named("batch"), &batch_processor);
    assert_null(named("transform"));
}

static void every_one_is_complete(void **arg)
{
    (void)arg;
    for (size_t i = 0; processors[i]; i++) {
        const struct processor_ops *ops = processors[i];
        assert_non_null(ops->kind.type);
        assert_non_null(ops->kind.doc);
        assert_non_null(ops->kind.options);
        assert_true(ops->kind.config_size > 0 && ops->kind.signals != 0);
        assert_non_null(ops->create);
        // What never wants anything has nothing to do with items.
        assert_true(ops->wants != NULL || (ops->process == NULL && ops->shard == NULL));
        assert_true(ops->wants == NULL || ops->process != NULL || ops->shard != NULL);
        assert_non_null(ops->free);
        if (ops->shard) {
            assert_non_null(ops->shard->open);
            assert_non_null(ops->shard->take);
            assert_non_null(ops->shard->flush);
            assert_non_null(ops->shard->close);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_ones_are_listed),
        cmocka_unit_test(every_one_is_complete),
    };
    return cmocka_run_group_tests_name("processors", tests, NULL, NULL);
}
