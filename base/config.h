// SPDX-License-Identifier: Apache-2.0
// The configuration as the Collector reads it: YAML from one or more sources, merged, with variables expanded, as an immutable tree
// of nodes that know their line and column. Hides libfyaml. Sources are capped at 1 MiB, 64 levels and 100 aliases *before* aliases are
// resolved. Start and reload only; one thread.
//
// Sources (reference: Collector confmap): a bare path or "file:PATH", "env:NAME" (the variable holds the whole YAML), "yaml:TEXT"
// ("yaml:a::b: v" where :: separates keys). Maps merge deeply; lists, scalars and nulls replace. Expansion in scalars: ${env:X},
// ${env:X:-default}, ${X}, ${file:PATH}, ${yaml:...}, nested, "$$" is "$"; names match [a-zA-Z_][a-zA-Z0-9_]*; an unset variable is null with a
// warning. A whole scalar "${env:X}" is read as YAML (number, map ...), but a string option gets the original text.
#pragma once

#include "base/buffer.h"
#include "base/json.h"

#include <stdbool.h>

enum config_kind { CONFIG_NULL, CONFIG_SCALAR, CONFIG_MAP, CONFIG_LIST };

struct config_node;
struct config;  // owns all nodes and texts of a loaded configuration

// Loads and merges `sources` in order, then applies `sets` ("a.b=v", as --set). On failure (RESULT_REJECT: content, RESULT_MISSING: a file,
// RESULT_TOO_LARGE) `errors` holds the text for people, each line "source:line:column: what". Warnings are appended to `warnings`.
enum result config_load(const char *const *sources, size_t source_count, const char *const *sets, size_t set_count,
                        struct config **config, struct buffer *errors, struct buffer *warnings) MUST_USE;
void config_free(struct config **config);
const struct config_node *config_root(const struct config *config);
void config_print(const struct config *config, struct buffer *out);  // merged YAML, secrets masked as in print-config

enum config_kind config_kind(const struct config_node *node);    // NULL reads as CONFIG_NULL
struct bytes config_text(const struct config_node *node);        // expanded text of a scalar; NUL-terminated behind
// Has config_text a meaning? True of scalars and nulls that are written, and of every value of an expansion.
bool config_has_text(const struct config_node *node);
bool config_is_quoted(const struct config_node *node);           // scalar written with quotes: always a string
size_t config_count(const struct config_node *node);             // members or elements
// The i-th member in order of the file: its key and value.
const struct config_node *config_member(const struct config_node *map, size_t index, struct bytes *key);
const struct config_node *config_at(const struct config_node *list, size_t index);
const struct config_node *config_get(const struct config_node *map, const char *key);  // NULL when absent
// "file.yaml:12:5" of a node, "" for NULL; storage of the config.
const char *config_where(const struct config_node *node);
const char *config_key_where(const struct config_node *map, size_t index);  // the same of a key
