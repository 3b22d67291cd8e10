# SPDX-License-Identifier: Apache-2.0
"""Starts a Collector (Sidejudge, or the real one) with a configuration, and ends it again."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
KEPT_VARIABLES = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")


def free_ports(count):
    """Ports that were free a moment ago. All are held until all are known, so they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def _accepts(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Program:
    """A running program with an environment of its own: nothing of this machine's proxies and keys
    reaches it, options of sanitizers do. Two steps, so that several can start at a time."""

    def __init__(self, name, command, directory, environment=None):
        self.name = name
        self.log = pathlib.Path(directory) / f"{name}.log"
        kept = {k: v for k, v in os.environ.items() if k in KEPT_VARIABLES}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**kept, **(environment or {})},
            )

    def wait_until_it_listens(self, ports, seconds=START_SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while not all(_accepts(port) for port in ports):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{self.log_end()}")
            time.sleep(0.05)

    def wait_until_it_ended(self, seconds):
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self.name} did not end:\n{self.log_end()}") from None

    def kill(self):
        """SIGKILL, as a crash or the kernel would."""
        self._process.kill()
        self._process.wait(5)

    def stop(self):
        """SIGTERM, then SIGKILL; returns the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        return self._process.returncode

    def end_reason(self):
        """Stops it; None if it ended as it should, else why not. Sanitizers speak here as well."""
        status = self.stop()
        return None if status == 0 else f"exit status {status}: {self.log_end()[-600:]}"

    def log_end(self):
        return self.log.read_text(errors="replace")[-3000:]


class Subject(Program):
    """Sidejudge or the real Collector with a configuration. `listens` are the ports that must
    accept before it counts as started."""

    def __init__(self, name, program, config, listens, directory):
        config_file = pathlib.Path(directory) / f"{name}.yaml"
        # JSON is YAML.
        config_file.write_text(json.dumps(config, indent=1))
        super().__init__(name, [program, "--config", config_file], directory)
        self.wait_until_it_listens(listens)


def metrics_reader(port):
    """service.telemetry with our own metrics on a port of this run."""
    prometheus = {"host": "127.0.0.1", "port": port}
    return {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}}


class Certificate:
    """A certificate for 127.0.0.1, its own authority, with a key; made by openssl."""

    def __init__(self, directory):
        self.file = str(pathlib.Path(directory) / "certificate.pem")
        self._key = str(pathlib.Path(directory) / "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self._key, "-out", self.file],
            check=True, capture_output=True, timeout=30,
        )

    def of_server(self):
        return {"cert_file": self.file, "key_file": self._key}


def otlp_receiver(grpc_port, http_port, certificate=None):
    protocols = {}
    if grpc_port:
        protocols["grpc"] = {"endpoint": f"127.0.0.1:{grpc_port}"}
    if http_port:
        protocols["http"] = {"endpoint": f"127.0.0.1:{http_port}"}
    if certificate:
        for protocol in protocols.values():
            protocol["tls"] = certificate.of_server()
    return {"protocols": protocols}


class Forwarder(Subject):
    """A subject whose pipelines, one a signal, go from one otlp receiver to all exporters."""

    SIGNALS = ("traces", "logs", "metrics")

    def __init__(self, name, program, exporters, directory, processors=None, own_api=True,
                 certificate=None, signals=SIGNALS):
        self._scheme = "https" if certificate else "http"
        self.grpc_port, self.http_port, self.metrics_port, self.api_port = free_ports(4)
        processors = processors or {}
        pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
        pipelines = {signal: pipeline for signal in signals}
        pipelines["traces"] = {**pipeline, "processors": list(processors)}
        config = {
            "receivers": {"otlp": otlp_receiver(self.grpc_port, self.http_port, certificate)},
            "processors": processors,
            "exporters": exporters,
            "service": {
                "telemetry": metrics_reader(self.metrics_port),
                "pipelines": pipelines,
            },
        }
        if own_api:
            config["extensions"] = {"evaluation_api": {"endpoint": f"127.0.0.1:{self.api_port}"}}
            config["service"]["extensions"] = ["evaluation_api"]
        super().__init__(name, program, config, (self.grpc_port, self.http_port), directory)

    @property
    def grpc_url(self):
        return f"{self._scheme}://127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self):
        return f"{self._scheme}://127.0.0.1:{self.http_port}"


class Backend(Subject):
    """The real Collector, with a receiver and a file for each way in: so a span shows its way."""

    WAYS = ("otlp_http", "otlp_http_zstd", "otlp_grpc")

    def __init__(self, program, directory, certificate=None):
        ports = free_ports(len(self.WAYS) + 1)
        self.ports = dict(zip(self.WAYS, ports))
        self.files = {way: pathlib.Path(directory) / f"backend_{way}.json" for way in self.WAYS}
        receivers, exporters, pipelines = {}, {}, {}
        for way in self.WAYS:
            port = self.ports[way]
            grpc_port, http_port = (port, 0) if way == "otlp_grpc" else (0, port)
            receivers[f"otlp/{way}"] = otlp_receiver(grpc_port, http_port, certificate)
            exporters[f"file/{way}"] = {"path": str(self.files[way])}
            pipelines[f"traces/{way}"] = {
                "receivers": [f"otlp/{way}"],
                "exporters": [f"file/{way}"],
            }
        config = {
            "receivers": receivers,
            "exporters": exporters,
            "service": {"telemetry": metrics_reader(ports[-1]), "pipelines": pipelines},
        }
        super().__init__("backend", program, config, self.ports.values(), directory)
