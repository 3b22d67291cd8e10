// SPDX-License-Identifier: Apache-2.0
//
// The processor `attributes`: its keys, its signals and what it wants. What it does to parcels is
// in attribute_editor_test.
#include "processor/attributes_processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/unit/editor_stage.h"

static void refused(const char *yaml, const char *part)
{
    editor_refused(&attributes_processor, yaml, part);
}

static enum want wants(const char *yaml, const struct item_view *view)
{
    return editor_wants(&attributes_processor, yaml, view);
}

static void wrong_keys_are_refused_in_one_line(void **state)
{
    (void)state;
    refused("{}", "'actions' must be set");
    refused("{actions: []}", "'actions' must be a list");
    refused("{actions: [{key: a, action: delete}], excludes: {}}", "has invalid keys: excludes");
    refused("{actions: [{key: a, action: delete}], include: {}}",
            "p::include: 'match_type' must be one of");
    refused("{actions: [{key: a, action: drop}]}", "p::actions[0]: 'action' must be one of");
}

static void items_are_taken_where_an_action_changes_something(void **state)
{
    (void)state;
    struct buffer fields;
    buffer_init(&fields, 1000);
    attribute_write_text(&fields, LOG_ATTRIBUTES, "a", BYTES_LITERAL("1"));
    const struct item_view record = {.signal = SIGNAL_LOGS, .attributes = buffer_view(&fields)};
    assert_int_equal(wants("{actions: [{key: a, action: delete}]}", &record), WANT_TAKE);
    assert_int_equal(wants("{actions: [{key: b, action: delete}]}", &record), WANT_NOTHING);
    assert_int_equal(wants("{actions: [{key: a, action: hash}], include: {match_type: strict, "
                           "log_bodies: [x]}}",
                           &record),
                     WANT_NOTHING);
    buffer_fini(&fields);
}

static void metrics_are_not_taken(void **state)
{
    (void)state;
    assert_int_equal(attributes_processor.kind.signals, 1u << SIGNAL_TRACES | 1u << SIGNAL_LOGS);
    assert_null(attributes_processor.shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_keys_are_refused_in_one_line),
        cmocka_unit_test(items_are_taken_where_an_action_changes_something),
        cmocka_unit_test(metrics_are_not_taken),
    };
    return cmocka_run_group_tests_name("attributes_processor", tests, NULL, NULL);
}
