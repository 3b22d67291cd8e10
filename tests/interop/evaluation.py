# SPDX-License-Identifier: Apache-2.0
"""The recorded conversations and public captures through the evaluation processor, graded by a
scripted judge: what was extracted, what was written onto the spans, and that all else is as it was.
"""

import pathlib
import subprocess

from captures import STRICT, captured
from forwarding import ARRIVE_SECONDS_MAX
from grpc_sink import GrpcSink
from judge import Judge, squash
from otlp_json import request_from_json
from passing import post, recorded
from spans import difference, proto_spans
from subject import Forwarder

# A word of the instructions of the rubric that has to find each wrong conversation.
FAULT_RUBRIC = {
    "01_refund_window.json": "supported",
    "03_refund_without_approval.json": "supported",
    "06_other_question_answered.json": "answer the QUESTION",
}


def grading_processor(judge):
    price = {"input_per_mtok": 1, "output_per_mtok": 5}
    return {
        "evaluation": {
            "sampling": {"baseline": 1},
            "budget": {"usd_per_day": 100, "calls_per_second": 1000},
            # Captures can lack their root; without one, silence has to end them.
            "completion": {"linger": "300ms", "idle": "2s"},
            "judges": {
                "default": {
                    "api": "openai",
                    "endpoint": judge.url,
                    "model": "scripted",
                    "api_key": "not-a-key",
                    "price": price,
                }
            },
            "evaluators": {
                "context_overlap": {},
                "question_overlap": {},
                "degenerate": {},
                "faithfulness": {"judge": "default", "threshold": 0.85},
                "answer_relevance": {"judge": "default", "threshold": 0.85},
            },
        }
    }


def _send(subject, request):
    status, _ = post(
        subject.http_url + "/v1/traces", request.SerializeToString(), "application/x-protobuf"
    )
    if status != 200:
        raise RuntimeError(f"status {status}")


def _of_trace(store, trace_ids):
    return [s for s in proto_spans(store.bodies("traces")) if s["trace_id"] in trace_ids]


def _added(span):
    return {k: v[1] for k, v in span["attributes"].items() if k.startswith("sidejudge.")}


class Graded:
    """One trace that was sent, and what came of it."""

    def __init__(self, subject, store, judge, request):
        self.expected = proto_spans([request.SerializeToString()])
        self.trace_ids = {span["trace_id"] for span in self.expected}
        self._judge = judge
        self._seen_before = len(judge.transcripts())
        _send(subject, request)
        store.wait(
            lambda: len(_of_trace(store, self.trace_ids)) >= len(self.expected),
            ARRIVE_SECONDS_MAX,
        )
        self.received = _of_trace(store, self.trace_ids)

    def scored(self):
        return [s for s in self.received if "sidejudge.decision" in s["attributes"]]

    def transcripts(self, response):
        new = self._judge.transcripts()[self._seen_before :]
        return [t for t in new if response in squash(t.part("RESPONSE"))]


def _values_of(tree):
    """All strings of parsed OTLP/JSON, joined."""
    if isinstance(tree, dict):
        return " ".join(_values_of(value) for value in tree.values())
    if isinstance(tree, list):
        return " ".join(_values_of(value) for value in tree)
    return str(tree)


def _verdict_reason(row, span):
    added = _added(span)
    wanted = "fail" if row["verdict"] == "wrong" else "pass"
    if added.get("sidejudge.decision") != "judged":
        return f"decision is {added.get('sidejudge.decision')}"
    if added.get("sidejudge.verdict") != wanted:
        return f"verdict is {added.get('sidejudge.verdict')}, should be {wanted}: {added}"
    for name in ("score.answer_relevance", "sampling.probability", "judge.id"):
        if f"sidejudge.{name}" not in added:
            return f"sidejudge.{name} is not there: {sorted(added)}"
    return None


def _extraction_reason(row, tree, graded):
    """What the judge was shown must be the question, the answer and the evidence."""
    transcripts = graded.transcripts(squash(row["answer"]))
    if not transcripts:
        return "no transcript has the answer"
    evidence = squash(row["evidence"])
    for transcript in transcripts:
        response, question = transcript.part("RESPONSE"), transcript.part("QUESTION")
        if squash(response) != squash(row["answer"]):
            return f"the response is {response!r}"
        if not squash(question).endswith(squash(row["question"])):
            return f"the question is {question!r}"
        # Some evidence is a remark of the index, not a quotation.
        if evidence in squash(_values_of(tree)) and evidence not in squash(transcript.text):
            return f"the evidence is not in the transcript: {sorted(transcript.parts)}"
    return None


def _recorded_case(row, tree, subject, store, judge):
    graded = Graded(subject, store, judge, request_from_json(tree))
    reason = difference(graded.expected, graded.received)
    if reason:
        return reason
    if len(graded.scored()) != 1:
        names = [span["name"] for span in graded.scored()]
        return f"{len(names)} spans carry a decision: {names}"
    return _verdict_reason(row, graded.scored()[0]) or _extraction_reason(row, tree, graded)


def _capture_case(name, request, subject, store, judge):
    graded = Graded(subject, store, judge, request)
    reason = difference(graded.expected, graded.received)
    if reason or name not in STRICT:
        return reason
    question, answer = (squash(text) for text in STRICT[name](graded.expected))
    if not question or not answer:
        return "the capture is not what it was: no question or answer found in it"
    for transcript in graded.transcripts(answer):
        if question in squash(transcript.part("QUESTION")):
            return None
    return f"no transcript has its question and answer; decisions: {_decisions(graded)}"


def _decisions(graded):
    return [_added(span).get("sidejudge.decision") for span in graded.scored()]


def _explain_case(paths, subject, trace_id):
    """`sidejudge explain` must find the trace and name its decision."""
    done = subprocess.run(
        [paths.program, "explain", "--api", f"127.0.0.1:{subject.api_port}", trace_id],
        capture_output=True,
        text=True,
        timeout=20,
    )
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr}"
    return None if "judged" in done.stdout else f"it says: {done.stdout}"


def evaluation_cases(report, paths):
    rows = recorded()
    failing = {
        row["failing_sentence"]: FAULT_RUBRIC[row["file"]]
        for row, _ in rows
        if row["verdict"] == "wrong"
    }
    judge, sink = Judge(failing), GrpcSink()
    exporter = {"endpoint": sink.endpoint, "compression": "none", "tls": {"insecure": True}}
    try:
        subject = Forwarder(
            "grading",
            paths.program,
            {"otlp_grpc": exporter},
            paths.directory,
            grading_processor(judge),
        )
        try:
            for row, tree in rows:
                report.guard(
                    f"graded_{pathlib.Path(row['file']).stem}",
                    lambda row=row, tree=tree: _recorded_case(
                        row, tree, subject, sink.store, judge
                    ),
                )
            trace_id = proto_spans([request_from_json(rows[0][1]).SerializeToString()])[0]
            report.guard(
                "explain_finds_a_graded_trace",
                lambda: _explain_case(paths, subject, trace_id["trace_id"]),
            )
            for name, request in captured():
                report.guard(
                    f"capture_{name}",
                    lambda name=name, request=request: _capture_case(
                        name, request, subject, sink.store, judge
                    ),
                )
        finally:
            report.add("grading_exits_with_0", subject.end_reason())
    finally:
        sink.close()
        judge.close()
