# SPDX-License-Identifier: Apache-2.0
"""What passes through unread: logs, metrics, unknown fields, recorded traces as OTLP/JSON."""

import gzip
import json
import pathlib
import subprocess
import urllib.request

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from forwarding import EMIT_SECONDS_MAX, ARRIVE_SECONDS_MAX
from grpc_sink import GrpcSink
from http_sink import HttpSink
from otlp_json import request_from_json
from spans import difference, proto_attributes, proto_spans, proto_value
from subject import Forwarder

TRACES = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "traces"


def recorded():
    """Rows of the index of recorded traces, with the parsed OTLP/JSON of each."""
    rows = json.loads((TRACES / "index.json").read_text())
    return [(row, json.loads((TRACES / row["file"]).read_text())) for row in rows]


def post(url, body, content_type, encoding=None):
    headers = {"Content-Type": content_type}
    if encoding == "gzip":
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    request = urllib.request.Request(url, data=body, headers=headers)
    # Without this machine's proxies: the way is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return response.status, response.read()


def _log_forms(bodies):
    forms = []
    for body in bodies:
        for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope_logs in resource_logs.scope_logs:
                for record in scope_logs.log_records:
                    forms.append(
                        {
                            "time": str(record.time_unix_nano),
                            "severity": record.severity_number,
                            "body": proto_value(record.body),
                            "event_name": record.event_name,
                            "attributes": proto_attributes(record.attributes),
                        }
                    )
    return sorted(forms, key=lambda form: form["time"])


def _metric_sums(bodies):
    sums = {}
    for body in bodies:
        for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    for point in metric.sum.data_points:
                        sums[point.attributes[0].value.string_value] = point.as_int
                    for point in metric.histogram.data_points:
                        sums["duration.count"] = point.count
                        sums["duration.sum"] = point.sum
    return sums


def _signals_case(paths, subject, store, protocol):
    store.clear()
    expected = pathlib.Path(paths.directory) / f"signals_{protocol.replace('/', '_')}.json"
    url = subject.grpc_url if protocol == "grpc" else subject.http_url
    emitter = pathlib.Path(__file__).resolve().parent / "emit_signals.py"
    subprocess.run(
        [paths.python, emitter, protocol, url, expected], check=True, timeout=EMIT_SECONDS_MAX
    )
    told = json.loads(expected.read_text())
    store.wait(
        lambda: len(_log_forms(store.bodies("logs"))) >= len(told["logs"])
        and len(_metric_sums(store.bodies("metrics"))) >= len(told["metrics"]),
        ARRIVE_SECONDS_MAX,
    )
    if _log_forms(store.bodies("logs")) != told["logs"]:
        return f"{len(_log_forms(store.bodies('logs')))} log records differ from those told"
    if _metric_sums(store.bodies("metrics")) != told["metrics"]:
        return f"metrics are {_metric_sums(store.bodies('metrics'))}, told {told['metrics']}"
    return None


def _varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number, body):
    return _varint(number << 3 | 2) + _varint(len(body)) + body


# Fields that no version of OTLP has, of every wire type: 1000 as bytes, 1001 as varint, 1002 as
# 64 bits, 1003 as 32 bits.
UNKNOWN = (
    _field(1000, b"from the future")
    + _varint(1001 << 3)
    + _varint(2**64 - 1)
    + _varint(1002 << 3 | 1)
    + b"12345678"
    + _varint(1003 << 3 | 5)
    + b"1234"
)


def _with_unknown_fields(request):
    """The request with UNKNOWN in each span, scope, resource and group; also the spans' bytes."""
    spans, groups = [], b""
    for resource_spans in request.resource_spans:
        resource = resource_spans.resource.SerializeToString() + UNKNOWN
        group = _field(1, resource)
        for scope_spans in resource_spans.scope_spans:
            scope = _field(1, scope_spans.scope.SerializeToString() + UNKNOWN)
            for span in scope_spans.spans:
                spans.append(span.SerializeToString() + UNKNOWN)
                scope += _field(2, spans[-1])
            group += _field(2, scope + UNKNOWN)
        groups += _field(1, group + UNKNOWN)
    return groups, spans


def _bytes_case(subject, store):
    wanted = []
    for number, (_, tree) in enumerate(recorded()):
        body, spans = _with_unknown_fields(request_from_json(tree))
        wanted += spans
        encoding = "gzip" if number % 2 else None
        status, _ = post(
            subject.http_url + "/v1/traces", body, "application/x-protobuf", encoding
        )
        if status != 200:
            return f"status {status}"

    def missing():
        received = b"".join(store.bodies("traces"))
        return [span for span in wanted if received.count(_field(2, span)) != 1]

    store.wait(lambda: not missing(), ARRIVE_SECONDS_MAX)
    left = missing()
    return f"{len(left)} of {len(wanted)} spans did not arrive once, as they were" if left else None


def _json_case(subject, store, tree):
    store.clear()
    status, reply = post(
        subject.http_url + "/v1/traces", json.dumps(tree).encode(), "application/json"
    )
    if status != 200 or json.loads(reply).get("partialSuccess"):
        return f"status {status}: {reply!r}"
    expected = proto_spans([request_from_json(tree).SerializeToString()])
    store.wait(
        lambda: len(proto_spans(store.bodies("traces"))) >= len(expected), ARRIVE_SECONDS_MAX
    )
    return difference(expected, proto_spans(store.bodies("traces")))


def passing_cases(report, paths, own):
    """Each case once towards an HTTP backend and once towards a gRPC one."""
    for way in ("otlp_http", "otlp_grpc"):
        sink = HttpSink() if way == "otlp_http" else GrpcSink()
        exporter = {"compression": "none"}
        if way == "otlp_http":
            exporter["endpoint"] = sink.url
        else:
            exporter.update(endpoint=sink.endpoint, tls={"insecure": True})
        try:
            subject = Forwarder(
                f"passing_{way}", paths.program, {way: exporter}, paths.directory, own_api=own
            )
            try:
                _cases_of_one_way(report, paths, subject, sink.store, way, own)
            finally:
                report.add(f"passing_{way}_exits_with_0", subject.end_reason())
        finally:
            sink.close()


def _cases_of_one_way(report, paths, subject, store, way, own):
    for protocol in ("grpc", "http/protobuf"):
        report.guard(
            f"logs_and_metrics_{protocol.replace('/', '_')}_{way}_to_sink",
            lambda protocol=protocol: _signals_case(paths, subject, store, protocol),
        )
    store.clear()
    if own:
        # The real Collector decodes and encodes again, which loses what it does not know.
        report.guard(f"unknown_fields_survive_{way}", lambda: _bytes_case(subject, store))
    for row, tree in recorded():
        name = row["file"].removesuffix(".json")
        report.guard(
            f"recorded_{name}_as_json_{way}", lambda tree=tree: _json_case(subject, store, tree)
        )
