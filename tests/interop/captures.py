# SPDX-License-Identifier: Apache-2.0
"""Public captures of agent telemetry as OTLP, if they lie beside the project.

They are not part of it: ../shared/fixtures holds them, with a README on sources and licences.
Where the folder is missing there are no cases. Each capture is a list of spans in one JSON form or
another.
"""

import hashlib
import json
import pathlib

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = PROJECT.parent / "shared" / "fixtures"
START_NS = 1_760_000_000_000_000_000


def _put(any_value, value):
    if isinstance(value, bool):
        any_value.bool_value = value
    elif isinstance(value, int):
        any_value.int_value = value
    elif isinstance(value, float):
        any_value.double_value = value
    elif isinstance(value, str):
        any_value.string_value = value
    elif isinstance(value, list):
        any_value.array_value.SetInParent()
        for item in value:
            _put(any_value.array_value.values.add(), item)
    elif isinstance(value, dict):
        any_value.kvlist_value.SetInParent()
        _put_all(any_value.kvlist_value.values, value)


def _put_all(attributes, values):
    for key, value in values.items():
        item = attributes.add(key=key)
        _put(item.value, value)


def _id(text, size):
    """Captures name spans in many ways; what matters is that equal names stay equal."""
    return hashlib.sha256(str(text).encode()).digest()[:size]


def _nanoseconds(value):
    if isinstance(value, list):
        return value[0] * 1_000_000_000 + value[1]
    return int(value) if value else START_NS


def _put_span(request, span, name):
    context = span.get("spanContext") or {}
    resource_spans = request.resource_spans.add()
    _put_all(resource_spans.resource.attributes, {"service.name": name})
    scope_spans = resource_spans.scope_spans.add()
    scope = span.get("scope") or span.get("instrumentationScope") or {}
    scope_spans.scope.name = scope.get("name") or span.get("scopeName") or ""
    out = scope_spans.spans.add()
    # Two captures may hold the same trace: each has its own.
    trace = span.get("trace_id") or context.get("traceId") or "one"
    own = span.get("span_id") or context.get("spanId") or "one"
    parent = span.get("parent_span_id") or (span.get("parentSpanContext") or {}).get("spanId")
    out.trace_id = _id(f"{name} {trace}", 16)
    out.span_id = _id(own, 8)
    out.parent_span_id = _id(parent, 8) if parent else b""
    out.name = span.get("name") or span.get("spanName") or "span"
    out.kind = 1
    out.flags = 0x100
    out.start_time_unix_nano = _nanoseconds(span.get("start_time") or span.get("startTime"))
    out.end_time_unix_nano = _nanoseconds(span.get("end_time") or span.get("endTime")) + 1
    code = (span.get("status") or {}).get("code")
    out.status.code = {"OK": 1, "ERROR": 2, 1: 1, 2: 2}.get(code, 0)
    _put_all(out.attributes, span.get("attributes") or {})
    for event in span.get("span_events") or span.get("events") or []:
        made = out.events.add(name=event.get("event_name") or event.get("name") or "event")
        _put_all(made.attributes, event.get("attributes") or {})


def _spans_of(tree):
    """The list of spans in a capture, whatever is around it; None if it is something else."""
    if isinstance(tree, dict) and isinstance(tree.get("spans"), list):
        tree = tree["spans"]
    if isinstance(tree, dict) and isinstance(tree.get("attributes"), dict):
        return [tree]
    if isinstance(tree, dict) and any("." in key for key in tree):
        return [{"name": "span", "attributes": tree}]
    if isinstance(tree, list) and tree and all(isinstance(s, dict) for s in tree):
        return tree if all("attributes" in s for s in tree) else None
    return None


def captured():
    """Pairs of a name and a request, in a fixed order; empty without the folder."""
    pairs = []
    for path in sorted(FOLDER.rglob("*.json")):
        spans = _spans_of(json.loads(path.read_text(encoding="utf-8")))
        if not spans:
            continue
        name = path.stem.replace("-", "_").replace(".", "_")
        request = ExportTraceServiceRequest()
        for span in spans:
            _put_span(request, span, name)
        pairs.append((name, request))
    return pairs


def _attribute(span, key):
    """A string attribute of a span in the form of spans.py; JSON is parsed."""
    text = span["attributes"].get(key, ["s", ""])[1]
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _text_of(messages, role):
    """Text of the last message of a role that has any."""
    for message in reversed(messages):
        texts = [p.get("content", "") for p in message.get("parts", []) if p.get("type") == "text"]
        if message.get("role") == role and any(texts):
            return "".join(texts)
    return ""


def _genai_root(spans):
    root = next(s for s in spans if not s["parent_span_id"])
    return (
        _text_of(_attribute(root, "gen_ai.input.messages"), "user"),
        _text_of(_attribute(root, "gen_ai.output.messages"), "assistant"),
    )


def _genai_last_model_span(spans):
    """The outer agent's last model span; its user turn is the whole trace's."""
    models = [s for s in spans if "gen_ai.output.messages" in s["attributes"]]
    last = max(models, key=lambda s: int(s["end"]))
    return (
        _text_of(_attribute(last, "gen_ai.input.messages"), "user"),
        _text_of(_attribute(last, "gen_ai.output.messages"), "assistant"),
    )


def _openinference_flat(spans):
    prefix = ".message.contents.0.message_content.text"
    return (
        _attribute(spans[0], "llm.input_messages.0" + prefix),
        _attribute(spans[0], "llm.output_messages.0" + prefix),
    )


# Captures in the dialects that are read, and where their question and answer stand. Of the others
# only forwarding is checked.
STRICT = {
    "otel_genai_convention_spans": _genai_root,
    "openai_agents_genai_live_spans": _genai_last_model_span,
    "otel_genai_client_span_tool_calls": _genai_root,
    "openinference_client_span_tool_calls": _openinference_flat,
}
