"""A real HTTP server in the place of the metadata API: it takes recorded events, or behaves as a test wants."""

import base64
import contextlib
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import orjson

PATH = "/v1/recordings/summing/" + "k" * 43


class Sink:
    """`events` are those that it took; `statuses` are given first, one for each request, and then 202."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        """Path and content type of each."""
        self.statuses: list[int] = []
        self.delay = 0.0
        """Seconds before each response."""
        self.drips = False
        """Whether a response comes byte by byte, and never to its end."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.requests.append((self.path, self.headers["content-type"]))
                time.sleep(sink.delay)
                drips = sink.drips
                status = sink.statuses.pop(0) if sink.statuses else 202
                if status == 202:
                    sink.events.extend(orjson.loads(body))
                if drips:
                    return self._drip()
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
                return None

            def _drip(self) -> None:
                with contextlib.suppress(OSError):
                    while True:
                        self.wfile.write(b"x")
                        time.sleep(0.1)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where events of the model `summing` go."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{PATH}"

    @property
    def ids(self) -> Counter[str]:
        """How many events there are of each id."""
        return Counter(event["id"] for event in self.events)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def body_in(event: dict[str, Any]) -> bytes:
    """What the event carries."""
    return base64.b64decode(event["data_base64"], validate=True)
