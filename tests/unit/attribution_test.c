// SPDX-License-Identifier: Apache-2.0
// Environment, session and user of a span: which name wins, and what is no name.
#include "processor/attribution.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"

struct fields {
    struct buffer span, resource;
    struct attribution found;
};

static void begin(struct fields *fields)
{
    buffer_init(&fields->span, 65536);
    buffer_init(&fields->resource, 65536);
}

static void on_span(struct fields *fields, const char *key, const char *value)
{
    attribute_write_text(&fields->span, SPAN_ATTRIBUTES, key, bytes_from_text(value));
}

static void on_resource(struct fields *fields, const char *key, const char *value)
{
    attribute_write_text(&fields->resource, RES_ATTRIBUTES, key, bytes_from_text(value));
}

static void read_fields(struct fields *fields)
{
    const struct item_view view = {.attributes = buffer_view(&fields->span),
                                   .resource = buffer_view(&fields->resource)};
    attribution_read(&view, &fields->found);
}

static void end(struct fields *fields)
{
    buffer_fini(&fields->span);
    buffer_fini(&fields->resource);
}

static void the_earlier_name_wins_in_any_order(void **state)
{
    struct fields fields;
    (void)state;
    begin(&fields);
    on_span(&fields, "langfuse.session.id", "s1");
    on_span(&fields, "gen_ai.conversation.id", "s3");
    on_span(&fields, "session.id", "s2");
    on_span(&fields, "user.id", "u2");
    on_span(&fields, "langfuse.user.id", "u1");
    on_span(&fields, "deployment.environment", "e3");
    on_span(&fields, "deployment.environment.name", "e2");
    read_fields(&fields);
    assert_true(bytes_equal_text(fields.found.session_id, "s1"));
    assert_true(bytes_equal_text(fields.found.user_id, "u1"));
    assert_true(bytes_equal_text(fields.found.environment, "e2"));
    end(&fields);
}

static void the_resource_names_the_environment_of_a_span_that_does_not(void **state)
{
    struct fields fields;
    (void)state;
    begin(&fields);
    on_resource(&fields, "deployment.environment", "old");
    on_resource(&fields, "deployment.environment.name", "prod");
    on_resource(&fields, "session.id", "never");  // a process is no session
    read_fields(&fields);
    assert_true(bytes_equal_text(fields.found.environment, "prod"));
    assert_int_equal(fields.found.session_id.len, 0);
    on_span(&fields, "deployment.environment", "canary");
    read_fields(&fields);
    assert_true(bytes_equal_text(fields.found.environment, "canary"));
    end(&fields);
}

static void what_is_empty_or_no_text_or_only_like_a_name_is_nothing(void **state)
{
    struct fields fields;
    (void)state;
    begin(&fields);
    on_span(&fields, "session.id", "");
    attribute_write_int(&fields.span, SPAN_ATTRIBUTES, "user.id", 7);
    on_span(&fields, "user.id2", "x");
    on_span(&fields, "session.ide", "x");
    on_span(&fields, "langfuse.user", "x");
    on_span(&fields, "u", "x");
    on_span(&fields, "", "x");
    read_fields(&fields);
    assert_int_equal(fields.found.session_id.len, 0);
    assert_int_equal(fields.found.user_id.len, 0);
    assert_int_equal(fields.found.environment.len, 0);
    on_span(&fields, "gen_ai.conversation.id", "c");
    read_fields(&fields);
    assert_true(bytes_equal_text(fields.found.session_id, "c"));  // an empty one does not win
    end(&fields);
}

static void of_one_name_the_last_wins(void **state)
{
    struct fields fields;
    (void)state;
    begin(&fields);
    on_span(&fields, "user.id", "first");
    on_span(&fields, "user.id", "last");
    read_fields(&fields);
    assert_true(bytes_equal_text(fields.found.user_id, "last"));
    end(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earlier_name_wins_in_any_order),
        cmocka_unit_test(the_resource_names_the_environment_of_a_span_that_does_not),
        cmocka_unit_test(what_is_empty_or_no_text_or_only_like_a_name_is_nothing),
        cmocka_unit_test(of_one_name_the_last_wins),
    };
    return cmocka_run_group_tests_name("attribution", tests, NULL, NULL);
}
