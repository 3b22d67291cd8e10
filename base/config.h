// SPDX-License-Identifier: Apache-2.0
// The configuration as the Collector reads it: YAML from one or more sources, merged, with
// variables expanded, as an immutable tree of nodes that know their line and column. Hides
// libfyaml. Sources are capped at 1 MiB, 64 levels and 100 aliases, the whole at 50,000 nodes, so
// that aliases cannot multiply (config_node.h). Start and reload only; one thread.
//
// Sources (reference: Collector confmap): a bare path or "file:PATH", "env:NAME" (the variable
// holds the whole YAML), "yaml:TEXT" ("yaml:a::b: v" where :: separates keys). Maps merge deeply;
// lists, scalars and nulls replace. Expansion in scalars: ${env:X}, ${env:X:-default}, ${X},
// ${file:PATH}, ${yaml:...}, nested; "$$" is "$"; names match [a-zA-Z_][a-zA-Z0-9_]*; an unset
// variable is null with a warning. A whole scalar "${env:X}" is read as YAML (number, map ...), but
// a string option gets the original text; a fetched scalar is not expanded again.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/json.h"

enum config_kind { CONFIG_NULL, CONFIG_SCALAR, CONFIG_MAP, CONFIG_LIST };

struct config_node;
struct config;  // owns all nodes and texts of a loaded configuration

// Loads and merges `sources` in order, then applies `sets` ("a.b=v", as --set). On failure
// (RESULT_REJECT: content, RESULT_MISSING: a file or variable, RESULT_TOO_LARGE, RESULT_FAIL:
// unreadable) `errors` holds the text for people, each line "source:line:column: what". Warnings
// are appended to `warnings`, which may be NULL.
enum result config_load(const char *const *sources, size_t source_count, const char *const *sets,
                        size_t set_count, struct config **config, struct buffer *errors,
                        struct buffer *warnings) MUST_USE;
void config_free(struct config **config);                            // takes; accepts NULL inside
const struct config_node *config_root(const struct config *config);  // always a map
// The merged YAML, secrets masked (config_print.h says which).
void config_print(const struct config *config, struct buffer *out);

enum config_kind config_kind(const struct config_node *node);  // NULL reads as CONFIG_NULL
// The expanded text of a scalar, NUL-terminated behind; "" where there is none.
struct bytes config_text(const struct config_node *node);
// Has config_text a meaning? True of scalars and nulls that are written, and of every value that a
// whole "${...}" stands for, maps included.
bool config_has_text(const struct config_node *node);
// A scalar written with quotes, or put together from text and references: always a string.
bool config_is_quoted(const struct config_node *node);
size_t config_count(const struct config_node *node);  // members or elements
// The i-th member in order of the file: its key (may be NULL) and value.
const struct config_node *config_member(const struct config_node *map, size_t index,
                                        struct bytes *key);
const struct config_node *config_at(const struct config_node *list, size_t index);
const struct config_node *config_get(const struct config_node *map, const char *key);  // or NULL
// "file.yaml:12:5" of a node, "" for NULL; storage of the config.
const char *config_where(const struct config_node *node);
const char *config_key_where(const struct config_node *map, size_t index);  // the same of a key
