# SPDX-License-Identifier: Apache-2.0
"""Records the traces of the demo: runs each conversation's agent program against the scripted model
and writes what its SDK exported as OTLP/JSON.

Usage: recorder.py ENVIRONMENTS OUTPUT [KEY...]
ENVIRONMENTS holds one Python environment per requirements file (see `record`).

What is written is what the SDK sent, but for the resource attributes and values of SCRUBBED, which
would name the machine.
"""

import json
import os
import pathlib
import subprocess
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conversations import CONVERSATIONS
from model_api import ModelApi

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from http_sink import HttpSink  # noqa: E402
from otlp_json import request_to_json, write_pretty  # noqa: E402

SCRUBBED = ("host.", "process.", "os.", "service.instance.id", "network.", "net.", "client.")
FILE_BYTES_MAX = 40 * 1024
RUN_SECONDS_MAX = 120

ENVIRONMENTS = {
    "openllmetry": "openllmetry",
    "openllmetry-flattened": "openllmetry-flat",
}


def _scrub(attributes):
    kept = [item for item in attributes if not item.key.startswith(SCRUBBED)]
    del attributes[:]
    attributes.extend(kept)


def scrub(request):
    for resource_spans in request.resource_spans:
        _scrub(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                _scrub(span.attributes)


def check(conversation, request):
    """A recording without content, with an error, or naming this machine is of no use."""
    spans = [
        span for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans
    ]
    text = str(request)
    assert spans, f"{conversation.file}: no spans"
    assert len({span.trace_id for span in spans}) == 1, f"{conversation.file}: several traces"
    assert all(span.status.code != 2 for span in spans), f"{conversation.file}: an error status"
    assert conversation.question.split("?")[0] in text, f"{conversation.file}: no question"
    final = conversation.replies[-1].split("'")[0]
    assert final in text, f"{conversation.file}: no answer"
    for own in ("127.0.0.1", str(HERE), os.uname().nodename):
        assert own not in text, f"{conversation.file}: names {own}"


def taken(sink):
    """All that has come since the last call, merged into one request."""
    merged = ExportTraceServiceRequest()
    for body in sink.store.bodies("traces"):
        merged.MergeFromString(body)
    sink.store.clear()
    return merged


def record(conversation, environments, model, sink, output):
    name = ENVIRONMENTS.get(conversation.dialect, "recorder")
    python = pathlib.Path(environments) / name / "bin" / "python"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "RECORDER_CONVERSATION": conversation.key,
        "RECORDER_MODEL_URL": model.url,
        "RECORDER_CAPTURE_URL": sink.url,
        "OPENAI_API_KEY": "not-a-key",
        "OTEL_SERVICE_NAME": conversation.service,
        "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental,http",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
        "TRACELOOP_TRACE_CONTENT": "true",
        "TRACELOOP_METRICS_ENABLED": "false",
        "TRACELOOP_TELEMETRY": "false",
    }
    subprocess.run(
        [python, HERE / conversation.program],
        env=environment,
        check=True,
        timeout=RUN_SECONDS_MAX,
        stdout=subprocess.DEVNULL,
    )
    request = taken(sink)
    scrub(request)
    check(conversation, request)
    text = write_pretty(request_to_json(request)) + "\n"
    assert len(text) <= FILE_BYTES_MAX, f"{conversation.file}: {len(text)} bytes"
    (output / conversation.file).write_text(text)
    spans = sum(len(ss.spans) for rs in request.resource_spans for ss in rs.scope_spans)
    print(f"{conversation.file}: {spans} spans, {len(text)} bytes")


def index_row(conversation):
    row = {
        "file": conversation.file,
        "dialect": conversation.dialect,
        "service": conversation.service,
        "question": conversation.question,
        "answer": conversation.replies[-1],
        "verdict": conversation.verdict,
        "why": conversation.why,
        "evidence": conversation.evidence,
    }
    if conversation.failing_sentence:
        row["failing_sentence"] = conversation.failing_sentence
    return row


def main(environments, output, *keys):
    output = pathlib.Path(output)
    model = ModelApi({c.key: c.replies for c in CONVERSATIONS})
    sink = HttpSink()
    try:
        for conversation in CONVERSATIONS:
            if not keys or conversation.key in keys:
                record(conversation, environments, model, sink, output)
    finally:
        sink.close()
        model.close()
    rows = [index_row(conversation) for conversation in CONVERSATIONS]
    (output / "index.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
