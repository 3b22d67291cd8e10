# SPDX-License-Identifier: Apache-2.0
"""A real Collector as the backend of an agent's stream: killed, stopped and started again on its
ports while requests come, and as the third party of a loop."""

import pathlib
import threading
import time

import grpc

from forwarding import ARRIVE_SECONDS_MAX
from http_sink import HttpSink
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from passing import post
from phoenix_server import until
from spans import file_bodies, proto_spans, without_added
from subject import Forwarder, Subject, free_ports, metrics_reader, otlp_receiver

SPANS_PER_REQUEST = 4
REQUESTS_MAX = 20_000
# Between requests, so that a stream of seconds has thousands of spans, not millions.
PACE_SECONDS = 0.004
# How it ends, each time while it takes spans; it comes back after so many more requests.
ENDS = ("kill", "stop", "kill")
REQUESTS_WHILE_AWAY = 60
RETRY = {"initial_interval": "50ms", "max_interval": "300ms", "max_elapsed_time": "60s"}
WAYS = ("otlp_http", "otlp_http_zstd", "otlp_grpc")
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
START_NS = 1_760_000_000_000_000_000
# How often a span may pass in a loop: DESIGN 1 lets the third time go no further.
PASSES_MAX = 3
MARKERS = 6


def _request(number, spans_count=SPANS_PER_REQUEST, name="step"):
    """Ids are the number's, so that each span can be told apart."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "stream"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "interop.stream"
    for index in range(spans_count):
        span = scope_spans.spans.add(name=f"{name} {index}", kind=1)
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = (number * 1000 + index + 1).to_bytes(8, "big")
        span.start_time_unix_nano = START_NS + number
        span.end_time_unix_nano = START_NS + number + 1000
        span.attributes.add(key="text").value.string_value = f"request {number} " * 20
    return request


class RestartedCollector:
    """Keeps its ports; each life has files of its own, for a killed one may leave half a line."""

    def __init__(self, name, program, directory):
        self._name = f"restarted_{name}"
        self._program = program
        self._directory = pathlib.Path(directory)
        self.ports = dict(zip(WAYS, free_ports(len(WAYS))))
        self._lives = 0
        self._subject = None

    def start(self):
        self._lives += 1
        receivers, exporters, pipelines = {}, {}, {}
        for way, port in self.ports.items():
            grpc_port, http_port = (port, 0) if way == "otlp_grpc" else (0, port)
            receivers[f"otlp/{way}"] = otlp_receiver(grpc_port, http_port)
            exporters[f"file/{way}"] = {"path": str(self._file(way, self._lives))}
            pipelines[f"traces/{way}"] = {
                "receivers": [f"otlp/{way}"], "exporters": [f"file/{way}"]
            }
        config = {
            "receivers": receivers,
            "exporters": exporters,
            "service": {"telemetry": metrics_reader(free_ports(1)[0]), "pipelines": pipelines},
        }
        self._subject = Subject(
            f"{self._name}_{self._lives}", self._program, config, self.ports.values(),
            self._directory,
        )

    def _file(self, way, life):
        return self._directory / f"{self._name}_{way}_{life}.json"

    def end(self, how):
        if how == "kill":
            self._subject.kill()
        else:
            self._subject.stop()

    def receives(self):
        """Waits until this life has taken something on every way."""
        files = [self._file(way, self._lives) for way in WAYS]
        return until(
            lambda: [file.exists() and file.stat().st_size > 0 for file in files], all,
            ARRIVE_SECONDS_MAX,
        )

    def bodies(self, way):
        return [
            body
            for life in range(1, self._lives + 1)
            for body in file_bodies(self._file(way, life))
        ]

    def exporters(self):
        http = {"retry_on_failure": RETRY}
        return {
            "otlp_http/plain": {
                "endpoint": f"http://127.0.0.1:{self.ports['otlp_http']}", **http
            },
            "otlp_http/zstd": {
                "endpoint": f"http://127.0.0.1:{self.ports['otlp_http_zstd']}",
                "compression": "zstd", **http,
            },
            "otlp_grpc": {
                "endpoint": f"127.0.0.1:{self.ports['otlp_grpc']}",
                "tls": {"insecure": True}, **http,
            },
        }


class Stream:
    """An agent with one exporter on HTTP and one on gRPC, which send until they are told to end."""

    def __init__(self, subject):
        self._subject = subject
        self.acknowledged = []
        self.errors = []
        self._changed = threading.Condition()
        self._ended = False
        self._channel = grpc.insecure_channel(f"127.0.0.1:{subject.grpc_port}")
        self._export = self._channel.unary_unary(EXPORT)
        senders = (self._post, self._call)
        self._threads = [
            threading.Thread(target=self._send, args=(range(start, REQUESTS_MAX, 2), sender))
            for start, sender in enumerate(senders)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, more):
        """Waits until so many more requests have been acknowledged."""
        with self._changed:
            goal = len(self.acknowledged) + more
            return self._changed.wait_for(
                lambda: len(self.acknowledged) >= goal, ARRIVE_SECONDS_MAX
            )

    def end(self):
        self._ended = True
        for thread in self._threads:
            thread.join()
        self._channel.close()

    def _send(self, numbers, send):
        for number in numbers:
            if self._ended:
                return
            try:
                send(_request(number).SerializeToString())
            except (OSError, grpc.RpcError) as error:
                self.errors.append(f"request {number}: {error}")
                continue
            with self._changed:
                self.acknowledged.append(number)
                self._changed.notify_all()
            time.sleep(PACE_SECONDS)

    def _post(self, body):
        post(self._subject.http_url + "/v1/traces", body, "application/x-protobuf")

    def _call(self, body):
        self._export(body, timeout=20)


def _sent_forms(numbers):
    forms = {}
    for number in numbers:
        for span in proto_spans([_request(number).SerializeToString()]):
            forms[span["span_id"]] = span
    return forms


def _arrived_reason(collector, way, acknowledged):
    """Every acknowledged span, as it was sent, and none that was not; a request whose answer was
    lost with the Collector may have come twice."""
    sent = _sent_forms(acknowledged)

    def look():
        return proto_spans(collector.bodies(way))

    spans = until(
        look, lambda seen: len({s["span_id"] for s in seen}) >= len(sent), ARRIVE_SECONDS_MAX
    )
    missing = set(sent) - {span["span_id"] for span in spans}
    if missing:
        return f"{len(missing)} of {len(sent)} acknowledged spans did not arrive"
    for span in spans:
        if span["span_id"] not in sent:
            return f"span {span['span_id']} was never sent"
        if without_added(span) != sent[span["span_id"]]:
            return f"span {span['span_id']} is not as it was sent: {span}"
    # What was on its way when an answer was lost, for each end; not the whole stream again.
    twice = len(spans) - len(sent)
    return f"{twice} spans came twice" if twice > len(sent) // 2 else None


def _restart(collector, stream):
    for number, how in enumerate(ENDS, start=1):
        if not all(collector.receives()):
            return f"life {number} of the Collector took nothing on one of {WAYS}"
        collector.end(how)
        stream.wait_for(REQUESTS_WHILE_AWAY)
        collector.start()
    return None if all(collector.receives()) else "the last life took nothing"


def _restart_cases(report, paths, name, processors, own):
    collector = RestartedCollector(name, paths.collector, paths.directory)
    collector.start()
    subject = None
    try:
        subject = Forwarder(
            f"restart_{name}", paths.program, collector.exporters(), paths.directory,
            processors=processors, own_api=own, signals=("traces",),
        )
        stream = Stream(subject)
        try:
            reason = _restart(collector, stream)
        finally:
            stream.end()
        report.add(f"restarted_collector_{name}_takes_the_stream_again", reason)
        refused = "; ".join(stream.errors[:2]) or None
        report.add(f"restarted_collector_{name}_stream_is_acknowledged", refused)
        for way in WAYS:
            report.guard(
                f"restarted_collector_{name}_{way}",
                lambda way=way: _arrived_reason(collector, way, stream.acknowledged),
            )
    finally:
        if subject:
            report.add(f"restart_{name}_exits_with_0", subject.end_reason())
        collector.end("stop")


class Looping:
    """Sidejudge sends to a sink and to a Collector, and the Collector back to Sidejudge."""

    def __init__(self, paths, protocol):
        self.sink = HttpSink()
        grpc_port, http_port, metrics_port = free_ports(3)
        plain = {"compression": "none", "retry_on_failure": RETRY}
        if protocol == "grpc":
            out = {"otlp_grpc": {
                "endpoint": f"127.0.0.1:{grpc_port}", "tls": {"insecure": True}, **plain
            }}
        else:
            out = {"otlp_http/collector": {"endpoint": f"http://127.0.0.1:{http_port}", **plain}}
        exporters = {"otlp_http/sink": {"endpoint": self.sink.url, **plain}, **out}
        self.subject = Forwarder(
            f"loop_{protocol}", paths.program, exporters, paths.directory, signals=("traces",)
        )
        if protocol == "grpc":
            back = {"otlp_grpc": {
                "endpoint": f"127.0.0.1:{self.subject.grpc_port}", "tls": {"insecure": True}
            }}
        else:
            back = {"otlp_http": {"endpoint": self.subject.http_url}}
        config = {
            "receivers": {"otlp": otlp_receiver(grpc_port, http_port)},
            "exporters": back,
            "service": {
                "telemetry": metrics_reader(metrics_port),
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": list(back)}},
            },
        }
        self.collector = Subject(
            f"loop_collector_{protocol}", paths.collector, config, (grpc_port, http_port),
            paths.directory,
        )

    def send(self, number, name):
        body = _request(number, name=name).SerializeToString()
        post(self.subject.http_url + "/v1/traces", body, "application/x-protobuf")

    def passes(self, name):
        """How often the sink got the first span of a request."""
        spans = proto_spans(self.sink.store.bodies("traces"))
        return sum(span["name"] == f"{name} 0" for span in spans)

    def close(self):
        self.collector.stop()
        reason = self.subject.end_reason()
        self.sink.close()
        return reason


def _loop_case(paths, protocol):
    """One request, then markers one after the other, each through the loop twice: if the first went
    on for ever, it would have passed once more with each."""
    loop = Looping(paths, protocol)
    try:
        for number, name in enumerate(["first"] + [f"marker{i}" for i in range(MARKERS)]):
            loop.send(number, name)
            if not loop.sink.store.wait(lambda: loop.passes(name) >= 2, ARRIVE_SECONDS_MAX):
                return f"{name} came {loop.passes(name)} times: there is no loop to end"
        passes = loop.passes("first")
    finally:
        reason = loop.close()
    if passes > PASSES_MAX:
        return f"one request passed {passes} times while {MARKERS} others followed it"
    return reason


def collector_cases(report, paths, own):
    _restart_cases(report, paths, "forwarding", {}, own)
    if own:
        _restart_cases(report, paths, "evaluation", {"evaluation": {}}, own)


def loop_cases(report, paths):
    for protocol in ("http", "grpc"):
        report.guard(
            f"loop_through_a_collector_{protocol}_ends",
            lambda protocol=protocol: _loop_case(paths, protocol),
        )
