# SPDX-License-Identifier: Apache-2.0
"""A judge on loopback: OpenAI's chat-completions API with scripted verdicts. It keeps the
transcripts that it was shown, which is how the tests see what Sidejudge extracted."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 4 * 1024 * 1024
# Each part of a transcript stands between two marks that are drawn anew for each call.
PART = re.compile(r"<<([0-9a-f]+) ([A-Z ]+)>>\n(.*?)\n<<\1 end>>", re.DOTALL)
GOOD, BAD = 0.95, 0.1


def squash(text):
    """Letters and digits only, so that white space, quoting and escapes do not matter."""
    return re.sub(r"[^0-9a-z]+", "", text.lower())


class Transcript:
    def __init__(self, instructions, text):
        self.instructions = instructions
        self.text = text
        self.parts = {}
        for _, name, part in PART.findall(text):
            self.parts.setdefault(name, []).append(part)

    def part(self, name):
        return "\n".join(self.parts.get(name, []))


class Judge:
    """Finds the sentences of `failing` wrong, a map from sentence to the word that its rubric
    has in its instructions; finds everything else right."""

    def __init__(self, failing):
        self._failing = failing
        self._lock = threading.Lock()
        self._transcripts = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def find_wrong(self, failing):
        """From now on. Its address stays, which is part of what a judge is."""
        with self._lock:
            self._failing = failing

    def transcripts(self):
        with self._lock:
            return list(self._transcripts)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def grade(self, request):
        messages = {message["role"]: message["content"] for message in request["messages"]}
        transcript = Transcript(messages.get("system", ""), messages.get("user", ""))
        with self._lock:
            self._transcripts.append(transcript)
            failing = self._failing
        for sentence, word in failing.items():
            if sentence in transcript.part("RESPONSE") and word in transcript.instructions:
                return {"reason": "This is wrong.", "evidence": sentence, "score": BAD}
        return {"reason": "Nothing is wrong here.", "evidence": "", "score": GOOD}

    def _handler(self):
        judge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", "0"))
                if length > BODY_BYTES_MAX or self.path != "/v1/chat/completions":
                    self.send_error(404)
                    return
                request = json.loads(self.rfile.read(length))
                message = {"role": "assistant", "content": json.dumps(judge.grade(request))}
                reply = {
                    "id": "grade",
                    "object": "chat.completion",
                    "model": request["model"],
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 500, "completion_tokens": 50, "total_tokens": 550},
                }
                body = json.dumps(reply).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        return Handler
