# SPDX-License-Identifier: Apache-2.0
"""An OTLP/HTTP server on loopback that keeps the bodies which it receives."""

import gzip
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 64 * 1024 * 1024


class Store:
    """Request bodies by signal, as protobuf bytes, in order of arrival."""

    def __init__(self):
        # Re-entrant, so that reached() in wait() may ask for the bodies.
        self._arrived = threading.Condition(threading.RLock())
        self._bodies = []

    def add(self, signal, body):
        with self._arrived:
            self._bodies.append((signal, body))
            self._arrived.notify_all()

    def bodies(self, signal):
        with self._arrived:
            return [body for kept, body in self._bodies if kept == signal]

    def clear(self):
        with self._arrived:
            self._bodies = []

    def wait(self, reached, seconds):
        """Waits until reached() holds, looking again at each arrival; says whether it does."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while not reached():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._arrived.wait(left)
        return True


class HttpSink:
    def __init__(self):
        self.store = Store()
        self.headers = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
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

    def _handler(self):
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", "0"))
                if length > BODY_BYTES_MAX:
                    self.send_error(413)
                    return
                body = self.rfile.read(length)
                encoding = self.headers.get("Content-Encoding", "identity")
                if encoding == "gzip":
                    body = gzip.decompress(body)
                elif encoding == "deflate":
                    body = zlib.decompress(body)
                sink.headers.append(dict(self.headers.items()))
                sink.store.add(self.path.rpartition("/")[2], body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        return Handler
