// SPDX-License-Identifier: Apache-2.0
//
// `attributes`: changes attributes of spans and log records by a list of actions, where `include`
// and `exclude` let it (attribute_action.h, item_selection.h). It takes only items of which
// something changes; all else goes by as the bytes it came in. Chosen over a sharded processor: no
// state, any thread.
//
// Refused: metrics (their attributes stand at data points, which parcels do not edit). Bounds:
// those of attribute_editor.h.
#include "processor/attributes_processor.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "processor/attribute_editor.h"

#define ATTRIBUTES_MAGIC MAGIC('A', 'T', 'T', 'R')

struct attributes_config {
    const struct config_node *actions;
    struct item_selection_config include, exclude;
};

struct attributes_component {
    uint32_t magic;
    struct attribute_editor editor;
};

#define AT(member) offsetof(struct attributes_config, member)
static const struct option attributes_options[] = {
    {.key = "actions",
     .kind = OPTION_NODE,
     .offset = AT(actions),
     .flags = OPTION_F_REQUIRED,
     .doc = "List of {key, action, ...}, carried out in order: insert, update, upsert (value or "
            "from_attribute), delete, hash (key, pattern; SHA-256), extract (pattern with named "
            "groups), convert (converted_type string, int or double)."},
    {.key = "include",
     .kind = OPTION_GROUP,
     .offset = AT(include),
     .present_offset = AT(include.is_given),
     .rows = item_selection_options,
     .doc = "Only items that have all of this."},
    {.key = "exclude",
     .kind = OPTION_GROUP,
     .offset = AT(exclude),
     .present_offset = AT(exclude.is_given),
     .rows = item_selection_options,
     .doc = "Not items that have all of this."},
    {0},
};
#undef AT

static bool editor_make(const struct attributes_config *config, const struct config_node *node,
                        const char *path, struct option_errors *errors,
                        struct attribute_editor *editor)
{
    if (config->actions == NULL) {
        return false;  // told by the row
    }
    editor->actions = attribute_actions_new(config->actions, path, "actions", errors);
    editor->selection = item_selection_new(&config->include, &config->exclude, node, path, errors);
    return editor->actions != NULL && editor->selection != NULL;
}

static void attributes_validate(const void *config, const struct config_node *node,
                                const char *path, struct option_errors *errors)
{
    struct attribute_editor editor = {0};
    (void)editor_make(config, node, path, errors, &editor);
    attribute_editor_fini(&editor);
}

static enum result attributes_create(const struct component_env *env, const void *config,
                                     struct processor **processor, char *why, size_t why_len)
{
    struct buffer told;
    struct option_errors errors = {.out = &told};
    struct attributes_component *component = calloc(1, sizeof *component);
    CHECK(component != NULL);
    component->magic = ATTRIBUTES_MAGIC;
    component->editor.unedited = attribute_editor_unedited(env->id);
    buffer_init(&told, 4096);
    *processor = (struct processor *)component;
    bool is_made = editor_make(config, NULL, env->id, &errors, &component->editor);
    snprintf(why, why_len, "%s", buffer_text(&told));
    buffer_fini(&told);
    if (!is_made) {
        attributes_processor.free(processor);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

static const struct attributes_component *component_of(const struct processor *processor)
{
    const struct attributes_component *component = (const struct attributes_component *)processor;
    CHECK(component->magic == ATTRIBUTES_MAGIC);
    return component;
}

static enum want attributes_wants(const struct processor *processor, const struct item_view *view)
{
    return attribute_editor_wants(&component_of(processor)->editor, view);
}

static void attributes_process(struct processor *processor, struct parcel *parcel,
                               struct parcel **dropped)
{
    (void)dropped;
    attribute_editor_run(&component_of(processor)->editor, parcel);
}

static void attributes_free(struct processor **processor)
{
    if (*processor != NULL) {
        struct attributes_component *component = (struct attributes_component *)*processor;
        CHECK(component->magic == ATTRIBUTES_MAGIC);
        attribute_editor_fini(&component->editor);
        free(component);
        *processor = NULL;
    }
}

const struct processor_ops attributes_processor = {
    .kind = {.type = "attributes",
             .doc = "Inserts, updates, deletes, hashes, extracts and converts attributes of spans "
                    "and log records.",
             .signals = 1u << SIGNAL_TRACES | 1u << SIGNAL_LOGS,
             .options = attributes_options,
             .config_size = sizeof(struct attributes_config),
             .validate = attributes_validate},
    .create = attributes_create,
    .wants = attributes_wants,
    .process = attributes_process,
    .free = attributes_free,
};
