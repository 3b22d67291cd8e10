// SPDX-License-Identifier: Apache-2.0
//
// Binds the merged YAML to the components of this build. One table says what stands at the top
// level; components bind themselves through their option rows. Chosen: collect every fault, keep
// every sound part. Refused: stopping at the first fault (an operator mends a file once) and a
// parallel "lenient" parser (the lenient run reads the same result and skips what has faults).
// Bounds: 32 components of a kind, 16 pipelines, 8 processors in a chain. Main thread, start only.

#include "service/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receiver/address.h"
#include "service/storage.h"

#define SETTINGS_ARENA_MAX ((size_t)8 << 20)

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_encodings[] = {"console", "json", NULL};
static const char *const metric_levels[] = {"none", "basic", "normal", "detailed", NULL};

struct telemetry_config {
    struct bytes level;
    int encoding, metrics_level;
    const struct config_node *readers, *traces, *resource, *views;
    struct bytes address;
    struct option_texts output_paths;
    const struct config_node *ignored;
};

static const struct option logs_options[] = {
    {.key = "level",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct telemetry_config, level),
     .fallback = "info",
     .doc = "Least severe level that is written: debug, info, warn or error, in either case."},
    {.key = "encoding",
     .kind = OPTION_ENUM,
     .offset = offsetof(struct telemetry_config, encoding),
     .fallback = "console",
     .choices = log_encodings,
     .doc = "console for people, json for machines."},
    {.key = "output_paths",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, ignored),
     .flags = OPTION_F_IGNORED,
     .doc = "Logs go to stderr."},
    {.key = "sampling",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, ignored),
     .flags = OPTION_F_IGNORED,
     .doc = "Repeated lines are written once per episode."},
    {.key = "initial_fields",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, ignored),
     .flags = OPTION_F_IGNORED,
     .doc = "Not used."},
    {.key = "development",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, ignored),
     .flags = OPTION_F_IGNORED,
     .doc = "Not used."},
    {0}};

static const struct option metrics_options[] = {
    {.key = "level",
     .kind = OPTION_ENUM,
     .offset = offsetof(struct telemetry_config, metrics_level),
     .fallback = "normal",
     .choices = metric_levels,
     .doc = "none closes the metrics endpoint."},
    {.key = "readers",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, readers),
     .doc = "The host and port of the first pull.exporter.prometheus reader are used."},
    {.key = "address",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct telemetry_config, address),
     .flags = OPTION_F_DEPRECATED,
     .doc = "host:port; use readers."},
    {.key = "views",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, views),
     .flags = OPTION_F_IGNORED,
     .doc = "Not used."},
    {0}};

const struct option settings_telemetry_options[] = {
    {.key = "logs", .kind = OPTION_GROUP, .rows = logs_options, .doc = "Our own logs."},
    {.key = "metrics", .kind = OPTION_GROUP, .rows = metrics_options, .doc = "Our own metrics."},
    {.key = "traces",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, traces),
     .flags = OPTION_F_IGNORED,
     .doc = "Sidejudge does not trace itself."},
    {.key = "resource",
     .kind = OPTION_NODE,
     .offset = offsetof(struct telemetry_config, resource),
     .flags = OPTION_F_IGNORED,
     .doc = "Not used."},
    {0}};

const struct option settings_health_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct endpoint_settings, endpoint),
     .fallback = "localhost:13133",
     .doc = "Where the health check listens."},
    {.key = "path",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct endpoint_settings, path),
     .fallback = "/",
     .doc = "Its path; with / any path answers."},
    {0}};

const struct option settings_api_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct endpoint_settings, endpoint),
     .fallback = "localhost:13134",
     .doc = "Where explain and status are answered; keep it on loopback."},
    {0}};

