// SPDX-License-Identifier: Apache-2.0
// What of an agent's request may be passed on, and what of its fields and the backend's stays
// behind. Pure; any thread.
#pragma once

#include "base/bytes.h"

#define RELAY_PREFIX "/api/public/"

// Byte for byte below RELAY_PREFIX, and the same place whoever reads it: only characters that a
// path has (RFC 3986 3.3) and whole percent-encodings, no "//", no "..", no dot segment, and no
// encoding of a slash, a backslash, a percent sign's target that is a control character, or of the
// dots of a dot segment.
bool relay_path_is_sound(struct bytes path);
// Printable ASCII without "#" and "\".
bool relay_query_is_sound(struct bytes query);
// The method's literal where Langfuse's API uses it; else NULL.
const char *relay_method(struct bytes method);
// A value that fits on one line in every version of HTTP.
bool relay_value_is_sound(struct bytes value);
bool relay_name_is_sound(struct bytes name);  // a token (RFC 9110 5.6.2)
// Of one connection only (RFC 9110 7.6.1): the known ones.
bool relay_field_is_of_hop(struct bytes name);
// Does the list, the value of a field Connection, name it?
bool relay_list_names(struct bytes list, struct bytes name);
