// SPDX-License-Identifier: Apache-2.0
//
// There is one journal, at the door, because a request is written down once for all who are owed
// it; so all exporters with a storage name the same file_storage. The Collector's keys keep their
// meaning, with two defaults of our own: fsync is on, and the size is bounded, since a sidecar
// shares the Pod's disk. Refused: a file per exporter, as the Collector has, which writes each
// request once per exporter and knows nothing of decisions.
//
// Bounds: one file_storage in use. Main thread, start and reload only.
#include "service/storage.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const policies[] = {"reject", "drop_oldest", NULL};
static const char *const on_errors[] = {"forward", "reject", NULL};

struct storage_config {
    struct bytes directory;
    bool create_directory, fsync;
    int64_t max_size, max_age_ns;
    int policy, on_error;
    const struct config_node *ignored;
};

#define STORAGE_IGNORED(name, why)                                                                 \
    {                                                                                              \
        .key = name, .kind = OPTION_NODE, .offset = offsetof(struct storage_config, ignored),      \
        .flags = OPTION_F_IGNORED, .doc = why                                                      \
    }

const struct option storage_options[] = {
    {.key = "directory",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/otelcol/file_storage",
     .offset = offsetof(struct storage_config, directory),
     .doc = "Where the journal is kept. Requests stand in it as received, unredacted: its files "
            "are 0600, the directory 0700."},
    {.key = "create_directory",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .offset = offsetof(struct storage_config, create_directory),
     .doc = "Make the directory when it is not there."},
    {.key = "fsync",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .offset = offsetof(struct storage_config, fsync),
     .doc = "Acknowledge only what survives the machine; false: what survives the process."},
    {.key = "max_size",
     .kind = OPTION_SIZE,
     .fallback = "1GiB",
     .unit = "bytes",
     .min = 0,
     .max = 1e15,
     .offset = offsetof(struct storage_config, max_size),
     .doc = "Of database and write-ahead log together, at every moment; 0: the disk's size."},
    {.key = "policy",
     .kind = OPTION_ENUM,
     .fallback = "reject",
     .choices = policies,
     .offset = offsetof(struct storage_config, policy),
     .doc = "At max_size: reject answers 503 with Retry-After, drop_oldest erases what is oldest "
            "and counts it."},
    {.key = "max_age",
     .kind = OPTION_DURATION,
     .fallback = "24h",
     .unit = "s",
     .min = 0,
     .max = 31536000,
     .offset = offsetof(struct storage_config, max_age_ns),
     .doc = "What is older is erased, delivered or not (counted); 0: never."},
    {.key = "on_error",
     .kind = OPTION_ENUM,
     .fallback = "forward",
     .choices = on_errors,
     .offset = offsetof(struct storage_config, on_error),
     .doc = "While the disk fails: forward takes requests in memory, reject answers 503."},
    STORAGE_IGNORED("directory_permissions", "The directory is 0700."),
    STORAGE_IGNORED("timeout", "The journal has its file for itself."),
    STORAGE_IGNORED("compaction", "Space is given back as it is freed."),
    STORAGE_IGNORED("recreate", "A corrupt file is salvaged; the old one is kept as *.corrupt."),
    {.key = NULL},
};

bool storage_is(struct bytes id)
{
    return bytes_equal_text(bytes_slice(id, 0, bytes_find(id, BYTES_LITERAL("/"), 0)),
                            "file_storage");
}

static struct bytes storage_named(const struct component_settings *exporter,
                                  const struct config_node **where)
{
    *where = config_get(config_get(exporter->node, "sending_queue"), "storage");
    return config_text(*where);
}

static bool is_listed(const struct config_node *list, struct bytes id)
{
    for (size_t i = 0; i < config_count(list); i++) {
        if (bytes_equal(config_text(config_at(list, i)), id)) {
            return true;
        }
    }
    return false;
}