// A type of component that is known in the field and absent here.
static const char *known_advice(const char *kind, struct bytes type)
{
    static const struct {
        const char *kind, *type, *advice;
    } rows[] = {
#define KNOWN(kind, type, advice) {kind, type, advice},
#include "service/known.def"
#undef KNOWN
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].kind, kind) == 0 && bytes_equal_text(type, rows[i].type)) {
            return rows[i].advice;
        }
    }
    return NULL;
}

// The three kinds by their place in the file.
struct kind_table {
    const char *key;  // "receivers"
    const char *singular;
    const void *const *ops;  // visible array; each ops struct begins with struct component_kind
    size_t list_offset;      // into struct settings
};

static const struct kind_table *kind_tables(size_t *count)
{
    static const struct kind_table tables[] = {
        {"receivers", "receiver", (const void *const *)receivers,
         offsetof(struct settings, receivers)},
        {"processors", "processor", (const void *const *)processors,
         offsetof(struct settings, processors)},
        {"exporters", "exporter", (const void *const *)exporters,
         offsetof(struct settings, exporters)},
    };
    *count = sizeof(tables) / sizeof(tables[0]);
    return tables;
}

static const struct component_kind *kind_find(const struct kind_table *table, struct bytes type)
{
    for (size_t i = 0; table->ops[i] != NULL; i++) {
        const struct component_kind *kind = table->ops[i];
        if (bytes_equal_text(type, kind->type) ||
            (kind->alias != NULL && bytes_equal_text(type, kind->alias))) {
            return kind;
        }
    }
    return NULL;
}

static void kind_unknown(const struct kind_table *table, struct bytes id, struct bytes type,
                         const struct config_node *node, struct option_errors *errors)
{
    const char *advice = known_advice(table->key, type);
    if (advice != NULL) {
        option_error(errors, table->key, node, "\"%.*s\" is not part of this build; %s",
                     BYTES_PRINTF(id), advice);
        return;
    }
    char valid[512];
    size_t len = 0;
    valid[0] = '\0';
    for (size_t i = 0; table->ops[i] != NULL && len < sizeof(valid); i++) {
        const struct component_kind *kind = table->ops[i];
        len += (size_t)snprintf(valid + len, sizeof(valid) - len, "%s%s", i == 0 ? "" : " ",
                                kind->type);
    }
    option_error(errors, table->key, node,
                 "unknown type: \"%.*s\" for id: \"%.*s\" (valid values: [%s])", BYTES_PRINTF(type),
                 BYTES_PRINTF(id), valid);
}

static const char *arena_text(struct arena *arena, const char *a, struct bytes b)
{
    size_t len = strlen(a);
    char *text = arena_alloc(arena, len + b.len + 1);
    CHECK(text != NULL);
    memcpy(text, a, len);
    if (b.len > 0) {
        memcpy(text + len, b.ptr, b.len);
    }
    text[len + b.len] = '\0';
    return text;
}

static struct bytes id_type(struct bytes id)
{
    size_t slash = bytes_find(id, BYTES_LITERAL("/"), 0);
    return slash == SIZE_MAX ? id : bytes_slice(id, 0, slash);
}

// The first line that was appended from `from` on, as a component's or a pipeline's reason.
static void note_fault(char why[256], const struct buffer *out, size_t from)
{
    struct bytes added = bytes_slice(buffer_view(out), from, SIZE_MAX);
    size_t end = bytes_find(added, BYTES_LITERAL("\n"), 0);
    struct bytes line = bytes_slice(added, 0, end == SIZE_MAX ? added.len : end);
    snprintf(why, 256, "%.*s", BYTES_PRINTF(line));
}

static void component_bind(struct settings *settings, struct component_settings *component,
                           struct option_errors *errors)
{
    const struct component_kind *kind = component->kind;
    size_t size = kind->config_size > 0 ? kind->config_size : 1;
    component->config = arena_zalloc(&settings->arena, size);
    CHECK(component->config != NULL);
    unsigned before = errors->count;
    size_t from = errors->out->len;
    option_bind(kind->options, component->node, component->path, component->config, size,
                &settings->arena, errors);
    if (kind->validate != NULL) {
        kind->validate(component->config, component->node, component->path, errors);
    }
    component->faults = errors->count - before;
    if (component->faults > 0) {
        note_fault(component->why, errors->out, from);
    }
}

