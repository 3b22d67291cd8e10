// SPDX-License-Identifier: Apache-2.0
// A bounded subset of JSON Schema (draft 2020-12) for the valid_json evaluator and for checking judge replies: type, enum, const,
// properties, required, additionalProperties (bool), items, minimum, maximum, minLength, maxLength, minItems, maxItems, pattern.
// Other keywords are refused when the schema is compiled, with the name of the keyword, so that nothing is silently unchecked
// (annotations title, description, $schema, $id, default, examples are allowed).
#pragma once

#include "base/json.h"

struct json_schema;

// RESULT_REJECT with a sentence in `why` (at most why_len bytes with NUL). Copies.
enum result json_schema_compile(struct bytes text, struct json_schema **schema, char *why, size_t why_len) MUST_USE;
void json_schema_free(struct json_schema **schema);
// True if the value conforms; else `why` gets "path: reason".
bool json_schema_check(const struct json_schema *schema, const struct json_value *value, char *why, size_t why_len);
