// SPDX-License-Identifier: Apache-2.0
// A bounded subset of JSON Schema (draft 2020-12) for the valid_json evaluator and for checking
// judge replies: type, enum, const, properties, required, additionalProperties (bool), items,
// minimum, maximum, minLength, maxLength, minItems, maxItems, pattern; also true and false as
// schemas. Other keywords are refused when the schema is compiled, with the name of the keyword, so
// that nothing is silently unchecked (annotations title, description, $schema, $id, $comment,
// default, examples are allowed). A compiled schema is immutable and shared by threads.
#pragma once

#include "base/json.h"

struct json_schema;

// RESULT_REJECT with a sentence in `why` (at most why_len bytes with NUL), RESULT_TOO_LARGE as
// json_parse. Copies.
enum result json_schema_compile(struct bytes text, struct json_schema **schema, char *why,
                                size_t why_len) MUST_USE;
void json_schema_free(struct json_schema **schema);  // takes; accepts NULL inside
// True if the value conforms; else `why` gets "path: reason", the path as in "$.scores[0].value".
// The first fault found is told. Values that are too costly to match against a pattern do not
// conform.
bool json_schema_check(const struct json_schema *schema, const struct json_value *value, char *why,
                       size_t why_len);
