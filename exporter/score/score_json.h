// SPDX-License-Identifier: Apache-2.0
// What the JSON forms of scores share: members that are left out when empty, ids in hex, and a
// score with all its fields, as `webhook` and `file` write it. Pure; any thread.
#pragma once

#include "exporter/score/score_encoder.h"

void score_json_text(struct json_writer *json, const char *key, struct bytes text);
void score_json_hex(struct json_writer *json, const char *key, const uint8_t *id, size_t len);
// An object; see webhook.h for its members.
void score_json_record(struct json_writer *json, const struct score_entry *entry);
