# SPDX-License-Identifier: Apache-2.0
"""Langfuse's own client with LANGFUSE_BASE_URL at Sidejudge, whose `langfuse` has `relay: true`,
before the stand-in for Langfuse: what it reads, its spans, its scores. The agent has keys of its
own, so that the stand-in tells what came from whom."""

import base64
import http.client
import json
import os
import pathlib
import subprocess
import urllib.request

from evaluation import grading_processor
from forwarding import ARRIVE_SECONDS_MAX, EMIT_SECONDS_MAX
from http_sink import HttpSink
from judge import Judge
from langfuse_backend import (
    RETRY, attribute, complaints_reason, graded_span, langfuse_exporter, scores_reason,
)
from langfuse_reads import (
    BIG_PROMPT, FOLDED_PROMPT, PROJECT_NAME, PROJECTS_PATH, PROMPTS_PATH, SLOW_PROMPT, prompt_text,
)
from langfuse_server import (
    AGENT_PUBLIC_KEY, AGENT_SECRET_KEY, INGESTION_PATH, PUBLIC_KEY, SCORES_PATH, SECRET_KEY,
    LangfuseServer,
)
from otlp_json import request_from_json
from passing import post, recorded
from spans import difference, proto_spans
from subject import Forwarder

MISSING_PROMPT = "missing"
SLOW_SECONDS_MAX = 60
# Of one connection, or made by who answers.
FIELDS_OF_THE_WAY = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}


def _processor(judge):
    """Nothing is picked but for what it shows, and no trace is closed before its root came."""
    settings = grading_processor(judge)["evaluation"]
    return {
        "evaluation": {
            **settings, "hold": "20s", "sampling": {"baseline": 0},
            "completion": {"linger": "300ms", "idle": "20s"},
        }
    }


class Relaying:
    """Sidejudge before a stand-in, and what Langfuse's client told when it ran against it."""

    def __init__(self, name, paths, judge, relay, packages=None):
        self._name, self._paths, self._packages = name, paths, packages
        self.server = LangfuseServer()
        self.subject = Forwarder(
            name, paths.program, {"langfuse": langfuse_exporter(self.server, relay=relay)},
            paths.directory, _processor(judge), signals=("traces",),
        )
        self.told, self.expected = {}, []

    def close(self):
        reason = self.subject.end_reason()
        self.server.close()
        return reason

    def emit(self):
        """Runs the agent. Its client may complain of prompts, and of nothing else."""
        here = pathlib.Path(__file__).resolve().parent
        results, spans = (
            pathlib.Path(self._paths.directory) / f"{self._name}.{ending}"
            for ending in ("told.json", "spans.bin")
        )
        environment = {
            "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1",
            "LANGFUSE_BASE_URL": f"http://localhost:{self.subject.http_port}",
            "LANGFUSE_FLUSH_INTERVAL": "0.2",
            "LANGFUSE_PUBLIC_KEY": AGENT_PUBLIC_KEY, "LANGFUSE_SECRET_KEY": AGENT_SECRET_KEY,
        }
        if self._packages:
            environment["PYTHONPATH"] = self._packages
        done = subprocess.run(
            [self._paths.python, here / "emit_langfuse_agent.py", results, spans, BIG_PROMPT,
             MISSING_PROMPT, FOLDED_PROMPT],
            timeout=EMIT_SECONDS_MAX, env=environment, capture_output=True, text=True,
        )
        if done.returncode != 0:
            return f"exit status {done.returncode}: {done.stderr[-600:]}"
        odd = [row for row in done.stderr.splitlines() if row and "prompt" not in row.lower()]
        if odd:
            return f"the client complains: {odd[:3]}"
        self.told = json.loads(results.read_text())
        self.expected = proto_spans([spans.read_bytes()])
        return None

    def received(self):
        return proto_spans(self.server.store.bodies("traces"))

    def metric(self, name, label):
        """Sum of the series that have the value as one of their labels."""
        text = _get(f"http://127.0.0.1:{self.subject.metrics_port}/metrics").decode()
        rows = [row for row in text.splitlines() if row.startswith(name + "{")]
        return sum(float(row.rpartition(" ")[2]) for row in rows if f'="{label}"' in row)