static void components_bind(struct settings *settings, const struct config_node *root,
                            const struct kind_table *table, struct option_errors *errors)
{
    struct component_list *list = (void *)((char *)settings + table->list_offset);
    const struct config_node *map = config_get(root, table->key);
    list->map = map;
    for (size_t i = 0; i < config_count(map); i++) {
        struct bytes id;
        const struct config_node *node = config_member(map, i, &id);
        if (list->count == SETTINGS_COMPONENTS_MAX) {
            option_error(errors, table->key, node, "more than %d components",
                         SETTINGS_COMPONENTS_MAX);
            return;
        }
        const struct component_kind *kind = kind_find(table, id_type(id));
        if (kind == NULL) {
            kind_unknown(table, id, id_type(id), node, errors);
            continue;
        }
        struct component_settings *component = &list->items[list->count++];
        component->id = arena_text(&settings->arena, "", id);
        component->path = arena_text(
            &settings->arena, arena_text(&settings->arena, table->key, BYTES_LITERAL("::")), id);
        component->kind = kind;
        component->ops = kind;
        component->node = node;
        component_bind(settings, component, errors);
    }
}

static bool pipeline_signal(struct bytes id, enum signal *signal)
{
    struct bytes type = id_type(id);
    for (int i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        if (bytes_equal_text(type, signal_name((enum signal)i))) {
            *signal = (enum signal)i;
            return true;
        }
    }
    return false;
}

// Written in this map, but of a type that this build does not have: that fault has been told.
static bool is_written(const struct config_node *map, const struct config_node *id)
{
    for (size_t i = 0; i < config_count(map); i++) {
        struct bytes key;
        config_member(map, i, &key);
        if (bytes_equal(key, config_text(id))) {
            return true;
        }
    }
    return false;
}

static bool is_empty_list(const struct config_node *node)
{
    return config_kind(node) == CONFIG_NULL ||
           (config_kind(node) == CONFIG_LIST && config_count(node) == 0);
}

// Resolves the list `key` of a pipeline to indexes; what cannot be resolved is an error and left
// out.
static size_t pipeline_references(const struct config_node *node, const struct kind_table *table,
                                  struct component_list *list, const struct config_node *connectors,
                                  const char *path, enum signal signal, unsigned *indexes,
                                  size_t max, struct option_errors *errors)
{
    const struct config_node *names = config_get(node, table->key);
    size_t count = 0;
    if (config_kind(names) == CONFIG_SCALAR || config_kind(names) == CONFIG_MAP) {
        option_error(errors, path, names, "'%s' expected a list: write %s: [%.*s]", table->key,
                     table->key,
                     BYTES_PRINTF(config_kind(names) == CONFIG_MAP ? BYTES_LITERAL("id, ...")
                                                                   : config_text(names)));
        return 0;
    }
    for (size_t i = 0; i < config_count(names); i++) {
        const struct config_node *item = config_at(names, i);
        struct bytes id = config_text(item);
        size_t k = 0;
        while (k < list->count && !bytes_equal_text(id, list->items[k].id)) {
            k++;
        }
        if (k == list->count && (is_written(list->map, item) || is_written(connectors, item))) {
            continue;
        }
        if (k == list->count) {
            option_error(errors, path, item, "references %s \"%.*s\" which is not configured",
                         table->singular, BYTES_PRINTF(id));
        } else if (list->items[k].kind->signals != 1U << SIGNAL_SCORES &&
                   (list->items[k].kind->signals & 1U << signal) == 0) {
            option_error(errors, path, item, "%s \"%.*s\" does not take %s", table->singular,
                         BYTES_PRINTF(id), signal_name(signal));
        } else if (count == max) {
            option_error(errors, path, item, "more than %zu %s", max, table->key);
        } else {
            list->items[k].used = true;
            indexes[count++] = (unsigned)k;
        }
    }
    return count;
}

