// SPDX-License-Identifier: Apache-2.0
// The extension file_storage and the exporters that name it (sending_queue.storage), bound to the
// configuration of the one journal. Start and reload only; main thread.
#pragma once

#include "receiver/journal/journal.h"
#include "service/settings.h"

struct storage_settings {
    const char *id;  // "file_storage/queue"; NULL: no exporter names one
    const char *path;
    struct journal_config config;
    unsigned exporters[SETTINGS_COMPONENTS_MAX];  // indexes into settings->exporters
    size_t exporter_count;
    unsigned faults;
    char why[256];
};

// The rows, for docs/CONFIG.md.
extern const struct option storage_options[];

// Reads extensions::file_storage*, and what the bound exporters name. `extensions` is the map,
// `named` the list service::extensions. Appends errors.
void storage_bind(struct settings *settings, const struct config_node *extensions,
                  const struct config_node *named, struct option_errors *errors);
// Whether an extension id is a file_storage.
bool storage_is(struct bytes id);
