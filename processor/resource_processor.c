// SPDX-License-Identifier: Apache-2.0
//
// `resource`: changes attributes of Resources by a list of actions (attribute_action.h). The
// Resource of a container belongs to all its items, so that one edit serves them all, and the
// spans, scopes and unknown fields below it stay the bytes that they came in; metrics too. A
// container whose Resource nothing changes goes by.
//
// Refused: writing the Resource again with its items. Bounds: those of attribute_editor.h. No
// state, any thread.
#include "processor/resource_processor.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "processor/attribute_editor.h"

#define RESOURCE_MAGIC MAGIC('R', 'E', 'S', 'O')

struct resource_config {
    const struct config_node *attributes;
};

struct resource_component {
    uint32_t magic;
    struct attribute_editor editor;
};

#define AT(member) offsetof(struct resource_config, member)
static const struct option resource_options[] = {
    {.key = "attributes",
     .kind = OPTION_NODE,
     .offset = AT(attributes),
     .flags = OPTION_F_REQUIRED,
     .doc = "List of {key, action, ...}, carried out in order: insert, update, upsert (value or "
            "from_attribute), delete, hash (key, pattern; SHA-256), extract (pattern with named "
            "groups), convert (converted_type string, int or double)."},
    {0},
};
#undef AT

static bool editor_make(const struct resource_config *config, const char *path,
                        struct option_errors *errors, struct attribute_editor *editor)
{
    if (config->attributes == NULL) {
        return false;  // told by the row
    }
    editor->actions = attribute_actions_new(config->attributes, path, "attributes", errors);
    editor->of_resource = true;
    return editor->actions != NULL;
}

static void resource_validate(const void *config, const struct config_node *node, const char *path,
                              struct option_errors *errors)
{
    struct attribute_editor editor = {0};
    (void)node;
    (void)editor_make(config, path, errors, &editor);
    attribute_editor_fini(&editor);
}

static enum result resource_create(const struct component_env *env, const void *config,
                                   struct processor **processor, char *why, size_t why_len)
{
    struct buffer told;
    struct option_errors errors = {.out = &told};
    struct resource_component *component = calloc(1, sizeof *component);
    CHECK(component != NULL);
    component->magic = RESOURCE_MAGIC;
    component->editor.unedited = attribute_editor_unedited(env->id);
    buffer_init(&told, 4096);
    *processor = (struct processor *)component;
    bool is_made = editor_make(config, env->id, &errors, &component->editor);
    snprintf(why, why_len, "%s", buffer_text(&told));
    buffer_fini(&told);
    if (!is_made) {
        resource_processor.free(processor);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

static const struct resource_component *component_of(const struct processor *processor)
{
    const struct resource_component *component = (const struct resource_component *)processor;
    CHECK(component->magic == RESOURCE_MAGIC);
    return component;
}

static enum want resource_wants(const struct processor *processor, const struct item_view *view)
{
    return attribute_editor_wants(&component_of(processor)->editor, view);
}

static void resource_process(struct processor *processor, struct parcel *parcel,
                             struct parcel **dropped)
{
    (void)dropped;
    attribute_editor_run(&component_of(processor)->editor, parcel);
}

static void resource_free(struct processor **processor)
{
    if (*processor != NULL) {
        struct resource_component *component = (struct resource_component *)*processor;
        CHECK(component->magic == RESOURCE_MAGIC);
        attribute_editor_fini(&component->editor);
        free(component);
        *processor = NULL;
    }
}

const struct processor_ops resource_processor = {
    .kind = {.type = "resource",
             .doc = "Inserts, updates, deletes, hashes, extracts and converts attributes of "
                    "Resources.",
             .signals = 1u << SIGNAL_TRACES | 1u << SIGNAL_METRICS | 1u << SIGNAL_LOGS,
             .options = resource_options,
             .config_size = sizeof(struct resource_config),
             .validate = resource_validate},
    .create = resource_create,
    .wants = resource_wants,
    .process = resource_process,
    .free = resource_free,
};
