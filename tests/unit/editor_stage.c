// SPDX-License-Identifier: Apache-2.0
//
// Configuration, options and errors of one processor live for one call: what is asked of it is one
// question at a time. Refused: a stage that is kept, which each test would have to take down.
// Bounds: 64 KiB of YAML and as much of messages. The test's thread.
#include "tests/unit/editor_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct bound {
    struct config *config;
    struct arena memory;
    struct buffer told;
    void *options;
    unsigned count;
};

static void bind(const struct processor_ops *ops, const char *yaml, struct bound *bound)
{
    const struct component_kind *kind = &ops->kind;
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

void editor_refused(const struct processor_ops *ops, const char *yaml, const char *part)
{
    struct bound bound;
    bind(ops, yaml, &bound);
    if (bound.count != 1 || strstr(buffer_text(&bound.told), part) == NULL) {
        fail_msg("%s: %u: %s", yaml, bound.count, buffer_text(&bound.told));
    }
    unbind(&bound);
}

enum want editor_wants(const struct processor_ops *ops, const char *yaml,
                       const struct item_view *view)
{
    struct bound bound;
    struct processor *processor;
    char why[256];
    const struct component_env env = {.id = "p"};
    bind(ops, yaml, &bound);
    assert_int_equal(bound.count, 0);
    assert_int_equal(ops->create(&env, bound.options, &processor, why, sizeof why), RESULT_OK);
    enum want want = ops->wants(processor, view);
    ops->free(&processor);
    assert_null(processor);
    unbind(&bound);
    return want;
}
