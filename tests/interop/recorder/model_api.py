# SPDX-License-Identifier: Apache-2.0
"""A model API on loopback that answers from a script.

It speaks as much of OpenAI's Chat Completions and Responses and of Anthropic's Messages as the
official client libraries need. A request names its conversation in the header X-Conversation; the
n-th request of a conversation gets its n-th reply.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 4 * 1024 * 1024


def _tokens(value):
    """A token count of the right order, so that cost columns are not empty."""
    return max(1, len(json.dumps(value)) // 4)


def _chat_completion(request, reply, ident, usage):
    message = {"role": "assistant", "content": None, "refusal": None}
    if isinstance(reply, str):
        message["content"] = reply
    else:
        message["tool_calls"] = [
            {
                "id": f"call_{ident}",
                "type": "function",
                "function": {"name": reply[0], "arguments": json.dumps(reply[1])},
            }
        ]
    finish = "stop" if isinstance(reply, str) else "tool_calls"
    return {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
        },
    }


def _response(request, reply, ident, usage):
    if isinstance(reply, str):
        item = {
            "id": f"msg_{ident}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": reply, "annotations": []}],
        }
    else:
        item = {
            "id": f"fc_{ident}",
            "type": "function_call",
            "call_id": f"call_{ident}",
            "name": reply[0],
            "arguments": json.dumps(reply[1]),
            "status": "completed",
        }
    return {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": request["model"],
        "instructions": request.get("instructions"),
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request.get("tools", []),
        "usage": {
            "input_tokens": usage[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(usage),
        },
    }


def _message(request, reply, ident, usage):
    if isinstance(reply, str):
        block = {"type": "text", "text": reply}
    else:
        block = {"type": "tool_use", "id": f"toolu_{ident}", "name": reply[0], "input": reply[1]}
    return {
        "id": f"msg_{ident}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [block],
        "stop_reason": "end_turn" if isinstance(reply, str) else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": usage[0], "output_tokens": usage[1]},
    }


_PATHS = {
    "/v1/chat/completions": _chat_completion,
    "/v1/responses": _response,
    "/v1/messages": _message,
}


class ModelApi:
    """Serves `scripts`, a map from conversation key to its list of replies."""

    def __init__(self, scripts, latency_s=0.35):
        self._scripts = scripts
        self._latency_s = latency_s
        self._calls = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def answer(self, path, key, request):
        with self._lock:
            index = self._calls.get(key, 0)
            self._calls[key] = index + 1
        replies = self._scripts.get(key, [])
        if path not in _PATHS or index >= len(replies):
            return 404, {"error": {"message": f"no reply {index} for {key!r} at {path}"}}
        reply = replies[index]
        usage = (_tokens(request), _tokens(reply))
        # A model takes its time; without it every span of the recording would last a millisecond.
        time.sleep(self._latency_s + usage[1] * 0.012)
        return 200, _PATHS[path](request, reply, f"{key}{index:02d}", usage)

    def _handler(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", "0"))
                if length > BODY_BYTES_MAX:
                    self.send_error(413)
                    return
                request = json.loads(self.rfile.read(length))
                key = self.headers.get("X-Conversation", "")
                status, body = api.answer(self.path, key, request)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        return Handler
