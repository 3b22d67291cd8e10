# SPDX-License-Identifier: Apache-2.0
"""One plain form for spans, whoever wrote them down: what an SDK was told to send, protobuf that a
sink received, OTLP/JSON that a Collector wrote. Two spans are the same if their forms are equal.

A value is a pair of a type letter and a string or list, so that 1, 1.0, True and "1" differ.
"""

import json
import struct

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def plain_value(value):
    """Form of a value that was given to an SDK (or stands in an expectation file)."""
    if isinstance(value, bool):
        return ["b", value]
    if isinstance(value, int):
        return ["i", str(value)]
    if isinstance(value, float):
        return ["d", struct.pack(">d", value).hex()]
    if isinstance(value, str):
        return ["s", value]
    if isinstance(value, (list, tuple)):
        return ["a", [plain_value(item) for item in value]]
    raise TypeError(f"no form for {value!r}")


def plain_attributes(attributes):
    return {key: plain_value(value) for key, value in attributes.items()}


def proto_value(any_value):
    """Form of an AnyValue message."""
    kind = any_value.WhichOneof("value")
    if kind == "string_value":
        return ["s", any_value.string_value]
    if kind == "bool_value":
        return ["b", any_value.bool_value]
    if kind == "int_value":
        return ["i", str(any_value.int_value)]
    if kind == "double_value":
        return ["d", struct.pack(">d", any_value.double_value).hex()]
    if kind == "array_value":
        return ["a", [proto_value(item) for item in any_value.array_value.values]]
    if kind == "kvlist_value":
        return ["k", proto_attributes(any_value.kvlist_value.values)]
    if kind == "bytes_value":
        return ["x", any_value.bytes_value.hex()]
    return ["n", None]


def proto_attributes(attributes):
    return {item.key: proto_value(item.value) for item in attributes}


def proto_spans(bodies):
    """Forms of all spans in a list of serialised requests, in order."""
    found = []
    for body in bodies:
        request = ExportTraceServiceRequest.FromString(body)
        for resource_spans in request.resource_spans:
            resource = proto_attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                scope = {
                    "name": scope_spans.scope.name,
                    "version": scope_spans.scope.version,
                    "schema_url": scope_spans.schema_url,
                    "attributes": proto_attributes(scope_spans.scope.attributes),
                }
                for span in scope_spans.spans:
                    found.append(_proto_span(span, resource, scope))
    return found


def _proto_span(span, resource, scope):
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "trace_state": span.trace_state,
        "name": span.name,
        "kind": span.kind,
        "start": str(span.start_time_unix_nano),
        "end": str(span.end_time_unix_nano),
        "attributes": proto_attributes(span.attributes),
        "events": [
            {
                "name": event.name,
                "time": str(event.time_unix_nano),
                "attributes": proto_attributes(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": proto_attributes(link.attributes),
            }
            for link in span.links
        ],
        "status": [span.status.code, span.status.message],
        "scope": scope,
        "resource": resource,
    }


def file_bodies(path):
    """Serialised requests from the lines of a file that the Collector of the tests wrote."""
    from otlp_json import request_from_json

    try:
        with open(path, encoding="utf-8") as lines:
            text = lines.read()
    except FileNotFoundError:
        return []
    # The last line may be half written; it is read again at the next look.
    complete = text[: text.rfind("\n") + 1].splitlines()
    return [request_from_json(json.loads(line)).SerializeToString() for line in complete]


# Attributes that Sidejudge may add to a span that it graded.
ADDED = ("sidejudge.", "evaluations.")


def without_added(span):
    kept = {k: v for k, v in span["attributes"].items() if not k.startswith(ADDED)}
    return {**span, "attributes": kept}


def difference(expected, actual):
    """The first thing in which two lists of spans differ, in words; None if they are the same.

    Resource attributes of the SDK itself (telemetry.sdk.*) may come on top of those that were told.
    """
    by_id = {}
    for span in actual:
        by_id.setdefault((span["trace_id"], span["span_id"]), []).append(span)
    for span in expected:
        found = by_id.pop((span["trace_id"], span["span_id"]), [])
        if len(found) != 1:
            return f"span {span['name']!r} arrived {len(found)} times"
        reason = _span_difference(span, without_added(found[0]))
        if reason:
            return f"span {span['name']!r}: {reason}"
    if by_id:
        return f"{len(by_id)} spans arrived that nobody sent"
    return None


def _span_difference(expected, actual):
    for key, wanted in expected.items():
        got = actual[key]
        if key == "resource":
            got = {k: v for k, v in got.items() if not k.startswith("telemetry.sdk.")}
            wanted = {k: v for k, v in wanted.items() if not k.startswith("telemetry.sdk.")}
        if got != wanted:
            return f"{key} is {_short(got)}, told was {_short(wanted)}"
    return None


def _short(value):
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 300 else text[:300] + "..."
