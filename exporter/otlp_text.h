// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON from protobuf bytes (OTLP 1.11 "JSON Protobuf Encoding"): lowerCamelCase names, ids in
// hex, 64-bit integers as strings, enums as numbers, bytes in base64. What the bytes do not hold is
// left out, unknown fields too. Written straight from the wire by the table of proto/schema,
// without decoding. Pure; any thread.
#pragma once

#include "base/buffer.h"
#include "proto/schema.h"

// Appends one JSON object without a newline. Malformed parts, which validated requests do not have,
// end the message in which they stand.
void otlp_text_write(enum signal signal, struct bytes request, struct buffer *out);
// The same for any message, e.g. a metric.
void otlp_text_write_message(enum schema_message type, struct bytes message, struct buffer *out);
