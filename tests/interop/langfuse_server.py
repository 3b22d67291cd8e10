# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Langfuse on loopback, which needs ClickHouse and more: its ingestion, and what
agents read (langfuse_reads.py).

It takes nothing that Langfuse's public API description does not allow: bodies are read by the
models that its own Python client ships, and the rules that stand beside them (exactly one subject
of a score, sizes, content types, encodings, what replaces) are in `_event_problem` and `_Handler`.
What a sender does that Langfuse would answer with an error is answered so; what it would swallow
(a key that no model has, an environment that it renames) is kept in `complaints`.
"""

import base64
import datetime
import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydantic
from google.protobuf.message import DecodeError
from langfuse.api import IngestionEvent, IngestionResponse
from langfuse.api.ingestion import ScoreBody
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from http_sink import Store
from langfuse_reads import read_answer

TRACES_PATH = "/api/public/otel/v1/traces"
INGESTION_PATH = "/api/public/ingestion"
SCORES_PATH = "/api/public/scores"
PUBLIC_KEY, SECRET_KEY = "pk-lf-interop", "sk-lf-interop"
# Of the same project: what an agent has of its own.
AGENT_PUBLIC_KEY, AGENT_SECRET_KEY = "pk-lf-agent", "sk-lf-agent"
SECRET_KEYS = {PUBLIC_KEY: SECRET_KEY, AGENT_PUBLIC_KEY: AGENT_SECRET_KEY}
HALVES_SECONDS_MAX = 20

INGESTION_BYTES_MAX = 3_500_000
SCORES_BYTES_MAX = 1024 * 1024
SPANS_BYTES_MAX = 64 * 1024 * 1024
EVENTS = pydantic.TypeAdapter(IngestionEvent)
# On Langfuse 4 the endpoint takes nothing else.
EVENT_TYPES = ("score-create", "sdk-log")
ENVELOPE_KEYS = {"id", "timestamp", "type", "body", "metadata"}
BODY_KEYS = {
    next((m.alias for m in field.metadata if hasattr(m, "alias")), name)
    for name, field in ScoreBody.model_fields.items()
} | {"source"}
SUBJECTS = ("traceId", "sessionId", "datasetRunId")
TEXT_CHARACTERS_MAX = 500
ID_CHARACTERS_MAX = 800
UNAUTHORISED = {"error": "UnauthorizedError", "message": "Invalid credentials"}


def _time_of(text):
    """ISO 8601 with an offset; anything else raises."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None or "T" not in text:
        raise ValueError("no offset")
    return moment.astimezone(datetime.timezone.utc)


def _id_problem(name, identifier):
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= ID_CHARACTERS_MAX:
        return f"{name} must have 1 to {ID_CHARACTERS_MAX} characters"
    return f"{name} holds a carriage return" if "\r" in identifier else None


def _value_problem(body):
    """Whether the value is of the type that dataType says."""
    value, kind = body["value"], body.get("dataType")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in ("NUMERIC", "BOOLEAN") and not number:
        return f"{kind} wants a number"
    if kind == "BOOLEAN" and value not in (0, 1):
        return "BOOLEAN is 0 or 1"
    if kind in ("CATEGORICAL", "TEXT", "CORRECTION") and not isinstance(value, str):
        return f"{kind} wants a string"
    if kind == "TEXT" and not 1 <= len(value) <= TEXT_CHARACTERS_MAX:
        return f"TEXT has 1 to {TEXT_CHARACTERS_MAX} characters"
    return None


def _score_problem(body):
    """Why a score would be refused; its form was read before."""
    if not body["name"]:
        return "name is empty"
    subjects = [name for name in SUBJECTS if body.get(name)]
    if len(subjects) != 1:
        return f"exactly one of {', '.join(SUBJECTS)} must be set, not {subjects}"
    if body.get("observationId") and subjects != ["traceId"]:
        return "observationId requires traceId"
    if body.get("id") is not None and _id_problem("body.id", body["id"]):
        return _id_problem("body.id", body["id"])
    return _value_problem(body)


def _event_problem(event):
    try:
        EVENTS.validate_python(event)
        _time_of(event["timestamp"])
    except (pydantic.ValidationError, ValueError) as error:
        return str(error)
    if event["type"] not in EVENT_TYPES:
        return f"event type {event['type']} is not accepted"
    problem = _id_problem("id", event["id"])
    if problem or event["type"] != "score-create":
        return problem
    return _score_problem(event["body"])


