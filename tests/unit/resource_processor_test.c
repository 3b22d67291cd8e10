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

struct bound {
    struct config *config;
    struct arena memory;
    struct buffer told;
    void *options;
    unsigned count;
};

static void bind(const char *yaml, struct bound *bound)
{
    const struct component_kind *kind = &resource_processor.kind;
    struct buffer text;
    *bound = (struct bound){.count = 0};
    arena_init(&bound->memory, 1 << 20);
    buffer_init(&text, 65536);
    buffer_init(&bound->told, 65536);
    buffer_printf(&text, "yaml:p: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &bound->config, &bound->told, &bound->told),
                     RESULT_OK);
    struct option_errors errors = {.out = &bound->told};
    const struct config_node *node = config_get(config_root(bound->config), "p");
    bound->options = arena_zalloc(&bound->memory, kind->config_size);
    option_bind(kind->options, node, "p", bound->options, kind->config_size, &bound->memory,
                &errors);
    kind->validate(bound->options, node, "p", &errors);
    bound->count = errors.count;
    buffer_fini(&text);
}

static void unbind(struct bound *bound)
{
    config_free(&bound->config);
    arena_fini(&bound->memory);
    buffer_fini(&bound->told);
}

static void refused(const char *yaml, const char *part)
{
    struct bound bound;
    bind(yaml, &bound);
    if (bound.count != 1 || strstr(buffer_text(&bound.told), part) == NULL) {
        fail_msg("%s: %u: %s", yaml, bound.count, buffer_text(&bound.told));
    }
    unbind(&bound);
}

static enum want wants(const char *yaml, const struct item_view *view)
{
    struct bound bound;
    struct processor *processor;
    char why[256];
    const struct component_env env = {.id = "p"};
    bind(yaml, &bound);
    assert_int_equal(bound.count, 0);
    assert_int_equal(resource_processor.create(&env, bound.options, &processor, why, sizeof why),
                     RESULT_OK);
    enum want want = resource_processor.wants(processor, view);
    resource_processor.free(&processor);
    assert_null(processor);
    unbind(&bound);
    return want;
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