// Scores need somebody who makes them, and telemetry a taker of its own.
static void pipeline_check_scores(struct settings *settings,
                                  const struct pipeline_settings *pipeline,
                                  const struct config_node *node, struct option_errors *errors)
{
    bool has_maker = false;
    size_t sinks = 0;
    for (size_t i = 0; i < pipeline->processor_count; i++) {
        const struct processor_ops *ops = settings->processors.items[pipeline->processors[i]].ops;
        has_maker = has_maker || ops->score_sinks != NULL;
    }
    for (size_t i = 0; i < pipeline->exporter_count; i++) {
        const struct component_settings *exporter =
            &settings->exporters.items[pipeline->exporters[i]];
        if ((exporter->kind->signals & 1U << pipeline->signal) != 0) {
            continue;
        }
        sinks++;
        if (!has_maker && exporter->kind->signals != 1U << SIGNAL_SCORES) {
            option_error(errors, pipeline->path, node, "exporter \"%s\" does not take %s",
                         exporter->id, signal_name(pipeline->signal));
        } else if (!has_maker) {
            option_error(errors, pipeline->path, node,
                         "exporter \"%s\" takes scores only, and no processor of this pipeline "
                         "makes any: add evaluation to its processors",
                         exporter->id);
        }
    }
    if (sinks > 0 && sinks == pipeline->exporter_count) {
        option_error(errors, pipeline->path, node,
                     "its exporters take scores only: add one that takes %s (nop drops them)",
                     signal_name(pipeline->signal));
    }
}

static void pipeline_bind(struct settings *settings, struct bytes id,
                          const struct config_node *node, struct option_errors *errors)
{
    struct pipeline_settings *pipeline = &settings->pipelines[settings->pipeline_count];
    const char *path = arena_text(&settings->arena, "service::pipelines::", id);
    if (!pipeline_signal(id, &pipeline->signal)) {
        option_error(errors, path, node,
                     "unknown pipeline type \"%.*s\" (valid values: [traces metrics logs])",
                     BYTES_PRINTF(id_type(id)));
        return;
    }
    for (size_t i = 0; i < config_count(node); i++) {
        struct bytes key;
        const struct config_node *member = config_member(node, i, &key);
        if (!bytes_equal_text(key, "receivers") && !bytes_equal_text(key, "processors") &&
            !bytes_equal_text(key, "exporters")) {
            option_error(errors, path, member, "has invalid keys: %.*s", BYTES_PRINTF(key));
        }
    }
    pipeline->id = arena_text(&settings->arena, "", id);
    pipeline->path = path;
    size_t from = errors->out->len;
    size_t count;
    const struct kind_table *tables = kind_tables(&count);
    pipeline->receiver_count =
        pipeline_references(node, &tables[0], &settings->receivers, settings->connectors, path,
                            pipeline->signal, pipeline->receivers, SETTINGS_COMPONENTS_MAX, errors);
    pipeline->processor_count =
        pipeline_references(node, &tables[1], &settings->processors, settings->connectors, path,
                            pipeline->signal, pipeline->processors, SETTINGS_CHAIN_MAX, errors);
    pipeline->exporter_count =
        pipeline_references(node, &tables[2], &settings->exporters, settings->connectors, path,
                            pipeline->signal, pipeline->exporters, SETTINGS_COMPONENTS_MAX, errors);
    if (is_empty_list(config_get(node, "receivers"))) {
        option_error(errors, path, node, "must have at least one receiver");
    }
    if (is_empty_list(config_get(node, "exporters"))) {
        option_error(errors, path, node, "must have at least one exporter");
    }
    pipeline_check_scores(settings, pipeline, node, errors);
    note_fault(pipeline->why, errors->out, from);
    if (pipeline->why[0] == '\0' && pipeline->exporter_count == 0) {
        snprintf(pipeline->why, sizeof(pipeline->why), "%s: none of its exporters can be built",
                 path);
    }
    settings->pipeline_count++;
}

