// SPDX-License-Identifier: Apache-2.0
// The configuration bound to components: what is to be created and how it is wired. Everything
// wrong is collected with its place; what is wrong is also marked on its component, so that
// `validate` can be strict while a run starts with whatever is sound (DESIGN 1). Start and reload
// only; one thread.
#pragma once

#include "base/log.h"
#include "proto/component.h"
#include "service/authentication.h"

#define SETTINGS_COMPONENTS_MAX 32  // per kind
#define SETTINGS_PIPELINES_MAX 16
#define SETTINGS_CHAIN_MAX 8  // processors of one pipeline

struct component_settings {
    const char *id;    // "otlp_http/2"
    const char *path;  // "exporters::otlp_http/2"
    const struct component_kind *kind;
    const void *ops;  // of its kind's ops struct
    void *config;     // bound struct; borrowed from the settings' arena
    const struct config_node *node;
    unsigned faults;  // errors found in it
    bool used;        // named by a pipeline
    char why[256];    // first fault, for logs and for clients
};

struct component_list {
    struct component_settings items[SETTINGS_COMPONENTS_MAX];
    size_t count;
    const struct config_node *map;  // as written: also what this build does not have
};

struct pipeline_settings {
    const char *id;    // "traces/2"
    const char *path;  // "service::pipelines::traces/2"
    enum signal signal;
    unsigned receivers[SETTINGS_COMPONENTS_MAX], processors[SETTINGS_CHAIN_MAX],
        exporters[SETTINGS_COMPONENTS_MAX];  // indexes into the lists
    size_t receiver_count, processor_count, exporter_count;
    char why[256];  // first fault: what a pipeline without a sound exporter answers with
};

struct endpoint_settings {
    bool enabled;
    struct bytes endpoint;  // "localhost:13133"
    struct bytes path;      // health_check only
};

struct telemetry_settings {
    int log_level;     // enum log_level
    int log_encoding;  // enum log_encoding
    bool metrics;
    struct bytes metrics_endpoint;  // "localhost:8888"
};

struct settings {
    struct arena arena;
    struct component_list receivers, processors, exporters;
    const struct config_node *connectors;  // as written; all of them are refused
    struct pipeline_settings pipelines[SETTINGS_PIPELINES_MAX];
    size_t pipeline_count;
    struct authentication_settings authentication;
    struct storage_settings *storage;  // storage.h; never NULL
    struct endpoint_settings health;  // extension health_check
    struct endpoint_settings
        api;  // extension evaluation_api: explain and status; on by default, localhost:13134
    struct telemetry_settings telemetry;
};

// Binds `config` (which must outlive the settings). Errors and warnings are appended; settings are
// usable whatever was found.
struct settings *settings_new(const struct config *config, struct option_errors *errors);
void settings_free(struct settings **settings);

// Rows of the parts that are not components, for docs/CONFIG.md.
extern const struct option settings_telemetry_options[];
extern const struct option settings_health_options[];
extern const struct option settings_api_options[];

// Writes docs/CONFIG.md: every key of every component with type, unit, default and bounds.
void settings_document(struct buffer *out);
