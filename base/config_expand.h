// SPDX-License-Identifier: Apache-2.0
// "${...}" in scalars, replaced over a merged configuration. Private to the config_*.c files.
#pragma once

#include "base/config_node.h"

#define CONFIG_EXPAND_DEPTH_MAX 16    // references inside references or inside fetched maps
#define CONFIG_EXPAND_COUNT_MAX 2000  // looks at a "${" in one configuration

// Replaces references below `*node`, which may become another node. Keys are left alone.
enum result config_expand(struct config *config, struct config_node **node) MUST_USE;
