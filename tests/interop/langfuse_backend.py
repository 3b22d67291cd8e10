# SPDX-License-Identifier: Apache-2.0
"""Spans and scores through Sidejudge into the stand-in for Langfuse (langfuse_server.py)."""

import datetime
import os
import pathlib
import re
import struct
import subprocess

from evaluation import grading_processor
from forwarding import ARRIVE_SECONDS_MAX, EMIT_SECONDS_MAX
from judge import BAD, Judge
from langfuse_server import INGESTION_PATH, PUBLIC_KEY, SECRET_KEY, TRACES_PATH, LangfuseServer
from otlp_json import request_from_json
from passing import post, recorded
from spans import difference, proto_spans
from subject import Forwarder

RETRY = {"initial_interval": "100ms", "max_interval": "1s", "max_elapsed_time": "30s"}
ENVIRONMENT = "deployment.environment.name"


def langfuse_exporter(server, **more):
    return {
        "public_key": PUBLIC_KEY, "secret_key": SECRET_KEY, "endpoint": server.url,
        "retry_on_failure": RETRY, **more,
    }


class Grading:
    """Sidejudge with `langfuse`, for spans and scores."""

    def __init__(self, name, paths, server, judge):
        self.subject = Forwarder(
            name, paths.program, {"langfuse": langfuse_exporter(server)}, paths.directory,
            grading_processor(judge), signals=("traces",),
        )

    def send(self, request):
        url = self.subject.http_url + "/v1/traces"
        post(url, request.SerializeToString(), "application/x-protobuf")

    def close(self):
        return self.subject.end_reason()


def _spans_of(server, request):
    """Told and received spans of one trace, when as many came as were sent."""
    expected = proto_spans([request.SerializeToString()])
    traces = {span["trace_id"] for span in expected}

    def received():
        spans = proto_spans(server.store.bodies("traces"))
        return [span for span in spans if span["trace_id"] in traces]

    server.store.wait(lambda: len(received()) >= len(expected), ARRIVE_SECONDS_MAX)
    return expected, received()


def _spans_case(server, request):
    expected, received = _spans_of(server, request)
    return difference(expected, received)


def attribute(span, key, default=None):
    return span["attributes"].get(key, [None, default])[1]


def _target(server, request):
    _, received = _spans_of(server, request)
    return graded_span(received)


def graded_span(received):
    """The span with the verdict, and the names of its scores as its attributes say."""
    graded = [span for span in received if attribute(span, "sidejudge.verdict")]
    if len(graded) != 1:
        raise RuntimeError(f"{len(graded)} spans carry a verdict")
    prefix = "sidejudge.score."
    names = [key.removeprefix(prefix) for key in graded[0]["attributes"] if key.startswith(prefix)]
    return graded[0], names


def _score_reason(event, name, span, ending):
    """Whether one score says what its span says, under the name with its ending."""
    body = event["body"]
    wanted = {
        "traceId": span["trace_id"], "observationId": span["span_id"],
        "name": name + ending,
        "environment": span["resource"].get(ENVIRONMENT, [None, None])[1],
    }
    for key, value in wanted.items():
        if body.get(key) != value:
            return f"{key} is {body.get(key)!r}, should be {value!r}"
    if body.get("dataType") != "NUMERIC":
        return f"dataType is {body.get('dataType')}"
    told = _number(span["attributes"][f"sidejudge.score.{name}"])
    if body["value"] != told:
        return f"value is {body['value']}, the span says {told}"
    if not re.fullmatch(r"[0-9a-f]{64}", body["id"]):
        return f"id is {body['id']}"
    moment = datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
    late_ms = abs(moment.timestamp() * 1000 - int(span["end"]) / 1_000_000)
    return f"timestamp is {event['timestamp']}, {late_ms} ms off" if late_ms >= 1 else None


