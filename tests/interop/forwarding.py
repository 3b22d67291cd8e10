# SPDX-License-Identifier: Apache-2.0
"""Official SDK exporters through the subject, into sinks and into a real Collector.

One subject has five exporters at once, so each run of an SDK gives five comparisons.
"""

import json
import os
import pathlib
import subprocess
import time

from grpc_sink import GrpcSink
from http_sink import HttpSink
from spans import difference, file_bodies, proto_spans
from subject import Backend, Certificate, Forwarder

EMIT_SECONDS_MAX = 90
ARRIVE_SECONDS_MAX = 30

# Emitter, protocol, compression, which port.
RUNS = [
    ("python", "grpc", "none", "grpc"),
    ("python", "grpc", "gzip", "grpc"),
    ("python", "http/protobuf", "none", "http"),
    ("python", "http/protobuf", "gzip", "http"),
    ("node", "grpc", "none", "grpc"),
    ("node", "grpc", "gzip", "grpc"),
    ("node", "http/protobuf", "none", "http"),
    ("node", "http/protobuf", "gzip", "http"),
    ("node", "http/json", "none", "http"),
    ("node", "http/json", "gzip", "http"),
]
# The commonest mistake: the right endpoint with the other protocol's port.
SWAPPED = [
    ("python", "grpc", "none", "http"),
    ("python", "http/protobuf", "gzip", "grpc"),
    ("node", "grpc", "gzip", "http"),
    ("node", "http/json", "none", "grpc"),
]


def run_name(run):
    emitter, protocol, compression, port = run
    name = f"{emitter}_{protocol.replace('/', '_')}_{compression}"
    swapped = (protocol == "grpc") != (port == "grpc")
    return f"{name}_on_{port}_port" if swapped else name


RETRY = {"initial_interval": "100ms", "max_interval": "1s", "max_elapsed_time": "20s"}


class Destinations:
    """Two sinks and a Collector, and the subject's exporters that lead to them."""

    def __init__(self, collector, directory):
        self.http = HttpSink()
        self.grpc = GrpcSink()
        self.backend = Backend(collector, directory)

    def exporters(self):
        plain = {"compression": "none", "retry_on_failure": RETRY}
        return {
            "otlp_http/sink": {"endpoint": self.http.url, **plain},
            "otlp_grpc/sink": {"endpoint": self.grpc.endpoint, "tls": {"insecure": True}, **plain},
            **backend_exporters(self.backend),
        }

    def readers(self):
        """Name of each destination, and a function that gives the bodies that it has."""
        return {
            "otlp_http_to_sink": lambda: self.http.store.bodies("traces"),
            "otlp_grpc_to_sink": lambda: self.grpc.store.bodies("traces"),
            **backend_readers(self.backend),
        }

    def close(self):
        self.http.close()
        self.grpc.close()
        self.backend.stop()


class SecureDestinations:
    """The Collector alone, by TLS."""

    def __init__(self, collector, directory, certificate):
        self.backend = Backend(collector, directory, certificate)
        self._certificate = certificate

    def exporters(self):
        return backend_exporters(self.backend, self._certificate)

    def readers(self):
        return backend_readers(self.backend)

    def close(self):
        self.backend.stop()


def backend_exporters(backend, certificate=None):
    common = {"retry_on_failure": RETRY, "tls": {"insecure": True}}
    scheme = "http"
    if certificate:
        common["tls"] = {"ca_file": certificate.file}
        scheme = "https"
    made = {}
    for way, compression in (("otlp_http", "gzip"), ("otlp_http_zstd", "zstd")):
        made[f"otlp_http/{way}"] = {
            "endpoint": f"{scheme}://127.0.0.1:{backend.ports[way]}",
            "compression": compression,
            **common,
        }
    made["otlp_grpc/backend"] = {
        "endpoint": f"127.0.0.1:{backend.ports['otlp_grpc']}",
        "compression": "gzip",
        **common,
    }
    return made


def backend_readers(backend):
    return {
        f"{way}_to_collector": lambda path=path: file_bodies(path)
        for way, path in backend.files.items()
    }


def emit(run, subject, paths, certificate=None):
    """Runs one SDK; returns the spans that it was told to send."""
    emitter, protocol, compression, port = run
    expected = pathlib.Path(paths.directory) / f"{run_name(run)}.json"
    here = pathlib.Path(__file__).resolve().parent
    if emitter == "python":
        command = [paths.python, here / "emit_python.py"]
    else:
        command = ["node", pathlib.Path(paths.node) / "emit_node.mjs"]
    url = subject.grpc_url if port == "grpc" else subject.http_url
    # Nothing of this machine's proxies and authorities: the way is loopback.
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    if certificate:
        environment["OTEL_EXPORTER_OTLP_CERTIFICATE"] = certificate.file
        environment["NODE_EXTRA_CA_CERTS"] = certificate.file
    subprocess.run(
        [*command, protocol, compression, url, expected],
        check=True,
        env=environment,
        timeout=EMIT_SECONDS_MAX,
        stdout=subprocess.DEVNULL,
    )
    return json.loads(expected.read_text())


def arrived(read, expected):
    """Waits until as many spans of these traces came as were sent; returns them all."""
    traces = {span["trace_id"] for span in expected}
    deadline = time.monotonic() + ARRIVE_SECONDS_MAX
    while True:
        found = [span for span in proto_spans(read()) if span["trace_id"] in traces]
        if len(found) >= len(expected) or time.monotonic() > deadline:
            return found
        # Sinks could be waited for, but the Collector's file can only be read again.
        time.sleep(0.05)


def run_cases(report, prefix, runs, subject, destinations, paths, certificate=None):
    for run in runs:
        name = f"{prefix}{run_name(run)}"
        try:
            expected = emit(run, subject, paths, certificate)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            for way in destinations.readers():
                report.add(f"{name}_{way}", f"the SDK failed: {error}")
            continue
        for way, read in destinations.readers().items():
            report.guard(
                f"{name}_{way}",
                lambda read=read: difference(expected, arrived(read, expected)),
            )


def _cases_of(report, name, runs, paths, destinations, **options):
    """Runs against one subject, which is named for what it is and must end well."""
    subject = Forwarder(
        name, paths.program, destinations.exporters(), paths.directory, **options
    )
    try:
        prefix = "" if name == "plain" else f"{name}_"
        certificate = options.get("certificate")
        run_cases(report, prefix, runs, subject, destinations, paths, certificate)
    finally:
        report.add(f"{name}_exits_with_0", subject.end_reason())


def forwarding_cases(report, paths, own):
    """`own` False: the subject is the real Collector, which has neither of Sidejudge's parts."""
    destinations = Destinations(paths.collector, paths.directory)
    try:
        runs = RUNS + (SWAPPED if own else [])
        _cases_of(report, "plain", runs, paths, destinations, own_api=own)
        if own:
            _cases_of(
                report, "evaluation", RUNS[2:6], paths, destinations, processors={"evaluation": {}}
            )
    finally:
        destinations.close()


def secure_cases(report, paths, own):
    """TLS on both sides; both protocols name themselves by ALPN."""
    certificate = Certificate(paths.directory)
    destinations = SecureDestinations(paths.collector, paths.directory, certificate)
    try:
        runs = [RUNS[1], RUNS[2], RUNS[5], RUNS[8]]
        runs += SWAPPED if own else []
        _cases_of(
            report, "tls", runs, paths, destinations, own_api=own, certificate=certificate
        )
    finally:
        destinations.close()