static void pipelines_bind(struct settings *settings, const struct config_node *map,
                           struct option_errors *errors)
{
    if (config_count(map) == 0) {
        option_error(errors, "service::pipelines", map, "service must have at least one pipeline");
    }
    for (size_t i = 0; i < config_count(map); i++) {
        struct bytes id;
        const struct config_node *node = config_member(map, i, &id);
        if (settings->pipeline_count == SETTINGS_PIPELINES_MAX) {
            option_error(errors, "service::pipelines", node, "more than %d pipelines",
                         SETTINGS_PIPELINES_MAX);
            return;
        }
        pipeline_bind(settings, id, node, errors);
    }
}

// readers: [{pull: {exporter: {prometheus: {host: ..., port: ...}}}}]
static void reader_bind(struct settings *settings, const struct config_node *readers)
{
    for (size_t i = 0; i < config_count(readers); i++) {
        const struct config_node *prometheus = config_get(
            config_get(config_get(config_at(readers, i), "pull"), "exporter"), "prometheus");
        if (config_kind(prometheus) != CONFIG_MAP) {
            continue;
        }
        struct bytes host = config_text(config_get(prometheus, "host"));
        struct bytes port = config_text(config_get(prometheus, "port"));
        if (host.len == 0) {
            host = BYTES_LITERAL("localhost");
        }
        if (port.len == 0) {
            port = BYTES_LITERAL("8888");
        }
        const char *prefix = arena_text(&settings->arena, arena_text(&settings->arena, "", host),
                                        BYTES_LITERAL(":"));
        settings->telemetry.metrics_endpoint =
            bytes_from_text(arena_text(&settings->arena, prefix, port));
        return;
    }
}

// The Collector writes levels in capitals; zap, which reads them there, takes both.
static int log_level_of(struct bytes text, const struct config_node *node,
                        struct option_errors *errors)
{
    for (int i = 0; log_levels[i] != NULL; i++) {
        if (bytes_equal_nocase(text, log_levels[i])) {
            return i;
        }
    }
    option_error(errors, "service::telemetry::logs", config_get(config_get(node, "logs"), "level"),
                 "unrecognized level: \"%.*s\" (valid values: debug, info, warn, error)",
                 BYTES_PRINTF(text));
    return LOG_INFO;
}

static void telemetry_bind(struct settings *settings, const struct config_node *node,
                           struct option_errors *errors)
{
    struct telemetry_config config;
    option_bind(settings_telemetry_options, node, "service::telemetry", &config, sizeof(config),
                &settings->arena, errors);
    settings->telemetry.log_level = log_level_of(config.level, node, errors);
    settings->telemetry.log_encoding = config.encoding;
    settings->telemetry.metrics = config.metrics_level != 0;
    settings->telemetry.metrics_endpoint =
        config.address.len > 0 ? config.address : BYTES_LITERAL("localhost:8888");
    reader_bind(settings, config.readers);
}

// No connector is part of this build; each is told once, here.
static void connectors_refuse(const struct config_node *map, struct option_errors *errors)
{
    for (size_t i = 0; i < config_count(map); i++) {
        struct bytes id;
        const struct config_node *node = config_member(map, i, &id);
        const char *advice = known_advice("connectors", id_type(id));
        option_error(errors, "connectors", node, "\"%.*s\" is not part of this build; %s",
                     BYTES_PRINTF(id),
                     advice != NULL ? advice : "name the exporters in each pipeline");
    }
}