def _number(form):
    """A number in the form of spans.py."""
    kind, text = form
    return struct.unpack(">d", bytes.fromhex(text))[0] if kind == "d" else int(text)


def _scores_of(server, span):
    found = [e for e in server.scores() if e["body"].get("observationId") == span["span_id"]]
    names = [event["body"]["name"] for event in found]
    if len(set(names)) != len(names):
        raise RuntimeError(f"names are there twice: {sorted(names)}")
    return {event["body"]["name"]: event for event in found}


def _scores_case(server, request):
    return scores_reason(server, *_target(server, request))


def scores_reason(server, span, names, ending=""):
    """Whether each score of the span comes, and says what the span says. The ending is "_targeted"
    for scores of what was picked for what it showed."""
    server.store.wait(lambda: len(_scores_of(server, span)) >= len(names), ARRIVE_SECONDS_MAX)
    scores = _scores_of(server, span)
    if sorted(scores) != sorted(name + ending for name in names):
        return f"scores are {sorted(scores)}, the span has {sorted(names)}"
    for name in names:
        reason = _score_reason(scores[name + ending], name, span, ending)
        if reason:
            return f"{name}: {reason}"
    comment = scores["answer_relevance" + ending]["body"].get("comment")
    return None if comment == "Nothing is wrong here." else f"comment is {comment!r}"


def _repeat_case(paths, server, judge, request):
    """A new process grades the same interaction: rows are replaced, for their ids are the same."""
    span, _ = _target(server, request)
    before = _scores_of(server, span)
    judge.find_wrong({"": ""})
    grading = Grading("langfuse_repeat", paths, server, judge)
    try:
        grading.send(request)
        server.store.wait(
            lambda: any(e["body"]["value"] == BAD for e in _scores_of(server, span).values()),
            ARRIVE_SECONDS_MAX,
        )
    finally:
        reason = grading.close()
    after = _scores_of(server, span)
    if sorted(after) != sorted(before):
        return f"{sorted(before)} became {sorted(after)}"
    for name, event in after.items():
        if event["body"]["id"] != before[name]["body"]["id"]:
            return f"{name} has another id"
    value = after["answer_relevance"]["body"]["value"]
    return reason if value == BAD else f"the value is {value}"


def _refusal_cases(report, server, grading, requests, scores):
    """What Langfuse answers under load and trouble; each row arrives nevertheless."""
    troubles = [
        ("spans_429", TRACES_PATH, 429, {"Retry-After": "1"}),
        ("spans_503", TRACES_PATH, 503, {}),
        ("scores_429", INGESTION_PATH, 429, {"Retry-After": "1"}),
        ("scores_500", INGESTION_PATH, 500, {}),
    ]
    if scores:
        request = requests.pop()
        server.refuse_next("context_overlap", 500)
        grading.send(request)
        report.guard(
            "langfuse_score_that_failed_for_now_is_tried_again",
            lambda: _scores_case(server, request),
        )
        refused = requests.pop()
        report.guard(
            "langfuse_refused_score_takes_no_other",
            lambda: _refused_score_case(server, grading, refused),
        )
    for (name, path, status, headers), request in zip(troubles, requests):
        if path == INGESTION_PATH and not scores:
            continue
        server.answer_next(path, status, headers)
        grading.send(request)
        case = _scores_case if path == INGESTION_PATH else _spans_case
        report.guard(
            f"langfuse_{name}_is_tried_again",
            lambda case=case, request=request: case(server, request),
        )


def _refused_score_case(server, grading, request):
    """One event of a 207 is refused for good: it alone is missing, and is not sent for ever."""
    server.refuse_next("degenerate", 400)
    grading.send(request)
    span, names = _target(server, request)
    wanted = sorted(set(names) - {"degenerate"})
    server.store.wait(lambda: len(_scores_of(server, span)) >= len(wanted), ARRIVE_SECONDS_MAX)
    got = sorted(_scores_of(server, span))
    return None if got == wanted else f"scores are {got}, should be {wanted}"


