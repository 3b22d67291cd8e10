# SPDX-License-Identifier: Apache-2.0
"""Spans and scores through Sidejudge into a real Arize Phoenix, read back through Phoenix's API.

What Phoenix makes of a span (it keeps microseconds, parses some JSON, adds attributes of its own)
is not written down here: each trace also goes straight to Phoenix under other ids, and both must
read the same.
"""

import pathlib
import struct

from evaluation import grading_processor
from forwarding import ARRIVE_SECONDS_MAX
from http_sink import HttpSink
from judge import BAD, Judge
from otlp_json import request_from_json
from passing import post, recorded
from phoenix_server import until
from spans import ADDED, proto_spans
from subject import Forwarder

STRAIGHT = "straight"
BY_JUDGE = ("answer_relevance", "faithfulness")
SCORE = "sidejudge.score."
# Phoenix tries annotations of unknown spans again every ten seconds.
POSTPONED_SECONDS_MAX = 40
# What the judge is to find wrong: any answer, by any rubric.
EVERYTHING = {"": ""}
NOTHING_WRONG = "Nothing is wrong here."


def with_other_ids(request, salt):
    """A copy in which every id differs, alike for equal ids."""
    copy = type(request)()
    copy.CopyFrom(request)

    def other(identifier):
        return bytes([identifier[0] ^ salt]) + identifier[1:] if identifier else identifier

    for resource_spans in copy.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.trace_id, span.span_id = other(span.trace_id), other(span.span_id)
                span.parent_span_id = other(span.parent_span_id)
                for link in span.links:
                    link.trace_id, link.span_id = other(link.trace_id), other(link.span_id)
    return copy


def _send(subject, request):
    post(subject.http_url + "/v1/traces", request.SerializeToString(), "application/x-protobuf")


def _ids(request):
    return [span["span_id"] for span in proto_spans([request.SerializeToString()])]


def _without_ids(span):
    kept = {k: v for k, v in span["attributes"].items() if not k.startswith(ADDED)}
    plain = {**span, "attributes": kept, "is_root": not span["parent_span_id"]}
    return {k: v for k, v in plain.items() if k not in ("trace_id", "span_id", "parent_span_id")}


def _read(phoenix, project, ids, seconds=ARRIVE_SECONDS_MAX):
    """The spans of these ids in a project, by id, when all are there or the time is over."""

    def look():
        wanted = set(ids)
        return [span for span in phoenix.otlp_spans(project) if span["span_id"] in wanted]

    spans = until(look, lambda seen: len(seen) >= len(ids), seconds)
    if len(spans) != len(ids):
        raise RuntimeError(f"{len(spans)} of {len(ids)} spans in project {project}")
    return {span["span_id"]: span for span in spans}


def _exporter(phoenix, project, **more):
    retry = {"initial_interval": "100ms", "max_interval": "1s", "max_elapsed_time": "30s"}
    return {
        "endpoint": phoenix.url, "project_name": project, "retry_on_failure": retry, **more
    }


def _same_case(phoenix, project, request, straight):
    """Each span as it reads when nobody stood in between."""
    through = _read(phoenix, project, _ids(request))
    direct = _read(phoenix, STRAIGHT, _ids(straight))
    for own, other in zip(_ids(request), _ids(straight)):
        got, wanted = _without_ids(through[own]), _without_ids(direct[other])
        for key, value in wanted.items():
            if got[key] != value:
                return f"{key} of span {wanted['name']!r} is {got[key]}, straight it is {value}"
    return None


def _encoding_cases(report, paths, phoenix, straight):
    """Each encoding that Phoenix takes, with a body that is large enough to be encoded."""
    for salt, encoding in enumerate(("gzip", "deflate", "none"), start=1):
        project = f"encoding_{encoding}"
        exporter = _exporter(phoenix, project, compression=encoding)
        subject = Forwarder(
            f"phoenix_{encoding}", paths.program, {"phoenix": exporter}, paths.directory,
            signals=("traces",),
        )
        try:
            request = with_other_ids(straight, salt)
            _send(subject, request)
            report.guard(
                f"phoenix_reads_{encoding}",
                lambda: _same_case(phoenix, project, request, straight),
            )
        finally:
            report.add(f"phoenix_{encoding}_exits_with_0", subject.end_reason())