static void endpoint_check(struct bytes endpoint, const char *path, const struct config_node *node,
                           struct option_errors *errors)
{
    struct bytes host;
    uint16_t port;
    if (!address_split(endpoint, &host, &port)) {
        option_error(errors, path, node, "'endpoint' must be host:port, got \"%.*s\"",
                     BYTES_PRINTF(endpoint));
    }
}

// The two extensions; each is a row. An extension acts only when service::extensions names it, but
// the API is always on.
static void extensions_bind(struct settings *settings, const struct config_node *root,
                            struct option_errors *errors)
{
    const struct {
        const char *type;
        const struct option *options;
        struct endpoint_settings *target;
    } rows[] = {{"health_check", settings_health_options, &settings->health},
                {"evaluation_api", settings_api_options, &settings->api}};
    const struct config_node *map = config_get(root, "extensions");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "extensions::%s", rows[i].type);
        option_bind(rows[i].options, config_get(map, rows[i].type), path, rows[i].target,
                    sizeof(*rows[i].target), &settings->arena, errors);
        endpoint_check(rows[i].target->endpoint, path,
                       config_get(config_get(map, rows[i].type), "endpoint"), errors);
    }
    settings->api.enabled = true;
    for (size_t i = 0; i < config_count(map); i++) {
        struct bytes id;
        const struct config_node *node = config_member(map, i, &id);
        if (!bytes_equal_text(id, rows[0].type) && !bytes_equal_text(id, rows[1].type) &&
            authenticator_kind_find(id_type(id)) == NULL && !storage_is(id)) {
            const char *advice = known_advice("extensions", id_type(id));
            option_error(errors, "extensions", node, "\"%.*s\" is not part of this build; %s",
                         BYTES_PRINTF(id),
                         advice != NULL
                             ? advice
                             : "remove it (valid values: [health_check evaluation_api basicauth "
                               "bearertokenauth file_storage headers_setter])");
        }
    }
    const struct config_node *names = config_get(config_get(root, "service"), "extensions");
    authentication_bind(&settings->authentication, map, names, &settings->arena, errors);
    storage_bind(settings, map, names, errors);
    for (size_t i = 0; i < config_count(names); i++) {
        struct bytes id = config_text(config_at(names, i));
        bool found =
            config_get(map, "health_check") != NULL && bytes_equal_text(id, "health_check");
        settings->health.enabled = settings->health.enabled || found;
        found = found || authentication_knows(&settings->authentication, id) ||
                (storage_is(id) && config_get(map, (const char *)id.ptr) != NULL);
        if (!found && !bytes_equal_text(id, "evaluation_api") &&
            known_advice("extensions", id_type(id)) == NULL) {
            option_error(errors, "service::extensions", config_at(names, i),
                         "references extension \"%.*s\" which is not configured", BYTES_PRINTF(id));
        }
    }
}

// What `auth` of a component names.
static void references_check(const struct settings *settings, struct component_list *list,
                             enum authenticator_role role, struct option_errors *errors)
{
    for (size_t i = 0; i < list->count; i++) {
        struct component_settings *component = &list->items[i];
        unsigned before = errors->count;
        size_t from = errors->out->len;
        authentication_check(&settings->authentication, component->node, role, component->path,
                             errors);
        if (errors->count > before) {
            component->faults += errors->count - before;
            note_fault(component->why, errors->out, from);
        }
    }
}

static void keys_check(const struct config_node *node, const char *path, const char *const *keys,
                       struct option_errors *errors)
{
    for (size_t i = 0; i < config_count(node); i++) {
        struct bytes key;
        const struct config_node *member = config_member(node, i, &key);
        size_t k = 0;
        while (keys[k] != NULL && !bytes_equal_text(key, keys[k])) {
            k++;
        }
        if (keys[k] == NULL) {
            option_error(errors, path, member, "has invalid keys: %.*s", BYTES_PRINTF(key));
        }
    }
}

