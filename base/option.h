// SPDX-License-Identifier: Apache-2.0
// Configuration keys as rows of tables: from one row come parsing, bounds, defaults, error texts,
// docs/CONFIG.md and print-config. A component declares a struct for its configuration and a table
// of rows; option_bind fills the struct from a config node. Texts are copied into the binding's
// arena. Unknown keys are errors in the Collector's wording ("'' has invalid keys: grpcc"), each
// error with its path and source:line:column; all errors of a file are collected, not only the
// first. Start and reload only; one thread.
#pragma once

#include "base/arena.h"
#include "base/config.h"

enum option_kind {
    OPTION_BOOL,      // bool
    OPTION_INT,       // int64_t
    OPTION_DOUBLE,    // double
    OPTION_DURATION,  // int64_t nanoseconds; Go syntax "1h2m3.5s", "200ms", "0"
    OPTION_SIZE,      // int64_t bytes; number or "64MiB", "4MB"
    OPTION_TEXT,      // struct bytes, NUL-terminated behind
    OPTION_SECRET,    // as text; masked in print-config, never logged
    OPTION_ENUM,      // int: index into `choices`
    OPTION_TEXTS,     // struct option_texts: list of scalars (a single scalar is a list of one)
    OPTION_TEXT_MAP,  // struct option_pairs: map of scalars, e.g. headers (values are secrets when
                      // OPTION_F_SECRET)
    OPTION_GROUP,     // nested struct at `offset`, rows in `rows`; presence in `present_offset`
    OPTION_MAP,   // struct option_entries: map of names, each a struct of `entry_size` by `rows`
    OPTION_NODE,  // const struct config_node *: kept for later binding
};

struct option_texts {
    struct bytes *items;
    size_t count;
};
struct option_pair {
    struct bytes key, value;
};
struct option_pairs {
    struct option_pair *items;
    size_t count;
};
struct option_entries {  // OPTION_MAP
    struct bytes *names;
    void *items;  // count structs of entry_size
    const struct config_node **nodes;
    size_t count;
};

enum option_flag {
    OPTION_F_REQUIRED = 1,  // must be present
    OPTION_F_SECRET = 2,
    OPTION_F_DEPRECATED = 4,  // accepted, warned about
    OPTION_F_IGNORED = 8,     // known key of the Collector that has no effect here: accepted with
                              // a warning saying so
    OPTION_F_NULLABLE = 16,   // scalar may be null: keeps the default. TEXT, SECRET, lists and
                              // maps may always
};

#define OPTION_NO_PRESENT ((size_t)-1)

struct option {
    const char *key;  // "" in the first row of an OPTION_MAP's rows: where a scalar in
                      // place of the entry's map goes
    enum option_kind kind;
    size_t offset;               // into the component's struct
    const char *fallback;        // default as YAML scalar text; NULL: zero
    double min, max;             // inclusive bounds of numbers, durations (seconds) and sizes
                                 // (bytes). Both 0: none, but durations are never negative;
                                 // max < min: open above
    const char *const *choices;  // OPTION_ENUM, NULL-terminated
    const struct option *rows;   // GROUP and MAP: nested rows, ended by {0}
    size_t entry_size;           // MAP
    size_t count_max;            // MAP, TEXTS, TEXT_MAP: entries allowed (0: 100)
    unsigned flags;
    size_t present_offset;  // bool set true when the key was present (also with null).
                            // OPTION_NO_PRESENT and 0: none, so put no such bool first
    const char *unit;       // for docs: "s", "bytes", "" ...
    const char *doc;        // one sentence
};

struct option_errors {   // collected over a whole configuration
    struct buffer *out;  // lines for people
    unsigned count;
    struct buffer *warnings;  // may be NULL
};

// Sets the defaults of all rows in `target` (zeroed first over `size`), then fills it from `node`
// (null or absent: defaults only). `path` is the Collector's "exporters::otlp_http". Errors are
// appended; the caller checks errors->count. Nodes of OPTION_NODE and OPTION_MAP are borrowed from
// the config.
void option_bind(const struct option *rows, const struct config_node *node, const char *path,
                 void *target, size_t size, struct arena *arena, struct option_errors *errors);
// Appends "path: message (source:line:column)" for semantic errors of components.
void option_error(struct option_errors *errors, const char *path, const struct config_node *node,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
void option_warning(struct option_errors *errors, const char *path, const struct config_node *node,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
// Go's duration syntax, one leading sign allowed; sizes as OPTION_SIZE. False: neither is written.
bool duration_parse(struct bytes text, int64_t *ns);
bool size_parse(struct bytes text, int64_t *bytes);
// One Markdown table of the rows for docs/CONFIG.md, nested groups included; keys are shown below
// `path`, which may be "".
void option_document(const struct option *rows, const char *path, struct buffer *out);