def _score_complaint(event):
    """What Langfuse would take, and silently make something else of."""
    body = event["body"]
    unknown = (set(event) - ENVELOPE_KEYS) | (set(body) - BODY_KEYS)
    if unknown:
        return f"no model has {sorted(unknown)}"
    if not body.get("id"):
        return "a score without body.id is reported as taken and never stored"
    environment = body.get("environment")
    if environment is not None and (
        not re.fullmatch(r"[a-z0-9_-]{1,40}", environment) or environment.startswith("langfuse")
    ):
        return f"environment {environment!r} would be renamed"
    if not re.fullmatch(r"[0-9a-f]{32}", body.get("traceId") or "0" * 32):
        return f"traceId {body['traceId']!r} is of no trace"
    if not re.fullmatch(r"[0-9a-f]{16}", body.get("observationId") or "0" * 16):
        return f"observationId {body['observationId']!r} is of no span"
    return None


class LangfuseServer:
    def __init__(self):
        self.store = Store()
        self.complaints = []
        self.answers = []  # (path, status)
        self.callers = []  # (method, path, public key)
        # Set by who has read the first half of an answer that is sent in two.
        self.half_is_read = threading.Event()
        self._scripted = []
        self._refused_names = {}
        self._lock = threading.Lock()
        self._rows = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def answer_next(self, path, status, headers=None):
        """The next request to the path is answered so, and not looked at."""
        with self._lock:
            self._scripted.append((path, status, headers or {}))

    def refuse_next(self, name, status):
        """The next score of the name fails with the status within its 207."""
        with self._lock:
            self._refused_names[name] = status

    def scores(self):
        """Rows of the table of scores: what a repeat replaces is one row (id, name, UTC day)."""
        with self._lock:
            return list(self._rows.values())

    def heard_of(self, public_key):
        """Bodies of the scores that were taken by these keys, in order, repeats and all."""
        taken = (json.loads(body) for body in self.store.bodies(f"scores of {public_key}"))
        return [event["body"] for event in taken]

    def complain(self, text):
        with self._lock:
            self.complaints.append(text)

    def scripted(self, path):
        with self._lock:
            for index, (wanted, status, headers) in enumerate(self._scripted):
                if wanted == path:
                    del self._scripted[index]
                    return status, headers
        return None

    def take_spans(self, body, public_key):
        """The status and the answer's body."""
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError:
            return 400, {"error": "Failed to parse OTel Protobuf Trace"}
        spans = [
            span
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]
        bad = [span for span in spans if len(span.trace_id) != 16 or len(span.span_id) != 8]
        if bad:
            # One of them takes all others with it.
            return 400, {"error": f"{len(bad)} of {len(spans)} span(s) cannot be processed"}
        if not request.resource_spans:
            return 200, {}
        self.store.add("traces", body)
        self.store.add(f"traces of {public_key}", body)
        # A queue's job in JSON, whatever was sent: not OTLP's answer.
        return 200, {"name": "otel-ingestion-job", "data": {"id": "1", "payload": {}}}

    def take_events(self, body, public_key):
        try:
            batch = json.loads(body)["batch"]
        except (ValueError, KeyError, TypeError):
            batch = None
        if not isinstance(batch, list):
            return 400, {"message": "Invalid request data", "errors": ["no batch"]}
        successes, errors = [], []
        for event in batch:
            identifier = event.get("id", "unknown") if isinstance(event, dict) else "unknown"
            problem = _event_problem(event)
            if problem:
                errors.append(
                    {"id": str(identifier), "status": 400, "message": "Invalid request data",
                     "error": problem}
                )
                continue
            with self._lock:
                refused = self._refused_names.pop(event["body"].get("name"), None)
            if refused:
                errors.append({"id": identifier, "status": refused, "error": "scripted"})
                continue
            successes.append({"id": identifier, "status": 201})
            self._keep(event, public_key)
        answer = {"successes": successes, "errors": errors}
        IngestionResponse.model_validate(answer)
        return 207, answer

    def take_scores(self, body, public_key):
        """The list of scores that clients from 5.0 on post; their models are not those of the
        client that is pinned, but say the same of a score, and have its time within."""
        try:
            scores = json.loads(body)
        except ValueError:
            scores = None
        if not isinstance(scores, list) or not all(isinstance(row, dict) for row in scores):
            return 400, {"message": "Invalid request data", "error": "no list of scores"}
        problems = []
        for score in scores:
            moment = score.get("timestamp") or datetime.datetime.now(datetime.UTC).isoformat()
            event = {
                "id": "of-a-list", "timestamp": moment, "type": "score-create",
                "body": {key: value for key, value in score.items() if key != "timestamp"},
            }
            problem = _event_problem(event)
            if problem:
                problems.append({"message": problem})
            else:
                self._keep(event, public_key)
        if not problems:
            return 202, {"message": "Accepted"}
        accepted = len(scores) - len(problems)
        return 207, {"accepted": accepted, "rejected": len(problems), "errors": problems}

    def _keep(self, event, public_key):
        if event["type"] != "score-create":
            return
        complaint = _score_complaint(event)
        if complaint:
            self.complain(complaint)
            return
        body, day = event["body"], _time_of(event["timestamp"]).date()
        with self._lock:
            self._rows[(body["id"], body["name"], day)] = event
        self.store.add("scores", json.dumps(event).encode())
        self.store.add(f"scores of {public_key}", json.dumps(event).encode())


