// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON to protobuf bytes, streaming: YAJL's events drive a writer, no tree is ever built.
// Obeys OTLP 1.11 "JSON Protobuf Encoding" and the proto3 JSON mapping: trace and span ids in hex
// (either case), other bytes in base64 (standard or URL-safe, padding optional), 64-bit integers as
// number or string, enums as number or name, doubles also as "NaN", "Infinity", "-Infinity",
// lowerCamelCase and the original snake_case names, unknown names ignored, null is absent. A key
// that comes twice is written twice: the last wins, messages merge, as protobuf says. Ids of a
// wrong length are written as they are: the scanner leaves that one item out.
//
// Bounds: 256 levels of JSON; the output stays below twice the input or 4 MiB, whichever is more,
// and never beyond out->len_max, so that input, output and the parser's own buffer stay within
// three times the body. The order of the input is kept. Pure; any thread.
#pragma once

#include "base/buffer.h"
#include "proto/otlp.h"

// Appends the serialised Export{Trace,Logs,Metrics}ServiceRequest to `out`. RESULT_REJECT: not
// JSON, or a value that its field cannot take; RESULT_TOO_LARGE: beyond the bounds; RESULT_SHED:
// out of memory. On failure `why` gets a sentence that names the path and the byte offset
// ("resourceSpans[0].scopeSpans[2].spans[17].kind: not an enum value (at byte 4711)") and `out` is
// as long as it was.
enum result otlp_json_to_protobuf(enum signal signal, struct bytes json, struct buffer *out,
                                  char *why, size_t why_len) MUST_USE;
