# SPDX-License-Identifier: Apache-2.0
"""Sends spans with the official OpenTelemetry Python SDK, and writes down what it was told to send.

Usage: emit_python.py PROTOCOL COMPRESSION ENDPOINT EXPECTED
PROTOCOL is grpc or http/protobuf, COMPRESSION none or gzip, ENDPOINT a URL without path, EXPECTED
the file that gets the spans in the form of spans.py.
"""

import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from spans import plain_attributes

START_NS = 1_760_000_000_000_000_000
RESOURCE = {
    "service.name": "interop-python",
    "service.version": "3.2.1",
    "service.instance.id": "one",
    "tenant.tier": "enterprise",
    "replicas": 3,
}
KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
SCOPES = [
    ("interop.plain", "", "", {}),
    ("interop.full", "1.2.3", "https://opentelemetry.io/schemas/1.37.0", {"team": "search"}),
]
ATTRIBUTES = {
    "string": "value",
    "string.empty": "",
    "string.long": "0123456789abcdef" * 2048,
    "string.unicode": "gr\u00fc\u00df dich \u4e16\u754c \U0001f680",
    "string.control": "line\nbreak\ttab \"quote\" \\ end",
    "int": 42,
    "int.zero": 0,
    "int.negative": -1,
    "int.largest": 2**63 - 1,
    "int.smallest": -(2**63),
    "double": 0.1,
    "double.whole": 5.0,
    "double.tiny": 5e-324,
    "double.huge": 1.7976931348623157e308,
    "bool.true": True,
    "bool.false": False,
    "strings": ["a", "", "c"],
    "ints": [1, -2, 2**53 + 1],
    "doubles": [0.5, 1.0, -0.25],
    "bools": [True, False],
    "k" * 200: "a long key",
}


def exporter(protocol, compression, endpoint):
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        kinds = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}
        insecure = endpoint.startswith("http://")
        return OTLPSpanExporter(
            endpoint=endpoint, insecure=insecure, compression=kinds[compression]
        )
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    kinds = {"none": Compression.NoCompression, "gzip": Compression.Gzip}
    return OTLPSpanExporter(endpoint=endpoint + "/v1/traces", compression=kinds[compression])


class Emitter:
    def __init__(self, span_exporter):
        self.provider = TracerProvider(resource=Resource.create(RESOURCE))
        # Small batches, so that one run makes several requests.
        self.provider.add_span_processor(
            BatchSpanProcessor(span_exporter, max_export_batch_size=48, max_queue_size=4096)
        )
        self.scopes = [
            (
                self.provider.get_tracer(name, version, schema_url=schema_url, attributes=extra),
                {
                    "name": name,
                    "version": version,
                    "schema_url": schema_url,
                    "attributes": plain_attributes(extra),
                },
            )
            for name, version, schema_url, extra in SCOPES
        ]
        self.told = []
        self.now_ns = START_NS

    def emit(self, name, parent=None, scope=0, kind=SpanKind.INTERNAL, attributes=None,
             events=(), links=(), status=None):
        """Starts and ends one span; returns its context for children and links."""
        tracer, told_scope = self.scopes[scope]
        self.now_ns += 1_000_003
        start, end = self.now_ns, self.now_ns + 500_009
        context = None
        if parent is not None:
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        span = tracer.start_span(
            name, context=context, kind=kind, start_time=start, attributes=attributes,
            links=[Link(target, extra) for target, extra in links],
        )
        for event_name, offset_ns, extra in events:
            span.add_event(event_name, extra, timestamp=start + offset_ns)
        if status is not None:
            span.set_status(Status(*status))
        span.end(end_time=end)
        own = span.get_span_context()
        self.told.append(
            {
                "trace_id": f"{own.trace_id:032x}",
                "span_id": f"{own.span_id:016x}",
                "parent_span_id": f"{parent.span_id:016x}" if parent else "",
                "trace_state": own.trace_state.to_header(),
                "name": name,
                "kind": KINDS[kind],
                "start": str(start),
                "end": str(end),
                "attributes": plain_attributes(attributes or {}),
                "events": [
                    {"name": n, "time": str(start + o), "attributes": plain_attributes(a)}
                    for n, o, a in events
                ],
                "links": [
                    {
                        "trace_id": f"{target.trace_id:032x}",
                        "span_id": f"{target.span_id:016x}",
                        "attributes": plain_attributes(extra),
                    }
                    for target, extra in links
                ],
                "status": [status[0].value, status[1] or ""] if status else [0, ""],
                "scope": told_scope,
                "resource": plain_attributes(RESOURCE),
            }
        )
        return own

    def emit_all(self):
        root = self.emit("root", scope=1, kind=SpanKind.SERVER, attributes=ATTRIBUTES)
        parent = root
        for depth in range(12):
            parent = self.emit(f"level {depth}", parent=parent, scope=depth % 2)
        for index in range(150):
            kind = list(KINDS)[index % len(KINDS)]
            self.emit(f"child {index}", parent=root, kind=kind, attributes={"index": index})
        self.emit(
            "with events", parent=root, scope=1,
            events=[("first", 1, {}), ("second", 7, {"a": 1, "b": ["x", "y"]})],
        )
        self.emit("with links", links=[(root, {}), (parent, {"why": "follows"})])
        self.emit("failed", parent=root, status=(StatusCode.ERROR, "it broke: \u00e9"))
        self.emit("fine", parent=root, status=(StatusCode.OK, None))
        remote = SpanContext(
            trace_id=int("5b8efff798038103d269b633813fc60c", 16) ^ root.trace_id,
            span_id=0xEEE19B7EC3C1B174,
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
            trace_state=TraceState([("ot", "th:8"), ("vendor", "x1")]),
        )
        self.emit("behind a remote parent", parent=remote, kind=SpanKind.CONSUMER)


def main(protocol, compression, endpoint, expected):
    emitter = Emitter(exporter(protocol, compression, endpoint))
    emitter.emit_all()
    sent = emitter.provider.force_flush(20_000)
    emitter.provider.shutdown()
    with open(expected, "w", encoding="utf-8") as out:
        json.dump(emitter.told, out)
    if not sent:
        sys.exit("the SDK could not flush its spans")


if __name__ == "__main__":
    main(*sys.argv[1:])
