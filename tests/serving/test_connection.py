"""Fewer system calls for one request: answers leave in one piece, TorchServe's worker takes what has arrived."""

import asyncio
import socket

import pytest

from serving_runtime.connection import CoalescingTransport
from serving_runtime.hosts import SECURITY_HEADERS
from serving_runtime.worker.torchserve_receiving import ReadAhead


class Transport:
    """Remembers what is written, and when it is closed."""

    def __init__(self) -> None:
        self.events: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.events.append(data)

    def close(self) -> None:
        self.events.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.events


def written(*pieces: bytes, close: bool = False) -> list[list[bytes | str]]:
    """What reached the transport at once, and after one more turn of the loop."""

    async def write() -> list[list[bytes | str]]:
        below = Transport()
        together = CoalescingTransport(below)
        for piece in pieces:
            together.write(piece)
        if close:
            together.close()
            assert together.is_closing()
        at_once = list(below.events)
        await asyncio.sleep(0)
        return [at_once, below.events]

    return asyncio.run(write())


class TestAnswers:
    HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
    SENT = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in SECURITY_HEADERS) + b"\r\n"

    def test_head_and_body_leave_together(self) -> None:
        assert written(self.HEAD, b"body", b"more")[0] == [self.SENT + b"body", b"more"]

    def test_a_head_without_a_body_leaves_with_the_next_turn_of_the_loop(self) -> None:
        assert written(self.HEAD) == [[], [self.SENT]]

    def test_a_head_leaves_before_the_end(self) -> None:
        assert written(self.HEAD, close=True) == [[self.SENT, "closed"]] * 2

    def test_a_page_has_its_own_policy_and_the_other_headers(self) -> None:
        own = b"HTTP/1.1 200 OK\r\ncontent-security-policy: default-src 'self'\r\n\r\n"
        (sent,) = written(own, b"page")[0]
        assert isinstance(sent, bytes)
        assert sent.count(b"content-security-policy: ") == 1
        assert b"default-src 'self'" in sent
        assert all(b"\r\n%b: " % name in sent for name, _ in SECURITY_HEADERS)

    def test_go_on_is_no_answer_and_has_no_headers(self) -> None:
        goes_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert written(goes_on) == [[], [goes_on]]


class TestReadAhead:
    def test_it_cuts_what_arrived_into_what_is_asked_for(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            large = bytes(range(256)) * 2048
            theirs.sendall(b"Iabcd" + b"x")
            ahead = ReadAhead()
            assert [bytes(ahead.take(ours, length)) for length in (1, 4, 0)] == [b"I", b"abcd", b""]
            theirs.setblocking(False)
            sent = theirs.send(large[:100_000])
            assert bytes(ahead.take(ours, 1 + sent)) == b"x" + large[:sent]

    def test_the_process_ends_with_its_connection(self) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            theirs.close()
            with pytest.raises(SystemExit):
                ReadAhead().take(ours, 1)
