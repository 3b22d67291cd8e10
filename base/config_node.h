// SPDX-License-Identifier: Apache-2.0
// The tree behind base/config.h: private to the config_*.c files. Nodes live in the configuration's
// arena and are never freed one by one; their number is bounded, so aliases and expansions cannot
// multiply without end. One thread, start and reload only.
#pragma once

#include "base/arena.h"
#include "base/config.h"

#define CONFIG_SOURCE_BYTES_MAX ((size_t)1 << 20)  // of one source's text
#define CONFIG_SOURCES_MAX 100                     // sources, and as many sets
#define CONFIG_DEPTH_MAX 64                        // levels of maps and lists
#define CONFIG_ALIASES_MAX 100                     // of one source
#define CONFIG_NODES_MAX 50000                     // of a whole configuration
#define CONFIG_MEMBERS_MAX 4096                    // of one map
#define CONFIG_ARENA_BYTES_MAX ((size_t)64 << 20)

struct config_member {
    struct bytes key;   // empty in lists
    const char *where;  // of the key
    struct config_node *value;
};

struct config_node {
    enum config_kind kind;
    bool quoted;        // always a string
    bool has_text;      // `text` is meaningful: scalars, and whatever an expansion produced
    struct bytes text;  // NUL-terminated behind
    const char *where;  // "source:line:column"
    struct config_member *members;
    size_t count, capacity;
};

struct config {
    struct arena arena;
    struct config_node *root;
    size_t node_count;
    struct buffer *errors, *warnings;  // borrowed while loading
};

// All below: memory from `config`, under its bounds; NULL or RESULT_TOO_LARGE at them.

struct config_node *config_node_new(struct config *config, enum config_kind kind,
                                    const char *where);
// A scalar of copied text. Unquoted null words ("", "~", "null") make a CONFIG_NULL.
struct config_node *config_node_scalar(struct config *config, struct bytes text, bool quoted,
                                       const char *where);
// Adds an element (empty key) or a member, whose key is copied. RESULT_REJECT: the key is there.
enum result config_node_add(struct config *config, struct config_node *node, struct bytes key,
                            const char *where, struct config_node *value) MUST_USE;
struct config_member *config_node_find(const struct config_node *map, struct bytes key);
// A deep copy, which may then be changed without the original.
struct config_node *config_node_copy(struct config *config, const struct config_node *node);
// `over` merged upon `base`: maps deeply, all else replaces. Either may end up inside the answer.
struct config_node *config_node_merge(struct config *config, struct config_node *base,
                                      struct config_node *over);
// "source:line:column" in the arena; lines and columns count from 1, 0 leaves them out.
const char *config_node_place(struct config *config, const char *source, int line, int column);
// Splits keys at "::" into nested maps, everywhere below `node`; what meets is merged.
struct config_node *config_node_split_keys(struct config *config, struct config_node *node);
// Appends "where: what" to the errors and answers `result`.
enum result config_fail(struct config *config, const char *where, enum result result,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
void config_warn(struct config *config, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Reads one YAML document (config.c). `*node` is a CONFIG_NULL for a text without content.
// RESULT_REJECT and RESULT_TOO_LARGE are explained in config->errors.
enum result config_read_yaml(struct config *config, const char *source, struct bytes text,
                             struct config_node **node) MUST_USE;