def _added(span):
    return {k: v[1] for k, v in span["attributes"].items() if k.startswith("sidejudge.")}


def _enriched_case(phoenix, project, request):
    """The graded span carries its scores; the bare span that follows changes nothing."""
    ids = _ids(request)
    scored = [s for s in _read(phoenix, project, ids).values() if "sidejudge.verdict" in _added(s)]
    if len(scored) != 1:
        return f"{len(scored)} of {len(ids)} spans carry a verdict"
    phoenix.take(project, request)
    # Phoenix answers before it writes, but writes in order: behind a span of its own it is done.
    marker = with_other_ids(request, 0x40)
    phoenix.take(STRAIGHT, marker)
    _read(phoenix, STRAIGHT, _ids(marker))
    again = _read(phoenix, project, ids)[scored[0]["span_id"]]
    if _added(again) != _added(scored[0]):
        return f"a second write changed {_added(scored[0])} to {_added(again)}"
    return None


class Target:
    """The span of a trace that was graded, as Phoenix has it."""

    def __init__(self, phoenix, project, request):
        spans = _read(phoenix, project, _ids(request)).values()
        scored = [span for span in spans if "sidejudge.verdict" in _added(span)]
        if len(scored) != 1:
            raise RuntimeError(f"{len(scored)} spans carry a verdict")
        self.span_id = scored[0]["span_id"]
        attributes = scored[0]["attributes"]
        self.names = _score_names(attributes)
        self.scores = {name: attributes[SCORE + name] for name in self.names}


def _annotations(phoenix, project, span_id, count, seconds=ARRIVE_SECONDS_MAX):
    """By name, when at least `count` are there."""
    found = until(
        lambda: phoenix.annotations(project, [span_id]), lambda seen: len(seen) >= count, seconds
    )
    by_name = {row["name"]: row for row in found}
    if len(by_name) != len(found):
        raise RuntimeError(f"names are there twice: {sorted(row['name'] for row in found)}")
    return by_name


def _score_names(added):
    return sorted(key.removeprefix(SCORE) for key in added if key.startswith(SCORE))


def _annotation_reason(row, name, target, reason):
    if row["annotator_kind"] != ("LLM" if name in BY_JUDGE else "CODE"):
        return f"annotator_kind is {row['annotator_kind']}"
    if not row["identifier"]:
        return "identifier is empty: several judges would overwrite one another"
    kind, text = target.scores[name]
    score = struct.unpack(">d", bytes.fromhex(text))[0] if kind == "d" else float(text)
    # Through JSON and a database nothing of 64 bits may be lost.
    if row["result"]["score"] != score:
        return f"score is {row['result']['score']}, the span says {score}"
    if name in BY_JUDGE:
        if row["result"]["label"] not in ("pass", "fail"):
            return f"label is {row['result']['label']}"
        if row["result"]["explanation"] != reason:
            return f"explanation is {row['result']['explanation']!r}"
    return None


def _annotations_case(phoenix, project, request, reason):
    target = Target(phoenix, project, request)
    if "answer_relevance" not in target.names:
        return f"the span has no score by judge: {target.names}"
    rows = _annotations(phoenix, project, target.span_id, len(target.names))
    if sorted(rows) != target.names:
        return f"annotations are {sorted(rows)}, the span has scores {target.names}"
    for name, row in rows.items():
        why = _annotation_reason(row, name, target, reason)
        if why:
            return f"{name}: {why}"
    return None


def _grading(name, paths, exporters, judge):
    """Sidejudge with a judge and exporters."""
    return Forwarder(
        name, paths.program, exporters, paths.directory, grading_processor(judge),
        signals=("traces",),
    )


def _traces_cases(report, paths, phoenix, requests, straights, scores):
    """All recorded traces by one exporter of spans and scores."""
    project = "graded"
    exporters = {"phoenix": _exporter(phoenix, project)}
    judge = Judge({})
    subject = _grading("phoenix_grading", paths, exporters, judge)
    try:
        for request in requests.values():
            _send(subject, request)
        for name, request in requests.items():
            report.guard(
                f"phoenix_spans_{name}",
                lambda name=name, request=request: _same_case(
                    phoenix, project, request, straights[name]
                ),
            )
        first = next(iter(requests))
        report.guard(
            "phoenix_enriched_span_arrives_once",
            lambda: _enriched_case(phoenix, project, requests[first]),
        )
        for name, request in requests.items() if scores else []:
            report.guard(
                f"phoenix_annotations_{name}",
                lambda request=request: _annotations_case(
                    phoenix, project, request, NOTHING_WRONG
                ),
            )
    finally:
        report.add("phoenix_grading_exits_with_0", subject.end_reason())
    try:
        if scores:
            repeated = (paths, phoenix, project, exporters, judge, requests[first])
            report.guard("phoenix_repeated_annotation_replaces", lambda: _repeat_case(*repeated))
    finally:
        judge.close()


