// SPDX-License-Identifier: Apache-2.0
// The list of actions of the processors `attributes` and `resource`, with the keys and the meaning
// that the Collector gives them (opentelemetry-collector-contrib, attributesprocessor): insert,
// update, upsert, delete, hash (SHA-256, hex), extract, convert, one after the other, each seeing
// what those before it did. Left out, and refused by name: from_context (requests' metadata does
// not travel with parcels) and values that are lists or maps. A list of actions is immutable; any
// thread.
#pragma once

#include "base/option.h"
#include "base/pattern.h"
#include "proto/attribute.h"

#define ATTRIBUTE_ACTIONS_MAX 100

struct attribute_actions;

// Reads the list `node` (the value of key `key` at `path`). Faults are appended; NULL when there
// are any. Copies.
struct attribute_actions *attribute_actions_new(const struct config_node *node, const char *path,
                                                const char *key, struct option_errors *errors);
void attribute_actions_free(struct attribute_actions **actions);  // takes; accepts NULL inside

// Would an action change something of these attributes (fields `number` of `fields`)? Pure.
// `key_heads` as in item_view; 0: not known.
bool attribute_actions_apply(const struct attribute_actions *actions, struct bytes fields,
                             uint32_t number, uint64_t key_heads);

// What the actions make of one set of attributes. Reused from set to set; one thread.
struct attribute_changes;
struct attribute_changes *attribute_changes_new(void);
void attribute_changes_free(struct attribute_changes **changes);  // takes; accepts NULL inside
// Carries the actions out. False: more attributes than are looked at, or no memory; then there are
// no changes.
bool attribute_changes_make(struct attribute_changes *changes,
                            const struct attribute_actions *actions, struct bytes fields,
                            uint32_t number);
// The changes one by one, until false: a key that is gone (`field` empty), or the serialised field
// that it now has. Views into `fields` and `changes`, until the next make.
bool attribute_changes_next(struct attribute_changes *changes, struct bytes *key,
                            struct bytes *field);
void attribute_changes_rewind(struct attribute_changes *changes);  // the first is next
