# SPDX-License-Identifier: Apache-2.0
"""Sends logs and metrics with the official Python SDK, and writes down what it was told to send.

Usage: emit_signals.py PROTOCOL ENDPOINT EXPECTED (see emit_python.py). Sidejudge passes both on
unchanged; the conventions put prompts, feedback and evaluations into logs.
"""

import json
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from spans import plain_attributes

RESOURCE = {"service.name": "interop-signals", "service.instance.id": "one"}
START_NS = 1_760_000_000_000_000_000


def exporters(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        return (
            OTLPLogExporter(endpoint=endpoint, insecure=True),
            OTLPMetricExporter(endpoint=endpoint, insecure=True),
        )
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return (
        OTLPLogExporter(endpoint=endpoint + "/v1/logs"),
        OTLPMetricExporter(endpoint=endpoint + "/v1/metrics"),
    )


def send_logs(exporter):
    provider = LoggerProvider(resource=Resource.create(RESOURCE))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("interop.logs", "1.0")
    told = []
    for index in range(40):
        attributes = {"index": index, "gen_ai.response.id": f"resp-{index}"}
        logger.emit(
            LogRecord(
                timestamp=START_NS + index,
                observed_timestamp=START_NS + index,
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=f"record {index} \u4e16\u754c",
                attributes=attributes,
                event_name="gen_ai.evaluation.result" if index % 2 else None,
            )
        )
        told.append(
            {
                "time": str(START_NS + index),
                "severity": SeverityNumber.INFO.value,
                "body": ["s", f"record {index} \u4e16\u754c"],
                "event_name": "gen_ai.evaluation.result" if index % 2 else "",
                "attributes": plain_attributes(attributes),
            }
        )
    flushed = provider.force_flush(20_000)
    provider.shutdown()
    return told, flushed


def send_metrics(exporter):
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(resource=Resource.create(RESOURCE), metric_readers=[reader])
    meter = provider.get_meter("interop.metrics", "1.0")
    requests = meter.create_counter("interop.requests", unit="{request}")
    duration = meter.create_histogram("interop.duration", unit="s")
    for index in range(10):
        requests.add(index, {"route": "/a" if index % 2 else "/b"})
        duration.record(0.25 * index)
    flushed = provider.force_flush(20_000)
    provider.shutdown()
    return {"/a": 25, "/b": 20, "duration.count": 10, "duration.sum": 11.25}, flushed


def main(protocol, endpoint, expected):
    log_exporter, metric_exporter = exporters(protocol, endpoint)
    logs, logs_flushed = send_logs(log_exporter)
    metrics, metrics_flushed = send_metrics(metric_exporter)
    with open(expected, "w", encoding="utf-8") as out:
        json.dump({"logs": logs, "metrics": metrics}, out)
    if not (logs_flushed and metrics_flushed):
        sys.exit("the SDK could not flush its logs and metrics")


if __name__ == "__main__":
    main(*sys.argv[1:])