def _handler_of(server):
    class Handler(_Handler):
        langfuse = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    langfuse = None

    def do_GET(self):
        read = read_answer(self.path)
        if not read:
            self._unknown()
            return
        status, text, in_halves = read
        if not self._caller():
            status, text, in_halves = 401, json.dumps(UNAUTHORISED).encode(), False
        self.langfuse.answers.append((self.path, status))
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("X-Request-Id", "made by the backend")
        # Like what Node writes without knowing the length.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        half = len(text) // 2
        self._send_chunk(text[:half])
        if in_halves and not self.langfuse.half_is_read.wait(HALVES_SECONDS_MAX):
            self.langfuse.complain("nobody read the first half before the second was sent")
        self._send_chunk(text[half:])
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, text):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text))
        self.wfile.flush()

    def _unknown(self):
        self.langfuse.complain(f"a request to {self.path}")
        self._reply(404, {"message": "Not found"}, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path not in (TRACES_PATH, INGESTION_PATH, SCORES_PATH):
            self._unknown()
            return
        self._reply(*self._answer(body))

    def _reply(self, status, answer, headers):
        text = json.dumps(answer).encode()
        self.langfuse.answers.append((self.path, status))
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _answer(self, body):
        public_key = self._caller()
        if not public_key:
            return 401, UNAUTHORISED, {}
        scripted = self.langfuse.scripted(self.path)
        if scripted:
            return scripted[0], {"message": "scripted"}, scripted[1]
        take = {
            TRACES_PATH: self._spans, INGESTION_PATH: self._events, SCORES_PATH: self._scores,
        }[self.path]
        return *take(body, public_key), {}

    def _caller(self):
        """The public key, if the secret one belongs to it."""
        scheme, _, pair = self.headers.get("Authorization", "").partition(" ")
        try:
            public, _, secret = base64.b64decode(pair, validate=True).decode().partition(":")
        except ValueError:
            return None
        if scheme != "Basic" or SECRET_KEYS.get(public) != secret:
            return None
        self.langfuse.callers.append((self.command, self.path, public))
        return public

    def _spans(self, body, public_key):
        kind = self.headers.get("Content-Type", "").lower()
        encoding = self.headers.get("Content-Encoding", "")
        version = self.headers.get("x-langfuse-ingestion-version")
        if version != "4" and not self.headers.get("x-langfuse-sdk-name"):
            self.langfuse.complain(f"x-langfuse-ingestion-version is {version}")
        if "application/x-protobuf" not in kind:
            return 400, {"error": "Invalid content type"}
        if encoding == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError):
                return 400, {"error": "Failed to decompress request body"}
        elif encoding:
            self.langfuse.complain(f"content encoding {encoding}")
        if len(body) > SPANS_BYTES_MAX:
            return 413, {"error": "Body exceeds the limit"}
        return self.langfuse.take_spans(body, public_key)

    def _events(self, body, public_key):
        if self.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            return 400, {"message": "Invalid request data", "errors": ["not JSON"]}
        if self.headers.get("Content-Encoding"):
            # This one endpoint reads bodies as they are.
            return 400, {"message": "Invalid request data", "errors": ["Invalid JSON"]}
        if len(body) > INGESTION_BYTES_MAX:
            return 413, {"message": "Body exceeded the limit"}
        return self.langfuse.take_events(body, public_key)

    def _scores(self, body, public_key):
        if self.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            return 400, {"message": "Invalid request data", "error": "not JSON"}
        if len(body) > SCORES_BYTES_MAX:
            return 413, {"message": "Body exceeded the limit"}
        return self.langfuse.take_scores(body, public_key)

    def log_message(self, *args):
        pass
