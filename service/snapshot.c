// SPDX-License-Identifier: Apache-2.0
//
// A component keeps pointers into the configuration that it was made from, and may outlive several
// that come after it, as long as nothing that concerns it changes. Hence the count: the last
// component or generation that uses a configuration frees it. Refused: copying what each component
// needs into it, which every option of every kind would have to take part in. Bounds: those of
// settings. Main thread.

#include "service/snapshot.h"

#include <stdlib.h>

#include "base/check.h"
#include "service/fingerprint.h"

// The endpoints of a receiver's protocols, as configured or by default.
static void addresses_collect(struct snapshot *snapshot)
{
    static const struct {
        const char *key, *fallback;
    } protocols[] = {{"grpc", "localhost:4317"}, {"http", "localhost:4318"}};
    for (size_t i = 0; i < snapshot->settings->receivers.count; i++) {
        const struct component_settings *component = &snapshot->settings->receivers.items[i];
        const struct config_node *map = config_get(component->node, "protocols");
        for (size_t k = 0; component->used && k < sizeof(protocols) / sizeof(protocols[0]); k++) {
            const struct config_node *protocol = config_get(map, protocols[k].key);
            if (protocol == NULL) {
                continue;
            }
            struct bytes endpoint = config_text(config_get(protocol, "endpoint"));
            snapshot->addresses[snapshot->address_count++] =
                endpoint.len > 0 ? endpoint : bytes_from_text(protocols[k].fallback);
        }
    }
}

// Everything under `extensions` but the endpoints of our own.
static void authentication_note(struct snapshot *snapshot)
{
    buffer_init(&snapshot->authentication, FINGERPRINT_BYTES_MAX);
    const struct authentication_settings *all = &snapshot->settings->authentication;
    for (size_t i = 0; i < all->count; i++) {
        buffer_printf(&snapshot->authentication, "%s %d ", all->items[i].id, all->items[i].enabled);
        fingerprint_write(all->items[i].node, &snapshot->authentication);
    }
}

static struct snapshot *snapshot_new(const struct settings *settings)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    CHECK(snapshot != NULL);
    snapshot->references = 1;
    snapshot->settings = settings;
    addresses_collect(snapshot);
    authentication_note(snapshot);
    authentication_start(&settings->authentication, snapshot->authenticators);
    return snapshot;
}

struct snapshot *snapshot_borrow(const struct settings *settings)
{
    return snapshot_new(settings);
}

struct snapshot *snapshot_take(struct settings **settings, struct config **config)
{
    struct snapshot *snapshot = snapshot_new(*settings);
    snapshot->owned_settings = *settings;
    snapshot->owned_config = *config;
    *settings = NULL;
    *config = NULL;
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    CHECK(snapshot->references > 0);
    snapshot->references++;
    return snapshot;
}

void snapshot_unref(struct snapshot **snapshot)
{
    struct snapshot *moved = *snapshot;
    *snapshot = NULL;
    if (moved == NULL) {
        return;
    }
    CHECK(moved->references > 0);
    if (--moved->references > 0) {
        return;
    }
    authentication_stop(moved->authenticators);
    buffer_fini(&moved->authentication);
    settings_free(&moved->owned_settings);
    config_free(&moved->owned_config);
    free(moved);
}
