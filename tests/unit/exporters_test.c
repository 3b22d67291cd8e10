// SPDX-License-Identifier: Apache-2.0
// Every kind of exporter keeps the contract's form, and its rows hold together.
#include "exporter/exporters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_kind_has_all_functions(void **state)
{
    (void)state;
    for (size_t i = 0; exporters[i] != NULL; i++) {
        const struct exporter_ops *ops = exporters[i];
        assert_true(ops->start && ops->reserve && ops->release && ops->push && ops->drain &&
                    ops->status && ops->free);
        assert_true(strlen(ops->kind.doc) > 0 && ops->kind.signals != 0);
        assert_non_null(ops->kind.options);
    }
}

static void types_and_aliases_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; exporters[i] != NULL; i++) {
        for (size_t k = 0; exporters[k] != NULL; k++) {
            const struct component_kind *a = &exporters[i]->kind, *b = &exporters[k]->kind;
            assert_true(i == k || strcmp(a->type, b->type) != 0);
            assert_true(a->alias == NULL || strcmp(a->alias, b->type) != 0);
        }
    }
}

static void the_kinds_of_the_collector_have_both_names(void **state)
{
    (void)state;
    bool has_http = false;
    for (size_t i = 0; exporters[i] != NULL; i++) {
        const struct component_kind *kind = &exporters[i]->kind;
        if (strcmp(kind->type, "otlp_http") == 0) {
            has_http = true;
            assert_string_equal(kind->alias, "otlphttp");
        }
        if (strcmp(kind->type, "otlp_grpc") == 0) {
            assert_string_equal(kind->alias, "otlp");
        }
    }
    assert_true(has_http);
}

static void every_row_is_documented_and_inside_its_struct(void **state)
{
    (void)state;
    for (size_t i = 0; exporters[i] != NULL; i++) {
        const struct component_kind *kind = &exporters[i]->kind;
        for (const struct option *row = kind->options; row->key != NULL; row++) {
            assert_true(row->doc != NULL && strlen(row->doc) > 0);
            assert_true(row->offset < kind->config_size || (row->flags & OPTION_F_IGNORED) != 0);
            for (const struct option *other = row + 1; other->key != NULL; other++) {
                assert_string_not_equal(row->key, other->key);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_all_functions),
        cmocka_unit_test(types_and_aliases_are_unique),
        cmocka_unit_test(the_kinds_of_the_collector_have_both_names),
        cmocka_unit_test(every_row_is_documented_and_inside_its_struct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