// One exporter's reference. The first sound one decides which storage is the journal's.
static void exporter_bind(struct settings *settings, unsigned index,
                          const struct config_node *extensions, const struct config_node *named,
                          struct option_errors *errors)
{
    struct storage_settings *storage = settings->storage;
    struct component_settings *exporter = &settings->exporters.items[index];
    const struct config_node *where;
    struct bytes id = storage_named(exporter, &where);
    const char *key = "sending_queue::storage";
    if (id.len == 0) {
        return;
    }
    char *text = arena_alloc(&settings->arena, id.len + 1);
    CHECK(text != NULL);
    memcpy(text, id.ptr, id.len);
    text[id.len] = '\0';
    if (!storage_is(id) || config_get(extensions, text) == NULL) {
        option_error(errors, exporter->path, where,
                     "%s: \"%s\" is not configured: put a file_storage under extensions and list "
                     "it in service::extensions",
                     key, text);
    } else if (!is_listed(named, id)) {
        option_error(errors, exporter->path, where,
                     "%s: extension \"%s\" is not in service::extensions: add it there", key, text);
    } else if (storage->id != NULL && strcmp(storage->id, text) != 0) {
        option_error(errors, exporter->path, where,
                     "%s: \"%s\": there is one journal, and another exporter names \"%s\": name "
                     "the same",
                     key, text, storage->id);
    } else {
        storage->id = text;
        storage->exporters[storage->exporter_count++] = index;
        return;
    }
    exporter->faults++;
    snprintf(exporter->why, sizeof(exporter->why), "%s: \"%s\" cannot be used", key, text);
}

// Said beforehand, since a journal that cannot be opened is found out at the start. Of a directory
// that is to be made, the nearest one above that is there has to take it.
static void directory_check(const struct storage_config *config, const struct config_node *node,
                            const char *path, struct option_errors *errors)
{
    char at[PATH_MAX];
    if (config->directory.len == 0 || config->directory.len >= sizeof(at)) {
        return;  // told when the journal is opened
    }
    const struct config_node *where = config_get(node, "directory");
    memcpy(at, config->directory.ptr, config->directory.len + 1);
    bool is_there = access(at, W_OK | X_OK) == 0;
    while (!is_there && errno == ENOENT && config->create_directory && strrchr(at, '/') > at) {
        *strrchr(at, '/') = '\0';
        is_there = access(at, W_OK | X_OK) == 0;
    }
    if (is_there) {
        return;
    }
    option_warning(errors, path, where != NULL ? where : node, "directory %.*s: %s%s",
                   BYTES_PRINTF(config->directory), strerror(errno),
                   errno == ENOENT ? ": make it, or set create_directory: true"
                                   : ": it must be writable for the user that runs sidejudge");
}

static void config_bind(struct settings *settings, const struct config_node *node,
                        struct option_errors *errors)
{
    struct storage_settings *storage = settings->storage;
    struct storage_config config;
    char path[160];
    snprintf(path, sizeof(path), "extensions::%.100s", storage->id);
    unsigned before = errors->count;
    option_bind(storage_options, node, path, &config, sizeof(config), &settings->arena, errors);
    storage->faults = errors->count - before;
    if (storage->faults == 0) {
        directory_check(&config, node, path, errors);
    }
    storage->config =
        (struct journal_config){.store = {.directory = config.directory,
                                          .create_directory = config.create_directory,
                                          .fsync = config.fsync,
                                          .size_max = (uint64_t)config.max_size,
                                          .max_age_ns = (uint64_t)config.max_age_ns},
                                .policy = config.policy == 1 ? JOURNAL_DROP_OLDEST : JOURNAL_REJECT,
                                .refuse_on_error = config.on_error == 1};
}

void storage_bind(struct settings *settings, const struct config_node *extensions,
                  const struct config_node *named, struct option_errors *errors)
{
    settings->storage = arena_zalloc(&settings->arena, sizeof(*settings->storage));
    CHECK(settings->storage != NULL);
    for (unsigned i = 0; i < settings->exporters.count; i++) {
        exporter_bind(settings, i, extensions, named, errors);
    }
    if (settings->storage->id != NULL) {
        config_bind(settings, config_get(extensions, settings->storage->id), errors);
        return;
    }
    // Not used: checked all the same.
    for (size_t i = 0; i < config_count(extensions); i++) {
        struct bytes id;
        const struct config_node *node = config_member(extensions, i, &id);
        if (storage_is(id)) {
            struct storage_config config;
            option_bind(storage_options, node, "extensions::file_storage", &config, sizeof(config),
                        &settings->arena, errors);
            option_warning(errors, "extensions", node,
                           is_listed(named, id)
                               ? "\"%.*s\" is not used: no exporter names it as "
                                 "sending_queue::storage"
                               : "\"%.*s\" is configured but service::extensions does not name it",
                           BYTES_PRINTF(id));
        }
    }
}