def _get(url):
    # Without this machine's proxies: the way is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as response:
        return response.read()


def _asked(port, path, secret=AGENT_SECRET_KEY):
    """An answer that is under way; the caller reads its body, and closes."""
    pair = base64.b64encode(f"{AGENT_PUBLIC_KEY}:{secret}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SLOW_SECONDS_MAX)
    connection.request("GET", path, headers={"Authorization": f"Basic {pair}"})
    return connection, connection.getresponse()


def _whole_answer(port, path, secret):
    connection, response = _asked(port, path, secret)
    try:
        fields = {
            name.lower(): value for name, value in response.getheaders()
            if name.lower() not in FIELDS_OF_THE_WAY
        }
        return response.status, fields, response.read()
    finally:
        connection.close()


def _unchanged_case(relaying, path, secret=AGENT_SECRET_KEY):
    """The same request by way of Sidejudge, and to the backend itself."""
    backend_port = int(relaying.server.url.rpartition(":")[2])
    direct = _whole_answer(backend_port, path, secret)
    passed = _whole_answer(relaying.subject.http_port, path, secret)
    for what, wanted, got in zip(("status", "fields", "body"), direct, passed):
        if got != wanted:
            return f"{what} is {str(got)[:200]}, should be {str(wanted)[:200]}"
    return None


def _streams_case(relaying):
    """The backend sends the second half only when the first has been read here."""
    connection, response = _asked(relaying.subject.http_port, PROMPTS_PATH + SLOW_PROMPT)
    try:
        first = response.read(1024 * 1024)
        relaying.server.half_is_read.set()
        text = first + response.read()
    finally:
        connection.close()
    same = json.loads(text)["prompt"] == prompt_text()
    return None if same else f"the text is another one, of {len(text)} bytes"


def _reads_case(relaying):
    """What the client makes of the answers; and they were given to the agent's own keys."""
    told = relaying.told
    wanted = {"auth": {"value": True}, "project": {"value": PROJECT_NAME},
              "big": {"value": prompt_text()}}
    for name, value in wanted.items():
        if told[name] != value:
            return f"{name} is {str(told[name])[:300]}"
    missing = told["missing"]
    if missing.get("status") != 404 or "LangfuseNotFoundError" not in missing["body"]:
        return f"the missing prompt is {missing}"
    callers = {key for method, _, key in relaying.server.callers if method == "GET"}
    return None if callers == {AGENT_PUBLIC_KEY} else f"it was read with {callers}"


def _folded_case(relaying):
    """A slash in a prompt's name is %2F in the path, which is refused, and said."""
    told = relaying.told["folded"]
    asked = [path for _, path, _ in relaying.server.callers if "%2f" in path.lower()]
    if told.get("status") != 400 or "encoded slash" not in told["body"]:
        return f"it is {str(told)[:300]}"
    return f"it was passed on: {asked}" if asked else None


def _spans_case(relaying):
    server, expected = relaying.server, relaying.expected
    server.store.wait(lambda: len(relaying.received()) >= len(expected), ARRIVE_SECONDS_MAX)
    if len(expected) != 4:
        return f"the agent ended {len(expected)} spans"
    if server.store.bodies(f"traces of {AGENT_PUBLIC_KEY}"):
        return "spans came with the agent's keys, so not from the exporter"
    return difference(expected, relaying.received())


def _agent_scores_case(relaying, path):
    """Each score that the agent posted is there once, by the way that its client goes."""
    bodies = relaying.server.heard_of(AGENT_PUBLIC_KEY)
    got = sorted((body["traceId"], body["name"], body["value"]) for body in bodies)
    wanted = sorted(
        row for trace, value in ((relaying.told["calm"], 1), (relaying.told["bad"], 0))
        for row in ((trace, "thumb", value), (trace, "remark", "as the customer said it"))
    )
    if got != wanted:
        return f"scores are {got}, should be {wanted}"
    ways = {p for m, p, key in relaying.server.callers if m == "POST" and key == AGENT_PUBLIC_KEY}
    return None if ways == {path} else f"they were posted to {ways}"


def _counted_case(relaying):
    wanted = [
        ("sidejudge_relay_scores_total", "bad", 1), ("sidejudge_relay_scores_total", "good", 1),
        ("sidejudge_feedback_total", "taken", 1), ("sidejudge_feedback_total", "early", 0),
        ("sidejudge_feedback_total", "decided", 0),
        ("sidejudge_quality_signals_total", "feedback", 1),
        ("sidejudge_decisions_total", "judged", 1),
        ("sidejudge_decisions_total", "not_sampled", 1),
    ]
    for name, label, value in wanted:
        if relaying.metric(name, label) != value:
            return f"{name} of {label} is {relaying.metric(name, label)}, should be {value}"
    return None


def _explained(paths, relaying, trace_id):
    done = subprocess.run(
        [paths.program, "explain", "--api", f"127.0.0.1:{relaying.subject.api_port}", trace_id],
        capture_output=True, text=True, timeout=20,
    )
    return done.stdout + done.stderr


def _picked_case(paths, relaying):
    """The one with the bad score is graded because of it, and its scores reach the backend."""
    bad, calm = relaying.told["bad"], relaying.told["calm"]
    by_trace = {
        trace: [span for span in relaying.received() if span["trace_id"] == trace]
        for trace in (bad, calm)
    }
    span, names = graded_span(by_trace[bad])
    if attribute(span, "sidejudge.decision") != "judged":
        return f"its decision is {attribute(span, 'sidejudge.decision')}"
    if any(attribute(span, "sidejudge.verdict") for span in by_trace[calm]):
        return "the other one is graded as well"
    text = _explained(paths, relaying, bad)
    if "feedback" not in text:
        return f"explain says: {text}"
    other = _explained(paths, relaying, calm)
    if "feedback" in other or "not_sampled" not in other:
        return f"explain says of the other one: {other}"
    return scores_reason(relaying.server, span, names, "_targeted")


def _client_cases(report, paths, judge, name, path, packages=None):
    """One client against a relay; `path` is where it posts its scores."""
    relaying = Relaying(name, paths, judge, True, packages)
    try:
        report.guard(f"{name}_runs", relaying.emit)
        report.guard(f"{name}_reads_with_its_own_keys", lambda: _reads_case(relaying))
        report.guard(f"{name}_prompt_in_a_folder_is_refused", lambda: _folded_case(relaying))
        report.guard(f"{name}_spans_go_by_the_exporter", lambda: _spans_case(relaying))
        report.guard(f"{name}_scores_arrive_once", lambda: _agent_scores_case(relaying, path))
        report.guard(f"{name}_scores_are_counted", lambda: _counted_case(relaying))
        report.guard(f"{name}_bad_score_picks", lambda: _picked_case(paths, relaying))
        if not packages:
            _answer_cases(report, name, relaying)
        report.guard(f"{name}_has_no_complaints", lambda: _complaints(relaying))
    finally:
        report.add(f"{name}_exits_with_0", relaying.close())


def _answer_cases(report, name, relaying):
    answers = {
        "project": (PROJECTS_PATH,),
        "prompt": (f"{PROMPTS_PATH}{BIG_PROMPT}?label=production&x=a%2Fb",),
        "missing_prompt": (PROMPTS_PATH + MISSING_PROMPT,),
        "wrong_key": (PROJECTS_PATH, "sk-lf-wrong-key-of-the-tests"),
    }
    for what, request in answers.items():
        report.guard(
            f"{name}_answer_is_unchanged_{what}",
            lambda request=request: _unchanged_case(relaying, *request),
        )
    report.guard(f"{name}_big_answer_streams", lambda: _streams_case(relaying))


def _complaints(relaying):
    """Nothing odd came; and no key is in the log."""
    if relaying.server.complaints:
        return f"{len(relaying.server.complaints)}: {relaying.server.complaints[:3]}"
    log = relaying.subject.log.read_text(errors="replace")
    keys = [key for key in (AGENT_SECRET_KEY, SECRET_KEY, "sk-lf-wrong") if key in log]
    return f"the log has {keys}" if keys else None


def _off_case(relaying):
    """Each call of the client gets 404, and the backend hears of none."""
    calls = ("auth", "project", "big", "missing", "folded")
    statuses = {name: relaying.told[name].get("status") for name in calls}
    if set(statuses.values()) != {404}:
        return f"statuses are {statuses}"
    callers = {key for _, _, key in relaying.server.callers}
    return f"the backend was asked with {callers}" if AGENT_PUBLIC_KEY in callers else None


def _nothing_picked_case(relaying):
    """What nobody could hear picks nothing."""
    if relaying.server.heard_of(AGENT_PUBLIC_KEY):
        return "scores of the agent arrived"
    decisions = {label: relaying.metric("sidejudge_decisions_total", label)
                 for label in ("judged", "not_sampled")}
    return None if decisions == {"judged": 0, "not_sampled": 2} else f"decisions: {decisions}"


def _off_cases(report, paths, judge):
    relaying = Relaying("relay_off", paths, judge, False)
    try:
        report.guard("relay_off_runs", relaying.emit)
        report.guard("relay_off_answers_404", lambda: _off_case(relaying))
        report.guard("relay_off_spans_still_go", lambda: _spans_case(relaying))
        report.guard("relay_off_picks_nothing", lambda: _nothing_picked_case(relaying))
        report.guard("relay_off_has_no_complaints", lambda: _complaints(relaying))
    finally:
        report.add("relay_off_exits_with_0", relaying.close())


def _alone_case(paths, judge):
    """`langfuse_scores` beside `otlp_http`: spans to the one, nothing but scores to the other."""
    sink, server = HttpSink(), LangfuseServer()
    exporters = {
        "otlp_http": {"endpoint": sink.url, "compression": "none", "retry_on_failure": RETRY},
        "langfuse_scores": langfuse_exporter(server),
    }
    request = request_from_json(recorded()[0][1])
    expected = proto_spans([request.SerializeToString()])
    try:
        subject = Forwarder(
            "langfuse_scores_alone", paths.program, exporters, paths.directory,
            grading_processor(judge), signals=("traces",),
        )
        try:
            post(subject.http_url + "/v1/traces", request.SerializeToString(),
                 "application/x-protobuf")
            sink.store.wait(
                lambda: len(proto_spans(sink.store.bodies("traces"))) >= len(expected),
                ARRIVE_SECONDS_MAX,
            )
            received = proto_spans(sink.store.bodies("traces"))
            reason = difference(expected, received) or scores_reason(
                server, *graded_span(received)
            )
        finally:
            end = subject.end_reason()
        callers = set(server.callers)
        if callers != {("POST", INGESTION_PATH, PUBLIC_KEY)}:
            reason = reason or f"the backend got {callers}"
        return reason or end or complaints_reason(server)
    finally:
        server.close()
        sink.close()


def relay_cases(report, paths):
    judge = Judge({})
    try:
        _client_cases(report, paths, judge, "relay", INGESTION_PATH)
        newer = next(pathlib.Path(paths.langfuse).glob("lib/python3*/site-packages"))
        _client_cases(report, paths, judge, "relay_list", SCORES_PATH, str(newer))
        _off_cases(report, paths, judge)
        report.guard(
            "langfuse_scores_alone_beside_otlp_http", lambda: _alone_case(paths, judge)
        )
    finally:
        judge.close()