def _repeat_case(paths, phoenix, project, exporters, judge, request):
    """A new process grades the same interaction, now as bad: the span stays as it is, the
    annotations are replaced, for name, span and epoch are the same."""
    target = Target(phoenix, project, request)
    before = phoenix.annotations(project, [target.span_id])
    judge.find_wrong(EVERYTHING)
    subject = _grading("phoenix_repeat", paths, exporters, judge)
    try:
        _send(subject, request)
        after = until(
            lambda: phoenix.annotations(project, [target.span_id]),
            lambda rows: any(row["result"]["score"] == BAD for row in rows),
            ARRIVE_SECONDS_MAX,
        )
    finally:
        reason = subject.end_reason()
    if len(after) != len(before):
        return f"{len(before)} annotations became {len(after)}"
    result = {row["name"]: row["result"] for row in after}["answer_relevance"]
    if result["score"] != BAD or result["label"] != "fail":
        return f"answer_relevance was not replaced: {result}"
    return reason


class EarlyScores:
    """Scores by `phoenix_annotations` while the spans go elsewhere: Phoenix has to wait for them.
    Begun before the other cases and finished behind them, because that takes ten seconds."""

    PROJECT = "early"

    def __init__(self, paths, phoenix, request):
        self._phoenix, self._request = phoenix, with_other_ids(request, 0x20)
        self._sink = HttpSink()
        exporters = {
            "otlp_http": {"endpoint": self._sink.url, "compression": "none"},
            "phoenix_annotations": {"endpoint": phoenix.url},
        }
        self._judge = Judge({})
        self._subject = _grading("phoenix_early", paths, exporters, self._judge)
        _send(self._subject, self._request)

    def case(self):
        """The span follows as late as an exporter with a backlog would send it."""
        store = self._sink.store
        store.wait(lambda: self._graded() is not None, ARRIVE_SECONDS_MAX)
        graded = self._graded()
        if graded is None:
            return "the sink has no graded span"
        # The exporter has sent its scores once it has ended.
        reason = self._subject.end_reason()
        self._phoenix.take(self.PROJECT, self._request)
        wanted = _score_names(graded["attributes"])
        rows = _annotations(
            self._phoenix, self.PROJECT, graded["span_id"], len(wanted), POSTPONED_SECONDS_MAX
        )
        if sorted(rows) != wanted:
            return f"annotations are {sorted(rows)}, the span has scores {wanted}"
        return reason

    def _graded(self):
        spans = proto_spans(self._sink.store.bodies("traces"))
        scored = [span for span in spans if "sidejudge.verdict" in _added(span)]
        return scored[0] if scored else None

    def close(self):
        self._subject.stop()
        self._judge.close()
        self._sink.close()


def phoenix_cases(report, paths, phoenix, scores=True):
    """`phoenix` was started before, for that takes its time. `scores` False: spans only."""
    try:
        phoenix.wait()
        rows = recorded()
        requests = {
            pathlib.Path(row["file"]).stem: request_from_json(tree) for row, tree in rows
        }
        straights = {
            name: with_other_ids(request, 0x80) for name, request in requests.items()
        }
        for request in straights.values():
            phoenix.take(STRAIGHT, request)
        first = next(iter(requests))
        early = EarlyScores(paths, phoenix, requests[first]) if scores else None
        try:
            _encoding_cases(report, paths, phoenix, straights[first])
            _traces_cases(report, paths, phoenix, requests, straights, scores)
            if early:
                report.guard("phoenix_annotation_before_its_span", early.case)
        finally:
            if early:
                early.close()
    finally:
        status = phoenix.stop()
        report.add("phoenix_ends_when_told", None if status in (0, -15) else f"status {status}")
