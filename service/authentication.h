// SPDX-License-Identifier: Apache-2.0
// The extensions that authenticate, from the configuration to running authenticators: bound like
// components, in force when service::extensions names them, referred to by the key `auth` of
// receivers and exporters. Main thread, start and reload only.
#pragma once

#include "base/authenticator.h"

#define AUTHENTICATION_MAX 32

struct authentication_settings {
    struct authentication_item {
        const char *id;    // "basicauth/agents"
        const char *path;  // "extensions::basicauth/agents"
        const struct authenticator_kind *kind;
        const void *config;  // borrowed from the arena
        const struct config_node *node;
        bool enabled;  // named by service::extensions
        unsigned faults;
    } items[AUTHENTICATION_MAX];
    size_t count;
};

// Binds those of the extensions in `map` that authenticate; `names` is service::extensions. Appends
// to errors.
void authentication_bind(struct authentication_settings *settings, const struct config_node *map,
                         const struct config_node *names, struct arena *arena,
                         struct option_errors *errors);
bool authentication_knows(const struct authentication_settings *settings, struct bytes id);
// Whether every `auth::authenticator` below a component's node names one that is in force and has
// this role; appends to errors, in the Collector's words.
void authentication_check(const struct authentication_settings *settings,
                          const struct config_node *component, enum authenticator_role role,
                          const char *path, struct option_errors *errors);
// Makes those that are in force and have no faults; NULL ends the list.
void authentication_start(const struct authentication_settings *settings,
                          struct authenticator *list[AUTHENTICATION_MAX + 1]);
void authentication_stop(struct authenticator *list[AUTHENTICATION_MAX + 1]);
void authentication_document(struct buffer *out);  // for docs/CONFIG.md
