// SPDX-License-Identifier: Apache-2.0
//
// References are found by walking a component's configuration for the key `auth`, wherever it
// stands, so that a kind of component need not tell where it has one. Refused: leaving the check to
// the start of components: `validate` is to say it. What is broken here is not made, and a receiver
// that refers to it does not listen: no fault ever opens a door. Bounds: AUTHENTICATION_MAX
// extensions, DEPTH_MAX levels. Main thread.
#include "service/authentication.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define DEPTH_MAX 8

static struct bytes type_of(struct bytes id)
{
    return bytes_slice(id, 0, bytes_find(id, BYTES_LITERAL("/"), 0));
}

static bool is_named(const struct config_node *names, struct bytes id)
{
    for (size_t i = 0; i < config_count(names); i++) {
        if (bytes_equal(config_text(config_at(names, i)), id)) {
            return true;
        }
    }
    return false;
}

static void item_bind(struct authentication_item *item, struct bytes id,
                      const struct config_node *node, struct arena *arena,
                      struct option_errors *errors)
{
    char path[160];
    snprintf(path, sizeof(path), "extensions::%.*s", BYTES_PRINTF(id));
    item->id = (const char *)arena_copy(arena, id).ptr;
    item->path = (const char *)arena_copy(arena, bytes_from_text(path)).ptr;
    void *config = arena_zalloc(arena, item->kind->config_size);
    CHECK(item->id != NULL && item->path != NULL && config != NULL);
    unsigned before = errors->count;
    option_bind(item->kind->options, node, item->path, config, item->kind->config_size, arena,
                errors);
    item->kind->validate(config, node, item->path, errors);
    item->config = config;
    item->node = node;
    item->faults = errors->count - before;
}

void authentication_bind(struct authentication_settings *settings, const struct config_node *map,
                         const struct config_node *names, struct arena *arena,
                         struct option_errors *errors)
{
    for (size_t i = 0; i < config_count(map); i++) {
        struct bytes id;
        const struct config_node *node = config_member(map, i, &id);
        const struct authenticator_kind *kind = authenticator_kind_find(type_of(id));
        if (kind == NULL) {
            continue;
        }
        if (settings->count == AUTHENTICATION_MAX) {
            option_error(errors, "extensions", node, "more than %d authenticators",
                         AUTHENTICATION_MAX);
            return;
        }
        struct authentication_item *item = &settings->items[settings->count++];
        item->kind = kind;
        item->enabled = is_named(names, id);
        item_bind(item, id, node, arena, errors);
        if (!item->enabled) {
            option_warning(errors, item->path, node,
                           "is configured but service::extensions does not name it");
        }
    }
}

static const struct authentication_item *find(const struct authentication_settings *settings,
                                              struct bytes id)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (bytes_equal_text(id, settings->items[i].id)) {
            return &settings->items[i];
        }
    }
    return NULL;
}

bool authentication_knows(const struct authentication_settings *settings, struct bytes id)
{
    return find(settings, id) != NULL;
}

static const char *problem_of(const struct authentication_item *item, enum authenticator_role role)
{
    if (item == NULL) {
        return "authenticator not found: configure it under extensions and list it in "
               "service::extensions";
    }
    if (!item->enabled) {
        return "authenticator not found: service::extensions does not name it: list it there";
    }
    if (item->faults == 0 && (item->kind->roles(item->config) & (unsigned)role) == 0) {
        return role == AUTHENTICATOR_SERVER
                   ? "requested authenticator is not a server authenticator (basicauth is one "
                     "with htpasswd, bearertokenauth with a token)"
                   : "requested authenticator is not a client authenticator (basicauth is one "
                     "with client_auth, bearertokenauth with a token)";
    }
    return NULL;
}

static void check_below(const struct authentication_settings *settings,
                        const struct config_node *node, enum authenticator_role role,
                        const char *path, struct option_errors *errors, unsigned depth)
{
    if (config_kind(node) != CONFIG_MAP || depth == DEPTH_MAX) {
        return;
    }
    for (size_t i = 0; i < config_count(node); i++) {
        struct bytes key;
        const struct config_node *member = config_member(node, i, &key);
        const struct config_node *name =
            bytes_equal_text(key, "auth") ? config_get(member, "authenticator") : NULL;
        if (name == NULL) {
            check_below(settings, member, role, path, errors, depth + 1);
            continue;
        }
        const char *problem = problem_of(find(settings, config_text(name)), role);
        if (problem != NULL && config_text(name).len > 0) {
            option_error(errors, path, name, "failed to resolve authenticator \"%.*s\": %s",
                         BYTES_PRINTF(config_text(name)), problem);
        }
    }
}

void authentication_check(const struct authentication_settings *settings,
                          const struct config_node *component, enum authenticator_role role,
                          const char *path, struct option_errors *errors)
{
    check_below(settings, component, role, path, errors, 0);
}

void authentication_start(const struct authentication_settings *settings,
                          struct authenticator *list[AUTHENTICATION_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < settings->count; i++) {
        const struct authentication_item *item = &settings->items[i];
        if (item->enabled && item->faults == 0) {
            list[count++] = authenticator_new(item->kind, item->id, item->config);
        }
    }
    list[count] = NULL;
}

void authentication_stop(struct authenticator *list[AUTHENTICATION_MAX + 1])
{
    for (size_t i = 0; i < AUTHENTICATION_MAX; i++) {
        authenticator_release(&list[i]);
    }
}

void authentication_document(struct buffer *out)
{
    for (const struct authenticator_kind *kind = authenticator_kinds; kind->type != NULL; kind++) {
        buffer_printf(out, "\n### %s\n\n%s\n\n", kind->type, kind->doc);
        option_document(kind->options, "", out);
    }
}
