# SPDX-License-Identifier: Apache-2.0
"""OTLP/JSON to and from the official message classes.

protobuf's own JSON mapping writes bytes as base64; OTLP/JSON writes ids in hexadecimal.
"""

import base64
import json

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ID_KEYS = ("traceId", "spanId", "parentSpanId")


def _map_ids(node, convert):
    if isinstance(node, list):
        return [_map_ids(item, convert) for item in node]
    if isinstance(node, dict):
        return {
            key: convert(value) if key in ID_KEYS else _map_ids(value, convert)
            for key, value in node.items()
        }
    return node


def request_from_json(tree):
    """An ExportTraceServiceRequest from parsed OTLP/JSON; unknown fields are ignored."""
    in_base64 = _map_ids(tree, lambda value: base64.b64encode(bytes.fromhex(value)).decode())
    return ParseDict(in_base64, ExportTraceServiceRequest(), ignore_unknown_fields=True)


def request_to_json(request):
    """The tree of OTLP/JSON for a request."""
    tree = MessageToDict(request, use_integers_for_enums=True)
    return _map_ids(tree, lambda value: base64.b64decode(value).hex())


def write_pretty(node, depth=0):
    """Pretty-printed, but with one line for each attribute."""
    pad = " " * depth
    if isinstance(node, dict) and node and "key" not in node:
        rows = (f"{pad} {json.dumps(key)}: {write_pretty(node[key], depth + 1)}" for key in node)
        return "{\n" + ",\n".join(rows) + f"\n{pad}}}"
    if isinstance(node, list) and node:
        rows = (f"{pad} {write_pretty(item, depth + 1)}" for item in node)
        return "[\n" + ",\n".join(rows) + f"\n{pad}]"
    return json.dumps(node)
