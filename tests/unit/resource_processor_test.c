// SPDX-License-Identifier: Apache-2.0
//
// The processor `resource`: its keys, its signals and what it wants. What it does to parcels is in
// attribute_editor_test.
#include "processor/resource_processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/unit/editor_stage.h"

static void refused(const char *yaml, const char *part)
{
    editor_refused(&resource_processor, yaml, part);
}

static enum want wants(const char *yaml, const struct item_view *view)
{
    return editor_wants(&resource_processor, yaml, view);
}

static void wrong_keys_are_refused_in_one_line(void **state)
{
    (void)state;
    refused("", "'attributes' must be set");
    refused("{attributes: {a: b}}", "'attributes' must be a list");
    refused("{actions: [{key: a, action: delete}], attributes: [{key: a, action: delete}]}",
            "has invalid keys: actions");
    refused("{attributes: [{key: a, action: drop}]}", "p::attributes[0]: 'action' must be one of");
}

static void items_are_taken_where_their_resource_changes(void **state)
{
    (void)state;
    struct buffer fields;
    buffer_init(&fields, 1000);
    attribute_write_text(&fields, RES_ATTRIBUTES, "env", BYTES_LITERAL("prod"));
    const struct item_view views[] = {
        {.signal = SIGNAL_TRACES, .resource = buffer_view(&fields)},
        {.signal = SIGNAL_METRICS, .resource = buffer_view(&fields)},
        {.signal = SIGNAL_LOGS, .resource = buffer_view(&fields)},
    };
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wants("{attributes: [{key: env, value: dev, action: upsert}]}", &views[i]),
                         WANT_TAKE);
        assert_int_equal(
            wants("{attributes: [{key: env, value: prod, action: upsert}]}", &views[i]),
            WANT_NOTHING);
    }
    const struct item_view bare = {.signal = SIGNAL_TRACES};
    assert_int_equal(wants("{attributes: [{key: env, value: dev, action: insert}]}", &bare),
                     WANT_TAKE);
    assert_int_equal(wants("{attributes: [{key: env, action: hash}]}", &bare), WANT_NOTHING);
    buffer_fini(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_keys_are_refused_in_one_line),
        cmocka_unit_test(items_are_taken_where_their_resource_changes),
    };
    return cmocka_run_group_tests_name("resource_processor", tests, NULL, NULL);
}