def _bad_span_case(server, grading, request):
    """Langfuse refuses a whole request for one span without an id: the others must arrive."""
    mixed = type(request)()
    mixed.CopyFrom(request)
    spans = mixed.resource_spans[0].scope_spans[0].spans
    bad = spans.add()
    bad.CopyFrom(spans[0])
    bad.span_id = b""
    try:
        grading.send(mixed)
    except OSError as error:  # refused at the door is fine as well, if it is said
        return None if getattr(error, "code", 0) == 400 else f"{error}"
    return _spans_case(server, request)


def complaints_reason(server):
    refused = [row for row in server.answers if row[1] in (401, 404, 413)]
    if refused:
        return f"answered {refused[:3]}"
    return f"{len(server.complaints)}: {server.complaints[:3]}" if server.complaints else None


def _client_case(paths):
    """A check of the stand-in: what Langfuse's own client sends is right."""
    server = LangfuseServer()
    here = pathlib.Path(__file__).resolve().parent
    try:
        subprocess.run(
            [paths.python, here / "emit_langfuse.py", server.url, PUBLIC_KEY, SECRET_KEY],
            check=True, timeout=EMIT_SECONDS_MAX, stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        server.close()
    names = sorted(event["body"]["name"] for event in server.scores())
    if names != ["colour", "number", "yes"] or len(server.store.bodies("traces")) != 1:
        return f"it took {names} and {len(server.store.bodies('traces'))} requests of spans"
    return complaints_reason(server)


def _wrong_key_case(paths, server, request):
    """401 is no reason to try for ever; and the keys are in no log."""
    exporter = {**langfuse_exporter(server), "secret_key": "sk-lf-wrong-key-of-the-tests"}
    subject = Forwarder(
        "langfuse_wrong_key", paths.program, {"langfuse": exporter}, paths.directory,
        signals=("traces",),
    )
    try:
        post(subject.http_url + "/v1/traces", request.SerializeToString(),
             "application/x-protobuf")
    finally:
        reason = subject.end_reason()
    text = subject.log.read_text(errors="replace")
    if "sk-lf-wrong-key-of-the-tests" in text:
        return "the secret key is in the log"
    return reason if "401" in text else f"the log does not name the status: {text[-500:]}"


def langfuse_cases(report, paths, scores=True):
    """`scores` False: spans only."""
    requests = {
        pathlib.Path(row["file"]).stem: request_from_json(tree) for row, tree in recorded()
    }
    names = list(requests)
    report.guard("langfuse_client_is_taken_by_the_stand_in", lambda: _client_case(paths))
    server, judge = LangfuseServer(), Judge({})
    try:
        grading = Grading("langfuse_grading", paths, server, judge)
        try:
            for name in names[:3]:
                grading.send(requests[name])
            for name in names[:3]:
                report.guard(
                    f"langfuse_spans_{name}",
                    lambda name=name: _spans_case(server, requests[name]),
                )
            for name in names[:3] if scores else []:
                report.guard(
                    f"langfuse_scores_{name}",
                    lambda name=name: _scores_case(server, requests[name]),
                )
            late = [requests[name] for name in names[3:9]]
            _refusal_cases(report, server, grading, late, scores)
            report.guard(
                "langfuse_bad_span_takes_no_other",
                lambda: _bad_span_case(server, grading, requests[names[9]]),
            )
        finally:
            report.add("langfuse_grading_exits_with_0", grading.close())
        if scores:
            report.guard(
                "langfuse_repeated_score_replaces",
                lambda: _repeat_case(paths, server, judge, requests[names[0]]),
            )
        report.guard("langfuse_has_no_complaints", lambda: complaints_reason(server))
        report.guard(
            "langfuse_wrong_key_is_said",
            lambda: _wrong_key_case(paths, server, requests[names[0]]),
        )
    finally:
        server.close()
        judge.close()
