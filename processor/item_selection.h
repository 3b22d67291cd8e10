// SPDX-License-Identifier: Apache-2.0
// Which spans and log records a processor edits: the Collector's `include` and `exclude` (contrib,
// filterconfig): all properties that are given must match, of a list any one entry (of `attributes`
// and `resources` all). match_type strict compares, regexp searches (unanchored). A property that
// an item does not have (span_names of a log record) does not match. Left out, refused by name:
// metric_names. A selection is immutable; any thread.
#pragma once

#include "base/option.h"
#include "base/pattern.h"
#include "proto/scan.h"

struct item_selection_config {  // what the rows below fill
    bool is_given;
    struct bytes match_type;
    struct option_texts services, span_names, span_kinds, log_bodies, log_severity_texts;
    struct option_texts metric_names;
    const struct config_node *attributes, *resources, *libraries, *log_severity_number, *regexp;
};
extern const struct option item_selection_options[];

struct item_selection;  // include and exclude together

// Faults are appended; NULL when there are any. Copies.
struct item_selection *item_selection_new(const struct item_selection_config *include,
                                          const struct item_selection_config *exclude,
                                          const struct config_node *node, const char *path,
                                          struct option_errors *errors);
void item_selection_free(struct item_selection **selection);  // takes; accepts NULL inside
bool item_selection_has(const struct item_selection *selection, const struct item_view *view);
