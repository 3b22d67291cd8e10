// SPDX-License-Identifier: Apache-2.0
// Where configuration text comes from: URIs of sources and sets. Private to the config_*.c files.
// Start and reload only; one thread.
#pragma once

#include "base/config_node.h"

// A source: bare path, "file:PATH", "env:NAME", "yaml:TEXT" (keys split at "::"). Errors, also
// RESULT_MISSING for a file or variable that is not there, are explained in config->errors.
enum result config_source_read(struct config *config, const char *uri,
                               struct config_node **node) MUST_USE;
// A set, "a.b=v", as nested maps around the YAML value v.
enum result config_source_read_set(struct config *config, const char *set,
                                   struct config_node **node) MUST_USE;
// What "${uri}" stands for: the value read as YAML, its text kept beside it. An unset variable
// without a default is a null, with a warning. Borrows `uri` (without "${" and "}").
enum result config_source_fetch(struct config *config, struct bytes uri, const char *where,
                                struct config_node **node) MUST_USE;
