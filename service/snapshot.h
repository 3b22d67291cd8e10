// SPDX-License-Identifier: Apache-2.0
// One configuration as read and bound, with what belongs to no component of its own: authenticators
// and the addresses of our receivers. Immutable; counted by the generation that is made from it and
// by each component that was. Main thread.
#pragma once

#include "base/config.h"
#include "service/settings.h"

struct snapshot {
    unsigned references;
    const struct settings *settings;
    // owned, or both NULL where the caller keeps them
    struct settings *owned_settings;
    struct config *owned_config;
    struct authenticator *authenticators[AUTHENTICATION_MAX + 1];  // NULL ends the list
    struct bytes addresses[2 * SETTINGS_COMPONENTS_MAX];           // no exporter may name them
    size_t address_count;
    struct buffer authentication;  // fingerprint of the extensions that authenticate
};

// Borrows: settings and the configuration behind them outlive the snapshot.
struct snapshot *snapshot_borrow(const struct settings *settings);
struct snapshot *snapshot_take(struct settings **settings, struct config **config);  // takes
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot **snapshot);  // accepts NULL inside
