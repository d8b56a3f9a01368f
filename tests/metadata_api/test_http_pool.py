"""Kept connections: used again, replaced when the other side closed them, dropped after half an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from metadata_api.http_pool import HttpPool, ResponseTooLarge
from tests.metadata_api.servers import V2Server, closes, hangs, says

T = TypeVar("T")
MAX_BYTES = 1024 * 1024


@pytest.fixture
def server() -> Iterator[V2Server]:
    with V2Server() as server:
        server.models["m"] = says(b'{"well": true}')
        yield server


def run(work: Callable[[HttpPool], Awaitable[T]]) -> T:
    """Do something with connections of its own."""

    async def inside() -> T:
        async with HttpPool() as pool:
            return await asyncio.wait_for(work(pool), 10)

    return asyncio.run(inside())


async def post(pool: HttpPool, url: str, max_bytes: int = MAX_BYTES) -> tuple[int, bytes]:
    """Status and body of the response."""
    response = await pool.request("POST", url, headers={}, body=b"{}", max_bytes=max_bytes)
    return response.status, response.body


def url(server: V2Server) -> str:
    return f"{server.url}/v2/models/m/infer"


def test_requests_one_after_the_other_share_a_connection(server: V2Server) -> None:
    async def work(pool: HttpPool) -> list[tuple[int, bytes]]:
        return [await post(pool, url(server)) for _ in range(5)]

    assert run(work) == [(200, b'{"well": true}')] * 5
    assert server.connections == 1


def test_requests_at_once_have_a_connection_each(server: V2Server) -> None:
    server.models["m"] = says(b"{}", seconds=0.1)

    async def work(pool: HttpPool) -> None:
        calls = (post(pool, url(server)) for _ in range(5))
        await asyncio.gather(*calls)

    run(work)
    assert server.connections == 5


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(server: V2Server) -> None:
    async def work(pool: HttpPool) -> tuple[int, bytes]:
        await post(pool, url(server))
        await asyncio.to_thread(server.silence)
        await asyncio.to_thread(server.listen)
        return await post(pool, url(server))

    assert run(work)[0] == 200
    assert server.connections == 2


def test_after_a_deadline_the_connection_is_not_used_again(server: V2Server) -> None:
    async def work(pool: HttpPool) -> tuple[int, bytes]:
        server.models["m"] = hangs()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(pool, url(server)), 0.1)
        server.models["m"] = says(b"{}")
        return await post(pool, url(server))

    assert run(work) == (200, b"{}")
    assert server.connections == 2


def test_no_answer_is_an_os_error(server: V2Server) -> None:
    server.models["m"] = closes()
    with pytest.raises(OSError, match="closed before"):
        run(lambda pool: post(pool, url(server)))
    server.silence()
    with pytest.raises(OSError, match="refused|Connect"):
        run(lambda pool: post(pool, url(server)))


def test_an_answer_that_is_too_long_is_given_up_while_it_arrives(server: V2Server) -> None:
    server.models["m"] = says(b"x" * 20_000_000)
    with pytest.raises(ResponseTooLarge, match="1,000"):
        run(lambda pool: post(pool, url(server), 1000))


def test_a_large_body_arrives_whole(server: V2Server) -> None:
    body = b'{"inputs": "' + b"x" * 3_000_000 + b'"}'

    async def work(pool: HttpPool) -> int:
        response = await pool.request("POST", url(server), headers={}, body=body, max_bytes=MAX_BYTES)
        return response.status

    assert run(work) == 200
    assert server.requests == [{"inputs": "x" * 3_000_000}]


def test_a_header_with_a_line_break_is_not_sent(server: V2Server) -> None:
    async def work(pool: HttpPool) -> None:
        await pool.request("GET", url(server), headers={"a": "b\r\nc: d"}, max_bytes=MAX_BYTES)

    with pytest.raises(ValueError, match="line break"):
        run(work)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", (200, b"{}")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", (200, b"{}")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", None),
    ],
)
def test_answers_of_other_servers(answer: bytes, expected: tuple[int, bytes] | None) -> None:
    async def work(pool: HttpPool) -> tuple[int, bytes]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            return await post(pool, f"http://127.0.0.1:{port}/x")

    if expected is None:
        with pytest.raises(OSError, match="closed before|not HTTP"):
            run(work)
    else:
        assert run(work) == expected
