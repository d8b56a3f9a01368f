"""A pooler in front of a real Postgres, as pgbouncer is one: it takes few parameters, and in transaction mode no client
keeps a session. Clients log in to the server themselves; their connections to it are then everybody's. With a context
for TLS it has the certificate that the server, built without TLS, cannot have.
"""

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import make_url

KNOWN = {
    *("user", "database", "client_encoding", "datestyle", "timezone"),
    *("standard_conforming_strings", "application_name"),
}
_TLS = 80877103
Mode = Literal["session", "transaction"]


@dataclass
class Pooler:
    """One that runs: the URL of the database through it, and what it saw."""

    url: str
    mode: Mode
    tls: ssl.SSLContext | None = None
    rejected: list[str] = field(default_factory=list)
    """Names of parameters that it does not take."""
    switches: int = 0
    """How often a client got another session than before."""
    idle: deque[socket.socket] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def pooler(url: str, mode: Mode = "session", tls: ssl.SSLContext | None = None) -> Iterator[Pooler]:
    """A pooler for the server of a URL, until the block ends."""
    server = make_url(url)
    assert server.host
    assert server.port
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        through = server.set(port=listener.getsockname()[1]).render_as_string(hide_password=False)
        found = Pooler(through, mode, tls)
        target = (server.host, server.port)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_serve, args=(found, client, target), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield found
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for each in found.idle:
            each.close()


def _serve(pooler: Pooler, client: socket.socket, target: tuple[str, int]) -> None:
    try:
        client, start = _start(client, pooler.tls)
    except OSError:
        return
    with closing(client), suppress(OSError):
        words = start[8:].rstrip(b"\0").decode().split("\0")
        if unknown := [name for name in words[::2] if name not in KNOWN]:
            pooler.rejected += unknown
            text = f"unsupported startup parameter: {unknown[0]}"
            fields = b"".join(
                kind + value.encode() + b"\0"
                for kind, value in ((b"S", "FATAL"), (b"C", "08P01"), (b"M", text))
            )
            client.sendall(b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0")
            return
        server: socket.socket | None = socket.create_connection(target, 10)
        assert server
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # else each message waits for the one before it
        server.sendall(start)
        _log_in(client, server)
        _pass_on(pooler, client, server)


def _start(client: socket.socket, tls: ssl.SSLContext | None) -> tuple[socket.socket, bytes]:
    """The line and the start-up message, once there is TLS, or TLS and GSS have been declined."""
    try:
        while True:
            head = _take(client, 8)
            size, code = struct.unpack("!II", head)
            rest = _take(client, size - 8)
            if code >> 16 == 3:
                return client, head + rest
            wanted = tls is not None and code == _TLS
            client.sendall(b"S" if wanted else b"N")
            if tls is not None and wanted:
                client = tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
                client.do_handshake()
    except OSError:
        client.close()
        raise


def _log_in(client: socket.socket, server: socket.socket) -> None:
    """Pass on what both say until the server is ready."""
    while True:
        kind, message = _message(server)
        client.sendall(message)
        if kind == b"Z":
            return
        # Of the requests to authenticate, only OK and the end of SASL want no answer.
        if kind == b"R" and struct.unpack("!I", message[5:9])[0] not in (0, 12):
            server.sendall(_message(client)[1])


def _pass_on(pooler: Pooler, client: socket.socket, server: socket.socket) -> None:
    """Statements of a client, in transaction mode each transaction to the session that waits longest."""
    held: socket.socket | None = server
    last = server
    try:
        while True:
            if held is not None and pooler.mode == "transaction":
                with pooler.lock:
                    pooler.idle.append(held)
                held = None
            in_transaction = True
            while in_transaction:
                kind, message = _message(client)
                if kind == b"X":
                    return
                if held is None:
                    with pooler.lock:
                        held = pooler.idle.popleft()
                    pooler.switches += held is not last
                    last = held
                held.sendall(message)
                while True:
                    kind, message = _message(held)
                    client.sendall(message)
                    if kind == b"Z":
                        in_transaction = message[5:6] != b"I"
                        break
    finally:
        if held is not None:
            held.close()


def _message(line: socket.socket) -> tuple[bytes, bytes]:
    """Kind and bytes of the next message."""
    head = _take(line, 5)
    return head[:1], head + _take(line, struct.unpack("!I", head[1:])[0] - 4)


def _take(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        if not piece:
            raise OSError("it ended")
        found += piece
    return found
