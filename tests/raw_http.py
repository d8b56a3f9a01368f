"""HTTP by hand for tests: what no client library would send, and when each piece of it is sent."""

import re
import socket
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """One response: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection to the server of a URL, as a context."""

    def __init__(self, url: str, seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.socket = socket.create_connection((parts.hostname, parts.port), seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """The head of a request, with Host; `_` in a name is `-`."""
        fields = {"host": self.host} | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, *pieces: bytes, pause: float = 0.05) -> Self:
        """Each piece as a packet of its own."""
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            self.socket.sendall(piece)
        return self

    def received(self, quiet: float = 0.06, seconds: float = 10.0) -> bytes:
        """What comes until the end of the connection, or until nothing came for `quiet` seconds after something."""
        found, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(min(left, quiet) if found else left)
            try:
                piece = self.socket.recv(65_536)
            except (TimeoutError, ConnectionError):
                break
            if not piece:
                break
            found += piece
        return found

    def answers(self, quiet: float = 0.06) -> list[Answer]:
        """All responses that come, one after the other."""
        return parsed(self.received(quiet))

    def seconds_to_end(self, limit: float) -> float:
        """How long the server keeps the connection from now on; `limit` when it is longer."""
        begin = time.monotonic()
        try:
            while (left := limit - (time.monotonic() - begin)) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65_536):
                    break
        except TimeoutError:
            return limit
        except ConnectionError:
            pass
        return time.monotonic() - begin

    def reset(self) -> None:
        """Leave without a farewell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def parsed(data: bytes) -> list[Answer]:
    """The responses in what came on a connection. Raises AssertionError for anything else."""
    found = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert match, f"this is no response: {data[:200]!r}"
        assert end, f"the head has no end: {data[:200]!r}"
        pairs = (line.decode("latin-1").split(":", 1) for line in head.split(b"\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        size = 0 if match[1].startswith(b"1") else int(headers.get("content-length", len(rest)))
        found.append(Answer(int(match[1]), headers, rest[:size]))
        data = rest[size:]
    return found
