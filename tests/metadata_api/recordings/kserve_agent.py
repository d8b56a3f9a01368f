"""The agent of KServe as an API hears it: the bytes that its pkg/logger puts on a connection for each event.

Written down from the sources of KServe 0.20 (pkg/logger/handler.go and worker.go, the injected arguments of
pkg/webhook/admission/pod/agent_injector.go), of cloudevents/sdk-go 2.16 in binary mode, and of Go's net/http, which
writes Host, User-Agent and Content-Length first, then the headers by name, and asks for gzip. It never sends twice.
"""

import http.client
import socket
import uuid
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from serving_runtime.contracts import EVENT_OF_REQUEST, EVENT_OF_RESPONSE


def rfc3339_nano(at: datetime, nanoseconds: int = 0) -> str:
    """A time as Go writes it: in UTC, a fraction of as many digits as it needs."""
    fraction = f"{at.microsecond * 1000 + nanoseconds:09d}".rstrip("0")
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


class Agent:
    """One connection of an agent beside the predictor `pets`; `sent` are the bytes of its last event."""

    def __init__(self, url: str | httpx.URL, path: str) -> None:
        found = urlsplit(str(url))
        self._host, self._path = found.netloc, path
        self._socket = socket.create_connection((found.hostname, found.port), 30)
        self.sent = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, trace: TracebackType | None) -> None:
        self._socket.close()

    def request(self, identity: str, body: bytes, *, ms: float = 0, **more: str | None) -> int:
        """What a client asked, at so many milliseconds after a minute ago; the status of the answer."""
        return self._send(identity, EVENT_OF_REQUEST, body, ms, more)

    def response(self, identity: str, body: bytes, *, ms: float = 12, **more: str | None) -> int:
        """What the model answered; its content type is that of the request."""
        return self._send(identity, EVENT_OF_RESPONSE, body, ms, more)

    def again(self) -> int:
        """The same bytes once more, as a proxy in between may send them."""
        self._socket.sendall(self.sent)
        return self._status()

    def _send(self, identity: str, kind: str, body: bytes, ms: float, more: dict[str, str | None]) -> int:
        minute_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        headers = {
            "Ce-Component": "predictor",
            "Ce-Endpoint": "",
            "Ce-Id": identity,
            "Ce-Inferenceservicename": "pets",
            "Ce-Metadata": "{}",
            "Ce-Namespace": "marina",
            "Ce-Recordedtime": rfc3339_nano(datetime.now(UTC), 789),
            "Ce-Source": "pets-predictor-7c9d6f5b8-x2x4q",
            "Ce-Specversion": "1.0",
            "Ce-Time": rfc3339_nano(minute_ago + timedelta(milliseconds=ms), 0),
            "Ce-Type": kind,
            "Content-Type": "application/json",
        }
        named = {name.replace("_", "-").title(): value for name, value in more.items()}
        lines = [
            f"POST {self._path} HTTP/1.1",
            f"Host: {self._host}",
            "User-Agent: Go-http-client/1.1",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in sorted((headers | named).items()) if value is not None),
            "Accept-Encoding: gzip",
        ]
        self.sent = "\r\n".join([*lines, "", ""]).encode() + body
        self._socket.sendall(self.sent)
        return self._status()

    def _status(self) -> int:
        answer = http.client.HTTPResponse(self._socket, method="POST")
        answer.begin()
        answer.read()
        return answer.status


def new_id() -> str:
    """An id that the agent makes up, where the client's request had no Ce-Id."""
    return str(uuid.uuid4())
