# SPDX-License-Identifier: Apache-2.0
"""A real Arize Phoenix on SQLite and loopback, and what its own API says."""

import json
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request

from spans import plain_value
from subject import Program, free_ports

# It imports half of PyPI first.
PHOENIX_START_SECONDS_MAX = 180
PAGES_MAX = 50
KINDS = {"null_value": "n", "string_value": "s", "bool_value": "b", "bytes_value": "x"}


class Phoenix(Program):
    """Started at once; `wait` before the first request."""

    def __init__(self, python, directory):
        self.port, grpc_port = free_ports(2)
        home = pathlib.Path(directory) / "phoenix"
        home.mkdir()
        environment = {
            "HOME": str(home),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PHOENIX_WORKING_DIR": str(home),
            "PHOENIX_SQL_DATABASE_URL": f"sqlite:///{home}/phoenix.db",
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(grpc_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        serve = [python, "-m", "phoenix.server.main", "serve", "--no-internet", "--no-ui"]
        super().__init__("phoenix", serve, directory, environment)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def wait(self):
        self.wait_until_it_listens([self.port], PHOENIX_START_SECONDS_MAX)

    def request(self, path, body=None, headers=None):
        """Status and text of the answer, whatever it is."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def _pages(self, path, query):
        found, cursor = [], None
        for _ in range(PAGES_MAX):
            pairs = query + ([("cursor", cursor)] if cursor else [])
            status, text = self.request(f"{path}?{urllib.parse.urlencode(pairs)}")
            if status == 404:  # a project begins with its first span
                return found
            if status != 200:
                raise RuntimeError(f"{path}: status {status}: {text[:300]}")
            page = json.loads(text)
            found += page["data"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found
        raise RuntimeError(f"{path}: more than {PAGES_MAX} pages")

    def take(self, project, request):
        """Spans straight into a project, as any OTLP exporter sends them."""
        headers = {"Content-Type": "application/x-protobuf", "x-project-name": project}
        return self.request("/v1/traces", request.SerializeToString(), headers)

    def otlp_spans(self, project):
        """As OTLP, in the form of spans.py, as far as Phoenix keeps it."""
        path = f"/v1/projects/{project}/spans/otlpv1"
        return [_form(span) for span in self._pages(path, [("limit", "1000")])]

    def annotations(self, project, span_ids):
        pairs = [("limit", "1000")] + [("span_ids", span_id) for span_id in span_ids]
        return self._pages(f"/v1/projects/{project}/span_annotations", pairs)


def until(look, reached, seconds):
    """Looks until what is seen is `reached`, at most so long; returns what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if reached(seen) or time.monotonic() > deadline:
            return seen
        # A server with an API can only be asked again.
        time.sleep(0.1)


def _value(tree):
    for key, value in tree.items():
        if value is None:
            continue
        if key == "array_value":
            return ["a", [_value(item) for item in value["values"] or []]]
        if key == "kvlist_value":
            return ["k", _attributes(value["values"])]
        if key == "int_value":
            return ["i", str(value)]
        if key == "double_value":
            return plain_value(float(value))
        return [KINDS[key], value]
    return ["n", None]


def _attributes(rows):
    return {row["key"]: _value(row["value"]) for row in rows or []}


def _form(span):
    return {
        "trace_id": span["trace_id"],
        "span_id": span["span_id"],
        "parent_span_id": span["parent_span_id"] or "",
        "name": span["name"],
        "start": str(span["start_time_unix_nano"]),
        "end": str(span["end_time_unix_nano"]),
        "attributes": _attributes(span["attributes"]),
        "events": [
            {
                "name": event["name"],
                "time": str(event["time_unix_nano"]),
                "attributes": _attributes(event["attributes"]),
            }
            for event in span["events"] or []
        ],
        "status": [span["status"]["code"] or 0, span["status"]["message"] or ""],
    }