// A receiver passes requests on to one host only; a run takes the first.
static void relays_check(const struct settings *settings, struct option_errors *errors)
{
    const char *first = NULL;
    for (size_t i = 0; i < settings->exporters.count; i++) {
        const struct component_settings *exporter = &settings->exporters.items[i];
        struct relay_target target;
        if (!exporter->used || exporter->kind->relay == NULL ||
            !exporter->kind->relay(exporter->config, &target)) {
            continue;
        }
        if (first != NULL) {
            option_error(errors, exporter->path, config_get(exporter->node, "relay"),
                         "relay is on at %s already: one exporter can have it", first);
        }
        first = first != NULL ? first : exporter->path;
    }
}

static void unused_warn(const struct component_list *list, struct option_errors *errors)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].used) {
            option_warning(errors, list->items[i].path, list->items[i].node,
                           "is configured but no pipeline uses it");
        }
    }
}

struct settings *settings_new(const struct config *config, struct option_errors *errors)
{
    static const char *const top[] = {"receivers",  "processors", "exporters", "extensions",
                                      "connectors", "service",    NULL};
    static const char *const inner[] = {"extensions", "pipelines", "telemetry", NULL};
    struct settings *settings = calloc(1, sizeof(*settings));
    CHECK(settings != NULL);
    arena_init(&settings->arena, SETTINGS_ARENA_MAX);
    const struct config_node *root = config_root(config);
    const struct config_node *service = config_get(root, "service");
    keys_check(root, "", top, errors);
    keys_check(service, "service", inner, errors);
    settings->connectors = config_get(root, "connectors");
    connectors_refuse(settings->connectors, errors);
    size_t count;
    const struct kind_table *tables = kind_tables(&count);
    for (size_t i = 0; i < count; i++) {
        components_bind(settings, root, &tables[i], errors);
    }
    extensions_bind(settings, root, errors);
    references_check(settings, &settings->receivers, AUTHENTICATOR_SERVER, errors);
    references_check(settings, &settings->exporters, AUTHENTICATOR_CLIENT, errors);
    telemetry_bind(settings, config_get(service, "telemetry"), errors);
    pipelines_bind(settings, config_get(service, "pipelines"), errors);
    relays_check(settings, errors);
    unused_warn(&settings->receivers, errors);
    unused_warn(&settings->processors, errors);
    unused_warn(&settings->exporters, errors);
    return settings;
}

void settings_free(struct settings **settings)
{
    if (*settings != NULL) {
        arena_fini(&(*settings)->arena);
        free(*settings);
        *settings = NULL;
    }
}

static void kind_document(const struct kind_table *table, struct buffer *out)
{
    buffer_printf(out, "\n## %s\n", table->key);
    for (size_t i = 0; table->ops[i] != NULL; i++) {
        const struct component_kind *kind = table->ops[i];
        buffer_printf(out, "\n### %s\n\n%s", kind->type, kind->doc);
        if (kind->alias != NULL) {
            buffer_printf(out, " Also accepted under its older name `%s`.", kind->alias);
        }
        buffer_append_text(out, "\n\n");
        option_document(kind->options, "", out);
    }
}

void settings_document(struct buffer *out)
{
    buffer_append_text(out, "# Configuration\n\nEvery key, from the option tables of the program "
                            "(`sidejudge components --markdown` writes this page).\n");
    size_t count;
    const struct kind_table *tables = kind_tables(&count);
    for (size_t i = 0; i < count; i++) {
        kind_document(&tables[i], out);
    }
    buffer_append_text(out, "\n## extensions\n\n### health_check\n\n");
    option_document(settings_health_options, "", out);
    buffer_append_text(out, "\n### evaluation_api\n\n");
    option_document(settings_api_options, "", out);
    authentication_document(out);
    buffer_append_text(out, "\n### file_storage\n\n");
    option_document(storage_options, "", out);
    buffer_append_text(out, "\n## service::telemetry\n\n");
    option_document(settings_telemetry_options, "", out);
}
