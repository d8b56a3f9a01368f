"""Connections of uvicorn that no client keeps for nothing, and that pass over offers to speak another protocol.

uvicorn has a deadline for idle connections after a response, and no other: a connection on which nothing or half a head
comes stays open for ever, a head may be of any size, and a response waits for ever for a client that does not read it.
Bodies are the business of the application behind, until its response has left. When there are too many connections,
those that wait for a client make room for new ones.

A server may ignore `Upgrade` (RFC 9110, 7.8); JDK HttpClient and `curl --http2` send `Upgrade: h2c` with any request.
httptools ends such a request at its head and loses the body, so the request is parsed again without the offer.

A copy of serving_runtime/bounded_http.py, because the UI shares no code with the other parts;
tests/repo/test_bounded_http.py compares them.
"""

import asyncio
import heapq
import re
import resource
from collections.abc import Iterator

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

KEPT_SECONDS = 80
"""A connection lives so long without a request: longer than proxies keep theirs, which is 60 or 75 s."""
REST_SECONDS = 10.0
"""For the rest of a head, and for what is left of a body when its response has been sent."""
STUCK_SECONDS = 30.0
"""A client has to read something of a response within this time."""
MAX_HEAD_BYTES = 64 * 1024
MAX_CONNECTIONS = 4000
"""Each takes a file and about 10 KB."""
_MOST_FILES = 65_536
_MADE_ROOM = 20  # one of so many connections is closed at once: to look for them takes time
_OFFER = (b"upgrade", b"http2-settings")
_AUTHORITY = re.compile(rb"[^:/?#]+://([^/?#]*)")


class _Trailers(list[tuple[bytes, bytes]]):
    """What comes after a body is no header of the request: it would stand among those that were checked."""

    def append(self, _: tuple[bytes, bytes]) -> None: ...


_TRAILERS = _Trailers()


class BoundedHttpProtocol(HttpToolsProtocol):
    """What uvicorn makes for each connection (`uvicorn.Config(http=BoundedHttpProtocol)`)."""

    max_connections = MAX_CONNECTIONS

    _head_bytes = 0
    _rest: asyncio.TimerHandle | None = None
    """The deadline of a message that is not complete, when nobody else looks after it."""
    _stuck: asyncio.TimerHandle | None = None
    """When to look whether the client still reads."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._rest, self._stuck):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        size = len(data)
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as offer:
                    data = self._without_offer() + data[offer.args[0] :]
        except httptools.HttpParserError:
            return self._reject(400, "Invalid HTTP request received.")
        if self.cycle is None or self.cycle.response_complete:
            self._await_rest(size)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        if self._rest is not None:
            self._cancel_rest()
        if not self.url.startswith(b"/"):
            self._heed_host_of_target()
        super().on_headers_complete()
        self.headers = _TRAILERS

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        if self._rest is not None:
            self._cancel_rest()
        cycle = self.cycle
        cycle.more_body = False  # in uvicorn only before the response is complete
        if not cycle.response_complete:
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_end()
        elif self.cycle.more_body and self.cycle.response_complete:
            # A client that sends the rest of a body is let, but it is no idle connection.
            self._unset_keepalive_if_required()
            self._await_rest(0)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_end()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_end()

    def _await_request(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _await_rest(self, size: int) -> None:
        """Called after each piece that came while no request is being answered."""
        if self.transport.is_closing():
            return
        in_head = self._in_head()
        if not in_head and (self.cycle is None or not self.cycle.more_body):
            return self._await_request()
        if in_head:
            self._head_bytes += size
            if self._head_bytes > MAX_HEAD_BYTES:
                return self._reject(431, f"The head of a request may have {MAX_HEAD_BYTES} bytes.")
        if self._rest is None:
            self._rest = self.loop.call_later(REST_SECONDS, self.transport.abort)
        return None

    def _in_head(self) -> bool:
        """Whether a request has begun and its head is not complete."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _cancel_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
            self._head_bytes = 0

    def _without_offer(self) -> bytes:
        """The head that was just read, as it would be from a client that offers nothing; a new parser waits for it.

        Raises httptools.HttpParserError for CONNECT, which makes a tunnel of its connection.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError("there is no tunnel here")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        for name, value in self.headers:
            if name == b"connection":
                words = (word.strip() for word in value.split(b","))
                value = b", ".join(word for word in words if word.lower() not in _OFFER)
            if name not in _OFFER:
                lines.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        return b"\r\n".join([*lines, b"", b""])

    def _heed_host_of_target(self) -> None:
        """An absolute address takes the place of Host (RFC 9112, 3.2.2), so that it is what is checked."""
        authority = _AUTHORITY.match(self.url)
        if authority is not None:
            others = [pair for pair in self.headers if pair[0] != b"host"]
            self.headers[:] = [(b"host", authority[1]), *others]

    def _reject(self, status: int, text: str) -> None:
        """Answer what is no request of any application; not logged, as anybody could fill the log with it."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (self._in_head() or not cycle.more_body):
            cycle.keep_alive = False  # what was asked before is still answered, and nothing after it
            return
        if self.transport.is_closing():
            return
        body = text.encode()
        size = b"content-length: %d" % len(body)
        lines = (b"content-type: text/plain; charset=utf-8", size, b"connection: close", b"", body)
        self.transport.write(STATUS_LINE[status] + b"\r\n".join(lines))
        self.transport.close()
        self._watch_end()

    def _watch_end(self) -> None:
        """Wait for the client to read what was written, and not for ever."""
        if self._stuck is None:
            self._look_at_client(self.transport.get_write_buffer_size() + 1)

    def _look_at_client(self, before: int) -> None:
        """Give up a client that read nothing of `before` bytes since the last look."""
        left = self.transport.get_write_buffer_size()
        self._stuck = None
        if left >= before:
            self.transport.abort()
        elif left:
            self._stuck = self.loop.call_later(STUCK_SECONDS, self._look_at_client, left)

    def _make_room(self) -> None:
        """Close connections: those first that wait for a request, longest first, then those with half a one."""
        count = max(1, len(self.connections) // _MADE_ROOM)
        waiting = heapq.nsmallest(count, self._waiting(), key=lambda pair: pair[0])
        for _, protocol in waiting:
            protocol.transport.abort()
        if not waiting:
            self.transport.abort()

    def _waiting(self) -> Iterator[tuple[float, "BoundedHttpProtocol"]]:
        for one in self.connections:
            if not isinstance(one, BoundedHttpProtocol) or one is self or one.transport.is_closing():
                continue
            timer = one.timeout_keep_alive_task or one._rest  # noqa: SLF001
            if timer is not None:
                yield timer.when(), one
            elif one.cycle is not None and one.cycle.more_body:
                yield float("inf"), one


def allow_many_connections() -> None:
    """Raise the limit of open files as far as this process may, and keep connections within half of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    files = _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    BoundedHttpProtocol.max_connections = min(MAX_CONNECTIONS, files // 2)
